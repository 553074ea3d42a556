//! The journal of an apply: what it is about to do and what came of it, before anything else knows.
//!
//! # Why
//! Every start is written before the job is submitted and every end before anything that depends
//! on it starts, so a run that is killed at any point leaves behind what the next one needs: what
//! is done, and which jobs may be running. Whoever takes over first seals the journal with an
//! object of its own under the next number. The dead run, should it wake, can then write no start,
//! and so submits nothing more.
//!
//! Events that come together share one object, so that many jobs at once wait for one write.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::StateError;
use super::ledger::Row;
use super::objects::Objects;
use super::store::Expect;
use super::store::Put;
use crate::model::day::Day;
use crate::model::name::Address;
use crate::model::name::Resource;
use crate::plan::modes;

/// The version of this form.
const FORMAT_VERSION: u32 = 1;

/// Something that happened in an apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The run begins; what the runs before it left unfinished is carried on here.
    Opened {
        /// The digest of the plan; the command where the ledger is corrected by hand.
        plan: String,
        /// The commit that it applies; none where only the ledger is corrected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        /// The day of its plan.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        as_of: Option<Day>,
        /// What earlier runs left.
        carried: Carried,
    },
    /// A job is about to be submitted.
    Started {
        /// Names the work: the same work has the same name in every run.
        work: String,
        /// The step.
        step: String,
        /// Names the submission: a runner that knows it never submits twice under one name.
        operation: String,
        /// Whether it brings about what is applied already: then it cannot make it anything else.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        same: bool,
    },
    /// The job's name on the cluster is known.
    Submitted {
        /// The work.
        work: String,
        /// The job.
        job: String,
        /// The page on which people can watch it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log: Option<String>,
    },
    /// The job ended.
    Ended {
        /// The work.
        work: String,
        /// The step.
        step: String,
        /// How.
        how: Ending,
        /// What happened, where it failed; without any value of an env.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        what: Option<String>,
    },
    /// Resources are as the commit asks for.
    Applied {
        /// As they will stand in the ledger.
        rows: Vec<Row>,
    },
    /// Another run has taken over; nothing follows.
    Sealed {
        /// That run.
        by: String,
    },
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is done.
    Done,
    /// It failed.
    Failed,
    /// The apply did not wait for it; the job may be running.
    Left,
}

/// Work that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// The step.
    pub step: String,
    /// The job that did it, where its name on the cluster is known.
    pub job: Option<String>,
    /// The page of that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// A job that was started and not seen to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The step.
    pub step: String,
    /// Names the submission.
    pub operation: String,
    /// The job's name on the cluster, where it is known.
    pub job: Option<String>,
    /// The page of that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What an apply was asked for, as far as its commit and day do not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The digest of the plan that was let through, under which it is kept.
    pub plan: String,
    /// The steps of it that were asked for; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<BTreeSet<String>>,
    /// Configs whose tables were archived.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub archived: BTreeSet<String>,
    /// Steps that were done by hand.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub done: BTreeSet<String>,
}

/// What journals hold that the ledger does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The last commit that was begun.
    pub commit: Option<String>,
    /// The day of the plan that was begun then.
    #[schemars(with = "Option<String>")]
    pub as_of: Option<Day>,
    /// What was asked for then, so that it can be gone on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Begun>>,
    /// Work that is done, of resources that are not applied yet.
    pub done: BTreeMap<String, Finished>,
    /// Work that may be going on.
    pub open: BTreeMap<String, Open>,
    /// Steps that were begun and whose resources are not applied since: those may be anything.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub begun: BTreeSet<String>,
    /// Resources that are applied.
    pub rows: Vec<Row>,
}

impl Carried {
    /// Whether there is work that the ledger cannot say: begun, or done of what is not applied.
    pub fn has_work(&self) -> bool {
        !self.done.is_empty() || !self.open.is_empty()
    }

