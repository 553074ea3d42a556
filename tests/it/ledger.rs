//! Planning against a ledger, as a value: what was applied decides, whatever base says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use chronon_plan::diff;
use chronon_plan::diff::Change;
use chronon_plan::impact;
use chronon_plan::impact::Verdict;
use chronon_plan::model::catalog::Catalog;
use chronon_plan::model::catalog::Config;
use chronon_plan::model::facts::Extent;
use chronon_plan::model::ledger::Applied;
use chronon_plan::model::ledger::FINGERPRINT_VERSION;
use chronon_plan::model::ledger::Fingerprint;
use chronon_plan::model::ledger::Ledger;
use chronon_plan::model::name::Address;
use chronon_plan::model::name::BlobId;
use chronon_plan::plan;
use chronon_plan::plan::Earlier;
use chronon_plan::plan::Inputs;
use chronon_plan::plan::Lineages;
use chronon_plan::plan::Options;
use chronon_plan::plan::OwnPrints;
use chronon_plan::plan::PlanError;
use chronon_plan::plan::contract::Plan;
use chronon_plan::plan::contract::Scope;
use chronon_plan::plan::settings::EnvSettings;
use chronon_plan::source;
use chronon_plan::source::Cache;
use chronon_plan::source::Content;
use chronon_plan::source::Pair;
use chronon_plan::source::Repository;
use chronon_plan::source::Sides;
use chronon_plan::source::Wanted;

use crate::support::Repo;
use crate::support::project;

/// Two commits, compared and judged, with the fingerprints of every config.
struct Case {
    pair: Pair,
    lineages: Lineages,
    earlier: BTreeMap<(Address, BlobId), Earlier>,
    changes: Vec<(Change, Verdict)>,
    own: OwnPrints,
}

impl Case {
    fn of(repo: &Repo, base: &str, head: &str) -> Self {
        let repository = Repository::open(repo.path()).unwrap();
        let (base, head) = (repository.revision(base).unwrap(), repository.revision(head).unwrap());
        let (root, extent) = ("compiled", Extent::Facts);
        let sides = Sides { base: &base, head: &head, root, dialect: None, extent };
        let pair = source::catalogs(&repository, &sides, &Cache::off()).unwrap();
        let dialect = pair.head.dialect;
        let candidates = diff::candidates(&pair.base, &pair.head);
        let content = |catalog: &Catalog, address| catalog.get(address).map(Content::of);
        let differing: Vec<Wanted> = candidates
            .iter()
            .map(|it| Wanted {
                before: content(&pair.base, &it.address),
                after: content(&pair.head, &it.address),
            })
            .collect();
        let changes = source::documents(&repository, &differing, |at, before, after| {
            let (before, after) = (before.as_ref(), after.as_ref());
            let change = diff::change(&candidates[at], "", dialect, before, after);
            let kind = candidates[at].address.kind;
            let verdict = impact::judge(kind, dialect, &change, before, after);
            (change, verdict)
        });
        let mut own = OwnPrints::default();
        for (catalog, side) in [(&pair.base, &mut own.base), (&pair.head, &mut own.head)] {
            let wanted = |it: &Arc<Config>| Wanted { before: None, after: Some(Content::of(it)) };
            let all: Vec<Wanted> = catalog.configs.iter().map(wanted).collect();
            let prints = source::documents(&repository, &all, |at, _, document| {
                impact::own_all(catalog.configs[at].address.kind, &document.unwrap())
            });
            for (config, prints) in catalog.configs.iter().zip(prints.unwrap()) {
                side.extend(prints.into_iter().map(|it| ((config.address.clone(), it.0), it.1)));
            }
        }
        let lineages = Lineages::of(&pair.base, &pair.head);
        Self { changes: changes.unwrap(), pair, lineages, earlier: BTreeMap::new(), own }
    }

