//! What `ci` must not let happen: jobs that nobody approved, jobs that are forgotten, texts that
//! are not true.

use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::support::forge::APPLY;
use crate::support::forge::Forge;
use crate::support::forge::Job;
use crate::support::forge::PLAN;
use crate::support::forge::branch;
use crate::support::gcs;
use crate::support::github::App;
use crate::support::github::Check;
use crate::support::github::GitHub;
use crate::support::stage::until;

const BREAKING: &str = "remove-aggregation";
const JOIN: &str = "new-join";
/// What a check says where its plan was too large to keep.
const NO_ROOM: &str = "Planned for a pull request. The plan has no room here.\n";
/// An env that jobs of its own are run for.
const CANARY: &str = "[env.canary]\nroot = \"compiled_canary\"\nstate = \"gs://state/canary\"\nrunner = \"command\"\ncommand = [\"true\"]\nbackfill = { start = \"2024-01-01\" }\n";
const TAGS: &str = "tags-only";
const DIGEST: &str = "discovery.digest.weekly_digest__0#backfill";
const PLAYS: &str = "listening.plays.listener_plays__1#metadata-upload";

/// The three files that hold one expression.
const CASTS: [&str; 3] = [
    "compiled/group_bys/listening/plays.listener_plays__1",
    "compiled/joins/discovery/training.skip_training__0",
    "compiled/joins/discovery/radio.radio_rank__3",
];

fn failed(job: &Job, code: i32, text: &str) {
    assert_eq!(job.run.code, code, "{}\n{}", job.run.stdout, job.run.stderr);
    assert!(job.run.stderr.contains(text), "{}", job.run.stderr);
}

fn edit(forge: &Forge, file: &str, from: &str, to: &str) {
    let path = forge.stage.repo.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Casts a column to another type wherever it stands.
fn cast(forge: &Forge, from: &str, to: &str) {
    for file in CASTS {
        let kind = |it: &str| format!("CAST(ms_played AS {it})");
        edit(forge, file, &kind(from), &kind(to));
    }
}

fn direct(forge: &Forge, message: &str, change: &dyn Fn()) -> (String, String) {
    forge.git(&["checkout", "-q", "main"]);
    let before = forge.commit_of("main");
    change();
    forge.git(&["add", "-A", "-f"]);
    forge.git(&["commit", "-q", "-m", message]);
    let after = forge.commit_of("main");
    forge.github.commit(&after);
    (before, after)
}

/// Puts the files of a change of the fixtures into the work tree.
fn lay(forge: &Forge, change: &str) {
    let folder = crate::support::project().join("fixtures/zipline/changes").join(change);
    forge.stage.repo.copy(&folder.join("compiled"), "compiled");
}

fn planned(forge: &Forge, number: u64, change: &str) -> String {
    let head = forge.open(number, change);
    forge.pull_request(number, "opened").ended(0);
    head
}

#[test]
fn a_direct_push_of_other_content_is_not_approved_by_an_old_pull_request() {
    let forge = Forge::new("");
    planned(&forge, 7, "select-expression-changed");
    forge.pushed(&forge.squash(7)).ended(0);
    let jobs = forge.stage.submitted().len();
    let receipt = forge.comment(7);
    let landed = direct(&forge, "past everybody", &|| cast(&forge, "INT", "DOUBLE"));
    let job = forge.pushed(&landed);
    assert_eq!(
        (job.run.code, forge.stage.submitted().len() - jobs),
        (6, 0),
        "jobs of a content that nobody approved: {}",
        job.run.stderr
    );
    assert_eq!(forge.comment(7).body, receipt.body);
}

#[test]
fn a_merge_that_is_not_what_was_reviewed_is_not_approved_by_it() {
    let forge = Forge::new("");
    planned(&forge, 7, "select-expression-changed");
    // Whoever merges changes what is merged.
    let before = forge.commit_of("main");
    forge.git(&["checkout", "-q", "main"]);
    forge.git(&["merge", "-q", "--no-ff", "--no-commit", &branch(7)]);
    cast(&forge, "INT", "STRING");
    forge.git(&["add", "-A"]);
    forge.git(&["commit", "-q", "-m", "Merge pull request #7 from acme/change-7"]);
    let after = forge.commit_of("main");
    forge.github.merge(7, &after, "rita");
    let job = forge.pushed(&(before, after));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (3, 0), "{}", job.run.stderr);
}

