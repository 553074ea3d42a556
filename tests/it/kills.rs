//! An apply that is killed at any point is carried on by the next, and no job is submitted twice.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::gcs::Fault;
use crate::support::gcs::Moment;
use crate::support::stage::Running;
use crate::support::stage::Stage;
use crate::support::stage::each;
use crate::support::stage::signal_to;

/// Five steps: two backfills of two chunks each, an upload, what loads it, and metadata.
const CHANGE: &str = "rename-group-by";
const CHUNKS: &str = "[env.prod.backfill]\nchunk_days = 400\n";

/// Whether the write at which an apply is killed still happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Lost,
    Kept,
}

/// What comes of an apply that nobody disturbs.
struct Undisturbed {
    resources: BTreeMap<String, Value>,
    jobs: BTreeMap<(String, String), usize>,
    writes: usize,
    took: Duration,
}

fn stage(stage: Stage) -> Stage {
    prepared(&stage);
    stage.adopt("HEAD~1");
    if let Some(gcs) = &stage.gcs {
        gcs.unlimited();
    }
    stage
}

/// Settings under which a lock is soon lost.
fn prepared(stage: &Stage) {
    stage.settings("parallelism = 2", CHUNKS);
    let file = stage.path("settings.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("ttl = 10", "ttl = 2")).unwrap();
}

fn undisturbed(stage: &Stage) -> Undisturbed {
    let writes =
        || stage.gcs.as_ref().map_or(0, |it| it.calls().iter().filter(|it| it.is_write()).count());
    let (before, start) = (writes(), Instant::now());
    stage.apply(&[]).ok();
    let (writes, took) = (writes() - before, start.elapsed());
    let jobs = stage.jobs();
    assert_eq!(jobs.len(), 7, "{jobs:?}");
    assert!(jobs.values().all(|times| *times == 1));
    assert!(stage.steps().is_empty());
    Undisturbed { resources: stage.resources(), jobs, writes, took }
}

/// Starts an apply and kills it at its `at`th write, counted from 0; whether it came to that.
fn killed_at(stage: &Stage, args: &[&str], at: usize, write: Write) -> bool {
    let gcs = stage.gcs.as_ref().unwrap();
    let process = Arc::new(Mutex::new(0_u32));
    let count = Arc::new(AtomicUsize::new(0));
    let mut number = process.lock().unwrap();
    let (victim, counted) = (Arc::clone(&process), Arc::clone(&count));
    // The number is known once the lock is free.
    let strike = move || {
        let here = counted.fetch_add(1, Ordering::SeqCst) == at;
        if here {
            signal_to(*victim.lock().unwrap(), Signal::KILL);
        }
        here
    };
    match write {
        Write::Lost => gcs.fail(1, Fault::ResetBefore, move |call| call.is_write() && strike()),
        Write::Kept => gcs.hook(move |moment, _| {
            if moment == Moment::After {
                strike();
            }
        }),
    }
    let running = stage.start_apply(args);
    *number = running.id();
    drop(number);
    let run = running.end();
    gcs.heal();
    gcs.hook(|_, _| ());
    // On a busy machine the lock may be lost too.
    assert!(matches!(run.code, 0 | 4 | -1), "{}", run.stderr);
    run.code == -1
}

/// Applies until all is applied, and holds the outcome against that of an undisturbed apply.
fn recovers(case: &str, stage: &Stage, args: &[&str], want: &Undisturbed) {
    let mut said = String::new();
    for _ in 0..3 {
        let run = stage.apply(args);
        said = run.stderr;
        if run.code == 0 {
            assert_eq!(stage.jobs(), want.jobs, "{case}\n{}\n{said}", stage.log());
            assert_eq!(stage.resources(), want.resources, "{case}");
            assert!(stage.steps().is_empty(), "{case}");
            assert!(stage.lock()["holder"].is_null(), "{case}");
            assert_eq!(stage.lock()["unfinished"], serde_json::json!([]), "{case}");
            return;
        }
    }
    panic!("{case}: it never ends\n{said}");
}

/// Numbers that are the same in every run of the tests.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

#[test]
fn killed_at_any_write_an_apply_is_carried_on() {
    let want = undisturbed(&stage(Stage::in_bucket(&[CHANGE])));
    let cases: Vec<(usize, Write)> =
        (0..want.writes).flat_map(|at| [(at, Write::Lost), (at, Write::Kept)]).collect();
    let killed = AtomicUsize::new(0);
    each(&cases, |&(at, write)| {
        let stage = stage(Stage::in_bucket(&[CHANGE]));
        killed.fetch_add(killed_at(&stage, &[], at, write).into(), Ordering::SeqCst);
        recovers(&format!("write {at}, {write:?}"), &stage, &[], &want);
        assert_eq!(stage.gcs.as_ref().unwrap().violations(), [""; 0]);
    });
    // Events share a page as they come, so an apply may have fewer writes than another one.
    let killed = killed.into_inner();
    assert!(killed * 5 >= cases.len() * 4, "{killed} of {} were killed", cases.len());
}

#[test]
fn killed_twice_an_apply_is_carried_on() {
    let want = undisturbed(&stage(Stage::in_bucket(&[CHANGE])));
    let mut seeded = Seeded(17);
    let mut write = |below| {
        let at = seeded.below(below);
        (at, [Write::Lost, Write::Kept][seeded.below(2)])
    };
    let cases: Vec<_> = (0..24).map(|_| (write(want.writes), write(want.writes))).collect();
    each(&cases, |&(first, second)| {
        let stage = stage(Stage::in_bucket(&[CHANGE]));
        killed_at(&stage, &[], first.0, first.1);
        killed_at(&stage, &[], second.0, second.1);
        recovers(&format!("writes {first:?}, then {second:?}"), &stage, &[], &want);
    });
}

/// The first apply of all also writes what counts as applied.
#[test]
fn killed_before_there_is_a_ledger_an_apply_is_carried_on() {
    let want = undisturbed(&stage(Stage::in_bucket(&[CHANGE])));
    let cases: Vec<(usize, Write)> =
        (0..7).flat_map(|at| [(at, Write::Lost), (at, Write::Kept)]).collect();
    each(&cases, |&(at, write)| {
        let stage = Stage::in_bucket(&[CHANGE]);
        stage.gcs.as_ref().unwrap().unlimited();
        prepared(&stage);
        let first = ["--base", "HEAD~1"];
        assert!(killed_at(&stage, &first, at, write));
        recovers(&format!("write {at}, {write:?}"), &stage, &first, &want);
    });
}

#[test]
fn a_bucket_that_takes_one_write_a_second_is_no_hindrance() {
    let stage = Stage::in_bucket(&[CHANGE]);
    prepared(&stage);
    stage.adopt("HEAD~1");
    assert!(killed_at(&stage, &[], 9, Write::Kept));
    stage.apply(&[]).ok();
    assert!(stage.jobs().values().all(|times| *times == 1), "{}", stage.log());
    assert!(stage.steps().is_empty());
}

#[test]
fn killed_at_any_time_an_apply_in_a_folder_is_carried_on() {
    let want = undisturbed(&stage(Stage::new(&[CHANGE])));
    let mut seeded = Seeded(42);
    let longest = usize::try_from(want.took.as_micros()).unwrap();
    let cases: Vec<Duration> =
        (0..20).map(|_| Duration::from_micros(seeded.below(longest) as u64)).collect();
    each(&cases, |delay| {
        let stage = stage(Stage::new(&[CHANGE]));
        let running: Running = stage.start_apply(&[]);
        thread::sleep(*delay);
        running.kill();
        recovers(&format!("after {delay:?}"), &stage, &[], &want);
    });
}
