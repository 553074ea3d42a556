//! `chronon-plan.toml`: what an env is, how its jobs are called, what CI does, and which policies
//! a plan must meet.
//!
//! # Why
//! Every setting is a row of a table that reading, the docs and the messages share. A mistake is
//! never half understood: all of them are reported at once, each with its line, and an unknown
//! name with the nearest known one.

mod airflow;
pub mod dags;
mod policies;
mod read;
mod table;
mod takes;

pub use airflow::Airflow;
pub use airflow::Api;
pub use airflow::Auth;
pub use dags::Cluster;
pub use dags::Dags;
pub use dags::Team;
pub use read::read;
pub use table::ARGUMENT_PLACES;
pub use table::ARGUMENTS;
pub use table::Argument;
pub use table::Item;
pub use table::SETTINGS;
pub use table::Setting;
pub use table::Takes;
pub use takes::nearest;

use std::collections::BTreeMap;

use crate::model::day::Day;
use crate::model::name::Dialect;
use crate::plan::modes::Mode;
use crate::plan::policy::Policy;
use dags::ClusterSettings;

/// The file's name, at the top of the repository.
pub const FILE: &str = "chronon-plan.toml";

/// A mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The setting, where it is one.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// An argument's value and for whom it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    team: Option<String>,
    mode: Option<String>,
    name: String,
    values: Vec<String>,
}

/// The settings of one env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvSettings {
    /// The compiled root, where it is named.
    pub root: Option<String>,
    /// The dialect, where it is named.
    pub dialect: Option<Dialect>,
    /// The CLI, where it is named.
    pub program: Option<Vec<String>>,
    /// Whether an apply runs consistency jobs.
    pub applies_consistency: bool,
    /// The command that loads an upload into the KV store.
    pub kv_upload: Option<Vec<String>>,
    /// Where backfills start that no config gives a start.
    pub backfill_start: Option<Day>,
    /// How many days one job of a backfill computes at most.
    pub chunk_days: Option<u32>,
    /// Where the ledger is kept, where it is named.
    pub state: Option<String>,
    /// After how many seconds without a sign of life a lock may be taken over.
    pub lock_ttl: Option<u32>,
    /// How many jobs of an apply run at once.
    pub parallelism: Option<u32>,
    /// How many seconds to wait before the first new attempt.
    pub retry_delay: Option<u32>,
    /// The command that archives a table, its placeholders not filled in.
    pub archive: Option<Vec<String>>,
    /// Whether the CLI is of version 1.0.12 or older, which takes the config by `--conf`.
    pub legacy_cli: bool,
    /// Whether jobs are commands of one's own.
    pub own_commands: bool,
    /// How Airflow runs the jobs, where it does.
    pub airflow: Airflow,
    /// The command that looks for a job of an earlier run.
    pub find: Option<Vec<String>>,
    /// Its schedules.
    pub dags: Dags,
    command: Option<Vec<String>>,
    modes: BTreeMap<String, ModeSettings>,
    cluster: ClusterSettings,
    given: Vec<Given>,
}

/// What is set for one mode of an env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ModeSettings {
    command: Option<Vec<String>>,
    timeout: Option<u32>,
    retries: Option<u32>,
    cluster: ClusterSettings,
}

impl EnvSettings {
    /// How many minutes a job of this mode may take.
    pub fn timeout(&self, mode: &Mode) -> u32 {
        self.modes.get(mode.name).and_then(|it| it.timeout).unwrap_or(mode.timeout)
    }

    /// How often a job of this mode is tried again that failed.
    pub fn retries(&self, mode: &Mode) -> u32 {
        self.modes.get(mode.name).and_then(|it| it.retries).unwrap_or(mode.retries)
    }

    /// The command of one's own for this mode, its placeholders not yet filled in.
    pub fn command(&self, mode: &str) -> Option<&[String]> {
        let own = self.modes.get(mode).and_then(|it| it.command.as_deref());
        own.or(self.command.as_deref())
    }

    /// The cluster of its own that a scheduled job of this mode gets; none where it runs on a
    /// standing one.
    pub fn cluster(&self, mode: &Mode) -> Option<Cluster> {
        let own = self.modes.get(mode.name).map(|it| it.cluster.clone()).unwrap_or_default();
        own.cluster(&self.cluster, mode, self.dags.ephemeral)
    }