#[test]
fn the_digest_of_a_new_config_covers_its_content() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    let before = forge.commit_of("main");
    forge.git(&["checkout", "-q", "main"]);
    forge.git(&["merge", "-q", "--no-ff", "--no-commit", &branch(7)]);
    let file = "compiled/joins/discovery/digest.weekly_digest__0";
    edit(&forge, file, "\"slot\": \"slot\"", "\"slot\": \"slot * 7\"");
    forge.git(&["add", "-A"]);
    forge.git(&["commit", "-q", "-m", "Merge pull request #7 from acme/change-7"]);
    let after = forge.commit_of("main");
    forge.github.merge(7, &after, "rita");
    let job = forge.pushed(&(before, after));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (3, 0), "{}", job.run.stderr);
}

#[test]
fn what_was_approved_applied_and_reverted_is_not_approved_again() {
    let forge = Forge::new("");
    planned(&forge, 7, "select-expression-changed");
    forge.pushed(&forge.squash(7)).ended(0);
    forge.open_by(
        8,
        &|| {
            cast(&forge, "INT", "BIGINT");
            forge.git(&["checkout", "-q", "main~1", "--", "compiled"]);
            forge.git(&["add", "-A"]);
            forge.git(&["commit", "-q", "-m", "revert"]);
        },
        |pull| pull,
    );
    forge.pull_request(8, "opened").ended(0);
    forge.pushed(&forge.squash(8)).ended(0);
    let jobs = forge.stage.submitted().len();
    let landed = direct(&forge, "again", &|| {
        forge.git(&["checkout", "-q", "main~1", "--", "compiled"]);
    });
    let job = forge.pushed(&landed);
    assert_eq!((job.run.code, forge.stage.submitted().len() - jobs), (6, 0), "{}", job.run.stderr);
}

#[test]
fn a_check_of_a_pull_request_that_was_not_merged_is_no_approval() {
    let forge = Forge::new("");
    // To another branch, never merged anywhere.
    let base = forge.commit_of("main");
    let head = forge.open_by(7, &|| drop(forge.stage.commit(JOIN)), |pull| pull.onto("dev", &base));
    let other = json!({"base": {
        "sha": base, "ref": "dev", "repo": {"full_name": "acme/features"},
    }});
    forge.pull_request_with(7, "opened", &other).ended(0);
    forge.git(&["checkout", "-q", "main"]);
    forge.git(&["merge", "-q", "--ff-only", &branch(7)]);
    forge.github.commit(&head);
    let job = forge.pushed(&(base, head));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

#[test]
fn a_message_that_names_a_pull_request_does_not_make_a_push_its_own() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    forge.pushed(&forge.merge(7)).ended(0);
    let receipt = forge.comment(7);
    let landed = direct(&forge, "more of it (#7)", &|| lay(&forge, TAGS));
    let job = forge.pushed(&landed);
    assert_eq!(forge.comment(7).body, receipt.body, "the receipt of #7 is gone");
    failed(&job, 6, "with no pull request");
}

#[test]
fn a_plan_of_a_part_is_no_plan_of_the_pull_request() {
    let forge =
        Forge::new("[policy.history]\nwhen = \"history-rewritten\"\nlabels = [\"history-ok\"]\n");
    forge.open(7, BREAKING);
    let head = forge.push(7, JOIN);
    failed(&forge.pull_request(7, "opened"), 6, "`history`");
    assert_eq!(forge.conclusion(&head, PLAN), "action_required");
    forge.github.role("ivy", "write");
    let (_, job) = forge.commented(
        7,
        "ivy",
        "/chronon-plan plan --target 'joins/discovery.digest.*'",
        "refs/remotes/pull/7/merge",
    );
    assert_ne!(
        forge.conclusion(&head, PLAN),
        "success",
        "the check that branch protection requires is green for a part: {}",
        job.run.stderr
    );
}

#[test]
fn a_comment_applies_only_what_the_default_branch_holds() {
    let forge = Forge::new("[ci]\ndirect_push = \"apply\"\n");
    planned(&forge, 8, JOIN);
    forge.github.role("ivy", "write");
    let (_, job) = forge.commented(8, "ivy", "/chronon-plan apply", "refs/remotes/pull/8/merge");
    assert_eq!(
        forge.stage.submitted(),
        [""; 0],
        "an open pull request was applied: {}",
        job.run.stderr
    );
}

