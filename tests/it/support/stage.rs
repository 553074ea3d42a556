//! A stage for whole applies: the fixture repository, a stand-in for a cluster, a place for state,
//! and the real binary.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::Repo;
use super::Run;
use super::command;
use super::files;
use super::gcs::Gcs;
use super::project;

/// The day of every plan and apply.
pub(crate) const DAY: &str = "2026-11-22";

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job lives apart from the process that submitted it, as on a cluster: neither the end of the
/// client nor that of the apply ends it.
const CLUSTER: &str = r#"#!/bin/sh
# Stand-in for a cluster in tests: takes every job, does with it what the files in `knobs` say,
# keeps a log of it all, and computes nothing.
here=${0%/*}
verb=$1 operation=$2
shift 2
job=$here/jobs/$operation
case $verb in
submit)
    step="$1#$2"
    shift 2
    echo "submit $operation $step $*" >> "$here/log"
    [ ! -e "$here/knobs/say.$step" ] || cat "$here/knobs/say.$step"
    # A submission that has begun is not broken off in the middle.
    trap '' TERM
    setsid "$0" job "$operation" "$step" "$*" < /dev/null > /dev/null 2>&1 &
    while [ ! -d "$job" ]; do sleep 0.01; done
    trap - TERM
    while [ ! -e "$job/state" ]; do sleep 0.02; done
    [ "$(cat "$job/state")" = done ] && exit 0
    echo "the cluster says: $step was made to fail"
    exit 1
    ;;
job)
    mkdir "$job"
    echo "start $operation $1" >> "$here/log"
    while [ -e "$here/knobs/hold" ] || [ -e "$here/knobs/hold.$1" ]; do sleep 0.02; done
    [ ! -e "$here/knobs/sleep" ] || sleep "$(cat "$here/knobs/sleep")"
    state=done
    if [ -e "$here/knobs/fail.$1" ]; then
        tries=$(grep -c "^start [0-9a-f]* $1\$" "$here/log")
        [ "$tries" -gt "$(cat "$here/knobs/fail.$1")" ] || state=failed
    fi
    if [ -e "$here/knobs/refuse.$1" ]; then
        case " $2 " in *" $(cat "$here/knobs/refuse.$1") "*) state=failed ;; esac
    fi
    echo "end $operation $1" >> "$here/log"
    echo $state > "$job/new"
    mv "$job/new" "$job/state"
    ;;
find)
    if [ -e "$job/state" ]; then cat "$job/state"
    elif [ -d "$job" ]; then echo running
    else echo none; fi
    ;;
esac
"#;

/// One submission, as the cluster saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Submission {
    /// `<name>#<mode>`.
    pub(crate) step: String,
    /// Its dates.
    pub(crate) dates: String,
    pub(crate) operation: String,
}

/// Where an apply can happen.
pub(crate) struct Stage {
    pub(crate) repo: Repo,
    folder: TempDir,
    pub(crate) gcs: Option<Gcs>,
}

impl Stage {
    /// The fixture repository with these changes, one commit each after the base; state in a
    /// folder.
    pub(crate) fn new(changes: &[&str]) -> Self {
        let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
        repo.copy(&project().join("fixtures/zipline/base/compiled"), "compiled");
        repo.commit("base");
        let stage = Self { repo, folder, gcs: None };
        changes.iter().for_each(|change| drop(stage.commit(change)));
        for below in ["knobs", "jobs", "out"] {
            fs::create_dir(stage.path(below)).unwrap();
        }
        fs::write(stage.path("log"), "").unwrap();
        fs::write(stage.path("cluster"), CLUSTER).unwrap();
        fs::set_permissions(stage.path("cluster"), fs::Permissions::from_mode(0o755)).unwrap();
        stage.settings("", "");
        stage
    }

    /// The same with its state in a bucket.
    pub(crate) fn in_bucket(changes: &[&str]) -> Self {
        let gcs = Gcs::start();
        gcs.state("state");
        let stage = Self { gcs: Some(gcs), ..Self::new(changes) };
        stage.settings("", "");
        stage
    }

    /// Commits two GroupBys that wait for each other's tables, so that no schedule can be made.
    pub(crate) fn commit_circle(&self) {
        let pair = ["tracks.track_profile__2", "tracks.track_popularity__0"];
        for (name, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            let path = format!("compiled/group_bys/catalog/{name}");
            let mut config: Value =
                serde_json::from_slice(&fs::read(self.repo.path().join(&path)).unwrap()).unwrap();
            let table = format!("catalog_features.catalog_{}", other.replace('.', "_"));
            let spec = json!({"name": "w", "spec": format!("{table}/ds={{{{ ds }}}}")});
            let custom = json!({ "airflowDependencies": [spec] }).to_string();
            config["metaData"]["customJson"] = json!(custom);
            self.repo.write(&path, config.to_string());
        }
        self.repo.commit("circle");
    }

    /// Commits one change of the fixtures more.
    pub(crate) fn commit(&self, change: &str) -> String {
        let folder = project().join("fixtures/zipline/changes").join(change);
        self.repo.copy(&folder.join("compiled"), "compiled");
        if let Ok(removed) = fs::read(folder.join("removed.json")) {
            let removed: Vec<String> = serde_json::from_slice(&removed).unwrap();
            removed.iter().for_each(|path| self.repo.remove(path));
        }
        self.repo.commit(change)
    }

    /// A file or folder beside the repository.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The folder with the state, where it is in one.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/prod")
    }

    /// Writes the settings; `env` is added to the env's own lines, `more` follows them.
    pub(crate) fn settings(&self, env: &str, more: &str) {
        let cluster = self.path("cluster").display().to_string();
        let state = match self.gcs {
            Some(_) => "gs://state/team".to_owned(),
            None => self.path("state").display().to_string(),
        };
        let text = format!(
            "[env.prod]\nroot = \"compiled\"\nstate = \"{state}\"\nrunner = \"command\"\n\
             command = [\"{cluster}\", \"submit\", \"{{operation}}\", \"{{name}}\", \"{{mode}}\", \
             \"--start-ds={{start_ds}}\", \"--end-ds={{end_ds}}\", \"--ds={{ds}}\"]\n\
             find = [\"{cluster}\", \"find\", \"{{operation}}\"]\n\
             retry_delay = 0\n{env}\n[env.prod.lock]\nttl = 10\n{more}\n"
        );
        fs::write(self.path("settings.toml"), text).unwrap();
    }

    /// Turns a knob of the cluster.
    pub(crate) fn knob(&self, name: &str, value: &str) {
        fs::write(self.path("knobs").join(name), value).unwrap();
    }

    /// Takes a knob off.
    pub(crate) fn unset(&self, name: &str) {
        fs::remove_file(self.path("knobs").join(name)).unwrap();
    }

    /// The binary, with the settings; nothing is run yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.repo.path());
        command.args(args).arg("--settings").arg(self.path("settings.toml"));
        if let Some(gcs) = &self.gcs {
            command.env("STORAGE_EMULATOR_HOST", gcs.endpoint());
        }
        command
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::of(self.command(args), &self.path("out"))
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.start(args).end()
    }

    /// Starts an apply that does not ask.
    pub(crate) fn start_apply(&self, args: &[&str]) -> Running {
        self.start(&[&["apply", "--yes", "--as-of", DAY], args].concat())
    }

    /// Applies without asking.
    pub(crate) fn apply(&self, args: &[&str]) -> Run {
        self.start_apply(args).end()
    }

    /// Records a commit as applied.
    pub(crate) fn adopt(&self, commit: &str) {
        self.run(&["state", "adopt", "--commit", commit]).ok();
    }

    /// The plan as it is now.
    pub(crate) fn plan(&self, args: &[&str]) -> Value {
        let all = [&["plan", "--as-of", DAY, "--format", "json"], args].concat();
        serde_json::from_str(&self.run(&all).ok()).unwrap()
    }

    /// The ids of the steps of the plan as it is now.
    pub(crate) fn steps(&self) -> Vec<String> {
        let plan = self.plan(&[]);
        let steps = plan["steps"].as_array().unwrap().iter();
        steps.map(|step| step["id"].as_str().unwrap().to_owned()).collect()
    }

    /// What the ledger says of every resource, without who applied it and when.
    pub(crate) fn resources(&self) -> BTreeMap<String, Value> {
        let list = self.run(&["state", "list", "--format", "json"]).ok();
        let list: Value = serde_json::from_str(&list).unwrap();
        let rows = list["resources"].as_array().unwrap().iter().cloned();
        rows.map(|mut row| {
            let key = format!("{}#{}", row["config"], row["resource"]).replace('"', "");
            for who in ["run", "job", "at"] {
                row.as_object_mut().unwrap().remove(who);
            }
            (key, row)
        })
        .collect()
    }

    /// Every submission so far, in order.
    pub(crate) fn submissions(&self) -> Vec<Submission> {
        let submission = |line: &str| {
            let mut words = line.strip_prefix("submit ")?.splitn(3, ' ').map(str::to_owned);
            let (operation, step) = (words.next()?, words.next()?);
            let dates = words.next().unwrap_or_default();
            Some(Submission { step, dates, operation })
        };
        self.log().lines().filter_map(submission).collect()
    }

    /// The steps that were submitted so far, in order.
    pub(crate) fn submitted(&self) -> Vec<String> {
        self.submissions().into_iter().map(|it| it.step).collect()
    }

    /// Which job ran for which step and days, and how often: sorted.
    pub(crate) fn jobs(&self) -> BTreeMap<(String, String), usize> {
        let mut jobs = BTreeMap::new();
        for it in self.submissions() {
            *jobs.entry((it.step, it.dates)).or_default() += 1;
        }
        jobs
    }

    /// How many jobs ran at once at most.
    pub(crate) fn most_at_once(&self) -> usize {
        let (mut now, mut most) = (0, 0);
        for line in self.log().lines() {
            match line.split(' ').next() {
                Some("start") => now += 1,
                Some("end") => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    }

    /// The cluster's log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Every file of the state with its content, to compare.
    pub(crate) fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        if let Some(gcs) = &self.gcs {
            let object = |name: String| Some((name.clone(), gcs.object("state", &name)?.bytes));
            return gcs.names("state").into_iter().filter_map(object).collect();
        }
        let read = |path: PathBuf| {
            let name = path.strip_prefix(self.state()).unwrap().display().to_string();
            (name, fs::read(&path).unwrap())
        };
        files(&self.state()).into_iter().map(read).collect()
    }

    /// The lock as it is kept.
    pub(crate) fn lock(&self) -> Value {
        let show = self.run(&["lock", "show", "--format", "json"]).ok();
        serde_json::from_str::<Value>(&show).unwrap()["lock"].clone()
    }
}

/// How many cases go on at once; they mostly wait for a lock.
const THREADS: usize = 8;

/// Does every case, several at once.
pub(crate) fn each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    check(case);
                }
            });
        }
    });
}

/// Waits until something is so.
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The binary while it runs; its streams go to files, so that nothing waits for a reader.
pub(crate) struct Running {
    child: Child,
    streams: [PathBuf; 2],
}

impl Running {
    fn of(command: Command, folder: &Path) -> Self {
        Self::reading(command, folder, Path::new("/dev/null"))
    }

    /// Starts a command that reads this file; what it says is kept in files of the folder.
    pub(crate) fn reading(mut command: Command, folder: &Path, from: &Path) -> Self {
        let name = tempfile::NamedTempFile::new_in(folder).unwrap();
        let name = name.path().display().to_string();
        let streams = ["stdout", "stderr"].map(|it| PathBuf::from(format!("{name}.{it}")));
        let [out, err] = [&streams[0], &streams[1]].map(|it| File::create(it).unwrap());
        command.stdin(File::open(from).unwrap()).stdout(out).stderr(err);
        Self { child: command.spawn().unwrap(), streams }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.streams[1]).unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        signal_to(self.id(), signal);
    }

    /// Kills it and waits until it is no more.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Run {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end; it said: {}", self.said());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = self.streams.map(|it| fs::read_to_string(it).unwrap());
        Run { code: status.code().unwrap_or(-1), stdout, stderr }
    }
}

/// Sends a process a signal; one that is no more needs none.
pub(crate) fn signal_to(process: u32, signal: rustix::process::Signal) {
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, signal).ok();
}
