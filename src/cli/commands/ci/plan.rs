//! Planning a pull request, and saying on it what was found.

use std::cell::OnceCell;

use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::workspace::Prepared;
use super::super::super::workspace::Request;
use super::super::plan::Planned;
use super::super::plan::planned;
use super::Ci;
use super::annotations;
use super::comments;
use super::comments::Said;
use super::comments::Say;
use super::desk::Open;
use super::gate;
use super::intent::Order;
use super::intent::Wanted;
use super::overlap;
use super::people::Rules;
use super::pulls;
use super::report;
use super::report::Outcome;
use super::report::Report;
use super::sides;
use super::sides::Sides;
use super::tell;
use super::tell::Ending;
use crate::plan::Options;
use crate::plan::approval;
use crate::plan::contract::Plan;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::plan::contract::Warning;
use crate::plan::policy::Demand;
use crate::plan::settings::Settings;
use crate::plan::warning::Code;
use crate::publish::PullRef;
use crate::publish::error::PublishError;
use crate::publish::event::WorkflowRun;
use crate::publish::objects::Conclusion;
use crate::publish::record::Maker;
use crate::render;
use crate::render::comment::Overlap;
use crate::render::comment::Status;
use crate::source::Repository;

/// One pull request to plan.
struct Job<'a> {
    ci: &'a Ci<'a>,
    pull: &'a PullRef,
    sides: &'a Sides,
    rules: Settings,
    order: &'a Order,
    /// Whether the commit is a stranger's, so that nothing of the repository's is at hand.
    bare: bool,
}

impl Ci<'_> {
    /// Plans a pull request for every env.
    pub(super) fn plan_pull(
        &self,
        wanted: &Wanted,
        order: &Order,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let pull = match self.wanted(wanted)? {
            Ok(pull) => pull,
            Err(why) => {
                output.answer(None, &format!("Nothing to do: {why}.\n"))?;
                return Report::default().write(self);
            }
        };
        let own_event = matches!(wanted, Wanted::Known(_));
        let bare = pull.is_fork && own_event;
        if bare {
            self.desk.mute("a fork's pull request may write nothing here and sees no ledger: its plan is on the page of this job; a second stage posts it (README, Forks)");
        }
        let repository = self.repository()?;
        let sha = self.actions.sha.as_deref().filter(|_| own_event);
        let sides = sides::of_pull(&repository, &pull, sha)?;
        let rules = self.rules_of(&repository, &sides.ruled, &sides.head.commit)?;
        let job = Job { ci: self, pull: &pull, sides: &sides, rules, order, bare };
        let envs = match job.settings(&repository) {
            Ok(settings) => self.envs(&settings, order),
            // Each env says what is wrong with the settings.
            Err(_) => self.envs(&job.rules, order),
        };
        let others = OnceCell::new();
        let mut report = Report::default();
        for env in envs {
            report.outcomes.push(job.env(env.as_ref(), &repository, &others, output));
        }
        if order.targets.is_empty() {
            job.relabel(&report);
        }
        report.write(self)
    }

    /// The pull request that is wanted as it is now, or why there is nothing to plan.
    fn wanted(&self, wanted: &Wanted) -> Result<Result<PullRef, String>, Failure> {
        let pull = match wanted {
            Wanted::Known(pull) => self.live(pull)?,
            Wanted::Number(number) => Some(self.asked(*number)?),
            Wanted::Run(run) => self.of_run(run)?,
        };
        Ok(match pull {
            None => Err("the run was of no open pull request".to_owned()),
            Some(pull) if !pull.open => Err(format!("#{} is closed", pull.number)),
            Some(pull) => match wanted {
                Wanted::Known(then) if then.head_sha != pull.head_sha => Err(format!(
                    "#{} has other commits by now; the run for those plans it",
                    pull.number
                )),
                _ => Ok(pull),
            },
        })
    }

    /// A pull request as it is now: the run may be an old one that somebody has run again. Where
    /// nobody answers, as it was.
    fn live(&self, pull: &PullRef) -> Result<Option<PullRef>, Failure> {
        let what = "the pull request cannot be read";
        let now = self.desk.ask(what, |github| github.pull(pull.number));
        let merge = pull.merge_commit_sha.clone();
        Ok(Some(now.map_or_else(
            || pull.clone(),
            |now| PullRef { merge_commit_sha: merge.or(now.merge_commit_sha.clone()), ..now },
        )))
    }

    /// The open pull request of another workflow's run; GitHub names none of a fork.
    fn of_run(&self, run: &WorkflowRun) -> Result<Option<PullRef>, Failure> {
        if let [number] = run.pulls.as_slice() {
            return self.asked(*number).map(Some);
        }
        let owner = run.head_repository.as_deref().and_then(|it| it.split('/').next());
        let branch = owner.zip(run.head_branch.as_deref());
        let Some((owner, branch)) = branch else { return Ok(None) };
        let found = self.desk.ask("the pull request of the run is not known", |github| {
            github.pulls_of_branch(owner, branch)
        });
        let same = |pull: &PullRef| pull.head_sha == run.head_sha;
        Ok(found.into_iter().flat_map(|it| it.items).find(same))
    }

    fn asked(&self, number: u64) -> Result<PullRef, Failure> {
        self.desk.must(|github| github.pull(number)).map_err(|error: PublishError| {
            Failure::new(format!("pull request #{number}: {error}")).hint(error.next())
        })
    }

    /// Says that nothing of a pull request will be applied; only where something was said before.
    pub(super) fn close(&self, pull: &PullRef) -> Result<Exit, Failure> {
        let repository = self.repository()?;
        let head = repository.revision("HEAD")?;
        let settings = self.settings(&repository, &head.commit)?;
        for env in self.envs(&settings, &Order::default()) {
            let env = super::name_of(None, env.as_ref());
            let say = Say::of(&env, Status::Closed, None, &pull.head_sha);
            comments::say(self.desk, pull.number, &say);
        }
        Report::default().write(self)
    }
}

