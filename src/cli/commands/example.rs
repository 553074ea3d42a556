//! The example that `demo` plans: a small music-streaming company, and one change of it.
//!
//! # Why
//! These are the project's own fixtures, compiled by the real compiler and built into the program,
//! so the demo needs nothing but the program and shows what a user's repository would show.

/// A file: where it stands in the repository, and what is in it.
pub(super) type File = (&'static str, &'static str);

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

/// The repository at its first commit.
pub(super) const BASE: &[File] = &[
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
];

/// What the second commit changes: a staging query counts fewer plays, and a GroupBy loses a
/// feature that joins serve.
pub(super) const CHANGE: &[File] = &[
    change!("staging-sql-changed", "compiled/staging_queries/catalog/plays.clean_plays__0"),
    change!("remove-aggregation", "compiled/group_bys/listening/plays.listener_plays__1"),
    change!("remove-aggregation", "compiled/joins/discovery/radio.radio_rank__3"),
    change!("remove-aggregation", "compiled/joins/discovery/training.skip_training__0"),
];
