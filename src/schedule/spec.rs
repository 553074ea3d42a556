//! DAGs as plain values and as JSON: what a manifest says, and nothing that Airflow would have to
//! compute from configs.
//!
//! # Why
//! The loader that turns this into DAGs is one fixed file; everything that depends on a repository
//! stands here. So two commits are compared by comparing values, and what a reviewer approves is
//! what runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::model::day::Day;
use crate::model::name::Address;

/// The version of this form.
pub const FORMAT: u32 = 1;

/// Everything that the loader reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form.
    pub format: u32,
    /// `sha256:` and a hash of the rest.
    pub digest: String,
    /// The digest of the manifest into which DAGs of one job each were put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// The env.
    pub env: String,
    /// What wrote the configs: `zip` or `oss`.
    pub dialect: String,
    /// The commit whose files the tasks run.
    pub commit: String,
    /// Names the index of that commit's files.
    pub files: String,
    /// Where ledger and run log are; null where no worker could read them.
    pub state: Option<String>,
    /// What tasks of each team are run with.
    pub teams: BTreeMap<String, Team>,
    /// How partitions are waited for.
    pub sensor: Sensor,
    /// The modes whose jobs get a cluster of their own.
    pub cluster: BTreeMap<String, Cluster>,
    /// The command that prints consistency metrics.
    pub publish_metrics: Option<Vec<String>>,
    /// After how many failed days in a row a config is paused.
    pub breaker_days: u32,
    /// The DAGs, by name.
    pub dags: BTreeMap<String, Dag>,
}

/// What tasks of a team are run with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// The owner that Airflow shows.
    pub owner: String,
    /// Who gets mail.
    pub emails: Vec<String>,
    /// The queue; null for Airflow's own.
    pub queue: Option<String>,
    /// The pool.
    pub pool: String,
    /// Added to the priority of each task.
    pub priority: u32,
    /// How many tasks of a DAG run at once.
    pub concurrency: u32,
    /// From which day on every day is run; null for the newest alone.
    #[schemars(with = "Option<String>")]
    pub start: Option<Day>,
    /// How often a failed task is tried again.
    pub retries: u32,
    /// How many minutes before the first new attempt.
    pub retry_minutes: u32,
    /// How many minutes between two looks for a partition.
    pub poke_minutes: u32,
    /// How many hours a partition is waited for.
    pub wait_hours: u32,
    /// The Bigtable instance of its jobs; null as the config says.
    pub bigtable_instance: Option<String>,
    /// The staging bucket of its clusters; null for Dataproc's own.
    pub staging_bucket: Option<String>,
    /// Who hears of failures.
    pub alerts: Vec<String>,
}

/// How partitions are waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Sensor {
    /// By the CLI's own check; each task has its command.
    Metastore,
    /// By the log of the table.
    Delta {
        /// Where a table lies, with `{namespace}` and `{table}`.
        path: String,
    },
    /// By the Hive metastore.
    Hive {
        /// The Airflow connection.
        connection: String,
    },
    /// By a command.
    Command {
        /// Its words, with `{table}` and `{partition}`.
        argv: Vec<String>,
    },
}

/// A Dataproc cluster for one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many workers.
    pub workers: u32,
    /// Their type of machine.
    pub machine: String,
    /// The image.
    pub image: String,
    /// How many spot workers.
    pub secondary_workers: u32,
    /// The autoscaling policy.
    pub autoscaling_policy: Option<String>,
}

/// What kind of DAG it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Runs jobs of a day.
    Batch,
    /// Keeps streams alive.
    Streaming,
    /// Uploads metadata that is not current.
    Metadata,
    /// Runs one job that somebody asks for.
    Bounded,
}

/// One DAG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dag {
    /// What kind it is.
    pub kind: Kind,
    /// The team; null for those of all.
    pub team: Option<String>,
    /// When it runs, as a cron of five fields in UTC; null where somebody asks.
    pub schedule: Option<String>,
    /// How many of its tasks run at once.
    pub concurrency: u32,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its tasks, by name.
    pub tasks: BTreeMap<String, Task>,
    /// The configs whose metadata it uploads; of kind `metadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, Metadata>,
    /// The modes that may be asked for; of kind `bounded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<String>,
    /// The types of config; of kind `bounded`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// How many chunks run at once; of kind `bounded`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parallel: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// The tasks of the DAG that must be done before, sorted.
    pub after: Vec<String>,
    /// How much sooner than others it runs.
    pub priority: u32,
    /// What it does.
    #[serde(flatten)]
    pub work: Work,
}

/// How a table is cut into partitions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// How values of the partition column are written, as Java spells it.
    pub format: String,
    /// How many minutes a partition covers.
    pub minutes: i64,
    /// How many minutes after midnight UTC the first partition of a day begins.
    #[serde(default, skip_serializing_if = "is_none")]
    pub shift: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
