//! What people should know of the waits of a task: those that are in vain, and those that lack.

use super::cron;
use super::jobs::Placed;
use super::spec::Work;
use super::waits::Wait;
use super::waits::Waits;
use crate::model::catalog::Config;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::plan::settings::dags::Sensor;

/// A sentence for each; `timed` are the tables that a task reads and nothing can wait for.
pub(super) fn of_waits(
    waits: &Waits<'_>,
    placed: &Placed,
    config: &Config,
    found: &[Wait],
    timed: &[String],
) -> Vec<String> {
    let address = &config.address;
    let mut notes = Vec::new();
    if address.kind == ConfigType::StagingQuery && found.is_empty() && timed.is_empty() {
        notes.push(format!(
            "{address} waits for nothing: it declares none of the tables that its query reads"
        ));
    }
    for table in timed {
        notes.push(format!("nothing waits for {table}: it is cut by a column of times, and has no partitions to look for"));
    }
    for wait in found {
        let Wait::Sensor(_, work) = wait else { continue };
        match &**work {
            Work::External { schedule, task, .. }
                if !cron::is_of_every_day(schedule) && *schedule != placed.cron =>
            {
                let when = cron::shown(schedule);
                notes.push(format!("{address} waits for {task}, which does not run every day (`{when}`): its team's `wait_hours` must be long enough for that"));
            }
            Work::Partition { table, .. } => {
                let idle = |at: &usize| waits.places.find(*at, "backfill").is_none();
                if let Some(at) = waits.lineage.producer(table).filter(idle) {
                    let writer = &waits.catalog.configs[at].address;
                    notes.push(format!(
                        "{address} waits for {table}, which {writer} writes and no DAG runs"
                    ));
                }
                if waits.catalog.dialect == Dialect::Oss && waits.sensor == Sensor::Metastore {
                    notes.push("partitions are not found: the CLI of dialect oss has no `check-partitions` (setting `env.*.airflow.sensor`)".to_owned());
                }
            }
            _ => {}
        }
    }
    notes
}
