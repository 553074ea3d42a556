//! What text and Markdown have in common: which configs are told together, and in which order.
//!
//! # Why
//! One cause is told once. Configs whose fields changed alike, or that read the same changed
//! table, share a block; fields that need no job are told together however many configs they
//! stand in. Every config and every step is named exactly once all the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::name::Address;
use crate::plan::contract::Cause;
use crate::plan::contract::Change;
use crate::plan::contract::Field;
use crate::plan::contract::Kind;
use crate::plan::contract::Plan;
use crate::plan::contract::Scope;
use crate::plan::contract::Step;
use crate::plan::warning::CODES;

/// One config of a block, and those of which exactly the same is to be told.
pub(super) struct Member<'a> {
    pub(super) config: &'a Address,
    pub(super) others: Vec<&'a Address>,
    pub(super) change: Option<&'a Change>,
    pub(super) steps: Vec<&'a Step>,
}

/// Configs that are told together.
pub(super) struct Block<'a> {
    /// The fields that changed alike in all of them.
    pub(super) fields: Vec<&'a Field>,
    /// The configs whose changed tables all of them read.
    pub(super) upstream: Vec<&'a Address>,
    /// Other reasons, alike in all of them.
    pub(super) reasons: Vec<Cow<'a, str>>,
    pub(super) members: Vec<Member<'a>>,
    /// How bad the worst warning is: an index into the table of codes.
    pub(super) severity: usize,
}

/// A field that changed in many configs and needs no job.
pub(super) struct Quiet<'a> {
    pub(super) path: String,
    pub(super) because: &'a str,
    pub(super) hidden: bool,
    /// The values, where all configs share them.
    pub(super) values: Option<&'a Field>,
    pub(super) configs: BTreeSet<&'a Address>,
}

pub(super) struct Outline<'a> {
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) removed: Vec<&'a Change>,
    pub(super) quiet: Vec<Quiet<'a>>,
}

/// Arranges a plan.
pub(super) fn outline(plan: &Plan) -> Outline<'_> {
    let mut steps: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        steps.entry(&step.config).or_default().push(step);
    }
    let changes: BTreeMap<&Address, &Change> =
        plan.changes.iter().map(|it| (&it.config, it)).collect();
    let loud = plan.changes.iter().filter(|change| is_loud(change)).map(|it| &it.config);
    let configs: BTreeSet<&Address> = steps.keys().copied().chain(loud).collect();
    let severities = severities(plan);
    let mut blocks: Vec<(String, Block<'_>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for config in configs {
        let change = changes.get(config).copied();
        let mut block = block(change, steps.remove(config).unwrap_or_default(), config);
        block.severity = severities.get(config).copied().unwrap_or(CODES.len());
        let key = key(&block);
        match places.get(&key) {
            Some(&at) => {
                let other = &mut blocks[at].1;
                other.members.append(&mut block.members);
                other.severity = other.severity.min(block.severity);
            }
            None => {
                places.insert(key.clone(), blocks.len());
                blocks.push((key, block));
            }
        }
    }
    let mut blocks: Vec<Block<'_>> = blocks.into_iter().map(|it| it.1).collect();
    let place: BTreeMap<&str, usize> =
        plan.steps.iter().enumerate().map(|(at, step)| (step.id.as_str(), at)).collect();
    // Causes before what they cause: in the order in which jobs run.
    let first = |block: &Block<'_>| {
        let steps = block.members.iter().flat_map(|member| &member.steps);
        steps.map(|step| place[step.id.as_str()]).min().unwrap_or(usize::MAX)
    };
    blocks.sort_by_key(|block| (block.severity, first(block), block.members[0].config));
    blocks.iter_mut().for_each(merge_members);
    let removed = plan.changes.iter().filter(|it| it.kind == Kind::Removed).collect();
    Outline { blocks, removed, quiet: quiet(plan) }
}

impl Block<'_> {
    /// How many configs it tells of.
    pub(super) fn configs(&self) -> usize {
        self.members.iter().map(|member| 1 + member.others.len()).sum()
    }
}

/// Tells members once of which the same is to be told, word for word.
fn merge_members(block: &mut Block<'_>) {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut merged: Vec<Member<'_>> = Vec::new();
    for member in std::mem::take(&mut block.members) {
        let told = told(&member);
        match places.get(&told) {
            Some(&at) => merged[at].others.push(member.config),
            None => {
                places.insert(told, merged.len());
                merged.push(member);
            }
        }
    }
    block.members = merged;
}

/// Everything that is told of a member beside its name.
fn told(member: &Member<'_>) -> String {
    let change = member.change.map(|it| (it.kind, &it.from, &it.columns, &it.downstream));
    let steps: Vec<_> = member
        .steps
        .iter()
        .map(|it| (&it.mode, &it.range, it.rewrite, it.trigger, it.scope, it.manual.is_some()))
        .collect();
    format!("{change:?} {steps:?}")
}

