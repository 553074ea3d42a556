//! The action as GitHub runs it, by `act`, with the program itself: a pull request is planned, goes
//! through the merge queue and is applied; all of it is seen on the tests' own GitHub.
//!
//! What act cannot show, and no test here does: images of runners, scopes of tokens, concurrency.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use crate::support::forge::APPLY;
use crate::support::forge::Forge;
use crate::support::forge::PLAN;
use crate::support::github::REPOSITORY;
use crate::support::github::TOKEN;
use crate::support::project;
use crate::support::stage::DAY;

const WORKFLOW: &str = "on: [pull_request, push, merge_group]
jobs:
  features:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: features
        uses: ./
        with:
          binary: BINARY
          as-of: DAY
      - if: always()
        env:
          OUTPUTS: ${{ toJSON(steps.features.outputs) }}
        run: printf '%s' \"$OUTPUTS\" > SEEN
";

/// Where `make test` puts act.
fn act() -> PathBuf {
    let act = project().join("target/tools/lint-1/bin/act");
    assert!(act.exists(), "act is not installed: `make test` installs it, or see .ci/test");
    act
}

/// The repository with the action in it, and a workflow that uses it.
fn forge() -> Forge {
    let forge = Forge::new("");
    forge.git(&["checkout", "-q", "main"]);
    let repo = &forge.stage.repo;
    repo.copy(&project().join("action"), "action");
    repo.write("action.yml", fs::read(project().join("action.yml")).unwrap());
    let workflow = WORKFLOW
        .replace("BINARY", env!("CARGO_BIN_EXE_chronon-plan"))
        .replace("DAY", DAY)
        .replace("SEEN", &forge.stage.path("seen").display().to_string());
    repo.write(".github/workflows/features.yml", workflow);
    let main = repo.commit("the action");
    forge.github.commit(&main);
    forge.git(&["remote", "add", "origin", &format!("https://github.com/{REPOSITORY}.git")]);
    forge
}

/// Lets act run the workflow for an event on what is checked out; gives the action's outputs.
fn run(forge: &Forge, event: &str, mut payload: Value) -> Value {
    payload["repository"] = json!({"full_name": REPOSITORY, "default_branch": "main"});
    let file = forge.stage.path("act.json");
    fs::write(&file, payload.to_string()).unwrap();
    let home = forge.stage.path("home");
    let gcs = forge.stage.gcs.as_ref().unwrap().endpoint();
    let output = Command::new(act())
        .current_dir(forge.stage.repo.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .args([event, "-P", "ubuntu-latest=-self-hosted", "-e"])
        .arg(&file)
        .args(["-s", &format!("GITHUB_TOKEN={TOKEN}")])
        .args(["--env", &format!("GITHUB_API_URL={}", forge.github.endpoint())])
        .args(["--env", &format!("STORAGE_EMULATOR_HOST={gcs}")])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    serde_json::from_slice(&fs::read(forge.stage.path("seen")).unwrap()).unwrap()
}

#[test]
fn the_action_plans_checks_the_queue_and_applies() {
    let forge = forge();
    let head = forge.open(7, "new-join");
    forge.git(&["checkout", "-q", "--detach", "refs/remotes/pull/7/merge"]);
    let pull = forge.pull(7, &json!({}));
    let payload = json!({"action": "opened", "number": 7, "pull_request": pull});
    let outputs = run(&forge, "pull_request", payload);
    assert_eq!(outputs["has-changes"], "true");
    let check = forge.check(&head, PLAN);
    assert_eq!(check.external_id.as_deref(), outputs["digest"].as_str());
    assert!(forge.comment(7).body.contains("weekly_digest"));

    let (group, payload) = forge.queue(7, &forge.commit_of("main"));
    run(&forge, "merge_group", payload);
    assert_eq!(forge.conclusion(&group, PLAN), "success");

    let (before, after) = forge.merge(7);
    let payload = forge.push_payload(&before, &after);
    forge.git(&["checkout", "-q", "main"]);
    run(&forge, "push", payload);
    assert_eq!(forge.conclusion(&after, APPLY), "success");
    assert!(forge.comment(7).body.contains("re-plan: no changes"));
    assert_eq!(forge.stage.submitted().len(), 1);
    forge.assert_clean(&[]);
}
