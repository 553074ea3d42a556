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
use super::runner::Context;
use super::runner::Found;
use super::runner::Job;
use super::runner::Outcome;
use super::runner::Runner;
use super::runner::Stop;
use super::work;
use super::work::Piece;
use crate::model::ledger::Applied;
use crate::model::name::Address;
use crate::model::name::Resource;
use crate::state::clock::Clock;
use crate::state::journal::Carried;
use crate::state::journal::Ending;
use crate::state::journal::Event;
use crate::state::journal::Journal;
use crate::state::journal::JournalError;
use crate::state::journal::Open;
use crate::state::lease::Lease;
use crate::state::ledger::Row;

/// How often something that waits looks whether to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The longest pause before another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

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
    /// When to stop.
    pub stop: &'a Stop,
    /// Who is told what happens.
    pub tell: &'a (dyn Fn(Progress) + Sync),
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
    /// Steps that were begun, by this run or one before, and whose resources are not applied.
    pub begun: BTreeSet<String>,
}

impl Report {
    /// Whether every step is done.
    pub fn is_complete(&self) -> bool {
        self.states.iter().all(|state| *state == State::Done)
    }
}

/// How a step ended.
enum Ended {
    Done { job: Option<String>, before: bool },
    Failed { what: String, tail: Vec<String>, log: String },
    ByHand(String),
    Left,
}

