//! `ci` from end to end: the real binary, git as GitHub uses it, a GitHub that is held to its own
//! description, a bucket that keeps its promises, and a cluster that does as it is told.

use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::support::forge::APPLY;
use crate::support::forge::Forge;
use crate::support::forge::Job;
use crate::support::forge::PLAN;
use crate::support::forge::new_branch;
use crate::support::github::App;
use crate::support::github::Check;
use crate::support::github::Fault;
use crate::support::github::GitHub;
use crate::support::stage::until;

/// A feature less: seven steps, and clients that ask for it break.
const BREAKING: &str = "remove-aggregation";
/// A join more: one step.
const JOIN: &str = "new-join";
/// A new tag: one step.
const TAGS: &str = "tags-only";

const RADIO: &str = "joins/discovery.radio.radio_rank__3";

fn failed(job: &Job, code: i32, text: &str) {
    assert_eq!(job.run.code, code, "{}\n{}", job.run.stdout, job.run.stderr);
    assert!(job.run.stderr.contains(text), "{}", job.run.stderr);
}

#[test]
fn a_pull_request_is_planned_pushed_merged_and_applied_and_its_comment_tells_all_of_it() {
    let forge = Forge::new("");
    let head = forge.open(7, JOIN);
    let opened = forge.pull_request(7, "opened").ended(0);
    let first = forge.comment(7);
    assert!(
        first.author == "github-actions[bot]" && first.body.contains("weekly_digest"),
        "{first:?}"
    );
    let check = forge.check(&head, PLAN);
    let digest = check.external_id.clone().unwrap();
    assert_eq!(check.conclusion.as_deref(), Some("success"));
    assert!(first.body.contains(&digest) && opened.outputs["digest"] == digest);
    assert_eq!(opened.outputs["steps"], "1");
    assert_eq!(opened.outputs["has-changes"], "true");
    assert_eq!(opened.outputs["breaking"], "false");
    assert!(opened.outputs["comment-url"].contains("/pull/7#issuecomment-"));
    let saved = fs::read_to_string(&opened.outputs["plan-file"]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap()["digest"], digest);
    assert!(opened.summary.contains("weekly_digest"), "{}", opened.summary);

    // Nothing new: nothing is written but the check of the new run.
    forge.pull_request(7, "reopened").ended(0);
    assert_eq!(forge.comment(7).edits, 0);

    let pushed = forge.push(7, BREAKING);
    let again = forge.pull_request(7, "synchronize").ended(0);
    let second = forge.comment(7);
    assert!(second.id == first.id && second.edits == 1);
    assert!(second.body.contains("online-breaking") && again.outputs["breaking"] == "true");
    assert!(second.body.contains(&digest[7..19]), "the earlier plan is told: {}", second.body);
    let check = forge.check(&pushed, PLAN);
    let marked =
        check.annotations.iter().find(|it| it["path"].as_str().unwrap().contains("listener_plays"));
    assert!(marked.unwrap()["start_line"].as_u64().unwrap() > 1, "{:?}", check.annotations);

    let landed = forge.squash(7);
    let closed = json!({"merged": true, "state": "closed"});
    let told = forge.pull_request_with(7, "closed", &closed).ended(0);
    assert!(told.run.stdout.contains("applied by the push"), "{}", told.run.stdout);
    let applied = forge.pushed(&landed).ended(0);
    assert_eq!(forge.stage.submitted().len(), 8);
    let receipt = forge.comment(7);
    assert!(receipt.id == first.id, "one comment");
    assert!(receipt.body.contains("✅"), "{}", receipt.body);
    assert!(receipt.body.contains("re-plan: no changes"), "{}", receipt.body);
    assert_eq!(forge.conclusion(&landed.1, APPLY), "success");
    assert_eq!(forge.stage.steps(), [""; 0]);
    forge.assert_clean(&[&opened, &again, &applied]);
}

#[test]
fn a_failed_step_is_told_with_its_log_and_a_re_run_does_the_rest() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.push(7, TAGS);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.merge(7);
    let step = "discovery.digest.weekly_digest__0#backfill";
    forge.stage.knob(&format!("fail.{step}"), "9");
    let job = forge.pushed(&landed).ended(5);
    let body = forge.comment(7).body;
    assert!(body.contains("❌") && body.contains("was made to fail"), "{body}");
    assert!(body.contains("/chronon-plan apply"), "it says how to go on: {body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "failure");
    forge.stage.unset(&format!("fail.{step}"));
    let again = forge.pushed(&landed).ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("✅") && body.contains("re-plan: no changes"), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "success");
    forge.assert_clean(&[&job, &again]);
}