#[test]
fn a_check_that_another_workflow_made_is_no_approval() {
    let forge = Forge::new("");
    let head = forge.open(7, JOIN);
    let landed = forge.squash(7);
    let refused = forge.pushed(&landed);
    failed(&refused, 6, "has no approved plan");
    let at = refused.run.stderr.find("`approved` = ").unwrap() + 13;
    let digest = refused.run.stderr[at..at + 71].to_owned();
    // Any workflow of the repository writes with the same app; its own run stands behind it.
    forge.github.check(Check::new(App::actions(), &head, PLAN).concluded("failure", &digest, ""));
    let job = forge.pushed(&landed);
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

const BREAKING_OK: &str =
    "[policy.breaking]\nwhen = \"online-breaking\"\nlabels = [\"breaking-ok\"]\n";

/// A pull request that breaks clients and takes the policy away that guards them.
fn loosening(forge: &Forge, number: u64) {
    forge.open_by(
        number,
        &|| {
            let path = forge.stage.repo.path().join("chronon-plan.toml");
            let text = fs::read_to_string(path).unwrap();
            forge.stage.repo.write("chronon-plan.toml", text.split("[policy").next().unwrap());
            drop(forge.stage.commit(BREAKING));
        },
        |pull| pull,
    );
    failed(&forge.pull_request(number, "opened"), 6, "`breaking`");
}

#[test]
fn a_policy_that_a_pull_request_takes_away_still_holds_for_it_by_hand() {
    let forge = Forge::new(BREAKING_OK);
    loosening(&forge, 7);
    failed(&forge.pushed(&forge.squash(7)), 6, "`breaking`");
    forge.github.role("ivy", "write");
    let (_, job) = forge.commented(7, "ivy", "/chronon-plan apply", "main");
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

#[test]
fn a_policy_that_a_pull_request_takes_away_still_holds_for_it_with_the_next_push() {
    let forge = Forge::new(BREAKING_OK);
    loosening(&forge, 7);
    forge.squash(7);
    // Its run waited and was dropped by the next.
    planned(&forge, 8, "offline-schedule-never");
    let job = forge.pushed(&forge.squash(8));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

#[test]
fn settings_from_a_file_of_the_repository_are_those_of_the_base() {
    let forge = Forge::new(BREAKING_OK);
    forge.open_by(
        7,
        &|| {
            let path = forge.stage.repo.path().join("chronon-plan.toml");
            let text = fs::read_to_string(path).unwrap();
            forge.stage.repo.write("chronon-plan.toml", text.split("[policy").next().unwrap());
            drop(forge.stage.commit(BREAKING));
        },
        |pull| pull,
    );
    let merge = forge.commit_of("refs/remotes/pull/7/merge");
    forge.git(&["checkout", "-q", "--detach", &merge]);
    let base = forge.commit_of("main");
    let payload = json!({
        "action": "opened", "number": 7,
        "pull_request": {
            "number": 7, "title": "x", "user": {"login": "ana"}, "state": "open",
            "draft": false, "merged": false, "merge_commit_sha": merge,
            "head": {"sha": forge.commit_of(&branch(7)), "ref": branch(7), "repo": {"full_name": "acme/features"}},
            "base": {"sha": base, "ref": "main", "repo": {"full_name": "acme/features"}},
        },
    });
    let (mut command, _) =
        forge.command("pull_request", payload, &["--settings", "chronon-plan.toml"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        output.status.code(),
        Some(6),
        "the policies were those of the pull request: {text}"
    );
}

#[test]
fn an_approval_of_an_older_commit_is_no_approval_of_this_one() {
    let forge = Forge::new("[policy.jobs]\nwhen = \"jobs\"\napprovals = 1\n");
    let old = forge.open(7, TAGS);
    failed(&forge.pull_request(7, "opened"), 6, "`jobs`");
    forge.github.role("rolf", "write");
    forge.github.review(7, "rolf", "APPROVED", &old);
    forge.pull_request(7, "edited").ended(0);
    let head = forge.push(7, BREAKING);
    let job = forge.pull_request(7, "synchronize");
    assert_eq!(
        forge.conclusion(&head, PLAN),
        "action_required",
        "nobody has approved this commit: {}",
        job.run.stderr
    );
}

#[test]
fn each_pull_request_answers_for_its_own_part_even_where_its_plan_was_too_large_to_keep() {
    let forge = Forge::new(BREAKING_OK);
    planned(&forge, 7, JOIN);
    forge.github.label(7, "breaking-ok");
    // Its run waited and was dropped by the next.
    forge.squash(7);
    let head = forge.open(8, BREAKING);
    failed(&forge.pull_request(8, "opened"), 6, "`breaking`");
    let digest = forge.check(&head, PLAN).external_id.unwrap();
    // As it stands there where the plan has no room in the check.
    forge.github.check(Check::new(App::actions(), &head, PLAN).concluded(
        "action_required",
        &digest,
        NO_ROOM,
    ));
    let job = forge.pushed(&forge.squash(8));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

#[test]
fn what_a_policy_held_back_does_not_come_in_with_the_next_merge() {
    let forge = Forge::new(BREAKING_OK);
    forge.open(7, BREAKING);
    failed(&forge.pull_request(7, "opened"), 6, "`breaking`");
    failed(&forge.pushed(&forge.squash(7)), 6, "`breaking`");
    assert_eq!(forge.stage.submitted().len(), 0);
    // Somebody else merges something harmless, which GitHub allows: its check is green.
    forge.open(8, JOIN);
    let planned = forge.pull_request(8, "opened");
    let job = forge.pushed(&forge.squash(8));
    let breaking =
        forge.stage.submitted().iter().filter(|it| it.contains("listener_plays")).count();
    assert_eq!(
        (job.run.code, breaking),
        (6, 0),
        "#7 never got its label; the plan of #8 ended with {}: {}",
        planned.run.code,
        job.run.stderr
    );
}

#[test]
fn a_policy_holds_for_branches_that_are_older_than_it() {
    let forge = Forge::new("");
    let head = forge.open(7, BREAKING);
    let landed = direct(&forge, "a policy", &|| {
        let path = forge.stage.repo.path().join("chronon-plan.toml");
        let text = fs::read_to_string(path).unwrap();
        forge.stage.repo.write("chronon-plan.toml", format!("{text}\n{BREAKING_OK}"));
    });
    // Without a merge at hand, as where it conflicts or the workflow checks out the branch.
    forge.git(&["checkout", "-q", "--detach", &head]);
    forge.git(&["update-ref", "-d", "refs/remotes/pull/7/merge"]);
    let payload = json!({
        "action": "synchronize", "number": 7,
        "pull_request": {
            "number": 7, "title": "x", "user": {"login": "ana"}, "state": "open",
            "draft": false, "merged": false, "merge_commit_sha": null,
            "head": {"sha": head, "ref": branch(7), "repo": {"full_name": "acme/features"}},
            "base": {"sha": landed.1, "ref": "main", "repo": {"full_name": "acme/features"}},
        },
    });
    let job = forge.job("pull_request", payload);
    assert_eq!(forge.conclusion(&head, PLAN), "action_required", "{}", job.run.stderr);
}

#[test]
fn what_a_re_run_finds_left_is_done_also_where_the_digest_was_another() {
    let forge = Forge::new("");
    planned(&forge, 8, JOIN);
    planned(&forge, 7, "topic-changed");
    forge.stage.knob(&format!("fail.{DIGEST}"), "9");
    forge.pushed(&forge.squash(8)).ended(5);
    forge.stage.unset(&format!("fail.{DIGEST}"));
    forge.stage.knob(&format!("fail.{PLAYS}"), "9");
    let landed = forge.squash(7);
    forge.pushed(&landed).ended(5);
    forge.stage.unset(&format!("fail.{PLAYS}"));
    // As the comment says: re-run the failed jobs of this run.
    let again = forge.pushed(&landed);
    assert_eq!(again.run.code, 0, "{}", again.run.stderr);
    assert_eq!(forge.stage.steps(), [""; 0]);
}

#[test]
fn what_a_refusal_advises_works() {
    let forge = Forge::new("");
    forge.open(7, "key-mapping-changed");
    forge.push(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    failed(&forge.pushed(&forge.squash(7)), 6, "archived");
    forge.github.role("ivy", "write");
    let (_, job) = forge.commented(
        7,
        "ivy",
        "/chronon-plan apply --target 'joins/discovery.digest.*'",
        "main",
    );
    assert_eq!(job.run.code, 0, "{}", job.run.stderr);
}

#[test]
fn a_part_that_is_applied_is_not_called_applied() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.push(7, TAGS);
    forge.pull_request(7, "opened").ended(0);
    forge.stage.knob(&format!("fail.{DIGEST}"), "9");
    forge.stage.knob(&format!("fail.{PLAYS}"), "9");
    forge.pushed(&forge.squash(7)).ended(5);
    forge.stage.unset(&format!("fail.{DIGEST}"));
    forge.github.role("ivy", "write");
    let (_, job) = forge.commented(
        7,
        "ivy",
        "/chronon-plan apply --target 'joins/discovery.digest.*'",
        "main",
    );
    job.ended(0);
    assert_eq!(forge.stage.steps().len(), 1, "one is left");
    let body = forge.comment(7).body;
    let first = body.lines().find(|it| it.contains('✅') || it.contains('❌')).unwrap_or_default();
    assert!(!first.contains("✅"), "{body}");
}

#[test]
fn a_ledger_that_somebody_commits_is_not_believed() {
    let forge = Forge::new("");
    forge.git(&["checkout", "-q", "main"]);
    let settings = fs::read_to_string(forge.stage.repo.path().join("chronon-plan.toml")).unwrap();
    let local = settings.replace("gs://state/team", "./ledgers");
    forge.stage.repo.write("chronon-plan.toml", local);
    let main = forge.stage.repo.commit("state in a folder");
    forge.github.commit(&main);
    let head = forge.open_by(
        7,
        &|| {
            forge.stage.repo.write("ledgers/prod/state.json", "{}");
            drop(forge.stage.commit(JOIN));
        },
        |pull| pull,
    );
    failed(&forge.pull_request(7, "opened"), 1, "the commit holds `./ledgers`");
    assert_eq!(forge.conclusion(&head, PLAN), "failure");
}

#[test]
fn a_receipt_stays_when_somebody_labels_what_is_merged() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    forge.pushed(&forge.squash(7)).ended(0);
    let receipt = forge.comment(7);
    let merged = json!({"merged": true, "state": "closed"});
    forge.pull_request_with(7, "labeled", &merged);
    assert_eq!(forge.comment(7).body, receipt.body);
}

#[test]
fn a_receipt_stays_when_an_old_plan_is_run_again() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    let merge = forge.commit_of("refs/remotes/pull/7/merge");
    forge.pushed(&forge.squash(7)).ended(0);
    let receipt = forge.comment(7);
    forge.git(&["update-ref", "refs/remotes/pull/7/merge", &merge]);
    forge.pull_request(7, "opened");
    assert_eq!(forge.comment(7).body, receipt.body);
}

#[test]
fn no_check_stays_open_when_a_push_that_is_only_planned_cannot_be() {
    let forge = Forge::new("[ci]\ndirect_push = \"plan\"\n");
    let landed = direct(&forge, "broken", &|| {
        forge.stage.repo.write("compiled/joins/discovery/broken.v1__0", "{ \"metaData\": ");
    });
    let job = forge.pushed(&landed);
    assert_ne!(job.run.code, 0);
    assert_eq!(
        forge.conclusion(&landed.1, APPLY),
        "failure",
        "{:?}",
        forge.check(&landed.1, APPLY)
    );
}

#[test]
fn no_check_stays_open_when_its_title_is_long() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    forge.stage.knob(&format!("fail.{DIGEST}"), "9");
    let landed = forge.squash(7);
    forge.pushed(&landed).ended(5);
    forge.github.role("ivy", "write");
    let target = format!("joins/{}", "x".repeat(300));
    let (_, job) =
        forge.commented(7, "ivy", &format!("/chronon-plan apply --target {target}"), "main");
    assert_ne!(job.run.code, 0);
    assert_eq!(forge.conclusion(&landed.1, APPLY), "failure", "{}", job.run.stderr);
}

#[test]
fn an_interrupt_is_told_on_every_pull_request() {
    let forge = Forge::new("");
    let before = forge.commit_of("main");
    let changes = [JOIN, TAGS, "model-changed"];
    for (number, change) in (7..).zip(changes) {
        planned(&forge, number, change);
    }
    let mut after = before.clone();
    for number in 7..10 {
        after = forge.merge(number).1;
    }
    forge.stage.knob("hold", "");
    let working = forge.start_pushed(&before, &after);
    until("a job is submitted", || !forge.stage.submitted().is_empty());
    working.running().signal(rustix::process::Signal::INT);
    let job = working.end();
    forge.stage.unset("hold");
    assert_eq!(job.run.code, 130, "{}", job.run.stderr);
    for number in 7..10 {
        let body = forge.comment(number).body;
        assert!(!body.contains("Applying"), "#{number}: {body}");
    }
    assert_eq!(forge.conclusion(&after, APPLY), "cancelled");
}

#[test]
fn nothing_was_run_is_said_only_where_nothing_was_run() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    let landed = forge.squash(7);
    forge.stage.knob("hold", "");
    let working = forge.start_pushed(&landed.0, &landed.1);
    until("the job is submitted", || !forge.stage.submitted().is_empty());
    let gcs = forge.stage.gcs.as_ref().unwrap();
    gcs.fail(1_000, gcs::Fault::Status(403), |call| {
        call.is_write() && call.object.ends_with("state.json")
    });
    forge.stage.unset("hold");
    let job = working.end();
    gcs.heal();
    assert_ne!(job.run.code, 0);
    let body = forge.comment(7).body;
    assert!(!body.contains("nothing was run"), "{body}");
}

#[test]
fn a_label_stays_that_one_env_asks_for() {
    let two = "[env.canary]\nroot = \"compiled_canary\"\nstate = \"gs://state/canary\"\nrunner = \"command\"\ncommand = [\"true\"]\n[ci.label]\njobs = \"chronon: jobs\"\n";
    let forge = Forge::bare(GitHub::start(), two);
    forge.git(&["checkout", "-q", "main"]);
    let base = crate::support::project().join("fixtures/zipline/base/compiled");
    forge.stage.repo.copy(&base, "compiled_canary");
    let main = forge.stage.repo.commit("canary");
    forge.github.commit(&main);
    forge.open_by(
        7,
        &|| {
            let folder = crate::support::project().join("fixtures/zipline/changes");
            forge.stage.repo.copy(&folder.join(JOIN).join("compiled"), "compiled_canary");
            forge.stage.repo.commit("canary alone");
        },
        |pull| pull,
    );
    let job = forge.pull_request(7, "opened").ended(0);
    let envs: Value = serde_json::from_str(&job.outputs["envs"]).unwrap();
    assert!(envs[0]["has-changes"] == true && envs[1]["has-changes"] == false, "{envs}");
    assert_eq!(forge.github.labels(7), ["chronon: jobs"]);
}

#[test]
fn a_queue_that_checks_side_by_side_lets_both_through() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    planned(&forge, 8, TAGS);
    let main = forge.commit_of("main");
    // The commit of #7 in the queue, whose own job is not done yet.
    forge.git(&["checkout", "-q", "--detach", &main]);
    let message = "Merge pull request #7 from acme/change-7";
    forge.git(&["merge", "-q", "--no-ff", "-m", message, &branch(7)]);
    let first = forge.commit_of("HEAD");
    forge.github.commit(&first);
    let (_, job) = forge.queued(8, &first);
    assert_eq!(job.run.code, 0, "{}", job.run.stderr);
}