    /// What one setting needs of another and is not there, and what only one of all envs may have:
    /// each as the setting, and the sentence.
    fn wrong(&self, name: &str, all: &BTreeMap<String, Self>) -> Vec<Wrong> {
        let homeless = self.airflow.runs && self.dags.place.is_none();
        let what = || {
            let what = "no `airflow.dags`: Airflow runs the files that are published there";
            (&["runner"][..], what.to_owned())
        };
        let clash = all.iter().take_while(|it| it.0 != name).find_map(|it| self.clash(it.0, it.1));
        let mistakes = [homeless.then(what), self.dags.wrong(), self.airflow.wrong(), clash];
        mistakes.into_iter().flatten().collect()
    }

    /// What of the DAGs of two envs would be one. A folder and a loopback address may be another one on
    /// each machine: where they are the same, it is found out when something is published.
    fn clash(&self, name: &str, other: &Self) -> Option<Wrong> {
        let (ours, theirs) = (self.dags.place.as_ref()?, other.dags.place.as_ref()?);
        let same_airflow = self.airflow.site().is_some_and(|it| other.airflow.site() == Some(it));
        let what = if ours.starts_with("gs://")
            && ours.trim_end_matches('/') == theirs.trim_end_matches('/')
        {
            format!("env `{name}` publishes there too: its DAGs would be lost")
        } else if same_airflow && self.airflow.prefix() == other.airflow.prefix() {
            format!(
                "env `{name}` has DAGs of the same names in the same Airflow: set another `airflow.prefix`"
            )
        } else {
            return None;
        };
        Some((&["airflow", "dags"], what))
    }

    fn keep_of_mode(&mut self, mode: &str, name: &str, values: &[String]) -> bool {
        let of = self.modes.entry(mode.to_owned()).or_default();
        let number = values.first().and_then(|it| it.parse().ok());
        match name {
            "command" => of.command = Some(values.to_vec()),
            "timeout" => of.timeout = number,
            "retries" => of.retries = number,
            _ => return false,
        }
        true
    }

    /// The values of an argument for a job: the most specific place wins.
    pub fn argument(&self, name: &str, team: Option<&str>, mode: &str) -> &[String] {
        let fits = |given: &&Given| {
            let team = given.team.is_none() || given.team.as_deref() == team;
            let mode = given.mode.as_deref().is_none_or(|it| it == mode);
            given.name == name && team && mode
        };
        let rank = |given: &&Given| (given.team.is_some(), given.mode.is_some());
        self.given.iter().filter(fits).max_by_key(rank).map_or(&[], |given| &given.values)
    }
}

/// A setting of an env, and what is wrong with it.
type Wrong = (&'static [&'static str], String);

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The env that is meant when none is named.
    pub default_env: Option<String>,
    /// Every env by name.
    pub envs: BTreeMap<String, EnvSettings>,
    /// What CI does.
    pub ci: Ci,
    /// The policies, by name.
    pub policies: Vec<Policy>,
    /// What is set of teams, by name; `default` holds for all.
    pub teams: BTreeMap<String, Team>,
}

/// What CI does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ci {
    /// The envs that it looks after; empty for all.
    pub envs: Vec<String>,
    /// What becomes of a push to the default branch that belongs to no pull request.
    pub direct_push: DirectPush,
    /// Whether a plan is applied that asks for strictly less than the approved one.
    pub applies_smaller: bool,
    /// The labels that it puts on pull requests and takes off.
    pub labels: Labels,
}

/// What becomes of a push to the default branch that belongs to no pull request, the strictest
/// first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectPush {
    /// Nobody approved it, so nothing is applied.
    #[default]
    Refuse,
    /// It is planned, and the plan is reported.
    Plan,
    /// It is applied.
    Apply,
}

/// The labels that CI puts on pull requests and takes off; none where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Of those whose plan has steps.
    pub jobs: Option<String>,
    /// Of those that break online clients.
    pub breaking: Option<String>,
    /// Of those that rewrite history.
    pub history: Option<String>,
}
