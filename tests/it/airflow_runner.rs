//! Jobs by the bounded DAGs of an Airflow: the real binary against a fake of both REST APIs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use serde_json::Value;
use serde_json::json;

use crate::support::Run;
use crate::support::airflow;
use crate::support::airflow::Airflow;
use crate::support::airflow::Door;
use crate::support::airflow::Fault;
use crate::support::airflow::GOOGLE;
use crate::support::airflow::PASSWORD;
use crate::support::airflow::TOKEN;
use crate::support::airflow::USER;
use crate::support::airflow::Version;
use crate::support::airflow::triggers;
use crate::support::forge::APPLY;
use crate::support::forge::Forge;
use crate::support::gcs;
use crate::support::gcs::http::Request;
use crate::support::github::GitHub;
use crate::support::project;
use crate::support::stage::DAY;
use crate::support::stage::Running;
use crate::support::stage::Stage;
use crate::support::stage::each;
use crate::support::stage::until;

/// Five steps: two backfills, an upload, what loads it, and metadata.
const CHANGE: &str = "rename-group-by";
/// One step.
const JOIN: &str = "new-join";
/// None, but another schedule.
const NEVER: &str = "offline-schedule-never";

const BOTH: [Version; 2] = [Version::Two, Version::Three];

struct Place {
    stage: Stage,
    airflow: Airflow,
}

/// What a settings file says of an Airflow.
fn settings(state: &str, url: &str, more: &str) -> String {
    format!(
        "[env.prod]\nroot = \"compiled\"\nstate = \"{state}\"\nrunner = \"airflow\"\n\
         retry_delay = 0\n[env.prod.lock]\nttl = 10\n[env.prod.airflow]\ndags = \"{state}-dags\"\nurl = \"{url}\"\n{more}\n"
    )
}

impl Place {
    fn new(changes: &[&str], version: Version, door: Door) -> Self {
        let place = Self { stage: Stage::new(changes), airflow: Airflow::start(version, door) };
        place.set("");
        place.stage.adopt(&format!("HEAD~{}", changes.len()));
        place
    }

