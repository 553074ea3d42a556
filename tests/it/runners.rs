//! The runner of the real zipline CLI: what it takes for success, what it finds again after a
//! killed run, and what it refuses beforehand. Only `java` and `gcloud` are stand-ins.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use chronon_plan::apply::machine::Machine;
use chronon_plan::apply::runner::Context;
use chronon_plan::apply::runner::Found;
use chronon_plan::apply::runner::Job;
use chronon_plan::apply::runner::Outcome;
use chronon_plan::apply::runner::Problem;
use chronon_plan::apply::runner::Runner;
use chronon_plan::apply::runner::Stop;
use chronon_plan::apply::zipline::ZiplineRunner;
use chronon_plan::model::name::Dialect;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::support::gcs::Gcs;
use crate::support::project;
use crate::support::standin::StandIns;
use crate::support::standin::zipline;
use crate::support::still_running;

const PLAYS: &str = "compiled/group_bys/listening/plays.listener_plays__1";
const RADIO: &str = "compiled/joins/discovery/radio.radio_rank__3";
const CLEAN: &str = "compiled/staging_queries/catalog/plays.clean_plays__0";

/// The variables that GCP jobs need; the fixtures' configs bring CLOUD_PROVIDER and CUSTOMER_ID.
const VARIABLES: [(&str, &str); 4] = [
    ("GCP_PROJECT_ID", "proj-1"),
    ("GCP_REGION", "region-1"),
    ("GCP_BIGTABLE_INSTANCE_ID", "instance-1"),
    ("WAREHOUSE_BUCKET", "warehouse"),
];

/// A machine with the real CLI, the stand-ins, a bucket service, and the files of a commit.
struct Place {
    folder: TempDir,
    gcs: Gcs,
    stand_ins: StandIns,
    env: BTreeMap<String, String>,
}

fn place(knobs: &Value) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let gcs = Gcs::start();
    ["artifacts", "warehouse", "flink"].iter().for_each(|bucket| gcs.bucket(bucket));
    for jar in ["cloud_gcp_lib_deploy", "service_assembly_deploy", "flink_assembly_deploy"] {
        // The same bytes in every test: the CLI keeps jars in one folder of the machine.
        gcs.put("artifacts", &format!("release/1.28.0/jars/{jar}.jar"), b"not a jar");
    }
    copy(&project().join("fixtures/zipline/base/compiled"), &folder.path().join("repo/compiled"));
    let stand_ins = StandIns::new(&folder.path().join("bin"), knobs);
    let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
    let mut env: BTreeMap<String, String> =
        VARIABLES.iter().map(|it| (it.0.to_owned(), it.1.to_owned())).collect();
    env.insert("PATH".to_owned(), path);
    env.insert("STORAGE_EMULATOR_HOST".to_owned(), gcs.endpoint());
    env.insert("HOME".to_owned(), folder.path().display().to_string());
    // It would make the CLI read other files than those of the commit.
    env.insert("CHRONON_ROOT".to_owned(), "/nowhere".to_owned());
    Place { folder, gcs, stand_ins, env }
}

fn copy(from: &Path, to: &Path) {
    for file in crate::support::files(from) {
        let to = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&file, to).unwrap();
    }
}

impl Place {
    fn runner(&self) -> ZiplineRunner {
        let machine = Machine { env: self.env.clone(), locks: self.path("locks") };
        ZiplineRunner::new(machine, Dialect::Zip)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn job(&self, mode: &str, path: &str, more: &[&str]) -> Job {
        let program = zipline().join("zipline").display().to_string();
        let mode_option = format!("--mode={mode}");
        let usual = ["--artifact-prefix=gs://artifacts", "--version=1.28.0"];
        let words = [program.as_str(), "run", path, &mode_option].into_iter().chain(usual);
        let name = json_of(&self.path("repo").join(path))["metaData"]["name"].clone();
        Job {
            step: format!("{path}#{mode}"),
            mode: mode.to_owned(),
            argv: words.chain(more.iter().copied()).map(str::to_owned).collect(),
            path: path.to_owned(),
            name: name.as_str().unwrap().to_owned(),
            operation: format!("{path} {mode}"),
            folder: self.path("repo"),
            log: self.path("job.log"),
            secrets: Vec::new(),
            timeout: Duration::from_secs(120),
            chunk_days: None,
            may_be_running: false,
        }
    }

    fn stream(&self) -> Job {
        let words =
            ["--flink-state-uri=gs://flink/state", "--streaming-mode=deploy", "--no-savepoint"];
        self.job("streaming", PLAYS, &words)
    }

    fn run(&self, job: &Job) -> (Outcome, Vec<String>) {
        self.run_until(job, &Stop::default())
    }

    fn run_until(&self, job: &Job, stop: &Stop) -> (Outcome, Vec<String>) {
        let ids = Mutex::new(Vec::new());
        let tell = |id: &str| ids.lock().unwrap().push(id.to_owned());
        let outcome = self
            .runner()
            .run(job, Context { job_id: &tell, page: &|_, _| (), detach: false, stop });
        (outcome, ids.into_inner().unwrap())
    }

    fn find(&self, job: &Job) -> Found {
        let context =
            Context { job_id: &|_| (), page: &|_, _| (), detach: false, stop: &Stop::default() };
        self.runner().find(job, "job-1", context)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("job.log")).unwrap_or_default()
    }

    fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let file = self.path("repo").join(path);
        let mut document = json_of(&file);
        change(&mut document);
        fs::write(file, document.to_string()).unwrap();
    }
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// What failed, and whether trying again may help.
fn failure(outcome: &Outcome) -> (&str, bool) {
    match outcome {
        Outcome::Failed { what, again, .. } => (what, *again),
        _ => panic!("{outcome:?}"),
    }
}

fn upload(place: &Place) -> Job {
    place.job("upload", PLAYS, &["--ds=2026-01-03"])
}

const GOOD: &str = "INFO success count = 1, failure count = 0";

#[test]
fn every_mode_succeeds_by_its_own_proof() {
    let place = place(&json!({"driver": [GOOD]}));
    let range = ["--start-ds=2026-01-01", "--end-ds=2026-01-03"];
    let day = ["--ds=2026-01-03"];
    let jobs = [
        place.job("backfill", PLAYS, &range),
        place.job("backfill", RADIO, &range),
        place.job("backfill", CLEAN, &["--force-overwrite", range[0], range[1]]),
        upload(&place),
        place.job("upload-to-kv", PLAYS, &["--uploader=spark", day[0]]),
        place.job("metadata-upload", PLAYS, &[]),
        place.job("metadata-upload", RADIO, &[]),
        place.job("log-flattener", RADIO, &["--log-table=a.b", "--schema-table=a.c", day[0]]),
        place.job("build-comparison-table", RADIO, &day),
        place.job("consistency-metrics-compute", RADIO, &day),
    ];
    // One runner for all: its jobs share the machine.
    let runner = place.runner();
    assert_eq!(runner.preflight(&jobs), []);
    let ids = Mutex::new(Vec::new());
    let queue = Mutex::new(jobs.iter().enumerate());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((at, job)) = { queue.lock().unwrap().next() } {
                    let mut job = job.clone();
                    job.log = place.path(&format!("{at}.log"));
                    let tell = |id: &str| ids.lock().unwrap().push(id.to_owned());
                    let context = Context {
                        job_id: &tell,
                        page: &|_, _| (),
                        detach: false,
                        stop: &Stop::default(),
                    };
                    let outcome = runner.run(&job, context);
                    assert_eq!(outcome, Outcome::Done, "{}", job.step);
                }
            });
        }
    });
    assert_eq!(place.stand_ins.calls("java").len(), jobs.len());
    let ids = ids.into_inner().unwrap();
    assert_eq!(ids.len(), jobs.len());
    for call in place.stand_ins.calls("java") {
        assert!(ids.iter().any(|id| call.contains(&format!("--job-id={id}"))), "{call:?}");
    }
}

#[test]
fn a_stream_succeeds_by_its_manifest() {
    let place = place(&json!({"states": ["RUNNING"]}));
    let job = place.stream();
    assert_eq!(place.runner().preflight(std::slice::from_ref(&job)), []);
    let (outcome, ids) = place.run(&job);
    assert_eq!(outcome, Outcome::Done);
    assert!(place.stand_ins.calls("java")[0].contains(&format!("--job-id={}", ids[0])));
}

