//! What scheduled tasks wait for: offsets, lags, partitions below that of the day, cut-offs, hourly
//! grids, tables of other configs, and schedules of every kind, each by a repository of its own.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::support::Repo;
use crate::support::run;

/// A repository of compiled files, by path below the root.
struct Place {
    repo: Repo,
    root: &'static str,
}

fn meta(name: &str, more: &Value) -> Value {
    let mut meta = json!({"name": name, "team": "t", "outputNamespace": "ns"});
    let of = more.as_object().unwrap().clone();
    meta.as_object_mut().unwrap().extend(of);
    meta
}

fn group_by(name: &str, source: &Value, more: &Value) -> (String, Value) {
    let body = json!({"metaData": meta(name, more), "sources": [source], "keyColumns": ["k"],
        "backfillStartDate": "2024-01-01"});
    (format!("group_bys/t/{}", name.split_once('.').unwrap().1), body)
}

fn events(table: &str, query: &Value) -> Value {
    json!({"events": {"table": table, "query": query}})
}

/// A GroupBy of dialect ZIP that is computed every day.
fn daily(name: &str, source: &Value) -> (String, Value) {
    let mut group_by =
        group_by(name, source, &json!({"executionInfo": {"offlineSchedule": "@daily"}}));
    group_by.1.as_object_mut().unwrap().remove("backfillStartDate");
    group_by
}

impl Place {
    fn new(root: &'static str, configs: &[(String, Value)], settings: &str) -> Self {
        let repo = Repo::new();
        for (path, body) in configs {
            repo.write(&format!("{root}/{path}"), body.to_string());
        }
        repo.write("chronon-plan.toml", settings);
        repo.commit("configs");
        Self { repo, root }
    }

    /// The DAGs, and what was said beside them.
    fn dags(&self) -> (Value, String) {
        let (manifest, said) = self.manifest();
        (manifest["dags"].clone(), said)
    }

    fn manifest(&self) -> (Value, String) {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        let args = ["airflow", "render", "--root", self.root, "--out", folder];
        let told = run(self.repo.path(), &args);
        assert_eq!(told.code, 0, "{}", told.stderr);
        let json = std::fs::read(out.path().join("chronon_dags.json")).unwrap();
        (serde_json::from_slice(&json).unwrap(), told.stderr)
    }
}

/// The waits of one DAG, by name.
fn waits<'a>(dags: &'a Value, dag: &str) -> BTreeMap<&'a str, &'a Value> {
    let tasks = dags[dag]["tasks"].as_object().unwrap_or_else(|| panic!("no {dag}: {dags:#}"));
    let is = |kind: &Value| kind == "partition" || kind == "external";
    tasks.iter().filter(|it| is(&it.1["kind"])).map(|it| (it.0.as_str(), it.1)).collect()
}

/// What a query says, the task that waits, and fields of it.
type Said = (&'static str, Value, &'static str, Value);

fn said() -> [Said; 8] {
    let hours = json!({"length": 1, "timeUnit": 0});
    [
        ("plain", json!({}), "wait__raw_plain", json!({"column": "ds", "lag": 0, "below": []})),
        (
            "late",
            json!({"partitionLag": {"length": 2, "timeUnit": 1}}),
            "wait__raw_late__minus_2d",
            json!({"lag": 2880}),
        ),
        (
            "hours_late",
            json!({"partitionLag": {"length": 5, "timeUnit": 0}}),
            "wait__raw_hours_late__minus_5h",
            json!({"lag": 300}),
        ),
        (
            "below",
            json!({"subPartitionsToWaitFor": ["hr=23:00"]}),
            "wait__raw_below__hr_23_00",
            json!({"below": ["hr=23:00"]}),
        ),
        (
            "began",
            json!({"startPartition": "2025-03-01"}),
            "wait__raw_began",
            json!({"first": "2025-03-01"}),
        ),
        (
            "ended",
            json!({"endPartition": "2025-06-30"}),
            "wait__raw_ended__",
            json!({"last": "2025-06-30"}),
        ),
        (
            "hourly",
            json!({"partitionInterval": hours, "partitionFormat": "yyyy-MM-dd-HH", "partitionColumn": "slot"}),
            "wait__raw_hourly__",
            json!({"column": "slot", "grid": {"format": "yyyy-MM-dd-HH", "minutes": 60}}),
        ),
        (
            "shifted",
            json!({"partitionInterval": {"length": 3, "timeUnit": 0}, "partitionOffset": hours}),
            "wait__raw_shifted__",
            json!({"grid": {"format": "yyyy-MM-dd-HH-mm", "minutes": 180, "shift": 60}}),
        ),
    ]
}