    /// Writes the settings; what is added stands below `[env.prod.airflow]`.
    fn set(&self, more: &str) {
        let state = self.stage.path("state").display().to_string();
        let text = settings(&state, &self.airflow.url(), more);
        fs::write(self.stage.path("settings.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.stage.command(args);
        let keys = [("AIRFLOW_USERNAME", USER), ("AIRFLOW_PASSWORD", PASSWORD)];
        command.envs(keys);
        command
    }

    fn start(&self, args: &[&str]) -> Running {
        let all = [&["apply", "--yes"], args].concat();
        Running::reading(self.command(&all), &self.stage.path("out"), "/dev/null".as_ref())
    }

    fn apply(&self, args: &[&str]) -> Run {
        self.start(&[&["--as-of", DAY], args].concat()).end()
    }

    fn resume(&self, args: &[&str]) -> Run {
        self.start(&[&["--resume"], args].concat()).end()
    }

    /// How many runs each DAG has, by conf and mode.
    fn runs(&self) -> BTreeMap<String, usize> {
        let mut runs = BTreeMap::new();
        for run in self.airflow.runs() {
            let (conf, mode) = (run.conf["conf"].as_str(), run.conf["mode"].as_str());
            *runs.entry(format!("{}#{}", conf.unwrap(), mode.unwrap())).or_default() += 1;
        }
        runs
    }

    fn clean(&self, runs: &[&Run]) {
        assert_eq!(self.airflow.violations(), [""; 0]);
        for run in runs {
            for text in [&run.stdout, &run.stderr] {
                assert!(
                    !["hunter", PASSWORD, TOKEN, GOOGLE].iter().any(|it| text.contains(it)),
                    "{text}"
                );
            }
        }
        for (name, bytes) in self.stage.kept() {
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter"), "{name}");
        }
    }
}

fn says(run: &Run, code: i32, text: &str) {
    let all = format!("{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.code, code, "{all}");
    assert!(all.contains(text), "no `{text}` in: {all}");
}

#[test]
fn every_step_is_one_run_of_its_dag_whichever_api_there_is() {
    for version in BOTH {
        let place = Place::new(&[CHANGE], version, Door::Password);
        place.set("[env.prod.backfill]\nchunk_days = 30");
        let run = place.apply(&[]);
        says(&run, 0, "Applied 5 steps");
        let runs = place.airflow.runs();
        let dags: BTreeSet<&str> = runs.iter().map(|it| it.dag.as_str()).collect();
        assert_eq!(
            dags.into_iter().collect::<Vec<_>>(),
            ["chronon_gb_backfill", "chronon_job", "chronon_join_backfill"]
        );
        for it in &runs {
            let ranged = it.conf["mode"] == "backfill";
            assert_eq!(it.conf["chunk_days"], if ranged { json!(30) } else { Value::Null });
            assert_eq!(it.conf["end_ds"].is_string(), ranged, "{}", it.conf);
            let day = it.conf["mode"].as_str().unwrap().starts_with("upload");
            assert_eq!(it.conf["ds"], if day { json!("2026-11-21") } else { Value::Null });
            assert_eq!(it.conf["files"].as_str().map(str::len), Some(64), "{}", it.conf);
            assert!(it.conf["step"].is_string(), "{}", it.conf);
            assert!(it.id.starts_with("chronon-plan__") && it.id.len() == 46, "{}", it.id);
        }
        assert!(place.runs().values().all(|it| *it == 1), "{:?}", place.runs());
        // The page of every run is told, and the ledger names the run.
        let page = match version {
            Version::Two => format!("{}/dags/chronon_job/grid?dag_run_id=", place.airflow.url()),
            Version::Three => format!("{}/dags/chronon_job/runs/", place.airflow.url()),
        };
        assert!(run.stderr.contains(&page), "{}", run.stderr);
        let list = place.stage.run(&["state", "list", "--format", "json"]).ok();
        let known = runs.iter().filter(|it| list.contains(&format!("{}/{}", it.dag, it.id)));
        assert!(known.count() >= 4, "{list}");
        assert_eq!(place.stage.steps(), [""; 0]);
        place.clean(&[&run]);
        says(&place.apply(&[]), 0, "Nothing to apply");
        assert_eq!(place.airflow.runs().len(), runs.len());
    }
}

#[test]
fn a_killed_apply_finds_its_runs_again() {
    for version in BOTH {
        let place = Place::new(&[CHANGE], version, Door::Password);
        place.airflow.hold(true);
        let running = place.start(&["--as-of", DAY]);
        until("runs are there", || place.airflow.runs().len() == 4);
        running.kill();
        place.airflow.hold(false);
        let again = place.apply(&[]);
        says(&again, 0, "looking for the job that an earlier run submitted");
        assert_eq!(place.airflow.runs().len(), 5);
        assert!(place.runs().values().all(|it| *it == 1), "{:?}", place.runs());
        assert_eq!(place.stage.steps(), [""; 0]);
        place.clean(&[&again]);
    }
}

#[test]
fn an_interrupted_apply_leaves_its_runs_and_says_so() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.airflow.hold(true);
    let running = place.start(&["--as-of", DAY]);
    until("a run is there", || place.airflow.runs().len() == 1);
    running.signal(rustix::process::Signal::TERM);
    says(&running.end(), 130, "");
    place.airflow.hold(false);
    says(&place.resume(&[]), 0, "Applied 1 step");
    assert_eq!(place.airflow.runs().len(), 1);
}

#[test]
fn whatever_happens_to_an_answer_a_step_is_one_run() {
    let faults = [
        (Fault::Lost, 2),
        (Fault::Unanswered, 1),
        (Fault::Status(429), 2),
        (Fault::Status(503), 2),
        (Fault::Proxy(502), 1),
        (Fault::Proxy(404), 1),
    ];
    let cases: Vec<_> = BOTH
        .iter()
        .flat_map(|version| faults.map(|fault| (*version, fault)))
        .flat_map(|case| [(case, true), (case, false)])
        .collect();
    each(&cases, |&((version, (fault, times)), only_triggers)| {
        let place = Place::new(&[JOIN], version, Door::Password);
        place.airflow.fault(times, fault, move |it| {
            // What is asked before anything is triggered is another matter.
            let of_run = it.path.len() > 5 && it.path.contains(&"dags".to_owned());
            if only_triggers { triggers(it) } else { of_run && !triggers(it) }
        });
        let run = place.apply(&[]);
        says(&run, 0, "Applied 1 step");
        assert_eq!(place.airflow.runs().len(), 1, "{version:?} {fault:?} {only_triggers}");
        place.clean(&[&run]);
    });
}

#[test]
fn what_is_started_can_be_left_and_collected_later() {
    let place = Place::new(&[CHANGE], Version::Three, Door::Password);
    place.airflow.hold(true);
    let left = place.apply(&["--detach"]);
    says(&left, 5, "chronon-plan apply --resume");
    says(&left, 5, "4 left to run, 1 not started");
    assert_eq!(place.airflow.runs().len(), 4);
    // Another commit, of which nobody has asked for anything.
    place.stage.commit(JOIN);
    let still = place.resume(&["--detach"]);
    says(&still, 5, "4 left to run");
    assert_eq!(place.airflow.runs().len(), 4);
    place.airflow.finish();
    let next = place.resume(&["--detach"]);
    says(&next, 5, "4 steps done, 0 failed, 1 left to run, 0 not started");
    assert_eq!(place.airflow.runs().len(), 5, "what became possible was started");
    place.airflow.hold(false);
    let done = place.resume(&[]);
    says(&done, 0, "Planned again: no changes");
    assert_eq!(place.airflow.runs().len(), 5);
    assert!(place.runs().keys().all(|it| !it.contains("weekly_digest")), "{:?}", place.runs());
    let steps = place.stage.steps();
    assert!(steps.len() == 1 && steps[0].contains("weekly_digest"), "{steps:?}");
    says(&place.resume(&[]), 0, "Nothing to resume");
    says(&place.apply(&[]), 0, "Applied 1 step");
    place.clean(&[&left, &still, &next, &done]);
}

#[test]
fn what_was_not_asked_for_when_it_began_is_not_gone_on_with() {
    let place = Place::new(&[CHANGE, JOIN], Version::Two, Door::Password);
    place.airflow.hold(true);
    says(&place.apply(&["--detach", "--target", "joins/discovery.digest.*"]), 5, "1 left to run");
    place.airflow.hold(false);
    let run = place.resume(&[]);
    says(&run, 0, "Applied 1 step");
    assert_eq!(place.airflow.runs().len(), 1);
    assert_eq!(place.stage.steps().len(), 5);
    for args in [&["--resume", "--head", "HEAD"][..], &["--resume", "--target", "x"]] {
        assert_ne!(place.start(args).end().code, 0, "{args:?}");
    }
}

#[test]
fn a_saved_plan_is_gone_on_with_as_it_was_saved() {
    let place = Place::new(&[CHANGE, JOIN], Version::Three, Door::Password);
    let file = place.stage.path("plan.json").display().to_string();
    let plan = place.stage.plan(&["--target", "joins/discovery.digest.*"]);
    fs::write(&file, plan.to_string()).unwrap();
    place.airflow.hold(true);
    says(&place.start(&[&file, "--detach"]).end(), 5, "1 left to run");
    place.airflow.hold(false);
    says(&place.resume(&[]), 0, "Applied 1 step");
    assert_eq!(place.airflow.runs().len(), 1);
}

#[test]
fn a_run_that_fails_says_which_task_and_where_its_log_is() {
    for version in BOTH {
        let place = Place::new(&[JOIN], version, Door::Password);
        place.airflow.fail("weekly_digest");
        let secret = format!("AIRFLOW_PASSWORD={PASSWORD}");
        place.airflow.log(&["first line", "Spark says no", &secret]);
        let run = place.apply(&[]);
        says(&run, 5, "task `job[0]` at attempt 2, and 1 more of its tasks");
        says(&run, 5, "Spark says no");
        let page = match version {
            Version::Two => "&task_id=job&tab=logs&map_index=0",
            Version::Three => "/tasks/job/mapped/0",
        };
        says(&run, 5, page);
        // The mode's own retry is another run.
        assert_eq!(place.airflow.runs().len(), 2);
        place.clean(&[&run]);
        place.airflow.heal();
        says(&place.apply(&[]), 0, "Applied 1 step");
    }
}

#[test]
fn what_failed_while_nobody_looked_is_told_and_not_started_again() {
    let place = Place::new(&[CHANGE], Version::Three, Door::Password);
    place.airflow.hold(true);
    says(&place.apply(&["--detach"]), 5, "4 left to run");
    place.airflow.fail("\"mode\":\"upload\"");
    place.airflow.hold(false);
    let run = place.resume(&["--detach"]);
    says(&run, 5, "1 failed");
    says(&run, 5, "/tasks/job/mapped/0");
    let uploads = place.airflow.runs().iter().filter(|it| it.conf["mode"] == "upload").count();
    assert_eq!(uploads, 1);
    says(&place.resume(&[]), 0, "Nothing to resume");
    place.airflow.heal();
    place.airflow.hold(false);
    says(&place.apply(&[]), 0, "Planned again: no changes");
    let uploads = place.airflow.runs().iter().filter(|it| it.conf["mode"] == "upload").count();
    assert_eq!(uploads, 2, "what is asked for by hand is tried");
    place.clean(&[&run]);
}

#[test]
fn a_dag_that_was_published_a_moment_ago_is_waited_for_and_unpaused() {
    for version in BOTH {
        let place = Place::new(&[JOIN], version, Door::Password);
        place.airflow.remove_dag("chronon_join_backfill");
        let running = place.start(&["--as-of", DAY]);
        until("it waits", || running.said().contains("does not know the DAG"));
        until("the step has begun", || running.said().contains('▸'));
        place.airflow.add_dag("chronon_join_backfill", true);
        let run = running.end();
        says(&run, 0, "Applied 1 step");
        assert!(!place.airflow.is_paused("chronon_join_backfill"));
        place.clean(&[&run]);
    }
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.set("wait = 0\nprefix = \"other\"");
    let run = place.apply(&[]);
    says(&run, 5, "does not know the DAG `other_join_backfill`");
    says(&run, 5, "env.*.airflow.wait");
    assert!(place.airflow.runs().is_empty());
}

#[test]
fn every_way_to_be_let_in_lets_in_and_no_secret_is_told() {
    let table = [
        (Door::Open, "auth = \"none\"", vec![]),
        (Door::Password, "", vec![("AIRFLOW_USERNAME", USER), ("AIRFLOW_PASSWORD", PASSWORD)]),
        (Door::Front, "", vec![("AIRFLOW_USERNAME", USER), ("AIRFLOW_PASSWORD", PASSWORD)]),
        (Door::Token, "", vec![("AIRFLOW_TOKEN", TOKEN)]),
        (Door::Google, "auth = \"google\"", vec![]),
    ];
    let wrong = [
        (Door::Password, "", vec![("AIRFLOW_USERNAME", USER)], "AIRFLOW_PASSWORD is not set"),
        (Door::Password, "auth = \"token\"", vec![], "AIRFLOW_TOKEN is not set"),
        (Door::Password, "", vec![("AIRFLOW_TOKEN", "hunter9-another")], "AIRFLOW_TOKEN, and"),
        (
            Door::Password,
            "",
            vec![("AIRFLOW_USERNAME", USER), ("AIRFLOW_PASSWORD", "hunter9-another")],
            "check AIRFLOW_USERNAME",
        ),
    ];
    let run = |place: &Place, more: &str, keys: &[(&str, &str)]| {
        place.set(more);
        let mut command = place.stage.command(&["apply", "--yes", "--as-of", DAY]);
        command.envs(keys.iter().copied()).env("GCE_METADATA_HOST", place.airflow.host());
        command.env("HOME", place.stage.path("out"));
        Running::reading(command, &place.stage.path("out"), "/dev/null".as_ref()).end()
    };
    for version in BOTH {
        let knows = |it: &&(Door, _, _)| (it.0, version) != (Door::Front, Version::Three);
        for (door, more, keys) in table.iter().filter(knows) {
            let place = Place::new(&[JOIN], version, *door);
            let ended = run(&place, more, keys);
            says(&ended, 0, "Applied 1 step");
            place.clean(&[&ended]);
        }
        for (door, more, keys, text) in &wrong {
            let place = Place::new(&[JOIN], version, *door);
            let ended = run(&place, more, keys);
            says(&ended, 1, text);
            says(&ended, 1, "nothing was submitted");
            assert!(place.airflow.runs().is_empty());
            place.clean(&[&ended]);
        }
    }
}

/// Whatever the service of tokens answers may hold one.
#[test]
fn what_google_says_of_a_token_is_covered() {
    let place = Place::new(&[JOIN], Version::Three, Door::Google);
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token", port.local_addr().unwrap());
    thread::spawn(move || {
        for stream in port.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).unwrap();
            let asked = String::from_utf8_lossy(&asked[..length]);
            let body =
                json!({"error": "invalid_grant", "was": "ya29.hunter9-listens", "of": asked});
            let body = body.to_string();
            let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n", body.len());
            drop(stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()));
        }
    });
    let file = place.stage.path("google.json");
    let key = json!({"type": "authorized_user", "client_id": "c", "token_uri": url,
        "client_secret": "GOCSPX-hunter9-hunter9", "refresh_token": "1//0hunter9-hunter9_hunter9"});
    fs::write(&file, key.to_string()).unwrap();
    place.set("auth = \"google\"");
    let mut command = place.stage.command(&["apply", "--yes", "--as-of", DAY]);
    command.env("GOOGLE_APPLICATION_CREDENTIALS", file);
    let run = Running::reading(command, &place.stage.path("out"), "/dev/null".as_ref()).end();
    says(&run, 1, "Google gives no token");
    says(&run, 1, "invalid_grant");
    place.clean(&[&run]);
}

