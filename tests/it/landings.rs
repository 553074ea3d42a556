//! Schedules on GitHub: what a pull request says of them, who approved them, and what its receipt
//! says once they are published.

use serde_json::Value;

use crate::support::forge::APPLY;
use crate::support::forge::Forge;
use crate::support::forge::PLAN;

/// A schedule less: no step at all.
const NEVER: &str = "offline-schedule-never";
/// A join more: one step, and its task.
const JOIN: &str = "new-join";

const SETTINGS: &str = "[env.prod.airflow]\ndags = \"gs://composer/dags\"\n";

/// A forge whose base is applied and published.
fn forge(more: &str) -> Forge {
    let forge = Forge::new(&format!("{SETTINGS}{more}"));
    let gcs = forge.stage.gcs.as_ref().unwrap();
    gcs.bucket("composer");
    gcs.unlimited();
    forge.stage.apply(&[]).ok();
    forge
}

fn manifest(forge: &Forge) -> Value {
    let gcs = forge.stage.gcs.as_ref().unwrap();
    let object = gcs.object("composer", "dags/chronon_dags.json").unwrap();
    serde_json::from_slice(&object.bytes).unwrap()
}

#[test]
fn a_change_of_schedules_alone_is_planned_approved_and_published() {
    let forge = forge("[ci.label]\njobs = \"has-jobs\"\n");
    let before = manifest(&forge);
    let head = forge.open(7, NEVER);
    let opened = forge.pull_request(7, "opened").ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("merging this publishes the schedules"), "{body}");
    assert!(body.contains("Plan: no job;") && body.contains("to publish in"), "{body}");
    let lines = body.lines().filter(|it| it.contains("was `0 6 * * 1`, 2 tasks"));
    assert_eq!(lines.count(), 1, "{body}");
    assert!(
        body.contains("<details><summary>2 tasks of <code>chronon"),
        "tasks lie behind a fold: {body}"
    );
    assert_eq!(
        (opened.outputs["steps"].as_str(), opened.outputs["has-changes"].as_str()),
        ("0", "true")
    );
    assert_eq!(forge.conclusion(&head, PLAN), "success");

    let landed = forge.squash(7);
    let applied = forge.pushed(&landed).ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("✅ **Applied** · 1 DAG published"), "{body}");
    assert!(body.contains("re-plan: no changes"), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "success");
    assert_ne!(manifest(&forge)["digest"], before["digest"]);
    forge.assert_clean(&[&opened, &applied]);
}

#[test]
fn schedules_that_nobody_approved_are_not_published() {
    let forge = forge("");
    let before = manifest(&forge);
    let landed = forge.push_to_main(NEVER);
    let job = forge.pushed(&landed).ended(6);
    assert!(job.run.stderr.contains("nobody has approved it"), "{}", job.run.stderr);
    assert_eq!(manifest(&forge), before);

    // Nor what comes to an approved plan: it is told DAG by DAG.
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let (_, after) = forge.squash(7);
    forge.git(&["checkout", "-q", "main"]);
    forge.stage.repo.write(
        "chronon-plan.toml",
        format!(
            "{}\n[team.listening]\nqueue = \"big\"\n",
            std::fs::read_to_string(forge.stage.path("settings.toml")).unwrap()
        ),
    );
    let newest = forge.stage.repo.commit("a queue, past every pull request");
    forge.github.commit(&newest);
    let job = forge.pushed(&(after, newest)).ended(3);
    assert!(job.run.stderr.contains("team settings"), "{}", job.run.stderr);
    assert_eq!(manifest(&forge), before);
}

#[test]
fn two_pull_requests_that_change_one_dag_approve_it_together() {
    let forge = forge("");
    forge.open(7, NEVER);
    forge.open(8, JOIN);
    forge.pull_request(7, "opened").ended(0);
    forge.pull_request(8, "opened").ended(0);
    // The run of the first is dropped; that of the second applies both.
    forge.merge(7);
    let landed = forge.merge(8);
    let job = forge.pushed(&landed).ended(0);
    for number in [7, 8] {
        let body = forge.comment(number).body;
        assert!(body.contains("✅ **Applied**") && body.contains("published"), "{body}");
    }
    forge.assert_clean(&[&job]);
}

#[test]
fn schedules_that_cannot_be_published_are_told_and_the_run_again_does_it() {
    let forge = forge("");
    let gcs = forge.stage.gcs.as_ref().unwrap();
    forge.open(7, NEVER);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.squash(7);
    let fault = crate::support::gcs::Fault::Status(403);
    gcs.fail(99, fault, |it| it.is_write() && it.bucket == "composer");
    forge.pushed(&landed).ended(5);
    let body = forge.comment(7).body;
    assert!(body.contains("❌") && body.contains("schedules"), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "failure");
    gcs.heal();
    forge.pushed(&landed).ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("✅ **Applied** · 1 DAG published"), "{body}");
}