    fn inputs<'a>(
        &'a self,
        ledger: Option<&'a Ledger>,
        fixed: &'a (EnvSettings, Options, BTreeSet<Address>),
    ) -> Inputs<'a> {
        Inputs {
            env: "prod",
            base: &self.pair.base,
            head: &self.pair.head,
            lineages: &self.lineages,
            evaluated: &fixed.2,
            earlier: &self.earlier,
            changes: &self.changes,
            own: &self.own,
            stale_copies: &[],
            ledger,
            state_location: "memory",
            as_of: "2026-11-22".parse().unwrap(),
            settings: &fixed.0,
            options: &fixed.1,
        }
    }

    fn plan(&self, ledger: Option<&Ledger>) -> Result<Plan, PlanError> {
        let mut fixed = Default::default();
        let evaluated = plan::evaluated(&self.inputs(ledger, &fixed));
        fixed.2 = evaluated;
        plan::build(&self.inputs(ledger, &fixed))
    }

    /// The ledger once head is applied.
    fn applied(&self) -> Ledger {
        let fixed = Default::default();
        let entry = |(key, desired): ((_, _), plan::Desired)| {
            let config = self.pair.head.get(&key.0).unwrap();
            let applied = Applied {
                fingerprint: desired.whole,
                own: desired.own,
                upstream: desired.upstream,
                version: FINGERPRINT_VERSION,
                commit: self.pair.head.commit.clone(),
                path: config.path.clone(),
                blob: config.blob,
                range: None,
                run: "test".to_owned(),
                job: None,
                at: String::new(),
                begun: false,
            };
            (key, applied)
        };
        let desired = plan::desired(&self.inputs(None, &fixed)).unwrap();
        let applied: BTreeMap<_, _> = desired.into_iter().map(entry).collect();
        Ledger { lineage: "test".to_owned(), serial: 7, applied, ..Ledger::default() }
    }
}

/// The fixture repository with a change of a staging query that reaches three configs.
fn repository() -> Repo {
    let fixture = project().join("fixtures/zipline");
    let repo = Repo::new();
    repo.copy(&fixture.join("base/compiled"), "compiled");
    repo.commit("base");
    for change in ["staging-sql-changed", "remove-aggregation"] {
        repo.copy(&fixture.join("changes").join(change).join("compiled"), "compiled");
    }
    repo.commit("change");
    repo
}

fn ids(plan: &Plan) -> BTreeSet<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

#[test]
fn what_is_applied_needs_nothing() {
    let repo = repository();
    for commit in ["HEAD~1", "HEAD"] {
        let case = Case::of(&repo, commit, commit);
        let plan = case.plan(Some(&case.applied())).unwrap();
        assert!(plan.is_empty() && plan.orphans.is_empty(), "{:?}", ids(&plan));
        assert!(plan.state.found && plan.state.serial == 7);
    }
    // The convergence of an apply: head was applied, so planning it again is empty.
    let case = Case::of(&repo, "HEAD~1", "HEAD");
    assert!(case.plan(Some(&case.applied())).unwrap().is_empty());
}

#[test]
fn a_ledger_that_holds_base_plans_what_base_plans() {
    let repo = repository();
    let before = Case::of(&repo, "HEAD~1", "HEAD~1").applied();
    let case = Case::of(&repo, "HEAD~1", "HEAD");
    let (with, without) = (case.plan(Some(&before)).unwrap(), case.plan(None).unwrap());
    assert_eq!(with.steps, without.steps);
    assert!(!with.is_empty() && with.steps.iter().all(|step| step.scope == Scope::Change));
    assert_eq!(with.digest, without.digest);
}

#[test]
fn what_was_merged_and_never_applied_is_pending() {
    let repo = repository();
    let before = Case::of(&repo, "HEAD~1", "HEAD~1").applied();
    let late = Case::of(&repo, "HEAD", "HEAD").plan(Some(&before)).unwrap();
    let now = Case::of(&repo, "HEAD~1", "HEAD").plan(Some(&before)).unwrap();
    assert_eq!(ids(&late), ids(&now));
    assert!(late.steps.iter().all(|step| step.scope == Scope::Pending));
}

#[test]
fn what_a_ledger_lacks_is_new_and_what_head_lacks_is_left_behind() {
    let repo = repository();
    let case = Case::of(&repo, "HEAD", "HEAD");
    let mut ledger = case.applied();
    let (key, applied) = ledger.applied.pop_first().unwrap();
    let plan = case.plan(Some(&ledger)).unwrap();
    let configs: BTreeSet<_> = plan.steps.iter().map(|step| step.config.clone()).collect();
    assert_eq!(configs, BTreeSet::from([key.0.clone()]));
    let gone = "group_bys/long.gone.thing__1".parse().unwrap();
    ledger.applied.insert((gone, key.1), applied.clone());
    ledger.applied.insert(key, applied);
    let plan = case.plan(Some(&ledger)).unwrap();
    assert!(plan.is_empty());
    assert_eq!(plan.orphans[0].config.to_string(), "group_bys/long.gone.thing__1");
}

#[test]
fn fingerprints_of_other_rules_are_refused() {
    let repo = repository();
    let case = Case::of(&repo, "HEAD", "HEAD");
    let mut ledger = case.applied();
    ledger.applied.first_entry().unwrap().get_mut().version = FINGERPRINT_VERSION + 1;
    let refused = case.plan(Some(&ledger)).unwrap_err();
    assert!(matches!(refused, PlanError::LedgerVersion { .. }));
}

