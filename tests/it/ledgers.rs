//! `state` and `lock`: the ledger looked at, corrected and restored, and what it never shows.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::support::Run;
use crate::support::files;
use crate::support::stage::DAY;
use crate::support::stage::Stage;
use crate::support::stage::until;

const DIGEST: &str = "joins/discovery.digest.weekly_digest__0";
const PLAYS: &str = "group_bys/listening.plays.listener_plays__1";
const RADIO: &str = "joins/discovery.radio.radio_rank__3";

/// Base adopted, and one join applied on it.
fn applied() -> Stage {
    let stage = Stage::new(&["new-join"]);
    stage.adopt("HEAD~1");
    stage.apply(&[]).ok();
    stage
}

fn state(stage: &Stage, args: &[&str]) -> Run {
    stage.run(&[&["state"], args].concat())
}

fn json(stage: &Stage, args: &[&str]) -> Value {
    let run = stage.run(&[args, &["--format", "json"]].concat());
    serde_json::from_str(&run.ok()).unwrap()
}

/// What a run says that was refused, with something to do next.
fn refused(run: Run) -> String {
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert!(run.stderr.starts_with("error: ") && run.stderr.contains("\nnext: "), "{}", run.stderr);
    run.stderr
}

/// A ledger in a file.
fn file(stage: &Stage, name: &str, ledger: &Value) -> String {
    let path = stage.path(name);
    fs::write(&path, serde_json::to_string_pretty(ledger).unwrap()).unwrap();
    path.display().to_string()
}

fn pulled(stage: &Stage) -> Value {
    serde_json::from_str(&state(stage, &["pull"]).ok()).unwrap()
}

#[test]
fn without_a_ledger_every_command_says_how_to_get_one() {
    let stage = Stage::new(&["new-join"]);
    let commands = [
        &["list"][..],
        &["show", DIGEST],
        &["pull"],
        &["rm", DIGEST],
        &["history"],
        &["rollback", "1"],
    ];
    for args in commands {
        let said = refused(state(&stage, args));
        assert!(said.contains("there is no ledger of env `prod`"), "{args:?}: {said}");
        assert!(said.contains("chronon-plan state adopt --commit REV"), "{args:?}: {said}");
    }
    let lock = Stage::new(&[]);
    assert!(lock.run(&["lock", "show"]).ok().contains("nobody ever took it"));
    let shown = json(&lock, &["lock", "show"]);
    assert_eq!((&shown["held"], &shown["lock"]), (&json!(false), &Value::Null));
    assert!(lock.kept().is_empty(), "looking writes nothing");
}

#[test]
fn a_list_has_every_resource_once() {
    let stage = applied();
    let all = json(&stage, &["state", "list"]);
    let rows = all["resources"].as_array().unwrap();
    assert_eq!((&all["serial"], &all["journaled"]), (&json!(2), &json!(0)));
    assert_eq!(all["commit"].as_str().unwrap(), stage.repo.git(&["rev-parse", "HEAD"]).trim());
    let text = state(&stage, &["list"]).ok();
    for row in rows {
        let start =
            format!("{}#{}  ", row["config"].as_str().unwrap(), row["resource"].as_str().unwrap());
        assert_eq!(text.lines().filter(|it| it.starts_with(&start)).count(), 1, "{start}");
    }
    assert_eq!(text.lines().count(), rows.len() + 1);
    assert!(text.contains(&format!("\n{} resources; serial 2, commit ", rows.len())), "{text}");

    let some = json(&stage, &["state", "list", "joins/*"]);
    let some = some["resources"].as_array().unwrap();
    assert!(
        some.len() < rows.len()
            && some.iter().all(|it| it["config"].as_str().unwrap().starts_with("joins/"))
    );
    assert!(refused(state(&stage, &["list", "nothing/*"])).contains("nothing/*"));
}

#[test]
fn a_config_is_shown_with_everything_that_is_known_of_it() {
    let stage = applied();
    let text = state(&stage, &["show", DIGEST]).ok();
    let shown = json(&stage, &["state", "show", DIGEST]);
    let row = &shown["resources"][0];
    let job = &stage.submissions()[0].operation;
    assert_eq!(
        (&row["job"], &row["start"], &row["end"]),
        (&json!(job), &json!("2025-09-01"), &json!("2026-11-21"))
    );
    for field in ["commit", "path", "blob", "fingerprint", "run", "job", "at"] {
        let value = row[field].as_str().unwrap();
        assert!(!value.is_empty() && text.contains(value), "{field}: {text}");
    }
    assert!(row["upstream"].as_array().is_some_and(|it| !it.is_empty()), "{row}");
    let adopted = json(&stage, &["state", "show", RADIO]);
    assert!(adopted["resources"].as_array().unwrap().iter().all(|it| it["run"] == "adopt"));

    let said = refused(state(&stage, &["show", "joins/discovery.digest.weekly_digst__0"]));
    assert!(said.contains(&format!("did you mean `{DIGEST}`?")), "{said}");
    assert_eq!(state(&stage, &["show", "no config"]).code, 1);
}

