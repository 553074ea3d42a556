//! Which resources are not what head asks for.
//!
//! # Why
//! Needed is what has another fingerprint than the one that was applied; without a ledger, base
//! counts as applied. A fingerprint contains those of the tables that are read, so a change
//! reaches what depends on it. Only what a change can reach is evaluated at all: the cost grows
//! with the change, not with the repository.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::Desired;
use super::Inputs;
use super::PlanError;
use super::contract::Cause;
use super::contract::Scope;
use crate::impact;
use crate::model::catalog::Catalog;
use crate::model::catalog::Config;
use crate::model::facts::Role;
use crate::model::ledger::Applied;
use crate::model::ledger::FINGERPRINT_VERSION;
use crate::model::ledger::Fingerprint;
use crate::model::ledger::Ledger;
use crate::model::lineage::Edge;
use crate::model::lineage::EdgeKind;
use crate::model::lineage::Lineage;
use crate::model::name::Address;
use crate::model::name::Resource;
use crate::model::resource::resources;

/// A catalog with its lineage.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) lineage: &'a Lineage,
}

impl<'a> View<'a> {
    pub(super) fn config(&self, index: usize) -> &'a Config {
        &self.catalog.configs[index]
    }

    pub(super) fn index(&self, address: &Address) -> Option<usize> {
        self.catalog.index_of(address)
    }

    /// The resources of a config; none where it is not there.
    pub(super) fn resources(&self, address: &Address) -> Vec<Resource> {
        self.index(address).map(|index| self.resources_at(index)).unwrap_or_default()
    }

    /// The resources of the config at an index.
    pub(super) fn resources_at(&self, index: usize) -> Vec<Resource> {
        resources(self.catalog, self.lineage, index)
    }
}

/// A resource that must be brought up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) cause: Cause,
    pub(super) scope: Scope,
    /// Whether the config's own content counts, beside what it reads.
    pub(super) own: bool,
    /// Whether a job was started on it since it was applied, and not seen to bring it about.
    pub(super) begun: bool,
    /// The configs whose tables change, sorted.
    pub(super) upstream: Vec<Address>,
}

/// What is needed, and what was looked at.
pub(super) struct Needs {
    pub(super) needs: BTreeMap<(Address, Resource), Need>,
    /// Readers of a table whose producer is gone: the reader, the producer, the table.
    pub(super) abandoned: Vec<(Address, Address, String)>,
}

/// Compares what head asks for with what was applied.
pub(super) fn needs(
    inputs: &Inputs<'_>,
    base: View<'_>,
    head: View<'_>,
) -> Result<Needs, PlanError> {
    let evaluated = inputs.evaluated;
    let before = Side::of(inputs, base, base, At::Base, evaluated)?;
    let after = Side::of(inputs, head, base, At::Head(&before), evaluated)?;
    let mut needs = BTreeMap::new();
    for address in evaluated {
        for resource in head.resources(address) {
            let key = (address.clone(), resource);
            if let Some(need) = need(inputs, base, &before, &after, &key)? {
                needs.insert(key, need);
            }
        }
    }
    let abandoned = after.abandoned;
    Ok(Needs { needs, abandoned })
}

/// The fingerprints that head asks for, and the part of each that its config alone accounts for:
/// of everything, or where there is a ledger, of all that is evaluated.
pub(super) fn desired(
    inputs: &Inputs<'_>,
    base: View<'_>,
    head: View<'_>,
) -> Result<BTreeMap<(Address, Resource), Desired>, PlanError> {
    let configs = |view: View<'_>| -> BTreeSet<Address> {
        match inputs.ledger {
            Some(_) => inputs.evaluated.clone(),
            None => view.catalog.configs.iter().map(|it| it.address.clone()).collect(),
        }
    };
    let before = Side::of(inputs, base, base, At::Base, &configs(base))?;
    let after = Side::of(inputs, head, base, At::Head(&before), &configs(head))?;
    let kept = |key: &(Address, Resource)| head.resources(&key.0).contains(&key.1);
    let prints = after.prints.into_iter().filter(|it| kept(&it.0));
    let desired = |Print { whole, own, upstream }| Desired { whole, own, upstream };
    Ok(prints.map(|(key, print)| (key, desired(print))).collect())
}

