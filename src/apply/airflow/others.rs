//! DAGs of others that have names of ours.
//!
//! # Why
//! Airflow keeps one of two DAGs that have one name, whichever it read last: it would run our jobs as
//! others run theirs, or theirs as ours. So it is asked before anything is published or triggered.

use std::collections::BTreeMap;

use super::super::runner::Problem;
use super::problem;
use super::site::Dag;

/// How many DAGs are named in one line.
const NAMED: usize = 3;

/// The names that are taken, by the env that has them; none where whoever has them is no env.
#[derive(Default)]
pub(super) struct Others(BTreeMap<Option<String>, Vec<String>>);

impl Others {
    /// Takes note of a DAG that is not that of our env.
    pub(super) fn add(&mut self, ours: &str, id: &str, dag: Dag) {
        match dag {
            Dag::There { env, .. } if env.as_deref() != Some(ours) => {
                self.0.entry(env).or_default().push(id.to_owned());
            }
            Dag::There { .. } | Dag::Unknown => {}
        }
    }

    /// One problem for everybody who has some.
    pub(super) fn problems(self) -> Vec<Problem> {
        let problem_of = |(env, ids): (Option<String>, Vec<String>)| {
            let (whose, next) = match env {
                Some(env) => (
                    format!("from env `{}`", env.escape_debug()),
                    "give each env an `env.*.airflow.prefix` of its own",
                ),
                None => (
                    "that chronon-plan did not publish".to_owned(),
                    "set another `env.*.airflow.prefix`, or take them out of Airflow",
                ),
            };
            let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
            let (named, more) = ids.split_at(ids.len().min(NAMED));
            let more = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let what = format!("Airflow has DAGs of our names {whose}: {}{more}", named.join(", "));
            problem(&what, next)
        };
        self.0.into_iter().map(problem_of).collect()
    }
}
