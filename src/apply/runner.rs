//! What runs jobs must be able to do.
//!
//! # Why
//! A runner runs one job and says how it ended; it knows nothing of plans, ledgers and order. Its
//! exit code proves nothing (reference §4.4), so each runner says what counts as proof.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One job: one run of the CLI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The step that it is of, `<config>#<mode>`.
    pub step: String,
    /// The mode, as the CLI spells it.
    pub mode: String,
    /// The command, as the plan shows it; the first word is the program.
    pub argv: Vec<String>,
    /// The config's file, from the folder.
    pub path: String,
    /// `metaData.name`.
    pub name: String,
    /// Names this work: the same work has the same name in every run that tries it.
    pub operation: String,
    /// A folder with the files of the commit; the job runs in it.
    pub folder: PathBuf,
    /// Where the output goes, without what is secret.
    pub log: PathBuf,
    /// Names and values that the output must not show: those of the config's env, conf and
    /// cluster settings.
    pub secrets: Vec<(String, String)>,
    /// How long it may take.
    pub timeout: Duration,
    /// How many days are computed at a time, where whatever runs the job cuts it.
    pub chunk_days: Option<u32>,
    /// Whether the job may be running as it should already, so that it is only looked at: a
    /// stream that is deployed again although its definition did not change.
    pub may_be_running: bool,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and there is proof.
    Done,
    /// It failed, or there is no proof that it did not.
    Failed {
        /// What happened, in a sentence.
        what: String,
        /// The end of its output, without what is secret.
        tail: Vec<String>,
        /// Whether trying again may help.
        again: bool,
    },
    /// It was left alone because the apply stops; it may be running still.
    Left,
    /// It was started and is left to run, as was asked for.
    Detached,
    /// Nobody can tell, or it takes longer than it may: it may be running still.
    Unclear {
        /// What is known, in a sentence.
        what: String,
    },
}

/// What became of a job that an earlier run submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was never submitted, or nobody can tell: submit it.
    Nothing,
    /// It is not there, but may be on its way: submit it under the same name, so that both are one.
    OnItsWay,
    /// It ended by itself, or was waited for.
    Ended(Outcome),
}

/// Something that would go wrong, found before anything was submitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What is wrong: the setting, the variable, the program.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// Set once the apply is to stop: by a signal, or because the lock is lost.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Asks everything to stop.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Takes it back: what asked for it is over, and something else begins.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// Whether that was asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a runner is given beside the job.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Told the id of the job as soon as it is known, before it is submitted where that can be;
    /// it returns when the id is safely kept.
    pub job_id: &'a (dyn Fn(&str) + Sync),
    /// The same, with the address of a page on which people can watch the job.
    pub page: &'a (dyn Fn(&str, &str) + Sync),
    /// Whether a job that runs is left to run, where the runner can do that.
    pub detach: bool,
    /// When to stop.
    pub stop: &'a Stop,
}

/// Runs jobs.
pub trait Runner: Send + Sync {
    /// Everything that would go wrong with these jobs, as far as it can be known before.
    fn preflight(&self, jobs: &[Job]) -> Vec<Problem>;

    /// What people should know before these jobs are submitted, though nothing is wrong.
    fn notes(&self, _jobs: &[Job]) -> Vec<String> {
        Vec::new()
    }

    /// Submits a job and waits for its end. One attempt.
    fn run(&self, job: &Job, context: Context<'_>) -> Outcome;

    /// Looks for a job that an earlier run submitted, and waits for its end if it runs still.
    fn find(&self, job: &Job, id: &str, context: Context<'_>) -> Found;
}
