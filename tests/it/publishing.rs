//! Schedules from end to end: planned, published to a folder and to a bucket, compared, checked,
//! taken back; by the real binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;

use crate::support::Run;
use crate::support::gcs::Fault;
use crate::support::gcs::Moment;
use crate::support::stage::DAY;
use crate::support::stage::Stage;
use crate::support::stage::signal_to;

/// A new tag: one step, of one online GroupBy.
const TAGS: &str = "tags-only";
const TAGS_STEP: &str = "listening.plays.listener_plays__1#metadata-upload";
/// A schedule less: no step at all.
const NEVER: &str = "offline-schedule-never";

const MANIFEST: &str = "chronon_dags.json";

/// A stage that publishes, with base applied.
fn stage(changes: &[&str]) -> Stage {
    let stage = Stage::new(changes);
    publishes(&stage, "");
    stage.adopt(&format!("HEAD~{}", changes.len()));
    stage
}

/// The same with state and DAGs in buckets.
fn in_buckets(changes: &[&str]) -> Stage {
    let stage = Stage::in_bucket(changes);
    let gcs = stage.gcs.as_ref().unwrap();
    gcs.bucket("composer");
    gcs.unlimited();
    publishes(&stage, "");
    stage.adopt(&format!("HEAD~{}", changes.len()));
    stage
}

fn publishes(stage: &Stage, more: &str) {
    let place = match stage.gcs {
        Some(_) => "gs://composer/dags".to_owned(),
        None => stage.path("dags").display().to_string(),
    };
    stage.settings("", &format!("[env.prod.airflow]\ndags = \"{place}\"\n{more}"));
}

fn manifest(stage: &Stage) -> Option<Value> {
    let bytes = match &stage.gcs {
        Some(gcs) => gcs.object("composer", &format!("dags/{MANIFEST}"))?.bytes,
        None => fs::read(stage.path("dags").join(MANIFEST)).ok()?,
    };
    Some(serde_json::from_slice(&bytes).unwrap())
}

fn ledger(stage: &Stage) -> Value {
    serde_json::from_str(&stage.run(&["state", "pull"]).ok()).unwrap()
}

fn fails(run: &Run, code: i32, text: &str) {
    assert_eq!(run.code, code, "{}\n{}", run.stdout, run.stderr);
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(all.contains(text), "{all}");
    assert!(run.stderr.contains("next: "), "{}", run.stderr);
}

#[test]
fn schedules_are_published_once_and_then_as_they_change() {
    for stage in [stage(&[TAGS]), in_buckets(&[TAGS])] {
        let before = ledger(&stage);
        assert!(before["format_version"] == 1 && before.get("schedules").is_none(), "{before}");
        let first = stage.plan(&[]);
        let dags = first["schedules"]["dags"].as_array().unwrap();
        assert!(dags.len() > 8 && dags.iter().all(|it| it["kind"] == "added"), "{first}");

        let applied = stage.apply(&[]).ok();
        assert!(
            applied.contains(&format!("Schedules: {} DAGs published", dags.len())),
            "{applied}"
        );
        assert!(applied.contains("Planned again: no changes."), "{applied}");
        let kept = ledger(&stage);
        assert_eq!(kept["format_version"], 2);
        let published = manifest(&stage).unwrap();
        assert_eq!(kept["schedules"]["digest"], published["digest"]);
        assert_eq!(published["dags"].as_object().unwrap().len(), dags.len());

        // Nothing is left to do, and doing it changes nothing.
        let again = stage.run(&["plan", "--detailed-exitcode", "--as-of", DAY]);
        assert_eq!(again.code, 0, "{}", again.stdout);
        stage.apply(&[]).ok();
        assert_eq!(manifest(&stage).unwrap(), published);
        assert_eq!(ledger(&stage), kept);

        // A change is one line to its DAG, asked for by this commit.
        stage.commit(NEVER);
        let text = stage.run(&["plan", "--as-of", DAY]).ok();
        let lines: Vec<&str> = text.lines().filter(|it| it.contains("chronon_")).collect();
        assert!(lines.len() < 4 && !lines.is_empty(), "{text}");
        assert!(text.contains("to publish"), "{text}");
        let diff = stage.run(&["airflow", "diff", "--detailed-exitcode"]);
        assert_eq!(diff.code, 2, "{}", diff.stderr);
        let applied = stage.apply(&[]).ok();
        assert!(
            !applied.contains("Nothing to apply") && applied.contains("published in"),
            "{applied}"
        );
        let next = manifest(&stage).unwrap();
        assert_ne!(next["digest"], published["digest"]);
        assert_eq!(ledger(&stage)["schedules"]["digest"], next["digest"]);
        assert!(stage.run(&["airflow", "diff"]).ok().contains("no changes"));
        if let Some(gcs) = &stage.gcs {
            assert_eq!(gcs.violations(), [""; 0]);
        }
    }
}