#[test]
fn a_query_says_when_what_it_reads_is_there() {
    let rows = said();
    let configs: Vec<_> = rows
        .iter()
        .map(|it| daily(&format!("t.f.{}", it.0), &events(&format!("raw.{}", it.0), &it.1)))
        .collect();
    let (dags, _) = Place::new("compiled", &configs, "").dags();
    let waits = waits(&dags, "chronon_gb_batch_t");
    for (name, _, task, expected) in rows {
        let found = waits.iter().find(|it| it.1["table"] == format!("raw.{name}"));
        let (id, wait) = found.unwrap_or_else(|| panic!("nothing waits for raw.{name}"));
        // What is not daily, or ends, has a hash behind its name.
        assert!(*id == task || (task.ends_with("__") && id.starts_with(task)), "{id}");
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(wait[field], *value, "{name}: {wait}");
        }
        let job = &dags["chronon_gb_batch_t"]["tasks"][format!("backfill__t_f_{name}")];
        assert_eq!(job["after"], json!([id]));
    }
}

#[test]
fn who_reads_the_same_from_different_days_on_waits_together_from_the_earlier() {
    let from = |start: &str| events("raw.x", &json!({"startPartition": start}));
    let configs = [daily("t.f.a", &from("2025-03-01")), daily("t.f.b", &from("2024-03-01"))];
    let (dags, _) = Place::new("compiled", &configs, "").dags();
    let all = waits(&dags, "chronon_gb_batch_t");
    assert_eq!(all.keys().collect::<Vec<_>>(), [&"wait__raw_x"]);
    assert_eq!(all["wait__raw_x"]["first"], "2024-03-01");
    let open = [daily("t.f.a", &from("2025-03-01")), daily("t.f.b", &events("raw.x", &json!({})))];
    let (dags, _) = Place::new("compiled", &open, "").dags();
    assert_eq!(waits(&dags, "chronon_gb_batch_t")["wait__raw_x"]["first"], Value::Null);
}

#[test]
fn a_table_with_times_and_no_partitions_is_told_and_not_waited_for() {
    let timed = daily("t.f.timed", &events("raw.timed", &json!({"timePartitioned": 1})));
    let (dags, said) = Place::new("compiled", &[timed], "").dags();
    assert!(waits(&dags, "chronon_gb_batch_t").is_empty());
    assert!(said.contains("chronon_gb_batch_t: nothing waits for raw.timed"), "{said}");
}

/// A StagingQuery of dialect ZIP.
fn query(name: &str, reads: &str, schedule: Option<&str>) -> (String, Value) {
    let info = schedule.map_or(json!({}), |it| json!({"offlineSchedule": it}));
    let body = json!({"metaData": meta(name, &json!({"executionInfo": info})), "query": "SELECT 1",
        "tableDependencies": [{"tableInfo": {"table": reads, "partitionColumn": "ds"},
            "startOffset": {"length": 0, "timeUnit": 1}, "endOffset": {"length": 1, "timeUnit": 1},
            "endCutOff": "2030-01-01"}]});
    (format!("staging_queries/t/{}", name.split_once('.').unwrap().1), body)
}

