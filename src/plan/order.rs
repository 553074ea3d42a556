//! Which step waits for which, and an order in which all can run (reference §4.2, §0.6).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::PlanError;
use super::contract::Step;
use super::modes;
use super::needed::View;
use super::needed::computed_from;
use crate::model::facts::PartRole;
use crate::model::lineage::EdgeKind;
use crate::model::lineage::embedded;
use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::model::name::Resource;

/// Fills in what each step waits for and sorts them; ties break by id.
///
/// # Errors
/// Where steps wait for each other.
pub(super) fn order(view: View<'_>, steps: Vec<Step>) -> Result<Vec<Step>, PlanError> {
    let ids: BTreeSet<String> = steps.iter().map(|step| step.id.clone()).collect();
    let waits: BTreeMap<String, BTreeSet<String>> =
        steps.iter().map(|step| (step.id.clone(), waits(view, &ids, step))).collect();
    let mut left = waits.clone();
    let mut steps: BTreeMap<String, Step> =
        steps.into_iter().map(|step| (step.id.clone(), step)).collect();
    let mut sorted = Vec::with_capacity(steps.len());
    let mut ready: BTreeSet<String> =
        left.iter().filter(|it| it.1.is_empty()).map(|it| it.0.clone()).collect();
    let mut followers: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (id, before) in &waits {
        before.iter().for_each(|it| followers.entry(it).or_default().push(id));
    }
    while let Some(id) = ready.pop_first() {
        for &follower in followers.get(&id).into_iter().flatten() {
            let before = left.entry(follower.clone()).or_default();
            before.remove(&id);
            if before.is_empty() {
                ready.insert(follower.clone());
            }
        }
        if let Some(mut step) = steps.remove(&id) {
            step.after = direct(&waits, &id);
            sorted.push(step);
        }
    }
    if steps.is_empty() {
        return Ok(sorted);
    }
    let configs: BTreeSet<Address> = steps.into_values().map(|step| step.config).collect();
    Err(PlanError::Cycle { configs: configs.into_iter().collect() })
}

/// What a step waits for, without what another of those waits for already.
fn direct(waits: &BTreeMap<String, BTreeSet<String>>, id: &str) -> Vec<String> {
    let all = &waits[id];
    let mut implied = BTreeSet::new();
    let mut open: Vec<&String> = all.iter().flat_map(|it| &waits[it]).collect();
    while let Some(next) = open.pop() {
        if implied.insert(next) {
            open.extend(&waits[next]);
        }
    }
    all.iter().filter(|it| !implied.contains(it)).cloned().collect()
}

fn waits(view: View<'_>, ids: &BTreeSet<String>, step: &Step) -> BTreeSet<String> {
    let Some(index) = view.index(&step.config) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    let mut wait = |config: &Address, mode: &str| {
        let id = format!("{config}#{mode}");
        let there = id != step.id && ids.contains(&id);
        if there {
            found.insert(id);
        }
        there
    };
    let dialect = view.catalog.dialect;
    let resource = modes::by_name(&step.mode).map(|mode| mode.resource);
    for mode in resource.into_iter().flat_map(|it| modes::of(it, step.config.kind, dialect)) {
        if mode.name == step.mode {
            break;
        }
        wait(&step.config, mode.name);
    }
    match step.mode.as_str() {
        "backfill" | "upload" => {
            let resource = resource.unwrap_or(Resource::Table);
            wait_for_tables(view, index, resource, &mut wait);
        }
        "streaming" => {
            wait(&step.config, "upload-to-kv");
            for edge in view.lineage.upstream(index).iter().filter(|it| it.kind == EdgeKind::Chains)
            {
                wait(&view.config(edge.upstream).address, "metadata-upload");
            }
        }
        "metadata-upload" if step.config.kind == ConfigType::Join => {
            for part in embedded(view.config(index), PartRole::Part) {
                let part = Address::new(ConfigType::GroupBy, &part.name);
                wait(&part, "upload-to-kv");
                wait(&part, "streaming");
            }
        }
        "log-flattener" => {
            wait(&step.config, "metadata-upload");
        }
        _ => {}
    }
    found
}

/// Waits for the backfills of the tables that a job reads, and behind a config that keeps no
/// table, of those that it reads inline.
fn wait_for_tables(
    view: View<'_>,
    index: usize,
    resource: Resource,
    wait: &mut impl FnMut(&Address, &str) -> bool,
) {
    let mut open = vec![(index, resource)];
    let mut seen = BTreeSet::new();
    while let Some((index, resource)) = open.pop() {
        for edge in view.lineage.upstream(index).iter().filter(|edge| computed_from(resource, edge))
        {
            let there = wait(&view.config(edge.upstream).address, "backfill");
            if !there && seen.insert(edge.upstream) {
                open.push((edge.upstream, Resource::Table));
            }
        }
    }
}