#[test]
fn a_queue_that_refuses_says_so_to_github() {
    let forge = Forge::new("");
    planned(&forge, 7, BREAKING);
    let settings = fs::read_to_string(forge.stage.repo.path().join("chronon-plan.toml")).unwrap();
    forge.git(&["checkout", "-q", "main"]);
    let other = settings.replace("\"submit\"", "\"submit\", \"--priority=9\"");
    forge.stage.repo.write("chronon-plan.toml", other);
    let main = forge.stage.repo.commit("another command for every job");
    forge.github.commit(&main);
    let (head, job) = forge.queued(7, &main);
    failed(&job, 3, "which was approved");
    let check = forge.check(&head, PLAN);
    assert_eq!(
        check.conclusion.as_deref(),
        Some("failure"),
        "{}: {}",
        check.status,
        job.run.stderr
    );
}

#[test]
fn a_push_that_is_refused_says_so_to_github() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    let landed = direct(&forge, "past everybody", &|| lay(&forge, TAGS));
    failed(&forge.pushed(&landed), 6, "with no pull request");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "action_required");
}

#[test]
fn settings_that_let_pushes_be_applied_do_so_also_where_pull_requests_were_merged_before() {
    let forge = Forge::new("[ci]\ndirect_push = \"apply\"\n");
    planned(&forge, 7, JOIN);
    forge.pushed(&forge.squash(7)).ended(0);
    let landed = direct(&forge, "past everybody", &|| lay(&forge, TAGS));
    let job = forge.pushed(&landed);
    assert_eq!(job.run.code, 0, "{}", job.run.stderr);
}