/// Jobs that poll side by side find out side by side that their token has ended.
#[test]
fn a_token_that_ends_on_the_way_is_exchanged_anew() {
    let place = Place::new(&[CHANGE], Version::Three, Door::Password);
    place.airflow.hold(true);
    let running = place.start(&["--as-of", DAY]);
    until("the runs are there", || place.airflow.runs().len() == 4);
    place.airflow.forget_tokens();
    place.airflow.hold(false);
    let run = running.end();
    says(&run, 0, "Applied 5 steps");
    place.clean(&[&run]);
}

/// Who stands in front of Airflow may refuse for a while: the run is there all the same.
#[test]
fn a_run_that_cannot_be_asked_about_is_kept() {
    let cases = [302, 400, 403, 405, 410].map(|it| BOTH.map(|version| (version, it)));
    each(&cases.concat(), |&(version, status)| {
        let place = Place::new(&[JOIN], version, Door::Password);
        place.airflow.hold(true);
        let of_run = |it: &Request| it.method == "GET" && it.path.contains(&"dagRuns".to_owned());
        place.airflow.fault(99, Fault::Status(status), of_run);
        let run = place.apply(&[]);
        says(&run, 5, "Airflow refuses to work on");
        place.airflow.heal();
        place.airflow.hold(false);
        says(&place.apply(&[]), 0, "Applied 1 step");
        assert_eq!(place.airflow.runs().len(), 1, "{version:?} {status}");
        place.clean(&[&run]);
    });
}