/// What workers share.
struct Shared {
    board: Board,
    report: Report,
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

struct Engine<'a> {
    apply: &'a Apply<'a>,
    shared: Mutex<Shared>,
    moved: Condvar,
    /// What the journals say, this run's included.
    carried: Mutex<Carried>,
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
    fn may_start(&self, shared: &mut Shared) -> bool {
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
        let skipped = shared.board.fail(at);
        drop(shared);
        match ended {
            Ended::Failed { what, tail, log } => tell(Progress::Failed { step, what, tail, log }),
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
    fn keep(&self, events: Vec<Event>) -> Result<(), ()> {
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

    fn step(&self, at: usize) -> Ended {
        let task = &self.apply.tasks[at];
        let pieces = match &task.how {
            How::Jobs(pieces) => pieces,
            How::Scheduler | How::DoneByHand => return Ended::Done { job: None, before: false },
            How::ByHand(what) => return Ended::ByHand(what.clone()),
        };
        if let Err(ended) = self.wait_for_others(task, pieces) {
            return ended;
        }
        let (mut last, mut before) = (None, true);
        for (number, piece) in pieces.iter().enumerate() {
            if let Some(done) = lock(&self.carried).done.get(&piece.work) {
                last = done.job.clone();
                continue;
            }
            before = false;
            match self.piece(task, piece, (number + 1, pieces.len())) {
                Ended::Done { job, .. } => last = job,
                other => return other,
            }
        }
        Ended::Done { job: last, before }
    }

    /// Waits for jobs of the same step that earlier runs started for something else: two jobs must
    /// not write one table at once. What comes of them is of no account.
    fn wait_for_others(&self, task: &Task, pieces: &[Piece]) -> Result<(), Ended> {
        let works: BTreeSet<&str> = pieces.iter().map(|it| it.work.as_str()).collect();
        let others: Vec<(String, Open)> = lock(&self.carried)
            .open
            .iter()
            .filter(|it| it.1.step == task.id && !works.contains(it.0.as_str()))
            .map(|it| (it.0.clone(), it.1.clone()))
            .collect();
        for (work, open) in others {
            let argv = pieces.first().map(|it| it.argv.clone()).unwrap_or_default();
            let job = self.job(task, argv, &open.operation);
            (self.apply.tell)(Progress::Resumed { step: task.id.clone(), job: open.job.clone() });
            let context = Context { job_id: &|_| (), stop: self.apply.stop };
            let id = open.job.as_deref().unwrap_or(&open.operation);
            let own = pieces.first().is_some_and(|it| it.own);
            let found = self.runner(own).find(&job, id, context);
            if found == Found::Ended(Outcome::Left) {
                return Err(Ended::Left);
            }
            let (step, how) = (task.id.clone(), Ending::Failed);
            let what = Some("was for another content or other days".to_owned());
            let ended = Event::Ended { work, step, how, what };
            self.keep(vec![ended]).map_err(|()| Ended::Left)?;
            // It runs still, or nobody can tell: somebody must see to it first.
            if let Found::Ended(Outcome::Failed { what, tail, again: false }) = found {
                return Err(Again { what, tail }.into_failed(&job));
            }
        }
        Ok(())
    }

    fn runner(&self, own: bool) -> &dyn Runner {
        if own { self.apply.commands } else { self.apply.runner }
    }

    fn job(&self, task: &Task, argv: Vec<String>, operation: &str) -> Job {
        Job { argv, operation: operation.to_owned(), ..task.job.clone() }
    }

    /// One piece of work: the job that an earlier run started, else attempts of our own.
    fn piece(&self, task: &Task, piece: &Piece, (chunk, chunks): (usize, usize)) -> Ended {
        if let Some(ended) = self.resume(task, piece) {
            return ended;
        }
        let mut attempt = 1;
        loop {
            let number = attempt.to_string();
            let operation = work::name(&[&piece.work, self.apply.run, &number]);
            let started = Event::Started {
                work: piece.work.clone(),
                step: task.id.clone(),
                operation: operation.clone(),
                same: task.same,
            };
            if self.keep(vec![started]).is_err() || !self.may_start(&mut lock(&self.shared)) {
                return Ended::Left;
            }
            let step = task.id.clone();
            (self.apply.tell)(Progress::Started { step, chunk, chunks, attempt });
            let job = self.job(task, piece.argv.clone(), &operation);
            let context =
                Context { job_id: &|id| self.submitted(task, piece, id), stop: self.apply.stop };
            let outcome = self.runner(piece.own).run(&job, context);
            match self.ended(task, piece, outcome) {
                Ok(ended) => return ended,
                Err(what) if attempt > task.retries => return what.into_failed(&job),
                Err(what) => self.pause(task, attempt, &what.what),
            }
            attempt += 1;
        }
    }

    /// Looks for the job of an earlier run; none where there is none, or where it failed and is to
    /// be submitted anew.
    fn resume(&self, task: &Task, piece: &Piece) -> Option<Ended> {
        let open = lock(&self.carried).open.get(&piece.work).cloned()?;
        let (step, job) = (task.id.clone(), open.job.clone());
        (self.apply.tell)(Progress::Resumed { step, job });
        let job = self.job(task, piece.argv.clone(), &open.operation);
        let context =
            Context { job_id: &|id| self.submitted(task, piece, id), stop: self.apply.stop };
        let id = open.job.as_deref().unwrap_or(&open.operation);
        match self.runner(piece.own).find(&job, id, context) {
            Found::Nothing => None,
            Found::Ended(outcome) => self.ended(task, piece, outcome).ok(),
        }
    }

    fn submitted(&self, task: &Task, piece: &Piece, id: &str) {
        let (work, job) = (piece.work.clone(), id.to_owned());
        // Where it cannot be kept the apply stops; the job itself goes on.
        if self.keep(vec![Event::Submitted { work, job }]).is_ok() {
            let (step, job) = (task.id.clone(), id.to_owned());
            (self.apply.tell)(Progress::Submitted { step, job });
        }
    }

    /// Journals how a job ended. An error is a failure that another attempt may mend.
    fn ended(&self, task: &Task, piece: &Piece, outcome: Outcome) -> Result<Ended, Again> {
        let (how, what) = match &outcome {
            Outcome::Done => (Ending::Done, None),
            Outcome::Failed { what, .. } => (Ending::Failed, Some(what.clone())),
            Outcome::Left => (Ending::Left, None),
        };
        let (work, step) = (piece.work.clone(), task.id.clone());
        if self.keep(vec![Event::Ended { work, step, how, what }]).is_err() {
            return Ok(Ended::Left);
        }
        match outcome {
            Outcome::Done => {
                let carried = lock(&self.carried);
                let job = carried.done.get(&piece.work).and_then(|it| it.job.clone());
                Ok(Ended::Done { job, before: false })
            }
            Outcome::Left => Ok(Ended::Left),
            Outcome::Failed { what, tail, again } if again && !self.apply.stop.is_asked() => {
                Err(Again { what, tail })
            }
            Outcome::Failed { what, tail, .. } => Ok(Again { what, tail }.into_failed(&task.job)),
        }
    }

    /// Waits before another attempt: twice as long each time, never two steps in step.
    fn pause(&self, task: &Task, attempt: u32, what: &str) {
        let doubled = task.pause.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_PAUSE);
        let pause = doubled.mul_f64(0.5 + self.apply.clock.jitter() / 2.0);
        let (step, what) = (task.id.clone(), what.to_owned());
        // Rounded up: nobody waits for no time at all.
        let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
        (self.apply.tell)(Progress::Retrying { step, what, seconds });
        let until = self.apply.clock.now() + pause;
        while self.apply.clock.now() < until && !self.apply.stop.is_asked() {
            self.apply.clock.sleep(LOOK.min(pause));
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

/// A failure that another attempt may mend.
struct Again {
    what: String,
    tail: Vec<String>,
}

impl Again {
    fn into_failed(self, job: &Job) -> Ended {
        let log = job.log.display().to_string();
        Ended::Failed { what: self.what, tail: self.tail, log }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
