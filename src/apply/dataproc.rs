//! What became of a Dataproc job, asked of `gcloud`.
//!
//! # Why
//! The CLI's word is not enough, and after a killed run there is none. The service knows every job
//! by its id for months.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use super::process;
use super::process::Captured;
use super::process::End;
use super::runner::Stop;

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(60);
/// How long reading the driver's output of an ended job may take.
const OUTPUT: Duration = Duration::from_secs(300);
/// How often a question is asked that gets no answer.
const TRIES: usize = 3;
/// The first pause between two looks; each is twice as long as the one before, up to `PAUSE`.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two looks.
const PAUSE: Duration = Duration::from_secs(10);

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no such job.
    Missing,
    /// It waits or runs.
    Live,
    /// It is done.
    Done,
    /// It ended otherwise: ERROR or CANCELLED.
    Ended(String),
    /// Nobody can tell, and why.
    Unknown(String),
    /// Everything is to stop.
    Stopped,
}

/// The states that the service knows (reference §4.4).
const LIVE: [&str; 7] = [
    "STATE_UNSPECIFIED",
    "PENDING",
    "SETUP_DONE",
    "RUNNING",
    "CANCEL_PENDING",
    "CANCEL_STARTED",
    // An attempt failed, and the next is on its way.
    "ATTEMPT_FAILURE",
];

/// A project of the service, and how to ask.
pub(super) struct Dataproc<'a> {
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) folder: &'a Path,
    pub(super) region: &'a str,
    pub(super) project: &'a str,
    pub(super) stop: &'a Stop,
}

impl Dataproc<'_> {
    /// Where a job stands now.
    pub(super) fn state(&self, id: &str) -> State {
        let mut answer = State::Stopped;
        for wait in 0..TRIES {
            if wait > 0 && process::pause(FIRST * u32::try_from(wait).unwrap_or(1), self.stop) {
                return State::Stopped;
            }
            answer = state_of(&self.ask(&["describe", id], &["--format=json"], QUESTION));
            if !matches!(answer, State::Unknown(_)) {
                break;
            }
        }
        answer
    }

    /// Looks until a job is no longer live or this much time has passed; `enough` may end it
    /// sooner.
    pub(super) fn follow(
        &self,
        id: &str,
        patience: Duration,
        mut enough: impl FnMut() -> bool,
    ) -> State {
        let deadline = Instant::now() + patience;
        let mut wait = FIRST;
        loop {
            let state = self.state(id);
            if state != State::Live || enough() || Instant::now() >= deadline {
                return state;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if process::pause(wait.min(left), self.stop) {
                return State::Stopped;
            }
            wait = (wait * 2).min(PAUSE);
        }
    }

    /// The driver's output of a job that has ended; not to be shown.
    pub(super) fn output(&self, id: &str) -> String {
        let captured = self.ask(&["wait", id], &[], OUTPUT);
        format!("{}\n{}", captured.out, captured.err)
    }

    /// A small file of a bucket.
    pub(super) fn file(&self, uri: &str) -> Option<String> {
        let argv = ["gcloud", "storage", "cat", uri].map(str::to_owned);
        let captured = process::capture(&argv, self.folder, self.env, QUESTION, self.stop);
        (captured.end == End::Exited(Some(0))).then_some(captured.out)
    }

    fn ask(&self, what: &[&str], more: &[&str], timeout: Duration) -> Captured {
        let mut argv: Vec<String> = ["gcloud", "dataproc", "jobs"].map(str::to_owned).to_vec();
        argv.extend(what.iter().map(|word| (*word).to_owned()));
        argv.push(format!("--region={}", self.region));
        argv.push(format!("--project={}", self.project));
        argv.extend(more.iter().map(|word| (*word).to_owned()));
        process::capture(&argv, self.folder, self.env, timeout, self.stop)
    }
}

/// What an answer to `describe` says.
fn state_of(captured: &Captured) -> State {
    match &captured.end {
        End::Stopped => State::Stopped,
        End::Exited(Some(0)) => {
            let document: Option<Value> = serde_json::from_str(&captured.out).ok();
            let state = document.as_ref().and_then(|it| it.pointer("/status/state")?.as_str());
            match state {
                Some("DONE") => State::Done,
                Some(state @ ("ERROR" | "CANCELLED")) => State::Ended(state.to_owned()),
                Some(state) if LIVE.contains(&state) => State::Live,
                Some(state) => State::Unknown(format!("gcloud says the state is {state:?}")),
                None => State::Unknown("gcloud gives no state".to_owned()),
            }
        }
        End::Exited(_) if captured.err.contains("NOT_FOUND") => State::Missing,
        End::Exited(code) => {
            let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
            State::Unknown(format!("gcloud ended with {code}"))
        }
        End::TimedOut => State::Unknown("gcloud does not answer".to_owned()),
        End::Enough => State::Unknown("gcloud was cut off".to_owned()),
        End::NotStarted(why) => State::Unknown(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_meaning() {
        let said = |state: &str| format!("{{\"status\": {{\"state\": \"{state}\"}}}}");
        let not_found = "ERROR: (gcloud.dataproc.jobs.describe) NOT_FOUND: Not found: Job x";
        let table = [
            (0, said("DONE"), "", State::Done),
            (0, said("RUNNING"), "", State::Live),
            (0, said("CANCEL_STARTED"), "", State::Live),
            (0, said("ERROR"), "", State::Ended("ERROR".to_owned())),
            (0, said("CANCELLED"), "", State::Ended("CANCELLED".to_owned())),
            (1, String::new(), not_found, State::Missing),
        ];
        for (code, out, err, expected) in table {
            let err = err.to_owned();
            let captured = Captured { end: End::Exited(Some(code)), out: out.clone(), err };
            assert_eq!(state_of(&captured), expected, "{out}");
        }
        for (code, out) in [(0, ""), (0, "{}"), (0, "noise"), (1, "PERMISSION_DENIED"), (1, "")] {
            let end = End::Exited(Some(code));
            let captured = Captured { end, out: out.to_owned(), err: out.to_owned() };
            assert!(matches!(state_of(&captured), State::Unknown(_)), "{code} {out}");
        }
        let captured = Captured { end: End::Exited(Some(0)), out: said("NEW"), err: String::new() };
        assert!(matches!(state_of(&captured), State::Unknown(_)));
    }
}