#[test]
fn what_a_config_writes_is_waited_for_by_the_task_that_writes_it() {
    let configs = [
        query("t.f.first", "raw.x", Some("0 3 * * *")),
        query("t.f.second", "ns.t_f_first", Some("0 3 * * *")),
        query("t.f.never", "raw.y", Some("@never")),
        daily("t.f.reader", &events("ns.t_f_second", &json!({}))),
        daily("t.f.of_never", &events("ns.t_f_never", &json!({}))),
        daily("t.f.chained", &events("ns.t_f_reader", &json!({}))),
    ];
    let (dags, _) = Place::new("compiled", &configs, "").dags();
    let queries = waits(&dags, "chronon_staging_query_t__0_3_x_x_x");
    // The declared offset of a day: the producer's run of the day before.
    let named = "wait__chronon_staging_query_t__0_3_x_x_x__backfill__t_f_first__minus_1d";
    let before = queries.iter().find(|it| it.0.starts_with(named)).unwrap().1;
    assert_eq!((&before["kind"], &before["lag"]), (&json!("external"), &json!(1440)));
    let of_batch = waits(&dags, "chronon_gb_batch_t");
    let reader = of_batch["wait__chronon_staging_query_t__0_3_x_x_x__backfill__t_f_second"];
    assert_eq!(reader["schedule"], "0 3 * * *");
    assert_eq!(reader["task"], "backfill__t_f_second");
    // What is never run by the clock is looked for like any other table.
    assert_eq!(of_batch["wait__ns_t_f_never"]["kind"], "partition");
    let chained = &dags["chronon_gb_batch_t"]["tasks"]["backfill__t_f_chained"];
    assert_eq!(chained["after"], json!(["backfill__t_f_reader"]), "directly, in the same DAG");
}

#[test]
fn schedules_are_read_in_every_spelling_and_nonsense_is_told() {
    let rows = [
        ("a", Some("@hourly"), "chronon_staging_query_t__hourly", json!("0 * * * *")),
        ("b", Some("0 6 * * *"), "chronon_staging_query_t__0_6_x_x_x", json!("0 6 * * *")),
        ("c", Some("@weekly"), "chronon_staging_query_t__weekly", json!("0 0 * * 0")),
        ("d", None, "chronon_staging_query_t", json!("0 0 * * *")),
        ("e", Some("every day"), "chronon_staging_query_t", json!("0 0 * * *")),
    ];
    let configs: Vec<_> =
        rows.iter().map(|it| query(&format!("t.f.{}", it.0), "raw.x", it.1)).collect();
    let (dags, said) = Place::new("compiled", &configs, "").dags();
    for (name, _, dag, cron) in rows {
        assert_eq!(dags[dag]["schedule"], cron);
        assert!(dags[dag]["tasks"][format!("backfill__t_f_{name}")].is_object(), "{name} in {dag}");
    }
    assert!(
        said.contains("t.f.e has the schedule `every day`, which Airflow does not know"),
        "{said}"
    );
}

#[test]
fn an_hourly_output_is_computed_hour_by_hour() {
    let (path, mut body) = daily("t.f.h", &events("raw.x", &json!({})));
    body["metaData"]["executionInfo"]["offlineSchedule"] = json!("@hourly");
    body["metaData"]["executionInfo"]["outputTableInfo"] =
        json!({"partitionInterval": {"length": 1, "timeUnit": 0}, "partitionFormat": "yyyyMMddHH"});
    let (dags, _) = Place::new("compiled", &[(path, body)], "").dags();
    let tasks = &dags["chronon_gb_batch_t__hourly"]["tasks"];
    let grid = json!({"format": "yyyyMMddHH", "minutes": 60});
    assert_eq!(tasks["backfill__t_f_h"]["grid"], grid);
    let wait = waits(&dags, "chronon_gb_batch_t__hourly").into_values().next().unwrap().clone();
    assert_eq!((wait["of"].clone(), wait["grid"]["minutes"].clone()), (grid, json!(1440)));
}

#[test]
fn names_that_become_alike_or_too_long_stay_apart() {
    let long = format!("t.f.{}", "x".repeat(240));
    let configs = [
        daily("t.f.a_b", &events("raw.x", &json!({}))),
        daily("t.f.a.b", &events("raw.x", &json!({}))),
        daily(&long, &events("raw.x", &json!({}))),
    ];
    let (dags, _) = Place::new("compiled", &configs, "").dags();
    let tasks = dags["chronon_gb_batch_t"]["tasks"].as_object().unwrap();
    let jobs: Vec<&String> = tasks.keys().filter(|it| it.starts_with("backfill__")).collect();
    assert_eq!(jobs.len(), 3, "{jobs:?}");
    assert!(jobs.iter().all(|it| it.len() <= 250));
}