    /// Takes in what happened next.
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Opened { commit, as_of, carried, plan: _ } => {
                if commit.is_some() {
                    // An apply has looked at all that earlier runs left: what it did not carry on
                    // no longer holds.
                    self.done.clear();
                    self.open.clear();
                }
                self.done.extend(carried.done);
                self.open.extend(carried.open);
                self.begun.extend(carried.begun);
                self.rows.extend(carried.rows);
                if commit.is_some() {
                    self.asked = carried.asked;
                }
                self.commit = commit.or_else(|| self.commit.take());
                self.as_of = as_of.or(self.as_of);
            }
            Event::Started { work, step, operation, same } => {
                if !same {
                    self.begun.insert(step.clone());
                }
                self.open.insert(work, Open { step, operation, job: None, log: None });
            }
            Event::Submitted { work, job, log } => {
                let Some(open) = self.open.get_mut(&work) else { return };
                open.job = Some(job);
                open.log = log;
                // To deploy a stream is to stop the one that ran, whatever comes of it.
                if resource_of(&open.step).is_some_and(|it| it.1 == Resource::Stream) {
                    self.begun.insert(open.step.clone());
                }
            }
            Event::Ended { work, step, how, what: _ } => {
                if how == Ending::Left {
                    return;
                }
                let open = self.open.remove(&work);
                if how == Ending::Done {
                    let (job, log) = open.map(|open| (open.job, open.log)).unwrap_or_default();
                    self.done.insert(work, Finished { step, job, log });
                }
            }
            Event::Applied { rows } => {
                // From now on the ledger says so; done again it would be other work.
                self.done.retain(|_, it| !rows.iter().any(|row| brings_about(&it.step, row)));
                self.begun.retain(|step| !rows.iter().any(|row| brings_about(step, row)));
                self.rows.extend(rows);
            }
            Event::Sealed { by: _ } => {}
        }
    }
}

/// The resource that a step brings about.
pub fn resource_of(step: &str) -> Option<(Address, Resource)> {
    let (config, mode) = step.rsplit_once('#')?;
    Some((config.parse().ok()?, modes::by_name(mode)?.resource))
}

fn brings_about(step: &str, row: &Row) -> bool {
    resource_of(step).is_some_and(|it| it.0 == row.config && it.1 == row.resource)
}

/// One object of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The version of this form.
    pub format_version: u32,
    /// What happened, in order.
    pub events: Vec<Event>,
}

fn key(run: &str, number: u64) -> String {
    format!("journal/{run}/{number}.json")
}

fn bytes(events: Vec<Event>) -> Vec<u8> {
    serde_json::to_vec(&Page { format_version: FORMAT_VERSION, events }).unwrap_or_default()
}

/// Everything that a run wrote so far.
///
/// # Errors
/// Where the store gives no answer, or an object is no page of a journal.
pub fn read(objects: &Objects, run: &str) -> Result<Vec<Event>, StateError> {
    let mut events = Vec::new();
    for number in 0.. {
        let Some(page) = page(objects, run, number)? else { break };
        events.extend(page);
    }
    Ok(events)
}

fn page(objects: &Objects, run: &str, number: u64) -> Result<Option<Vec<Event>>, StateError> {
    let key = key(run, number);
    let Some(object) = objects.get(&key)? else { return Ok(None) };
    let page: Page = super::parse(objects, &key, FORMAT_VERSION, &object.bytes)?;
    Ok(Some(page.events))
}

/// Ends the journal of another run: what it wrote until now is all there will ever be.
///
/// # Errors
/// As [`read`].
pub fn seal(objects: &Objects, run: &str, by: &str) -> Result<Vec<Event>, StateError> {
    let mut events = Vec::new();
    let mut number = 0;
    loop {
        if let Some(page) = page(objects, run, number)? {
            let sealed = page.iter().any(|it| matches!(it, Event::Sealed { by: _ }));
            events.extend(page);
            if sealed {
                return Ok(events);
            }
            number += 1;
            continue;
        }
        let seal = bytes(vec![Event::Sealed { by: by.to_owned() }]);
        // A conflict is a page that the run wrote just now, or the seal of somebody else.
        if let Put::Written(_) = objects.put(&key(run, number), Expect::Absent, &seal)? {
            return Ok(events);
        }
    }
}

/// Why an event could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another run has taken over.
    #[error("another run has taken over and sealed the journal")]
    Sealed,
    /// The store gave no answer.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The journal of this run.
