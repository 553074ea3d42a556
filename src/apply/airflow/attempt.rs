//! One run of a bounded DAG: triggered once, followed to its end, and explained where it fails.
//!
//! # Why
//! The run's name is kept before anything is sent, and Airflow takes a name once. So a request whose
//! answer is lost is looked up or sent again, and triggering twice is one run. Trouble on the way is
//! waited out; where it lasts, the run is left as it is and its name stays in the journal, for to
//! call it failed would be to start another beside it.

use std::time::Duration;
use std::time::Instant;

use serde_json::Map;
use serde_json::Value;

use super::log;
use super::site::Dag;
use super::site::No;
use super::site::Run;
use super::site::Said;
use super::site::Site;
use super::site::State;
use super::site::Task;
use crate::apply::command::minutes;
use crate::apply::process;
use crate::apply::runner::Context;
use crate::apply::runner::Job;
use crate::apply::runner::Outcome;
use crate::apply::scrub::Scrubber;

/// How long to wait before asking again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// For how long Airflow may give no answer at all.
const SILENCE: Duration = Duration::from_secs(600);

/// How many lines of a log are told.
const TAIL: usize = 30;

/// How a DAG is waited for, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// A run to bring to its end.
pub(super) struct Attempt<'a> {
    pub(super) site: &'a Site,
    pub(super) run: Run<'a>,
    pub(super) job: &'a Job,
    pub(super) context: Context<'a>,
    /// How long a DAG is waited for that Airflow does not know.
    pub(super) wait: Duration,
}

/// Pauses that double.
struct Pauses {
    next: Duration,
    most: Duration,
}

impl Pauses {
    fn of((first, most): (Duration, Duration)) -> Self {
        Self { next: first, most }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.most);
        pause
    }
}

