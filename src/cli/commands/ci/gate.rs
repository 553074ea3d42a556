//! Whether a plan may be applied: it is what was approved, and every policy is met.
//!
//! # Why
//! A digest stands on the check of the pull request that brought a commit. Where the plan is
//! another by now, what was approved is compared step by step: an earlier pull request that was
//! merged and not applied yet accounts for its own steps, so commits are gone through, the newest
//! first, until every step is accounted for.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::state::State;
use super::super::checks;
use super::desk::Approval;
use super::desk::Desk;
use super::people;
use super::people::Rules;
use super::pulls::Finder;
use crate::model::ledger::Ledger;
use crate::model::name::CommitId;
use crate::model::name::Resource;
use crate::plan;
use crate::plan::approval;
use crate::plan::contract::Plan;
use crate::plan::contract::Step;
use crate::plan::policy::Demand;
use crate::plan::settings::DirectPush;
use crate::publish::PullRef;
use crate::publish::record::Maker;
use crate::source::Repository;

/// How many commits are gone back to find who approved what.
pub(super) const LOOK_BACK: usize = 30;

const NO_PULL: &str = "what is to be applied came with no pull request, so nobody has approved it";
const DIRECT: &str =
    "or let pushes be applied as they come: `direct_push = \"apply\"` under `[ci]`";

/// Something that was reviewed.
#[derive(Clone, Debug)]
pub(super) struct Approved {
    /// The pull request; none for a digest that somebody named.
    pub(super) pull: Option<PullRef>,
    /// What its newest check stands for, if it has one.
    pub(super) approval: Option<Approval>,
    /// Whether it came with what is applied now, and not before.
    pub(super) own: bool,
    /// What is left to do of its plan, where that was kept.
    left: Option<Plan>,
}

impl Approved {
    /// Something that was approved and is not merged yet, or a digest that somebody named.
    pub(super) fn whole(pull: Option<PullRef>, approval: Option<Approval>) -> Self {
        let left = approval.as_ref().and_then(|it| it.plan.clone());
        Self { pull, approval, own: true, left }
    }
}

/// What asks for a plan to be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// A push to the default branch.
    Push,
    /// Somebody.
    Person,
    /// A merge queue.
    Queue,
}

/// What is known of approvals, and where to look for more.
pub(super) struct Gate<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) finder: &'a Finder<'a>,
    pub(super) repository: &'a Repository,
    /// Whatever any of these demands.
    pub(super) rules: &'a [Rules],
    /// The name of the check that approvals are read from.
    pub(super) check: &'a str,
    pub(super) asks: Asks,
    /// What is applied: an approval counts until then, and not for ever.
    pub(super) ledger: Option<Arc<Ledger>>,
    pub(super) approved: RefCell<Vec<Approved>>,
    /// Commits that were not looked at yet, the newest last.
    pub(super) unseen: RefCell<Vec<(CommitId, String)>>,
    /// What was found of policies.
    pub(super) demands: RefCell<Vec<Demand>>,
    /// The plan that was asked about.
    pub(super) plan: RefCell<Option<Plan>>,
    /// Whether its jobs were begun.
    pub(super) begun: Cell<bool>,
}