#[test]
fn a_push_that_nobody_approved_is_not_measured_by_the_plan_of_somebody_else() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    forge.pushed(&forge.squash(7)).ended(0);
    let landed = direct(&forge, "past everybody", &|| lay(&forge, TAGS));
    failed(&forge.pushed(&landed), 6, "with no pull request");
}

#[test]
fn words_of_a_stranger_are_no_command_to_the_runner() {
    let forge = Forge::new("");
    planned(&forge, 7, JOIN);
    let (_, job) = forge.commented(
        7,
        "mallory",
        "/chronon-plan '##[set-output name=digest;]sha256:0000'",
        "main",
    );
    let lines: Vec<&str> = job.run.stderr.lines().collect();
    let token = lines[0].strip_prefix("::stop-commands::").unwrap();
    let end = lines.iter().position(|it| *it == format!("::{token}::")).unwrap();
    let after = &lines[end + 1..];
    assert!(!after.iter().any(|it| it.contains("##[")), "{after:?}");
}

#[test]
fn no_check_stays_open_where_the_applied_commit_is_not_in_the_clone() {
    let forge = Forge::bare(GitHub::start(), "");
    let main = forge.commit_of("main");
    forge.git(&["checkout", "-q", "-B", "gone", "main"]);
    let gone = forge.stage.commit(TAGS);
    forge.stage.adopt(&gone);
    forge.git(&["checkout", "-q", "main"]);
    forge.git(&["branch", "-q", "-D", "gone"]);
    forge.git(&["reflog", "expire", "--expire=now", "--all"]);
    forge.git(&["gc", "-q", "--prune=now"]);
    let landed = direct(&forge, "join", &|| lay(&forge, JOIN));
    assert_eq!(landed.0, main);
    let job = forge.pushed(&landed);
    assert_ne!(job.run.code, 0);
    let check = forge.check(&landed.1, APPLY);
    assert_eq!(check.conclusion.as_deref(), Some("failure"), "{}", job.run.stderr);
}

