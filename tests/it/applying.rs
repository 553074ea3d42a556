//! `apply` from end to end: what it runs, what it keeps, what it says, and when it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::project;
use crate::support::stage::DAY;
use crate::support::stage::Running;
use crate::support::stage::Stage;
use crate::support::stage::until;

const HEAT: &str = "group_bys/catalog.tracks.track_heat__0";
const RADIO: &str = "joins/discovery.radio.radio_rank__3";

/// A stage on which the base counts as applied.
fn adopted(changes: &[&str]) -> Stage {
    let stage = Stage::new(changes);
    let base = format!("HEAD~{}", changes.len());
    stage.adopt(&base);
    stage
}

fn name(step: &str) -> String {
    step.split_once('/').unwrap().1.to_owned()
}

#[test]
fn without_a_ledger_nothing_is_guessed() {
    let stage = Stage::new(&["new-join"]);
    let refused = stage.apply(&[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("there is no ledger yet"), "{}", refused.stderr);
    for next in ["chronon-plan state adopt --commit REV", "chronon-plan apply --base REV"] {
        assert!(refused.stderr.contains(next), "{}", refused.stderr);
    }
    assert!(stage.lock()["holder"].is_null());
    assert_eq!(stage.submissions(), []);
    // The second of the two: the base counts as applied, and the difference is applied.
    let applied = stage.apply(&["--base", "HEAD~1"]);
    assert!(applied.stderr.contains("counts as applied"), "{}", applied.stderr);
    assert!(applied.ok().contains("Planned again: no changes."));
    assert_eq!(stage.submitted(), ["discovery.digest.weekly_digest__0#backfill"]);
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn what_is_applied_is_not_applied_again_and_a_new_commit_only_brings_its_own_steps() {
    let stage = adopted(&["new-join"]);
    let applied = stage.apply(&[]).ok();
    assert!(applied.contains("Applied 1 step in"), "{applied}");
    assert!(applied.contains("Planned again: no changes."), "{applied}");
    assert_eq!(stage.steps(), [""; 0]);
    let kept = stage.resources();

    let again = stage.apply(&[]).ok();
    assert!(again.contains("Nothing to apply."), "{again}");
    assert_eq!(stage.submissions().len(), 1);
    assert_eq!(stage.resources(), kept);

    stage.commit("tags-only");
    stage.apply(&[]).ok();
    let own = "listening.plays.listener_plays__1#metadata-upload";
    assert_eq!(stage.submitted(), ["discovery.digest.weekly_digest__0#backfill", own]);
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn jobs_run_in_order_each_once() {
    let stage = adopted(&["rename-group-by"]);
    stage.settings("", "[env.prod.backfill]\nchunk_days = 300\n");
    let planned = stage.plan(&[]);
    stage.apply(&[]).ok();
    let ran = stage.submissions();
    let first = |step: &str| ran.iter().position(|it| it.step == name(step)).unwrap();
    for step in planned["steps"].as_array().unwrap() {
        for before in step["after"].as_array().unwrap() {
            let (step, before) = (step["id"].as_str().unwrap(), before.as_str().unwrap());
            assert!(first(before) < first(step), "{before} before {step}");
        }
    }
    let chunks: Vec<&str> = ran
        .iter()
        .filter(|it| it.step == "catalog.tracks.track_heat__0#backfill")
        .map(|it| it.dates.as_str())
        .collect();
    assert_eq!(chunks.len(), 3);
    assert!(chunks[0].starts_with("--start-ds=2025-01-01 --end-ds=2025-10-27"), "{chunks:?}");
    assert!(chunks[2].contains("--end-ds=2026-11-21"), "{chunks:?}");
    let operations: BTreeSet<&String> = ran.iter().map(|it| &it.operation).collect();
    assert_eq!(operations.len(), ran.len());
    let heat = &stage.resources()[&format!("{HEAT}#table")];
    assert_eq!(
        (heat["start"].as_str(), heat["end"].as_str()),
        (Some("2025-01-01"), Some("2026-11-21"))
    );
}

#[test]
fn a_failed_step_holds_up_what_waits_for_it_and_nothing_else() {
    let stage = adopted(&["rename-group-by"]);
    stage.knob("fail.catalog.tracks.track_heat__0#upload", "2");
    let partly = stage.apply(&[]);
    assert_eq!(partly.code, 5, "{}", partly.stderr);
    assert!(
        partly.stdout.contains("Partly applied: 3 steps done, 1 failed, 1 not started"),
        "{}",
        partly.stdout
    );
    assert!(partly.stdout.contains("the same command does the rest"), "{}", partly.stdout);
    let said = &partly.stderr;
    assert!(said.contains(&format!("✗ {HEAT}#upload: it ended with exit code 1")), "{said}");
    assert!(
        said.contains("the cluster says: catalog.tracks.track_heat__0#upload was made to fail"),
        "{said}"
    );
    assert!(
        said.contains(&format!("· {HEAT}#upload-to-kv: not started, it waits for {HEAT}#upload")),
        "{said}"
    );
    let log = said.split_once("all of its output: ").unwrap().1.lines().next().unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("was made to fail").count(), 2, "both attempts: {log}");

    // The ledger has the rest, and the plan what is left.
    let kept = stage.resources();
    assert!(
        kept.contains_key(&format!("{HEAT}#table"))
            && kept.contains_key(&format!("{HEAT}#metadata"))
    );
    assert!(!kept.contains_key(&format!("{HEAT}#kv")));
    let plan = stage.plan(&["--base", "HEAD"]);
    let left: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["id"].as_str().unwrap(), it["scope"].as_str().unwrap()))
        .collect();
    assert_eq!(
        left,
        [(&*format!("{HEAT}#upload"), "pending"), (&*format!("{HEAT}#upload-to-kv"), "pending")]
    );

    let before = stage.submissions().len();
    stage.apply(&[]).ok();
    let rest =
        ["upload", "upload-to-kv"].map(|mode| format!("catalog.tracks.track_heat__0#{mode}"));
    assert_eq!(stage.submitted()[before..], rest);
    assert_eq!(stage.steps(), [""; 0]);
    assert_eq!(stage.lock()["unfinished"], serde_json::json!([]));
}

