//! Everything that a plan is made of, as values.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::needed::View;
use super::settings::EnvSettings;
use crate::diff::Candidate;
use crate::diff::Change;
use crate::impact::Verdict;
use crate::model::catalog::Catalog;
use crate::model::catalog::Config;
use crate::model::day::Day;
use crate::model::ledger::Fingerprint;
use crate::model::ledger::Ledger;
use crate::model::lineage::Lineage;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::RESOURCES;
use crate::model::name::Resource;

/// A copy of a GroupBy in a Join that is not the GroupBy of the same commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaleCopy {
    /// The Join.
    pub join: Address,
    /// The GroupBy.
    pub group_by: Address,
    /// The fields that differ, as paths in the GroupBy.
    pub fields: Vec<String>,
}

impl StaleCopy {
    /// What is the matter, in a sentence about the Join.
    pub fn text(&self) -> String {
        format!("its copy of {} differs in {}: recompile", self.group_by, self.fields.join(", "))
    }
}

/// Fingerprints of configs alone, for each side.
#[derive(Clone, Debug, Default)]
pub struct OwnPrints {
    /// At base.
    pub base: HashMap<(Address, Resource), Fingerprint>,
    /// At head.
    pub head: HashMap<(Address, Resource), Fingerprint>,
}

impl OwnPrints {
    /// Fingerprints to compare base with head by. Where nothing is recorded, only whether one
    /// differs matters, and that is what rules say: a fingerprint changes exactly when one of
    /// them counts.
    pub fn of(candidates: &[Candidate], changes: &[(Change, Verdict)]) -> Self {
        let mut own = Self::default();
        for (candidate, (_, verdict)) in candidates.iter().zip(changes) {
            for (resource, _) in RESOURCES {
                let before = candidate.before.as_ref();
                if let Some((address, blob)) = before {
                    own.base.insert((address.clone(), resource), Fingerprint::stand_in(*blob));
                }
                let same = before.filter(|_| !verdict.counts_for(resource)).map(|it| it.1);
                if let Some(blob) = same.or(candidate.after) {
                    let key = (candidate.address.clone(), resource);
                    own.head.insert(key, Fingerprint::stand_in(blob));
                }
            }
        }
        own
    }
}

/// A fingerprint that head asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Upstream tables included.
    pub whole: Fingerprint,
    /// The part that the config alone accounts for.
    pub own: Fingerprint,
    /// The tables that are part of it, each with its fingerprint; sorted.
    pub upstream: Vec<(Address, Fingerprint)>,
}

/// A config as it was applied, where that is not what it is at base, and what head changes of it.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// The config as it was applied.
    pub config: Config,
    /// What differs at head, and what that means; none where head has no such config.
    pub change: Option<(Change, Verdict)>,
}

/// The lineages of both sides.
#[derive(Clone, Debug)]
pub struct Lineages {
    /// That of base.
    pub base: Lineage,
    /// That of head.
    pub head: Lineage,
}

impl Lineages {
    /// Both, side by side: on a large repository each takes its time.
    pub fn of(base: &Catalog, head: &Catalog) -> Self {
        std::thread::scope(|scope| {
            let base = scope.spawn(|| Lineage::of(base));
            let head = Lineage::of(head);
            let base = base.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Self { base, head }
        })
    }
}

/// What the user asked for beside the commits.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only steps of configs that match one of these, and what they wait for.
    pub targets: Vec<String>,
    /// Steps to run although nothing asks for them.
    pub force: Vec<String>,
}

/// Everything that a plan is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The env's name.
    pub env: &'a str,
    /// What is compared with.
    pub base: &'a Catalog,
    /// What is planned.
    pub head: &'a Catalog,
    /// Who reads whom, on both sides.
    pub lineages: &'a Lineages,
    /// What must be looked at, by [`super::evaluated`].
    pub evaluated: &'a BTreeSet<Address>,
    /// The configs that differ, sorted, each with what that means.
    pub changes: &'a [(Change, Verdict)],
    /// The fingerprints of all changed configs; where there is a ledger, of all [`super::unrecorded`].
    pub own: &'a OwnPrints,
    /// Configs as they were applied, where that is neither what they are at head nor at base.
    pub earlier: &'a BTreeMap<(Address, BlobId), Earlier>,
    /// Copies that are stale at head, of or in configs that differ.
    pub stale_copies: &'a [StaleCopy],
    /// What was applied; none where base counts as applied.
    pub ledger: Option<&'a Ledger>,
    /// Where the ledger is kept.
    pub state_location: &'a str,
    /// The day of the plan.
    pub as_of: Day,
    /// The env's settings.
    pub settings: &'a EnvSettings,
    /// What the user asked for.
    pub options: &'a Options,
}

impl Inputs<'_> {
    pub(super) fn own(
        &self,
        address: &Address,
        at_head: bool,
        resource: Resource,
    ) -> Option<Fingerprint> {
        let side = if at_head { &self.own.head } else { &self.own.base };
        side.get(&(address.clone(), resource)).copied()
    }

    pub(super) fn newest(&self) -> Day {
        self.as_of.plus(-1)
    }

    pub(super) fn change(&self, address: &Address) -> Option<&(Change, Verdict)> {
        let at = self.changes.binary_search_by(|it| it.0.address.cmp(address)).ok()?;
        Some(&self.changes[at])
    }

    /// The config that a resource was applied from, where it is not that of base.
    pub(super) fn earlier(&self, address: &Address, resource: Resource) -> Option<&Earlier> {
        let applied = self.ledger?.applied.get(&(address.clone(), resource))?;
        self.earlier.get(&(address.clone(), applied.blob))
    }

    /// What head changes of what a resource was applied from.
    pub(super) fn change_of(
        &self,
        address: &Address,
        resource: Resource,
    ) -> Option<&(Change, Verdict)> {
        match self.earlier(address, resource) {
            Some(earlier) => earlier.change.as_ref(),
            None => self.change(address),
        }
    }

    pub(super) fn views(&self) -> (View<'_>, View<'_>) {
        let base = View { catalog: self.base, lineage: &self.lineages.base };
        let head = View { catalog: self.head, lineage: &self.lineages.head };
        (base, head)
    }
}
