//! Ledger and journals together: what is true now.
//!
//! # Why
//! A ledger is written when an apply ends, a journal while it goes on. Whoever reads must see both,
//! or a run that was killed would read as if it had done nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::StateError;
use super::head;
use super::head::Head;
use super::journal;
use super::journal::Carried;
use super::journal::Event;
use super::lease;
use super::objects::Objects;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::CommitId;
use crate::model::name::Resource;

/// What is known of an env without taking its lock.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The ledger as it was written last.
    pub head: Option<Head>,
    /// The same, with what journals add to it.
    pub ledger: Option<Arc<Ledger>>,
    /// The lock, where anybody ever took it.
    pub lock: Option<lease::Document>,
    /// How many resources the journals add.
    pub journaled: usize,
    /// What runs left that are not finished.
    pub carried: Carried,
}

/// How often all is read anew where the lock went from hand to hand meanwhile.
const TURNS: usize = 8;

/// Reads the ledger and the journals of runs that are not in it yet. Changes nothing.
///
/// # Errors
/// Where the store gives no answer, or holds what is no ledger.
pub fn known(objects: &Objects, env: &str) -> Result<Known, StateError> {
    let mut known = once(objects, env)?;
    for _ in 0..TURNS {
        // The ledger of a later run, with the journal of an earlier one over it, would read as if
        // the later had done nothing. Then all is read again.
        let turn = |it: &lease::Document| (it.nonce.clone(), it.unfinished.clone());
        let now = lease::look(objects)?.map(|it| it.1);
        if now.as_ref().map(turn) == known.lock.as_ref().map(turn) {
            break;
        }
        known = once(objects, env)?;
    }
    Ok(known)
}

fn once(objects: &Objects, env: &str) -> Result<Known, StateError> {
    // The lock first: a run that ends meanwhile is then counted twice, which is harmless, and not
    // left out.
    let lock = lease::look(objects)?.map(|it| it.1);
    let head = head::load(objects, env)?;
    let runs = lock.clone().map(lease::inherited).unwrap_or_default();
    let mut journals = Vec::new();
    for run in runs {
        journals.push((run.clone(), journal::read(objects, &run)?));
    }
    let carried = gather(journals, head.as_ref());
    let ledger = head.as_ref().map(|head| onto(head, &carried));
    // A run that ended has its rows in the ledger, and a journal still where work is left.
    let kept = head.as_ref().map(|head| &head.ledger.applied);
    let news: BTreeSet<(Address, Resource)> = carried
        .rows
        .iter()
        .map(|row| row.clone().applied())
        .filter(|(key, row)| {
            let known = kept.and_then(|kept| kept.get(key));
            known.is_none_or(|known| (&known.run, &known.at) != (&row.run, &row.at))
        })
        .map(|it| it.0)
        .collect();
    let journaled = news.len();
    Ok(Known { head, ledger, lock, journaled, carried })
}

/// Seals the journals of runs that whoever holds the lock has inherited.
///
/// # Errors
/// Where the store gives no answer, or holds what is no journal.
pub fn seal(
    objects: &Objects,
    runs: &[String],
    by: &str,
) -> Result<Vec<(String, Vec<Event>)>, StateError> {
    runs.iter().map(|run| Ok((run.clone(), journal::seal(objects, run, by)?))).collect()
}

/// What journals, oldest first, add to a ledger. Those that it has superseded add nothing: it was
/// written after them, by somebody who knew them.
pub fn gather(journals: Vec<(String, Vec<Event>)>, head: Option<&Head>) -> Carried {
    let mut carried = Carried::default();
    let superseded = |run: &String| head.is_some_and(|head| head.ledger.superseded.contains(run));
    let counts = journals.into_iter().filter(|it| !superseded(&it.0));
    counts.flat_map(|it| it.1).for_each(|event| carried.add(event));
    carried
}

/// The ledger with what journals add.
pub fn onto(head: &Head, carried: &Carried) -> Arc<Ledger> {
    let mut shared = Arc::clone(&head.ledger);
    if carried.rows.is_empty() && carried.commit.is_none() && carried.begun.is_empty() {
        return shared;
    }
    let ledger = Arc::make_mut(&mut shared);
    for row in &carried.rows {
        let (key, applied) = row.clone().applied();
        ledger.applied.insert(key, applied);
    }
    mark_begun(ledger, &carried.begun);
    if let Some(commit) = &carried.commit {
        ledger.commit = Some(CommitId(commit.clone()));
    }
    shared
}

/// Notes that jobs were started on what these steps bring about, and not seen to do so.
pub fn mark_begun(ledger: &mut Ledger, steps: &BTreeSet<String>) {
    for key in steps.iter().filter_map(|step| journal::resource_of(step)) {
        if let Some(applied) = ledger.applied.get_mut(&key) {
            applied.begun = true;
        }
    }
}