#[test]
fn what_is_pulled_can_be_pushed_and_changes_nothing() {
    let stage = applied();
    let out = stage.path("ledger.json").display().to_string();
    assert_eq!(state(&stage, &["pull", "--out", &out]).ok(), "");
    assert_eq!(fs::read(&out).unwrap(), fs::read(stage.state().join("state.json")).unwrap());
    let ledger = |stage: &Stage| {
        let mut kept = stage.kept();
        kept.retain(|name, _| name == "state.json" || name.starts_with("history/"));
        kept
    };
    let before = ledger(&stage);
    let same = state(&stage, &["push", &out]);
    assert!(same.stderr.contains("nothing was written"), "{}", same.stderr);
    same.ok();
    assert_eq!(ledger(&stage), before);
    // By force it is a write of its own.
    let forced = json(&stage, &["state", "push", "--force", &out]);
    assert_eq!(
        (&forced["before"], &forced["serial"], &forced["changes"]),
        (&json!(2), &json!(3), &json!([]))
    );
}

#[test]
fn a_push_that_would_lose_something_is_refused() {
    let stage = applied();
    let first = pulled(&stage);
    let mut other = first.clone();
    other["resources"].as_array_mut().unwrap().pop();
    let same_serial = file(&stage, "same-serial.json", &other);
    other["serial"] = json!(1);
    let older = file(&stage, "older.json", &other);
    other["lineage"] = json!("0123456789abcdef0123456789abcdef");
    other["serial"] = json!(9);
    let lineage = file(&stage, "lineage.json", &other);
    other["env"] = json!("staging");
    let env = file(&stage, "env.json", &other);
    let mut newer = first.clone();
    newer["format_version"] = json!(99);
    let newer = file(&stage, "newer.json", &newer);
    let no_ledger = file(&stage, "no-ledger.json", &json!({"a": 1}));
    let absent = stage.path("absent.json").display().to_string();
    let before = stage.resources();
    for (file, why) in [
        (&same_serial, "has serial 2 too, and other content"),
        (&older, "is older: serial 1, the one that is kept is 2"),
        (&lineage, "is of another lineage"),
        (&env, "is the ledger of env `staging`, not of `prod`"),
        (&newer, "written by a newer chronon-plan (form 99"),
        (&no_ledger, "is no ledger"),
        (&absent, "No such file"),
    ] {
        let said = refused(state(&stage, &["push", file]));
        assert!(said.contains(why), "{why}: {said}");
        assert!(said.contains(file.as_str()), "{said}");
    }
    assert_eq!((stage.resources(), &pulled(&stage)), (before, &first));
    for (file, still) in [(&env, 1), (&newer, 1), (&no_ledger, 1), (&older, 0), (&lineage, 0)] {
        assert_eq!(state(&stage, &["push", "--force", file]).code, still, "{file}");
    }
    assert_eq!(pulled(&stage)["serial"], 4, "serials only grow");
    assert_eq!(pulled(&stage)["lineage"], "0123456789abcdef0123456789abcdef");
}

#[test]
fn what_is_removed_is_asked_for_again() {
    let stage = applied();
    let removed = json(&stage, &["state", "rm", &format!("{PLAYS}#stream"), DIGEST]);
    let changes: Vec<String> = removed["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}#{}", it["what"], it["config"], it["resource"]).replace('"', ""))
        .collect();
    assert_eq!(changes, [format!("removed {PLAYS}#stream"), format!("removed {DIGEST}#table")]);
    assert_eq!(stage.steps(), [format!("{PLAYS}#streaming"), format!("{DIGEST}#backfill")]);
    stage.apply(&[]).ok();
    assert_eq!((stage.submissions().len(), stage.steps().len()), (3, 0));

    let text = state(&stage, &["rm", RADIO]).ok();
    assert!(
        text.contains(&format!("removed {RADIO}#table")) && text.contains("resources changed"),
        "{text}"
    );
    let said = refused(state(&stage, &["rm", "joins/discovery.radio.radio_rank__4"]));
    assert!(said.contains("did you mean"), "{said}");
    assert!(refused(state(&stage, &["rm", PLAYS, "a/b"])).contains("a/b"));
    assert!(stage.resources().contains_key(&format!("{PLAYS}#kv")), "all or nothing");
}