#[test]
fn what_was_not_approved_is_not_applied_and_the_comment_says_what_differs() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let settings = fs::read_to_string(forge.stage.repo.path().join("chronon-plan.toml")).unwrap();
    let other = settings.replace("\"submit\"", "\"submit\", \"--priority=9\"");
    forge.git(&["checkout", "-q", "main"]);
    forge.stage.repo.write("chronon-plan.toml", other);
    forge.stage.repo.commit("another command for every job");
    let landed = forge.merge(7);
    let refused = forge.pushed(&landed);
    failed(&refused, 3, "which was approved");
    let body = forge.comment(7).body;
    assert!(body.contains("--priority=9"), "field by field: {body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "failure");
    assert_eq!(forge.stage.submitted(), [""; 0]);

    // Somebody looked at it, and lets it through by its digest.
    let digest = |text: &str| text.split("the plan is ").nth(1).unwrap()[..71].to_owned();
    let digest = digest(&refused.run.stderr);
    let wrong = digest.replace(|c: char| c.is_ascii_digit(), "a");
    let refused = forge.dispatch(&json!({"command": "apply", "approved": wrong}));
    failed(&refused, 3, "");
    let applied = forge.dispatch(&json!({"command": "apply", "approved": digest})).ended(0);
    assert_eq!(forge.stage.submitted().len(), 1);
    assert!(forge.comment(7).body.contains("✅"), "{}", forge.comment(7).body);
    forge.assert_clean(&[&refused, &applied]);
}

#[test]
fn a_push_without_a_pull_request_is_what_the_settings_make_of_it() {
    for (setting, code, jobs) in [("refuse", 6, 0), ("apply", 0, 1), ("plan", 0, 0)] {
        let forge = Forge::new(&format!("[ci]\ndirect_push = \"{setting}\"\n"));
        let landed = forge.push_to_main(JOIN);
        let job = forge.pushed(&landed).ended(code);
        assert_eq!(forge.stage.submitted().len(), jobs, "{setting}");
        if setting == "refuse" {
            assert!(job.run.stderr.contains("with no pull request"), "{}", job.run.stderr);
            assert!(job.run.stderr.contains("`approved` = sha256:"), "{}", job.run.stderr);
        }
        let planned = job.outputs.get("steps").map(String::as_str);
        assert!(setting == "refuse" || planned == Some("1"), "{:?}", job.outputs);
        forge.assert_clean(&[&job]);
    }
    // What asks for no job needs nobody's approval.
    let forge = Forge::new("");
    let landed = forge.push_to_main("model-changed");
    forge.pushed(&landed).ended(0);
}

#[test]
fn policies_are_those_of_the_base_and_are_asked_again_when_a_label_comes() {
    let policy = "[policy.breaking]\nwhen = \"online-breaking\"\nlabels = [\"breaking-ok\"]\n\
                  [policy.risk]\nwhen = \"history-rewritten\"\napprovals = 1\nfrom = [\"codeowners\"]\n";
    let forge = Forge::new(policy);
    forge.git(&["checkout", "-q", "main"]);
    forge.stage.repo.write(".github/CODEOWNERS", "/compiled/joins/ @ivy\n");
    let main = forge.stage.repo.commit("owners");
    forge.github.commit(&main);
    // The pull request takes the policies away for itself.
    let head = forge.open_by(
        7,
        &|| {
            let text =
                fs::read_to_string(forge.stage.repo.path().join("chronon-plan.toml")).unwrap();
            forge.stage.repo.write("chronon-plan.toml", text.split("[policy").next().unwrap());
            drop(forge.stage.commit(BREAKING));
        },
        |pull| pull,
    );
    let job = forge.pull_request(7, "opened");
    failed(&job, 6, "`breaking`");
    assert!(job.run.stderr.contains("@ivy"), "{}", job.run.stderr);
    assert_eq!(forge.conclusion(&head, PLAN), "action_required");
    let body = forge.comment(7).body;
    assert!(body.contains("breaking-ok") && body.contains("`@ivy`"), "{body}");

    forge.github.label(7, "breaking-ok");
    failed(&forge.pull_request(7, "labeled"), 6, "`risk`");
    forge.github.role("ivy", "write");
    forge.github.role("rolf", "write");
    forge.github.review(7, "rolf", "APPROVED", &head);
    failed(&forge.pull_request(7, "edited"), 6, "`risk`");
    forge.github.review(7, "ivy", "APPROVED", &head);
    forge.pull_request(7, "edited").ended(0);
    assert_eq!(forge.conclusion(&head, PLAN), "success");

    // What was given is taken away before the merge: nothing is applied.
    forge.github.unlabel(7, "breaking-ok");
    let landed = forge.squash(7);
    failed(&forge.pushed(&landed), 6, "`breaking`");
    assert_eq!(forge.stage.submitted(), [""; 0]);
    assert_eq!(forge.conclusion(&landed.1, APPLY), "action_required");
    forge.github.label(7, "breaking-ok");
    forge.pushed(&landed).ended(0);
    forge.assert_clean(&[&job]);
}

#[test]
fn an_old_workflow_run_again_undoes_nothing_and_leaves_the_receipt_alone() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let old = forge.squash(7);
    forge.pushed(&old).ended(0);
    forge.open(8, TAGS);
    forge.pull_request(8, "opened").ended(0);
    forge.pushed(&forge.squash(8)).ended(0);
    let (before, jobs) = (forge.comment(7), forge.stage.submitted());
    let stale = forge.pushed(&old);
    failed(&stale, 7, "would undo");
    let after = forge.comment(7);
    assert_eq!((after.body, after.edits), (before.body, before.edits));
    assert_eq!(forge.stage.submitted(), jobs);
    forge.assert_clean(&[&stale]);
}

