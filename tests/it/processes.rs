//! Children of a runner: what they print, how they end, and that nothing of them stays behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use crate::support::still_running;
use chronon_plan::apply::command::CommandRunner;
use chronon_plan::apply::machine::Machine;
use chronon_plan::apply::process;
use chronon_plan::apply::process::Call;
use chronon_plan::apply::process::End;
use chronon_plan::apply::process::Ran;
use chronon_plan::apply::process::Told;
use chronon_plan::apply::runner::Context;
use chronon_plan::apply::runner::Found;
use chronon_plan::apply::runner::Job;
use chronon_plan::apply::runner::Outcome;
use chronon_plan::apply::runner::Runner;
use chronon_plan::apply::runner::Stop;
use chronon_plan::apply::scrub::Scrubber;
use tempfile::TempDir;

fn env() -> BTreeMap<String, String> {
    BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap())])
}

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

fn secrets() -> Vec<(String, String)> {
    vec![("TOKEN".to_owned(), "hunter2-deep".to_owned()), ("PIN".to_owned(), "17".to_owned())]
}

/// Runs a shell script; gives how it ended and its log.
fn run(
    folder: &TempDir,
    script: &str,
    timeout: Duration,
    stop: &Stop,
    known: bool,
) -> (Ran, String) {
    let log = folder.path().join("logs/job.log");
    let lock = process::lock(&folder.path().join("locks/job.lock")).unwrap().unwrap();
    let argv = shell(script);
    let call = Call {
        argv: &argv,
        folder: folder.path(),
        env: &env(),
        scrubber: Scrubber::new(&secrets()),
        log: Some(&log),
        lock: Some(lock),
        timeout,
        id_known: known,
    };
    let mut told = |_, line: &str| match line {
        "the id" => Told::Id,
        "enough" => Told::Enough,
        _ => Told::Nothing,
    };
    let ran = process::run(call, &mut told, stop);
    (ran, fs::read_to_string(&log).unwrap_or_default())
}

const LONG: Duration = Duration::from_secs(60);

/// The processes that were given this word, as this machine lists them; zombies are none.
fn alive(word: &str) -> Vec<String> {
    let listed = Command::new("ps").args(["-eo", "pid,stat,args"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let of_it = listed.lines().filter(|line| line.contains(word));
    of_it.filter(|line| !line.contains(" Z")).map(str::to_owned).collect()
}

fn free(folder: &TempDir) -> bool {
    !still_running(&folder.path().join("locks/job.lock"))
}

#[test]
fn output_goes_to_the_log_in_order_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let script = "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; \
                  echo TOKEN=hunter2-deep PIN=17; echo \"u=$PYTHONUNBUFFERED\" >&2; exit 3";
    let (ran, log) = run(&folder, script, LONG, &Stop::default(), true);
    assert_eq!(ran.end, End::Exited(Some(3)));
    assert_eq!(ran.tail.len(), 40);
    assert!(ran.tail.contains(&"TOKEN=*** PIN=***".to_owned()), "{:?}", ran.tail);
    let numbered: Vec<&str> = log.lines().filter(|line| line.starts_with("line")).collect();
    assert!(numbered.len() == 50 && numbered[..2] == ["line 0", "line 1"], "{log}");
    assert!(log.contains("u=1\n"), "{log}");
    assert!(!log.contains("hunter2"));
    assert!(free(&folder));
}

#[test]
fn the_child_has_the_environment_it_is_given_and_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let (ran, log) = run(&folder, "env; cat; echo end", LONG, &Stop::default(), true);
    assert_eq!(ran.end, End::Exited(Some(0)));
    assert!(!log.contains("CARGO") && log.contains("PATH=") && log.ends_with("end\n"), "{log}");
}

#[test]
fn a_line_of_megabytes_and_broken_text_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let script = "printf 'a\\377b\\n'; head -c 5000000 /dev/zero | tr '\\0' x; echo; \
                  head -c 65530 /dev/zero | tr '\\0' y; echo hunter2-deep; printf 'no end'";
    let (ran, log) = run(&folder, script, LONG, &Stop::default(), true);
    assert_eq!(ran.end, End::Exited(Some(0)));
    assert!(log.starts_with("a\u{fffd}b\n") && log.ends_with("no end\n"));
    assert!(log.len() < 200_000, "{}", log.len());
    assert!(log.contains("bytes more)") && !log.contains("hunter"), "a secret cut in two");
    assert!(ran.tail.iter().all(|line| line.chars().count() <= 1_001));
}