fn is_none(number: &i64) -> bool {
    *number == 0
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// Runs a job.
    Job {
        /// The config.
        #[schemars(with = "String")]
        config: Address,
        /// Its file.
        conf: String,
        /// What the file holds, as git names it.
        blob: String,
        /// The mode.
        mode: String,
        /// The command; `{ds}`, `{start_ds}`, `{end_ds}` and `{operation}` are filled in.
        argv: Vec<String>,
        /// How its output is cut.
        grid: Grid,
        /// How many minutes it may take.
        minutes: u32,
        /// What proves that it is done: the words of the CLI, or the exit code alone.
        proof: Proof,
    },
    /// Sees to it that a stream runs.
    KeepAlive {
        /// The config.
        #[schemars(with = "String")]
        config: Address,
        /// Its file.
        conf: String,
        /// What the file holds, as git names it.
        blob: String,
        /// The mode.
        mode: String,
        /// The command that looks whether it runs; empty where the deploy looks itself.
        check: Vec<String>,
        /// The command that deploys it.
        argv: Vec<String>,
        /// How many minutes that may take.
        minutes: u32,
    },
    /// Waits for a partition of a table that no config writes.
    Partition {
        /// The table.
        table: String,
        /// Its partition column.
        column: String,
        /// How it is cut.
        grid: Grid,
        /// How many minutes before its own end the waiting job stops reading.
        lag: i64,
        /// Partitions below that of the day.
        below: Vec<String>,
        /// The first partition that is read.
        first: Option<String>,
        /// The last partition that there will ever be.
        last: Option<String>,
        /// How the output of the waiting job is cut.
        of: Grid,
        /// A file for the command.
        conf: String,
        /// The command, with sensor `metastore`; `{partitions}` is filled in.
        argv: Vec<String>,
    },
    /// Waits for a task of another DAG, or of another day; for what it writes where its DAG never
    /// made that run, or where it failed or was skipped.
    External {
        /// The DAG.
        dag: String,
        /// The task.
        task: String,
        /// When that DAG runs.
        schedule: String,
        /// The table that it writes.
        table: String,
        /// Its partition column.
        column: String,
        /// Partitions below that of the day.
        below: Vec<String>,
        /// How it is cut.
        grid: Grid,
        /// How many minutes before its own end the waiting job stops reading.
        lag: i64,
        /// The first partition that is read.
        first: Option<String>,
        /// The last partition that there will ever be.
        last: Option<String>,
        /// How the output of the waiting job is cut.
        of: Grid,
        /// A file for the command.
        conf: String,
        /// The command that looks for a partition, with sensor `metastore`.
        argv: Vec<String>,
    },
    /// Publishes consistency metrics.
    Publish {
        /// The config.
        #[schemars(with = "String")]
        config: Address,
        /// Its file.
        conf: String,
        /// The table that holds them.
        table: String,
        /// How it is cut.
        grid: Grid,
    },
}

/// What proves that a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// What the CLI says, beside exit code 0.
    Cli,
    /// Exit code 0: the command promises it.
    Exit,
}

/// A config whose metadata is kept current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its file.
    pub conf: String,
    /// The command.
    pub argv: Vec<String>,
    /// What the file holds, as git names it: the ledger must say that it was applied.
    pub blob: String,
    /// The team.
    pub team: String,
    /// How many minutes it may take.
    pub minutes: u32,
    /// What proves that it is done.
    pub proof: Proof,
}

/// The files of one commit, and what may be run by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The version of this form.
    pub format: u32,
    /// Names the pack that holds the files.
    pub pack: String,
    /// The commit.
    pub commit: String,
    /// What wrote the configs.
    pub dialect: String,
    /// Where each file lies in the pack.
    pub files: BTreeMap<String, Place>,
    /// Files that every job finds beside its own.
    pub shared: Vec<String>,
    /// The jobs of each config, by its file.
    pub jobs: BTreeMap<String, Jobs>,
    /// The commands of the steps of one plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, Vec<String>>,
}

/// Where a file lies in a pack: first byte, length, the hash of what is inflated, and whether it
/// can be started.
pub type Place = (u64, u64, String, bool);

/// The jobs of one config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// The config.
    #[schemars(with = "String")]
    pub config: Address,
    /// The team.
    pub team: String,
    /// How its output is cut.
    pub grid: Grid,
    /// The command of each mode.
    pub modes: BTreeMap<String, Vec<String>>,
    /// How many minutes each mode may take.
    pub minutes: BTreeMap<String, u32>,
    /// What proves that its jobs are done.
    pub proof: Proof,
}