#[test]
fn the_other_dialect_says_it_in_tables_lags_and_specs() {
    let custom = json!({"customJson": "{\"lag\": 1}", "offlineSchedule": "@daily"});
    let entities =
        json!({"entities": {"snapshotTable": "raw.snap", "mutationTable": "raw.mut/hr=00:00"}});
    let spec = |text: &str, end: Value| {
        json!({"name": "w", "spec": text, "start": null, "end": end}).to_string()
    };
    let declared = json!({"dependencies": [
        spec("raw.extra/ds={{ ds }}/hr=23", json!("2025-12-31")),
        spec("raw.snap/ds={{ ds }}", Value::Null),
    ]});
    let view = json!({"metaData": {"name": "t.view", "team": "t", "outputNamespace": "ns",
        "dependencies": ["other.chronon_signal_partitions/ds={{ ds }}/table_name=other.view"]},
        "query": "SELECT 1", "startPartition": "2025-01-01"});
    let configs = [
        group_by("t.f.lagging", &events("raw.x", &json!({})), &custom),
        group_by("t.f.snap", &entities, &declared),
        ("staging_queries/t/view".to_owned(), view),
    ];
    let settings = "[env.prod]\ndialect = \"oss\"\nroot = \"production\"\n[team.t]\nowner = \"ana\"\npool = \"small\"\n";
    let place = Place::new("production", &configs, settings);
    place.repo.write(
        "teams.json",
        json!({"default": {"common_env": {"PARTITION_COLUMN": "day"}},
        "t": {"user": "# TODO", "emails": ["a@b.c"]}})
        .to_string(),
    );
    place.repo.commit("teams");
    let (dags, said) = place.dags();
    let waits = waits(&dags, "chronon_gb_batch_t");
    let of = |table: &str| {
        let found = waits.values().find(|it| it["table"] == table);
        (*found.unwrap_or_else(|| panic!("nothing waits for {table}: {waits:#?}"))).clone()
    };
    assert_eq!(
        (of("raw.x")["lag"].clone(), of("raw.x")["column"].clone()),
        (json!(1440), json!("day"))
    );
    assert_eq!(of("raw.mut")["below"], json!(["hr=00:00"]));
    // What is declared beside the sources is waited for too, and what is a source once.
    assert_eq!(
        (of("raw.extra")["below"].clone(), of("raw.extra")["last"].clone()),
        (json!(["hr=23"]), json!("2025-12-31"))
    );
    assert_eq!(waits.values().filter(|it| it["table"] == "raw.snap").count(), 1);
    let queries = dags["chronon_staging_query_t"]["tasks"].as_object().unwrap();
    let signal = queries.values().find(|it| it["kind"] == "partition").unwrap();
    assert_eq!(signal["table"], "other.chronon_signal_partitions");
    assert_eq!(signal["below"], json!(["table_name=other.view"]));
    assert!(!said.contains("is not among the teams"), "{said}");
}

