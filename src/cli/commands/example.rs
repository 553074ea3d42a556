//! The example that `demo` plans and applies: a small music-streaming company, and two changes.
//!
//! # Why
//! The configs are the project's own fixtures, compiled by the real compiler and built into the
//! program, so the demo needs nothing but the program and shows what a user's repository would
//! show. Only the jobs are played, by a script in the example itself that says so.

use crate::source::ExampleCommit;

macro_rules! base {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../fixtures/zipline/base/", $path)))
    };
}

macro_rules! change {
    ($change:literal, $path:literal) => {
        ($path, include_str!(concat!("../../../fixtures/zipline/changes/", $change, "/", $path)))
    };
}

/// Commands of one's own instead of the zipline CLI.
const SETTINGS: &str = r#"# Jobs of this example are played by a script. Without `runner` and `command`, jobs are run by the
# zipline CLI; where the ledger of a team belongs is `state = "gs://BUCKET/PREFIX"`.
[env.prod]
runner = "command"
command = ["jobs/stand-in", "{mode}", "{name}", "--start={start_ds}", "--end={end_ds}", "--ds={ds}"]
archive = ["jobs/stand-in", "archive", "{table}"]
retry_delay = 1

# What runs every day is published here for Airflow; `dags = "gs://BUCKET/dags/chronon"` is Composer's.
[env.prod.airflow]
dags = "dags"

[team.default]
emails = ["features@example.com"]

[team.discovery]
pool = "discovery"
priority = 10
"#;

/// What plays the jobs.
const STAND_IN: &str = r#"#!/bin/sh
# Plays the jobs of this example: it says what it was asked for, and runs nothing.
# With STAND_IN_FAILS=upload in the environment, jobs of that mode fail.
echo "stand-in: no job was run: $*"
sleep 0.1
if [ "$1" = "$STAND_IN_FAILS" ]; then
    echo "stand-in: $1 was made to fail" >&2
    exit 1
fi
"#;

/// The repository at its first commit.
pub(super) const BASE: ExampleCommit<'_> = ExampleCommit {
    message: "Features of a music-streaming company",
    files: &[
        ("chronon-plan.toml", SETTINGS),
        ("jobs/stand-in", STAND_IN),
        base!("compiled/group_bys/catalog/tracks.artist_market__0"),
        base!("compiled/group_bys/catalog/tracks.track_popularity__0"),
        base!("compiled/group_bys/catalog/tracks.track_profile__2"),
        base!("compiled/group_bys/discovery/taste.genre_taste__0"),
        base!("compiled/group_bys/discovery/taste.track_mood__0"),
        base!("compiled/group_bys/listening/plays.listener_habits__0"),
        base!("compiled/group_bys/listening/plays.listener_plays__1"),
        base!("compiled/joins/discovery/radio.radio_rank__3"),
        base!("compiled/joins/discovery/training.skip_training__0"),
        base!("compiled/joins/listening/enriched.enriched_plays__0"),
        base!("compiled/model_transforms/discovery/mood.scored_tracks__0"),
        base!("compiled/models/discovery/mood.mood_model__1"),
        base!("compiled/staging_queries/catalog/plays.clean_plays__0"),
        base!("compiled/staging_queries/catalog/plays.track_daily__0"),
        base!("compiled/teams_metadata/catalog/catalog_team_metadata"),
        base!("compiled/teams_metadata/default/default_team_metadata"),
        base!("compiled/teams_metadata/discovery/discovery_team_metadata"),
        base!("compiled/teams_metadata/listening/listening_team_metadata"),
    ],
    removed: &[],
};

/// A staging query counts other plays, and a GroupBy loses a feature that joins serve.
pub(super) const CHANGE: ExampleCommit<'_> = ExampleCommit {
    message: "Count shorter plays too, drop a feature",
    files: &[
        change!("staging-sql-changed", "compiled/staging_queries/catalog/plays.clean_plays__0"),
        change!("remove-aggregation", "compiled/group_bys/listening/plays.listener_plays__1"),
        change!("remove-aggregation", "compiled/joins/discovery/radio.radio_rank__3"),
        change!("remove-aggregation", "compiled/joins/discovery/training.skip_training__0"),
    ],
    removed: &[],
};

/// A join is new, and a GroupBy that nobody reads goes.
pub(super) const ANOTHER: ExampleCommit<'_> = ExampleCommit {
    message: "A weekly digest; artist_market goes",
    files: &[change!("new-join", "compiled/joins/discovery/digest.weekly_digest__0")],
    removed: &["compiled/group_bys/catalog/tracks.artist_market__0"],
};
