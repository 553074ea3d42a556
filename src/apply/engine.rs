//! Runs the steps of a plan: side by side as the order allows, each journaled before and after.
//!
//! # Why
//! What has happened stands in the journal before anything depends on it. So nothing here needs to
//! survive: a run that dies is carried on by the next, which finds the work that is done, looks
//! for the jobs that may be running, and starts the rest.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use super::board::Board;
use super::board::State;
use super::progress::Progress;
use super::runner::Job;
use super::runner::Runner;
use super::runner::Stop;
use super::step::Ended;
use super::work::Piece;
use crate::model::ledger::Applied;
use crate::model::name::Address;
use crate::model::name::Resource;
use crate::state::clock::Clock;
use crate::state::journal::Carried;
use crate::state::journal::Event;
use crate::state::journal::Journal;
use crate::state::journal::JournalError;
use crate::state::lease::Lease;
use crate::state::ledger::Row;

/// How often something that waits looks whether to stop.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How a step is brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By these jobs, one after the other.
    Jobs(Vec<Piece>),
    /// By the scheduler, later; nothing is run.
    Scheduler,
    /// By somebody, who has done it.
    DoneByHand,
    /// By somebody, who has not done it yet: what to do.
    ByHand(String),
}

/// A step to run.
#[derive(Clone, Debug)]
pub struct Task {
    /// `<config>#<mode>`.
    pub id: String,
    /// The steps that must be done before.
    pub after: Vec<String>,
    /// What it brings about.
    pub resource: (Address, Resource),
    /// How.
    pub how: How,
    /// The job; command, operation and log are filled in for each piece.
    pub job: Job,
    /// How often a failed job is tried again.
    pub retries: u32,
    /// The pause before the first new attempt; it doubles with each.
    pub pause: Duration,
    /// Whether the ledger says already what it brings about.
    pub same: bool,
}

/// Everything that an apply needs.
pub struct Apply<'a> {
    /// Names the run.
    pub run: &'a str,
    /// The steps, in the order of the plan.
    pub tasks: &'a [Task],
    /// What the ledger will say of each resource; run, job and time are filled in.
    pub applied: &'a BTreeMap<(Address, Resource), Applied>,
    /// How many steps run at once.
    pub parallelism: usize,
    /// What runs jobs.
    pub runner: &'a dyn Runner,
    /// What runs commands of the settings.
    pub commands: &'a dyn Runner,
    /// Where everything is written first.
    pub journal: &'a Journal<'a>,
    /// The lock: nothing starts without it.
    pub lease: &'a Lease<'a>,
    /// What earlier runs left.
    pub carried: &'a Carried,
    /// Time.
    pub clock: &'a Clock,
    /// The time of day as RFC 3339, for the ledger.
    pub date: &'a (dyn Fn() -> String + Sync),
    /// What becomes of jobs that run.
    pub wait: Wait,
    /// When to stop.
    pub stop: &'a Stop,
    /// Who is told what happens.
    pub tell: &'a (dyn Fn(Progress) + Sync),
}

/// What becomes of jobs that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// They are left to run, where the runner can do that.
    pub detach: bool,
    /// Those that earlier runs started are collected: one that failed is not started again.
    pub collect: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where each step stands at the end, in the order of the plan.
    pub states: Vec<State>,
    /// What the ledger must say now.
    pub rows: Vec<((Address, Resource), Applied)>,
    /// Whether the journal holds what the ledger will not: work of resources that are not done,
    /// jobs that may be running.
    pub unfinished: bool,
    /// Why nothing could be journaled any more, if so.
    pub cut_off: Option<JournalError>,
    /// Whether the lock was lost.
    pub lost: bool,
    /// How many steps were left behind when everything stopped.
    pub left: usize,
    /// How many steps run on without this apply.
    pub detached: usize,
    /// Steps that were begun, by this run or one before, and whose resources are not applied.
    pub begun: BTreeSet<String>,
}

impl Report {
    /// Whether every step is done.
    pub fn is_complete(&self) -> bool {
        self.states.iter().all(|state| *state == State::Done)
    }
}

/// What workers share.
pub(super) struct Shared {
    board: Board,
    pub(super) report: Report,
}

/// Runs the steps.
pub fn run(apply: &Apply<'_>) -> Report {
    let steps = apply.tasks.iter().map(|task| (task.id.as_str(), task.after.as_slice()));
    let shared = Shared { board: Board::of(steps), report: Report::default() };
    let engine = Engine {
        apply,
        shared: Mutex::new(shared),
        moved: Condvar::new(),
        carried: Mutex::new(apply.carried.clone()),
    };
    std::thread::scope(|scope| {
        let workers = apply.parallelism.clamp(1, apply.tasks.len().max(1));
        (1..workers).for_each(|_| drop(scope.spawn(|| engine.work())));
        engine.work();
    });
    engine.report()
}

