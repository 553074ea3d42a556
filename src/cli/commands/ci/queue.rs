//! A merge queue asks whether a commit may be merged: if its plan is what was approved.

use std::cell::Cell;
use std::cell::RefCell;

use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::workspace::Prepared;
use super::super::super::workspace::Request;
use super::super::plan::Planned;
use super::super::plan::planned;
use super::Ci;
use super::comments;
use super::comments::Say;
use super::desk::Open;
use super::gate::Approved;
use super::gate::Asks;
use super::gate::Gate;
use super::gate::LOOK_BACK;
use super::intent::Order;
use super::people::Rules;
use super::plan;
use super::pulls::Finder;
use super::report;
use super::report::Outcome;
use super::report::Report;
use super::tell;
use super::tell::Ending;
use crate::model::name::CommitId;
use crate::plan::Options;
use crate::plan::settings::Settings;
use crate::publish::PullRef;
use crate::publish::event::MergeGroup;
use crate::publish::objects::Conclusion;
use crate::publish::record::Maker;
use crate::render::comment::Status;
use crate::source::Repository;
use crate::source::Revision;

/// A commit in the queue.
struct Queued<'a> {
    ci: &'a Ci<'a>,
    repository: &'a Repository,
    finder: &'a Finder<'a>,
    head: Revision,
    base: Revision,
    /// The pull requests that it is made of, as far as the queue tells.
    pulls: Vec<PullRef>,
    rules: Settings,
}

impl Ci<'_> {
    /// Plans a commit of the queue in every env.
    pub(super) fn queue(&self, group: &MergeGroup, output: &mut Output) -> Result<Exit, Failure> {
        let repository = self.repository()?;
        let branch = group.base_ref.strip_prefix("refs/heads/").unwrap_or(&group.base_ref);
        let head = Revision { rev: "queue".to_owned(), ..repository.revision(&group.head_sha)? };
        let base = Revision { rev: branch.to_owned(), ..repository.revision(&group.base_sha)? };
        let rules = self.rules_of(&repository, &base.commit, &head.commit)?;
        let settings = self.settings(&repository, &head.commit);
        let envs = self.envs(settings.as_ref().unwrap_or(&rules), &Order::default());
        let finder = Finder::of(self.desk, &repository, branch);
        let pulls = pulls(&finder, &repository, group, &head.commit, &base.commit)?;
        let (repository, finder) = (&repository, &finder);
        let queued = Queued { ci: self, repository, finder, head, base, pulls, rules };
        let mut report = Report::default();
        for env in envs {
            report.outcomes.push(queued.env(env.as_ref(), output));
        }
        report.write(self)
    }
}

/// The pull requests of a queue's commit, the newest first: those that its branch names, and those
/// that the messages of its commits name.
fn pulls(
    finder: &Finder<'_>,
    repository: &Repository,
    group: &MergeGroup,
    head: &CommitId,
    base: &CommitId,
) -> Result<Vec<PullRef>, Failure> {
    let mut pulls: Vec<PullRef> =
        group.pulls.iter().filter_map(|number| finder.numbered(*number)).collect();
    for (_, message) in repository.line(head, Some(base), LOOK_BACK)? {
        let found = finder.of_queued(&message);
        let known = |pull: &PullRef| pulls.iter().any(|it| it.number == pull.number);
        if let Some(pull) = found.filter(|pull| !known(pull)) {
            pulls.push(pull);
        }
    }
    Ok(pulls)
}

impl Queued<'_> {
    fn env(&self, env: Option<&String>, output: &mut Output) -> Outcome {
        let request = Request {
            head: Some(self.head.commit.0.clone()),
            settled: Some(self.base.clone()),
            ..self.ci.request(env)
        };
        let prepared = Prepared::of(&request);
        let name = super::name_of(prepared.as_ref().ok(), env);
        let plan_check = super::plan_check(&name);
        let check = self.ci.desk.open(&plan_check, &self.head.commit.0, "Planning");
        let judged = prepared.and_then(|prepared| self.judge(prepared, &plan_check, output));
        match judged {
            Ok((made, verdict)) => self.tell(&name, &check, Some(made), verdict.as_ref(), output),
            Err(failure) => self.tell(&name, &check, None, Some(&failure), output),
        }
    }

    /// Plans, and finds what is in the way.
    fn judge(
        &self,
        prepared: Prepared,
        check: &str,
        output: &mut Output,
    ) -> Result<(Planned, Option<Failure>), Failure> {
        let state = self.ci.state(&prepared)?;
        let ledger = state.known()?.ledger;
        let mut made = planned(prepared, Some(&state), self.ci.day(), &Options::default())?;
        made.plan.base.rev.clone_from(&self.base.rev);
        made.plan.head.rev.clone_from(&self.head.rev);
        report::show(&made.plan, output)?;
        let desk = self.ci.desk;
        let root = &made.workspace.pair.head.root;
        let settings = self.rules.clone();
        let rules = Rules::at(self.repository, &self.base.commit, settings, root, desk)?;
        let approved = self.pulls.iter().map(|pull| {
            let approval = desk.approval(check, &pull.head_sha, Maker::Pull);
            Approved::whole(Some(pull.clone()), approval)
        });
        // Before them in the queue, or merged and not applied yet.
        let unseen = self.repository.line(&self.base.commit, None, LOOK_BACK)?;
        let gate = Gate {
            desk,
            finder: self.finder,
            repository: self.repository,
            rules: std::slice::from_ref(&rules),
            check,
            asks: Asks::Queue,
            ledger,
            approved: RefCell::new(approved.collect()),
            unseen: RefCell::new(unseen.into_iter().rev().collect()),
            demands: RefCell::default(),
            plan: RefCell::default(),
            begun: Cell::new(false),
        };
        let refused = gate.allows(&made.plan, None).err();
        Ok((made, refused))
    }

    fn tell(
        &self,
        env: &str,
        check: &Open,
        made: Option<Planned>,
        failure: Option<&Failure>,
        output: &mut Output,
    ) -> Outcome {
        let plan = made.as_ref().map(|it| &it.plan);
        let trouble = failure.map(report::trouble_of);
        let status = trouble.as_ref().map_or(Status::Queued, Status::Refused);
        let say = Say::of(env, status, plan, &self.head.commit.0);
        let mut comment = None;
        if let Some(failure) = failure {
            output.tell(failure);
            for pull in &self.pulls {
                let said =
                    comments::say(self.ci.desk, pull.number, &Say { head: &pull.head_sha, ..say });
                comment = comment.or(said.url);
            }
        }
        let ending = Ending {
            conclusion: if failure.is_some() { Conclusion::Failure } else { Conclusion::Success },
            title: plan.map_or("No plan could be made".to_owned(), |it| plan::title(it, failure)),
            // What is not let through is no approval.
            stands_for: plan.filter(|_| failure.is_none()).map(|it| (it, Maker::Queue)),
            annotations: Vec::new(),
            exit: failure.map_or(Exit::Done, |it| it.exit),
            comment,
        };
        let outcome = tell::end(self.ci, check, &say, ending);
        // To free every config of a large repository takes time.
        std::mem::forget(made);
        outcome
    }
}