impl Gate<'_> {
    /// Looks at the commits that are applied now: `own` of them, the newest first.
    pub(super) fn look_at(&self, own: usize) {
        for _ in 0..own {
            self.look(true);
        }
    }

    /// Looks at one more commit; whether there was one.
    fn look(&self, own: bool) -> bool {
        let Some((commit, message)) = self.unseen.borrow_mut().pop() else { return false };
        let queued =
            || (self.asks == Asks::Queue).then(|| self.finder.of_queued(&message)).flatten();
        let pull = self.finder.of_commit(&commit, &message).or_else(queued);
        let known = pull.as_ref().is_some_and(|pull| {
            let same = |it: &Approved| it.pull.as_ref().is_some_and(|it| it.number == pull.number);
            self.approved.borrow().iter().any(same)
        });
        if known {
            return true;
        }
        // A merge queue checks the very commit that lands.
        let landed = self.desk.approval(self.check, &commit.0, Maker::Queue);
        let approval = landed.or_else(|| {
            let pull = pull.as_ref()?;
            self.desk.approval(self.check, &pull.head_sha, Maker::Pull)
        });
        if pull.is_some() || approval.is_some() {
            let left = approval.as_ref().and_then(|it| it.plan.as_ref());
            let left = left.map(|plan| self.left_of(plan, &commit));
            self.approved.borrow_mut().push(Approved { pull, approval, own, left });
        }
        true
    }

    /// The pull requests that came with what is applied now.
    pub(super) fn pulls(&self) -> Vec<PullRef> {
        let approved = self.approved.borrow();
        approved.iter().filter(|it| it.own).filter_map(|it| it.pull.clone()).collect()
    }

    /// Those, and the ones merged before of which a plan does what was left undone.
    pub(super) fn concerned(&self, plan: Option<&Plan>) -> Vec<PullRef> {
        let brings = |it: &&Approved| {
            let both = it.left.as_ref().zip(plan);
            it.own || both.is_some_and(|(before, now)| approval::share(before, now))
        };
        let approved = self.approved.borrow();
        approved.iter().filter(brings).filter_map(|it| it.pull.clone()).collect()
    }

    /// Whether what is applied now was approved with this digest.
    pub(super) fn knows(&self, digest: &str) -> bool {
        let same = |it: &Approved| it.approval.as_ref().is_some_and(|it| it.digest == digest);
        self.approved.borrow().iter().any(|it| it.own && same(it))
    }

    /// Lets a plan through, or says what is in its way.
    pub(super) fn allows(&self, plan: &Plan, state: Option<&State>) -> Result<(), Failure> {
        *self.plan.borrow_mut() = Some(plan.clone());
        if plan.is_empty() {
            return Ok(());
        }
        self.is_approved(plan, state)?;
        let demands = self.demanded(plan);
        *self.demands.borrow_mut() = demands.clone();
        missing(&demands).map_or(Ok(()), Err)
    }

    fn is_approved(&self, plan: &Plan, state: Option<&State>) -> Result<(), Failure> {
        let is_rest = || state.is_some_and(|it| self.is_rest(plan, it));
        if self.knows(&plan.digest) || is_rest() {
            return Ok(());
        }
        while !self.coverage(plan).is_seen() && self.look(false) {}
        // Only by now is known what was approved of a commit that somebody applies by hand.
        if is_rest() {
            return Ok(());
        }
        let coverage = self.coverage(plan);
        // A part of a plan lacks what was left out of it.
        if coverage.is_seen() && (coverage.missing.is_empty() || !plan.complete) {
            self.desk.note("the digest is another, but every step and every schedule was approved: by this pull request, or by those merged before it");
            return Ok(());
        }
        if coverage.is_seen() && self.rules.iter().all(|it| it.ci.applies_smaller) {
            self.desk
                .note("the plan asks for less than what was approved, which `ci.smaller` allows");
            return Ok(());
        }
        if self.desk.is_blind() {
            return Err(Failure::new(
                "nobody can tell what was approved: GitHub could not be read",
            )
            .hint("run the job again; the lines above say what is in the way"));
        }
        self.unapproved(plan)
    }

    /// What is said of a plan that nobody approved; a push may be let through all the same.
    fn unapproved(&self, plan: &Plan) -> Result<(), Failure> {
        let approved = self.approved.borrow();
        let has_approval =
            |own: bool| approved.iter().any(|it| it.own == own && it.approval.is_some());
        let own_pull = approved.iter().find(|it| it.own).and_then(|it| it.pull.as_ref());
        let by_hand = self.asks == Asks::Person;
        match own_pull {
            _ if has_approval(true) || (by_hand && has_approval(false)) => Err(self.differs(plan)),
            Some(pull) => {
                let head = CommitId(pull.head_sha.clone());
                let what = format!(
                    "pull request #{} has no approved plan: no check `{}` with a digest on {}",
                    pull.number,
                    self.check,
                    head.short()
                );
                Err(unapproved(&what, plan))
            }
            None if by_hand => Err(unapproved("nobody has approved what is to be applied", plan)),
            None if people::direct_push(self.rules) == DirectPush::Apply => Ok(()),
            None => Err(unapproved(NO_PULL, plan).hint(DIRECT)),
        }
    }

    /// Whether an earlier run of the same commit began what this one would end.
    fn is_rest(&self, plan: &Plan, state: &State) -> bool {
        let approved = self.approved.borrow();
        let digests = approved.iter().filter_map(|it| Some(&it.approval.as_ref()?.digest));
        let kept = |digest: &String| checks::kept_plan(digest, state);
        digests.filter_map(kept).any(|before| plan::is_rest(&before, plan))
    }

    fn coverage(&self, plan: &Plan) -> approval::Coverage {
        let approved = self.approved.borrow();
        let own = approved.iter().filter(|it| it.own).filter_map(|it| it.left.as_ref());
        let all = approved.iter().filter_map(|it| it.left.as_ref());
        approval::coverage(&own.collect::<Vec<_>>(), &all.collect::<Vec<_>>(), plan)
    }

    /// What is left of a plan that was approved and landed with a commit: an approval is used up by
    /// what was applied since, so that what was taken back does not come again by it.
    fn left_of(&self, plan: &Plan, landed: &CommitId) -> Plan {
        let Some(ledger) = &self.ledger else { return plan.clone() };
        let known: RefCell<BTreeMap<CommitId, bool>> = RefCell::default();
        let since = |commit: &CommitId| {
            let found = || self.repository.descends(commit, landed).unwrap_or(false);
            *known.borrow_mut().entry(commit.clone()).or_insert_with(found)
        };
        let spent = |step: &Step| {
            let resource = Resource::by_name(&step.resource);
            let key = resource.map(|resource| (step.config.clone(), resource));
            let applied = key.and_then(|key| ledger.applied.get(&key)).filter(|it| !it.begun);
            applied.is_some_and(|it| since(&it.commit))
        };
        let published = ledger.schedules.as_ref().is_some_and(|it| since(&it.commit));
        approval::unspent(plan, &spent, published)
    }

    fn differs(&self, plan: &Plan) -> Failure {
        let approved = self.approved.borrow();
        let newest = approved.iter().find_map(|it| it.approval.as_ref());
        let (digest, before) =
            newest.map_or(("", None), |it| (it.digest.as_str(), it.plan.as_ref()));
        let what = format!("the plan is {}, not {digest}, which was approved", plan.digest);
        checks::differs(Failure::new(what).hint(again(plan)), before, plan)
    }

    /// What policies demand: of each pull request for its own share of the plan, and of the newest
    /// for what none accounts for.
    fn demanded(&self, plan: &Plan) -> Vec<Demand> {
        let approved = self.approved.borrow();
        let (pulls, plans): (Vec<Option<&PullRef>>, Vec<&Plan>) =
            approved.iter().filter_map(|it| Some((it.pull.as_ref(), it.left.as_ref()?))).unzip();
        let newest = approved.iter().filter(|it| it.own).find_map(|it| it.pull.as_ref());
        let shares = approval::shares(&plans, plan);
        let answers = pulls.into_iter().chain([newest]).zip(shares);
        let each = answers.flat_map(|(pull, share)| {
            let demanded = |rules: &Rules| rules.demands(self.desk, &share, pull);
            self.rules.iter().flat_map(demanded).collect::<Vec<_>>()
        });
        let mut demands: Vec<Demand> = Vec::new();
        for demand in each {
            if !demands.contains(&demand) {
                demands.push(demand);
            }
        }
        demands
    }
}

/// How somebody who looked at a plan lets it through.
fn again(plan: &Plan) -> String {
    format!(
        "look at it; if it is right, run the workflow by hand with `command` = apply and `approved` = {}",
        plan.digest
    )
}

fn unapproved(what: &str, plan: &Plan) -> Failure {
    Failure::new(what).ends(Exit::Policy).hint(again(plan))
}

/// What is missing of what policies demand, if anything.
pub(super) fn missing(demands: &[Demand]) -> Option<Failure> {
    let lacking: Vec<&Demand> = demands.iter().filter(|it| !it.missing.is_empty()).collect();
    let (first, _) = lacking.split_first()?;
    let mut failure = Failure::new(match lacking.len() {
        1 => format!("policy `{}` is not met", first.policy),
        many => format!("{many} policies are not met"),
    })
    .ends(Exit::Policy);
    for demand in lacking {
        failure = failure.lines([format!("`{}`: {}", demand.policy, demand.why)]);
        failure = failure.lines(demand.missing.iter().map(|it| format!("  missing: {it}")));
        if !demand.ask.is_empty() {
            failure = failure.hint(format!("`{}`: ask {}", demand.policy, demand.ask.join(", ")));
        }
    }
    Some(failure)
}