#[test]
fn a_job_that_fails_is_tried_again_as_often_as_the_settings_say() {
    let stage = adopted(&["new-join"]);
    let step = "discovery.digest.weekly_digest__0#backfill";
    stage.settings("", "[env.prod.mode.backfill]\nretries = 2\n");
    stage.knob(&format!("fail.{step}"), "2");
    let run = stage.apply(&[]);
    assert!(run.stderr.contains("again in 0 s"), "{}", run.stderr);
    assert!(run.stderr.contains(", attempt 3"), "{}", run.stderr);
    run.ok();
    assert_eq!(stage.submitted(), [step; 3]);
    let operations: BTreeSet<String> =
        stage.submissions().into_iter().map(|it| it.operation).collect();
    assert_eq!(operations.len(), 3, "each attempt has a name of its own");
}

#[test]
fn a_target_leaves_the_rest_for_later() {
    let stage = adopted(&["rename-group-by"]);
    stage.apply(&["--target", "group_bys/*"]).ok();
    assert!(stage.submitted().iter().all(|it| it.contains("track_heat")));
    assert_eq!(stage.steps(), ["joins/discovery.training.skip_training__0#backfill"]);
    stage.apply(&[]).ok();
    assert_eq!(stage.submitted().len(), 5);
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn a_forced_step_runs_although_nothing_asks_for_it() {
    let stage = adopted(&["new-join"]);
    stage.apply(&[]).ok();
    for _ in 0..2 {
        stage.apply(&["--force", &format!("{RADIO}#metadata-upload")]).ok();
    }
    let forced =
        stage.submitted().iter().filter(|it| it.contains("radio_rank__3#metadata")).count();
    assert_eq!(forced, 2);
}

#[test]
fn a_dry_run_runs_nothing_and_writes_nothing() {
    let stage = adopted(&["rename-group-by"]);
    let before = stage.kept();
    for args in [&["--dry-run"][..], &["--dry-run", "--yes"], &["--dry-run", "--format", "json"]] {
        let shown = stage.run(&[&["apply", "--as-of", DAY], args].concat()).ok();
        assert!(shown.contains("track_heat__0"), "{shown}");
    }
    assert_eq!(stage.kept(), before);
    assert_eq!(stage.submissions(), []);
}

#[test]
fn without_a_terminal_somebody_must_have_said_yes() {
    let stage = adopted(&["new-join"]);
    let before = stage.kept();
    let refused = stage.run(&["apply"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("there is no terminal to ask on"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--dry-run") && refused.stderr.contains("--yes"));
    assert_eq!((stage.kept(), stage.submissions()), (before, vec![]));
}

/// Runs an apply on a terminal on which somebody answers; gives its exit code and the screen.
fn on_a_terminal(stage: &Stage, answer: &str) -> (i32, String) {
    let apply = stage.command(&["apply", "--as-of", DAY]);
    let words = apply.get_args().map(|it| format!("'{}'", it.to_str().unwrap()));
    let line =
        format!("'{}' {}", env!("CARGO_BIN_EXE_chronon-plan"), words.collect::<Vec<_>>().join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(stage.repo.path()).env("TERM", "xterm");
    fs::write(stage.path("answer"), format!("{answer}\n")).unwrap();
    let run = Running::reading(script, &stage.path("out"), &stage.path("answer")).end();
    (run.code, run.stdout)
}

#[test]
fn on_a_terminal_only_yes_applies() {
    let stage = adopted(&["new-join"]);
    let before = stage.kept();
    for answer in ["no", "", "y", "YES", "yes please"] {
        let (code, screen) = on_a_terminal(&stage, answer);
        assert_eq!(code, 0, "{screen}");
        assert!(
            screen.contains("weekly_digest__0") && screen.contains("Only `yes` does it"),
            "{screen}"
        );
        assert!(screen.contains("Nothing was applied."), "{answer}: {screen}");
    }
    assert_eq!((stage.kept(), stage.submissions()), (before, vec![]));
    let (code, screen) = on_a_terminal(&stage, "yes");
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("Applied 1 step in"), "{screen}");
    assert_eq!((stage.submissions().len(), stage.steps().len()), (1, 0));
    // Nothing to ask about.
    let (code, screen) = on_a_terminal(&stage, "no");
    assert!(code == 0 && !screen.contains("Only `yes`"), "{screen}");
}

#[test]
fn another_plan_than_the_approved_one_is_not_applied() {
    let stage = adopted(&["new-join"]);
    let approved = stage.plan(&["--base", "HEAD~1"])["digest"].as_str().unwrap().to_owned();
    let unknown = format!("sha256:{}", "0".repeat(64));
    let refused = stage.apply(&["--approved", &unknown]);
    assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("the plan is {approved}, not {unknown}")));
    assert_eq!(stage.submissions(), []);
    stage.apply(&["--approved", &approved]).ok();
    assert_eq!(stage.submissions().len(), 1);
    // The approved one was kept, so it can be said what differs.
    stage.commit("tags-only");
    let refused = stage.apply(&["--approved", &approved]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    for differs in ["weekly_digest__0#backfill", "listener_plays__1#metadata-upload"] {
        assert!(refused.stderr.contains(differs), "{}", refused.stderr);
    }
    assert_eq!(stage.submissions().len(), 1);
}

/// The approval of a plan is good for the rest of it: whoever runs the same command again means
/// the same.
#[test]
fn what_is_left_of_an_approved_plan_is_approved() {
    let stage = adopted(&["rename-group-by"]);
    let approved = stage.plan(&["--base", "HEAD~1"])["digest"].as_str().unwrap().to_owned();
    stage.knob("fail.catalog.tracks.track_heat__0#upload", "2");
    assert_eq!(stage.apply(&["--approved", &approved]).code, 5);
    assert_ne!(stage.plan(&["--base", "HEAD"])["digest"], approved.as_str());
    // Not so where a step is no longer what it was.
    stage.run(&["state", "rm", "joins/discovery.training.skip_training__0"]).ok();
    let refused = stage.apply(&["--approved", &approved]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("~ joins/discovery.training.skip_training__0#backfill"));
    stage.run(&["state", "rollback", "2"]).ok();
    stage.apply(&["--approved", &approved]).ok();
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn a_table_that_must_be_archived_is_not_touched_before() {
    let stage = adopted(&["key-mapping-changed"]);
    let refused = stage.apply(&[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (6, ""), "{}", refused.stderr);
    let said = &refused.stderr;
    let table = format!("{RADIO}: discovery_features.discovery_radio_radio_rank__3");
    assert!(said.contains(&table), "{said}");
    assert!(said.contains(&format!("chronon-plan apply --archived {RADIO}")), "{said}");
    assert!(said.contains("env.prod.archive"), "{said}");
    assert_eq!(stage.submissions(), []);
    stage.apply(&["--archived", RADIO]).ok();
    let ran = stage.submitted();
    assert_eq!(ran.len(), 2, "{ran:?}");
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn the_archive_command_runs_once_and_before_the_backfill() {
    let stage = adopted(&["key-mapping-changed"]);
    let cluster = stage.path("cluster");
    let archive = format!(
        "archive = [\"{}\", \"submit\", \"{{operation}}\", \"{{table}}\", \"archive\"]\n",
        cluster.display()
    );
    let more = "[env.prod.mode.backfill]\nretries = 1\n[env.prod.backfill]\nchunk_days = 300\n";
    stage.settings(&archive, more);
    let backfill = "discovery.radio.radio_rank__3#backfill";
    stage.knob(&format!("fail.{backfill}"), "3");
    assert_eq!(stage.apply(&[]).code, 5);
    assert_eq!(stage.apply(&[]).code, 0);
    assert_eq!(stage.steps(), [""; 0]);
    let ran = stage.submitted();
    let table: Vec<&str> =
        ran.iter().map(String::as_str).filter(|it| !it.ends_with("metadata-upload")).collect();
    let archive = "discovery_features.discovery_radio_radio_rank__3#archive";
    assert_eq!(table, [archive, backfill, backfill, backfill, backfill, backfill]);
}

#[test]
fn a_backfill_without_a_start_is_refused() {
    let stage = adopted(&["new-join"]);
    let path = "compiled/joins/discovery/digest.weekly_digest__0";
    let text = fs::read_to_string(stage.repo.path().join(path)).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["left"]["entities"]["query"].as_object_mut().unwrap().remove("startPartition");
    stage.repo.write(path, serde_json::to_string_pretty(&config).unwrap());
    stage.repo.commit("no start");
    let refused = stage.apply(&[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("joins/discovery.digest.weekly_digest__0"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("env.prod.backfill.start"), "{}", refused.stderr);
    assert_eq!(stage.submissions(), []);
    stage.settings("", "[env.prod.backfill]\nstart = 2026-01-01\n");
    stage.apply(&[]).ok();
    assert!(stage.submissions()[0].dates.starts_with("--start-ds=2026-01-01"));
}

#[test]
fn what_is_done_by_hand_is_waited_for() {
    let stage = adopted(&["rename-group-by"]);
    let file = stage.path("settings.toml");
    let text = fs::read_to_string(&file).unwrap();
    let command = text.lines().find(|it| it.starts_with("command = ")).unwrap().to_owned();
    let modes = ["backfill", "upload", "metadata-upload"];
    let own: String = modes.iter().map(|it| format!("[env.prod.mode.{it}]\n{command}\n")).collect();
    fs::write(&file, format!("{}{own}", text.replace(&command, ""))).unwrap();
    let step = format!("{HEAT}#upload-to-kv");
    let partly = stage.apply(&[]);
    assert_eq!(partly.code, 5, "{}", partly.stderr);
    assert!(
        partly.stderr.contains(&format!("`chronon-plan apply --done {step}`")),
        "{}",
        partly.stderr
    );
    assert_eq!(stage.steps(), [format!("{HEAT}#upload"), step.clone()]);
    let unknown = stage.apply(&["--done", "group_bys/a.b.c__1#upload"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("group_bys/a.b.c__1#upload"), "{}", unknown.stderr);
    let before = stage.submissions().len();
    stage.apply(&["--done", &step]).ok();
    assert_eq!(stage.steps(), [""; 0]);
    assert_eq!(stage.submissions().len(), before, "what was uploaded is uploaded");
}

#[test]
fn the_work_tree_does_not_matter() {
    let stage = adopted(&["new-join"]);
    let path = "compiled/joins/discovery/digest.weekly_digest__0";
    stage.repo.write(path, "{ not JSON");
    let shown = stage.run(&["apply", "--dry-run"]);
    assert!(shown.stderr.contains("the work tree differs from HEAD"), "{}", shown.stderr);
    stage.apply(&[]).ok();
    stage.repo.git(&["checkout", "-q", "."]);
    stage.commit("tags-only");
    fs::remove_dir_all(stage.repo.path().join("compiled")).unwrap();
    stage.apply(&[]).ok();
    assert_eq!(stage.submissions().len(), 2);
    assert_eq!(stage.steps(), [""; 0]);
}

/// Every line of standard output, each of which must be an event.
fn events(stdout: &str) -> Vec<Value> {
    let events: Vec<Value> = stdout.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(events.iter().all(|it| it["event"].is_string()));
    events
}

#[test]
fn events_stand_one_to_a_line_and_the_last_is_the_end() {
    let stage = adopted(&["rename-group-by"]);
    let upload = format!("{HEAT}#upload");
    stage.knob("fail.catalog.tracks.track_heat__0#upload", "2");
    let partly = stage.apply(&["--format", "json"]);
    let told = events(&partly.stdout);
    let end = told.last().unwrap();
    assert_eq!((partly.code, &end["event"], &end["exit"]), (5, &"ended".into(), &5.into()));
    assert_eq!((&end["done"], &end["failed"], &end["skipped"]), (&3.into(), &1.into(), &1.into()));
    let of = |event: &str| told.iter().filter(|it| it["event"] == event).count();
    assert_eq!(
        (of("started"), of("retrying"), of("done"), of("failed"), of("skipped")),
        (5, 1, 3, 1, 1)
    );
    let failed = told.iter().find(|it| it["event"] == "failed").unwrap();
    assert!(failed["step"] == upload.as_str() && failed["log"].is_string(), "{failed}");

    let told = events(&stage.apply(&["--format", "json"]).ok());
    let end = told.last().unwrap();
    assert_eq!(
        (&end["event"], &end["exit"], &end["left"]),
        (&"ended".into(), &0.into(), &0.into())
    );
    let told = events(&stage.apply(&["--format", "json"]).ok());
    assert_eq!((told.len(), &told[0]["event"]), (1, &"ended".into()));
}

#[test]
fn no_more_jobs_run_at_once_than_wanted() {
    for (args, most) in [(&["--parallelism", "1"][..], 1), (&[], 3)] {
        let stage = adopted(&["add-aggregation"]);
        stage.settings("parallelism = 3", "");
        stage.knob("hold", "");
        let running = stage.start_apply(args);
        // As many as may, while none of them ends.
        until("jobs start", || stage.log().matches("start ").count() == most);
        stage.unset("hold");
        running.end().ok();
        assert_eq!((stage.most_at_once(), stage.submissions().len()), (most, 7));
    }
}

/// What was done of one content is no longer there once another content was begun: to go back to
/// the first one is work again.
#[test]
fn what_went_over_a_table_since_is_not_taken_for_done() {
    let stage = adopted(&["add-aggregation"]);
    stage.settings(
        "",
        "[env.prod.mode.backfill]\nretries = 0\n[env.prod.backfill]\nchunk_days = 400\n",
    );
    let upload = "listening.plays.listener_plays__1#upload";
    let training = "discovery.training.skip_training__0#backfill";
    let times = |step: &str, dates: &str| {
        stage
            .submissions()
            .iter()
            .filter(|it| it.step == step && it.dates.starts_with(dates))
            .count()
    };
    let first = "--start-ds=2025-03-01";
    // The last chunk fails, so the join is never applied and the journal is needed still.
    stage.knob(&format!("refuse.{training}"), "--end-ds=2026-11-21");
    assert_eq!(stage.apply(&[]).code, 5);
    stage.commit("select-expression-changed");
    assert_eq!(stage.apply(&[]).code, 5);
    assert_eq!((times(upload, ""), times(training, first)), (2, 2));
    stage.commit("add-aggregation");
    stage.unset(&format!("refuse.{training}"));
    stage.apply(&[]).ok();
    assert_eq!((times(upload, ""), times(training, first)), (3, 3), "{}", stage.log());
    assert_eq!(stage.steps(), [""; 0]);
}

/// What one apply has no use for, a later one may have: a job that runs is not forgotten.
#[test]
fn a_job_that_still_runs_is_found_also_after_an_apply_of_something_else() {
    for other in [&["--target", "joins/*"][..], &["--target", "models/*"]] {
        let stage = adopted(&["rename-group-by"]);
        let step = "catalog.tracks.track_heat__0#backfill";
        stage.knob(&format!("hold.{step}"), "");
        let killed = stage.start_apply(&["--target", "group_bys/*"]);
        until("it runs", || {
            stage.log().contains(&format!(" {step}\n")) && stage.log().contains("start ")
        });
        until("the rest is done", || stage.log().matches("end ").count() == 3);
        killed.kill();
        stage.apply(other).ok();
        stage.unset(&format!("hold.{step}"));
        stage.apply(&[]).ok();
        assert!(stage.jobs().values().all(|times| *times == 1), "{other:?}\n{}", stage.log());
        assert_eq!(stage.steps(), [""; 0]);
    }
}

/// The ledger says what was applied last; a table that was half rewritten since is not that.
#[test]
fn a_change_that_was_taken_back_half_done_is_owed() {
    let stage = adopted(&["join-derivation-renamed"]);
    let more = "[env.prod.mode.backfill]\nretries = 0\n[env.prod.backfill]\nchunk_days = 400\n";
    stage.settings("", more);
    let step = "discovery.radio.radio_rank__3#backfill";
    stage.knob(&format!("refuse.{step}"), "--end-ds=2026-11-21");
    assert_eq!(stage.apply(&[]).code, 5);
    stage.unset(&format!("refuse.{step}"));
    stage.repo.copy(&project().join("fixtures/zipline/base/compiled"), "compiled");
    stage.repo.commit("revert");
    let plan = stage.plan(&[]);
    let owed =
        plan["steps"].as_array().unwrap().iter().find(|it| it["id"] == format!("joins/{step}"));
    let because = owed.unwrap()["because"].to_string();
    assert!(because.contains("a job was started on it and not seen to end well"), "{because}");
    // Whether its job sees that the table is of another content, nobody can say.
    assert_eq!(stage.apply(&[]).code, 6);
    stage.apply(&["--archived", "joins/discovery.radio.radio_rank__3"]).ok();
    let again = stage.submissions().iter().filter(|it| it.step == step).count();
    assert_eq!(again, 4, "every day is computed again: {}", stage.log());
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn a_refusal_keeps_no_ledger() {
    let stage = Stage::new(&["staging-sql-changed"]);
    // An archive-first backfill, and a program that is not there.
    assert_eq!(stage.apply(&["--base", "HEAD~1"]).code, 6);
    let archived = ["--base", "HEAD~1", "--archived", "joins/discovery.training.skip_training__0"];
    stage.settings("", "[env.prod.mode.backfill]\ncommand = ['no-such-program']\n");
    let refused = stage.apply(&archived);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("nothing was submitted"), "{}", refused.stderr);
    let kept = stage.kept();
    let of_ledger =
        |it: &&String| ["state.json", "history", "journal"].iter().any(|at| it.contains(at));
    assert_eq!(kept.keys().filter(of_ledger).count(), 0, "{:?}", kept.keys());
}

/// A job of other days writes the same table: nobody starts a second one beside it.
#[test]
fn beside_a_job_of_which_nobody_can_tell_no_other_is_started() {
    let stage = adopted(&["new-join"]);
    let step = "discovery.digest.weekly_digest__0#backfill";
    stage.knob(&format!("hold.{step}"), "");
    let day = |day: &'static str| ["apply", "--yes", "--as-of", day];
    let running = stage.start(&day("2026-11-20"));
    until("the backfill runs", || !stage.submissions().is_empty());
    running.kill();
    let file = stage.path("settings.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let blind = text.lines().map(|line| match line.starts_with("find = ") {
        true => "find = ['false']\n".to_owned(),
        false => format!("{line}\n"),
    });
    std::fs::write(&file, blind.collect::<String>()).unwrap();
    // The client that was left behind ends; what became of the job, nobody says.
    stage.unset(&format!("hold.{step}"));
    let run = stage.run(&day("2026-11-22"));
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(run.stderr.contains("`find` of the settings did not say"), "{}", run.stderr);
    assert_eq!(stage.submissions().len(), 1);
}
