//! Applying what came to the default branch, and turning comments into receipts.

use std::cell::RefCell;

use super::super::super::args::ApplyArgs;
use super::super::super::args::ProgressFormat;
use super::super::super::args::RepoArgs;
use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::progress;
use super::super::super::state::State;
use super::super::super::workspace::Prepared;
use super::super::super::workspace::Request;
use super::super::apply;
use super::super::apply::Hooks;
use super::super::checks::Asked;
use super::super::plan::planned;
use super::Ci;
use super::comments;
use super::comments::Say;
use super::desk::Approval;
use super::desk::Open;
use super::gate::Approved;
use super::gate::Gate;
use super::intent::Landing;
use super::intent::Order;
use super::people::Rules;
use super::plan;
use super::pulls::Finder;
use super::report;
use super::report::Outcome;
use super::report::Report;
use super::tell;
use super::tell::Ending;
use crate::apply::progress::Progress;
use crate::model::name::CommitId;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::plan::policy::Demand;
use crate::plan::settings::DirectPush;
use crate::plan::settings::Settings;
use crate::publish::objects::Conclusion;
use crate::render::comment::FailedStep;
use crate::render::comment::Receipt;
use crate::render::comment::Status;
use crate::source::Repository;
use crate::source::Revision;

/// How many commits are gone back to find who approved what.
const LOOK_BACK: usize = 30;

const BY_COMMENT: &str =
    "or write it as a comment here: `/chronon-plan apply` with the same options";

/// What came to the branch, with what is needed to apply it.
struct Land<'a> {
    ci: &'a Ci<'a>,
    order: &'a Order,
    landing: &'a Landing,
    repository: &'a Repository,
    finder: &'a Finder<'a>,
    head: Revision,
    /// What the commit is compared with, the likeliest first; empty for what was applied last.
    bases: Vec<Revision>,
    rules: Settings,
}

impl Ci<'_> {
    /// Applies a commit of the default branch in every env.
    pub(super) fn land(
        &self,
        landing: &Landing,
        order: &Order,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let repository = self.repository()?;
        let rev = landing.after.as_deref().unwrap_or("HEAD");
        let head = Revision { rev: landing.branch.clone(), ..repository.revision(rev)? };
        let bases = bases(&repository, landing, &head.commit)?;
        // By hand, the rules of the branch itself hold: they were merged.
        let ruled = bases.first().map_or(&head.commit, |base| &base.commit);
        let rules = self.rules_of(&repository, ruled, &head.commit)?;
        let settings = self.settings(&repository, &head.commit);
        let envs = self.envs(settings.as_ref().unwrap_or(&rules), order);
        let finder = plan::finder(self, &repository, &landing.branch);
        let repository = &repository;
        let land =
            Land { ci: self, order, landing, repository, finder: &finder, head, bases, rules };
        let mut report = Report::default();
        for env in envs {
            if self.watch.is_interrupted() {
                break;
            }
            report.outcomes.push(land.env(env.as_ref(), output));
        }
        report.write(self)
    }
}

/// What a push is compared with: what the branch was at, and the first parent, which is another
/// where several commits came at once. By hand, with what was applied last.
fn bases(
    repository: &Repository,
    landing: &Landing,
    head: &CommitId,
) -> Result<Vec<Revision>, Failure> {
    let Some(before) = &landing.before else { return Ok(Vec::new()) };
    let parent = repository.parents(head)?.into_iter().next();
    let named = [Some(CommitId(before.clone())), parent];
    let mut bases: Vec<Revision> = Vec::new();
    for commit in named.into_iter().flatten() {
        let known = bases.iter().any(|it| it.commit == commit);
        let before = repository.has(&commit.0) && repository.descends(head, &commit)?;
        if before && !known {
            bases.push(Revision { rev: landing.branch.clone(), commit });
        }
    }
    Ok(bases)
}