#[test]
fn an_apply_that_does_not_end_well_publishes_nothing_and_the_next_one_does() {
    let stage = stage(&[TAGS]);
    stage.knob(&format!("fail.{TAGS_STEP}"), "9");
    assert_eq!(stage.apply(&[]).code, 5);
    assert_eq!(manifest(&stage), None);
    stage.unset(&format!("fail.{TAGS_STEP}"));
    assert!(stage.apply(&[]).ok().contains("published in"));
    assert!(manifest(&stage).is_some());
}

#[test]
fn what_cannot_be_published_is_told_with_what_to_do_and_is_published_by_the_next_apply() {
    let stage = stage(&[TAGS]);
    // A file where the folder should be.
    fs::write(stage.path("dags"), "").unwrap();
    let digest = stage.plan(&[])["digest"].as_str().unwrap().to_owned();
    let run = stage.apply(&[]);
    fails(&run, 5, "Schedules: not published.");
    assert!(run.stderr.contains("apply again: the schedules are published last"), "{}", run.stderr);
    assert_eq!(stage.submitted(), [TAGS_STEP], "the steps are done");
    fs::remove_file(stage.path("dags")).unwrap();
    // What is left of an approved plan is approved.
    let run = stage.apply(&["--approved", &digest]);
    assert!(run.ok().contains("published in"));
    assert_eq!(stage.submitted(), [TAGS_STEP]);
    assert!(manifest(&stage).is_some());
}