#[test]
fn a_forks_pull_request_is_planned_without_a_credential_and_its_second_stage_posts_it() {
    let forge = Forge::new("");
    let head = forge.open_by(
        7,
        &|| {
            // Settings that would read somebody else's bucket.
            forge
                .stage
                .repo
                .write("chronon-plan.toml", "[env.prod]\nstate = \"gs://evil-bucket/x\"\n");
            drop(forge.stage.commit(BREAKING));
        },
        |pull| pull.fork("mallory/features").author("mallory"),
    );
    forge.github.deny("checks:write");
    forge.github.deny("issues:write");
    forge.github.deny("pull-requests:write");
    forge.github.deny("statuses:write");
    let gcs = || forge.stage.gcs.as_ref().unwrap().calls().len();
    let before = (gcs(), forge.github.calls().iter().filter(|it| it.is_write()).count());
    let fork = json!({"head": {
        "sha": head, "ref": "change-7", "repo": {"full_name": "mallory/features"},
    }});
    let job = forge.pull_request_with(7, "opened", &fork).ended(0);
    let after = (gcs(), forge.github.calls().iter().filter(|it| it.is_write()).count());
    assert_eq!(before, after, "nothing is written, no bucket is asked");
    assert!(job.summary.contains("online-breaking"), "{}", job.summary);
    assert!(job.run.stderr.contains("fork"), "{}", job.run.stderr);
    assert_eq!(forge.github.comments(7).len(), 0);
    forge.assert_clean(&[&job]);
}

#[test]
fn the_second_stage_for_forks_plans_the_commit_as_data_with_the_bases_settings() {
    let forge = Forge::new("");
    let evil = "[env.evil]\nstate = \"gs://evil-bucket/x\"\n";
    let head = forge.open_by(
        7,
        &|| {
            forge.stage.repo.write("chronon-plan.toml", evil);
            drop(forge.stage.commit(BREAKING));
        },
        |pull| pull.fork("mallory/features").author("mallory"),
    );
    let second_stage = |head: &str| {
        let run = json!({
            "action": "completed",
            "workflow_run": {
                "id": 5, "name": "chronon-plan", "conclusion": "success", "event": "pull_request",
                "head_sha": head, "head_branch": "change-7",
                "head_repository": {"full_name": "mallory/features"},
                "pull_requests": [],
            },
        });
        forge.git(&["checkout", "-q", "--detach", "refs/remotes/pull/7/merge"]);
        forge.job("workflow_run", run)
    };
    let job = second_stage(&head).ended(0);
    assert!(forge.comment(7).body.contains("online-breaking"));
    assert_eq!(forge.conclusion(&head, PLAN), "success");
    // Without its settings it is merged, by what was approved of it.
    forge.git(&["checkout", "-q", "change-7"]);
    forge.git(&["checkout", "-q", "main", "--", "chronon-plan.toml"]);
    let head = forge.stage.repo.commit("our settings");
    forge.github.push(7, &head);
    forge.test_merge(7);
    second_stage(&head).ended(0);
    let landed = forge.squash(7);
    forge.pushed(&landed).ended(0);
    assert!(forge.comment(7).body.contains("✅"));
    forge.assert_clean(&[&job]);
}

#[test]
fn a_merge_queue_lets_through_what_was_approved_and_nothing_else() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.open(8, TAGS);
    forge.pull_request(7, "opened").ended(0);
    let main = forge.commit_of("main");
    let (first, job) = forge.queued(7, &main);
    job.ended(0);
    assert_eq!(forge.conclusion(&first, PLAN), "success");
    // Nobody has planned this one.
    let (second, job) = forge.queued(8, &first);
    failed(&job, 6, "#8");
    assert_eq!(forge.conclusion(&second, PLAN), "failure");
    assert!(forge.check(&second, PLAN).external_id.is_none(), "it is no approval");
    forge.pull_request(8, "opened").ended(0);
    let (second, job) = forge.queued(8, &first);
    let job = job.ended(0);
    assert_eq!(forge.conclusion(&second, PLAN), "success");

    // Both land at once.
    forge.git(&["update-ref", "refs/heads/main", &second]);
    forge.github.merge(7, &first, "queue");
    forge.github.merge(8, &second, "queue");
    let applied = forge.pushed(&(main, second.clone())).ended(0);
    assert_eq!(forge.stage.submitted().len(), 2);
    for number in [7, 8] {
        assert!(forge.comment(number).body.contains("✅"), "{number}");
    }
    forge.assert_clean(&[&job, &applied]);
}

#[test]
fn of_two_merges_that_race_each_is_applied_once() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.open(8, TAGS);
    forge.pull_request(7, "opened").ended(0);
    forge.pull_request(8, "opened").ended(0);
    let first = forge.squash(7);
    forge.stage.knob("sleep", "0.5");
    let one = forge.start_pushed(&first.0, &first.1);
    let second = forge.squash(8);
    let two = forge.start_pushed(&second.0, &second.1);
    let (one, two) = (one.end(), two.end());
    assert_eq!(two.run.code, 0, "{}", two.run.stderr);
    assert!([0, 7].contains(&one.run.code), "{}", one.run.stderr);
    let mut jobs = forge.stage.submitted();
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), forge.stage.submitted().len(), "no job ran twice");
    assert_eq!(jobs.len(), 2);
    assert_eq!(forge.stage.steps(), [""; 0]);
    for number in [7, 8] {
        assert!(forge.comment(number).body.contains("✅"), "{}", forge.comment(number).body);
    }
    forge.assert_clean(&[&one, &two]);
}

