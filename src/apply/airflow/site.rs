//! An Airflow as the runner needs it: its DAGs, runs and pages, whichever API it has.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::log;
use super::wire::Answer;
use super::wire::Ask;
use super::wire::Verb;
use super::wire::Wire;
use crate::plan::settings::Api;

/// A run of a DAG.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) dag: &'a str,
    pub(super) id: &'a str,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is no such run.
    Missing,
    /// It waits or runs.
    Live,
    Done,
    Failed,
}

/// A DAG as Airflow has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dag {
    /// It is not there, or its file is gone.
    Unknown,
    There {
        /// Whether it starts nothing until it is unpaused.
        paused: bool,
        /// The env whose DAG it is; none where it is not ours at all.
        env: Option<String>,
    },
}

/// A task of a run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) id: String,
    /// Which of several of one name.
    pub(super) index: Option<u64>,
    pub(super) attempt: u64,
}

/// How a question ended that was put once.
pub(super) enum No {
    /// Ask again later, and why.
    Later(String),
    /// It stays no, and why: the status and what Airflow says.
    Never(u16, String),
}

pub(super) type Said<T> = Result<T, No>;

/// An Airflow whose API is known.
pub(super) struct Site {
    pub(super) wire: Wire,
    pub(super) api: Api,
}

fn name(api: Api) -> &'static str {
    match api {
        Api::V1 => "v1",
        Api::V2 => "v2",
    }
}

impl Site {
    fn ask(&self, ask: Ask<'_>) -> Said<Answer> {
        let path: Vec<&str> =
            ["api", name(self.api)].into_iter().chain(ask.path.iter().copied()).collect();
        let answer = self.wire.ask(self.api, Ask { path: &path, ..ask }).map_err(No::Later)?;
        match answer.status {
            200..300 | 404 | 409 => Ok(answer),
            _ if answer.is_later() => Err(No::Later(self.wire.detail(&answer))),
            status => Err(No::Never(status, self.wire.detail(&answer))),
        }
    }

    /// What an answer says, if it is JSON.
    fn read(&self, ask: Ask<'_>) -> Said<Option<Value>> {
        let answer = self.ask(ask)?;
        match answer.json() {
            Some(_) if answer.status == 404 => Ok(None),
            Some(json) => Ok(Some(json)),
            // What stands in front of it answers for it, and does not know what there is.
            None => Err(No::Later(no_airflow(answer.status))),
        }
    }