#[test]
fn what_a_login_page_says_is_no_answer() {
    for version in BOTH {
        let place = Place::new(&[JOIN], version, Door::Password);
        let page = |place: &Place, which: fn(&Request) -> bool| {
            place.airflow.fault(1, Fault::Proxy(200), which);
        };
        place.airflow.add_dag("chronon_join_backfill", true);
        page(&place, triggers);
        page(&place, |it| it.method == "PATCH");
        says(&place.apply(&[]), 0, "Applied 1 step");
        assert_eq!(place.airflow.runs().len(), 1, "{version:?}");
    }
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.airflow.fault(99, Fault::Proxy(302), |_| true);
    let run = place.apply(&[]);
    says(&run, 1, "a login page stands before it");
    assert!(place.airflow.runs().is_empty());
}

/// What a killed apply has sent may arrive after the next one has looked.
#[test]
fn a_run_that_arrives_late_is_the_run_that_is_triggered_again() {
    for version in BOTH {
        let place = Place::new(&[JOIN], version, Door::Password);
        place.airflow.hold(true);
        let running = place.start(&["--as-of", DAY]);
        until("a run is there", || place.airflow.runs().len() == 1);
        running.kill();
        place.airflow.hold(false);
        let of_run = |it: &Request| it.method == "GET" && it.path.contains(&"dagRuns".to_owned());
        place.airflow.fault(1, Fault::Status(404), of_run);
        says(&place.apply(&[]), 0, "Applied 1 step");
        assert_eq!(place.airflow.runs().len(), 1, "{version:?}");
        assert_eq!(place.airflow.violations(), [""; 0]);
    }
}