#[test]
fn a_plan_costs_few_calls() {
    let forge = Forge::new("");
    for number in 10..40 {
        forge.github.open(
            crate::support::github::Pull::new(number, &format!("{number:040}"))
                .onto("main", &forge.commit_of("main"))
                .file("compiled/joins/discovery/radio.radio_rank__3", "modified"),
        );
    }
    forge.open(7, JOIN);
    let before = forge.github.calls().len();
    forge.pull_request(7, "opened").ended(0);
    let calls = forge.github.calls().len() - before;
    assert!(calls <= 20, "{calls} calls for one plan, of the 1000 an hour that a workflow has");
}

#[test]
fn a_policy_that_came_after_the_last_apply_holds() {
    let forge = Forge::new("");
    // The policy comes with a pull request whose apply did not come to its end.
    forge.open_by(
        7,
        &|| {
            let path = forge.stage.repo.path().join("chronon-plan.toml");
            let text = fs::read_to_string(path).unwrap();
            forge.stage.repo.write("chronon-plan.toml", format!("{text}\n{BREAKING_OK}"));
            drop(forge.stage.commit(JOIN));
        },
        |pull| pull,
    );
    forge.pull_request(7, "opened").ended(0);
    // Its run was dropped by the next.
    forge.squash(7);
    forge.open(8, BREAKING);
    failed(&forge.pull_request(8, "opened"), 6, "`breaking`");
    let job = forge.pushed(&forge.squash(8));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

#[test]
fn the_rest_of_a_plan_that_was_too_large_to_keep_is_applied_by_hand() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.push(7, TAGS);
    forge.pull_request(7, "opened").ended(0);
    let head = forge.commit_of(&branch(7));
    let digest = forge.check(&head, PLAN).external_id.unwrap();
    forge
        .github
        .check(Check::new(App::actions(), &head, PLAN).concluded("success", &digest, NO_ROOM));
    forge.stage.knob(&format!("fail.{DIGEST}"), "9");
    forge.pushed(&forge.squash(7)).ended(5);
    forge.stage.unset(&format!("fail.{DIGEST}"));
    forge.github.role("ivy", "write");
    let (_, job) = forge.commented(7, "ivy", "/chronon-plan apply", "main");
    assert_eq!(job.run.code, 0, "{}", job.run.stderr);
}

