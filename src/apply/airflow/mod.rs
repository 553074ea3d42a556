//! The runner for Airflow: each job is one run of a bounded DAG, which Airflow brings to its end
//! whatever becomes of this process.
//!
//! ```text
//! job ─conf─▶ attempt (trigger once, follow, explain) ─site (v1, v2)─▶ wire (auth, HTTP)
//! ```

mod attempt;
mod conf;
mod google;
mod log;
mod others;
mod site;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use super::command::failure;
use super::machine::Machine;
use super::process;
use super::runner::Context;
use super::runner::Found;
use super::runner::Job;
use super::runner::Outcome;
use super::runner::Problem;
use super::runner::Runner;
use super::runner::Stop;
use crate::plan::settings::Airflow;
use crate::plan::settings::Auth;
use attempt::Attempt;
use google::Google;
use others::Others;
use site::Dag;
use site::No;
use site::Run;
use site::Said;
use site::Site;
use wire::Keys;
use wire::Wire;

/// Before anything runs, how often a question is put that nobody answers, and how long to wait.
const TRIES: (u32, Duration) = (4, Duration::from_secs(1));

const ASLEEP: &str = "Airflow's scheduler gives no sign of life: runs wait until it is there again (`airflow jobs check --job-type SchedulerJob`)";

/// Runs jobs by the bounded DAGs of an Airflow.
pub struct AirflowRunner {
    machine: Machine,
    settings: Airflow,
    env: String,
    /// The digest under which the files of the commit are published; none for those that the
    /// manifest names.
    files: Option<String>,
    site: Mutex<Option<Arc<Site>>>,
    notes: Mutex<Vec<String>>,
}

impl AirflowRunner {
    /// A runner for this Airflow; nothing is asked yet. `files` is the digest of the index under
    /// which the files of the commit are published.
    pub fn new(machine: Machine, settings: Airflow, env: &str, files: Option<String>) -> Self {
        let env = env.to_owned();
        Self { machine, settings, env, files, site: Mutex::default(), notes: Mutex::default() }
    }

    /// The Airflow, once it has answered.
    fn site(&self, stop: &Stop) -> Result<Arc<Site>, Problem> {
        let mut kept = self.site.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(site) = kept.as_ref() {
            return Ok(Arc::clone(site));
        }
        let site = Arc::new(self.open(stop)?);
        *kept = Some(Arc::clone(&site));
        Ok(site)
    }

    fn open(&self, stop: &Stop) -> Result<Site, Problem> {
        let url = self.settings.url.as_deref().unwrap_or_default();
        let base = wire::parsed(url).ok_or_else(|| match url {
            "" => problem("nothing says where Airflow is", "set `env.*.airflow.url`"),
            _ => problem(
                "`env.*.airflow.url` is no address of a webserver",
                "write it as `https://HOST` or `https://HOST/PATH`, without a name or password",
            ),
        })?;
        let wire = Wire::open(base, self.keys()?).map_err(|why| {
            problem(
                &format!("Airflow cannot be asked: {why}"),
                "install this machine's certificates (`ca-certificates`)",
            )
        })?;
        let unreachable = |why: String| {
            let host = wire.address(&[], &[]);
            problem(
                &format!("no Airflow answers at {host}: {why}"),
                "check `env.*.airflow.url`, and that this machine may reach it",
            )
        };
        match patiently(stop, || site::found(&wire, self.settings.api)) {
            Ok(Some(api)) => Ok(Site { wire, api }),
            Ok(None) => Err(unreachable(
                "neither `/api/v2/version` nor `/api/v1/version` is there".to_owned(),
            )),
            Err(No::Never(status, why)) => Err(refused(status, &why)),
            Err(No::Later(why)) => Err(unreachable(why)),
        }
    }

    /// With what Airflow is asked; only the environment knows secrets.
    fn keys(&self) -> Result<Keys, Problem> {
        let value = |name: &str| self.machine.value(name).map(str::to_owned);
        let needed = |name: &str| {
            value(name).ok_or_else(|| {
                problem(
                    &format!("{name} is not set"),
                    &format!("set {name} in the environment, or another `env.*.airflow.auth`"),
                )
            })
        };
        let usual = if value("AIRFLOW_TOKEN").is_some() { Auth::Token } else { Auth::Basic };
        match self.settings.auth.unwrap_or(usual) {
            Auth::None => Ok(Keys::None),
            Auth::Token => Ok(Keys::Token(needed("AIRFLOW_TOKEN")?)),
            Auth::Basic => {
                Ok(Keys::Basic(needed("AIRFLOW_USERNAME")?, needed("AIRFLOW_PASSWORD")?))
            }
            Auth::Google => Google::open().map(|it| Keys::Google(Box::new(it))).map_err(|why| {
                problem(
                    &format!("there are no credentials of Google's: {why}"),
                    "gcloud auth application-default login, or google-github-actions/auth",
                )
            }),
        }
    }

    /// A DAG as Airflow has it.
    fn dag(site: &Site, dag: &str, stop: &Stop) -> Result<Dag, Problem> {
        patiently(stop, || site.dag(dag)).map_err(|no| match no {
            No::Never(status, why) => refused(status, &why),
            No::Later(why) => problem(
                &format!("Airflow does not say whether it has the DAG `{dag}`: {why}"),
                "apply again once it answers",
            ),
        })
    }

