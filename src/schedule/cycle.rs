//! Tasks that wait for each other, so that none of them would ever run.
//!
//! # Why
//! Airflow drops a whole DAG with a circle in it, and across DAGs it notices nothing: every wait
//! runs into its timeout. Neither may be published.

use std::collections::BTreeMap;

use super::spec::Dag;
use super::spec::Work;
use crate::model::name::Address;

/// A task, by its DAG and its name.
type Name<'a> = (&'a str, &'a str);

/// The configs of tasks that wait for each other within one day, each waiting for the next; empty
/// where there are none.
pub(super) fn cycle(dags: &BTreeMap<String, Dag>) -> Vec<Address> {
    let before = edges(dags);
    let mut after: BTreeMap<Name<'_>, Vec<Name<'_>>> = BTreeMap::new();
    let mut open: BTreeMap<Name<'_>, usize> = BTreeMap::new();
    for (name, tasks) in &before {
        open.insert(*name, tasks.len());
        tasks.iter().for_each(|it| after.entry(*it).or_default().push(*name));
    }
    let mut ready: Vec<Name<'_>> = open.iter().filter(|it| *it.1 == 0).map(|it| *it.0).collect();
    while let Some(done) = ready.pop() {
        open.remove(&done);
        for next in after.get(&done).into_iter().flatten() {
            let Some(left) = open.get_mut(next) else { continue };
            *left -= 1;
            if *left == 0 {
                ready.push(*next);
            }
        }
    }
    let walk = walk(&before, &open);
    let configs = walk.iter().filter_map(|it| config(&dags.get(it.0)?.tasks.get(it.1)?.work));
    configs.cloned().collect()
}

/// Whom each task waits for, in the same run or in that of the same day.
fn edges(dags: &BTreeMap<String, Dag>) -> BTreeMap<Name<'_>, Vec<Name<'_>>> {
    let mut edges = BTreeMap::new();
    for (id, dag) in dags {
        for (name, task) in &dag.tasks {
            let mut before: Vec<Name<'_>> =
                task.after.iter().map(|it| (id.as_str(), it.as_str())).collect();
            if let Work::External { dag, task, lag, .. } = &task.work
                && *lag < DAY
            {
                before.push((dag, task));
            }
            // What is not there is waited for in vain, but not in a circle.
            before.retain(|it| dags.get(it.0).is_some_and(|dag| dag.tasks.contains_key(it.1)));
            edges.insert((id.as_str(), name.as_str()), before);
        }
    }
    edges
}

/// A wait for more than this is one for an earlier run.
const DAY: i64 = 1440;

/// One way around among tasks that are still open: each of them waits for another such one.
fn walk<'a>(
    before: &BTreeMap<Name<'a>, Vec<Name<'a>>>,
    open: &BTreeMap<Name<'a>, usize>,
) -> Vec<Name<'a>> {
    let mut walk: Vec<Name<'_>> = open.keys().take(1).copied().collect();
    while let Some(last) = walk.last() {
        let next = before.get(last).into_iter().flatten().find(|it| open.contains_key(*it));
        let Some(next) = next else { break };
        if let Some(at) = walk.iter().position(|seen| seen == next) {
            return walk.split_off(at);
        }
        walk.push(*next);
    }
    Vec::new()
}

fn config(work: &Work) -> Option<&Address> {
    match work {
        Work::Job { config, .. }
        | Work::KeepAlive { config, .. }
        | Work::Publish { config, .. } => Some(config),
        Work::Partition { .. } | Work::External { .. } => None,
    }
}