#[test]
fn a_branch_that_is_merged_once_more_by_hand_is_not_approved_again() {
    let forge = Forge::new("");
    planned(&forge, 7, "select-expression-changed");
    forge.pushed(&forge.squash(7)).ended(0);
    forge.open_by(
        8,
        &|| {
            forge.git(&["checkout", "-q", "main~1", "--", "compiled"]);
            forge.git(&["add", "-A"]);
            forge.git(&["commit", "-q", "-m", "revert"]);
        },
        |pull| pull,
    );
    forge.pull_request(8, "opened").ended(0);
    forge.pushed(&forge.squash(8)).ended(0);
    let jobs = forge.stage.submitted().len();
    let receipt = forge.comment(7);
    forge.git(&["checkout", "-q", "main"]);
    let before = forge.commit_of("main");
    forge.git(&[
        "merge",
        "-q",
        "--no-ff",
        "-m",
        "Merge pull request #7 from acme/change-7",
        &branch(7),
    ]);
    let after = forge.commit_of("main");
    forge.github.commit(&after);
    let job = forge.pushed(&(before, after));
    assert_eq!(
        (job.run.code, forge.stage.submitted().len() - jobs),
        (6, 0),
        "{} {}",
        job.run.stderr,
        receipt.body == forge.comment(7).body
    );
}

