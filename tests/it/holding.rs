//! The lock while applies run, wait, are interrupted, die, or lose it.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::gcs::Fault;
use crate::support::stage::Running;
use crate::support::stage::Stage;
use crate::support::stage::each;
use crate::support::stage::until;

const HEAT: &str = "catalog.tracks.track_heat__0";

/// How long an interrupted apply may take to end.
const INTERRUPTED: Duration = Duration::from_secs(6);

/// Where the state is: in a folder, or in a bucket.
type Place = fn(&[&str]) -> Stage;
const PLACES: [Place; 2] = [Stage::new, Stage::in_bucket];

/// A stage on which the base counts as applied.
fn adopted(place: Place) -> Stage {
    let stage = place(&["rename-group-by"]);
    stage.adopt("HEAD~1");
    stage
}

/// Starts an apply whose uploads do not end before the knob is taken off.
fn held(stage: &Stage) -> Running {
    let hold = format!("hold.{HEAT}#upload");
    stage.knob(&hold, "");
    let running = stage.start_apply(&["--target", "group_bys/*"]);
    let started = || {
        stage
            .log()
            .lines()
            .any(|it| it.starts_with("start ") && it.ends_with(&format!("{HEAT}#upload")))
    };
    until("the upload runs", started);
    until("the rest is done", || stage.log().matches("end ").count() == 2);
    running
}

fn release(stage: &Stage) {
    stage.unset(&format!("hold.{HEAT}#upload"));
}

/// The rest is applied, and no job was submitted twice.
fn finishes(stage: &Stage) {
    stage.apply(&[]).ok();
    assert!(stage.jobs().values().all(|times| *times == 1), "{}", stage.log());
    assert_eq!((stage.jobs().len(), stage.steps().len()), (5, 0));
    let lock = stage.lock();
    assert!(lock["holder"].is_null() && lock["unfinished"] == serde_json::json!([]), "{lock}");
}