/// A ledger as a version with other rules would have written it.
fn of_older_rules(ledger: &Ledger) -> Ledger {
    let old = |print: Fingerprint| Fingerprint(print.0.map(|byte| byte ^ 0x5a));
    let mut ledger = ledger.clone();
    for applied in ledger.applied.values_mut() {
        applied.version = FINGERPRINT_VERSION - 1;
        applied.fingerprint = old(applied.fingerprint);
        applied.own = old(applied.own);
        applied.upstream.iter_mut().for_each(|it| it.1 = old(it.1));
    }
    ledger
}

#[test]
fn new_rules_are_no_reason_for_a_job() {
    let repo = repository();
    let case = Case::of(&repo, "HEAD", "HEAD");
    let applied = case.applied();
    let reprint =
        |address: &Address, resource, _| case.own.head.get(&(address.clone(), resource)).copied();
    let upgraded = plan::upgraded(of_older_rules(&applied), &reprint);
    assert_eq!(upgraded, applied);
    assert!(case.plan(Some(&upgraded)).unwrap().is_empty());
}

#[test]
fn a_job_that_was_owed_before_new_rules_is_owed_after() {
    let repo = repository();
    let case = Case::of(&repo, "HEAD", "HEAD");
    let mut old = of_older_rules(&case.applied());
    // It was computed from a table that has become another since.
    let reader = old.applied.iter_mut().find(|it| !it.1.upstream.is_empty()).unwrap();
    reader.1.upstream[0].1 = Fingerprint([7; 32]);
    let owed = reader.0.clone();
    let reprint =
        |address: &Address, resource, _| case.own.head.get(&(address.clone(), resource)).copied();
    let plan = case.plan(Some(&plan::upgraded(old, &reprint))).unwrap();
    assert!(!plan.is_empty());
    let configs: BTreeSet<_> = plan.steps.iter().map(|step| step.config.clone()).collect();
    assert!(configs.contains(&owed.0), "{owed:?} is not in {configs:?}");
}

/// What holds of every ledger: looking at what may have changed finds what looking at everything
/// finds.
#[test]
fn what_is_not_looked_at_needs_nothing() {
    let repo = repository();
    let case = Case::of(&repo, "HEAD~1", "HEAD");
    let before = Case::of(&repo, "HEAD~1", "HEAD~1").applied();
    let after = Case::of(&repo, "HEAD", "HEAD").applied();
    let gone: Address = "group_bys/long.gone.thing__1".parse().unwrap();
    let all: BTreeSet<Address> = before.applied.keys().map(|key| key.0.clone()).collect();
    let everything: BTreeSet<Address> = case
        .pair
        .base
        .configs
        .iter()
        .chain(&case.pair.head.configs)
        .map(|it| it.address.clone())
        .chain([gone.clone()])
        .collect();
    let mut looked_at = BTreeSet::new();
    for seed in 0_u64..400 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut ledger = if next(2) == 0 { before.clone() } else { after.clone() };
        let other = if next(2) == 0 { &before } else { &after };
        let keys: Vec<_> = ledger.applied.keys().cloned().collect();
        for key in keys {
            match next(12) {
                0 => drop(ledger.applied.remove(&key)),
                1 => drop(other.applied.get(&key).map(|it| ledger.applied.insert(key, it.clone()))),
                2 if next(4) == 0 => {
                    let applied = ledger.applied.get_mut(&key).unwrap();
                    applied.upstream.iter_mut().for_each(|it| it.1 = Fingerprint([9; 32]));
                }
                3 if next(8) == 0 => {
                    let applied = ledger.applied[&key].clone();
                    ledger.applied.insert((gone.clone(), key.1), applied);
                }
                _ => {}
            }
        }
        let fixed = Default::default();
        let inputs = case.inputs(Some(&ledger), &fixed);
        let reached = plan::evaluated(&inputs);
        let plan_of = |evaluated| plan::build(&Inputs { evaluated, ..inputs }).unwrap();
        let (some, whole) = (plan_of(&reached), plan_of(&everything));
        let essence = |plan: &Plan| (plan.steps.clone(), plan.orphans.clone());
        // A reader whose recorded table is of no known state differs from what its whole
        // fingerprint says; both ways must see it alike.
        assert_eq!(essence(&some), essence(&whole), "seed {seed}");
        looked_at.insert(all.iter().filter(|it| reached.contains(*it)).count());
    }
    assert!(looked_at.len() > 3 && looked_at.first() < Some(&all.len()), "{looked_at:?}");
}
