//! What was merged and never applied: planned later, from the ledger, as it would have been then.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::scenarios::repository;
use crate::support::Repo;
use crate::support::project;
use crate::support::run;

/// A repository with a base, a change, and a commit after it that changes nothing compiled; and a
/// ledger that says that base is applied.
struct Case {
    repo: Repo,
    outside: TempDir,
    name: String,
}

impl Case {
    fn of(fixture: &Path, change: &Path) -> Self {
        let repo = repository(&fixture.join("base"), change);
        repo.git(&["tag", "base", "main"]);
        repo.git(&["tag", "merged"]);
        repo.write("README.md", "later");
        repo.commit("later");
        let outside = tempfile::tempdir().unwrap();
        let settings = format!(
            "[env.prod]\nstate = '{}'\n[env.prod.backfill]\nstart = '2026-01-01'\n",
            outside.path().join("state").display()
        );
        fs::write(outside.path().join("settings.toml"), settings).unwrap();
        let name = change.file_name().unwrap().to_str().unwrap().to_owned();
        let case = Self { repo, outside, name };
        case.run(&["state", "adopt", "--commit", "base"]);
        case
    }

    fn run(&self, args: &[&str]) -> String {
        let settings = self.outside.path().join("settings.toml");
        let more = ["--settings", settings.to_str().unwrap()];
        run(self.repo.path(), &[args, &more].concat()).ok()
    }

    fn plan(&self, base: &str, head: &str, more: &[&str]) -> Value {
        let args = ["plan", "--base", base, "--head", head, "--as-of", "2026-11-22"];
        let text = self.run(&[&args[..], &["--format", "json"], more].concat());
        serde_json::from_str(&text).unwrap()
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fixture in ["fixtures/zipline", "fixtures/oss"] {
        let fixture = project().join(fixture);
        let mut changes: Vec<PathBuf> = fs::read_dir(fixture.join("changes"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        changes.sort();
        cases.extend(changes.iter().map(|change| Case::of(&fixture, change)));
    }
    assert!(cases.len() > 30);
    cases
}

/// The steps of a plan without these keys.
fn steps(plan: &Value, without: &[&str]) -> Vec<Value> {
    let mut steps = plan["steps"].as_array().unwrap().clone();
    for step in &mut steps {
        without.iter().for_each(|key| drop(step.as_object_mut().unwrap().remove(*key)));
    }
    steps
}

fn orphans(plan: &Value) -> BTreeSet<String> {
    plan["orphans"].as_array().unwrap().iter().map(ToString::to_string).collect()
}

fn histories(plan: &Value) -> BTreeSet<String> {
    let warnings = plan["warnings"].as_array().unwrap().iter();
    let histories = warnings.filter(|it| it["code"] == "history-not-rewritten");
    histories.map(|it| it["config"].to_string()).collect()
}

#[test]
fn every_change_of_the_fixtures_is_owed_until_it_is_applied() {
    for case in cases() {
        let name = &case.name;
        let now = case.plan("base", "merged", &[]);
        let unledgered = case.plan("base", "merged", &["--no-state"]);
        assert_eq!(now["digest"], unledgered["digest"], "{name}: the ledger says what base says");
        assert_eq!(steps(&now, &[]), steps(&unledgered, &[]), "{name}");
        assert_eq!(orphans(&now), orphans(&unledgered), "{name}");

        let late = case.plan("merged", "HEAD", &[]);
        let without = ["scope", "because"];
        assert_eq!(steps(&late, &without), steps(&now, &without), "{name}");
        assert!(
            late["steps"].as_array().unwrap().iter().all(|it| it["scope"] == "pending"),
            "{name}"
        );
        assert_eq!(orphans(&late), orphans(&now), "{name}");
        assert_eq!(histories(&late), histories(&now), "{name}");
        assert!(case.plan("merged", "HEAD", &["--no-state"])["steps"] == Value::Array(Vec::new()));

        case.run(&["state", "adopt", "--commit", "HEAD", "--force"]);
        let after = case.plan("merged", "HEAD", &[]);
        assert!(after["steps"].as_array().unwrap().is_empty(), "{name}: {}", after["steps"]);
    }
}

#[test]
fn the_reasons_of_what_is_owed_are_the_fields_that_differ_from_what_was_applied() {
    let fixture = project().join("fixtures/zipline");
    let case = Case::of(&fixture, &fixture.join("changes/staging-sql-changed"));
    let late = case.plan("merged", "HEAD", &[]);
    let because = |id: &str| {
        let steps = late["steps"].as_array().unwrap();
        steps.iter().find(|it| it["id"] == id).unwrap()["because"].clone()
    };
    let changed = because("staging_queries/catalog.plays.clean_plays__0#backfill");
    assert_eq!(changed[0]["field"], "query", "{changed}");
    let reader = because("staging_queries/catalog.plays.track_daily__0#backfill");
    assert_eq!(reader[0]["upstream"], "staging_queries/catalog.plays.clean_plays__0");
    let text = case.run(&["plan", "--base", "merged", "--as-of", "2026-11-22"]);
    assert!(text.contains("query: it decides what the rows are"), "{text}");
}

#[test]
fn a_reader_is_owed_although_what_it_reads_has_been_applied() {
    let fixture = project().join("fixtures/zipline");
    let case = Case::of(&fixture, &fixture.join("changes/staging-sql-changed"));
    let upstream = "staging_queries/catalog.plays.clean_plays__0";
    case.run(&["state", "adopt", "--commit", "merged", "--target", upstream, "--force"]);
    let late = case.plan("merged", "HEAD", &[]);
    let steps = late["steps"].as_array().unwrap();
    assert!(!steps.iter().any(|it| it["config"] == upstream));
    let reader =
        steps.iter().find(|it| it["config"] == "staging_queries/catalog.plays.track_daily__0");
    assert_eq!(reader.unwrap()["because"][0]["upstream"], upstream);
}

#[test]
fn what_was_removed_is_left_behind_until_the_ledger_forgets_it() {
    let fixture = project().join("fixtures/zipline");
    let case = Case::of(&fixture, &fixture.join("changes/delete-group-by"));
    let late = case.plan("merged", "HEAD", &[]);
    let left: BTreeSet<String> = late["orphans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["config"].as_str().unwrap().to_owned())
        .collect();
    assert!(!left.is_empty());
    for config in &left {
        case.run(&["state", "rm", config]);
    }
    assert_eq!(case.plan("merged", "HEAD", &[])["orphans"], Value::Array(Vec::new()));
}