#[test]
fn a_commit_is_adopted_without_running_anything() {
    let stage = Stage::new(&["new-join", "tags-only"]);
    let some = json(&stage, &["state", "adopt", "--commit", "HEAD~2", "--target", "joins/*"]);
    assert_eq!((&some["before"], &some["serial"]), (&Value::Null, &json!(1)));
    assert!(stage.resources().keys().all(|it| it.starts_with("joins/")));
    state(&stage, &["adopt", "--commit", "HEAD~2"]).ok();
    assert_eq!(stage.steps().len(), 2);
    // What the ledger says otherwise is not overwritten unasked.
    let said = refused(state(&stage, &["adopt", "--commit", "HEAD"]));
    assert!(said.contains(&format!("{PLAYS}#metadata")) && said.contains("`--force`"), "{said}");
    assert_eq!(stage.steps().len(), 2);
    let forced = state(&stage, &["adopt", "--commit", "HEAD", "--force"]).ok();
    assert!(forced.contains(&format!("changed {PLAYS}#metadata")), "{forced}");
    assert!(forced.contains(&format!("added {DIGEST}#table")), "{forced}");
    assert_eq!((stage.steps().len(), stage.submissions().len()), (0, 0));
    assert!(
        refused(state(&stage, &["adopt", "--commit", "HEAD", "--target", "x/*"]))
            .contains("nothing to adopt")
    );
    assert!(refused(state(&stage, &["adopt", "--commit", "nosuch"])).contains("`nosuch`"));
}

#[test]
fn history_is_listed_and_rolled_back() {
    let stage = applied();
    stage.commit("tags-only");
    stage.apply(&[]).ok();
    let history = json(&stage, &["state", "history"]);
    let serials: Vec<_> =
        history.as_array().unwrap().iter().map(|it| it["serial"].as_u64().unwrap()).collect();
    assert_eq!(serials, [3, 2, 1]);
    let changed: Vec<_> =
        history.as_array().unwrap().iter().map(|it| it["changed"].as_u64().unwrap()).collect();
    assert_eq!(changed[..2], [1, 1]);
    assert_eq!(
        history[1]["commit"].as_str().unwrap(),
        stage.repo.git(&["rev-parse", "HEAD~1"]).trim()
    );
    let text = state(&stage, &["history", "--limit", "2"]).ok();
    assert_eq!(text.lines().count(), 2);
    assert!(text.trim_start().starts_with("3  "), "{text}");

    let said = refused(state(&stage, &["rollback", "7"]));
    assert!(said.contains("no ledger of serial 7") && said.contains("3, 2, 1"), "{said}");
    let same = state(&stage, &["rollback", "3"]);
    assert!(same.stderr.contains("nothing was written"), "{}", same.stderr);
    let back = state(&stage, &["rollback", "1"]);
    assert!(back.stderr.contains("Only the ledger went back"), "{}", back.stderr);
    assert!(back.stdout.contains(&format!("removed {DIGEST}#table")), "{}", back.stdout);
    // A write of its own, and the next plan asks again for what came since.
    assert_eq!(pulled(&stage)["serial"], 4);
    assert_eq!(stage.steps(), [format!("{PLAYS}#metadata-upload"), format!("{DIGEST}#backfill")]);
    stage.apply(&[]).ok();
    assert_eq!((stage.submissions().len(), stage.steps().len()), (4, 0));
    let forward = json(&stage, &["state", "rollback", "3"]);
    assert_eq!((&forward["serial"], &forward["changes"]), (&json!(6), &json!([])));
}

/// The ledger is corrected; the jobs that run know nothing of it.
#[test]
fn a_correction_does_not_forget_the_jobs_that_run() {
    let stage = Stage::new(&["rename-group-by"]);
    stage.adopt("HEAD~1");
    let pull = stage.path("pulled.json").display().to_string();
    let step = "catalog.tracks.track_heat__0#backfill";
    stage.knob(&format!("hold.{step}"), "");
    let killed = stage.start_apply(&[]);
    until("the rest is done", || stage.log().matches("end ").count() == 4);
    let journaled = || json(&stage, &["state", "list"])["journaled"].as_u64().unwrap();
    until("the rest is journaled", || journaled() == 3);
    killed.kill();
    let text = state(&stage, &["list"]).ok();
    assert!(text.contains("3 of them from the journal of a run that is not finished"), "{text}");
    // What is printed is what is kept, and says so.
    let said = state(&stage, &["pull", "--out", &pull]).stderr;
    assert!(said.contains("3 resources stand in the journal"), "{said}");

    state(&stage, &["rm", &format!("{RADIO}#metadata")]).ok();
    let resources = stage.resources();
    assert!(resources.contains_key("group_bys/catalog.tracks.track_heat__0#kv"), "{resources:?}");
    assert!(!resources.contains_key(&format!("{RADIO}#metadata")));
    assert_eq!((journaled(), stage.steps().len()), (0, 2));
    stage.unset(&format!("hold.{step}"));
    stage.apply(&[]).ok();
    assert!(stage.jobs().values().all(|times| *times == 1), "{}", stage.log());
    assert_eq!((stage.jobs().len(), stage.steps().len()), (6, 0));
}

