//! Two catalogs to the changes between them, field by field. Pure.
//!
//! # Why
//! A textual diff of compiled files shows what moved on disk. What a reviewer needs is which
//! config changed in which field: lists aligned by what their items are, renames and version
//! bumps recognised, feature columns listed.

mod columns;
mod copies;
mod fields;

pub use columns::ColumnChanges;
pub use columns::columns;
pub use copies::copies;
pub use fields::FieldChange;
pub use fields::changed_leaves;
pub use fields::fields;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::catalog::Catalog;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::Dialect;
use crate::model::name::split_version;

/// What happened to a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content differs.
    Modified,
    /// One version of it is gone and another is new.
    VersionBump,
    /// It is gone, and one with the same definition is new.
    Renamed,
}

/// A config that differs between two catalogs, not yet compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The config at head, else the one at base.
    pub address: Address,
    /// Its name at base, where it was there under some name.
    pub before: Option<(Address, BlobId)>,
    /// Its content at head, where it is there.
    pub after: Option<BlobId>,
    /// What happened, as far as names tell.
    pub kind: ChangeKind,
}

/// The changes of one config.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The config at head, else the one at base.
    pub address: Address,
    /// The config at base that this one replaces: for version bumps and renames.
    pub from: Option<Address>,
    /// The file, at head where it is there.
    pub path: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The fields that differ, in the order of their paths.
    pub fields: Vec<FieldChange>,
    /// The output columns that differ.
    pub columns: ColumnChanges,
}

/// The configs that differ between two catalogs, sorted; versions of one config paired.
pub fn candidates(base: &Catalog, head: &Catalog) -> Vec<Candidate> {
    let (mut old, mut new) = (base.configs.iter().peekable(), head.configs.iter().peekable());
    let mut candidates = Vec::new();
    let mut removed = BTreeMap::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.address.cmp(&new.address),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        match (before, after) {
            (Some(before), None) => {
                removed.insert(before.address.clone(), before.blob);
            }
            (before, Some(after)) if before.is_none_or(|it| it.blob != after.blob) => {
                candidates.push(Candidate {
                    address: after.address.clone(),
                    before: before.map(|it| (it.address.clone(), it.blob)),
                    after: Some(after.blob),
                    kind: before.map_or(ChangeKind::Added, |_| ChangeKind::Modified),
                });
            }
            _ => {}
        }
    }
    pair_versions(&mut candidates, &mut removed);
    candidates.extend(removed.into_iter().map(|(address, blob)| Candidate {
        before: Some((address.clone(), blob)),
        after: None,
        kind: ChangeKind::Removed,
        address,
    }));
    candidates.sort();
    candidates
}

/// Pairs an added `base__N` with the newest removed `base__M`.
fn pair_versions(candidates: &mut [Candidate], removed: &mut BTreeMap<Address, BlobId>) {
    for added in candidates.iter_mut().filter(|it| it.kind == ChangeKind::Added) {
        let (base, Some(_)) = split_version(&added.address.name) else { continue };
        let versions = removed.keys().filter_map(|gone| {
            let (other, version) = split_version(&gone.name);
            let same = gone.kind == added.address.kind && other == base;
            Some((version.filter(|_| same)?, gone.clone()))
        });
        if let Some((_, gone)) = versions.max()
            && let Some(blob) = removed.remove(&gone)
        {
            added.before = Some((gone, blob));
            added.kind = ChangeKind::VersionBump;
        }
    }
}

/// Pairs each added config with a removed one of the same definition, given the definitions of
/// both; takes the removed ones out of the list.
pub fn pair_renames(candidates: &mut Vec<Candidate>, definitions: &BTreeMap<Address, Value>) {
    let mut gone: Vec<(Address, BlobId)> = Vec::new();
    for candidate in candidates.iter().filter(|it| it.kind == ChangeKind::Removed) {
        gone.extend(candidate.before.clone());
    }
    let mut taken = Vec::new();
    for added in candidates.iter_mut().filter(|it| it.kind == ChangeKind::Added) {
        let same = |old: &(Address, BlobId)| {
            old.0.kind == added.address.kind
                && !taken.contains(&old.0)
                && definitions.get(&old.0) == definitions.get(&added.address)
        };
        if definitions.contains_key(&added.address)
            && let Some(old) = gone.iter().find(|old| same(old))
        {
            taken.push(old.0.clone());
            added.before = Some(old.clone());
            added.kind = ChangeKind::Renamed;
        }
    }
    candidates.retain(|it| it.kind != ChangeKind::Removed || !taken.contains(&it.address));
}

/// The change of a candidate, given the documents it has: at base and at head.
pub fn change(
    candidate: &Candidate,
    path: &str,
    dialect: Dialect,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Change {
    let kind = candidate.address.kind;
    let mut differing = match (before, after) {
        (Some(before), Some(after)) => fields(kind, dialect, before, after),
        _ => Vec::new(),
    };
    if candidate.kind != ChangeKind::Modified {
        // Another name is what a rename and a version bump are.
        let named = ["metaData.name", "metaData.version"];
        differing.retain(|field| !named.contains(&field.path.to_string().as_str()));
    }
    let renamed =
        candidate.before.as_ref().map(|it| &it.0).filter(|from| **from != candidate.address);
    Change {
        address: candidate.address.clone(),
        from: renamed.cloned(),
        path: path.to_owned(),
        kind: candidate.kind,
        fields: differing,
        columns: columns(kind, dialect, before, after),
    }
}

/// What a config defines, apart from its own name and bookkeeping: equal definitions under two
/// names are a rename. Teams define nothing.
pub fn definition(document: &Value) -> Option<Value> {
    let mut definition = document.as_object()?.clone();
    definition.remove("metaData")?;
    (!definition.is_empty()).then_some(Value::Object(definition))
}