#[test]
fn what_an_earlier_merge_left_undone_is_done_with_the_next_by_its_own_approval() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.open(8, TAGS);
    forge.pull_request(7, "opened").ended(0);
    forge.pull_request(8, "opened").ended(0);
    let step = "fail.discovery.digest.weekly_digest__0#backfill";
    forge.stage.knob(step, "9");
    forge.pushed(&forge.squash(7)).ended(5);
    forge.stage.unset(step);
    let job = forge.pushed(&forge.squash(8)).ended(0);
    assert_eq!(forge.stage.steps(), [""; 0]);
    for number in [7, 8] {
        let body = forge.comment(number).body;
        assert!(body.contains("✅"), "{number}: {body}");
    }
    forge.assert_clean(&[&job]);
}

/// Changes what a join that is new computes, under the same name.
fn compute_otherwise(forge: &Forge) {
    let file = "compiled/joins/discovery/digest.weekly_digest__0";
    let text = fs::read_to_string(forge.stage.repo.path().join(file)).unwrap();
    let other = text.replace("\"length\": 28", "\"length\": 21");
    assert!(other != text);
    forge.stage.repo.write(file, other);
    forge.stage.repo.commit("three weeks");
}

#[test]
fn an_approval_is_of_a_content_and_not_of_a_name() {
    // After the merge, past every pull request: the job looks the same, and computes something else.
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let step = "fail.discovery.digest.weekly_digest__0#backfill";
    forge.stage.knob(step, "9");
    forge.pushed(&forge.squash(7)).ended(5);
    forge.stage.unset(step);
    let jobs = forge.stage.submitted();
    let before = forge.commit_of("main");
    forge.git(&["checkout", "-q", "main"]);
    compute_otherwise(&forge);
    let after = forge.commit_of("main");
    forge.github.commit(&after);
    failed(&forge.pushed(&(before, after)), 6, "with no pull request");
    assert_eq!(forge.stage.submitted(), jobs);

    // Between the check and the merge: the digest is another, and the difference says so.
    let forge = Forge::new("");
    forge.open(7, JOIN);
    let planned = forge.pull_request(7, "opened").ended(0);
    let before = forge.commit_of("main");
    forge.git(&["checkout", "-q", "main"]);
    forge.git(&["merge", "-q", "--squash", "change-7"]);
    compute_otherwise(&forge);
    let after = forge.commit_of("main");
    forge.github.merge(7, &after, "rita");
    let refused = forge.pushed(&(before, after));
    failed(&refused, 3, &planned.outputs["digest"]);
    assert!(refused.run.stderr.contains("file's content"), "{}", refused.run.stderr);
    assert_eq!(forge.stage.submitted(), [""; 0]);
}

#[test]
fn a_smaller_plan_goes_on_only_where_settings_say_so() {
    for (setting, code) in [("refuse", 3), ("apply", 0)] {
        let forge = Forge::new(&format!("[ci]\nsmaller = \"{setting}\"\n"));
        forge.open(7, JOIN);
        forge.push(7, TAGS);
        forge.pull_request(7, "opened").ended(0);
        // Somebody brings a part of it before, past the pull request, and lets it through.
        let (_, tagged) = forge.push_to_main(TAGS);
        let planned = forge.dispatch(&json!({})).ended(0);
        let digest = &planned.outputs["digest"];
        forge.dispatch(&json!({"command": "apply", "approved": digest})).ended(0);
        assert_eq!(forge.stage.submitted().len(), 1);
        let landed = forge.squash(7);
        assert_eq!(landed.0, tagged);
        forge.pushed(&landed).ended(code);
        assert_eq!(forge.stage.submitted().len(), if code == 0 { 2 } else { 1 });
    }
}

#[test]
fn without_permission_for_checks_statuses_carry_the_digest() {
    let forge = Forge::new("");
    forge.github.deny("checks");
    let head = forge.open(7, BREAKING);
    let job = forge.pull_request(7, "opened").ended(0);
    assert!(job.run.stderr.contains("checks: write"), "{}", job.run.stderr);
    let newest = |sha: &str| forge.github.statuses(sha).into_iter().next_back().unwrap();
    let status = newest(&head);
    assert_eq!((status.context.as_str(), status.state.as_str()), (PLAN, "success"));
    assert_eq!(status.description.as_deref(), Some(job.outputs["digest"].as_str()));
    assert!(job.run.stderr.contains("::warning file=compiled/"), "{}", job.run.stderr);
    let landed = forge.squash(7);
    forge.pushed(&landed).ended(0);
    assert_eq!(newest(&landed.1).state, "success");
    forge.assert_clean(&[&job]);
}

