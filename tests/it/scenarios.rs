//! Whole scenarios: a base, a change, and what a plan must say of it.
//!
//! The shared corpus has its answers beside it. The project's own fixtures have golden files,
//! which a person can read beside the sentence that says what must be concluded.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Repo;
use crate::support::corpus;
use crate::support::golden;
use crate::support::project;
use crate::support::run;

/// A repository whose branch `main` holds the base and whose HEAD holds the change.
pub(crate) fn repository(base: &Path, change: &Path) -> Repo {
    let repo = Repo::new();
    for root in ["compiled", "compiled_canary", "production"] {
        repo.copy(&base.join(root), root);
    }
    repo.commit("base");
    repo.git(&["checkout", "-q", "-b", "change"]);
    for root in ["compiled", "compiled_canary", "production"] {
        repo.copy(&change.join(root), root);
    }
    let removed = fs::read_to_string(change.join("removed.json")).unwrap();
    for path in serde_json::from_str::<Vec<String>>(&removed).unwrap() {
        repo.remove(&path);
    }
    repo.commit("change");
    repo
}

fn plan(repo: &Repo, as_of: &str, format: &str, more: &[&str]) -> String {
    let args = ["plan", "--base", "main", "--as-of", as_of, "--format", format];
    run(repo.path(), &[&args[..], more].concat()).ok()
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(of)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|it| it.is_dir())
        .collect();
    folders.sort();
    folders
}

fn texts<'a>(of: &'a Value, field: &'a str) -> impl Iterator<Item = &'a str> {
    of[field].as_array().unwrap().iter().map(|it| it.as_str().unwrap())
}

#[test]
fn the_corpus_scenarios_hold_exactly() {
    let Some(corpus) = corpus() else { return };
    let base = corpus.join("marketplace/base");
    let scenarios = folders(&corpus.join("marketplace/scenarios"));
    assert!(scenarios.len() >= 9);
    for scenario in scenarios {
        let name = scenario.file_name().unwrap().to_str().unwrap();
        let expected = fs::read(scenario.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let repo = repository(&base, &scenario);
        holds(name, &repo, &expected);
    }
}

fn holds(name: &str, repo: &Repo, expected: &Value) {
    let as_of = expected["as_of"].as_str().unwrap();
    for format in ["text", "markdown", "json"] {
        let shown = plan(repo, as_of, format, &[]);
        for secret in texts(expected, "forbidden_text") {
            assert!(!shown.contains(secret), "{name}: {format} prints a secret");
        }
    }
    let plan: Value = serde_json::from_str(&plan(repo, as_of, "json", &[])).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let ids: Vec<&str> = steps.iter().map(|step| step["id"].as_str().unwrap()).collect();
    let planned: BTreeSet<&str> = ids.iter().copied().collect();
    let required: BTreeSet<&str> = texts(expected, "steps").collect();
    let optional: BTreeSet<&str> = texts(expected, "optional_steps").collect();
    let allowed: BTreeSet<&str> = required.union(&optional).copied().collect();
    assert!(planned.is_superset(&required) && planned.is_subset(&allowed), "{name}: {planned:?}");
    for pair in expected["order"].as_array().unwrap() {
        let place = |at: usize| ids.iter().position(|id| *id == pair[at].as_str().unwrap());
        assert!(place(0) < place(1), "{name}: {pair}");
    }
    let step = |id: &str| steps.iter().find(|step| step["id"] == id).unwrap();
    for (id, rewrite) in expected["rewrite"].as_object().unwrap() {
        assert_eq!(&step(id)["rewrite"], rewrite, "{name}: {id}");
    }
    for (id, range) in expected["range"].as_object().unwrap() {
        let planned = &step(id)["range"];
        assert_eq!([&planned["start"], &planned["end"]], [&range[0], &range[1]], "{name}: {id}");
    }
    // The design asks for `history-not-rewritten` wherever a rewrite is `archive-first`; the
    // corpus names the rewrite alone.
    let mut warnings: BTreeSet<(String, String)> = BTreeSet::new();
    for step in steps.iter().filter(|step| step["rewrite"] == "archive-first") {
        let config = step["config"].as_str().unwrap().to_owned();
        warnings.insert(("history-not-rewritten".to_owned(), config));
    }
    for pair in expected["warnings"].as_array().unwrap() {
        let text = |at: usize| pair[at].as_str().unwrap().to_owned();
        warnings.insert((text(0), text(1)));
    }
    let said = plan["warnings"].as_array().unwrap().iter();
    let said: BTreeSet<(String, String)> = said
        .map(|it| {
            (it["code"].as_str().unwrap().to_owned(), it["config"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(said, warnings, "{name}");
}

/// Plans every change of a fixture and compares all formats with its golden files.
fn goldens(fixture: &str, secrets: &[&str]) {
    let fixture = project().join("fixtures").join(fixture);
    let changes = folders(&fixture.join("changes"));
    assert!(!changes.is_empty());
    for change in changes {
        assert!(change.join("why.md").is_file(), "{} says not why", change.display());
        let repo = repository(&fixture.join("base"), &change);
        let canary: &[&str] =
            if change.join("compiled_canary").is_dir() { &["--env", "canary"] } else { &[] };
        for (format, file) in [("text", "plan.txt"), ("markdown", "plan.md"), ("json", "plan.json")]
        {
            let shown = plan(&repo, "2026-11-22", format, canary);
            for secret in secrets {
                assert!(!shown.contains(secret), "{} prints a secret", change.display());
            }
            golden(&change.join("expected").join(file), &shown);
        }
    }
}

#[test]
fn zipline_fixtures_plan_as_their_golden_files_say() {
    goldens("zipline", &["hunter2", "hunter3"]);
}

#[test]
fn oss_fixtures_plan_as_their_golden_files_say() {
    goldens("oss", &["hunter2", "hunter3"]);
}
