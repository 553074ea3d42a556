//! Other open pull requests that touch what this one touches, or what depends on it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::super::super::workspace::Workspace;
use crate::model::lineage::Lineage;
use crate::model::name::Address;
use crate::plan::contract::Plan;
use crate::render::comment::Overlap;

/// What another pull request changes, as far as it is asked for.
pub(super) struct Other {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) files: Vec<String>,
}

/// The overlaps of a plan with other pull requests, in their order.
pub(super) fn overlaps(plan: &Plan, workspace: &Workspace, others: &[Other]) -> Vec<Overlap> {
    let ours: BTreeMap<&str, &Address> =
        plan.changes.iter().map(|it| (it.path.as_str(), &it.config)).collect();
    let near = near(workspace, &ours.values().copied().collect());
    let of = |other: &Other| {
        let same: BTreeSet<Address> =
            other.files.iter().filter_map(|it| ours.get(it.as_str()).copied().cloned()).collect();
        let related: BTreeSet<Address> = other
            .files
            .iter()
            .filter_map(|it| near.get(it.as_str()).copied().cloned())
            .filter(|it| !same.contains(it))
            .collect();
        Overlap {
            number: other.number,
            title: other.title.clone(),
            same: same.into_iter().collect(),
            related: related.into_iter().collect(),
        }
    };
    let all = others.iter().map(of);
    all.filter(|it| !it.same.is_empty() || !it.related.is_empty()).collect()
}

/// The files of everything that these configs depend on or that depends on them, at any distance.
fn near<'a>(
    workspace: &'a Workspace,
    configs: &BTreeSet<&Address>,
) -> BTreeMap<&'a str, &'a Address> {
    let catalog = &workspace.pair.head;
    let lineage = Lineage::of(catalog);
    let start: Vec<usize> = configs.iter().filter_map(|it| catalog.index_of(it)).collect();
    let down = closure(&start, &|index| lineage.downstream(index).to_vec());
    let up =
        closure(&start, &|index| lineage.upstream(index).iter().map(|it| it.upstream).collect());
    let all = down.union(&up).map(|index| &catalog.configs[*index]);
    all.map(|config| (config.path.as_str(), &config.address)).collect()
}

fn closure(start: &[usize], next: &dyn Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut seen: BTreeSet<usize> = start.iter().copied().collect();
    let mut open = start.to_vec();
    while let Some(index) = open.pop() {
        open.extend(next(index).into_iter().filter(|it| seen.insert(*it)));
    }
    seen
}