#[test]
fn schedules_alone_that_could_not_be_published_stay_approved() {
    let stage = stage(&[TAGS]);
    stage.apply(&[]).ok();
    stage.commit(NEVER);
    let digest = stage.plan(&[])["digest"].as_str().unwrap().to_owned();
    assert_eq!(stage.steps(), [""; 0]);
    fs::rename(stage.path("dags"), stage.path("away")).unwrap();
    fs::write(stage.path("dags"), "").unwrap();
    let run = stage.apply(&["--approved", &digest, "--format", "json"]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert!(end["exit"] == 5 && end["published"] == 0 && end["done"] == 0, "{end}");
    fs::remove_file(stage.path("dags")).unwrap();
    fs::rename(stage.path("away"), stage.path("dags")).unwrap();
    stage.apply(&["--approved", &digest]).ok();
    // What nobody has approved is not published by it.
    stage.commit(TAGS_BACK);
    let before = manifest(&stage);
    let other = stage.apply(&["--approved", &digest]);
    fails(&other, 3, "DAG chronon_");
    assert_eq!(manifest(&stage), before);
}

/// Another change of tasks.
const TAGS_BACK: &str = "new-join";

#[test]
fn a_bucket_that_refuses_leaves_the_old_manifest() {
    let stage = in_buckets(&[TAGS]);
    let gcs = stage.gcs.as_ref().unwrap();
    stage.apply(&[]).ok();
    let before = manifest(&stage);
    stage.commit(NEVER);
    for (fault, last) in [
        (Fault::Status(403), MANIFEST),
        (Fault::Status(412), MANIFEST),
        (Fault::Status(403), ".pack"),
    ] {
        gcs.fail(99, fault, move |it| it.is_write() && it.object.ends_with(last));
        let run = stage.apply(&[]);
        fails(&run, 5, "not published");
        gcs.heal();
        assert_eq!(manifest(&stage), before, "{fault:?}");
    }
    // What passes by itself is tried again.
    gcs.fail(1, Fault::Status(503), |it| it.is_write() && it.object.ends_with(MANIFEST));
    gcs.fail(1, Fault::ResetAfter, |it| it.is_write() && it.object.ends_with(".pack"));
    stage.apply(&[]).ok();
    assert_ne!(manifest(&stage), before);
}

#[test]
fn an_apply_that_is_killed_before_the_manifest_leaves_the_old_one() {
    let stage = in_buckets(&[TAGS]);
    let gcs = stage.gcs.as_ref().unwrap();
    stage.apply(&[]).ok();
    let before = manifest(&stage);
    stage.commit(NEVER);
    let process = Arc::new(Mutex::new(0_u32));
    let victim = Arc::clone(&process);
    let mut number = process.lock().unwrap();
    gcs.hook(move |moment, call| {
        if moment == Moment::After && call.bucket == "composer" && call.object.ends_with(".json") {
            signal_to(*victim.lock().unwrap(), Signal::KILL);
        }
    });
    let running = stage.start_apply(&[]);
    *number = running.id();
    drop(number);
    assert_eq!(running.end().code, -1);
    gcs.hook(|_, _| ());
    assert_eq!(manifest(&stage), before);
    stage.apply(&["--lock-timeout", "60"]).ok();
    assert_ne!(manifest(&stage), before);
}

/// Schedules are of no matter for a part of a plan; what is left is told where it can be.
#[test]
fn a_circle_in_schedules_holds_up_no_target() {
    let stage = stage(&[TAGS]);
    stage.commit_circle();
    let circle = "these configs wait for each other: group_bys/catalog.tracks.track_";
    fails(&stage.run(&["plan"]), 1, circle);
    fails(&stage.apply(&[]), 1, circle);
    assert_eq!(stage.submitted(), [""; 0]);
    let plan = stage.path("plan.json").display().to_string();
    let target = ["--target", "group_bys/listening.*"];
    stage.run(&[&["plan", "--format", "json", "--out", &plan][..], &target].concat()).ok();
    assert!(stage.run(&["apply", "--dry-run", &plan]).ok().contains("metadata-upload"));
    let run = stage.apply(&target);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("Applied 1 step"), "{said}");
    assert!(said.contains("what is still needed is not known: these configs wait"), "{said}");
    assert_eq!(stage.submitted(), [TAGS_STEP]);
    assert!(manifest(&stage).is_none());
}

#[test]
fn the_schedules_of_another_env_are_not_overwritten() {
    let stage = stage(&[TAGS]);
    fs::create_dir(stage.path("dags")).unwrap();
    let theirs = json!({"format": 1, "env": "canary"}).to_string();
    fs::write(stage.path("dags").join(MANIFEST), &theirs).unwrap();
    let run = stage.apply(&[]);
    fails(&run, 5, "holds the schedules of env `canary`");
    assert_eq!(fs::read_to_string(stage.path("dags").join(MANIFEST)).unwrap(), theirs);
}

#[test]
fn the_schedules_of_another_repository_are_not_overwritten() {
    let stage = stage(&[TAGS]);
    stage.apply(&[]).ok();
    let mut theirs = manifest(&stage).unwrap();
    theirs["commit"] = json!("0123456789012345678901234567890123456789");
    // What the ledger names is ours, whatever became of its commit.
    let file = stage.path("dags").join(MANIFEST);
    fs::write(&file, theirs.to_string()).unwrap();
    stage.commit(NEVER);
    stage.apply(&[]).ok();
    theirs["digest"] = json!("sha256:theirs");
    fs::write(&file, theirs.to_string()).unwrap();
    stage.commit(TAGS_BACK);
    let run = stage.apply(&[]);
    fails(&run, 5, "which this repository does not have");
    assert!(run.stderr.contains("`env.*.airflow.prefix` of its own"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), theirs.to_string());
    let published = ledger(&stage)["schedules"]["digest"].clone();
    assert_ne!(published, theirs["digest"]);
}

/// Lets somebody else do something at the moment when an apply has written its files, and not the
/// manifest yet.
fn before_the_manifest(stage: &Stage, meanwhile: impl FnOnce()) -> Run {
    let gcs = stage.gcs.as_ref().unwrap();
    let (reached, at) = mpsc::channel();
    let (go, on) = mpsc::channel::<()>();
    let on = Mutex::new(on);
    gcs.hook(move |moment, call| {
        let last = call.bucket == "composer" && call.object.ends_with(".json");
        if moment == Moment::After && last && call.object.contains("chronon_files") {
            reached.send(()).unwrap();
            on.lock().unwrap().recv().unwrap();
        }
    });
    let running = stage.start_apply(&[]);
    at.recv().unwrap();
    meanwhile();
    gcs.hook(|_, _| ());
    go.send(()).unwrap();
    running.end()
}