#[test]
fn without_any_permission_the_plan_is_on_the_page_of_the_job() {
    let forge = Forge::new("");
    for permission in ["checks", "statuses", "issues", "pull-requests"] {
        forge.github.deny(permission);
    }
    forge.open(7, BREAKING);
    let job = forge.pull_request(7, "opened").ended(0);
    assert!(job.summary.contains("online-breaking"), "{}", job.summary);
    for permission in ["checks: write", "statuses: write"] {
        assert!(job.run.stderr.contains(permission), "{}", job.run.stderr);
    }
    forge.assert_clean(&[&job]);
}

#[test]
fn a_check_of_another_app_and_a_text_in_a_comment_approve_nothing() {
    let forge = Forge::new("");
    let other = forge.open(7, JOIN);
    let plan = forge.stage.plan(&["--base", "main", "--head", "refs/remotes/pull/7/merge"]);
    let digest = plan["digest"].as_str().unwrap().to_owned();
    let forged = Check::new(App::new(99, "mallory"), &other, PLAN);
    forge.github.check(forged.concluded("success", &digest, ""));
    forge.github.comment(
        7,
        "mallory",
        &format!("<!-- chronon-plan {{\"env\":\"prod\",\"digest\":\"{digest}\"}} -->"),
    );
    let landed = forge.squash(7);
    failed(&forge.pushed(&landed), 6, "no approved plan");
    assert_eq!(forge.stage.submitted(), [""; 0]);
}

#[test]
fn a_comment_that_somebody_edited_is_put_right_and_one_of_somebody_else_is_left() {
    let forge = Forge::new("");
    forge.open(7, BREAKING);
    let theirs =
        forge.github.comment(7, "mallory", "<!-- chronon-plan {\"env\":\"prod\"} -->\nfine");
    forge.pull_request(7, "opened").ended(0);
    let ours = |forge: &Forge| {
        let all = forge.github.comments(7);
        all.into_iter().find(|it| it.author == "github-actions[bot]").unwrap()
    };
    let first = ours(&forge);
    assert!(first.id != theirs);
    forge.github.edit(first.id, &first.body.replace("online-breaking", "all is well"));
    forge.pull_request(7, "synchronize").ended(0);
    assert!(ours(&forge).body.contains("online-breaking"));
    let other = forge.github.comments(7).into_iter().find(|it| it.id == theirs).unwrap();
    assert_eq!(other.edits, 0);
    // A comment that was deleted is written anew.
    forge.github.delete_comment(first.id);
    forge.pull_request(7, "synchronize").ended(0);
    assert!(ours(&forge).id != first.id);
}

#[test]
fn github_that_fails_stops_no_apply() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.squash(7);
    forge.github.fail(1_000, Fault::Status(404), |call| call.name.contains("/comments"));
    let job = forge.pushed(&landed).ended(0);
    assert_eq!(forge.stage.submitted().len(), 1);
    assert!(job.run.stderr.contains("comments cannot be read"), "{}", job.run.stderr);
    assert_eq!(forge.conclusion(&landed.1, APPLY), "success");
    forge.github.heal();
    // Answers that come late, or not at all, are asked for again.
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.github.fail(1, Fault::Status(502), |call| call.name.starts_with("GET "));
    forge.github.fail(1, Fault::ResetBefore, |call| call.name.ends_with("/comments"));
    forge
        .github
        .fail(1, Fault::Secondary { status: 403, retry_after: Some(1) }, |call| call.is_write());
    forge.pull_request(7, "opened").ended(0);
    assert_eq!(forge.comment(7).edits, 0);
    assert_eq!(forge.github.impatient(), 0);
}

#[test]
fn a_comment_that_github_does_not_take_is_tried_shorter() {
    let forge = Forge::new("");
    let head = forge.open(7, BREAKING);
    forge
        .github
        .fail(1, Fault::Status(422), |call| call.is_write() && call.name.ends_with("/comments"));
    let job = forge.pull_request(7, "opened").ended(0);
    assert_eq!(forge.github.heal(), 0);
    assert!(forge.comment(7).body.contains("online-breaking"));
    assert_eq!(forge.conclusion(&head, PLAN), "success");
    forge.assert_clean(&[&job]);
}

#[test]
fn an_answer_that_got_lost_makes_no_second_comment_and_leaves_no_check_open() {
    let forge = Forge::new("");
    let head = forge.open(7, BREAKING);
    forge
        .github
        .fail(1, Fault::ResetAfter, |call| call.is_write() && call.name.ends_with("/comments"));
    forge
        .github
        .fail(1, Fault::ResetAfter, |call| call.is_write() && call.name.ends_with("/check-runs"));
    forge.pull_request(7, "opened").ended(0);
    assert_eq!(forge.github.heal(), 0);
    assert!(forge.comment(7).body.contains("online-breaking"));
    let open = forge.github.checks(&head).into_iter().filter(|it| it.status != "completed");
    assert_eq!(open.count(), 0);
}