/// The other run has looked for this job and found none: it starts its own.
#[test]
fn whoever_was_taken_over_triggers_nothing() {
    let stage = Stage::in_bucket(&[JOIN]);
    let airflow = Airflow::start(Version::Three, Door::Open);
    let text = settings("gs://state/team", &airflow.url(), "auth = \"none\"");
    fs::write(stage.path("settings.toml"), text).unwrap();
    let gcs = stage.gcs.as_ref().unwrap();
    gcs.unlimited();
    stage.adopt("HEAD~1");
    // The page that would keep the name of the run: the journal is sealed there.
    gcs.fail(99, gcs::Fault::Status(412), |it| {
        it.is_write() && it.object.contains("journal/") && it.object.ends_with("/2.json")
    });
    let run = stage.apply(&[]);
    assert_eq!(run.code, 4, "{}\n{}", run.stdout, run.stderr);
    assert!(airflow.runs().is_empty());
}

/// The DAGs of one job each wait for nothing.
#[test]
fn a_part_of_a_plan_runs_beside_a_circle_in_schedules() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.stage.commit_circle();
    says(&place.apply(&[]), 1, "these configs wait for each other");
    assert!(place.airflow.runs().is_empty());
    place.airflow.hold(true);
    says(&place.apply(&["--detach", "--target", "joins/discovery.digest.*"]), 5, "1 left to run");
    place.airflow.hold(false);
    let run = place.resume(&[]);
    says(&run, 0, "what is still needed is not known: these configs wait for each other");
    says(&run, 0, "Applied 1 step");
    assert_eq!(place.airflow.runs().len(), 1);
    let published = fs::read(place.stage.path("state-dags/chronon_dags.json")).unwrap();
    let published: Value = serde_json::from_slice(&published).unwrap();
    let bounded = |it: &Value| it["kind"] == "bounded";
    assert!(published["dags"].as_object().unwrap().values().all(bounded));
    place.clean(&[&run]);
}

#[test]
fn a_part_of_a_plan_runs_the_files_of_its_commit() {
    let place = Place::new(&[CHANGE], Version::Three, Door::Password);
    place.apply(&[]).ok();
    let published = place.stage.path("state-dags").join("chronon_dags.json");
    let before = fs::read(&published).unwrap();
    let files = |run: &Value| run["files"].as_str().map(str::to_owned);
    let known: BTreeSet<_> = place.airflow.runs().iter().map(|it| files(&it.conf)).collect();
    place.stage.commit(JOIN);
    place.apply(&["--target", "joins/discovery.digest.*"]).ok();
    let last = place.airflow.runs().pop().unwrap();
    assert!(last.conf["conf"].as_str().unwrap().contains("weekly_digest"));
    let name = files(&last.conf).expect("the run is told which files");
    assert!(!known.contains(&Some(name.clone())) && last.conf["step"].is_string(), "{name}");
    let index = place.stage.path("state-dags/chronon_files").join(name + ".json");
    let index: Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    assert!(index["jobs"].get(last.conf["conf"].as_str().unwrap()).is_some());
    assert_eq!(fs::read(&published).unwrap(), before, "schedules are left alone");
}

#[test]
fn nothing_runs_by_the_dags_of_another_env() {
    let place = Place::new(&[JOIN], Version::Two, Door::Password);
    place.apply(&[]).ok();
    place.stage.commit(CHANGE);
    // It came between: the manifest that is published here has the same names.
    place.airflow.belongs_to(Some("canary"));
    let run = place.apply(&[]);
    says(&run, 1, "Airflow has DAGs of our names from env `canary`: `chronon_gb_backfill`, ");
    place.airflow.belongs_to(Some("prod"));
    let folder = place.stage.path("state-dags");
    fs::write(folder.join("chronon_dags.json"), json!({"env": "canary"}).to_string()).unwrap();
    let run = place.apply(&[]);
    says(&run, 1, "holds the schedules of env `canary`");
    assert_eq!(place.airflow.runs().len(), 1);
    assert_eq!(place.stage.steps().len(), 5);
}

/// Airflow would have two DAGs of one name, and run whichever it read last.
#[test]
fn nothing_is_published_over_the_dags_of_others() {
    let others = [
        (Some("canary"), "from env `canary`: `chronon_gb_backfill`, "),
        (None, "that chronon-plan did not publish: `chronon_gb_backfill`, "),
    ];
    for version in BOTH {
        // With a job, without one, and where Airflow runs none.
        for (change, runner, code) in
            [(JOIN, "airflow", 1), (NEVER, "airflow", 5), (NEVER, "zipline", 5)]
        {
            let place = Place::new(&[change], version, Door::Password);
            let file = place.stage.path("settings.toml");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(
                &file,
                text.replace("runner = \"airflow\"", &format!("runner = \"{runner}\"")),
            )
            .unwrap();
            for (env, text) in others {
                place.airflow.belongs_to(env);
                let run = place.apply(&[]);
                says(&run, code, &format!("Airflow has DAGs of our names {text}"));
                assert!(run.stderr.contains("`env.*.airflow.prefix`"), "{}", run.stderr);
                assert!(!fs::exists(place.stage.path("state-dags")).unwrap(), "{change}");
                place.clean(&[&run]);
            }
            // What Airflow has forgotten is in nobody's way: an env may be renamed.
            place.airflow.forget_files(true);
            let running = place.start(&["--as-of", DAY]);
            until("schedules are published", || {
                fs::exists(place.stage.path("state-dags/chronon_dags.json")).unwrap()
            });
            place.airflow.belongs_to(Some("prod"));
            place.airflow.forget_files(false);
            running.end().ok();
            assert_eq!(place.airflow.violations(), [""; 0]);
        }
    }
}