#[test]
fn an_apply_that_was_paused_does_not_publish_over_a_later_one() {
    let stage = in_buckets(&[TAGS]);
    stage.apply(&[]).ok();
    let gcs = stage.gcs.as_ref().unwrap();
    let ours = gcs.object("composer", "dags/chronon_dags.json").unwrap().bytes;
    let theirs = [&ours[..], b"\n"].concat();
    stage.commit(NEVER);
    let run = before_the_manifest(&stage, || {
        gcs.put("composer", "dags/chronon_dags.json", &theirs);
    });
    fails(&run, 5, "somebody else writes chronon_dags.json");
    assert_eq!(gcs.object("composer", "dags/chronon_dags.json").unwrap().bytes, theirs);
    // Its lock was taken over meanwhile, and whoever has it has not published yet.
    let run = before_the_manifest(&stage, || {
        let lock = gcs.object("state", "team/prod/lock.json").unwrap().bytes;
        let mut lock: Value = serde_json::from_slice(&lock).unwrap();
        lock["nonce"] = json!("another");
        gcs.put("state", "team/prod/lock.json", lock.to_string().as_bytes());
    });
    fails(&run, 4, "the lock was lost");
    assert_eq!(gcs.object("composer", "dags/chronon_dags.json").unwrap().bytes, theirs);
}

#[test]
fn a_file_of_a_commit_that_was_changed_is_told() {
    let stage = in_buckets(&[TAGS]);
    let gcs = stage.gcs.as_ref().unwrap();
    gcs.fail(1, Fault::Status(403), |it| it.is_write() && it.object.ends_with(MANIFEST));
    fails(&stage.apply(&[]), 5, "not published");
    let names = gcs.names("composer");
    let pack = names.iter().find(|it| it.ends_with(".pack")).unwrap();
    gcs.put("composer", pack, b"half");
    fails(&stage.apply(&[]), 5, "is not what was published");
    assert_eq!(manifest(&stage), None);
}

#[test]
fn a_dag_that_nothing_asks_for_goes() {
    let stage = stage(&[TAGS]);
    stage.apply(&[]).ok();
    stage.repo.remove("compiled/joins/listening/enriched.enriched_plays__0");
    stage.repo.commit("a team without joins");
    let plan = stage.plan(&[]);
    let dags = plan["schedules"]["dags"].as_array().unwrap();
    let gone = dags.iter().find(|it| it["dag"] == "chronon_join_listening").unwrap();
    assert!(gone["kind"] == "removed" && gone["fingerprint"].is_null(), "{gone}");
    stage.apply(&[]).ok();
    let dags = manifest(&stage).unwrap()["dags"].clone();
    assert!(dags.get("chronon_join_listening").is_none());
    assert!(ledger(&stage)["schedules"]["dags"].get("chronon_join_listening").is_none());
}

#[test]
fn a_part_of_a_plan_leaves_schedules_alone() {
    let stage = stage(&[TAGS]);
    assert!(stage.plan(&["--target", "group_bys/*"]).get("schedules").is_none());
    stage.apply(&["--target", "group_bys/*"]).ok();
    assert_eq!(manifest(&stage), None);
}

#[test]
fn a_saved_plan_publishes_what_it_shows_or_nothing() {
    let stage = stage(&[TAGS]);
    let file = stage.path("plan.json").display().to_string();
    let save = || stage.run(&["plan", "--as-of", DAY, "--format", "json", "--out", &file]).ok();
    let apply = || stage.run(&["apply", &file, "--yes"]);
    save();
    apply().ok();
    let first = manifest(&stage).unwrap();
    assert!(first["dags"].as_object().unwrap().len() > 8);
    // Of a plan that shows no schedules.
    stage.commit(NEVER);
    save();
    let mut plan: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    plan.as_object_mut().unwrap().remove("schedules");
    fs::write(&file, plan.to_string()).unwrap();
    apply().ok();
    assert_eq!(manifest(&stage).unwrap(), first);
    // Of one that shows others.
    save();
    let mut plan: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let dag = &mut plan["schedules"]["dags"][0];
    let part = if dag["tasks"][0].is_object() { "tasks" } else { "settings" };
    dag[part][0]["fingerprint"] = json!("another");
    fs::write(&file, plan.to_string()).unwrap();
    fails(&apply(), 7, "other schedules would be published now");
    assert_eq!(manifest(&stage).unwrap(), first);
    save();
    apply().ok();
    assert_ne!(manifest(&stage).unwrap(), first);
}