#[test]
fn the_id_is_known_before_java_starts_and_no_secret_is_shown() {
    let place = place(&json!({"exit": 1, "states": ["NOT_FOUND"]}));
    let calls = Mutex::new(Vec::new());
    let tell = |id: &str| {
        calls.lock().unwrap().push((id.to_owned(), place.stand_ins.calls("java").len()));
        thread::sleep(Duration::from_millis(50));
    };
    let context =
        Context { job_id: &tell, page: &|_, _| (), detach: false, stop: &Stop::default() };
    let outcome = place.runner().run(&place.stream(), context);
    let (what, again) = failure(&outcome);
    assert_eq!(
        (what, again),
        ("it ended with exit code 1", true),
        "java failed, and there is no job"
    );
    let calls = calls.into_inner().unwrap();
    assert_eq!(calls.len(), 1);
    assert!(place.log().contains("made to fail"), "{}", place.log());
    // The CLI prints the env of the config; the log keeps the names alone.
    assert!(place.log().contains("LISTENS_API_TOKEN=***"), "{}", place.log());
    for shown in [place.log(), format!("{outcome:?}")] {
        for secret in ["hunter2-listens", "hunter2-broker", "polyphony"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn exit_code_0_without_a_job_id_is_no_success() {
    let place = place(&json!({"id": false, "states": ["ERROR"]}));
    let (outcome, ids) = place.run(&upload(&place));
    let (what, again) = failure(&outcome);
    assert!(
        what.contains("did not say that a job was submitted") && what.contains(&ids[0]),
        "{what}"
    );
    assert!(!again);
}

#[test]
fn a_job_that_ends_otherwise_than_done_has_failed() {
    for (state, expected) in [("ERROR", "ended as ERROR"), ("CANCELLED", "ended as CANCELLED")] {
        let place = place(&json!({"states": [state]}));
        let (outcome, ids) = place.run(&upload(&place));
        let (what, again) = failure(&outcome);
        assert!(what.contains(expected) && what.contains(&ids[0]) && again, "{what}");
    }
}

#[test]
fn a_cli_that_lost_sight_of_its_job_is_not_believed() {
    // `gcloud … wait` fails, so the CLI ends with 1, but the job goes on and is done.
    let place = place(&json!({"wait": 1, "states": ["RUNNING", "DONE"]}));
    let (outcome, _) = place.run(&upload(&place));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(place.stand_ins.calls("java").len(), 1);
    // Where nobody can tell, it is not submitted again.
    let place = self::place(&json!({"wait": 1, "states": ["BROKEN"]}));
    let (outcome, _) = place.run(&upload(&place));
    let (what, again) = failure(&outcome);
    assert!(
        what.contains("cannot be learned") && what.contains("look by hand") && !again,
        "{what}"
    );
}

#[test]
fn metadata_counts_only_if_the_driver_stored_it() {
    for (driver, expected, may_again) in [
        (json!(["success count = 3, failure count = 2"]), "2 entries", true),
        (json!(["success count = 0, failure count = 0"]), "stored nothing", false),
        (json!([]), "does not say how many", false),
    ] {
        let place = place(&json!({"driver": driver}));
        let (outcome, _) = place.run(&place.job("metadata-upload", PLAYS, &[]));
        let (what, again) = failure(&outcome);
        assert!(what.contains(expected), "{what}");
        assert_eq!(again, may_again, "{what}");
    }
}

#[test]
fn a_stream_counts_only_once_its_job_runs() {
    let ends = place(&json!({"states": ["DONE"]}));
    let (outcome, _) = ends.run(&ends.stream());
    let (what, again) = failure(&outcome);
    assert!(what.contains("has ended") && again, "{what}");
}

#[test]
fn a_stream_that_runs_is_left_alone_and_another_is_deployed() {
    for (knobs, javas, runs) in [
        (json!({"runs": "job-7", "states": ["RUNNING"]}), 1, Some("job-7")),
        (json!({"runs": "job-7", "states": ["ERROR", "RUNNING"]}), 2, None),
        (json!({"runs": false, "states": ["RUNNING"]}), 2, None),
    ] {
        let place = place(&knobs);
        let mut job = place.stream();
        job.may_be_running = true;
        let (outcome, ids) = place.run(&job);
        assert_eq!(outcome, Outcome::Done, "{knobs}");
        let calls = place.stand_ins.calls("java");
        assert_eq!(calls.len(), javas, "{knobs}");
        let looked = &calls[0];
        assert!(looked.contains(&"--streaming-mode=check-if-job-is-running".to_owned()));
        assert!(!looked.iter().any(|word| word.contains("savepoint")), "{looked:?}");
        // Either way it is known which job runs now.
        let deployed = calls[javas - 1].iter().find_map(|word| word.strip_prefix("--job-id="));
        assert_eq!(ids, [runs.or(deployed).unwrap()], "{knobs}");
        let waits = place.stand_ins.calls("gcloud");
        assert!(waits.iter().all(|call| call[2] != "wait"), "nobody waits for a stream's end");
    }
}

#[test]
fn a_job_that_takes_too_long_is_left_to_people() {
    let place = place(&json!({"sleep": 31.7, "states": ["RUNNING"]}));
    let mut job = upload(&place);
    job.timeout = Duration::from_secs(12);
    let before = Instant::now();
    let (outcome, ids) = place.run(&job);
    assert!(before.elapsed() < Duration::from_secs(25), "{:?}", before.elapsed());
    let (what, again) = failure(&outcome);
    assert!(what.contains("took longer than 12 s") && what.contains(&ids[0]) && !again, "{what}");
    assert!(!still_running(&place.lock(&job)), "nothing of it is left");
}

#[test]
fn a_stop_leaves_a_job_whose_id_is_kept() {
    let place = place(&json!({"sleep": 31.7}));
    let job = upload(&place);
    let stop = Stop::default();
    let ids = Mutex::new(Vec::new());
    let asked = Mutex::new(None);
    let tell = |id: &str| {
        ids.lock().unwrap().push(id.to_owned());
        *asked.lock().unwrap() = Some(Instant::now());
        stop.ask();
    };
    let outcome = place
        .runner()
        .run(&job, Context { job_id: &tell, page: &|_, _| (), detach: false, stop: &stop });
    let took = asked.lock().unwrap().unwrap().elapsed();
    assert_eq!(outcome, Outcome::Left);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(ids.lock().unwrap().len(), 1);
    assert!(!still_running(&place.lock(&job)));
}

impl Place {
    fn lock(&self, job: &Job) -> PathBuf {
        Machine { env: BTreeMap::new(), locks: self.path("locks") }.lock(&job.operation)
    }
}

/// What became of an earlier run's job, and what `find` makes of it: done, failed and whether to
/// try again, or nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Done,
    Failed(bool),
    Nothing,
}

fn verdict(found: &Found) -> Verdict {
    match found {
        Found::Nothing => Verdict::Nothing,
        Found::Ended(Outcome::Done) => Verdict::Done,
        Found::Ended(Outcome::Failed { again, .. }) => Verdict::Failed(*again),
        other @ (Found::Ended(_) | Found::OnItsWay) => panic!("nobody asked for that: {other:?}"),
    }
}

#[test]
fn a_job_of_an_earlier_run_is_found_in_every_state() {
    let table: [(&[&str], Verdict); 7] = [
        (&["NOT_FOUND"], Verdict::Nothing),
        (&["DONE"], Verdict::Done),
        (&["PENDING", "SETUP_DONE", "DONE"], Verdict::Done),
        (&["RUNNING", "ERROR"], Verdict::Failed(true)),
        (&["CANCELLED"], Verdict::Failed(true)),
        (&["BROKEN"], Verdict::Failed(false)),
        (&["BROKEN", "DONE"], Verdict::Done),
    ];
    for (states, expected) in table {
        let place = place(&json!({"states": states}));
        let found = place.find(&upload(&place));
        assert_eq!(verdict(&found), expected, "{states:?}: {found:?}");
        assert_eq!(place.stand_ins.calls("java").len(), 0, "nothing is submitted");
        let asked = &place.stand_ins.calls("gcloud")[0];
        assert!(asked.contains(&"--region=region-1".to_owned()), "{asked:?}");
        assert!(asked.contains(&"--project=proj-1".to_owned()), "{asked:?}");
    }
}

#[test]
fn a_job_that_runs_longer_than_it_may_is_not_submitted_again() {
    let place = place(&json!({"states": ["RUNNING"]}));
    let mut job = upload(&place);
    job.timeout = Duration::from_secs(1);
    let found = place.find(&job);
    assert_eq!(verdict(&found), Verdict::Failed(false), "{found:?}");
}

#[test]
fn metadata_of_an_earlier_run_needs_its_counts_too() {
    for (driver, expected) in [
        (json!([GOOD]), Verdict::Done),
        (json!(["success count = 1, failure count = 1"]), Verdict::Failed(true)),
        (json!([]), Verdict::Failed(false)),
    ] {
        let place = place(&json!({"driver": driver}));
        let found = place.find(&place.job("metadata-upload", PLAYS, &[]));
        assert_eq!(verdict(&found), expected, "{driver}: {found:?}");
    }
}

#[test]
fn a_stream_of_an_earlier_run_is_found_by_its_manifest() {
    let manifest = "state/manifests/listening.plays.listener_plays__1/manifest.txt";
    for (states, parent, expected) in [
        (json!(["RUNNING"]), Some("job-1"), Verdict::Done),
        (json!(["RUNNING"]), Some("job-0"), Verdict::Failed(false)),
        (json!(["RUNNING"]), None, Verdict::Failed(false)),
        (json!(["ERROR"]), Some("job-1"), Verdict::Failed(true)),
        (json!(["NOT_FOUND"]), None, Verdict::Nothing),
    ] {
        let place = place(&json!({"states": states}));
        if let Some(parent) = parent {
            let text = format!("flinkJobId=f,parentJobId={parent}\n");
            place.gcs.put("flink", manifest, text.as_bytes());
        }
        let mut job = place.stream();
        job.timeout = Duration::from_secs(1);
        let found = place.find(&job);
        assert_eq!(verdict(&found), expected, "{states} {parent:?}: {found:?}");
    }
}

/// Set in the process that is to be killed: the folder of the place it runs in.
const TO_BE_KILLED: &str = "RUNNERS_TO_BE_KILLED";

#[test]
fn a_killed_run_is_carried_on_and_its_job_not_submitted_twice() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        run_to_be_killed();
        return;
    }
    let place = place(&json!({"sleep": 4}));
    let job = upload(&place);
    fs::write(place.path("env.json"), json!(place.env).to_string()).unwrap();
    let own = std::env::current_exe().unwrap();
    let name = "runners::a_killed_run_is_carried_on_and_its_job_not_submitted_twice";
    let mut parent = Command::new(own)
        .args(["--exact", name])
        .env(TO_BE_KILLED, place.folder.path())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("id").exists() {
        assert!(Instant::now() < deadline, "the parent never got as far as an id");
        thread::sleep(Duration::from_millis(20));
    }
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Its children do not know, and hold the job's lock.
    assert!(still_running(&place.lock(&job)));
    let id = fs::read_to_string(place.path("id")).unwrap();
    let context =
        Context { job_id: &|_| (), page: &|_, _| (), detach: false, stop: &Stop::default() };
    let found = place.runner().find(&job, &id, context);
    assert_eq!(found, Found::Ended(Outcome::Done));
    assert!(!still_running(&place.lock(&job)));
    let javas = place.stand_ins.calls("java");
    assert_eq!(javas.len(), 1);
    assert!(javas[0].contains(&format!("--job-id={id}")));
}