pub struct Journal<'a> {
    objects: &'a Objects,
    run: String,
    state: Mutex<Pending>,
    written: Condvar,
}

#[derive(Default)]
struct Pending {
    events: Vec<Event>,
    /// How many events were ever handed in, and how many of them are kept.
    handed_in: u64,
    kept: u64,
    writing: bool,
    pages: u64,
    failed: Option<JournalError>,
}

impl<'a> Journal<'a> {
    /// The journal of a run that has written nothing yet.
    pub fn of(objects: &'a Objects, run: &str) -> Self {
        let (state, written) = (Mutex::default(), Condvar::new());
        Self { objects, run: run.to_owned(), state, written }
    }

    /// Keeps events, and returns once they are kept for good. After a failure nothing is kept any
    /// more: what follows must not happen either.
    ///
    /// # Errors
    /// Where another run has sealed the journal, or the store gives no answer.
    pub fn add(&self, events: Vec<Event>) -> Result<(), JournalError> {
        let mut state = self.lock();
        state.handed_in += events.len() as u64;
        state.events.extend(events);
        let mine = state.handed_in;
        loop {
            if state.kept >= mine {
                return Ok(());
            }
            if let Some(failed) = &state.failed {
                return Err(failed.clone());
            }
            if state.writing {
                state = self.written.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
                continue;
            }
            state = self.write(state);
        }
    }

    /// Writes everything that waits, letting others hand in more meanwhile.
    fn write<'b>(&'b self, mut state: MutexGuard<'b, Pending>) -> MutexGuard<'b, Pending> {
        let events = std::mem::take(&mut state.events);
        let (count, key) = (events.len() as u64, key(&self.run, state.pages));
        state.writing = true;
        drop(state);
        let outcome = self.objects.put(&key, Expect::Absent, &bytes(events));
        let mut state = self.lock();
        state.writing = false;
        match outcome {
            Ok(Put::Written(_)) => {
                state.kept += count;
                state.pages += 1;
            }
            Ok(Put::Conflict) => state.failed = Some(JournalError::Sealed),
            Err(error) => state.failed = Some(error.into()),
        }
        self.written.notify_all();
        state
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(step: &str, same: bool) -> Event {
        let (work, step) = (format!("work of {step}"), step.to_owned());
        Event::Started { work, step, operation: "o".to_owned(), same }
    }

    fn opened(commit: Option<&str>, carried: Carried) -> Event {
        let commit = commit.map(str::to_owned);
        Event::Opened { plan: String::new(), commit, as_of: None, carried }
    }

    fn ended(step: &str) -> Event {
        let (work, step) = (format!("work of {step}"), step.to_owned());
        Event::Ended { work, step, how: Ending::Done, what: None }
    }

    fn after(events: Vec<Event>) -> Carried {
        let mut carried = Carried::default();
        events.into_iter().for_each(|event| carried.add(event));
        carried
    }

    #[test]
    fn what_an_apply_did_not_carry_on_no_longer_holds_but_a_correction_says_nothing_of_it() {
        let step = "joins/a.b__1#backfill";
        let before = || vec![started(step, false), ended(step)];
        let next = |commit| after([before(), vec![opened(commit, Carried::default())]].concat());
        assert_eq!(next(Some("c")).done.len(), 0);
        assert_eq!(next(None).done.len(), 1);
        // The table may be anything all the same.
        assert!(next(Some("c")).begun.contains(step));
    }

    #[test]
    fn a_job_for_what_is_applied_already_makes_it_nothing_else_but_a_stream_is_stopped_first() {
        let begun = |step: &str, same: bool, submitted: bool| {
            let work = format!("work of {step}");
            let job = Event::Submitted { work, job: "j".to_owned(), log: None };
            let events = [started(step, same)].into_iter().chain(submitted.then_some(job));
            !after(events.collect()).begun.is_empty()
        };
        let (table, stream) = ("joins/a.b__1#backfill", "group_bys/a.b__1#streaming");
        assert!(begun(table, false, false) && begun(stream, false, false));
        assert!(!begun(table, true, true) && !begun(stream, true, false));
        assert!(begun(stream, true, true));
    }
}
