//! A runner for commands of one's own.
//!
//! # Why
//! Whoever submits jobs by a script of theirs, or to a scheduler of theirs, says by templates
//! what runs for which mode. The plan shows the filled commands; only `{operation}`, the name of
//! the work, is filled in here. It is the job's id too, so it is known before the start.
//!
//! What it takes for proof is the exit code 0: the command promises that the work is done then.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::machine::Machine;
use super::process;
use super::process::Call;
use super::process::End;
use super::process::Lock;
use super::process::Told;
use super::process::Waited;
use super::runner::Context;
use super::runner::Found;
use super::runner::Job;
use super::runner::Outcome;
use super::runner::Problem;
use super::runner::Runner;
use super::scrub::Scrubber;
use crate::plan::argv::fill;

/// How long the command may take that looks for a job.
const LOOK: Duration = Duration::from_secs(120);
/// How long to wait before looking again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Runs the commands of the settings.
#[derive(Clone, Debug)]
pub struct CommandRunner {
    /// Where they run.
    pub machine: Machine,
    /// The setting `find`, its placeholders not filled in.
    pub find: Option<Vec<String>>,
}

/// What became of a job, as `find` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Done,
    Failed,
    None,
}

const STATES: [(&str, State); 4] = [
    ("running", State::Running),
    ("done", State::Done),
    ("failed", State::Failed),
    ("none", State::None),
];

fn filled(words: &[String], job: &Job) -> Vec<String> {
    let values = [
        ("conf", job.path.clone()),
        ("name", job.name.clone()),
        ("mode", job.mode.clone()),
        ("operation", job.operation.clone()),
    ];
    fill(words, &values)
}

impl Runner for CommandRunner {
    fn preflight(&self, jobs: &[Job]) -> Vec<Problem> {
        let mut found: BTreeMap<Problem, usize> = BTreeMap::new();
        for job in jobs {
            let programs =
                [("command", job.argv.first()), ("find", self.find.iter().flatten().next())];
            for (setting, program) in programs {
                let missing = program.filter(|it| self.machine.program(it, &job.folder).is_none());
                if let Some(program) = missing {
                    *found.entry(no_program(program, setting)).or_default() += 1;
                }
            }
        }
        counted(found)
    }

    fn run(&self, job: &Job, context: Context<'_>) -> Outcome {
        let lock = match own(&self.machine, job, context) {
            Ok(lock) => lock,
            Err(outcome) => return outcome,
        };
        (context.job_id)(&job.operation);
        // What the plan filled in is not filled again.
        let argv: Vec<String> =
            job.argv.iter().map(|word| word.replace("{operation}", &job.operation)).collect();
        let call = Call {
            argv: &argv,
            folder: &job.folder,
            env: &self.machine.env,
            scrubber: Scrubber::new(&job.secrets),
            log: Some(&job.log),
            lock: Some(lock),
            timeout: job.timeout,
            id_known: true,
        };
        let ran = process::run(call, &mut |_, _| Told::Nothing, context.stop);
        let failed = |what: String, again| Outcome::Failed { what, tail: ran.tail.clone(), again };
        match ran.end.clone() {
            End::Exited(Some(0)) => Outcome::Done,
            End::Stopped => Outcome::Left,
            end => failed(Scrubber::new(&job.secrets).text(&ended(&end, job.timeout)), true),
        }
    }

    fn find(&self, job: &Job, _id: &str, context: Context<'_>) -> Found {
        let started = Instant::now();
        match own(&self.machine, job, context) {
            Ok(lock) => drop(lock),
            Err(outcome) => return Found::Ended(outcome),
        }
        let Some(words) = &self.find else { return Found::Nothing };
        let argv = filled(words, job);
        let mut wait = AGAIN.0;
        loop {
            let state = match self.look(&argv, job, context) {
                Ok(state) => state,
                Err(outcome) => return Found::Ended(outcome),
            };
            match state {
                State::None => return Found::Nothing,
                State::Done => return Found::Ended(Outcome::Done),
                State::Failed => return Found::Ended(failure("`find` says that it failed", true)),
                State::Running if started.elapsed() > job.timeout => {
                    let what = format!("still running after {}", minutes(job.timeout));
                    return Found::Ended(failure(&what, false));
                }
                State::Running => {}
            }
            if process::pause(wait, context.stop) {
                return Found::Ended(Outcome::Left);
            }
            wait = (wait * 2).min(AGAIN.1);
        }
    }
}

impl CommandRunner {
    fn look(&self, argv: &[String], job: &Job, context: Context<'_>) -> Result<State, Outcome> {
        let captured = process::capture(argv, &job.folder, &self.machine.env, LOOK, context.stop);
        let last = captured.out.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let state = STATES.iter().find(|row| Some(row.0) == last).map(|row| row.1);
        match (&captured.end, state) {
            (End::Stopped, _) => Err(Outcome::Left),
            (End::Exited(Some(0)), Some(state)) => Ok(state),
            (end, _) => Err(failure(
                &format!(
                    "`find` of the settings did not say what became of the job ({}): its last line \
                     must be running, done, failed or none; look after it by hand, then apply again",
                    ended(end, LOOK)
                ),
                false,
            )),
        }
    }
}

/// The job's lock, once no process of an earlier run holds it.
pub(super) fn own(machine: &Machine, job: &Job, context: Context<'_>) -> Result<Lock, Outcome> {
    let path = machine.lock(&job.operation);
    match process::wait_for_lock(&path, job.timeout, context.stop) {
        Ok(Waited::Locked(file)) => Ok(file),
        Ok(Waited::Stopped) => Err(Outcome::Left),
        Ok(Waited::Held) => Err(failure(
            &format!(
                "processes of an earlier run of this job are still there after {}: `fuser {}` \
                 names them; end them, then apply again",
                minutes(job.timeout),
                path.display()
            ),
            false,
        )),
        Err(error) => Err(failure(
            &format!("the lock file {} cannot be used: {error}", path.display()),
            false,
        )),
    }
}

pub(super) fn failure(what: &str, again: bool) -> Outcome {
    Outcome::Failed { what: what.to_owned(), tail: Vec::new(), again }
}

/// How a child ended, for people.
pub(super) fn ended(end: &End, timeout: Duration) -> String {
    match end {
        End::Exited(Some(code)) => format!("it ended with exit code {code}"),
        End::Exited(None) => "a signal ended it".to_owned(),
        End::TimedOut => {
            format!("it took longer than {} (setting `timeout` of its mode)", minutes(timeout))
        }
        End::Stopped | End::Enough => "it was stopped".to_owned(),
        End::NotStarted(why) => why.clone(),
    }
}

pub(super) fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

pub(super) fn no_program(program: &str, setting: &str) -> Problem {
    Problem {
        what: format!("there is no program `{program}`"),
        next: format!("install `{program}`, or add its folder to PATH, or set `env.*.{setting}`"),
    }
}

/// Every problem once, with how many jobs it hits.
pub(super) fn counted(found: BTreeMap<Problem, usize>) -> Vec<Problem> {
    let told = |(problem, jobs): (Problem, usize)| {
        let jobs = if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") };
        Problem { what: format!("{} ({jobs})", problem.what), next: problem.next }
    };
    found.into_iter().map(told).collect()
}