/// The other process of the test above.
fn run_to_be_killed() {
    let folder = PathBuf::from(std::env::var_os(TO_BE_KILLED).unwrap());
    let env = serde_json::from_value(json_of(&folder.join("env.json"))).unwrap();
    // What the place is made of is there already, and belongs to the other process.
    let template = place(&json!({}));
    let mut job = upload(&template);
    job.folder = folder.join("repo");
    job.log = folder.join("job.log");
    let runner = ZiplineRunner::new(Machine { env, locks: folder.join("locks") }, Dialect::Zip);
    let tell = |id: &str| {
        fs::write(folder.join("id.new"), id).unwrap();
        fs::rename(folder.join("id.new"), folder.join("id")).unwrap();
    };
    let outcome = runner.run(
        &job,
        Context { job_id: &tell, page: &|_, _| (), detach: false, stop: &Stop::default() },
    );
    panic!("it was not killed: {outcome:?}");
}

/// What preflight says of these jobs, without what to do.
fn told(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|it| it.what.as_str()).collect()
}

#[test]
fn preflight_finds_everything_at_once_and_each_thing_once() {
    let mut place = place(&json!({}));
    place.env.remove("GCP_REGION");
    // What is there but empty hides what a config brings.
    place.env.insert("GCP_PROJECT_ID".to_owned(), String::new());
    place.env.insert("PATH".to_owned(), "/nowhere".to_owned());
    place.edit(PLAYS, |it| it["sources"][0]["events"]["topic"] = json!("plays"));
    let mut stream = place.job("streaming", PLAYS, &["--streaming-mode=deploy"]);
    stream.argv.retain(|word| !word.starts_with("--artifact-prefix"));
    let jobs = [
        stream,
        place.job("backfill", PLAYS, &["--end-ds=2026-01-03", "--parallelism=3"]),
        place.job("upload", PLAYS, &["--no-cloud-logging"]),
    ];
    let problems = place.runner().preflight(&jobs);
    let expected = [
        "ARTIFACT_PREFIX is not set (1 job)",
        "GCP_PROJECT_ID is not set (3 jobs)",
        "GCP_REGION is not set (3 jobs)",
        "`upload` has no date, and the CLI would take today's (1 job)",
        "nothing says where Flink keeps its state (1 job)",
        "nothing says where a backfill starts (1 job)",
        "nothing says where the Kafka brokers of a stream are (1 job)",
        "there is no program `gcloud`, which the CLI starts (3 jobs)",
        "there is no program `java`, which the CLI starts (3 jobs)",
        "with `--no-cloud-logging` the CLI reports success whatever becomes of the job (1 job)",
        "with `--parallelism` the CLI reports success whatever becomes of the job (1 job)",
    ];
    assert_eq!(told(&problems), expected);
    assert!(problems.iter().all(|problem| !problem.next.is_empty()));
    assert_eq!(place.stand_ins.calls("java").len(), 0, "nothing is submitted");
}