#[test]
fn where_nobody_can_tell_what_was_approved_nothing_runs_and_it_is_said_once() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.squash(7);
    forge.github.fail(1_000, Fault::ResetBefore, |_| true);
    let before = forge.github.calls().len();
    let job = forge.pushed(&landed);
    failed(&job, 1, "nobody can tell what was approved");
    assert_eq!(job.run.stderr.matches("nothing more is asked").count(), 1);
    let asked: Vec<String> =
        forge.github.calls().split_off(before).into_iter().map(|it| it.name).collect();
    assert!(asked.len() <= 10, "it gives up: {asked:#?}");
    assert_eq!(forge.stage.submitted(), [""; 0]);
    forge.github.heal();
    forge.pushed(&landed).ended(0);
    assert!(forge.comment(7).body.contains("✅"));
}

#[test]
fn the_pull_request_of_a_push_is_found_three_ways() {
    for way in 0..3 {
        let forge = Forge::new("");
        forge.open(7, JOIN);
        forge.pull_request(7, "opened").ended(0);
        let landed = if way == 2 {
            let before = forge.commit_of("main");
            forge.git(&["checkout", "-q", "main"]);
            forge.git(&["merge", "-q", "--squash", "change-7"]);
            forge.git(&["commit", "-q", "-m", "a message of its own"]);
            let after = forge.commit_of("main");
            forge.github.merge(7, &after, "rita");
            (before, after)
        } else {
            forge.squash(7)
        };
        if way > 0 {
            forge.github.fail(1_000, Fault::Status(404), |call| {
                call.is("GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls")
            });
        }
        forge.pushed(&landed).ended(0);
        assert!(forge.comment(7).body.contains("✅"), "way {way}");
    }
}

#[test]
fn a_comment_tells_ci_what_to_do_if_its_author_may_write() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let step = "fail.discovery.digest.weekly_digest__0#backfill";
    forge.stage.knob(step, "9");
    forge.pushed(&forge.squash(7)).ended(5);
    forge.stage.unset(step);
    let reactions = |forge: &Forge, id: u64| -> Vec<String> {
        let all = forge.github.comments(7);
        let comment = all.into_iter().find(|it| it.id == id).unwrap();
        comment.reactions.into_iter().map(|it| it.1).collect()
    };
    forge.github.role("mallory", "read");
    let (id, job) = forge.commented(7, "mallory", "/chronon-plan apply", "main");
    failed(&job, 6, "@mallory may not write");
    assert_eq!(reactions(&forge, id), ["confused"]);
    forge.github.role("ivy", "write");
    let (id, job) = forge.commented(7, "ivy", "/chronon-plan aply", "main");
    failed(&job, 1, "did you mean");
    assert_eq!(reactions(&forge, id), ["confused"]);
    let (id, job) =
        forge.commented(7, "ivy", "/chronon-plan apply --target 'joins/discovery.*'\r\n", "main");
    let job = job.ended(0);
    assert_eq!(reactions(&forge, id), ["eyes", "rocket"]);
    assert_eq!(forge.stage.steps(), [""; 0]);
    let (_, other) = forge.commented(7, "ivy", "looks good, chronon-plan!", "main");
    other.ended(0);

    forge.open(8, TAGS);
    let (id, job8) = forge.commented(8, "ivy", "/chronon-plan plan", "refs/remotes/pull/8/merge");
    job8.ended(0);
    assert!(forge.comment(8).body.contains("metadata-upload"));
    let all = forge.github.comments(8);
    assert_eq!(all.iter().find(|it| it.id == id).unwrap().reactions.len(), 2);
    forge.assert_clean(&[&job]);
}

#[test]
fn a_cancelled_apply_ends_in_time_and_the_next_carries_it_on() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.squash(7);
    forge.stage.knob("hold", "");
    let working = forge.start_pushed(&landed.0, &landed.1);
    until("the job is submitted", || !forge.stage.submitted().is_empty());
    working.running().signal(rustix::process::Signal::INT);
    let job = working.end();
    assert_eq!(job.run.code, 130, "{}", job.run.stderr);
    assert!(
        forge.comment(7).body.to_lowercase().contains("interrupted"),
        "{}",
        forge.comment(7).body
    );
    assert_eq!(forge.conclusion(&landed.1, APPLY), "cancelled");
    forge.stage.unset("hold");
    forge.pushed(&landed).ended(0);
    assert_eq!(forge.stage.submitted().len(), 1, "the job was found, not submitted again");
    assert!(forge.comment(7).body.contains("✅"));
}

#[test]
fn other_pull_requests_that_touch_the_same_or_what_depends_on_it_are_named() {
    let forge = Forge::new("");
    forge.open(7, BREAKING);
    forge.open(8, TAGS);
    forge.open(9, "join-prefix-changed");
    forge.open(10, "model-changed");
    forge.pull_request(7, "opened").ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("#8") && body.contains("#9") && !body.contains("#10"), "{body}");
}