#[test]
fn tables_whose_names_become_alike_are_waited_for_each() {
    let configs = [
        daily("t.f.a", &events("raw.user_events", &json!({}))),
        daily("t.f.b", &events("raw_user.events", &json!({}))),
    ];
    let (dags, _) = Place::new("compiled", &configs, "").dags();
    let tasks = &dags["chronon_gb_batch_t"]["tasks"];
    for (job, table) in
        [("backfill__t_f_a", "raw.user_events"), ("backfill__t_f_b", "raw_user.events")]
    {
        let after: Vec<&str> =
            tasks[job]["after"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(after.len(), 1);
        assert_eq!(tasks[after[0]]["table"], table, "{job}");
    }
}

/// A Join, with parts and more.
fn join(name: &str, left: &Value, more: &Value, body: &Value) -> (String, Value) {
    let mut join = json!({"metaData": meta(name, more), "left": left, "joinParts": []});
    join.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let (team, rest) = name.split_once('.').unwrap();
    (format!("joins/{team}/{rest}"), join)
}

#[test]
fn dags_of_teams_never_share_a_name_whatever_teams_are_called() {
    let left = events("raw.left", &json!({}));
    let of = |team: &str, more: &Value| {
        let mut join = join(&format!("{team}.j"), &left, more, &json!({}));
        join.1["metaData"]["team"] = json!(team);
        join
    };
    let online = json!({"online": 1, "consistencyCheck": 1});
    let configs = [
        of("backfill", &json!({})),
        of("ooc_x", &json!({})),
        of("x", &online),
        of("a-b", &json!({})),
        of("a_b", &json!({})),
    ];
    let (dags, _) = Place::new("compiled", &configs, "").dags();
    assert_eq!(dags["chronon_join_backfill"]["kind"], "bounded");
    for (team, families) in [("backfill", 1), ("ooc_x", 1), ("x", 2), ("a-b", 1), ("a_b", 1)] {
        let own: Vec<_> =
            dags.as_object().unwrap().values().filter(|it| it["team"] == team).collect();
        assert_eq!(own.len(), families, "{team}");
        let other = own.iter().flat_map(|it| it["tasks"].as_object().unwrap().values());
        let other = other.filter_map(|it| it["config"].as_str());
        assert!(other.into_iter().all(|it| it == format!("joins/{team}.j")), "{team}");
    }
}

#[test]
fn who_is_chained_on_a_join_that_never_runs_waits_for_what_the_join_reads() {
    let part = json!({"groupBy": {"metaData": meta("t.part", &json!({})),
        "sources": [events("ns.t_f_query", &json!({}))]}});
    let parent = |schedule: &str| {
        let more = json!({"executionInfo": {"offlineSchedule": schedule}});
        let left = events("raw.left", &json!({"partitionLag": {"length": 1, "timeUnit": 1}}));
        join("t.f.parent", &left, &more, &json!({"joinParts": [part]}))
    };
    let after = |schedule: &str| {
        let parent = parent(schedule);
        let source = json!({"joinSource": {"join": parent.1}});
        let configs = [query("t.f.query", "raw.x", None), parent, daily("t.f.chained", &source)];
        let (dags, _) = Place::new("compiled", &configs, "").dags();
        dags["chronon_gb_batch_t"]["tasks"]["backfill__t_f_chained"]["after"].clone()
    };
    assert_eq!(after("@daily"), json!(["wait__chronon_join_t__backfill__t_f_parent"]));
    let inside = ["wait__chronon_staging_query_t__backfill__t_f_query", "wait__raw_left__minus_1d"];
    assert_eq!(after("@never"), json!(inside));
}

#[test]
fn a_join_does_not_wait_for_its_labels() {
    let label = json!({"groupBy": {"metaData": {"name": "label"},
        "sources": [events("raw.label", &json!({}))]}});
    let more = json!({"labelPart": {"labels": [label]}});
    let join = join("t.f.j", &events("raw.left", &json!({})), &json!({}), &more);
    let settings = "[env.prod]\ndialect = \"oss\"\n";
    let (dags, _) = Place::new("production", &[join], settings).dags();
    let tasks = &dags["chronon_join_t"]["tasks"];
    assert_eq!(tasks["backfill__t_f_j"]["after"], json!(["wait__raw_left"]));
}

#[test]
fn nobody_waits_for_a_task_that_no_command_runs() {
    let mut reader = daily("t.f.g", &events("ns.t_f_query", &json!({})));
    reader.1["metaData"]["online"] = json!(1);
    let settings = "[env.prod]\nrunner = \"command\"\n[env.prod.mode.upload-to-kv]\ncommand = [\"sh\", \"-c\", \"load {conf} {ds}\"]\n";
    let place = Place::new("compiled", &[query("t.f.query", "raw.x", None), reader], settings);
    let (dags, said) = place.dags();
    let tasks = &dags["chronon_gb_batch_t"]["tasks"];
    // What an upload would have waited for, as any other table.
    assert_eq!(tasks["upload-to-kv__t_f_g"]["after"], json!(["wait__ns_t_f_query"]));
    assert_eq!(tasks["wait__ns_t_f_query"]["kind"], "partition");
    let load = json!(["sh", "-c", "load compiled/group_bys/t/f.g {ds}"]);
    assert_eq!(tasks["upload-to-kv__t_f_g"]["argv"], load);
    assert!(said.contains("no command runs `backfill`"), "{said}");
}

#[test]
fn tasks_that_wait_for_each_other_are_refused() {
    let needs = |name: &str, on: &str| {
        let spec = json!([{"name": "w", "spec": format!("{on}/ds={{{{ ds }}}}")}]);
        let custom = json!({"airflowDependencies": spec}).to_string();
        let info = json!({"executionInfo": {"offlineSchedule": "@daily"}, "customJson": custom});
        let mut config = daily(name, &events("raw.x", &json!({})));
        config.1["metaData"] = meta(name, &info);
        config
    };
    let configs = [needs("t.f.a", "ns.t_f_b"), needs("t.f.b", "ns.t_f_a")];
    let settings = "[env.prod.airflow]\ndags = \"gs://b/dags\"\n";
    let place = Place::new("compiled", &configs, settings);
    let what = "these configs wait for each other: group_bys/t.f.a, group_bys/t.f.b";
    for args in [&["airflow", "render", "--out", "dags"][..], &["plan", "--no-state"]] {
        let told = run(place.repo.path(), args);
        assert!(told.code == 1 && told.stderr.contains(what), "{args:?}: {}", told.stderr);
    }
    let told = run(place.repo.path(), &["validate"]);
    let found = "these wait for each other: group_bys/t.f.a, group_bys/t.f.b";
    assert!(told.code != 0 && told.stdout.contains(found), "{}{}", told.stdout, told.stderr);
}

#[test]
fn what_would_be_waited_for_in_vain_or_not_at_all_is_told() {
    let bare = json!({"metaData": meta("t.f.bare", &json!({})), "query": "SELECT * FROM raw.y"});
    let configs = [
        query("t.f.weekly", "raw.x", Some("@weekly")),
        daily("t.f.reader", &events("ns.t_f_weekly", &json!({}))),
        ("staging_queries/t/f.bare".to_owned(), bare),
        query("t.f.never", "raw.z", Some("@never")),
        daily("t.f.of_never", &events("ns.t_f_never", &json!({}))),
    ];
    let settings = "[team.tt]\nowner = \"ana\"\n";
    let (_, said) = Place::new("compiled", &configs, settings).dags();
    for note in [
        "chronon_gb_batch_t: group_bys/t.f.reader waits for backfill__t_f_weekly, which does not run every day (`weekly`)",
        "chronon_staging_query_t: staging_queries/t.f.bare waits for nothing",
        "chronon_gb_batch_t: group_bys/t.f.of_never waits for ns.t_f_never, which staging_queries/t.f.never writes and no DAG runs",
        "note: [team.tt] is about no config of this commit; did you mean `t`?",
    ] {
        assert!(said.contains(note), "{note}: {said}");
    }
    let settings = "[env.prod]\ndialect = \"oss\"\n[env.prod.airflow]\nsensor = \"metastore\"\n";
    let config = group_by("t.f.a", &events("raw.x", &json!({})), &json!({}));
    let (_, said) = Place::new("production", &[config], settings).dags();
    assert!(said.contains("the CLI of dialect oss has no `check-partitions`"), "{said}");
}

#[test]
fn numbers_of_the_teams_file_that_no_setting_would_take_do_not_count() {
    let config = group_by("t.f.a", &events("raw.x", &json!({})), &json!({}));
    let place = Place::new("production", &[config], "[team.default]\nqueue = \"all\"\n");
    let teams = json!({"default": {"priority": u32::MAX, "queue": "below"},
        "t": {"concurrency": 0, "priority": 7, "queue": ""}});
    place.repo.write("teams.json", teams.to_string());
    place.repo.commit("teams");
    let team = place.manifest().0["teams"]["t"].clone();
    let of = |key: &str| team[key].clone();
    assert_eq!(
        (of("concurrency"), of("priority"), of("queue")),
        (json!(16), json!(7), json!("all"))
    );
}