impl Attempt<'_> {
    /// The name by which the run is found again.
    fn id(&self) -> String {
        format!("{}/{}", self.run.dag, self.run.id)
    }

    /// Triggers the run and follows it.
    pub(super) fn start(&self, conf: &Map<String, Value>) -> Outcome {
        (self.context.page)(&self.id(), &self.site.page(self.run));
        match self.ready().and_then(|()| self.trigger(conf)) {
            Ok(()) => self.follow(State::Live),
            Err(outcome) => outcome,
        }
    }

    /// Follows the run of an earlier apply; none where there is none.
    pub(super) fn find(&self) -> Option<Outcome> {
        match self.asked(|site| site.state(self.run)) {
            Ok(State::Missing) => None,
            Ok(state) => Some(self.follow(state)),
            Err(outcome) => Some(outcome),
        }
    }

    /// Waits until the DAG is there, and lets it start runs.
    fn ready(&self) -> Result<(), Outcome> {
        let deadline = Instant::now() + self.wait;
        let mut pauses = Pauses::of(LOOK);
        let dag = self.run.dag;
        loop {
            match self.asked(|site| site.dag(dag))? {
                Dag::There { paused: false, .. } => return Ok(()),
                Dag::There { .. } => return self.asked(|site| site.unpause(dag)),
                Dag::Unknown => {}
            }
            if Instant::now() >= deadline {
                let what = format!(
                    "Airflow does not know the DAG `{dag}` after {} (setting `env.*.airflow.wait`): \
                     see that `chronon_dags.py` and its manifest lie in its DAG folder and import \
                     (`airflow dags list-import-errors`), and that `env.*.airflow.prefix` is theirs",
                    minutes(self.wait)
                );
                return Err(self.failed(&what, false));
            }
            self.pause(pauses.next())?;
        }
    }

    fn trigger(&self, conf: &Map<String, Value>) -> Result<(), Outcome> {
        let mut pauses = Pauses::of(AGAIN);
        let since = Instant::now();
        loop {
            // Whoever may keep nothing any more must start nothing either.
            if self.context.stop.is_asked() {
                return Err(Outcome::Left);
            }
            let why = match self.site.trigger(self.run, conf) {
                Ok(200..300) => return Ok(()),
                Ok(404) => {
                    self.ready()?;
                    "Airflow has lost the DAG".to_owned()
                }
                Ok(status) => format!("status {status}"),
                Err(No::Later(why)) => why,
                // What it was told is wrong: there is no such run, nor will there be.
                Err(No::Never(status @ (400 | 422), why)) => {
                    return Err(self.failed(&self.refusal(status, &why), false));
                }
                Err(No::Never(status, why)) => return Err(self.refused(status, &why)),
            };
            // It may have arrived all the same, or earlier.
            if self.asked(|site| site.state(self.run))? != State::Missing {
                return Ok(());
            }
            if since.elapsed() >= SILENCE {
                return Err(self.unclear(&format!("Airflow does not take the run: {why}")));
            }
            self.pause(pauses.next())?;
        }
    }

    /// Waits for the end of the run.
    fn follow(&self, mut state: State) -> Outcome {
        let patience = super::conf::patience(self.job);
        let deadline = Instant::now() + patience;
        let mut pauses = Pauses::of(AGAIN);
        let mut fresh = false;
        loop {
            match state {
                State::Done => return Outcome::Done,
                State::Failed => return self.why(),
                State::Missing => {
                    let what = format!("the run {} was deleted in Airflow", self.id());
                    return self.failed(&what, false);
                }
                State::Live if fresh && self.context.detach => return self.left(),
                State::Live if Instant::now() >= deadline => {
                    let what = format!(
                        "it still runs after {} (setting `timeout` of its mode)",
                        minutes(patience)
                    );
                    return self.unclear(&what);
                }
                State::Live => {}
            }
            if fresh && let Err(outcome) = self.pause(pauses.next()) {
                return outcome;
            }
            state = match self.asked(|site| site.state(self.run)) {
                Ok(state) => state,
                Err(outcome) => return outcome,
            };
            fresh = true;
        }
    }

    /// Leaves a run to itself, which in a DAG that is paused would not go on.
    fn left(&self) -> Outcome {
        match self.asked(|site| site.dag(self.run.dag)) {
            Ok(Dag::There { paused: true, .. }) => {
                let dag = self.run.dag;
                self.unclear(&format!("the DAG `{dag}` is paused: unpause it in Airflow"))
            }
            Ok(_) => Outcome::Detached,
            Err(outcome) => outcome,
        }
    }

    /// Asks until there is an answer.
    fn asked<T>(&self, ask: impl Fn(&Site) -> Said<T>) -> Result<T, Outcome> {
        let mut pauses = Pauses::of(AGAIN);
        let since = Instant::now();
        loop {
            let why = match ask(self.site) {
                Ok(answer) => return Ok(answer),
                Err(No::Never(status, why)) => return Err(self.refused(status, &why)),
                Err(No::Later(why)) => why,
            };
            if since.elapsed() >= SILENCE {
                return Err(self.unclear(&format!("Airflow gives no answer: {why}")));
            }
            self.pause(pauses.next())?;
        }
    }

    fn pause(&self, time: Duration) -> Result<(), Outcome> {
        if process::pause(time, self.context.stop) { Err(Outcome::Left) } else { Ok(()) }
    }

    /// Why a run failed: which task, and the end of its log.
    fn why(&self) -> Outcome {
        let tasks = self.asked(|site| site.failed(self.run)).unwrap_or_default();
        let id = self.id();
        let Some(task) = tasks.first() else {
            return self.failed(&format!("the run {id} failed"), true);
        };
        (self.context.page)(&id, &self.site.page_of(self.run, task));
        let more = match tasks.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more of its tasks"),
        };
        let what = format!("the run {id} failed: {}{more}", told(task));
        Outcome::Failed { what: self.cover(&what), tail: self.tail(task), again: true }
    }

    /// The end of a task's log; without it the failure is told all the same.
    fn tail(&self, task: &Task) -> Vec<String> {
        let lines = self.asked(|site| site.log(self.run, task)).unwrap_or_default();
        let mut scrubber = self.scrubber();
        let lines = lines.iter().map(|line| scrubber.line(line));
        let mut lines = log::without_frames(lines.filter(|it| !it.trim().is_empty()));
        lines.split_off(lines.len().saturating_sub(TAIL))
    }

    fn scrubber(&self) -> Scrubber {
        let mut secrets = self.job.secrets.clone();
        secrets.extend(self.site.wire.secrets());
        Scrubber::new(&secrets)
    }

    fn cover(&self, text: &str) -> String {
        self.scrubber().text(text)
    }

    fn failed(&self, what: &str, again: bool) -> Outcome {
        Outcome::Failed { what: self.cover(what), tail: Vec::new(), again }
    }

    fn refusal(&self, status: u16, why: &str) -> String {
        let next = super::next_of(status);
        format!("Airflow refuses to work on {} ({why}): {next}", self.id())
    }

    /// Who refuses may be a proxy or a login page, and the run may be there: only its name can tell,
    /// so that is kept.
    fn refused(&self, status: u16, why: &str) -> Outcome {
        Outcome::Unclear { what: self.cover(&self.refusal(status, why)) }
    }

    fn unclear(&self, why: &str) -> Outcome {
        let what = format!(
            "{why}; the run {} is left as it is: `chronon-plan apply` looks after it again",
            self.id()
        );
        Outcome::Unclear { what: self.cover(&what) }
    }
}

fn told(task: &Task) -> String {
    let index = task.index.map(|index| format!("[{index}]")).unwrap_or_default();
    format!("task `{}{index}` at attempt {}", task.id, task.attempt)
}
