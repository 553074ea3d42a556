//! Applying what came to the default branch, and turning comments into receipts.

use std::cell::Cell;
use std::cell::RefCell;
use std::sync::Arc;

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
use super::super::resume::Resumed;
use super::Ci;
use super::comments;
use super::comments::Say;
use super::desk::Approval;
use super::desk::Open;
use super::gate::Approved;
use super::gate::Asks;
use super::gate::Gate;
use super::gate::LOOK_BACK;
use super::intent::Landing;
use super::intent::Order;
use super::people;
use super::people::Rules;
use super::plan;
use super::pulls::Finder;
use super::receipt;
use super::report;
use super::report::Outcome;
use super::report::Report;
use super::tell;
use super::tell::Ending;
use crate::model::ledger::Ledger;
use crate::model::name::CommitId;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::plan::policy::Demand;
use crate::plan::settings::DirectPush;
use crate::publish::objects::Conclusion;
use crate::publish::record::Maker;
use crate::render::comment::Status;
use crate::render::visible;
use crate::source::Repository;
use crate::source::Revision;

const BY_COMMENT: &str =
    "or write it as a comment here: `/chronon-plan apply` with the same options";

/// What came to the branch, with what is needed to apply it.
pub(super) struct Land<'a> {
    pub(super) ci: &'a Ci<'a>,
    pub(super) order: &'a Order,
    pub(super) landing: &'a Landing,
    pub(super) repository: &'a Repository,
    pub(super) finder: &'a Finder<'a>,
    pub(super) head: Revision,
    /// What the commit is compared with, the likeliest first; empty for what was applied last.
    pub(super) bases: Vec<Revision>,
    /// What was begun and is gone on with.
    pub(super) resumed: Option<Resumed>,
}

/// What an env is applied against.
struct Ground {
    state: State,
    rules: Vec<Rules>,
    ledger: Option<Arc<Ledger>>,
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
        is_merged(&repository, landing, &head.commit)?;
        let bases = bases(&repository, landing, &head.commit)?;
        let before = bases.first().map_or(&head.commit, |base| &base.commit);
        let settings = self.rules_of(&repository, &head.commit, before)?;
        let finder = Finder::of(self.desk, &repository, &landing.branch);
        let envs = self.envs(&settings, order);
        let (repository, finder, resumed) = (&repository, &finder, None);
        let land = Land { ci: self, order, landing, repository, finder, head, bases, resumed };
        let mut report = Report::default();
        for env in envs {
            if self.watch.is_interrupted() {
                break;
            }
            self.watch.renew();
            report.outcomes.push(land.env(env.as_ref(), output));
        }
        let exit = report.write(self)?;
        Ok(if self.watch.is_interrupted() { Exit::Interrupted } else { exit })
    }
}

