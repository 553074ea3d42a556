//! What the settings say of schedules: where they are published, what waits and runs how, and who
//! owns what.

use super::takes::nearest;
use crate::model::day::Day;
use crate::plan::modes::Mode;

/// The schedules of one env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dags {
    /// Where they are published, where they are: `gs://BUCKET/PREFIX` or a folder.
    pub place: Option<String>,
    /// How partitions are waited for, where that is said.
    pub sensor: Option<Sensor>,
    /// Where a Delta table lies; `{namespace}` and `{table}` are filled in.
    pub delta_path: Option<String>,
    /// The command that says whether a partition is there.
    pub sensor_command: Option<Vec<String>>,
    /// The Airflow connection of the Hive metastore.
    pub hive_connection: Option<String>,
    /// The command that prints consistency metrics.
    pub publish_metrics: Option<Vec<String>>,
    /// After how many failed days in a row a config is paused.
    pub breaker_days: Option<u32>,
    /// Whether jobs run on clusters of their own.
    pub ephemeral: bool,
}

/// How partitions are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensor {
    /// By the CLI's own check.
    Metastore,
    /// By the log of a Delta table.
    Delta,
    /// By the Hive metastore.
    Hive,
    /// By a command of one's own.
    Command,
}

/// Every way to wait, as settings spell it.
pub const SENSORS: [(Sensor, &str); 4] = [
    (Sensor::Metastore, "metastore"),
    (Sensor::Delta, "delta"),
    (Sensor::Hive, "hive"),
    (Sensor::Command, "command"),
];

/// How a cluster of one's own for one job is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// How many workers it has.
    pub workers: u32,
    /// Their type of machine.
    pub machine: String,
    /// The image.
    pub image: String,
    /// How many spot workers it has beside them.
    pub secondary_workers: u32,
    /// A policy that makes it grow and shrink.
    pub autoscaling_policy: Option<String>,
}

/// What is set of the cluster of a mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClusterSettings {
    ephemeral: Option<bool>,
    workers: Option<u32>,
    machine: Option<String>,
    image: Option<String>,
    secondary_workers: Option<u32>,
    autoscaling_policy: Option<String>,
}

/// Modes whose jobs move much data.
const LARGE: [&str; 2] = ["backfill", "upload"];

impl ClusterSettings {
    pub(super) fn keep(&mut self, path: &[&str], values: &[String]) {
        let first = values.first().cloned();
        let number = first.as_ref().and_then(|it| it.parse().ok());
        match path {
            ["compute"] => self.ephemeral = first.map(|it| it == "ephemeral"),
            ["cluster", "workers"] => self.workers = number,
            ["cluster", "machine"] => self.machine = first,
            ["cluster", "image"] => self.image = first,
            ["cluster", "secondary_workers"] => self.secondary_workers = number,
            ["cluster", "autoscaling_policy"] => self.autoscaling_policy = first,
            _ => {}
        }
    }

    /// The cluster of a job of this mode; none where it runs on a standing one.
    pub(super) fn cluster(&self, usual: &Self, mode: &Mode, ephemeral: bool) -> Option<Cluster> {
        // A stream outlives any cluster of one job.
        if mode.name == "streaming" || !self.ephemeral.unwrap_or(ephemeral) {
            return None;
        }
        let large = LARGE.contains(&mode.name);
        let (workers, machine) = if large { (5, "n2-highmem-4") } else { (2, "n2-standard-4") };
        let word = |own: &Option<String>, all: &Option<String>| own.clone().or_else(|| all.clone());
        Some(Cluster {
            workers: self.workers.or(usual.workers).unwrap_or(workers),
            machine: word(&self.machine, &usual.machine).unwrap_or_else(|| machine.to_owned()),
            image: word(&self.image, &usual.image).unwrap_or_else(|| "2.1-debian11".to_owned()),
            secondary_workers: self.secondary_workers.or(usual.secondary_workers).unwrap_or(0),
            autoscaling_policy: word(&self.autoscaling_policy, &usual.autoscaling_policy),
        })
    }
}

impl Dags {
    pub(super) fn keep(&mut self, name: &str, values: Vec<String>) {
        let first = values.first().cloned();
        match name {
            "dags" => self.place = first,
            "sensor" => {
                let named = |row: &&(Sensor, &str)| Some(row.1) == first.as_deref();
                self.sensor = SENSORS.iter().find(named).map(|row| row.0);
            }
            "delta_path" => self.delta_path = first,
            "sensor_command" => self.sensor_command = Some(values),
            "hive_connection" => self.hive_connection = first,
            "publish_metrics" => self.publish_metrics = Some(values),
            "breaker_days" => self.breaker_days = first.and_then(|it| it.parse().ok()),
            "compute" => self.ephemeral = first.as_deref() == Some("ephemeral"),
            _ => {}
        }
    }