impl Land<'_> {
    fn env(&self, env: Option<&String>, output: &mut Output) -> Outcome {
        let prepared = Prepared::of(&self.request(env, self.bases.first()));
        let name = match (&prepared, env) {
            (Ok(prepared), _) => prepared.env.clone(),
            (Err(_), env) => env.cloned().unwrap_or_else(|| "prod".to_owned()),
        };
        let check = self.ci.desk.open(&super::apply_check(&name), &self.head.commit.0, "Applying");
        let opened = prepared.and_then(|prepared| self.open(&prepared));
        let (state, rules, last) = match opened {
            Ok(opened) => opened,
            Err(failure) => return self.refused(&name, &check, None, &failure, output),
        };
        let plan_check = super::plan_check(&name);
        let gate = match self.gate(&plan_check, &rules, last.as_ref()) {
            Ok(gate) => gate,
            Err(failure) => return self.refused(&name, &check, None, &failure, output),
        };
        let done = if gate.pulls().is_empty() && self.reports_only() {
            self.only_plan(env, &name, &check, &state, output)
        } else {
            let applied = self.apply(env, &name, &gate, &state, output);
            applied.map(|(plan, receipt)| self.applied(&name, &check, &gate, &plan, &receipt))
        };
        done.unwrap_or_else(|failure| self.refused(&name, &check, Some(&gate), &failure, output))
    }

    /// The state, the rules that hold, and the commit that was applied last.
    fn open(&self, prepared: &Prepared) -> Result<(State, Rules, Option<CommitId>), Failure> {
        let state = State::open(prepared)?;
        let last = state.known()?.ledger.and_then(|ledger| ledger.commit.clone());
        let (ruled, policies) = (&self.ruled().commit, self.rules.policies.clone());
        let rules = Rules::at(self.repository, ruled, policies, &prepared.root(), self.ci.desk)?;
        Ok((state, rules, last))
    }

    fn ruled(&self) -> &Revision {
        self.bases.first().unwrap_or(&self.head)
    }

    /// Whether a push without a pull request is only planned.
    fn reports_only(&self) -> bool {
        self.landing.before.is_some() && self.rules.ci.direct_push == DirectPush::Plan
    }

    fn request(&self, env: Option<&String>, base: Option<&Revision>) -> Request {
        Request {
            head: Some(self.head.commit.0.clone()),
            settled: base.cloned(),
            ..self.ci.request(env)
        }
    }

    /// Who approved what: first of all of what is applied now, which is everything since the
    /// commit that was applied last, and at least the newest commit.
    fn gate<'g>(
        &'g self,
        check: &'g str,
        rules: &'g Rules,
        last: Option<&CommitId>,
    ) -> Result<Gate<'g>, Failure> {
        let line = self.repository.line(&self.head.commit, None, LOOK_BACK)?;
        let since = last.or(self.bases.first().map(|it| &it.commit));
        let fresh = match since {
            Some(since) => self.repository.line(&self.head.commit, Some(since), LOOK_BACK)?.len(),
            None => 0,
        };
        let by_hand = self.landing.before.is_none();
        let own = if by_hand { fresh } else { fresh.max(1) };
        let named = self.order.approved.clone().map(|digest| Approved {
            pull: None,
            approval: Some(Approval { digest, plan: None }),
            own: true,
        });
        let gate = Gate {
            desk: self.ci.desk,
            finder: self.finder,
            rules,
            settings: &self.rules.ci,
            check,
            by_hand,
            approved: RefCell::new(named.into_iter().collect()),
            unseen: RefCell::new(line.into_iter().rev().collect()),
            demands: RefCell::default(),
            plan: RefCell::default(),
        };
        gate.look_at(own);
        Ok(gate)
    }

    fn apply(
        &self,
        env: Option<&String>,
        name: &str,
        gate: &Gate<'_>,
        state: &State,
        output: &mut Output,
    ) -> Result<(Plan, progress::Receipt), Failure> {
        let base = self.base(env, gate, state)?;
        let request = self.request(env, base.as_ref());
        let args = self.arguments(env);
        let asked = Asked {
            args: &args,
            request: request.clone(),
            as_of: args.as_of,
            options: Options { targets: args.target.clone(), force: Vec::new() },
            file: None,
        };
        let allows = |plan: &Plan, state: &State| {
            // What the log shows is what is decided on.
            Output::aside(&crate::render::sentence(plan));
            gate.allows(plan, Some(state))
        };
        let begins = |plan: &Plan| {
            if !plan.steps.is_empty() {
                self.say(name, gate, Status::Applying, Some(&self.named(plan.clone())));
            }
        };
        let hooks = Hooks { allows: &allows, begins: &begins };
        let prepared = Prepared::of(&request)?;
        let receipt = apply::perform(&asked, prepared, state, self.ci.watch, &hooks, output)?;
        Ok((self.named(receipt.plan.clone()), receipt))
    }

    /// A plan whose sides are called as people call them.
    fn named(&self, mut plan: Plan) -> Plan {
        plan.base.rev.clone_from(&self.landing.branch);
        plan.head.rev.clone_from(&self.landing.branch);
        plan
    }

    /// The base that gives the plan which was approved, where there are several to choose from.
    fn base(
        &self,
        env: Option<&String>,
        gate: &Gate<'_>,
        state: &State,
    ) -> Result<Option<Revision>, Failure> {
        if self.bases.len() < 2 {
            return Ok(self.bases.first().cloned());
        }
        for base in &self.bases {
            let prepared = Prepared::of(&self.request(env, Some(base)))?;
            let made = planned(prepared, Some(state), self.ci.day(), &Options::default())?;
            if gate.knows(&made.plan.digest) {
                return Ok(Some(base.clone()));
            }
        }
        Ok(self.bases.first().cloned())
    }

    fn arguments(&self, env: Option<&String>) -> ApplyArgs {
        let Order { targets, archived, done, allow_older, .. } = self.order;
        let args = self.ci.args;
        ApplyArgs {
            repo: RepoArgs {
                repo: args.repo.clone(),
                env: env.cloned(),
                root: args.root.clone(),
                settings: args.settings.clone(),
                no_cache: args.no_cache,
            },
            as_of: args.as_of,
            target: targets.clone(),
            archived: archived.clone(),
            done: done.clone(),
            allow_older: *allow_older,
            lock_timeout: args.lock_timeout,
            yes: true,
            format: ProgressFormat::Text,
            ..ApplyArgs::default()
        }
    }

    /// Says the same on every pull request that came with what is applied; gives where.
    fn say(
        &self,
        env: &str,
        gate: &Gate<'_>,
        status: Status<'_>,
        plan: Option<&Plan>,
    ) -> Option<String> {
        let demands = gate.demands.borrow();
        let say = self.what(env, status, plan, &demands);
        let mut url = None;
        for pull in gate.concerned(plan) {
            let said = comments::say(self.ci.desk, pull.number, &say);
            url = url.or(said.url);
        }
        url
    }

    fn applied(
        &self,
        env: &str,
        check: &Open,
        gate: &Gate<'_>,
        plan: &Plan,
        receipt: &progress::Receipt,
    ) -> Outcome {
        let told = told(receipt, &self.ci.actions.run);
        let (status, conclusion, title) = match receipt.exit {
            Exit::Done => (Status::Applied(&told), Conclusion::Success, "Applied"),
            Exit::Interrupted => (Status::Interrupted(&told), Conclusion::Cancelled, "Interrupted"),
            _ => (Status::Partly(&told), Conclusion::Failure, "Partly applied"),
        };
        let comment = self.say(env, gate, status, Some(plan));
        let demands = gate.demands.borrow();
        let say = self.what(env, status, Some(plan), &demands);
        let ending = Ending {
            conclusion,
            title: format!("{title}: {}", plan::title(plan, None)),
            stands_for: Some(plan),
            annotations: Vec::new(),
            exit: receipt.exit,
            comment,
        };
        tell::end(self.ci, check, &say, ending)
    }

    fn what<'s>(
        &'s self,
        env: &'s str,
        status: Status<'s>,
        plan: Option<&'s Plan>,
        demands: &'s [Demand],
    ) -> Say<'s> {
        let head = self.head.commit.0.as_str();
        Say { env, status, plan, head, demands, overlaps: &[], notes: &[] }
    }

    fn refused(
        &self,
        env: &str,
        check: &Open,
        gate: Option<&Gate<'_>>,
        failure: &Failure,
        output: &mut Output,
    ) -> Outcome {
        output.tell(failure);
        let mut trouble = report::trouble_of(failure);
        // What the command line would take, a comment takes too.
        if trouble.next.iter().any(|it| it.contains("chronon-plan apply ")) {
            trouble.next.push(BY_COMMENT.to_owned());
        }
        let status = Status::Refused(&trouble);
        // What an old run has to say is nothing to a pull request that newer ones have applied.
        let gate = gate.filter(|_| failure.exit != Exit::Stale);
        let plan = gate.and_then(|gate| gate.plan.borrow().clone()).map(|it| self.named(it));
        let comment = gate.and_then(|gate| self.say(env, gate, status, plan.as_ref()));
        let demands = gate.map(|gate| gate.demands.borrow().clone()).unwrap_or_default();
        let say = self.what(env, status, plan.as_ref(), &demands);
        let conclusion = match failure.exit {
            Exit::Policy => Conclusion::ActionRequired,
            Exit::Interrupted => Conclusion::Cancelled,
            _ => Conclusion::Failure,
        };
        let ending = Ending {
            conclusion,
            title: failure.what.first().cloned().unwrap_or_default(),
            stands_for: None,
            annotations: Vec::new(),
            exit: failure.exit,
            comment,
        };
        tell::end(self.ci, check, &say, ending)
    }

    /// A push that nobody reviewed, where settings want it planned and no more.
    fn only_plan(
        &self,
        env: Option<&String>,
        name: &str,
        check: &Open,
        state: &State,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        let prepared = Prepared::of(&self.request(env, self.bases.first()))?;
        let made = planned(prepared, Some(state), self.ci.day(), &Options::default())?;
        report::show(&made.plan, output)?;
        Ok(report::unapplied(self.ci, name, check, &made, &self.head.commit))
    }
}