    /// What is to be noted of a DAG before it runs.
    fn note(&self, id: &str, dag: &Dag) -> Option<String> {
        let wait = self.settings.wait();
        match dag {
            Dag::There { paused: false, .. } => None,
            Dag::There { .. } => Some(format!("the DAG `{id}` is paused: it is unpaused")),
            Dag::Unknown => Some(format!(
                "Airflow does not know the DAG `{id}` yet: it is waited for, up to {wait} min"
            )),
        }
    }

    /// Whoever else has DAGs of these names, each as a problem.
    ///
    /// # Errors
    /// Where Airflow cannot be asked.
    pub fn foreign<'d>(
        &self,
        dags: impl IntoIterator<Item = &'d String>,
        stop: &Stop,
    ) -> Result<Vec<Problem>, Problem> {
        let mut others = Others::default();
        for id in dags {
            let site = self.site(stop)?;
            others.add(&self.env, id, Self::dag(&site, id, stop)?);
        }
        Ok(others.problems())
    }

    fn attempt<'a>(
        &'a self,
        site: &'a Site,
        run: Run<'a>,
        job: &'a Job,
        context: Context<'a>,
    ) -> Attempt<'a> {
        let wait = Duration::from_secs(u64::from(self.settings.wait()) * 60);
        Attempt { site, run, job, context, wait }
    }
}

impl Runner for AirflowRunner {
    fn preflight(&self, jobs: &[Job]) -> Vec<Problem> {
        let dags: BTreeSet<String> =
            jobs.iter().map(|job| conf::dag(self.settings.prefix(), job)).collect();
        if dags.is_empty() {
            return Vec::new();
        }
        let site = match self.site(&Stop::default()) {
            Ok(site) => site,
            Err(problem) => return vec![problem],
        };
        let (mut problems, mut others) = (BTreeSet::new(), Others::default());
        let mut notes = Vec::new();
        for id in &dags {
            match Self::dag(&site, id, &Stop::default()) {
                Ok(dag) => {
                    notes.extend(self.note(id, &dag));
                    others.add(&self.env, id, dag);
                }
                Err(problem) => drop(problems.insert(problem)),
            }
        }
        problems.extend(others.problems());
        if site.is_asleep().unwrap_or_default() {
            notes.push(ASLEEP.to_owned());
        }
        *self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = notes;
        problems.into_iter().collect()
    }

    fn notes(&self, _jobs: &[Job]) -> Vec<String> {
        self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn run(&self, job: &Job, context: Context<'_>) -> Outcome {
        let site = match self.site(context.stop) {
            Ok(site) => site,
            Err(problem) => return failure(&format!("{}: {}", problem.what, problem.next), false),
        };
        let (dag, id) = (conf::dag(self.settings.prefix(), job), conf::run(&job.operation));
        let run = Run { dag: &dag, id: &id };
        self.attempt(&site, run, job, context).start(&conf::of(job, self.files.as_deref()))
    }

    fn find(&self, job: &Job, id: &str, context: Context<'_>) -> Found {
        let site = match self.site(context.stop) {
            Ok(site) => site,
            // It may be running: nobody could tell.
            Err(problem) => {
                let what = format!("{}: {}", problem.what, problem.next);
                return Found::Ended(Outcome::Unclear { what });
            }
        };
        if !id.contains('/') && id != job.operation {
            let what = format!(
                "an earlier run submitted it as {id}, not to Airflow: set `env.*.runner` back until \
                 it has ended"
            );
            return Found::Ended(Outcome::Unclear { what });
        }
        // The name that was kept, for settings may have changed since.
        let names = (conf::dag(self.settings.prefix(), job), conf::run(&job.operation));
        let (dag, id) = id.split_once('/').unwrap_or((&names.0, &names.1));
        // Whoever was killed may have sent it a moment ago.
        let same = (dag, id) == (names.0.as_str(), names.1.as_str());
        let missing = if same { Found::OnItsWay } else { Found::Nothing };
        let attempt = self.attempt(&site, Run { dag, id }, job, context);
        attempt.find().map_or(missing, Found::Ended)
    }
}

/// Whether an address is that of a page of the Airflow at `url`.
pub fn is_page_of(url: &str, page: &str) -> bool {
    let Some(base) = wire::parsed(url) else { return false };
    let below = page.strip_prefix(base.as_str().trim_end_matches('/'));
    below.is_some_and(|below| below.starts_with('/'))
}

/// Asks a few times.
fn patiently<T>(stop: &Stop, ask: impl Fn() -> Said<T>) -> Said<T> {
    let mut answer = ask();
    for turn in 1..TRIES.0 {
        let again = matches!(answer, Err(No::Later(_)));
        if !again || process::pause(TRIES.1 * turn, stop) {
            break;
        }
        answer = ask();
    }
    answer
}

fn refused(status: u16, why: &str) -> Problem {
    problem(&format!("Airflow refuses to be asked ({why})"), next_of(status))
}

/// What to do where Airflow says no.
fn next_of(status: u16) -> &'static str {
    match status {
        401 => {
            "check AIRFLOW_USERNAME and AIRFLOW_PASSWORD, or AIRFLOW_TOKEN, and `env.*.airflow.auth`"
        }
        403 => {
            "let its user read and edit DAGs, and create runs of them (role `Op`); in 2.x, let `[api] auth_backends` take what `env.*.airflow.auth` sends"
        }
        300..=399 => {
            "a login page stands before it: check `env.*.airflow.url` (its scheme too), and that `env.*.airflow.auth` is what it takes"
        }
        _ => "check `env.*.airflow.url` and `env.*.airflow.api`, and the webserver's log",
    }
}

fn problem(what: &str, next: &str) -> Problem {
    Problem { what: what.to_owned(), next: next.to_owned() }
}