fn need(
    inputs: &Inputs<'_>,
    base: View<'_>,
    before: &Side,
    after: &Side,
    key: &(Address, Resource),
) -> Result<Option<Need>, PlanError> {
    let desired = after.print(key);
    let at_base = base.resources(&key.0).contains(&key.1).then(|| before.print(key));
    let applied = match inputs.ledger {
        None => at_base.clone(),
        Some(ledger) => match ledger.applied.get(key) {
            Some(applied) if applied.version != FINGERPRINT_VERSION => {
                return Err(PlanError::LedgerVersion { version: applied.version });
            }
            other => other.map(Print::of),
        },
    };
    let same = applied.as_ref().is_some_and(|applied| applied.whole == desired.whole);
    let row = inputs.ledger.and_then(|it| it.applied.get(key));
    let begun = same && row.is_some_and(|row| row.begun);
    if same && !begun {
        return Ok(None);
    }
    let scope = match &at_base {
        Some(print) if print.whole == desired.whole => Scope::Pending,
        _ => Scope::Change,
    };
    let own = applied.as_ref().is_some_and(|applied| applied.own != desired.own);
    // What the table was when it was read, not what it has become since.
    let was = |table: &(Address, Fingerprint)| {
        applied.as_ref().is_some_and(|applied| applied.upstream.contains(table))
    };
    let changed = desired.upstream.iter().filter(|table| !was(table));
    let upstream: Vec<Address> = changed.map(|it| it.0.clone()).collect();
    let cause = match applied {
        None => Cause::New,
        Some(_) if own || begun => Cause::Changed,
        Some(_) => Cause::Upstream,
    };
    Ok(Some(Need { cause, scope, own, begun, upstream }))
}

/// A fingerprint with its parts.
#[derive(Clone, Debug)]
struct Print {
    whole: Fingerprint,
    own: Fingerprint,
    upstream: Vec<(Address, Fingerprint)>,
}

impl Print {
    /// The fingerprint that a ledger holds.
    fn of(applied: &Applied) -> Self {
        let Applied { fingerprint: whole, own, ref upstream, .. } = *applied;
        Self { whole, own, upstream: upstream.clone() }
    }
}

/// Which side fingerprints are computed for.
#[derive(Clone, Copy)]
enum At<'a> {
    Base,
    Head(&'a Side),
}

/// The fingerprints of one side.
struct Side {
    prints: HashMap<(Address, Resource), Print>,
    abandoned: Vec<(Address, Address, String)>,
}

/// The part of a fingerprint that the config alone accounts for. A file whose bytes differ has
/// one even where it says the same; else formatting would read as a change.
fn own(inputs: &Inputs<'_>, at: At<'_>, config: &Config, resource: Resource) -> Fingerprint {
    let print = inputs.own(&config.address, matches!(at, At::Head(_)), resource);
    print
        .or_else(|| recorded(inputs.ledger?, config, resource))
        .unwrap_or_else(|| Fingerprint::stand_in(config.blob))
}

/// What a ledger says of the very file that this config is.
pub(super) fn recorded(
    ledger: &Ledger,
    config: &Config,
    resource: Resource,
) -> Option<Fingerprint> {
    let applied = ledger.applied.get(&(config.address.clone(), resource))?;
    let same = applied.blob == config.blob && applied.version == FINGERPRINT_VERSION;
    same.then_some(applied.own)
}

impl Side {
    fn of(
        inputs: &Inputs<'_>,
        view: View<'_>,
        base: View<'_>,
        at: At<'_>,
        evaluated: &BTreeSet<Address>,
    ) -> Result<Self, PlanError> {
        let mut side = Self { prints: HashMap::new(), abandoned: Vec::new() };
        let present = evaluated.iter().filter_map(|address| view.index(address)).collect();
        for index in producers_first(view, &present)? {
            side.add(inputs, view, base, at, index);
        }
        side.abandoned.sort();
        Ok(side)
    }

    fn print(&self, key: &(Address, Resource)) -> Print {
        self.prints.get(key).cloned().unwrap_or(Print {
            whole: Fingerprint([0; 32]),
            own: Fingerprint([0; 32]),
            upstream: Vec::new(),
        })
    }