/// What somebody asks for by hand must be merged: what is checked out could be anything.
pub(super) fn is_merged(
    repository: &Repository,
    landing: &Landing,
    head: &CommitId,
) -> Result<(), Failure> {
    if landing.after.is_some() {
        return Ok(());
    }
    let branch = &landing.branch;
    let remote = format!("refs/remotes/origin/{branch}");
    let local = format!("refs/heads/{branch}");
    let tip = repository.revision(&remote).or_else(|_| repository.revision(&local))?;
    if repository.descends(&tip.commit, head)? {
        return Ok(());
    }
    let what = format!("{} is not on `{branch}`: only what is merged is applied", head.short());
    Err(Failure::new(what).ends(Exit::Policy).hint(format!(
        "let actions/checkout check out `{branch}`: no `ref:`, and `fetch-depth: 0`"
    )))
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

/// The commit that was applied last.
fn last_of(ledger: Option<&Arc<Ledger>>) -> Option<&CommitId> {
    ledger?.commit.as_ref()
}

impl Land<'_> {
    /// Applies in one env.
    pub(super) fn env(&self, env: Option<&String>, output: &mut Output) -> Outcome {
        let prepared = Prepared::of(&self.request(env, self.bases.first()));
        let name = super::name_of(prepared.as_ref().ok(), env);
        let check = self.ci.desk.open(&super::apply_check(&name), &self.head.commit.0, "Applying");
        let ground = prepared.and_then(|prepared| self.ground(&prepared));
        let ground = match ground {
            Ok(ground) => ground,
            Err(failure) => return self.refused(&name, &check, None, &failure, output),
        };
        let plan_check = super::plan_check(&name);
        let begun = self.nothing_forgotten(&plan_check, &ground);
        let gate = match begun.and_then(|()| self.gate(&plan_check, &ground)) {
            Ok(gate) => gate,
            Err(failure) => return self.refused(&name, &check, None, &failure, output),
        };
        let only_plan = self.landing.before.is_some()
            && people::direct_push(&ground.rules) == DirectPush::Plan
            && gate.pulls().is_empty();
        let done = if only_plan {
            self.only_plan(env, &name, &check, &ground.state, output)
        } else {
            let applied = self.apply(env, &name, &gate, &ground.state, output);
            applied.map(|(plan, receipt)| self.applied(&name, &check, &gate, &plan, &receipt))
        };
        done.unwrap_or_else(|failure| self.refused(&name, &check, Some(&gate), &failure, output))
    }

    /// The state, the ledger, and the rules that hold: those of the commit that was applied last,
    /// for whatever came since must not have loosened what holds for it; and those of the commit
    /// before this one, for what was merged and not applied yet may have tightened them.
    fn ground(&self, prepared: &Prepared) -> Result<Ground, Failure> {
        let state = self.ci.state(prepared)?;
        let ledger = state.known()?.ledger;
        let last = last_of(ledger.as_ref()).filter(|it| self.repository.has(&it.0));
        let parent = self.repository.parents(&self.head.commit)?.into_iter().next();
        let base = self.bases.first().map(|it| it.commit.clone()).or(parent);
        let mut ruled: Vec<CommitId> = last.cloned().into_iter().chain(base).collect();
        ruled.dedup();
        if ruled.is_empty() {
            ruled.push(self.head.commit.clone());
        }
        let root = prepared.root();
        let rules = ruled.iter().map(|commit| {
            let settings = self.ci.rules_of(self.repository, commit, &self.head.commit)?;
            Ok(Rules::at(self.repository, commit, settings, &root, self.ci.desk)?)
        });
        let rules = rules.collect::<Result<Vec<Rules>, Failure>>()?;
        Ok(Ground { state, rules, ledger })
    }

    /// A first ledger takes what came before as applied. Pull requests that were promised jobs would
    /// lose them that way, where their own run was dropped or refused.
    fn nothing_forgotten(&self, check: &str, ground: &Ground) -> Result<(), Failure> {
        let Some(base) = self.bases.first().filter(|_| ground.ledger.is_none()) else {
            return Ok(());
        };
        let desk = self.ci.desk;
        let mut promised = Vec::new();
        let mut before = None;
        for (commit, message) in self.repository.line(&base.commit, None, LOOK_BACK)? {
            let Some(pull) = self.finder.of_commit(&commit, &message) else { continue };
            let approval = desk.approval(check, &pull.head_sha, Maker::Pull);
            if approval.is_some_and(|it| it.plan.is_none_or(|plan| !plan.steps.is_empty())) {
                promised.push(format!("#{} {}", pull.number, visible(&pull.title)));
                before = self.repository.parents(&commit)?.into_iter().next();
            }
        }
        if promised.is_empty() {
            return Ok(());
        }
        let what = "there is no ledger yet, and pull requests before this one have jobs that no run of this workflow has done";
        let adopt = |commit: &CommitId, which: &str| {
            format!(
                "or chronon-plan state adopt --commit {commit}, if {which}; then run this again"
            )
        };
        let mut failure = Failure::new(what).ends(Exit::Policy).lines(promised).hint(
            "re-run the run of the oldest of them on this branch, then those after it: each applies its own",
        );
        if let Some(before) = before {
            failure = failure.hint(adopt(&before, "none of them ran: they are applied with this"));
        }
        Err(failure.hint(adopt(&base.commit, "somebody ran them all")))
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
    fn gate<'g>(&'g self, check: &'g str, ground: &'g Ground) -> Result<Gate<'g>, Failure> {
        let line = self.repository.line(&self.head.commit, None, LOOK_BACK)?;
        let since = last_of(ground.ledger.as_ref()).or(self.bases.first().map(|it| &it.commit));
        let fresh = match since {
            Some(since) => self.repository.line(&self.head.commit, Some(since), LOOK_BACK)?.len(),
            None => 0,
        };
        let pushed = self.landing.before.is_some() || self.resumed.is_some();
        let asks = if pushed { Asks::Push } else { Asks::Person };
        let own = if asks == Asks::Push { fresh.max(1) } else { fresh };
        let named = self.order.approved.clone();
        let named =
            named.map(|digest| Approved::whole(None, Some(Approval { digest, plan: None })));
        let gate = Gate {
            desk: self.ci.desk,
            finder: self.finder,
            repository: self.repository,
            rules: &ground.rules,
            check,
            asks,
            ledger: ground.ledger.clone(),
            approved: RefCell::new(named.into_iter().collect()),
            unseen: RefCell::new(line.into_iter().rev().collect()),
            demands: RefCell::default(),
            plan: RefCell::default(),
            begun: Cell::new(false),
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
        let prepared = Prepared::of(&request)?;
        let mut args = self.arguments(env);
        let airflow = &prepared.settings.airflow;
        args.detach = airflow.runs && airflow.detaches_ci;
        if let Some(resumed) = &self.resumed {
            args = apply::resuming(&args, &resumed.begun);
        }
        let asked = match &self.resumed {
            Some(resumed) => apply::going_on(&args, request, resumed.clone()),
            None => Asked {
                args: &args,
                request,
                as_of: args.as_of,
                options: Options { targets: args.target.clone(), force: Vec::new() },
                file: None,
                resumes: None,
            },
        };
        let allows = |plan: &Plan, state: &State| {
            // What the log shows is what is decided on.
            Output::aside(&crate::render::sentence(plan));
            gate.allows(plan, Some(state))
        };
        let begins = |plan: &Plan| {
            gate.begun.set(!plan.is_empty());
            // What was begun before is applying already.
            if !plan.is_empty() && self.resumed.is_none() {
                self.say(name, gate, Status::Applying, Some(&self.named(plan.clone())));
            }
        };
        let hooks = Hooks { allows: &allows, begins: &begins };
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
        let told = receipt::told(receipt, &self.ci.actions.run);
        let (status, conclusion, title) = match receipt.exit {
            _ if receipt.is_under_way() => {
                (Status::Running(&told), Conclusion::Neutral, "Running in Airflow")
            }
            // A part of what is needed, as somebody asked for.
            Exit::Done if receipt.needed.map_or(!plan.complete, |it| it > 0) => {
                (Status::Partly(&told), Conclusion::Success, "Applied in part")
            }
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
            stands_for: Some((plan, Maker::Apply)),
            annotations: Vec::new(),
            // What runs as it should is no failure of this job.
            exit: if receipt.is_under_way() { Exit::Done } else { receipt.exit },
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
        Say { demands, ..Say::of(env, status, plan, &self.head.commit.0) }
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
        let begun = gate.is_some_and(|gate| gate.begun.get());
        let status = if begun { Status::Broken(&trouble) } else { Status::Refused(&trouble) };
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
