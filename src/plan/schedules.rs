//! What a plan says of schedules: the DAGs that an apply would publish, and what differs.

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
    /// How many tasks it had.
    pub tasks_before: usize,
    /// How many tasks it has.
    pub tasks_after: usize,
    /// What differs of the DAG as a whole, in a word each.
    pub settings: Vec<String>,
    /// The tasks that differ, sorted.
    pub tasks: Vec<TaskChange>,
    /// A hash of the DAG as it will be; null where it goes.
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
    /// A hash of the task as it will be; null where it goes.
    pub fingerprint: Option<String>,
}

impl Schedules {
    /// Whether nothing would be published.
    pub fn is_empty(&self) -> bool {
        self.dags.is_empty()
    }

    /// Every change, as what an approval can be held against: of a DAG that nobody has seen as it
    /// will be, each task counts by itself.
    fn parts(&self) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        self.dags.iter().flat_map(|dag| {
            let tasks = dag.tasks.iter();
            let tasks =
                tasks.map(|it| (dag.dag.as_str(), it.task.as_str(), it.fingerprint.as_deref()));
            let settings = dag.settings.iter().map(|it| (dag.dag.as_str(), it.as_str(), None));
            tasks.chain(settings)
        })
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
    let hash = Sha256::digest(json!([plan.digest, covered]).to_string());
    Plan { digest: format!("sha256:{}", hex_of(&hash)), schedules: Some(schedules), ..plan }
}

/// The changes of schedules that no approved plan has, a sentence part each.
pub fn unseen(approved: &[&Plan], now: &Plan) -> Vec<String> {
    let seen: std::collections::BTreeSet<_> =
        approved.iter().filter_map(|it| it.schedules.as_ref()).flat_map(Schedules::parts).collect();
    let parts = now.schedules.iter().flat_map(Schedules::parts);
    parts.filter(|it| !seen.contains(it)).map(|it| format!("{} of {}", it.1, it.0)).collect()
}