#[test]
fn preflight_takes_the_env_of_the_config_for_its_mode() {
    let mut place = place(&json!({}));
    place.env.remove("GCP_REGION");
    place.edit(PLAYS, |it| {
        it["metaData"]["executionInfo"]["env"] = json!({
            "common": {"CLOUD_PROVIDER": "gcp", "CUSTOMER_ID": "c", "GCP_REGION": "own"},
            "modeEnvironments": {"streaming": {"CLOUD_PROVIDER": "gcp", "CUSTOMER_ID": "c"}},
        });
    });
    let jobs = [upload(&place), place.stream()];
    // The env of the mode replaces the common one.
    assert_eq!(told(&place.runner().preflight(&jobs)), ["GCP_REGION is not set (1 job)"]);
    let kafka = |topic: &str| {
        place.edit(PLAYS, |it| it["sources"][0]["events"]["topic"] = json!(topic));
        told(&place.runner().preflight(&jobs)).iter().any(|it| it.contains("Kafka"))
    };
    assert!(kafka("plays") && kafka("kafka://plays/x=1"));
    assert!(!kafka("pubsub://plays") && !kafka("kafka://plays/bootstrap=k:9092"));
}

#[test]
fn preflight_refuses_what_the_cli_would_split_or_not_find() {
    let place = place(&json!({}));
    let mut odd = place.job("upload", PLAYS, &["--ds=2026-01-03", "--x=a b", "--online-args=a b"]);
    odd.path = "compiled/group_bys/x".to_owned();
    let mut shallow = odd.clone();
    fs::copy(place.path("repo").join(PLAYS), place.path("repo/compiled/group_bys/x")).unwrap();
    shallow.argv.retain(|word| !word.starts_with("--x="));
    let mut gone = upload(&place);
    gone.path = "compiled/group_bys/listening/gone__1".to_owned();
    gone.argv[0] = "no-such-cli".to_owned();
    let mut missing = upload(&place);
    missing.argv[0] = "no-such-cli".to_owned();
    let problems = place.runner().preflight(&[odd, shallow, gone, missing]);
    let told = told(&problems);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("compiled/group_bys/listening/gone__1: "), "{told:?}");
    assert_eq!(
        told[1],
        "the CLI does not take `compiled/group_bys/x`: it wants …/TYPE/TEAM/NAME without white space (2 jobs)"
    );
    assert_eq!(told[2], "the argument `--x` has white space in it (1 job)");
    assert_eq!(told[3], "there is no program `no-such-cli` (1 job)");
}