/// What was found of an env.
struct Found {
    planned: Planned,
    demands: Vec<Demand>,
    overlaps: Vec<Overlap>,
    notes: Vec<String>,
}

impl Job<'_> {
    fn request(&self, env: Option<&String>) -> Request {
        let settings_of = (self.pull.is_fork).then(|| self.sides.base.commit.clone());
        Request {
            head: Some(self.sides.head.commit.0.clone()),
            settled: Some(self.sides.base.clone()),
            settings_of,
            ..self.ci.request(env)
        }
    }

    /// The settings that the plan is made with: a stranger's are not used.
    fn settings(&self, repository: &Repository) -> Result<Settings, Failure> {
        let side = if self.pull.is_fork { &self.sides.base } else { &self.sides.head };
        self.ci.settings(repository, &side.commit)
    }

    fn env(
        &self,
        env: Option<&String>,
        repository: &Repository,
        others: &OnceCell<Vec<overlap::Other>>,
        output: &mut Output,
    ) -> Outcome {
        let prepared = Prepared::of(&self.request(env));
        let name = super::name_of(prepared.as_ref().ok(), env);
        let mut name_of_check = super::plan_check(&name);
        if !self.order.targets.is_empty() {
            // A part of a plan must not stand for the whole.
            name_of_check.push_str(", a part");
        }
        let check = self.ci.desk.open(&name_of_check, &self.pull.head_sha, "Planning");
        let found = prepared.and_then(|prepared| {
            let found = self.find(prepared, repository, others)?;
            report::show(&found.planned.plan, output)?;
            Ok(found)
        });
        match found {
            Ok(found) => self.tell(&name, &check, found, output),
            Err(failure) => self.tell_failure(&name, &check, &failure, output),
        }
    }

    fn find(
        &self,
        prepared: Prepared,
        repository: &Repository,
        others: &OnceCell<Vec<overlap::Other>>,
    ) -> Result<Found, Failure> {
        let desk = self.ci.desk;
        let state = if self.bare { None } else { Some(self.ci.state(&prepared)?) };
        let options = Options { targets: self.order.targets.clone(), force: Vec::new() };
        let mut planned = planned(prepared, state.as_ref(), self.ci.day(), &options)?;
        planned.plan.base.rev.clone_from(&self.sides.base.rev);
        planned.plan.head.rev.clone_from(&self.sides.head.rev);
        let root = &planned.workspace.pair.head.root;
        let rules = Rules::at(repository, &self.sides.ruled, self.rules.clone(), root, desk)?;
        // What others have merged and not applied, they answer for.
        let own = approval::asked_for(&planned.plan);
        let demands = rules.demands(desk, &own, Some(self.pull));
        let overlaps = if planned.plan.changes.is_empty() {
            Vec::new()
        } else {
            let others = others.get_or_init(|| pulls::others(desk, self.pull));
            overlap::overlaps(&planned.plan, &planned.workspace, others)
        };
        let notes = planned.notes.iter().chain(&self.sides.note).cloned().collect();
        Ok(Found { planned, demands, overlaps, notes })
    }

    fn tell(&self, env: &str, check: &Open, found: Found, output: &mut Output) -> Outcome {
        let desk = self.ci.desk;
        let Found { planned, demands, overlaps, notes } = &found;
        let plan = &planned.plan;
        notes.iter().for_each(|note| output.tell(format!("note: {note}")));
        let say = Say::of(env, Status::Planned, Some(plan), &self.pull.head_sha);
        let say = Say { demands, overlaps, notes, ..say };
        let whole = self.order.targets.is_empty();
        let said = match whole {
            true => comments::say(desk, self.pull.number, &say),
            false => Said::default(),
        };
        let missing = gate::missing(demands);
        if let Some(missing) = &missing {
            output.tell(missing);
        }
        let (conclusion, exit) = match &missing {
            _ if said.broken => (Conclusion::Failure, Exit::Error),
            _ if !whole => (Conclusion::Neutral, Exit::Done),
            Some(missing) => (Conclusion::ActionRequired, missing.exit),
            None => (Conclusion::Success, Exit::Done),
        };
        let ending = Ending {
            conclusion,
            title: title(plan, missing.as_ref()),
            stands_for: Some((plan, Maker::Pull)).filter(|_| whole && !said.broken),
            annotations: annotations::of(plan, &planned.workspace),
            exit,
            comment: said.url,
        };
        let outcome = tell::end(self.ci, check, &say, ending);
        // To free every config of a large repository takes time.
        std::mem::forget(found);
        outcome
    }

    fn tell_failure(
        &self,
        env: &str,
        check: &Open,
        failure: &Failure,
        output: &mut Output,
    ) -> Outcome {
        output.tell(failure);
        let trouble = report::trouble_of(failure);
        let say = Say::of(env, Status::Failed(&trouble), None, &self.pull.head_sha);
        let said = comments::say(self.ci.desk, self.pull.number, &say);
        let ending = Ending {
            conclusion: Conclusion::Failure,
            title: "No plan could be made".to_owned(),
            stands_for: None,
            annotations: Vec::new(),
            exit: failure.exit,
            comment: said.url,
        };
        tell::end(self.ci, check, &say, ending)
    }

    /// Puts labels on the pull request and takes others off, where settings name some: each stands
    /// for what is so in any of the envs.
    fn relabel(&self, report: &Report) {
        let labels = &self.rules.ci.labels;
        let plans: Vec<&Plan> = report.outcomes.iter().filter_map(|it| it.plan.as_ref()).collect();
        if plans.len() < report.outcomes.len() {
            // What could not be planned may be anything.
            return;
        }
        let any = |holds: fn(&Plan) -> bool| plans.iter().any(|plan| holds(plan));
        let wanted = [
            (&labels.jobs, any(|plan| !plan.is_empty())),
            (&labels.breaking, any(report::is_breaking)),
            (&labels.history, any(rewrites_history)),
        ];
        let wanted = wanted.iter().filter_map(|(label, holds)| Some((label.as_deref()?, *holds)));
        self.ci.desk.relabel(self.pull.number, &wanted.collect());
    }
}

/// Whether a plan computes days anew that are there, or leaves them wrong.
fn rewrites_history(plan: &Plan) -> bool {
    let rewrites = |step: &Step| step.rewrite.is_some_and(|it| it != Rewrite::Fill);
    let wrong = |it: &Warning| it.code == Code::HistoryNotRewritten.name();
    plan.steps.iter().any(rewrites) || plan.warnings.iter().any(wrong)
}

/// The line that a check shows first.
pub(super) fn title(plan: &Plan, missing: Option<&Failure>) -> String {
    let sentence = render::sentence(plan);
    let sentence = sentence.strip_prefix("Plan: ").unwrap_or(&sentence);
    match missing {
        Some(missing) => {
            let what = missing.what.first().map(String::as_str).unwrap_or_default();
            format!("{what} · {sentence}")
        }
        None => sentence.to_owned(),
    }
}
