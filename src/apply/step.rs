//! One step: its pieces one after the other, first the jobs of earlier runs, then attempts.

use std::collections::BTreeSet;
use std::time::Duration;

use super::engine::Engine;
use super::engine::How;
use super::engine::LOOK;
use super::engine::Task;
use super::engine::lock;
use super::progress::Progress;
use super::runner::Context;
use super::runner::Found;
use super::runner::Job;
use super::runner::Outcome;
use super::runner::Runner;
use super::work;
use super::work::Piece;
use crate::state::journal::Ending;
use crate::state::journal::Event;
use crate::state::journal::Open;

/// The longest pause before another attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How a step ended.
pub(super) enum Ended {
    Done { job: Option<String>, before: bool },
    Failed { what: String, tail: Vec<String>, log: String, page: Option<String> },
    ByHand(String),
    Left,
    Detached,
}

impl Engine<'_> {
    /// Brings a step about, as far as that goes.
    pub(super) fn step(&self, at: usize) -> Ended {
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
            self.resumed(task, &open);
            let context = Context {
                job_id: &|_| (),
                page: &|_, _| (),
                detach: self.apply.wait.detach,
                stop: self.apply.stop,
            };
            let id = open.job.as_deref().unwrap_or(&open.operation);
            // A command of the settings is known by its submission; jobs have names of their own.
            let named = open.job.as_ref().is_some_and(|job| *job != open.operation);
            let own = !named && pieces.first().is_some_and(|it| it.own);
            let found = self.runner(own).find(&job, id, context);
            match found {
                Found::Ended(Outcome::Left) => return Err(Ended::Left),
                Found::Ended(Outcome::Detached) => return Err(Ended::Detached),
                Found::Ended(Outcome::Unclear { what }) => {
                    return Err(Again { what, tail: Vec::new(), page: open.log }.into_failed(&job));
                }
                _ => {}
            }
            let (step, how) = (task.id.clone(), Ending::Failed);
            let what = Some("was for another content or other days".to_owned());
            let ended = Event::Ended { work, step, how, what };
            self.keep(vec![ended]).map_err(|()| Ended::Left)?;
            // It runs still, or nobody can tell: somebody must see to it first.
            if let Found::Ended(Outcome::Failed { what, tail, again: false }) = found {
                return Err(Again { what, tail, page: open.log }.into_failed(&job));
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
        let mut earlier = match self.resume(task, piece) {
            Ok(earlier) => earlier,
            Err(ended) => return ended,
        };
        let mut attempt = 1;
        loop {
            let number = attempt.to_string();
            let fresh = || work::name(&[&piece.work, self.apply.run, &number]);
            let operation = earlier.take().unwrap_or_else(fresh);
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
            let outcome =
                self.with_context(task, piece, |context| self.runner(piece.own).run(&job, context));
            match self.ended(task, piece, outcome) {
                Ok(ended) => return ended,
                Err(what) if attempt > task.retries => return what.into_failed(&job),
                Err(what) => self.pause(task, attempt, &what.what),
            }
            attempt += 1;
        }
    }

    /// Looks for the job of an earlier run: an error is how the step ended by that. Else it is to be
    /// submitted, under its name of then where that is given.
    fn resume(&self, task: &Task, piece: &Piece) -> Result<Option<String>, Ended> {
        let Some(open) = lock(&self.carried).open.get(&piece.work).cloned() else {
            return Ok(None);
        };
        self.resumed(task, &open);
        let job = self.job(task, piece.argv.clone(), &open.operation);
        let id = open.job.as_deref().unwrap_or(&open.operation);
        let found = self
            .with_context(task, piece, |context| self.runner(piece.own).find(&job, id, context));
        let outcome = match found {
            Found::Ended(outcome) => outcome,
            Found::Nothing => return Ok(None),
            Found::OnItsWay => return Ok(Some(open.operation)),
        };
        match self.ended(task, piece, outcome) {
            Ok(ended) => Err(ended),
            Err(what) if self.apply.wait.collect => Err(what.into_failed(&job)),
            Err(_) => Ok(None),
        }
    }

    fn resumed(&self, task: &Task, open: &Open) {
        let (step, job, page) = (task.id.clone(), open.job.clone(), open.log.clone());
        (self.apply.tell)(Progress::Resumed { step, job, page });
    }

    fn with_context<T>(
        &self,
        task: &Task,
        piece: &Piece,
        work: impl FnOnce(Context<'_>) -> T,
    ) -> T {
        work(Context {
            job_id: &|id| self.submitted(task, piece, id, None),
            page: &|id, page| self.submitted(task, piece, id, Some(page)),
            detach: self.apply.wait.detach,
            stop: self.apply.stop,
        })
    }

    fn submitted(&self, task: &Task, piece: &Piece, id: &str, page: Option<&str>) {
        let page = page.map(str::to_owned);
        let (work, job, log) = (piece.work.clone(), id.to_owned(), page.clone());
        // Where it cannot be kept the apply stops; the job itself goes on.
        if self.keep(vec![Event::Submitted { work, job, log }]).is_ok() {
            let (step, job) = (task.id.clone(), id.to_owned());
            (self.apply.tell)(Progress::Submitted { step, job, page });
        }
    }

    /// The page of the job that does a piece of work now.
    fn page_of(&self, piece: &Piece) -> Option<String> {
        lock(&self.carried).open.get(&piece.work)?.log.clone()
    }

    /// Journals how a job ended. An error is a failure that another attempt may mend.
    fn ended(&self, task: &Task, piece: &Piece, outcome: Outcome) -> Result<Ended, Again> {
        let (how, what) = match &outcome {
            Outcome::Done => (Ending::Done, None),
            Outcome::Failed { what, .. } => (Ending::Failed, Some(what.clone())),
            Outcome::Unclear { what } => (Ending::Left, Some(what.clone())),
            Outcome::Left | Outcome::Detached => (Ending::Left, None),
        };
        let page = self.page_of(piece);
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
            Outcome::Detached => Ok(Ended::Detached),
            Outcome::Failed { what, tail, again } if again && !self.apply.stop.is_asked() => {
                Err(Again { what, tail, page })
            }
            Outcome::Failed { what, tail, .. } => {
                Ok(Again { what, tail, page }.into_failed(&task.job))
            }
            Outcome::Unclear { what } => {
                Ok(Again { what, tail: Vec::new(), page }.into_failed(&task.job))
            }
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
}

/// A failure that another attempt may mend.
struct Again {
    what: String,
    tail: Vec<String>,
    page: Option<String>,
}

impl Again {
    fn into_failed(self, job: &Job) -> Ended {
        let log = job.log.display().to_string();
        Ended::Failed { what: self.what, tail: self.tail, log, page: self.page }
    }
}