#[test]
fn corrections_of_the_ledger_do_not_forget_what_is_published() {
    let stage = stage(&[TAGS]);
    let first = ledger(&stage)["serial"].to_string();
    stage.apply(&[]).ok();
    let middle = ledger(&stage)["serial"].to_string();
    stage.commit(NEVER);
    stage.apply(&[]).ok();
    let kept = ledger(&stage);
    let published = kept["schedules"].clone();
    // Back to a ledger that knows older schedules: the newer ones are what runs.
    stage.run(&["state", "rollback", &middle]).ok();
    assert_eq!(ledger(&stage)["schedules"], published);
    let old = stage.path("old.json").display().to_string();
    let mut older = ledger(&stage);
    older["schedules"]["digest"] = json!("sha256:older");
    fs::write(&old, older.to_string()).unwrap();
    stage.run(&["state", "push", &old, "--force"]).ok();
    assert_eq!(ledger(&stage)["schedules"], published);
    stage.run(&["state", "adopt", "--commit", "HEAD", "--force"]).ok();
    assert_eq!(ledger(&stage)["schedules"], published);
    let list = stage.run(&["state", "list"]).ok();
    assert!(list.contains("DAGs published in"), "{list}");
    // To one that knows none: all are published again, and none is forgotten.
    stage.run(&["state", "rollback", &first]).ok();
    assert!(ledger(&stage).get("schedules").is_none());
    let plan = stage.plan(&[]);
    assert!(plan["schedules"]["dags"].as_array().unwrap().len() > 8, "{plan}");
}

#[test]
fn another_place_gets_everything_and_the_old_one_is_named() {
    let stage = stage(&[TAGS]);
    stage.apply(&[]).ok();
    let text = fs::read_to_string(stage.path("settings.toml")).unwrap();
    let (old, new) = (stage.path("dags"), stage.path("elsewhere"));
    let text = text.replace(old.to_str().unwrap(), new.to_str().unwrap());
    fs::write(stage.path("settings.toml"), text).unwrap();
    let plan = stage.plan(&[]);
    let dags = plan["schedules"]["dags"].as_array().unwrap();
    assert!(dags.iter().all(|it| it["kind"] == "added" && it["scope"] == "pending"), "{plan}");
    assert!(plan["schedules"]["notes"].to_string().contains(old.to_str().unwrap()), "{plan}");
    stage.apply(&[]).ok();
    assert!(new.join(MANIFEST).exists());
    assert_eq!(stage.plan(&[])["schedules"]["dags"], json!([]));
}

#[test]
fn an_env_without_a_place_for_dags_knows_nothing_of_schedules() {
    let stage = Stage::new(&[TAGS]);
    stage.adopt("HEAD~1");
    assert!(stage.plan(&[]).get("schedules").is_none());
    let applied = stage.apply(&[]).ok();
    assert!(!applied.contains("Schedules"), "{applied}");
    assert_eq!(ledger(&stage)["format_version"], 1);
    fails(&stage.run(&["airflow", "diff"]), 1, "publishes no schedules");
    fails(&stage.run(&["history"]), 1, "has published no schedules");
}