    /// Adds the fingerprints of a config, its producers' being there already.
    fn add(
        &mut self,
        inputs: &Inputs<'_>,
        view: View<'_>,
        base: View<'_>,
        at: At<'_>,
        index: usize,
    ) {
        let config = view.config(index);
        let mut resources = resources(view.catalog, view.lineage, index);
        if !resources.contains(&Resource::Table) {
            // Not kept, but what reads it inline depends on it all the same.
            resources.push(Resource::Table);
        }
        for resource in resources {
            let mut upstream = self.upstream(inputs, view, at, index, resource);
            if let At::Head(before) = at {
                upstream.extend(self.left_behind(before, view, base, config, resource));
            }
            upstream.sort();
            upstream.dedup();
            let own = own(inputs, at, config, resource);
            let tables: Vec<(&Address, Fingerprint)> =
                upstream.iter().map(|it| (&it.0, it.1)).collect();
            let whole = impact::combined(&own, &tables);
            self.prints.insert((config.address.clone(), resource), Print { whole, own, upstream });
        }
    }

    /// The tables that a resource is computed from, with their fingerprints.
    fn upstream(
        &self,
        inputs: &Inputs<'_>,
        view: View<'_>,
        at: At<'_>,
        index: usize,
        resource: Resource,
    ) -> Vec<(Address, Fingerprint)> {
        let edges =
            view.lineage.upstream(index).iter().filter(|edge| computed_from(resource, edge));
        let table = |edge: &Edge| {
            let producer = view.config(edge.upstream);
            let key = (producer.address.clone(), Resource::Table);
            let alone = || own(inputs, at, producer, Resource::Table);
            // What nothing reaches is what it was applied as.
            let applied = || inputs.ledger?.applied.get(&key).filter(|it| it.blob == producer.blob);
            let evaluated = self.prints.get(&key).map(|print| print.whole);
            let print = evaluated.or_else(|| Some(applied()?.fingerprint)).unwrap_or_else(alone);
            (key.0, print)
        };
        edges.map(table).collect()
    }

    /// Tables whose producer head no longer has but which are still read: they stay what they
    /// were, so their readers have nothing to recompute.
    fn left_behind(
        &mut self,
        before: &Self,
        head: View<'_>,
        base: View<'_>,
        config: &Config,
        resource: Resource,
    ) -> Vec<(Address, Fingerprint)> {
        let Some(index) = base.index(&config.address) else { return Vec::new() };
        let mut kept = Vec::new();
        for edge in base.lineage.upstream(index).iter().filter(|edge| computed_from(resource, edge))
        {
            let producer = base.config(edge.upstream);
            let table = producer.output_table().unwrap_or_default();
            let same = |read: &str| read.eq_ignore_ascii_case(table);
            let read = config.facts.reads.iter().any(|read| same(&read.table));
            if head.index(&producer.address).is_none()
                && read
                && head.lineage.producer(table).is_none()
            {
                let key = (producer.address.clone(), Resource::Table);
                kept.push((key.0.clone(), before.print(&key).whole));
                let told = (config.address.clone(), key.0, table.to_owned());
                if !self.abandoned.contains(&told) {
                    self.abandoned.push(told);
                }
            }
        }
        kept
    }
}

/// Whether a resource is computed from the table behind an edge.
pub(super) fn computed_from(resource: Resource, edge: &Edge) -> bool {
    let filter = edge.kind == EdgeKind::Reads(Role::KeyFilter);
    match resource {
        Resource::Table => edge.kind.reads_table() && !filter,
        Resource::Kv => edge.kind.reads_table(),
        Resource::Consistency | Resource::Metadata | Resource::Stream => false,
    }
}

/// The configs in an order in which each comes after those whose tables it reads.
fn producers_first(view: View<'_>, present: &BTreeSet<usize>) -> Result<Vec<usize>, PlanError> {
    let producers = |index: usize| {
        view.lineage.read_tables(index).into_iter().filter(|producer| present.contains(producer))
    };
    let mut waiting: BTreeMap<usize, usize> =
        present.iter().map(|&index| (index, producers(index).count())).collect();
    let mut ready: Vec<usize> = waiting.iter().filter(|it| *it.1 == 0).map(|it| *it.0).collect();
    let mut order = Vec::with_capacity(present.len());
    while let Some(index) = ready.pop() {
        order.push(index);
        for &reader in view.lineage.downstream(index) {
            if present.contains(&reader) && producers(reader).any(|producer| producer == index) {
                let left = waiting.entry(reader).or_default();
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.push(reader);
                }
            }
        }
    }
    if order.len() == present.len() {
        return Ok(order);
    }
    let cycle = view.lineage.cycle().unwrap_or_default();
    let configs = cycle.into_iter().map(|index| view.config(index).address.clone()).collect();
    Err(PlanError::Cycle { configs })
}