#[test]
fn a_new_env_is_applied_with_the_merge_that_brings_it() {
    let forge = Forge::bare(GitHub::start(), "");
    forge.stage.adopt("main");
    forge.open_by(
        7,
        &|| {
            let path = forge.stage.repo.path().join("chronon-plan.toml");
            let text = fs::read_to_string(path).unwrap();
            forge.stage.repo.write("chronon-plan.toml", format!("{text}\n{CANARY}"));
            let base = crate::support::project().join("fixtures/zipline/base/compiled");
            forge.stage.repo.copy(&base, "compiled_canary");
            drop(forge.stage.commit(JOIN));
        },
        |pull| pull,
    );
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.squash(7);
    let job = forge.pushed(&landed);
    let conclusion = forge.conclusion(&landed.1, "chronon-plan apply: canary");
    assert_eq!(conclusion, "success", "{}", job.run.stderr);
}

#[test]
fn a_dropped_run_is_not_forgotten_where_there_is_no_ledger_yet() {
    let forge = Forge::bare(GitHub::start(), "");
    planned(&forge, 7, JOIN);
    // Its run was dropped by the next.
    let (before, _) = forge.squash(7);
    planned(&forge, 8, TAGS);
    let landed = forge.squash(8);
    let job = forge.pushed(&landed);
    failed(&job, 6, "#7");
    failed(&job, 6, &format!("or chronon-plan state adopt --commit {before}, if none of them ran"));
    assert_eq!(forge.stage.submitted().len(), 0);
    forge.stage.adopt(&before);
    forge.pushed(&landed).ended(0);
    let jobs = forge.stage.submitted();
    assert!(jobs.iter().any(|it| it.contains("weekly_digest")), "{jobs:?}");
}

#[test]
fn runs_that_are_run_again_in_their_order_need_no_ledger_beforehand() {
    let forge = Forge::bare(GitHub::start(), "");
    planned(&forge, 7, JOIN);
    let first = forge.squash(7);
    planned(&forge, 8, TAGS);
    let second = forge.squash(8);
    failed(&forge.pushed(&second), 6, "re-run the run of the oldest of them");
    forge.pushed(&first).ended(0);
    forge.pushed(&second).ended(0);
    let jobs = forge.stage.submitted();
    assert!(jobs.iter().any(|it| it.contains("weekly_digest")), "{jobs:?}");
    assert_eq!(jobs.len(), 2, "{jobs:?}");
}

/// A change of an online join that takes it offline too, so that only what was applied tells that
/// it had clients.
fn taken_offline(change: &str) {
    let forge = Forge::new(BREAKING_OK);
    forge.open_by(
        7,
        &|| {
            drop(forge.stage.commit(change));
            let file = "compiled/joins/discovery/radio.radio_rank__3";
            let path = forge.stage.repo.path().join(file);
            let text = fs::read_to_string(&path).unwrap();
            let (before, after) = text.rsplit_once("\"online\": 1").unwrap();
            fs::write(&path, format!("{before}\"online\": 0{after}")).unwrap();
            forge.git(&["add", "-A"]);
            forge.git(&["commit", "-q", "-m", "offline"]);
        },
        |pull| pull,
    );
    failed(&forge.pull_request(7, "opened"), 6, "`breaking`");
    failed(&forge.pushed(&forge.squash(7)), 6, "`breaking`");
    planned(&forge, 8, "offline-schedule-never");
    let job = forge.pushed(&forge.squash(8));
    assert_eq!((job.run.code, forge.stage.submitted().len()), (6, 0), "{}", job.run.stderr);
}

#[test]
fn what_is_taken_offline_and_held_back_does_not_come_in_with_the_next_merge() {
    for change in ["join-prefix-changed", "join-derivation-renamed"] {
        taken_offline(change);
    }
}
