//! Verdicts that are easy to get wrong, each on an edit of a fixture repository.

use serde_json::Value;
use serde_json::json;

use crate::support::Repo;
use crate::support::project;
use crate::support::run;

/// A fixture's base on `main`, and a branch to edit.
fn repository(fixture: &str, root: &str) -> Repo {
    let repo = Repo::new();
    repo.copy(&project().join("fixtures").join(fixture).join("base").join(root), root);
    repo.commit("base");
    repo.git(&["checkout", "-q", "-b", "edit"]);
    repo
}

/// Edits a config of the work tree, and writes it under the same or another path.
fn edit(repo: &Repo, from: &str, to: &str, change: impl FnOnce(&mut Value)) {
    let text = std::fs::read(repo.path().join(from)).unwrap();
    let mut body: Value = serde_json::from_slice(&text).unwrap();
    change(&mut body);
    repo.write(to, serde_json::to_vec_pretty(&body).unwrap());
}

fn plan(repo: &Repo, more: &[&str]) -> Value {
    let args = ["plan", "--base", "main", "--as-of", "2026-11-22", "--format", "json"];
    serde_json::from_str(&run(repo.path(), &[&args[..], more].concat()).ok()).unwrap()
}

fn step<'a>(plan: &'a Value, id: &str) -> &'a Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
}

