//! What a plan must look at: everything that may be other than it was applied, and what that
//! reaches.
//!
//! # Why
//! A repository has a hundred thousand configs and a pull request changes fifty. A config whose
//! file is the one that was applied, whose resources are all in the ledger, and which read nothing
//! that has changed since, is what it was: nobody needs to compute its fingerprints to know.

use std::collections::BTreeSet;

use super::Inputs;
use super::needed::View;
use super::needed::recorded;
use crate::model::ledger::Applied;
use crate::model::ledger::FINGERPRINT_VERSION;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::RESOURCES;
use crate::model::name::Resource;

/// The configs, of either side or of the ledger alone.
pub(super) fn evaluated(inputs: &Inputs<'_>, base: View<'_>, head: View<'_>) -> BTreeSet<Address> {
    let mut start: BTreeSet<Address> = BTreeSet::new();
    for (change, _) in inputs.changes {
        start.insert(change.address.clone());
        start.extend(change.from.clone());
    }
    let forced = inputs.options.force.iter().filter_map(|id| id.rsplit_once('#')?.0.parse().ok());
    start.extend(forced);
    if let Some(ledger) = inputs.ledger {
        start.extend(moved(ledger, head));
    }
    let mut reached = reached(&start, base, head);
    if let Some(ledger) = inputs.ledger {
        add_inline(ledger, [base, head], &mut reached);
    }
    reached
}

/// The configs of a side whose own fingerprints somebody must compute: those that keep something,
/// or are read, and whose file is not the one that was applied. Without a ledger, all of those.
pub(super) fn unrecorded(
    inputs: &Inputs<'_>,
    view: View<'_>,
    evaluated: &BTreeSet<Address>,
) -> Vec<usize> {
    let known = |index: usize, resource: Resource| {
        inputs.ledger.is_some_and(|it| recorded(it, view.config(index), resource).is_some())
    };
    let asked = |index: &usize| {
        let mut resources = view.resources_at(*index);
        if !resources.contains(&Resource::Table) && view.lineage.readers(*index).next().is_some() {
            resources.push(Resource::Table);
        }
        resources.into_iter().any(|resource| !known(*index, resource))
    };
    match inputs.ledger {
        Some(_) => evaluated.iter().filter_map(|it| view.index(it)).filter(asked).collect(),
        None => (0..view.catalog.configs.len()).filter(asked).collect(),
    }
}

/// The configs of a ledger and of head that are not as they were applied. Both are sorted, so one
/// walk finds them.
fn moved(ledger: &Ledger, head: View<'_>) -> BTreeSet<Address> {
    let mut moved = BTreeSet::new();
    let mut rows = ledger.applied.iter().peekable();
    for (index, config) in head.catalog.configs.iter().enumerate() {
        while let Some((key, _)) = rows.next_if(|row| row.0.0 < config.address) {
            moved.insert(key.0.clone());
        }
        let mut applied: [Option<&Applied>; RESOURCES.len()] = [None; RESOURCES.len()];
        while let Some((key, row)) = rows.next_if(|row| row.0.0 == config.address) {
            applied[key.1 as usize] = Some(row);
        }
        if !is_as_applied(ledger, head, index, &applied) {
            moved.insert(config.address.clone());
        }
    }
    moved.extend(rows.map(|row| row.0.0.clone()));
    moved
}

fn is_as_applied(
    ledger: &Ledger,
    head: View<'_>,
    index: usize,
    applied: &[Option<&Applied>; RESOURCES.len()],
) -> bool {
    let kept = head.resources_at(index);
    let blob = head.config(index).blob;
    let same = |row: &Applied| {
        row.blob == blob
            && row.version == FINGERPRINT_VERSION
            && !row.begun
            && row.upstream.iter().all(|(address, table)| {
                let now = ledger.applied.get(&(address.clone(), Resource::Table));
                now.is_some_and(|now| now.fingerprint == *table) && head.index(address).is_some()
            })
    };
    let all = kept.iter().all(|resource| applied[*resource as usize].is_some_and(same));
    all && applied.iter().flatten().count() == kept.len()
}

/// What reads a table of these, at any distance, and the producers that gained or lost a reader.
fn reached(start: &BTreeSet<Address>, base: View<'_>, head: View<'_>) -> BTreeSet<Address> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<Address> = start.iter().cloned().collect();
    while let Some(address) = open.pop() {
        for view in [base, head] {
            let readers =
                view.index(&address).into_iter().flat_map(|index| view.lineage.readers(index));
            open.extend(
                readers
                    .map(|(reader, _)| view.config(reader).address.clone())
                    .filter(|it| !reached.contains(it)),
            );
        }
        reached.insert(address);
    }
    for address in start {
        for view in [base, head] {
            let Some(index) = view.index(address) else { continue };
            let producers = view.lineage.read_tables(index).into_iter();
            reached.extend(producers.map(|producer| view.config(producer).address.clone()));
        }
    }
    reached
}

/// Adds the producers whose tables are read and of which the ledger says nothing, for nobody keeps
/// them: what reads them depends on their definitions.
fn add_inline(ledger: &Ledger, views: [View<'_>; 2], reached: &mut BTreeSet<Address>) {
    let mut open: Vec<Address> = reached.iter().cloned().collect();
    while let Some(address) = open.pop() {
        for view in views {
            let Some(index) = view.index(&address) else { continue };
            for producer in view.lineage.read_tables(index) {
                let config = view.config(producer);
                let known = recorded(ledger, config, Resource::Table).is_some();
                if !known && reached.insert(config.address.clone()) {
                    open.push(config.address.clone());
                }
            }
        }
    }
}