#[test]
fn mistakes_in_settings_are_told_with_their_line_and_what_to_do() {
    let stage = Stage::new(&[TAGS]);
    for (more, text) in [
        ("[env.prod.airflow]\nsensor = \"delta\"", "delta_path"),
        ("[env.prod.airflow]\nsensor = \"command\"", "sensor_command"),
        ("[env.prod.airflow]\nsensor = \"metastor\"", "metastore"),
        ("[env.prod.airflow]\ndagz = \"x\"", "dags"),
        ("[team.a]\nstart_date = \"yesterday\"", "start_date"),
        ("[team.a]\nalerts = [\"slak:x\"]", "slack"),
        (
            "[team.a]\nalerts = [\"slack:https://hooks.example/secret\"]",
            "no name of an Airflow connection",
        ),
        ("[team.a]\nqeue = \"x\"", "queue"),
        (
            "[env.prod.airflow]\ndags = \"gs://x/y/\"\n[env.canary.airflow]\ndags = \"gs://x/y\"",
            "env `canary` publishes there too",
        ),
        (
            "[env.prod.airflow]\ndags = \"x\"\nurl = \"https://a.b\"\n\
             [env.canary.airflow]\ndags = \"y\"\nurl = \"https://a.b\"",
            "set another `airflow.prefix`",
        ),
        ("[env.prod.airflow]\nbreaker_days = 0", "breaker_days"),
    ] {
        stage.settings("", more);
        let run = stage.run(&["plan"]);
        assert_eq!(run.code, 1, "{more}: {}", run.stdout);
        assert!(run.stderr.contains(text), "{more}: {}", run.stderr);
        assert!(run.stderr.contains("settings.toml:"), "{more}: {}", run.stderr);
    }
}

/// A Python that has not Airflow but what it would say.
fn python(stage: &Stage, says: &str) -> String {
    let file = stage.path("python");
    fs::write(&file, format!("#!/bin/sh\ncat <<'END'\n{says}\nEND\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

#[test]
fn what_an_airflow_imports_is_held_against_what_was_rendered() {
    let stage = stage(&[TAGS]);
    let out = stage.path("rendered").display().to_string();
    stage.run(&["airflow", "render", "--out", &out]).ok();
    let manifest: Value =
        serde_json::from_slice(&fs::read(Path::new(&out).join(MANIFEST)).unwrap()).unwrap();
    let dags = manifest["dags"].as_object().unwrap();
    let tasks = |dag: &Value| dag["tasks"].as_object().unwrap().len() + 1;
    let seen: serde_json::Map<String, Value> =
        dags.iter().map(|it| (it.0.clone(), json!(tasks(it.1)))).collect();
    let mut told = json!({"airflow": "2.11.2", "seconds": 0.5, "dags": seen, "errors": {}});
    let check = |says: &Value| {
        let python = python(&stage, &says.to_string());
        stage.run(&["airflow", "check", "--python", &python])
    };
    assert!(check(&told).ok().contains("Airflow 2.11.2 imports"));
    told["errors"] = json!({"chronon_dags.py": "boom"});
    fails(&check(&told), 1, "boom");
    told["errors"] = json!({});
    told["dags"].as_object_mut().unwrap().remove("chronon_join_listening");
    fails(&check(&told), 1, "chronon_join_listening: 0 of");
    fails(&check(&json!("nothing")), 1, "did not say what it imported");
}

#[test]
fn the_run_log_is_read_back() {
    let stage = stage(&[TAGS]);
    stage.apply(&[]).ok();
    let folder = stage.state().join("runs/chronon_join_listening");
    fs::create_dir_all(&folder).unwrap();
    let row = |task: &str, state: &str| {
        json!({"dag": "chronon_join_listening", "run": "scheduled", "task": task,
            "config": "joins/listening.enriched.enriched_plays__0", "mode": "backfill", "try": 1,
            "date": "2026-11-21", "start": "2026-11-22T00:10:00Z", "end": "2026-11-22T00:20:00Z",
            "seconds": 600.0, "state": state, "job": null, "log": "https://airflow.example/log"})
    };
    let text = format!("{}\nno json\n{}\n", row("one", "success"), row("two", "failed"));
    fs::write(folder.join("2026-11-21.jsonl"), text).unwrap();
    let history = ["history", "--until", DAY, "--days", "3"];
    let all = stage.run(&[&history[..], &["--format", "json"]].concat()).ok();
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(
        (all["runs"].as_array().unwrap().len(), &all["unreadable"]),
        (2, &json!(1)),
        "{all}"
    );
    let failed = stage.run(&[&history[..], &["--failed"]].concat()).ok();
    assert!(failed.contains("1 failed") && !failed.contains("success"), "{failed}");
}