#[test]
fn who_waits_for_the_lock_in_vain_is_told_who_holds_it() {
    each(&PLACES, |place| {
        let stage = &adopted(*place);
        let running = held(stage);
        let refused = stage.apply(&["--lock-timeout", "1"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (4, ""), "{}", refused.stderr);
        let process = format!("process {}", running.id());
        assert!(refused.stderr.contains(&process), "{}", refused.stderr);
        assert!(refused.stderr.contains("waiting for the lock"), "{}", refused.stderr);
        let shown = stage.run(&["lock", "show"]).ok();
        assert!(shown.contains("The lock is held by") && shown.contains(&process), "{shown}");
        let plan = stage.run(&["plan"]);
        assert!(plan.stderr.contains("the lock is held by"), "{}", plan.stderr);
        release(stage);
        running.end().ok();
        finishes(stage);
    });
}

#[test]
fn who_waits_takes_his_turn() {
    let stage = adopted(Stage::new);
    let first = held(&stage);
    let second = stage.start_apply(&[]);
    until("the second waits", || second.said().contains("waiting for the lock"));
    release(&stage);
    first.end().ok();
    second.end().ok();
    finishes(&stage);
}

#[test]
fn the_lock_of_a_dead_process_of_this_machine_is_taken_over_at_once() {
    each(&PLACES, |place| {
        let stage = &adopted(*place);
        let text = fs::read_to_string(stage.path("settings.toml")).unwrap();
        fs::write(stage.path("settings.toml"), text.replace("ttl = 10", "ttl = 600")).unwrap();
        held(stage).kill();
        release(stage);
        let next = stage.apply(&["--lock-timeout", "5"]);
        assert!(next.stderr.contains("taking over the lock of"), "{}", next.stderr);
        next.ok();
        finishes(stage);
    });
}

/// Makes the lock one that a process of another machine holds.
fn held_elsewhere(stage: &Stage, ttl: u64) {
    let path = stage.state().join("lock.json");
    let mut lock: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    lock["ttl_seconds"] = ttl.into();
    lock["holder"] = serde_json::json!({
        "run": "20260101T000000Z-00000000", "doing": "apply", "actor": "somebody",
        "host": "another-machine", "pid": 1, "since": "2026-01-01T00:00:00Z",
    });
    fs::write(path, lock.to_string()).unwrap();
}

#[test]
fn the_lock_of_another_machine_is_taken_over_when_it_was_not_renewed() {
    let stage = adopted(Stage::new);
    held_elsewhere(&stage, 600);
    let refused = stage.apply(&["--lock-timeout", "1"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("somebody on another-machine"), "{}", refused.stderr);
    held_elsewhere(&stage, 2);
    let start = Instant::now();
    stage.apply(&[]).ok();
    assert!(start.elapsed() >= Duration::from_secs(2));
    finishes(&stage);
}

#[test]
fn a_lock_is_freed_only_by_its_own_id() {
    let stage = adopted(Stage::new);
    held_elsewhere(&stage, 600);
    let wrong = stage.run(&["lock", "release", "0123"]);
    assert_eq!(wrong.code, 4, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("another-machine"), "{}", wrong.stderr);
    let id = stage.lock()["nonce"].as_str().unwrap().to_owned();
    assert!(wrong.stderr.contains(&format!("chronon-plan lock release {id}")));
    stage.run(&["lock", "release", &id]).ok();
    assert!(stage.lock()["holder"].is_null());
    assert_eq!(stage.lock()["unfinished"], serde_json::json!(["20260101T000000Z-00000000"]));
    let shown = stage.run(&["lock", "show"]).ok();
    assert!(shown.contains("The lock is free.") && shown.contains("20260101T000000Z-00000000"));
    assert!(stage.run(&["lock", "release", &id]).stderr.contains("free already"));
    finishes(&stage);
}

#[test]
fn who_loses_the_lock_starts_nothing_more() {
    each(&PLACES, |place| {
        let stage = &adopted(*place);
        let running = held(stage);
        match &stage.gcs {
            None => {
                let id = stage.lock()["nonce"].as_str().unwrap().to_owned();
                stage.run(&["lock", "release", &id]).ok();
            }
            Some(gcs) => {
                let object = "team/prod/lock.json";
                let lock = gcs.object("state", object).unwrap();
                let mut lock: Value = serde_json::from_slice(&lock.bytes).unwrap();
                let run = lock["holder"]["run"].clone();
                lock["nonce"] = "0123456789abcdef".into();
                lock["holder"] = Value::Null;
                lock["unfinished"] = serde_json::json!([run]);
                gcs.put("state", object, lock.to_string().as_bytes());
            }
        }
        let lost = running.end();
        assert_eq!(lost.code, 4, "{}\n{}", lost.stdout, lost.stderr);
        assert!(lost.stderr.contains("the lock was lost") || lost.stdout.contains("lock was lost"));
        release(stage);
        assert_eq!(stage.submissions().len(), 3, "{}", stage.log());
        finishes(stage);
    });
}

#[test]
fn an_interrupted_apply_ends_in_time_and_its_jobs_are_found_again() {
    let signals = [Signal::INT, Signal::TERM];
    let cases = signals.map(|signal| PLACES.map(|place| (signal, place)));
    each(cases.as_flattened(), |(signal, place)| {
        let stage = &adopted(*place);
        let running = held(stage);
        let start = Instant::now();
        running.signal(*signal);
        let run = running.end();
        assert!(start.elapsed() < INTERRUPTED, "{:?}", start.elapsed());
        assert_eq!(run.code, 130, "{}", run.stderr);
        assert!(run.stdout.contains("Interrupted."), "{}", run.stdout);
        let lock = stage.lock();
        assert!(lock["holder"].is_null(), "{lock}");
        assert_eq!(lock["unfinished"].as_array().unwrap().len(), 1);
        // The job goes on, and the next apply waits for it.
        let next = stage.start_apply(&[]);
        let looks = "looking for the job that an earlier run submitted";
        until("it is looked for", || next.said().contains(looks));
        release(stage);
        next.end().ok();
        finishes(stage);
    });
}

#[test]
fn an_apply_whose_store_gives_no_answer_is_interrupted_in_time() {
    let stage = adopted(Stage::in_bucket);
    let running = held(&stage);
    let gcs = stage.gcs.as_ref().unwrap();
    gcs.fail(usize::MAX, Fault::StallBefore(Duration::from_secs(40)), |_| true);
    let start = Instant::now();
    running.signal(Signal::INT);
    let run = running.end();
    assert!(start.elapsed() < INTERRUPTED, "{:?}", start.elapsed());
    assert_eq!(run.code, 130, "{}", run.stderr);
    gcs.heal();
    release(&stage);
    finishes(&stage);
}

#[test]
fn an_interrupted_wait_for_the_lock_ends_at_once() {
    let stage = adopted(Stage::new);
    held_elsewhere(&stage, 600);
    let running = stage.start_apply(&[]);
    until("it waits", || running.said().contains("waiting for the lock"));
    let start = Instant::now();
    running.signal(Signal::TERM);
    let run = running.end();
    assert_eq!((run.code, run.stdout.as_str()), (130, ""), "{}", run.stderr);
    assert!(start.elapsed() < INTERRUPTED);
    assert_eq!(stage.submissions(), []);
}

#[test]
fn of_many_applies_at_once_each_job_is_submitted_by_one() {
    each(&PLACES, |place| {
        let stage = &adopted(*place);
        let running: Vec<Running> = (0..8).map(|_| stage.start_apply(&[])).collect();
        for run in running.into_iter().map(Running::end) {
            assert!([0, 4].contains(&run.code), "{}: {}", run.code, run.stderr);
        }
        finishes(stage);
    });
}

/// Every process corrects another resource of the same ledger; whoever read an old one would undo
/// what others wrote.
#[test]
fn of_many_processes_that_take_the_lock_at_once_each_gets_it_and_none_undoes_another() {
    const MANY: usize = 32;
    let stage = Stage::new(&[]);
    stage.adopt("HEAD");
    let all: Vec<String> = stage.resources().into_keys().collect();
    let (kept, victims) = all.split_first().unwrap();
    let remove = |at: usize| {
        let victim = &victims[at % victims.len()];
        stage.start(&["state", "rm", victim, "--lock-timeout", "300"])
    };
    assert!(victims.len() < MANY, "some must ask for the same");
    let running: Vec<Running> = (0..MANY).map(remove).collect();
    let ended: Vec<_> = running.into_iter().map(Running::end).collect();
    for run in &ended {
        // Where two ask for the same, one of them finds nothing.
        let second = run.stderr.contains("the ledger has no config");
        assert!(run.code == 0 || second, "{}", run.stderr);
    }
    assert_eq!(ended.iter().filter(|run| run.code == 0).count(), victims.len());
    assert_eq!(stage.resources().into_keys().collect::<Vec<_>>(), std::slice::from_ref(kept));
    let history = stage.run(&["state", "history", "--limit", "100"]).ok();
    assert_eq!(history.lines().count(), all.len(), "the first, and one write for each: {history}");
}