#[test]
fn a_plan_that_cannot_be_made_leaves_a_comment_and_a_failed_check() {
    let forge = Forge::new("");
    let head = forge.open_by(
        7,
        &|| {
            forge.stage.repo.write("compiled/joins/discovery/broken.v1__0", "{ \"metaData\": ");
            forge.stage.repo.commit("half a file");
        },
        |pull| pull,
    );
    let job = forge.pull_request(7, "opened");
    failed(&job, 1, "broken.v1__0");
    assert!(
        forge.comment(7).body.contains("broken.v1&#95;&#95;0")
            || forge.comment(7).body.contains("broken.v1__0")
    );
    assert_eq!(forge.conclusion(&head, PLAN), "failure");
    // Settings that nobody understands are no reason to say nothing either.
    let head = forge.open_by(
        8,
        &|| {
            forge.stage.repo.write("chronon-plan.toml", "[env.prod]\nrout = 1\n");
            forge.stage.repo.commit("a typo");
        },
        |pull| pull,
    );
    let job = forge.pull_request(8, "opened");
    failed(&job, 1, "did you mean `root`");
    assert_eq!(forge.conclusion(&head, PLAN), "failure");
    assert!(forge.comment(8).body.contains("rout"));
    forge.assert_clean(&[&job]);
}

#[test]
fn what_changes_nothing_gets_a_check_and_no_comment() {
    let forge = Forge::new("");
    let head = forge.open_by(
        7,
        &|| {
            forge.stage.repo.write("README.md", "words");
            forge.stage.repo.commit("words");
        },
        |pull| pull,
    );
    forge.pull_request(7, "opened").ended(0);
    assert_eq!(forge.github.comments(7).len(), 0);
    assert_eq!(forge.conclusion(&head, PLAN), "success");
    // What was said before is corrected.
    forge.push(7, JOIN);
    forge.pull_request(7, "synchronize").ended(0);
    assert!(forge.comment(7).body.contains("weekly_digest"));
    let closed = json!({"state": "closed"});
    forge.github.close(7);
    forge.pull_request_with(7, "closed", &closed).ended(0);
    assert!(forge.comment(7).body.to_lowercase().contains("closed"), "{}", forge.comment(7).body);
}

#[test]
fn labels_follow_the_plan_where_settings_name_some() {
    let forge = Forge::new(
        "[ci.label]\njobs = \"chronon: jobs\"\nbreaking = \"chronon: breaking\"\nhistory = \"chronon: history\"\n",
    );
    forge.open(7, BREAKING);
    forge.github.label(7, "mine");
    forge.pull_request(7, "opened").ended(0);
    let mut labels = forge.github.labels(7);
    labels.sort();
    assert_eq!(labels, ["chronon: breaking", "chronon: history", "chronon: jobs", "mine"]);
    forge.git(&["checkout", "-q", "change-7"]);
    forge.git(&["revert", "--no-edit", "HEAD"]);
    forge.github.push(7, &forge.commit_of("HEAD"));
    forge.test_merge(7);
    forge.pull_request(7, "synchronize").ended(0);
    assert_eq!(forge.github.labels(7), ["mine"]);
}

#[test]
fn every_env_has_its_own_comment_check_and_outputs() {
    let two = "[env.canary]\nroot = \"compiled_canary\"\nstate = \"gs://state/canary\"\nrunner = \"command\"\ncommand = [\"true\"]\n";
    let forge = Forge::bare(GitHub::start(), two);
    forge.git(&["checkout", "-q", "main"]);
    let canary = crate::support::project().join("fixtures/zipline/base/compiled_canary");
    forge.stage.repo.copy(&canary, "compiled_canary");
    let main = forge.stage.repo.commit("canary");
    forge.github.commit(&main);
    let head = forge.open_by(
        7,
        &|| {
            let folder = crate::support::project().join("fixtures/zipline/changes");
            forge
                .stage
                .repo
                .copy(&folder.join("canary-conf-changed/compiled_canary"), "compiled_canary");
            drop(forge.stage.commit(JOIN));
        },
        |pull| pull,
    );
    let job = forge.pull_request(7, "opened").ended(0);
    for env in ["prod", "canary"] {
        assert_eq!(forge.conclusion(&head, &format!("chronon-plan: {env}")), "success");
    }
    let envs: Value = serde_json::from_str(&job.outputs["envs"]).unwrap();
    let names: Vec<&str> =
        envs.as_array().unwrap().iter().map(|it| it["env"].as_str().unwrap()).collect();
    assert_eq!(names, ["canary", "prod"]);
    let marked =
        forge.github.comments(7).into_iter().filter(|it| it.body.starts_with("<!-- chronon-plan"));
    assert_eq!(marked.count(), 2);
    forge.assert_clean(&[&job]);
}

#[test]
fn a_first_push_counts_what_was_there_before_as_applied() {
    let forge = Forge::bare(GitHub::start(), "");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.merge(7);
    forge.pushed(&landed).ended(0);
    assert_eq!(forge.stage.submitted(), ["discovery.digest.weekly_digest__0#backfill"]);
    assert_eq!(forge.stage.steps(), [""; 0]);
}

#[test]
fn a_table_that_must_be_archived_first_waits_for_somebody_who_says_so() {
    let forge = Forge::new("");
    forge.open(7, "key-mapping-changed");
    forge.pull_request(7, "opened").ended(0);
    assert!(forge.comment(7).body.contains("history-not-rewritten"));
    let landed = forge.squash(7);
    failed(&forge.pushed(&landed), 6, RADIO);
    assert!(forge.comment(7).body.contains("/chronon-plan apply"), "{}", forge.comment(7).body);
    forge.github.role("ivy", "maintain");
    let (_, job) =
        forge.commented(7, "ivy", &format!("/chronon-plan apply --archived {RADIO}"), "main");
    job.ended(0);
    assert_eq!(forge.stage.submitted().len(), 2);
    assert!(forge.comment(7).body.contains("✅"));
}