#[test]
fn what_the_cli_would_call_a_success_is_refused_before_it_starts() {
    let mut place = place(&json!({"states": ["ERROR"]}));
    place.edit(PLAYS, |it| it["sources"][0]["events"]["topic"] = json!("plays"));
    let day = "--ds=2026-01-03";
    let range = ["--start-ds=2026-01-01", "--end-ds=2026-01-03"];
    for (job, expected) in [
        (place.job("backfill", PLAYS, &[range[0], range[1], "--parallelism=3"]), "--parallelism"),
        (place.job("upload", PLAYS, &[day, "--no-cloud-logging"]), "--no-cloud-logging"),
        (place.job("upload", PLAYS, &[]), "today's"),
        (place.stream(), "Kafka"),
    ] {
        let (outcome, ids) = place.run(&job);
        let (what, again) = failure(&outcome);
        assert!(what.contains(expected) && !again && ids.is_empty(), "{what}");
    }
    // The CLI itself would find this only after it has submitted the job.
    place.env.remove("GCP_REGION");
    let (outcome, _) = place.run(&upload(&place));
    assert!(failure(&outcome).0.contains("GCP_REGION is not set"), "{outcome:?}");
    assert_eq!(place.stand_ins.calls("java").len(), 0);
}

/// A stand-in for the CLI where no real one can be had: a script that says this and ends so.
fn script(place: &Place, says: &str, code: i32) -> String {
    let file = place.path("stand-in.sh");
    fs::write(
        &file,
        format!("#!/bin/sh\n# Stand-in for a CLI in tests.\necho '{says}'\nexit {code}\n"),
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file.display().to_string()
}

#[test]
fn elsewhere_the_exit_code_counts_as_far_as_it_can() {
    let table = [
        (None, "upload", "", 0, Ok(0)),
        (None, "upload", "", 1, Err(true)),
        (None, "upload", "", 2, Err(false)),
        (None, "metadata-upload", GOOD, 0, Ok(0)),
        (None, "metadata-upload", "", 0, Err(false)),
        (Some("aws"), "upload", "Job submitted with ID: app|run", 0, Ok(1)),
        (Some("aws"), "upload", "Timed out waiting for EMR Serverless job run", 1, Err(true)),
        (Some("azure"), "upload", "", 0, Ok(0)),
    ];
    for (provider, mode, says, code, expected) in table {
        let mut place = place(&json!({}));
        place.edit(PLAYS, |it| it["metaData"]["executionInfo"]["env"] = json!({}));
        place.env.extend(provider.map(|it| ("CLOUD_PROVIDER".to_owned(), it.to_owned())));
        let mut job = place.job(mode, PLAYS, &["--ds=2026-01-03"]);
        job.argv[0] = script(&place, says, code);
        let dialect = if provider.is_some() { Dialect::Zip } else { Dialect::Oss };
        let machine = Machine { env: place.env.clone(), locks: place.path("locks") };
        let runner = ZiplineRunner::new(machine, dialect);
        let ids = Mutex::new(0);
        let tell = |_: &str| *ids.lock().unwrap() += 1;
        let context =
            Context { job_id: &tell, page: &|_, _| (), detach: false, stop: &Stop::default() };
        let got = match runner.run(&job, context) {
            Outcome::Done => Ok(*ids.lock().unwrap()),
            Outcome::Failed { again, .. } => Err(again),
            other => panic!("nobody asked for that: {other:?}"),
        };
        assert_eq!(got, expected, "{provider:?} {mode} {says:?} {code}");
        // Of what was submitted there nobody here can ask.
        let found = verdict(&runner.find(&job, "app|run", context));
        let unknown = if provider.is_some() { Verdict::Failed(false) } else { Verdict::Nothing };
        assert_eq!(found, unknown, "{provider:?}");
    }
}

#[test]
fn a_job_that_emr_still_runs_is_not_submitted_again() {
    let mut place = place(&json!({}));
    place.edit(PLAYS, |it| it["metaData"]["executionInfo"]["env"] = json!({}));
    place.env.insert("CLOUD_PROVIDER".to_owned(), "aws".to_owned());
    let mut job = upload(&place);
    let says = "Job submitted with ID: app|run\nTimed out waiting for EMR Serverless job run";
    job.argv[0] = script(&place, says, 1);
    let (outcome, ids) = place.run(&job);
    let (what, again) = failure(&outcome);
    assert!(what.contains("app|run") && !again, "{what}");
    assert_eq!(ids, ["app|run"]);
}
