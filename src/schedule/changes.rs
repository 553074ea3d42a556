//! Two manifests to what differs: DAGs, and the tasks of each.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::spec::Dag;
use super::spec::Manifest;
use super::spec::Task;
use super::spec::Work;
use crate::model::name::Address;
use crate::model::name::hex_of;
use crate::plan::contract::Kind;
use crate::plan::contract::Scope;
use crate::plan::schedules::DagChange;
use crate::plan::schedules::Schedules;
use crate::plan::schedules::SettingChange;
use crate::plan::schedules::TaskChange;

/// Words for the keys of a task; those that are not here are its settings.
const WORDS: [(&str, &str); 6] = [
    ("after", "waits"),
    ("argv", "command"),
    ("blob", "content"),
    ("check", "command"),
    ("conf", "command"),
    ("priority", "priority"),
];

/// What would be published. `applied` is what is published, `base` what the base commit asks for.
pub fn change(
    applied: Option<&Manifest>,
    base: Option<&Manifest>,
    head: &Manifest,
    location: &str,
    notes: &[(String, String)],
) -> Schedules {
    let (before, base, after) = (whole(applied), whole(base), whole(Some(head)));
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut schedules = Schedules { location: location.to_owned(), ..Schedules::default() };
    for id in ids {
        let (old, new) = (before.get(id), after.get(id));
        if old == new {
            schedules.unchanged += 1;
            continue;
        }
        let scope = if base.get(id) == new { Scope::Pending } else { Scope::Change };
        schedules.dags.push(dag(id, scope, old, new));
    }
    let changed: BTreeSet<&str> = schedules.dags.iter().map(|it| it.dag.as_str()).collect();
    let whole = |it: &&(String, String)| it.0.is_empty() && !changed.is_empty();
    let told = notes.iter().filter(|it| whole(it) || changed.contains(it.0.as_str()));
    schedules.notes = told.map(note).collect();
    schedules
}

/// A note for people, behind the DAG that it is about; some are about all.
pub fn note((dag, what): &(String, String)) -> String {
    if dag.is_empty() { what.clone() } else { format!("{dag}: {what}") }
}

/// A hash of each DAG, as the ledger keeps it.
pub fn fingerprints(manifest: &Manifest) -> BTreeMap<String, String> {
    whole(Some(manifest)).iter().map(|(id, dag)| (id.clone(), dag.fingerprint())).collect()
}

/// A DAG with everything that the rest of the manifest says of it.
#[derive(PartialEq)]
struct Whole<'a> {
    dag: &'a Dag,
    /// By a word each.
    settings: BTreeMap<&'static str, Value>,
}

fn whole<'m>(manifest: Option<&'m Manifest>) -> BTreeMap<String, Whole<'m>> {
    let Some(manifest) = manifest else { return BTreeMap::new() };
    let of = |(id, dag): (&String, &'m Dag)| {
        (id.clone(), Whole { dag, settings: settings(manifest, dag) })
    };
    manifest.dags.iter().map(of).collect()
}

/// What differs of a DAG beside its tasks.
fn settings(manifest: &Manifest, dag: &Dag) -> BTreeMap<&'static str, Value> {
    let mut modes: BTreeSet<&str> = dag.modes.iter().map(String::as_str).collect();
    let (mut waits, mut publishes) = (false, false);
    for task in dag.tasks.values() {
        match &task.work {
            Work::Job { mode, .. } => drop(modes.insert(mode)),
            Work::Partition { .. } | Work::External { .. } => waits = true,
            Work::Publish { .. } => publishes = true,
            Work::KeepAlive { .. } => {}
        }
    }
    let team = dag.team.as_deref().unwrap_or(super::teams::ALL);
    let team = manifest.teams.get(team);
    let clusters: BTreeMap<_, _> =
        manifest.cluster.iter().filter(|it| modes.contains(it.0.as_str())).collect();
    let rows = [
        ("schedule", json!(dag.schedule)),
        ("concurrency", json!(dag.concurrency)),
        ("tags", json!(dag.tags)),
        ("what may be asked for", json!([dag.modes, dag.types, dag.parallel])),
        ("team settings", json!(team)),
        ("sensor", if waits { json!(manifest.sensor) } else { Value::Null }),
        ("cluster", json!(clusters)),
        ("metrics command", if publishes { json!(manifest.publish_metrics) } else { Value::Null }),
        ("state location", json!(manifest.state)),
        ("days until a pause", json!(manifest.breaker_days)),
    ];
    rows.into_iter().collect()
}