    pub(super) fn dag(&self, dag: &str) -> Said<Dag> {
        let Some(found) = self.read(Ask::get(&["dags", dag]))? else { return Ok(Dag::Unknown) };
        let is = |name: &str| found[name].as_bool();
        // Up to 2.x it says whether it is there, later whether it is not.
        if is("is_active") == Some(false) || is("is_stale") == Some(true) {
            return Ok(Dag::Unknown);
        }
        let tags = found["tags"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = tags.iter().filter_map(|it| it["name"].as_str()).collect();
        let ours = names.contains(&"chronon");
        let env = names.iter().find_map(|it| it.strip_prefix("env:")).filter(|_| ours);
        let env = env.map(str::to_owned);
        Ok(Dag::There { paused: is("is_paused") == Some(true), env })
    }

    /// Whether it says that its scheduler gives no sign of life.
    pub(super) fn is_asleep(&self) -> Said<bool> {
        let path: &[&str] = match self.api {
            Api::V1 => &["health"],
            Api::V2 => &["monitor", "health"],
        };
        let found = self.read(Ask::get(path))?.unwrap_or_default();
        Ok(found["scheduler"]["status"] == "unhealthy")
    }

    pub(super) fn unpause(&self, dag: &str) -> Said<()> {
        let body = json!({"is_paused": false});
        let (path, query) = (["dags", dag], [("update_mask", "is_paused")]);
        let ask = Ask { method: Verb::Patch, query: &query, body: Some(&body), ..Ask::get(&path) };
        self.read(ask).map(drop)
    }

    /// Triggers a run; gives the answer's status: 409 where there is one of its name, or of its
    /// moment, 404 where the DAG is gone.
    pub(super) fn trigger(&self, run: Run<'_>, conf: &Map<String, Value>) -> Said<u16> {
        let mut body = json!({"dag_run_id": run.id, "conf": conf});
        if self.api == Api::V2 {
            body["logical_date"] = Value::Null;
        }
        let path = ["dags", run.dag, "dagRuns"];
        let ask = Ask { method: Verb::Post, body: Some(&body), ..Ask::get(&path) };
        let answer = self.ask(ask)?;
        match answer.json() {
            None if answer.status < 300 => Err(No::Later(no_airflow(answer.status))),
            _ => Ok(answer.status),
        }
    }

    pub(super) fn state(&self, run: Run<'_>) -> Said<State> {
        let found = self.read(Ask::get(&["dags", run.dag, "dagRuns", run.id]))?;
        Ok(match found.as_ref().map(|it| it["state"].as_str()) {
            None => State::Missing,
            Some(Some("success")) => State::Done,
            Some(Some("failed")) => State::Failed,
            Some(_) => State::Live,
        })
    }

    /// The tasks of a run that failed by themselves, the first to fail first.
    pub(super) fn failed(&self, run: Run<'_>) -> Said<Vec<Task>> {
        let path = ["dags", run.dag, "dagRuns", run.id, "taskInstances"];
        // A page holds a hundred, whatever is asked for: those that did not fail must not fill it.
        let query = [("limit", "100"), ("state", "failed")];
        let found = self.read(Ask { query: &query, ..Ask::get(&path) })?.unwrap_or_default();
        let all = found["task_instances"].as_array().cloned().unwrap_or_default();
        let mut failed: Vec<&Value> =
            all.iter().filter(|it| it["state"].as_str() == Some("failed")).collect();
        failed.sort_by_key(|it| it["end_date"].as_str().unwrap_or("~").to_owned());
        let task = |it: &&Value| {
            Some(Task {
                id: it["task_id"].as_str()?.to_owned(),
                index: it["map_index"].as_u64(),
                attempt: it["try_number"].as_u64().unwrap_or(1).max(1),
            })
        };
        Ok(failed.iter().filter_map(task).collect())
    }

    /// What a task printed, line by line.
    pub(super) fn log(&self, run: Run<'_>, task: &Task) -> Said<Vec<String>> {
        let attempt = task.attempt.to_string();
        let path =
            ["dags", run.dag, "dagRuns", run.id, "taskInstances", &task.id, "logs", &attempt];
        let index = task.index.map(|it| it.to_string());
        let mut query = vec![("full_content", "true")];
        query.extend(index.as_deref().map(|index| ("map_index", index)));
        let accept = match self.api {
            Api::V1 => "text/plain",
            Api::V2 => "application/json",
        };
        let answer = self.ask(Ask { query: &query, accept, ..Ask::get(&path) })?;
        if answer.status != 200 {
            return Ok(Vec::new());
        }
        Ok(match (self.api, answer.json()) {
            (Api::V2, Some(json)) => log::lines_of(&json["content"]),
            _ => answer.text().lines().map(str::to_owned).collect(),
        })
    }

    /// The page of a run.
    pub(super) fn page(&self, run: Run<'_>) -> String {
        let address = match self.api {
            Api::V1 => self.wire.address(&["dags", run.dag, "grid"], &[("dag_run_id", run.id)]),
            Api::V2 => self.wire.address(&["dags", run.dag, "runs", run.id], &[]),
        };
        address.into()
    }

    /// The page of a task's log.
    pub(super) fn page_of(&self, run: Run<'_>, task: &Task) -> String {
        let index = task.index.map(|it| it.to_string());
        match self.api {
            Api::V1 => {
                let mut query =
                    vec![("dag_run_id", run.id), ("task_id", task.id.as_str()), ("tab", "logs")];
                query.extend(index.as_deref().map(|index| ("map_index", index)));
                self.wire.address(&["dags", run.dag, "grid"], &query).into()
            }
            Api::V2 => {
                let mut path = vec!["dags", run.dag, "runs", run.id, "tasks", &task.id];
                path.extend(index.as_deref().into_iter().flat_map(|index| ["mapped", index]));
                self.wire.address(&path, &[]).into()
            }
        }
    }
}

fn no_airflow(status: u16) -> String {
    format!("status {status} of what is no Airflow")
}

/// Which API answers at an address, and the version of what answers.
pub(super) fn found(wire: &Wire, wanted: Option<Api>) -> Said<Option<Api>> {
    let both = [Api::V2, Api::V1];
    let mut refused = Ok(None);
    for api in both.into_iter().filter(|api| wanted.is_none_or(|it| it == *api)) {
        let path = ["api", name(api), "version"];
        // A name and a password are no use before it is known who wants them.
        let bare = wire.exchanges() && api == Api::V2;
        let answer = wire.ask(api, Ask { bare, ..Ask::get(&path) }).map_err(No::Later)?;
        let version = answer.json().is_some_and(|it| it["version"].is_string());
        match answer.status {
            200 if version => return Ok(Some(api)),
            // What stands in front may want the name and the password itself, as API v1 does; or it
            // sends strangers to its login page.
            status @ (300..=399 | 401 | 403) => {
                refused = Err(No::Never(status, wire.detail(&answer)));
            }
            _ if answer.is_later() => return Err(No::Later(wire.detail(&answer))),
            _ => {}
        }
    }
    refused
}