/// Whoever runs no jobs there may not be let in; what is published then is told unasked.
#[test]
fn an_airflow_that_cannot_be_asked_is_told() {
    let place = Place::new(&[NEVER], Version::Three, Door::Password);
    let file = place.stage.path("settings.toml");
    let text =
        fs::read_to_string(&file).unwrap().replace(&place.airflow.url(), "http://127.0.0.1:9");
    fs::write(&file, &text).unwrap();
    says(&place.apply(&[]), 5, "no Airflow answers at http://127.0.0.1:9");
    fs::write(&file, text.replace("runner = \"airflow\"", "runner = \"zipline\"")).unwrap();
    let run = place.apply(&[]);
    says(&run, 0, "whether others have DAGs of these names is not known: no Airflow answers");
    assert!(fs::exists(place.stage.path("state-dags/chronon_dags.json")).unwrap());
}

/// It may be of another version, and of a commit that is gone; what was put into it for jobs that then
/// failed goes once nobody asks for it.
#[test]
fn what_jobs_need_is_put_into_a_manifest_and_taken_back() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.apply(&[]).ok();
    let file = place.stage.path("state-dags").join("chronon_dags.json");
    let manifest = || -> Value { serde_json::from_slice(&fs::read(&file).unwrap()).unwrap() };
    let first = manifest();
    let mut before = first.clone();
    before["commit"] = json!("0123456789012345678901234567890123456789");
    before["dags"]["chronon_gb_batch_catalog"]["later"] = json!(1);
    let bounded = before["dags"]["chronon_gb_backfill"].as_object_mut().unwrap();
    bounded.insert("tags".to_owned(), json!(["old"]));
    fs::write(&file, before.to_string()).unwrap();
    place.set("prefix = \"north\"");
    place.airflow.add_dag("north_join_backfill", false);
    place.airflow.fail("weekly_digest");
    let step = "joins/discovery.digest.weekly_digest__0#backfill";
    for _ in 0..2 {
        says(&place.apply(&["--force", step]), 5, "1 failed");
        let meanwhile = manifest();
        assert_eq!(meanwhile["over"], first["digest"]);
        assert_ne!(meanwhile["digest"], first["digest"]);
        assert!(meanwhile["dags"]["north_join_backfill"].is_object());
        for (id, dag) in before["dags"].as_object().unwrap() {
            assert_eq!(meanwhile["dags"][id], *dag, "{id}");
        }
    }
    place.airflow.heal();
    place.set("");
    // Its own DAG of one job each is brought back at once, the rest when all is done.
    says(&place.apply(&[]), 0, "");
    assert_eq!(manifest(), first);
    place.clean(&[]);
}

#[test]
fn a_new_prefix_brings_its_bounded_dags_first_and_then_all_others() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.apply(&[]).ok();
    let published = place.stage.path("state-dags").join("chronon_dags.json");
    let manifest = || -> Value { serde_json::from_slice(&fs::read(&published).unwrap()).unwrap() };
    let before = manifest();
    place.stage.commit(CHANGE);
    place.set("prefix = \"north\"");
    place.airflow.hold(true);
    for dag in ["north_gb_backfill", "north_join_backfill", "north_job"] {
        place.airflow.add_dag(dag, false);
    }
    let running = place.start(&["--as-of", DAY]);
    until("runs are there", || place.airflow.runs().len() == 5);
    let meanwhile = manifest();
    let names =
        |it: &Value| it["dags"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let new = &names(&meanwhile) - &names(&before);
    assert!(new.len() == 4 && new.contains("north_staging_query_backfill"), "{new:?}");
    for (id, dag) in before["dags"].as_object().unwrap() {
        assert_eq!(meanwhile["dags"][id], *dag);
    }
    assert_eq!((&meanwhile["commit"], &meanwhile["files"]), (&before["commit"], &before["files"]));
    place.airflow.hold(false);
    says(&running.end(), 0, "Applied 5 steps");
    assert!(names(&manifest()).iter().all(|it| it.starts_with("north_")));
    let dags: BTreeSet<String> =
        place.airflow.runs().iter().skip(1).map(|it| it.dag.clone()).collect();
    assert!(dags.iter().all(|it| it.starts_with("north_")), "{dags:?}");
    assert_eq!(place.airflow.violations(), [""; 0]);
}

#[test]
fn a_scheduler_that_sleeps_and_a_paused_dag_are_told() {
    for version in BOTH {
        let place = Place::new(&[JOIN], version, Door::Password);
        place.airflow.hold(true);
        place.airflow.sleep();
        let run = place.apply(&["--detach"]);
        says(&run, 5, "Airflow's scheduler gives no sign of life");
        says(&run, 5, "1 left to run");
        place.airflow.add_dag("chronon_join_backfill", true);
        let run = place.resume(&["--detach"]);
        says(&run, 5, "the DAG `chronon_join_backfill` is paused: unpause it in Airflow");
        place.airflow.add_dag("chronon_join_backfill", false);
        place.airflow.hold(false);
        says(&place.resume(&["--detach"]), 0, "Applied 1 step");
        assert_eq!(place.airflow.runs().len(), 1);
        place.clean(&[&run]);
    }
}

