//! What a job is in Airflow: which DAG, which run, and what the run is told.
//!
//! # Why
//! The command of a job is not sent: it stands in the published files of the commit, so that nobody
//! who may trigger a DAG can run anything else. What is sent fills it in.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::apply::runner::Job;
use crate::apply::surroundings::option;
use crate::model::day::Day;

/// TABLE of DAGs that do one kind of job: mode, type of config, and the end of the DAG's name.
const DAGS: [(&str, &str, &str); 3] = [
    ("backfill", "group_bys", "gb_backfill"),
    ("backfill", "joins", "join_backfill"),
    ("backfill", "staging_queries", "staging_query_backfill"),
];

/// The end of the name of the DAG for all other jobs.
const OTHERS: &str = "job";

/// TABLE of what is read from a command: its option, and what the run's conf calls it.
const DATES: [(&str, &str); 3] =
    [("--start-ds", "start_ds"), ("--end-ds", "end_ds"), ("--ds", "ds")];

/// The DAG that does a job.
pub(super) fn dag(prefix: &str, job: &Job) -> String {
    let kind = job.step.split('/').next().unwrap_or_default();
    let row = DAGS.iter().find(|row| row.0 == job.mode && row.1 == kind);
    format!("{prefix}_{}", row.map_or(OTHERS, |row| row.2))
}

/// The name of the run that does a job: the same for the same submission, and for no other.
pub(super) fn run(operation: &str) -> String {
    format!("chronon-plan__{operation}")
}

/// How long a run may take: that of a job is the time of each chunk, and they may run in order.
pub(super) fn patience(job: &Job) -> Duration {
    let day = |name: &str| option(&job.argv, name)?.parse::<Day>().ok();
    let range = day("--start-ds").zip(day("--end-ds")).zip(job.chunk_days);
    let chunks = range.map_or(1, |((start, end), days)| {
        let all = u32::try_from(start.days_through(end)).unwrap_or(1);
        all.div_ceil(days.max(1)).max(1)
    });
    job.timeout.saturating_mul(chunks)
}

/// What the run is told.
pub(super) fn of(job: &Job, files: Option<&str>) -> Map<String, Value> {
    let mut conf = Map::new();
    let mut put = |name: &str, value: Value| drop(conf.insert(name.to_owned(), value));
    put("conf", job.path.as_str().into());
    put("mode", job.mode.as_str().into());
    for (name, called) in DATES {
        if let Some(day) = option(&job.argv, name) {
            put(called, day.into());
        }
    }
    let ranged = option(&job.argv, "--start-ds").is_some();
    if let Some(days) = job.chunk_days.filter(|_| ranged) {
        put("chunk_days", days.into());
    }
    if let Some(files) = files {
        put("files", files.into());
        // Its command may differ from the usual one: it stands in that index.
        put("step", job.step.as_str().into());
    }
    conf
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(step: &str, mode: &str, argv: &[&str], chunk_days: Option<u32>) -> Job {
        Job {
            step: format!("{step}#{mode}"),
            mode: mode.to_owned(),
            argv: argv.iter().map(|it| (*it).to_owned()).collect(),
            path: "compiled/x/a/b".to_owned(),
            name: "a.b".to_owned(),
            operation: "0f".to_owned(),
            folder: "/f".into(),
            log: "/l".into(),
            secrets: Vec::new(),
            timeout: Duration::from_secs(1),
            chunk_days,
            may_be_running: false,
        }
    }

    #[test]
    fn every_job_has_its_dag_and_is_told_its_dates() {
        let range = ["zipline", "run", "--start-ds=2026-01-01", "--end-ds=2026-03-01"];
        let both = json!({"start_ds": "2026-01-01", "end_ds": "2026-03-01", "chunk_days": 30});
        let table = [
            ("group_bys/a.b", "backfill", &range[..], "x_gb_backfill", both.clone()),
            ("joins/a.b", "backfill", &range[..], "x_join_backfill", both.clone()),
            ("staging_queries/a.b", "backfill", &range[..], "x_staging_query_backfill", both),
            (
                "group_bys/a.b",
                "upload",
                &["z", "--ds=2026-03-01"][..],
                "x_job",
                json!({"ds": "2026-03-01"}),
            ),
            ("joins/a.b", "metadata-upload", &["z"][..], "x_job", json!({})),
            ("group_bys/a.b", "streaming", &["z", "--no-savepoint"][..], "x_job", json!({})),
        ];
        for (step, mode, argv, expected, mut more) in table {
            let job = job(step, mode, argv, Some(30));
            assert_eq!(dag("x", &job), expected);
            more["conf"] = "compiled/x/a/b".into();
            more["mode"] = mode.into();
            assert_eq!(Value::from(of(&job, None)), more, "{step}");
            more["files"] = "d".into();
            more["step"] = job.step.as_str().into();
            assert_eq!(Value::from(of(&job, Some("d"))), more, "{step}");
        }
    }

    #[test]
    fn a_run_may_take_as_long_as_its_chunks_one_after_the_other() {
        let range = ["z", "--start-ds=2026-01-01", "--end-ds=2026-03-01"];
        let table = [
            (&range[..], None, 1),
            (&range[..], Some(30), 2),
            (&range[..], Some(29), 3),
            (&range[..], Some(90), 1),
            (&["z", "--ds=2026-03-01"][..], Some(1), 1),
            (&["z", "--end-ds=2026-03-01"][..], Some(1), 1),
        ];
        for (argv, chunk_days, seconds) in table {
            let job = job("group_bys/a.b", "backfill", argv, chunk_days);
            assert_eq!(patience(&job).as_secs(), seconds, "{argv:?} {chunk_days:?}");
        }
    }
}