fn codes(plan: &Value) -> Vec<&str> {
    plan["warnings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect()
}

const TRAINING: &str = "compiled/joins/discovery/training.skip_training__0";
const CLEAN: &str = "compiled/staging_queries/catalog/plays.clean_plays__0";

#[test]
fn a_table_that_stands_elsewhere_is_filled_and_the_old_one_left_behind() {
    let repo = repository("zipline", "compiled");
    edit(&repo, TRAINING, TRAINING, |join| {
        join["metaData"]["outputNamespace"] = json!("elsewhere")
    });
    repo.commit("moved");
    let plan = plan(&repo, &[]);
    assert_eq!(
        step(&plan, "joins/discovery.training.skip_training__0#backfill")["rewrite"],
        "fill"
    );
    let what = "table discovery_features.discovery_training_skip_training__0, now elsewhere.discovery_training_skip_training__0";
    assert_eq!(plan["orphans"][0]["what"], what);
    assert!(codes(&plan).is_empty(), "{:?}", codes(&plan));
}

#[test]
fn a_join_sees_that_it_reads_another_table() {
    let repo = repository("zipline", "compiled");
    let fresh = "compiled/staging_queries/catalog/plays.fresh_plays__0";
    edit(&repo, CLEAN, fresh, |query| {
        query["metaData"]["name"] = json!("catalog.plays.fresh_plays__0");
    });
    edit(&repo, TRAINING, TRAINING, |join| {
        let arm = join["left"].as_object_mut().unwrap().values_mut().next().unwrap();
        let field = if arm.get("table").is_some() { "table" } else { "snapshotTable" };
        arm[field] = json!("catalog_features.catalog_plays_fresh_plays__0");
    });
    repo.commit("another left");
    let plan = plan(&repo, &[]);
    let backfill = step(&plan, "joins/discovery.training.skip_training__0#backfill");
    assert_eq!(backfill["rewrite"], "auto");
    let after = ["staging_queries/catalog.plays.fresh_plays__0#backfill"];
    assert_eq!(backfill["after"], json!(after));
    assert!(!codes(&plan).contains(&"history-not-rewritten"));
}

#[test]
fn a_forced_backfill_of_a_join_fills_holes() {
    let repo = repository("zipline", "compiled");
    repo.write("note", "nothing");
    repo.commit("nothing");
    let id = "joins/discovery.training.skip_training__0#backfill";
    let plan = plan(&repo, &["--force", id]);
    assert_eq!(
        (&step(&plan, id)["rewrite"], &step(&plan, id)["cause"]),
        (&json!("fill"), &json!("forced"))
    );
    assert!(codes(&plan).is_empty());
}

#[test]
fn holes_before_the_first_partition_are_filled_only_when_the_start_moved_back() {
    for (start, holes) in [("2023-01-01", true), ("2026-01-01", false)] {
        let repo = repository("oss", "production");
        let path = "production/group_bys/stays/booking_counts.v1";
        edit(&repo, path, path, |group_by| group_by["backfillStartDate"] = json!(start));
        repo.commit("start");
        let plan = plan(&repo, &[]);
        let argv = step(&plan, "group_bys/stays.booking_counts.v1#backfill")["argv"].to_string();
        assert_eq!(argv.contains("--run-first-hole"), holes, "{argv}");
    }
}

#[test]
fn settings_of_a_wrong_shape_are_hidden_too() {
    let path = "compiled/group_bys/listening/plays.listener_plays__1";
    let edits: [(&str, Value); 4] = [
        ("/metaData/executionInfo/env", json!("s3cret")),
        ("/metaData/executionInfo/conf", json!(["s3cret"])),
        ("/metaData/executionInfo/env/common", json!("s3cret")),
        ("/metaData/customJson", json!("{\"additional_env\": {\"A\": \"s3cret\"")),
    ];
    for (pointer, value) in edits {
        let repo = repository("zipline", "compiled");
        edit(&repo, path, path, |it| *it.pointer_mut(pointer).unwrap() = value.clone());
        repo.commit("odd");
        for format in ["text", "markdown", "json"] {
            let shown = run(repo.path(), &["plan", "--base", "main", "--format", format]);
            assert!(!format!("{shown:?}").contains("s3cret"), "{pointer} in {format}");
        }
    }
}

#[test]
fn a_collision_is_told_of_the_config_that_brings_it() {
    let repo = repository("zipline", "compiled");
    let path = "compiled/group_bys/listening/plays.listener_plays__1";
    let copy = "compiled/group_bys/listening/plays.listener.plays__1";
    edit(&repo, path, copy, |it| {
        it["metaData"]["name"] = json!("listening.plays.listener.plays__1")
    });
    repo.commit("copy");
    let plan = plan(&repo, &[]);
    let found = plan["warnings"].as_array().unwrap().iter();
    let collisions: Vec<&Value> = found.filter(|it| it["code"] == "name-collision").collect();
    assert!(!collisions.is_empty());
    for warning in collisions {
        assert_eq!(warning["config"], "group_bys/listening.plays.listener.plays__1");
        assert_eq!(warning["affects"], json!(["group_bys/listening.plays.listener_plays__1"]));
    }
}

/// Settings in which every argument has a value that no other has.
const SETTINGS: &str = r#"
[env.prod]
program = ["uvx", "zipline"]
artifact_prefix = "gs://artifacts"
version = "1.28.0"
extra_args = ["--env=prod"]
[env.prod.mode.streaming]
kafka_bootstrap = "kafka:9092"
flink_state_uri = "gs://flink/state"
online_args = ["-Za=b", "-Zc=d"]
[env.prod.mode.upload-to-kv]
uploader = "spark"
additional_jars = "gs://a.jar,gs://b.jar"
[env.prod.team.listening.mode.upload]
version = "1.29.0"
"#;

const PLAYS: &str = "compiled/group_bys/listening/plays.listener_plays__1";
const RADIO: &str = "compiled/joins/discovery/radio.radio_rank__3";

/// A step, its config's file, and the options that follow it, in order.
const COMMANDS: [(&str, &str, &str); 6] = [
    (
        "group_bys/listening.plays.listener_plays__1#upload",
        PLAYS,
        "--mode=upload --ds=2026-11-21 --artifact-prefix=gs://artifacts --version=1.29.0 \
         --env=prod",
    ),
    (
        "group_bys/listening.plays.listener_plays__1#upload-to-kv",
        PLAYS,
        "--mode=upload-to-kv --ds=2026-11-21 --artifact-prefix=gs://artifacts --version=1.28.0 \
         --additional-jars=gs://a.jar,gs://b.jar --uploader=spark --env=prod",
    ),
    (
        "group_bys/listening.plays.listener_plays__1#streaming",
        PLAYS,
        "--mode=streaming --artifact-prefix=gs://artifacts --version=1.28.0 \
         --kafka-bootstrap=kafka:9092 --flink-state-uri=gs://flink/state \
         --online-args=-Za=b -Zc=d --streaming-mode=deploy --no-savepoint --env=prod",
    ),
    (
        "group_bys/listening.plays.listener_plays__1#metadata-upload",
        PLAYS,
        "--mode=metadata-upload --artifact-prefix=gs://artifacts --version=1.28.0 --env=prod",
    ),
    (
        "joins/discovery.radio.radio_rank__3#backfill",
        RADIO,
        "--mode=backfill --start-ds=2025-07-01 --end-ds=2026-11-21 \
         --artifact-prefix=gs://artifacts --version=1.28.0 --env=prod",
    ),
    (
        "staging_queries/catalog.plays.clean_plays__0#backfill",
        CLEAN,
        "--mode=backfill --start-ds=2025-01-01 --end-ds=2026-11-21 \
         --artifact-prefix=gs://artifacts --version=1.28.0 --force-overwrite --env=prod",
    ),
];

/// Each option is one word of the command: only a new `--` starts the next.
fn options(line: &str) -> Vec<String> {
    line.split(" --").map(|word| format!("--{}", word.trim_start_matches("--"))).collect()
}

#[test]
fn commands_are_what_the_cli_takes() {
    let repo = repository("zipline", "compiled");
    for change in ["add-aggregation", "staging-sql-changed"] {
        let change = project().join("fixtures/zipline/changes").join(change).join("compiled");
        repo.copy(&change, "compiled");
    }
    repo.write("chronon-plan.toml", SETTINGS);
    repo.commit("change");
    let plan = plan(&repo, &[]);
    for (id, conf, rest) in COMMANDS {
        let argv = [["uvx", "zipline", "run", conf].map(str::to_owned).to_vec(), options(rest)];
        assert_eq!(step(&plan, id)["argv"], json!(argv.concat()), "{id}");
    }
}

/// Settings, a step of the change above, and its command.
const OTHERS: [(&str, &str, &[&str]); 4] = [
    (
        "cli = 'legacy'",
        "staging_queries/catalog.plays.clean_plays__0#backfill",
        &[
            "zipline",
            "run",
            "--conf=compiled/staging_queries/catalog/plays.clean_plays__0",
            "--mode=backfill",
            "--start-ds=2025-01-01",
            "--end-ds=2026-11-21",
            "--force-overwrite",
        ],
    ),
    (
        "runner = 'command'\ncommand = ['sh', '-c', 'run it', '{mode}', '{start_ds}', '{end_ds}']",
        "staging_queries/catalog.plays.clean_plays__0#backfill",
        &["sh", "-c", "run it", "backfill", "2025-01-01", "2026-11-21"],
    ),
    (
        "runner = 'command'\ncommand = ['run', '{name}@{team}', '{ds}', '{start_ds}', '{operation}']",
        "group_bys/listening.plays.listener_plays__1#upload",
        &["run", "listening.plays.listener_plays__1@listening", "2026-11-21", "{operation}"],
    ),
    (
        "runner = 'command'\ncommand = ['x']\n[env.prod.mode.upload]\ncommand = ['own', '{conf}']",
        "group_bys/listening.plays.listener_plays__1#upload",
        &["own", PLAYS],
    ),
];

#[test]
fn commands_are_what_an_old_cli_or_ones_own_takes() {
    let repo = repository("zipline", "compiled");
    for change in ["add-aggregation", "staging-sql-changed"] {
        let change = project().join("fixtures/zipline/changes").join(change).join("compiled");
        repo.copy(&change, "compiled");
    }
    for (settings, id, argv) in OTHERS {
        repo.write("chronon-plan.toml", format!("[env.prod]\n{settings}\n"));
        repo.commit("settings");
        assert_eq!(step(&plan(&repo, &[]), id)["argv"], json!(argv), "{settings}");
    }
    repo.write("chronon-plan.toml", "[env.prod]\nrunner = 'command'\n");
    repo.commit("no command");
    let plan = plan(&repo, &[]);
    let step = step(&plan, "group_bys/listening.plays.listener_plays__1#upload");
    assert!(step["manual"].as_str().unwrap().contains("`env.*.command`"), "{step}");
}