#[test]
fn a_grandchild_that_keeps_the_output_open_is_not_waited_for_but_seen() {
    let folder = tempfile::tempdir().unwrap();
    let before = Instant::now();
    // A shell takes the input from what it puts aside; `<&3` gives it back.
    let script = "exec 3<&0; sleep 30.111 <&3 & echo $! >pid; echo started";
    let (ran, log) = run(&folder, script, LONG, &Stop::default(), true);
    assert_eq!((ran.end, log.as_str()), (End::Exited(Some(0)), "started\n"));
    assert!(before.elapsed() < Duration::from_secs(5));
    // It has the job's lock still, and nobody else gets it.
    assert!(!free(&folder));
    let lock = folder.path().join("locks/job.lock");
    assert!(process::lock(&lock).unwrap().is_none());
    let stop = Stop::default();
    let short = Duration::from_millis(200);
    let waited = process::wait_for_lock(&lock, short, &stop).unwrap();
    assert!(matches!(waited, process::Waited::Held));
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    let waited = process::wait_for_lock(&lock, LONG, &stop).unwrap();
    assert!(matches!(waited, process::Waited::Locked(_)));
}

#[test]
fn a_child_that_takes_too_long_ends_with_all_of_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let before = Instant::now();
    // The child itself does not listen to SIGTERM.
    let script = "trap '' TERM; sh -c 'sleep 30.222; sleep 30.222'; sleep 30.222";
    let (ran, _) = run(&folder, script, Duration::from_millis(300), &Stop::default(), true);
    assert_eq!(ran.end, End::TimedOut);
    assert!(before.elapsed() < Duration::from_secs(9), "{:?}", before.elapsed());
    assert_eq!(alive("30.222"), Vec::<String>::new());
    assert!(free(&folder));
}

#[test]
fn a_stop_ends_the_group_in_time() {
    let stubborn = "trap '' TERM; sleep 30.333; sleep 30.333";
    let speaks = "sleep 1; echo the id; sleep 30.333";
    for (script, known, least, most) in [
        ("sleep 30.333", true, 0.0, 1.5),
        (stubborn, true, 1.0, 2.5),
        (speaks, false, 0.9, 2.5),
        (stubborn, false, 3.9, 5.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        stop.ask();
        let before = Instant::now();
        let (ran, _) = run(&folder, script, LONG, &stop, known);
        let took = before.elapsed().as_secs_f64();
        assert_eq!(ran.end, End::Stopped, "{script}");
        assert!((least..most).contains(&took), "{script}: {took}");
        assert_eq!(alive("30.333"), Vec::<String>::new(), "{script}");
    }
}

#[test]
fn a_child_may_say_a_last_word() {
    let folder = tempfile::tempdir().unwrap();
    // The child of the child is asked too, and each may still speak.
    let script = "trap 'echo outer; exit 0' TERM; sh -c \"trap 'echo inner; exit 0' TERM; \
                  sleep 30.555 & wait\" & wait";
    let (ran, log) = run(&folder, script, Duration::from_secs(1), &Stop::default(), true);
    assert_eq!(ran.end, End::TimedOut);
    assert!(log.contains("outer\n") && log.contains("inner\n"), "{log}");
    assert_eq!(alive("30.555"), Vec::<String>::new());
}

#[test]
fn a_child_that_said_enough_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let before = Instant::now();
    let (ran, log) = run(&folder, "echo enough; sleep 30.444", LONG, &Stop::default(), true);
    assert_eq!((ran.end, log.as_str()), (End::Enough, "enough\n"));
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(alive("30.444"), Vec::<String>::new());
}

#[test]
fn what_cannot_be_started_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let argv = vec!["no-such-program-anywhere".to_owned()];
    let captured = process::capture(&argv, folder.path(), &env(), LONG, &Stop::default());
    let End::NotStarted(why) = captured.end else { panic!("{captured:?}") };
    assert!(why.starts_with("`no-such-program-anywhere` cannot be started: "), "{why}");
}

