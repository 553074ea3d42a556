//! The schedule's event: collecting what applies have left to run, and going on with those.
//!
//! # Why
//! What is gone on with goes through the same gate as the push that began it: its commit must be
//! merged, its pull request approved, the policies met. And it is the plan that was begun, whatever
//! was merged since.

use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::workspace::Prepared;
use super::super::resume;
use super::super::resume::Resumed;
use super::Ci;
use super::intent::Landing;
use super::intent::Order;
use super::land;
use super::land::Land;
use super::pulls::Finder;
use super::report;
use super::report::Outcome;
use super::report::Report;
use crate::model::name::CommitId;
use crate::source::Repository;
use crate::source::Revision;

impl Ci<'_> {
    /// Collects in every env what was left to run; says of the others what was merged and is not
    /// applied.
    pub(super) fn collect(&self, landing: &Landing, output: &mut Output) -> Result<Exit, Failure> {
        let repository = self.repository()?;
        let head = repository.revision("HEAD")?.commit;
        let settings = self.settings(&repository, &head)?;
        let order = Order::default();
        let mut report = Report::default();
        for env in self.envs(&settings, &order) {
            if self.watch.is_interrupted() {
                break;
            }
            self.watch.renew();
            let env = env.as_ref();
            let outcome = self.left_running(env, &head).and_then(|left| match left {
                Some(resumed) => self.go_on(env, landing, resumed, &repository, output),
                None => Ok(self.pending_of(env, &order, &head, output)),
            });
            report.outcomes.push(outcome.unwrap_or_else(|it| report::failed(env, &it, output)));
        }
        let exit = report.write(self)?;
        Ok(if self.watch.is_interrupted() { Exit::Interrupted } else { exit })
    }

    /// What was begun in an env and left to run, where its settings want that collected here.
    fn left_running(
        &self,
        env: Option<&String>,
        head: &CommitId,
    ) -> Result<Option<Resumed>, Failure> {
        let request = super::Request { head: Some(head.0.clone()), ..self.request(env) };
        let prepared = Prepared::of(&request)?;
        let airflow = &prepared.settings.airflow;
        if !airflow.runs || !airflow.detaches_ci {
            return Ok(None);
        }
        let state = self.state(&prepared)?;
        Ok(resume::of(&state)?.filter(|it| it.runs))
    }

    /// Goes on as if the push that began it came again.
    fn go_on(
        &self,
        env: Option<&String>,
        landing: &Landing,
        resumed: Resumed,
        repository: &Repository,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        let revision = repository.revision(&resumed.commit)?;
        land::is_merged(repository, landing, &revision.commit)?;
        let land = Land {
            ci: self,
            order: &Order::default(),
            landing,
            repository,
            finder: &Finder::of(self.desk, repository, &landing.branch),
            head: Revision { rev: landing.branch.clone(), ..revision },
            bases: Vec::new(),
            resumed: Some(resumed),
        };
        Ok(land.env(env, output))
    }
}