const SECRETS: [&str; 6] = [
    "hunter2-listens",
    "hunter2-broker",
    "planted-env",
    "planted-mode-env",
    "planted-conf",
    "planted-cluster",
];

/// Plants a value in every place of a config where values are nobody's business.
fn plant(config: &mut Value) {
    let execution = &mut config["metaData"]["executionInfo"];
    execution["env"]["common"]["PLANTED"] = json!("planted-env-value");
    execution["env"]["modeEnvironments"]["backfill"]["PLANTED"] = json!("planted-mode-env-value");
    execution["conf"]["common"]["spark.planted"] = json!("planted-conf-value");
    execution["clusterConf"]["common"]["dataproc.planted"] = json!("planted-cluster-value");
}

/// Two configs with planted values, the first of whose jobs fails once; both say what they must
/// not.
fn planted() -> Stage {
    let stage = Stage::new(&["new-join", "tags-only"]);
    for below in
        ["joins/discovery/digest.weekly_digest__0", "group_bys/listening/plays.listener_plays__1"]
    {
        let path = format!("compiled/{below}");
        let text = fs::read_to_string(stage.repo.path().join(&path)).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        plant(&mut config);
        stage.repo.write(&path, serde_json::to_string_pretty(&config).unwrap());
    }
    stage.repo.commit("planted");
    stage.settings("parallelism = 4", "[env.prod.mode.backfill]\nretries = 0\n");
    stage.adopt("HEAD~3");
    let values = "token=planted-env-value, planted-mode-env-value planted-conf-value\n\
                  planted-cluster-value\n";
    let listens = format!("{values}hunter2-listens hunter2-broker\n");
    stage.knob("say.discovery.digest.weekly_digest__0#backfill", values);
    stage.knob("say.listening.plays.listener_plays__1#metadata-upload", &listens);
    stage.knob("fail.discovery.digest.weekly_digest__0#backfill", "1");
    stage
}

/// Every file that applies left, read; there must be some of every kind.
fn left_behind(stage: &Stage) -> Vec<String> {
    let folders = [stage.path("state"), stage.repo.path().join(".chronon-plan")];
    let kept: Vec<PathBuf> = folders.iter().flat_map(|it| files(it)).collect();
    for kind in ["state.json", "lock.json", "history/", "plans/", "journal/", "logs/"] {
        assert!(kept.iter().any(|it| it.display().to_string().contains(kind)), "{kind}");
    }
    let logs = kept.iter().filter(|it| it.extension().is_some_and(|it| it == "log"));
    let logs: String = logs.map(|it| fs::read_to_string(it).unwrap()).collect();
    assert!(logs.contains("token=***"), "the jobs did say something: {logs}");
    kept.iter().map(|it| String::from_utf8_lossy(&fs::read(it).unwrap()).into_owned()).collect()
}

#[test]
fn no_value_of_an_env_a_conf_or_a_cluster_is_kept_or_shown() {
    let stage = planted();
    let partly = stage.apply(&[]);
    assert_eq!(partly.code, 5, "{}", partly.stderr);
    let told = stage.apply(&["--format", "json"]);
    let mut outputs: Vec<String> = vec![partly.stdout, partly.stderr, told.stdout, told.stderr];
    let pull = stage.path("pulled.json").display().to_string();
    let commands = [
        &["state", "list"][..],
        &["state", "show", DIGEST],
        &["state", "show", PLAYS],
        &["state", "history"],
        &["state", "pull", "--out", &pull],
        &["state", "push", "--force", &pull],
        &["state", "rm", DIGEST],
        &["state", "rollback", "1"],
        &["apply", "--dry-run", "--as-of", DAY],
        &["state", "adopt", "--commit", "HEAD", "--force"],
        &["lock", "show"],
        &["lock", "release", "x"],
    ];
    for format in ["text", "json"] {
        for args in commands {
            let run = stage.run(&[args, &["--format", format]].concat());
            assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
            outputs.extend([run.stdout, run.stderr]);
        }
    }
    outputs.push(fs::read_to_string(&pull).unwrap());
    outputs.extend(left_behind(&stage));
    for output in &outputs {
        let shown = SECRETS.iter().find(|it| output.contains(**it));
        assert_eq!(shown, None, "{output}");
    }
}