    /// What a way to wait needs and is not there.
    pub(super) fn wrong(&self) -> Option<(&'static [&'static str], String)> {
        let lacks = |setting: &str, why: &str| format!("no `{setting}`: {why}");
        const SENSOR: &[&str] = &["airflow", "sensor"];
        match self.sensor {
            Some(Sensor::Delta) if self.delta_path.is_none() => {
                Some((SENSOR, lacks("delta_path", "it says where the tables lie")))
            }
            Some(Sensor::Command) if self.sensor_command.is_none() => {
                Some((SENSOR, lacks("sensor_command", "it says whether a partition is there")))
            }
            _ => None,
        }
    }
}

/// What a team's DAGs are run with; what is open is decided by `[team.default]`, then by a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    /// Who is shown as the owner.
    pub owner: Option<String>,
    /// Who gets mail.
    pub emails: Vec<String>,
    /// The queue of its tasks.
    pub queue: Option<String>,
    /// The pool of its tasks.
    pub pool: Option<String>,
    /// How many slots that pool has.
    pub pool_slots: Option<u32>,
    /// Added to the priority of its tasks.
    pub priority: Option<u32>,
    /// How many tasks of one DAG run at once.
    pub concurrency: Option<u32>,
    /// From which day on every day is run, where days that were missed are made up for.
    pub start_date: Option<Day>,
    /// How often a task is tried again.
    pub retries: Option<u32>,
    /// How many minutes before the first new attempt.
    pub retry_minutes: Option<u32>,
    /// How many minutes between two looks at a partition.
    pub poke_minutes: Option<u32>,
    /// How many hours a partition is waited for.
    pub wait_hours: Option<u32>,
    /// The Bigtable instance of its jobs.
    pub bigtable_instance: Option<String>,
    /// The staging bucket of its clusters.
    pub staging_bucket: Option<String>,
    /// Who hears of failures.
    pub alerts: Vec<String>,
}

impl Team {
    pub(super) fn keep(&mut self, setting: &str, values: Vec<String>) {
        let first = values.first().cloned();
        let number = first.as_ref().and_then(|it| it.parse().ok());
        match setting {
            "owner" => self.owner = first,
            "emails" => self.emails = values,
            "queue" => self.queue = first,
            "pool" => self.pool = first,
            "pool_slots" => self.pool_slots = number,
            "priority" => self.priority = number,
            "concurrency" => self.concurrency = number,
            "start_date" => self.start_date = first.and_then(|it| it.parse().ok()),
            "retries" => self.retries = number,
            "retry_minutes" => self.retry_minutes = number,
            "poke_minutes" => self.poke_minutes = number,
            "wait_hours" => self.wait_hours = number,
            "bigtable_instance" => self.bigtable_instance = first,
            "staging_bucket" => self.staging_bucket = first,
            "alerts" => self.alerts = values,
            _ => {}
        }
    }

    /// With what is open taken from another.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let text = |own: &Option<String>, all: &Option<String>| own.clone().or_else(|| all.clone());
        let list = |own: &Vec<String>, all: &Vec<String>| {
            if own.is_empty() { all.clone() } else { own.clone() }
        };
        Self {
            owner: text(&self.owner, &other.owner),
            emails: list(&self.emails, &other.emails),
            queue: text(&self.queue, &other.queue),
            pool: text(&self.pool, &other.pool),
            pool_slots: self.pool_slots.or(other.pool_slots),
            priority: self.priority.or(other.priority),
            concurrency: self.concurrency.or(other.concurrency),
            start_date: self.start_date.or(other.start_date),
            retries: self.retries.or(other.retries),
            retry_minutes: self.retry_minutes.or(other.retry_minutes),
            poke_minutes: self.poke_minutes.or(other.poke_minutes),
            wait_hours: self.wait_hours.or(other.wait_hours),
            bigtable_instance: text(&self.bigtable_instance, &other.bigtable_instance),
            staging_bucket: text(&self.staging_bucket, &other.staging_bucket),
            alerts: list(&self.alerts, &other.alerts),
        }
    }
}

/// Where alerts go beside mail; each is followed by the name of an Airflow connection.
const CHANNELS: [&str; 3] = ["slack", "opsgenie", "pagerduty"];

/// What is wrong with a target of alerts, if anything.
pub(super) fn wrong_alert(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let Some((channel, connection)) = text.split_once(':') else {
        let near = nearest(text, CHANNELS.into_iter().chain(["email"]));
        return (text != "email").then(|| {
            format!("`{text}` is none of `email`, `slack:CONNECTION`, `opsgenie:CONNECTION`, `pagerduty:CONNECTION`{near}")
        });
    };
    if !CHANNELS.contains(&channel) {
        let near = nearest(channel, CHANNELS.into_iter());
        return Some(format!("there is no channel `{channel}`{near}"));
    }
    let named = !connection.is_empty() && connection.chars().all(fits);
    (!named).then(|| format!("`{connection}` is no name of an Airflow connection: the address and its key belong there, not here"))
}