/// A join, with and without a change that wants its table archived.
const RADIO: &str = "radio_rank";

#[test]
fn a_table_is_neither_archived_nor_rewritten_beside_a_run_that_goes_on() {
    let place = Place::new(&["join-derivation-renamed"], Version::Three, Door::Password);
    place.airflow.hold(true);
    let only = ["--detach", "--target", "joins/discovery.radio.*"];
    let first = place.apply(&only);
    says(&first, 5, "left to run");
    let backfills = || {
        let runs = place.airflow.runs();
        let fits = |it: &&airflow::Run| {
            it.conf["mode"] == "backfill" && it.conf.to_string().contains(RADIO)
        };
        runs.iter().filter(fits).count()
    };
    assert_eq!(backfills(), 1);
    // Another content, merged meanwhile.
    place.stage.commit("key-mapping-changed");
    let archived = place.stage.path("archived").display().to_string();
    let text = fs::read_to_string(place.stage.path("settings.toml")).unwrap();
    let text = text.replacen(
        "[env.prod]\n",
        &format!("[env.prod]\narchive = [\"touch\", \"{archived}\"]\n"),
        1,
    );
    fs::write(place.stage.path("settings.toml"), text).unwrap();
    for _ in 0..2 {
        says(&place.apply(&only), 5, "left to run");
        assert!(!fs::exists(&archived).unwrap() && backfills() == 1);
    }
    place.airflow.hold(false);
    says(&place.apply(&[]), 0, "Planned again: no changes");
    assert!(fs::exists(&archived).unwrap());
    assert_eq!(backfills(), 2);
}

/// A change that is taken back while its job runs: the table is computed again once that has ended.
#[test]
fn a_change_that_is_taken_back_while_its_run_goes_on_is_undone_after_it() {
    let place = Place::new(&["add-aggregation"], Version::Three, Door::Password);
    place.airflow.hold(true);
    let left = place.apply(&["--detach"]);
    let before = place.airflow.runs().len();
    says(&left, 5, &format!("{before} left to run"));
    place.stage.repo.copy(&project().join("fixtures/zipline/base/compiled"), "compiled");
    place.stage.repo.commit("revert");
    let steps = place.stage.steps();
    assert!(!steps.is_empty());
    let archived: Vec<String> = steps
        .iter()
        .filter(|it| it.starts_with("joins/") && it.ends_with("#backfill"))
        .flat_map(|it| ["--archived".to_owned(), it.trim_end_matches("#backfill").to_owned()])
        .collect();
    let mut args: Vec<&str> = archived.iter().map(String::as_str).collect();
    args.push("--detach");
    says(&place.apply(&args), 5, "left to run");
    assert_eq!(place.airflow.runs().len(), before, "nothing starts beside them");
    place.airflow.hold(false);
    args.pop();
    says(&place.apply(&args), 0, "Planned again: no changes");
    assert!(place.airflow.runs().len() > before);
}

/// Also what was left to run brings the files that all jobs share, where no DAG differs.
#[test]
fn what_is_collected_publishes_the_files_of_its_commit() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.apply(&[]).ok();
    place.stage.repo.write("compiled/shared.txt", "more");
    let commit = place.stage.repo.commit("a shared file");
    place.airflow.hold(true);
    let step = "joins/discovery.digest.weekly_digest__0#backfill";
    says(&place.apply(&["--force", step, "--detach"]), 5, "1 left to run");
    place.airflow.hold(false);
    place.resume(&[]).ok();
    let published = place.stage.path("state-dags").join("chronon_dags.json");
    let manifest: Value = serde_json::from_slice(&fs::read(published).unwrap()).unwrap();
    assert_eq!(manifest["commit"], json!(commit));
}

#[test]
fn a_preflight_names_the_setting_and_submits_nothing() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    let url = place.airflow.url();
    let table = [
        ("url = \"\"", "set `env.*.airflow.url`"),
        ("url = \"https://ada:hunter2@a.b\"", "`env.*.airflow.url` is no address"),
        ("url = \"http://127.0.0.1:9\"", "no Airflow answers at http://127.0.0.1:9"),
        ("api = \"v1\"", "no Airflow answers"),
    ];
    for (line, text) in table {
        let state = place.stage.path("state").display().to_string();
        let file = settings(&state, &url, "");
        let file = match line.split_once(" = ") {
            Some(("url", _)) => file.replace(&format!("url = \"{url}\""), line),
            _ => file + line,
        };
        fs::write(place.stage.path("settings.toml"), file).unwrap();
        let run = place.apply(&[]);
        says(&run, 1, text);
        assert!(run.stderr.contains("next: "), "{}", run.stderr);
        place.clean(&[&run]);
    }
    assert!(place.airflow.runs().is_empty());
}

#[test]
fn jobs_that_are_children_of_the_apply_cannot_be_left() {
    let stage = Stage::new(&[JOIN]);
    stage.adopt("HEAD~1");
    let run = stage.apply(&["--detach"]);
    says(&run, 1, "jobs of runner `command` cannot be left alone");
    assert!(stage.submissions().is_empty());
    says(&stage.run(&["apply", "--yes", "--resume"]), 0, "Nothing to resume");
}