/// Whether a change says something beyond fields that need no job.
fn is_loud(change: &Change) -> bool {
    match change.kind {
        Kind::Removed => false,
        Kind::Added | Kind::VersionBump | Kind::Renamed => true,
        Kind::Modified => change.fields.iter().any(is_telling),
    }
}

fn is_telling(field: &Field) -> bool {
    !field.counts_for.is_empty()
}

fn severities(plan: &Plan) -> BTreeMap<&Address, usize> {
    let mut worst = BTreeMap::new();
    for warning in &plan.warnings {
        let rank = CODES.iter().position(|row| row.1 == warning.code).unwrap_or(CODES.len());
        let known = worst.entry(&warning.config).or_insert(rank);
        *known = rank.min(*known);
    }
    worst
}

fn block<'a>(change: Option<&'a Change>, steps: Vec<&'a Step>, config: &'a Address) -> Block<'a> {
    let fields = change.iter().flat_map(|change| &change.fields).filter(|field| is_telling(field));
    let shown = |path: &str| {
        change.iter().flat_map(|change| &change.fields).any(|field| field.path == path)
    };
    let mut upstream = BTreeSet::new();
    let mut reasons = BTreeSet::new();
    for because in steps.iter().flat_map(|step| &step.because) {
        match (&because.upstream, &because.field) {
            (Some(config), _) => {
                upstream.insert(config);
            }
            (None, None) => {
                reasons.insert(Cow::Borrowed(because.text.as_str()));
            }
            // The fields that differ from base are shown with their values.
            (None, Some(field)) if shown(field) => {}
            (None, Some(field)) => {
                reasons.insert(Cow::Owned(format!("{field}: {}", because.text)));
            }
        }
    }
    Block {
        fields: fields.collect(),
        upstream: upstream.into_iter().collect(),
        reasons: reasons.into_iter().collect(),
        members: vec![Member { config, others: Vec::new(), change, steps }],
        severity: 0,
    }
}

/// Blocks with the same key are one.
fn key(block: &Block<'_>) -> String {
    let member = &block.members[0];
    let kind = member.change.map(|change| change.kind);
    let alone = kind.is_some_and(|kind| kind != Kind::Modified)
        || member.steps.iter().any(|step| step.cause == Cause::Forced);
    if alone {
        return member.config.to_string();
    }
    let fields: Vec<_> =
        block.fields.iter().map(|it| (&it.path, &it.before, &it.after, &it.because)).collect();
    let scopes: BTreeSet<Scope> = member.steps.iter().map(|step| step.scope).collect();
    format!("\n{fields:?} {:?} {:?} {scopes:?}", block.upstream, block.reasons)
}

/// A field whose entries nobody reads one by one.
const HASHES: &str = "metaData.columnHashes";

/// The part of a path that embedded copies share with the original: behind the last object that
/// has metadata of its own.
fn tail(path: &str) -> &str {
    let tail = path.rfind("metaData.").map_or(path, |at| &path[at..]);
    if tail.starts_with(HASHES) { HASHES } else { tail }
}

fn quiet(plan: &Plan) -> Vec<Quiet<'_>> {
    let mut quiet: BTreeMap<(String, &str), Quiet<'_>> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.kind == Kind::Modified) {
        for field in change.fields.iter().filter(|field| !is_telling(field)) {
            let path = tail(&field.path).to_owned();
            let group = quiet.entry((path.clone(), "")).or_insert_with(|| Quiet {
                path: path.clone(),
                because: &field.because,
                hidden: field.hidden,
                values: Some(field).filter(|_| path != HASHES),
                configs: BTreeSet::new(),
            });
            // The config's own field says more than that of an embedded copy.
            if field.path == group.path {
                group.because = &field.because;
            }
            let same =
                |other: &Field| (&other.before, &other.after) == (&field.before, &field.after);
            group.values = group.values.filter(|other| same(other) && group.path != HASHES);
            group.configs.insert(&change.config);
        }
    }
    merge_alike(quiet.into_values().collect())
}

/// Fields that changed in the same configs for the same reason are told in one line.
fn merge_alike(quiet: Vec<Quiet<'_>>) -> Vec<Quiet<'_>> {
    let mut merged: Vec<Quiet<'_>> = Vec::new();
    for next in quiet {
        let alike = merged.iter_mut().find(|it| {
            it.because == next.because && it.hidden == next.hidden && it.configs == next.configs
        });
        match alike {
            Some(group) => {
                group.path = format!("{}, {}", group.path, next.path);
                group.values = None;
            }
            None => merged.push(next),
        }
    }
    merged
}