/// A receipt as a comment tells it.
fn told(receipt: &progress::Receipt, run: &str) -> Receipt {
    let failed = receipt.failures.iter().filter_map(|event| match event {
        Progress::Failed { step, what, tail, .. } => Some(FailedStep {
            step: step.clone(),
            what: what.clone(),
            tail: tail.clone(),
            by_hand: false,
        }),
        Progress::ByHand { step, what } => Some(FailedStep {
            step: step.clone(),
            what: what.clone(),
            tail: Vec::new(),
            by_hand: true,
        }),
        _ => None,
    });
    Receipt {
        done: receipt.done,
        failed: failed.collect(),
        skipped: receipt.skipped,
        left: receipt.left,
        serial: receipt.serial,
        again: receipt.needed,
        took: progress::elapsed(receipt.took),
        resume: resume(receipt, run),
    }
}

/// What to do so that the rest is applied.
fn resume(receipt: &progress::Receipt, run: &str) -> Vec<String> {
    if receipt.exit == Exit::Done {
        return Vec::new();
    }
    let by_hand = receipt.failures.iter().filter_map(|event| match event {
        Progress::ByHand { step, .. } => {
            Some(format!("once it is done by hand: comment `/chronon-plan apply --done {step}`"))
        }
        _ => None,
    });
    let again = match run {
        "" => "run the workflow again: only the rest is done",
        _ => {
            "once the cause is mended, re-run the failed jobs of this run, or comment `/chronon-plan apply`: only the rest is done"
        }
    };
    by_hand.chain([again.to_owned()]).collect()
}
