//! How fast an apply is when its jobs cost nothing: a thousand steps through the real engine,
//! journal, lock and ledger, on a folder and on the tests' storage service on this machine.
//!
//! `make bench` runs it. A measurement, not a test: it prints, and holds nothing.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has nothing to print")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use chronon_plan::apply::engine;
use chronon_plan::apply::engine::Apply;
use chronon_plan::apply::engine::How;
use chronon_plan::apply::engine::Task;
use chronon_plan::apply::runner::Context;
use chronon_plan::apply::runner::Found;
use chronon_plan::apply::runner::Job;
use chronon_plan::apply::runner::Outcome;
use chronon_plan::apply::runner::Problem;
use chronon_plan::apply::runner::Runner;
use chronon_plan::apply::runner::Stop;
use chronon_plan::apply::work::Piece;
use chronon_plan::model::ledger::Applied;
use chronon_plan::model::ledger::Fingerprint;
use chronon_plan::model::ledger::Ledger;
use chronon_plan::model::name::Address;
use chronon_plan::model::name::BlobId;
use chronon_plan::model::name::CommitId;
use chronon_plan::model::name::ConfigType;
use chronon_plan::model::name::Resource;
use chronon_plan::state::clock::Clock;
use chronon_plan::state::head;
use chronon_plan::state::journal::Carried;
use chronon_plan::state::journal::Journal;
use chronon_plan::state::lease;
use chronon_plan::state::lease::Ask;
use chronon_plan::state::lease::Holder;
use chronon_plan::state::location::Location;
use chronon_plan::state::location::open;
use chronon_plan::state::objects::Objects;

#[path = "../tests/it/support/gcs.rs"]
#[expect(dead_code, reason = "what only tests need")]
mod gcs;

/// How many steps; every fourth waits for the one before it.
const STEPS: usize = 1000;
const PARALLELISM: usize = 32;

/// Does nothing, at once.
struct Nothing;

impl Runner for Nothing {
    fn preflight(&self, _: &[Job]) -> Vec<Problem> {
        Vec::new()
    }

    fn run(&self, job: &Job, context: Context<'_>) -> Outcome {
        (context.job_id)(&job.operation);
        Outcome::Done
    }

    fn find(&self, _: &Job, _: &str, _: Context<'_>) -> Found {
        Found::Nothing
    }
}

fn tasks() -> Vec<Task> {
    let id = |at: usize| format!("group_bys/team.file.config_{at}__1#upload");
    let task = |at: usize| Task {
        id: id(at),
        after: if at.is_multiple_of(4) { Vec::new() } else { vec![id(at - 1)] },
        resource: (address(at), Resource::Kv),
        how: How::Jobs(vec![Piece {
            work: format!("work-{at}"),
            argv: vec!["nothing".to_owned()],
            days: None,
            own: false,
        }]),
        job: Job {
            step: id(at),
            mode: "upload".to_owned(),
            argv: Vec::new(),
            path: String::new(),
            name: String::new(),
            operation: String::new(),
            folder: PathBuf::new(),
            log: PathBuf::new(),
            secrets: Vec::new(),
            timeout: Duration::from_secs(60),
            chunk_days: None,
            may_be_running: false,
        },
        retries: 0,
        pause: Duration::ZERO,
        same: false,
    };
    (0..STEPS).map(task).collect()
}

fn address(at: usize) -> Address {
    Address::new(ConfigType::GroupBy, &format!("team.file.config_{at}__1"))
}

fn applied() -> BTreeMap<(Address, Resource), Applied> {
    let entry = Applied {
        fingerprint: Fingerprint([1; 32]),
        own: Fingerprint([1; 32]),
        upstream: Vec::new(),
        version: 1,
        commit: CommitId("c".repeat(40)),
        path: "compiled/group_bys/team/file.config".to_owned(),
        blob: BlobId([1; 20]),
        range: None,
        run: String::new(),
        job: None,
        at: String::new(),
        begun: false,
    };
    (0..STEPS).map(|at| ((address(at), Resource::Kv), entry.clone())).collect()
}

/// Applies everything once, from taking the lock to giving it back; gives the seconds it took, and
/// those of the engine alone.
fn once(objects: &Objects) -> (f64, f64) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = format!("bench-{}", RUNS.fetch_add(1, Ordering::SeqCst));
    let ask = Ask {
        nonce: run.clone(),
        holder: Holder { run: run.clone(), ..Holder::default() },
        ttl: Duration::from_secs(60),
        patience: Duration::from_secs(60),
    };
    let (tasks, applied, stop) = (tasks(), applied(), Stop::default());
    let started = Instant::now();
    let lease = lease::acquire(objects, &ask, &|_| false, &|| false, &mut |_| ()).unwrap();
    let before = head::load(objects, "bench").unwrap();
    let journal = Journal::of(objects, &run);
    let engine = Instant::now();
    let report = engine::run(&Apply {
        run: &run,
        tasks: &tasks,
        applied: &applied,
        parallelism: PARALLELISM,
        runner: &Nothing,
        commands: &Nothing,
        journal: &journal,
        lease: &lease,
        carried: &Carried::default(),
        clock: objects.clock(),
        date: &|| "2026-11-22T00:00:00Z".to_owned(),
        stop: &stop,
        wait: engine::Wait::default(),
        tell: &|_| (),
    });
    let engine = engine.elapsed().as_secs_f64();
    assert!(report.is_complete());
    let rows = report.rows.into_iter().collect();
    let ledger = Ledger { lineage: "bench".to_owned(), applied: rows, ..Ledger::default() };
    head::save(objects, "bench", &run, before.as_ref(), ledger).unwrap();
    lease.release(Vec::new()).unwrap();
    (started.elapsed().as_secs_f64(), engine)
}

fn clock() -> Clock {
    let start = Instant::now();
    Clock::new(move || start.elapsed(), std::thread::sleep, || 0.5)
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn report(what: &str, objects: &Objects) {
    let best = |a: (f64, f64), b: (f64, f64)| if a.1 < b.1 { a } else { b };
    let (all, engine) = (0..3).map(|_| once(objects)).fold((f64::MAX, f64::MAX), best);
    println!(
        "{what:<22} {STEPS} steps, {PARALLELISM} at once: {:>6.0} steps a second ({engine:.2} s); with lock and ledger {all:.2} s",
        STEPS as f64 / engine
    );
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let local = Location::parse("state", folder.path()).unwrap();
    let store = open(&local, "bench", None).unwrap();
    report("apply, local folder", &Objects::new(store, clock()));
    let server = gcs::Gcs::start();
    server.state("bench-state");
    let bucket = Location::parse("gs://bench-state/p", folder.path()).unwrap();
    let store = open(&bucket, "bench", Some(&server.endpoint())).unwrap();
    report("apply, gs:// loopback", &Objects::new(store, clock()));
}