struct Place {
    folder: TempDir,
    runner: CommandRunner,
}

fn place(find: Option<&str>) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine { env: env(), locks: folder.path().join("locks") };
    let runner = CommandRunner { machine, find: find.map(shell) };
    Place { folder, runner }
}

impl Place {
    fn job(&self, script: &str) -> Job {
        Job {
            step: "group_bys/a.b.c__1#upload".to_owned(),
            mode: "upload".to_owned(),
            argv: shell(script),
            path: "compiled/group_bys/a/b.c__1".to_owned(),
            name: "a.b.c__1".to_owned(),
            operation: "op-1".to_owned(),
            folder: self.folder.path().to_owned(),
            log: self.path("job.log"),
            secrets: secrets(),
            timeout: LONG,
            chunk_days: None,
            may_be_running: false,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, job: &Job) -> (Outcome, Vec<String>) {
        let ids = Mutex::new(Vec::new());
        let tell = |id: &str| ids.lock().unwrap().push(id.to_owned());
        let context =
            Context { job_id: &tell, page: &|_, _| (), detach: false, stop: &Stop::default() };
        let outcome = self.runner.run(job, context);
        (outcome, ids.into_inner().unwrap())
    }

    fn find(&self, job: &Job) -> Found {
        let context =
            Context { job_id: &|_| (), page: &|_, _| (), detach: false, stop: &Stop::default() };
        self.runner.find(job, &job.operation, context)
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_command_of_ones_own_runs_under_its_operation() {
    let place = place(None);
    let (outcome, ids) = place.run(&place.job("echo \"did {operation} for two words\""));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ids, ["op-1"]);
    assert_eq!(text(&place.path("job.log")), "did op-1 for two words\n");
}

#[test]
fn a_command_that_fails_says_how_and_shows_no_secret() {
    let place = place(None);
    let (outcome, _) = place.run(&place.job("echo TOKEN=hunter2-deep; exit 4"));
    let expected = Outcome::Failed {
        what: "it ended with exit code 4".to_owned(),
        tail: vec!["TOKEN=***".to_owned()],
        again: true,
    };
    assert_eq!(outcome, expected);
}

#[test]
fn find_says_what_became_of_a_command() {
    let counting = "echo x >>looks; [ $(wc -l <looks) -lt 3 ] && echo running || echo done";
    let failed = |found: &Found, expected: bool| match found {
        Found::Ended(Outcome::Failed { again, .. }) => *again == expected,
        _ => false,
    };
    assert_eq!(place(None).find(&place(None).job("true")), Found::Nothing);
    for (find, done) in [("echo none", false), ("echo noise; echo done", true), (counting, true)] {
        let place = place(Some(find));
        let expected = if done { Found::Ended(Outcome::Done) } else { Found::Nothing };
        assert_eq!(place.find(&place.job("true")), expected, "{find}");
    }
    for (find, again) in [("echo failed", true), ("echo perhaps", false), ("exit 1", false)] {
        let place = place(Some(find));
        let found = place.find(&place.job("true"));
        assert!(failed(&found, again), "{find}: {found:?}");
    }
}

#[test]
fn find_waits_for_processes_that_a_killed_run_left() {
    let place = place(Some("cat ended"));
    let job = place.job("true");
    let lock = process::lock(&place.runner.machine.lock("op-1")).unwrap().unwrap();
    let mut orphan = Command::new("sh")
        .args(["-c", "sleep 1; echo done >ended"])
        .current_dir(place.folder.path())
        .stdin(lock)
        .spawn()
        .unwrap();
    assert_eq!(place.find(&job), Found::Ended(Outcome::Done));
    orphan.wait().unwrap();
}

#[test]
fn preflight_names_programs_that_are_missing_once() {
    let place = place(Some("true"));
    let mut job = place.job("true");
    assert_eq!(place.runner.preflight(std::slice::from_ref(&job)), []);
    job.argv[0] = "no-such-program".to_owned();
    let problems = place.runner.preflight(&[job.clone(), job]);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].what, "there is no program `no-such-program` (2 jobs)");
    assert!(problems[0].next.contains("`env.*.command`"));
}