#[test]
fn a_schedule_reports_what_is_pending_and_applies_nothing() {
    let forge = Forge::new("");
    forge.push_to_main(JOIN);
    forge.git(&["checkout", "-q", "main"]);
    let job = forge.job("schedule", json!({"schedule": "0 6 * * *"})).ended(0);
    assert_eq!(job.outputs["steps"], "1");
    assert!(job.summary.contains("weekly_digest"), "{}", job.summary);
    assert_eq!(forge.stage.submitted(), [""; 0]);
    let by_hand = forge.dispatch(&json!({})).ended(0);
    assert_eq!(by_hand.outputs["digest"], job.outputs["digest"]);
    forge.open(7, TAGS);
    forge.git(&["checkout", "-q", "--detach", "refs/remotes/pull/7/merge"]);
    let payload =
        json!({"ref": "refs/heads/main", "inputs": {"command": "plan", "pull-request": "#7"}});
    forge.job("workflow_dispatch", payload).ended(0);
    assert!(forge.comment(7).body.contains("metadata-upload"));
}

#[test]
fn whatever_else_happens_is_refused_in_words() {
    let forge = Forge::new("");
    forge.git(&["checkout", "-q", "main"]);
    let cases = [
        ("fork", json!({}), "`fork` is not handled"),
        ("pull_request_target", json!({"action": "opened"}), "use `pull_request`"),
        (
            "push",
            json!({"ref": "refs/heads/else", "before": "a", "after": "b", "deleted": false, "forced": false}),
            "only the default branch",
        ),
        ("pull_request", json!({"action": "opened"}), "pull_request.head.sha"),
        (
            "workflow_dispatch",
            json!({"ref": "refs/heads/main", "inputs": {"command": "destroy"}}),
            "`destroy` is no command",
        ),
        (
            "workflow_dispatch",
            json!({"ref": "refs/heads/else", "inputs": {"command": "apply"}}),
            "only what is merged",
        ),
        (
            "workflow_dispatch",
            json!({"ref": "refs/heads/main", "inputs": {"comand": "apply"}}),
            "no such inputs",
        ),
    ];
    for (event, payload, text) in cases {
        let job = forge.job(event, payload);
        assert!(job.run.code != 0 && job.run.stderr.contains(text), "{event}: {}", job.run.stderr);
        assert!(job.run.stderr.contains("next: "), "{event}: {}", job.run.stderr);
    }
    let outside = crate::support::run(forge.stage.repo.path(), &["ci"]);
    assert!(
        outside.code == 1 && outside.stderr.contains("GITHUB_EVENT_NAME"),
        "{}",
        outside.stderr
    );
    // A branch that is new has nothing before it.
    let head = forge.commit_of("main");
    forge.job("push", new_branch(&head)).ended(0);
}

#[test]
fn explain_says_what_would_be_done_and_does_nothing() {
    let forge = Forge::new("");
    let head = forge.commit_of("main");
    forge.git(&["checkout", "-q", "main"]);
    let before = forge.github.calls().len();
    let (mut command, _) = forge.command("push", new_branch(&head), &["--explain"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains(&format!("apply {head} of `main`")), "{text}");
    assert!(text.contains("Envs: prod."), "{text}");
    assert_eq!(forge.github.calls().len(), before);
}

#[test]
fn names_and_logs_are_no_commands_to_the_runner() {
    let forge = Forge::new("");
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    forge.stage.knob("fail.discovery.digest.weekly_digest__0#backfill", "9");
    forge.stage.knob(
        "say.discovery.digest.weekly_digest__0#backfill",
        "::set-output name=x::y\n::error::boo\n",
    );
    let job = forge.pushed(&forge.squash(7)).ended(5);
    let lines: Vec<&str> = job.run.stderr.lines().collect();
    let token = lines[0].strip_prefix("::stop-commands::").unwrap();
    let end = lines.iter().position(|it| *it == format!("::{token}::")).unwrap();
    let commands =
        |lines: &[&str]| lines.iter().filter(|it| it.trim_start().starts_with("::")).count();
    assert!(commands(&lines[1..end]) > 0, "the job's own lines are shown");
    assert_eq!(commands(&lines[end + 1..]), 0);
    assert!(!job.run.stdout.lines().any(|it| it.trim_start().starts_with("::")));
}

#[test]
fn compiled_files_that_are_stale_are_named() {
    let forge = Forge::new("");
    forge.git(&["checkout", "-q", "main"]);
    let (mut command, folder) = forge.command("pull_request", json!({}), &["--check-compiled"]);
    assert!(command.output().unwrap().status.success());
    let file = "compiled/joins/discovery/radio.radio_rank__3";
    forge.stage.repo.write(file, "{}");
    forge.stage.repo.write("compiled/joins/discovery/new.join__0", "{}");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("2 compiled files") && text.contains(&format!("::error file={file}")),
        "{text}"
    );
    assert!(fs::read_to_string(folder.join("summary")).unwrap().contains("new.join__0"));
}