#[test]
fn the_pages_of_runs_are_in_the_events_for_programs() {
    let place = Place::new(&[JOIN], Version::Three, Door::Password);
    place.airflow.fail("weekly_digest");
    let run = place.apply(&["--format", "json"]);
    assert_eq!(run.code, 5);
    let events: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().find(|it| it["event"] == name).unwrap();
    let base = format!("{}/dags/chronon_join_backfill/runs/", place.airflow.url());
    assert!(of("submitted")["page"].as_str().unwrap().starts_with(&base));
    assert!(of("failed")["page"].as_str().unwrap().ends_with("/tasks/job/mapped/0"));
    assert_eq!(of("ended")["running"], 0);
}

/// A repository whose pull requests CI applies by an Airflow.
fn forge(airflow: &Airflow) -> Forge {
    let stage = Stage::in_bucket(&[]);
    let more = "auth = \"none\"\ndetach = \"ci\"";
    let text = settings("gs://state/team", &airflow.url(), more);
    stage.repo.write("chronon-plan.toml", text);
    stage.repo.commit("settings");
    let settings = fs::read(stage.repo.path().join("chronon-plan.toml")).unwrap();
    fs::write(stage.path("settings.toml"), settings).unwrap();
    let forge = Forge::of(stage, GitHub::start());
    forge.stage.adopt("main");
    forge
}

#[test]
fn ci_leaves_runs_to_airflow_and_its_schedule_collects_them() {
    let airflow = Airflow::start(Version::Three, Door::Open);
    airflow.hold(true);
    let forge = forge(&airflow);
    forge.open(7, CHANGE);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.merge(7);
    let pushed = forge.pushed(&landed).ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("Running in Airflow") && body.contains("4 running"), "{body}");
    let page = format!("[run]({}/dags/chronon_", airflow.url());
    assert!(body.contains(&page), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "neutral");
    assert_eq!(airflow.runs().len(), 4);

    // Another change is merged, and its own run has not come yet.
    let schedule = || {
        forge.git(&["checkout", "-q", "--detach", "main"]);
        forge.job("schedule", json!({"schedule": "17 * * * *"}))
    };
    let still = schedule().ended(0);
    assert_eq!(airflow.runs().len(), 4);
    assert_eq!(forge.conclusion(&landed.1, APPLY), "neutral");
    airflow.finish();
    let next = schedule().ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("4 of 5 steps done, 1 running"), "{body}");
    assert_eq!(airflow.runs().len(), 5);
    airflow.finish();
    let last = schedule().ended(0);
    assert_eq!(forge.conclusion(&landed.1, APPLY), "success");
    let mut jobs = vec![pushed, still, next, last];
    let body = forge.comment(7).body;
    assert!(body.contains("✅ **Applied**") && body.contains("re-plan: no changes"), "{body}");
    assert_eq!(airflow.runs().len(), 5);
    assert_eq!(forge.stage.steps(), [""; 0]);
    let edits = forge.comment(7).edits;
    let idle = schedule().ended(0);
    assert!(idle.run.stdout.contains("no steps") || idle.outputs["steps"] == "0");
    assert_eq!(forge.comment(7).edits, edits);
    jobs.push(idle);
    forge.assert_clean(&jobs.iter().collect::<Vec<_>>());
    assert_eq!(airflow.violations(), [""; 0]);
}

#[test]
fn a_schedule_tells_a_failure_with_its_log_and_starts_nothing_again() {
    let airflow = Airflow::start(Version::Two, Door::Open);
    airflow.hold(true);
    let forge = forge(&airflow);
    forge.open(7, JOIN);
    forge.pull_request(7, "opened").ended(0);
    let landed = forge.merge(7);
    forge.pushed(&landed).ended(0);
    airflow.fail("weekly_digest");
    airflow.log(&["Spark says no"]);
    airflow.hold(false);
    let schedule = || {
        forge.git(&["checkout", "-q", "--detach", "main"]);
        forge.job("schedule", json!({"schedule": "17 * * * *"}))
    };
    schedule().ended(5);
    let body = forge.comment(7).body;
    let link = format!("[log]({}/dags/chronon_join_backfill/grid?dag_run_id=", airflow.url());
    assert!(body.contains(&link) && body.contains("Spark says no"), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "failure");
    // What failed is pending; it is for people to start it again.
    schedule().ended(0);
    assert_eq!(airflow.runs().len(), 1);
    airflow.heal();
    let (_, job) = forge.commented(7, "ana", "/chronon-plan apply", "main");
    assert!(job.run.code == 0 || job.run.code == 6, "{}", job.run.stderr);
}

#[test]
fn a_schedule_goes_on_with_nothing_that_was_not_approved() {
    let airflow = Airflow::start(Version::Three, Door::Open);
    airflow.hold(true);
    let forge = forge(&airflow);
    // Somebody began it on a laptop, past every pull request.
    let landed = forge.push_to_main(CHANGE);
    let run = forge.stage.run(&["apply", "--yes", "--as-of", DAY, "--detach"]);
    says(&run, 5, "4 left to run");
    airflow.hold(false);
    forge.git(&["checkout", "-q", "--detach", "main"]);
    let job = forge.job("schedule", json!({"schedule": "17 * * * *"})).ended(6);
    assert!(job.run.stderr.contains("no pull request"), "{}", job.run.stderr);
    assert_eq!(airflow.runs().len(), 4, "{}", landed.1);
}