impl Whole<'_> {
    fn fingerprint(&self) -> String {
        hash(&json!([self.dag, self.settings]))
    }
}

fn hash(value: &Value) -> String {
    hex_of(&Sha256::digest(value.to_string())[..16])
}

fn dag(id: &str, scope: Scope, old: Option<&Whole<'_>>, new: Option<&Whole<'_>>) -> DagChange {
    let kind = match (old, new) {
        (None, _) => Kind::Added,
        (_, None) => Kind::Removed,
        _ => Kind::Modified,
    };
    let settings = match (old, new) {
        (Some(old), Some(new)) => {
            let differs = new.settings.iter().filter(|it| old.settings.get(it.0) != Some(it.1));
            differs.map(|it| setting(it.0, Some(hash(it.1)))).collect()
        }
        // That a DAG without tasks comes or goes is a change too.
        _ => vec![setting("itself", new.map(|it| hash(&json!(it.settings))))],
    };
    let schedule = |of: Option<&Whole<'_>>| of.and_then(|it| it.dag.schedule.clone());
    let count =
        |of: Option<&Whole<'_>>| of.map_or(0, |it| it.dag.tasks.len() + it.dag.configs.len());
    DagChange {
        dag: id.to_owned(),
        kind,
        scope,
        schedule_before: schedule(old),
        schedule_after: schedule(new),
        tasks_before: count(old),
        tasks_after: count(new),
        settings,
        tasks: tasks(old.map(|it| it.dag), new.map(|it| it.dag)),
        fingerprint: new.map(Whole::fingerprint),
    }
}

fn setting(name: &str, fingerprint: Option<String>) -> SettingChange {
    SettingChange { setting: name.to_owned(), fingerprint }
}

/// What a DAG does, by a name each: its tasks, or the configs that it uploads.
fn work(dag: Option<&Dag>) -> BTreeMap<&str, (Option<Address>, Value)> {
    let Some(dag) = dag else { return BTreeMap::new() };
    let task = |it: (&'_ String, &Task)| (config(&it.1.work), json!(it.1));
    let tasks = dag.tasks.iter().map(|it| (it.0.as_str(), task(it)));
    let configs = dag.configs.iter().map(|it| (it.0.as_str(), (it.0.parse().ok(), json!(it.1))));
    tasks.chain(configs).collect()
}

fn tasks(old: Option<&Dag>, new: Option<&Dag>) -> Vec<TaskChange> {
    let (old, new) = (work(old), work(new));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let mut changes = Vec::new();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let (kind, of) = match (before, after) {
            (None, Some(after)) => (Kind::Added, after),
            (Some(before), None) => (Kind::Removed, before),
            (_, Some(after)) => (Kind::Modified, after),
            (None, None) => continue,
        };
        changes.push(TaskChange {
            task: name.to_owned(),
            kind,
            config: of.0.clone(),
            what: before.zip(after).map(|it| differing(&it.0.1, &it.1.1)).unwrap_or_default(),
            fingerprint: after.map(|it| what_it_does(&it.1)),
        });
    }
    changes
}

/// A hash of what a task does. Its turn among others is left out: that moves with every config
/// that comes to read the same, so that no two approvals would ever add up.
fn what_it_does(task: &Value) -> String {
    let mut task = task.clone();
    if let Some(task) = task.as_object_mut() {
        task.remove("priority");
    }
    hash(&task)
}

/// What differs of a task, in a word each.
fn differing(old: &Value, new: &Value) -> Vec<String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let word = |key: &String| WORDS.iter().find(|row| row.0 == key).map_or("settings", |row| row.1);
    let words: BTreeSet<&str> = differs.map(word).collect();
    words.into_iter().map(str::to_owned).collect()
}

fn config(work: &Work) -> Option<Address> {
    match work {
        Work::Job { config, .. }
        | Work::KeepAlive { config, .. }
        | Work::Publish { config, .. } => Some(config.clone()),
        Work::Partition { .. } | Work::External { .. } => None,
    }
}
