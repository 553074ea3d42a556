//! What a plan says of schedules: the DAGs that an apply would publish, and what differs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::contract::Kind;
use super::contract::Plan;
use super::contract::Scope;
use crate::model::name::Address;
use crate::model::name::hex_of;

/// The schedules of an env that publishes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedules {
    /// Where they are published.
    pub location: String,
    /// The DAGs that differ from what is published, sorted.
    pub dags: Vec<DagChange>,
    /// How many DAGs are as they are published.
    pub unchanged: usize,
    /// What people should know of the DAGs that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One DAG that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DagChange {
    /// Its name.
    pub dag: String,
    /// What happens to it: added, removed or modified.
    pub kind: Kind,
    /// Who asks for it.
    pub scope: Scope,
    /// When it ran before, as a cron in UTC; null where it did not exist, or runs when asked.
    pub schedule_before: Option<String>,
    /// When it runs.
    pub schedule_after: Option<String>,
    /// How many tasks it had; of the DAG of metadata, how many configs.
    pub tasks_before: usize,
    /// How many tasks it has, in the same way.
    pub tasks_after: usize,
    /// What differs of the DAG as a whole, in a word each; `itself` where it comes or goes.
    pub settings: Vec<SettingChange>,
    /// The tasks that differ, sorted; of the DAG of metadata, the configs.
    pub tasks: Vec<TaskChange>,
    /// A hash of the DAG as it will be; null where it goes.
    pub fingerprint: Option<String>,
}

/// What differs of a DAG as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChange {
    /// What, in a word.
    pub setting: String,
    /// A hash of it as it will be; null where it goes.
    pub fingerprint: Option<String>,
}

/// One task that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskChange {
    /// Its name.
    pub task: String,
    /// What happens to it: added, removed or modified.
    pub kind: Kind,
    /// The config that it is about; null for tasks that wait.
    #[schemars(with = "Option<String>")]
    pub config: Option<Address>,
    /// What differs, in a word each; empty where it comes or goes.
    pub what: Vec<String>,
    /// A hash of what the task will do, whenever its turn comes; null where it goes.
    pub fingerprint: Option<String>,
}

impl Schedules {
    /// Whether nothing would be published.
    pub fn is_empty(&self) -> bool {
        self.dags.is_empty()
    }

    /// Whether both are published in the same place.
    fn is_beside(&self, other: &Self) -> bool {
        self.location == other.location
    }
}

/// One change, as what an approval can be held against: the DAG, what of it, and a hash of that as
/// it will be.
type Part<'a> = (&'a str, &'a str, Option<&'a str>);

impl DagChange {
    /// Each task counts by itself, and so does each setting of the whole: two pull requests may
    /// change one DAG.
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let settings =
            self.settings.iter().map(|it| (it.setting.as_str(), it.fingerprint.as_deref()));
        let tasks = self.tasks.iter().map(|it| (it.task.as_str(), it.fingerprint.as_deref()));
        settings.chain(tasks).map(|(what, print)| (self.dag.as_str(), what, print))
    }
}

/// A plan with its schedules; the digest covers them too.
#[must_use]
pub fn with(plan: Plan, schedules: Option<Schedules>) -> Plan {
    let Some(schedules) = schedules else { return plan };
    if schedules.is_empty() {
        return Plan { schedules: Some(schedules), ..plan };
    }
    let covered: Vec<_> =
        schedules.dags.iter().map(|it| json!([it.dag, it.scope, it.fingerprint])).collect();
    let hash = Sha256::digest(json!([plan.digest, schedules.location, covered]).to_string());
    Plan { digest: format!("sha256:{}", hex_of(&hash)), schedules: Some(schedules), ..plan }
}

/// The parts of schedules that approved plans have and that would be published in the same place.
fn seen<'a>(approved: &[&'a Plan], now: &Schedules) -> BTreeSet<Part<'a>> {
    let schedules = approved.iter().filter_map(|it| it.schedules.as_ref());
    let beside = schedules.filter(|it| it.is_beside(now));
    beside.flat_map(|it| it.dags.iter().flat_map(DagChange::parts)).collect()
}

/// The changes of schedules that no approved plan has, a sentence part each.
pub fn unseen(approved: &[&Plan], now: &Plan) -> Vec<String> {
    let Some(schedules) = &now.schedules else { return Vec::new() };
    let seen = seen(approved, schedules);
    let parts = schedules.dags.iter().flat_map(DagChange::parts);
    parts.filter(|it| !seen.contains(it)).map(|it| format!("{} of {}", it.1, it.0)).collect()
}

/// Whether a plan publishes something that an approved one was approved to publish.
pub(super) fn share(approved: &Plan, now: &Plan) -> bool {
    let Some(schedules) = &now.schedules else { return false };
    let seen = seen(&[approved], schedules);
    schedules.dags.iter().flat_map(DagChange::parts).any(|it| seen.contains(&it))
}

/// What differs between the schedules of two plans, a line each.
pub(super) fn difference(approved: &Plan, now: &Plan) -> Vec<String> {
    let none = Schedules::default();
    let sides = [approved, now].map(|it| it.schedules.as_ref().unwrap_or(&none));
    let [before, after] = sides.map(|it| {
        it.dags.iter().map(|dag| (dag.dag.as_str(), dag)).collect::<BTreeMap<&str, &DagChange>>()
    });
    let mut lines = Vec::new();
    if sides.iter().all(|it| !it.is_empty()) && !sides[0].is_beside(sides[1]) {
        let [old, new] = sides.map(|it| &it.location);
        lines.push(format!("~ schedules: published in: {old} -> {new}"));
    }
    for (id, dag) in &before {
        match after.get(id) {
            None => lines.push(format!("- DAG {id}: no longer to be published")),
            Some(now) => lines.extend(differing(dag, now)),
        }
    }
    for (id, dag) in after.iter().filter(|it| !before.contains_key(it.0)) {
        lines.push(format!("+ DAG {id}: {}", told(dag)));
    }
    lines
}

/// How many parts of a DAG are named one by one.
const NAMED: usize = 3;

/// What happens to a DAG, in a few words.
fn told(dag: &DagChange) -> String {
    let tasks = |number: usize| match number {
        1 => "1 task".to_owned(),
        number => format!("{number} tasks"),
    };
    match dag.kind {
        Kind::Added => format!("added, {}", tasks(dag.tasks_after)),
        Kind::Removed => format!("removed, {}", tasks(dag.tasks_before)),
        Kind::Modified | Kind::VersionBump | Kind::Renamed => {
            let parts: Vec<&str> = dag.parts().map(|it| it.1).collect();
            let more = parts.len().saturating_sub(NAMED);
            let few = parts.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("changed: {few}{more}")
        }
    }
}

/// What differs between two changes of one DAG.
fn differing(before: &DagChange, after: &DagChange) -> Vec<String> {
    let parts = |of: &DagChange| -> BTreeMap<String, Option<String>> {
        of.parts().map(|it| (it.1.to_owned(), it.2.map(str::to_owned))).collect()
    };
    let (old, new) = (parts(before), parts(after));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let line = |name: &&String| {
        let (sign, what) = match (old.get(*name), new.get(*name)) {
            (Some(_), None) => ("-", "as it is published"),
            (None, Some(_)) => ("+", "changed too"),
            (Some(Some(_)), Some(None)) => ("~", "removed now"),
            (before, after) if before != after => ("~", "changed to something else"),
            _ => return None,
        };
        Some(format!("{sign} DAG {}: {name}: {what}", after.dag))
    };
    names.iter().filter_map(line).collect()
}