/// What runs.
pub(super) struct Engine<'a> {
    pub(super) apply: &'a Apply<'a>,
    pub(super) shared: Mutex<Shared>,
    moved: Condvar,
    /// What the journals say, this run's included.
    pub(super) carried: Mutex<Carried>,
}

impl Engine<'_> {
    /// One worker: takes steps until none is left.
    fn work(&self) {
        let _guard = StopOnPanic(self.apply.stop);
        while let Some(at) = self.next() {
            let started = self.apply.clock.now();
            let ended = self.step(at);
            let took = self.apply.clock.now().saturating_sub(started);
            self.settle(at, ended, took);
            self.moved.notify_all();
        }
        self.moved.notify_all();
    }

    fn next(&self) -> Option<usize> {
        let mut shared = lock(&self.shared);
        loop {
            if !self.may_start(&mut shared) {
                return None;
            }
            if let Some(at) = shared.board.take() {
                return Some(at);
            }
            if shared.board.is_settled() {
                return None;
            }
            let waited = self.moved.wait_timeout(shared, LOOK);
            shared = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Whether anything may start; a lock that is gone stops everything.
    pub(super) fn may_start(&self, shared: &mut Shared) -> bool {
        let lease = self.apply.lease;
        // A machine that slept may still be the holder: only the store can tell.
        if !lease.is_held() && (lease.renew().is_err() || !lease.is_held()) {
            shared.report.lost = true;
            self.apply.stop.ask();
        }
        !self.apply.stop.is_asked()
    }

    /// Writes down what came of a step, and lets the others go on.
    fn settle(&self, at: usize, ended: Ended, took: Duration) {
        let task = &self.apply.tasks[at];
        let step = task.id.clone();
        let tell = self.apply.tell;
        let ended = match ended {
            Ended::Done { job, before } => match self.complete(at, job) {
                Ok(()) => {
                    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    match task.how {
                        How::Scheduler => tell(Progress::Scheduled { step }),
                        _ => tell(Progress::Done { step, milliseconds, before }),
                    }
                    return;
                }
                Err(()) => Ended::Left,
            },
            other => other,
        };
        let mut shared = lock(&self.shared);
        shared.report.left += usize::from(matches!(ended, Ended::Left));
        shared.report.detached += usize::from(matches!(ended, Ended::Detached));
        let skipped = shared.board.fail(at);
        drop(shared);
        match ended {
            Ended::Failed { what, tail, log, page } => {
                tell(Progress::Failed { step, what, tail, log, page });
            }
            Ended::Detached => tell(Progress::Detached { step }),
            Ended::ByHand(what) => tell(Progress::ByHand { step, what }),
            Ended::Left | Ended::Done { .. } => tell(Progress::Left { step }),
        }
        for (follower, before) in skipped {
            let id = |at: usize| self.apply.tasks[at].id.clone();
            tell(Progress::Skipped { step: id(follower), because: id(before) });
        }
    }

    /// Notes that a step is done, and its resource where this was the last of it.
    fn complete(&self, at: usize, job: Option<String>) -> Result<(), ()> {
        let resource = &self.apply.tasks[at].resource;
        let shared = lock(&self.shared);
        let others = self.apply.tasks.iter().enumerate();
        let mut rest = others.filter(|it| it.0 != at && it.1.resource == *resource);
        let last = rest.all(|it| shared.board.states()[it.0] == State::Done);
        let applied = self.apply.applied.get(resource).filter(|_| last).map(|applied| Applied {
            run: self.apply.run.to_owned(),
            job: job.or_else(|| applied.job.clone()),
            at: (self.apply.date)(),
            ..applied.clone()
        });
        drop(shared);
        if let Some(applied) = applied {
            let row = Row::of(&resource.0, resource.1, &applied);
            self.keep(vec![Event::Applied { rows: vec![row] }])?;
            lock(&self.shared).report.rows.push((resource.clone(), applied));
        }
        lock(&self.shared).board.done(at);
        Ok(())
    }

    /// Journals events; where that fails, everything stops.
    pub(super) fn keep(&self, events: Vec<Event>) -> Result<(), ()> {
        match self.apply.journal.add(events.clone()) {
            Ok(()) => {
                let mut carried = lock(&self.carried);
                events.into_iter().for_each(|event| carried.add(event));
                Ok(())
            }
            Err(error) => {
                self.apply.stop.ask();
                let mut shared = lock(&self.shared);
                shared.report.lost |= error == JournalError::Sealed;
                shared.report.cut_off = Some(error);
                Err(())
            }
        }
    }

    fn report(self) -> Report {
        let Shared { board, report } =
            self.shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let carried = lock(&self.carried);
        let unfinished = carried.has_work() || report.cut_off.is_some() || report.lost;
        let begun = carried.begun.clone();
        Report { states: board.states().to_vec(), unfinished, begun, ..report }
    }
}

/// A worker that panics must not leave the others waiting for its step.
struct StopOnPanic<'a>(&'a Stop);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.ask();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
