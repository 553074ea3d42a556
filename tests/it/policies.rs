//! Policies: which plans fall under them, what is missing, who can give it; and laws that hold for
//! any policy, plan and pull request.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use chronon_plan::model::name::Address;
use chronon_plan::plan::contract::Cause;
use chronon_plan::plan::contract::Change;
use chronon_plan::plan::contract::Columns;
use chronon_plan::plan::contract::Kind;
use chronon_plan::plan::contract::Plan;
use chronon_plan::plan::contract::Range;
use chronon_plan::plan::contract::Rewrite;
use chronon_plan::plan::contract::Scope;
use chronon_plan::plan::contract::Side;
use chronon_plan::plan::contract::State;
use chronon_plan::plan::contract::Step;
use chronon_plan::plan::contract::Summary;
use chronon_plan::plan::contract::Trigger;
use chronon_plan::plan::contract::Warning;
use chronon_plan::plan::policy::Demand;
use chronon_plan::plan::policy::Policy;
use chronon_plan::plan::policy::Standing;
use chronon_plan::plan::policy::WHENS;
use chronon_plan::plan::policy::When;
use chronon_plan::plan::policy::Who;
use chronon_plan::plan::policy::demands;
use chronon_plan::plan::policy::is_handle;
use proptest::collection::btree_set;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::sample::select;
use proptest::sample::subsequence;

use crate::laws::check;

fn plan() -> Plan {
    let side = |rev: &str| Side { rev: rev.to_owned(), commit: "0".repeat(40) };
    Plan {
        schema_version: 1,
        digest: String::new(),
        env: "prod".to_owned(),
        dialect: "zip".to_owned(),
        as_of: "2026-11-22".parse().unwrap(),
        complete: true,
        base: side("main"),
        head: side("HEAD"),
        state: State { location: String::new(), lineage: None, serial: 0, found: false },
        summary: Summary::default(),
        changes: Vec::new(),
        steps: Vec::new(),
        orphans: Vec::new(),
        warnings: Vec::new(),
        other_files: Vec::new(),
        skipped_files: Vec::new(),
        schedules: None,
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn step(config: &str, mode: &str) -> Step {
    Step {
        blob: String::new(),
        id: format!("{config}#{mode}"),
        config: address(config),
        path: format!("compiled/{config}"),
        mode: mode.to_owned(),
        resource: "table".to_owned(),
        cause: Cause::Changed,
        scope: Scope::Change,
        trigger: Trigger::Apply,
        because: Vec::new(),
        after: Vec::new(),
        range: None,
        rewrite: None,
        argv: Vec::new(),
        manual: None,
    }
}

/// A backfill of so many days; without a start where they are none.
fn backfill(config: &str, rewrite: Rewrite, days: Option<i64>) -> Step {
    let end = "2026-11-21".parse().unwrap();
    let start = days.map(|_| "2024-01-01".parse().unwrap());
    let range = Some(Range { start, end, days });
    Step { range, rewrite: Some(rewrite), ..step(config, "backfill") }
}

fn warning(code: &str, config: &str, affects: &[&str]) -> Warning {
    Warning {
        code: code.to_owned(),
        config: address(config),
        field: None,
        text: String::new(),
        affects: affects.iter().map(|it| address(it)).collect(),
    }
}

fn change(config: &str, from: Option<&str>) -> Change {
    Change {
        config: address(config),
        path: format!("compiled/{config}"),
        kind: Kind::Modified,
        from: from.map(address),
        fields: Vec::new(),
        columns: Columns::default(),
        downstream: Vec::new(),
    }
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|it| (*it).to_owned()).collect()
}

fn set(of: &[&str]) -> BTreeSet<String> {
    words(of).into_iter().collect()
}

/// A policy that one approval meets.
fn policy(when: When) -> Policy {
    Policy {
        name: "p".to_owned(),
        when,
        envs: Vec::new(),
        days: 0,
        teams: Vec::new(),
        configs: Vec::new(),
        allowed: Vec::new(),
        labels: Vec::new(),
        approvals: 1,
        from: Vec::new(),
    }
}

fn standing(labels: &[&str], approvals: &[&str], author: &str) -> Standing {
    let author = Some(author.to_owned());
    Standing { labels: set(labels), approvals: set(approvals), author }
}

/// Who is who in these tests.
#[derive(Clone, Debug, Default)]
struct People {
    teams: BTreeMap<String, BTreeSet<String>>,
    owners: BTreeMap<String, Vec<String>>,
}

impl People {
    fn demands(&self, policies: &[Policy], plan: &Plan, has: Option<&Standing>) -> Vec<Demand> {
        let members = |name: &str| self.teams.get(name).cloned();
        let owners =
            |config: &Address| self.owners.get(&config.to_string()).cloned().unwrap_or_default();
        demands(policies, plan, has, Who { members: &members, owners: &owners })
    }

    /// What is missing of one policy, which the plan falls under.
    fn missing(&self, policy: &Policy, plan: &Plan, has: &Standing) -> Vec<String> {
        let found = self.demands(std::slice::from_ref(policy), plan, Some(has));
        assert_eq!(found.len(), 1);
        assert!(!found[0].missing.is_empty() || found[0].ask.is_empty());
        found[0].missing.clone()
    }
}

fn alone(policy: &Policy, plan: &Plan) -> Option<(String, Vec<String>)> {
    let has = standing(&[], &["bob"], "alice");
    let mut found = People::default().demands(std::slice::from_ref(policy), plan, Some(&has));
    let demand = found.pop()?;
    assert_eq!(demand.missing, Vec::<String>::new());
    Some((demand.why, demand.configs.iter().map(ToString::to_string).collect()))
}

/// A plan that falls under every condition.
fn everything() -> Plan {
    let txn = "group_bys/payments.txn.user__1";
    let warnings = vec![
        warning("online-breaking", txn, &["joins/risk.fraud.v__1"]),
        warning("history-not-rewritten", "staging_queries/payments.q.day__0", &[txn]),
        warning("no-start-date", "joins/search.rank.v__0", &[]),
    ];
    let steps = vec![
        backfill("staging_queries/payments.q.day__0", Rewrite::ArchiveFirst, Some(100)),
        backfill("group_bys/payments.txn.user__1", Rewrite::Overwrite, Some(200)),
        backfill("joins/risk.fraud.v__1", Rewrite::Auto, Some(300)),
        backfill("joins/search.rank.v__0", Rewrite::Fill, Some(50)),
        step(txn, "upload"),
    ];
    let changes =
        vec![change(txn, None), change("group_bys/ads.new.x__2", Some("group_bys/old.x__1"))];
    Plan { warnings, steps, changes, ..plan() }
}

#[test]
fn the_table_is_indexed_by_its_own_variants() {
    for (index, row) in WHENS.iter().enumerate() {
        assert_eq!(row.0 as usize, index);
        assert_eq!(When::by_name(row.1), Some(row.0));
    }
}

#[test]
fn each_condition_names_what_makes_it_hold() {
    let plan = everything();
    let of = |policy: Policy| alone(&policy, &plan).unwrap();
    let (why, configs) = of(policy(When::OnlineBreaking));
    assert_eq!(
        why,
        "online clients break of 2 configs: `group_bys/payments.txn.user__1`, `joins/risk.fraud.v__1`"
    );
    assert_eq!(configs, ["group_bys/payments.txn.user__1", "joins/risk.fraud.v__1"]);
    let (_, configs) = of(policy(When::HistoryNotRewritten));
    assert_eq!(configs, ["group_bys/payments.txn.user__1", "staging_queries/payments.q.day__0"]);
    let (why, configs) = of(policy(When::HistoryRewritten));
    assert!(why.starts_with("history is rewritten of 3 configs: "), "{why}");
    assert_eq!(configs.len(), 3);
    let (why, configs) = of(Policy { days: 649, ..policy(When::BackfillDays) });
    assert!(why.starts_with("its backfills compute 650 days, more than 649: "), "{why}");
    assert_eq!(configs.len(), 4);
    let (why, configs) = of(Policy { teams: words(&["ads"]), ..policy(When::Team) });
    assert_eq!(why, "1 config of `ads` changes or needs a job: `group_bys/ads.new.x__2`");
    assert_eq!(configs, ["group_bys/ads.new.x__2"]);
    let (why, configs) = of(policy(When::Jobs));
    assert!(why.starts_with("it has 5 steps of 4 configs: "), "{why}");
    assert_eq!(configs.len(), 4);
}

#[test]
fn a_plan_that_does_no_such_thing_falls_under_nothing() {
    for (when, name, _) in WHENS {
        let policy = Policy { teams: words(&["ads"]), ..policy(when) };
        assert_eq!(alone(&policy, &plan()), None, "{name}");
    }
    let plan = everything();
    assert_eq!(alone(&Policy { days: 650, ..policy(When::BackfillDays) }, &plan), None);
    assert_eq!(alone(&Policy { envs: words(&["canary"]), ..policy(When::Jobs) }, &plan), None);
    assert!(alone(&Policy { envs: words(&["x", "prod"]), ..policy(When::Jobs) }, &plan).is_some());
    assert_eq!(alone(&Policy { teams: words(&["growth"]), ..policy(When::Team) }, &plan), None);
}

#[test]
fn a_backfill_of_which_nobody_knows_the_start_may_be_too_long() {
    let long = "joins/risk.fraud.v__1";
    let steps =
        vec![backfill(long, Rewrite::Fill, None), backfill("joins/a.b", Rewrite::Fill, Some(1))];
    let plan = Plan { steps, ..plan() };
    let (why, configs) =
        alone(&Policy { days: 1000, ..policy(When::BackfillDays) }, &plan).unwrap();
    assert!(why.starts_with("nothing says where backfills start"), "{why}");
    assert_eq!(configs, [long]);
}

#[test]
fn teams_globs_and_exemptions_narrow_a_policy() {
    let plan = everything();
    let configs = |policy: Policy| alone(&policy, &plan).map(|it| it.1).unwrap_or_default();
    let breaking = || policy(When::OnlineBreaking);
    // The join is guarded, and it is a GroupBy that breaks it.
    let guarded = Policy { configs: words(&["joins/risk.*"]), ..breaking() };
    assert_eq!(configs(guarded), ["joins/risk.fraud.v__1"]);
    let of_team = Policy { teams: words(&["risk", "growth"]), ..breaking() };
    assert_eq!(configs(of_team), ["joins/risk.fraud.v__1"]);
    // The GroupBy may change, with all that this hits.
    let exempt = Policy { allowed: words(&["group_bys/payments.txn.user__1"]), ..breaking() };
    assert_eq!(configs(exempt), Vec::<String>::new());
    let exempt = Policy { allowed: words(&["joins/*"]), ..breaking() };
    assert_eq!(configs(exempt), ["group_bys/payments.txn.user__1"]);
    let both = Policy {
        configs: words(&["*payments*"]),
        allowed: words(&["*__0"]),
        ..policy(When::HistoryRewritten)
    };
    assert_eq!(configs(both), ["group_bys/payments.txn.user__1"]);
    let days = Policy { configs: words(&["joins/*"]), days: 349, ..policy(When::BackfillDays) };
    assert_eq!(configs(days), ["joins/risk.fraud.v__1", "joins/search.rank.v__0"]);
    let renamed = Policy { teams: words(&["old"]), ..policy(When::Team) };
    assert_eq!(
        configs(renamed),
        ["group_bys/old.x__1"],
        "a team is asked before it loses a config"
    );
}

#[test]
fn a_label_is_one_of_those_and_in_any_case_of_letters() {
    let people = People::default();
    let plan = everything();
    let policy = Policy { approvals: 0, labels: words(&["breaking ok"]), ..policy(When::Jobs) };
    let missing =
        |labels: &[&str]| people.missing(&policy, &plan, &standing(labels, &["bob"], "al"));
    assert_eq!(missing(&["other"]), ["the label `breaking ok` is not on the pull request"]);
    assert_eq!(missing(&["other", "Breaking OK"]), Vec::<String>::new());
    let two = Policy { labels: words(&["a", "b"]), ..policy.clone() };
    let has = |labels: &[&str]| people.missing(&two, &plan, &standing(labels, &[], "al"));
    assert_eq!(has(&[]), ["none of the labels `a`, `b` is on the pull request"]);
    assert_eq!(has(&["b"]), Vec::<String>::new());
    let both = Policy { approvals: 1, ..policy.clone() };
    let has = standing(&["breaking ok"], &[], "al");
    assert_eq!(people.missing(&both, &plan, &has).len(), 1, "a label replaces no approval");
    let has = standing(&[], &["bob"], "al");
    assert_eq!(people.missing(&both, &plan, &has).len(), 1, "an approval replaces no label");
}

#[test]
fn approvals_are_counted_without_the_authors() {
    let people = People::default();
    let plan = everything();
    let two = Policy { approvals: 2, ..policy(When::Jobs) };
    let missing =
        |approvals: &[&str]| people.missing(&two, &plan, &standing(&[], approvals, "Alice"));
    let by = "by somebody who may write, the author not counted";
    assert_eq!(missing(&[]), [format!("it has 0 of 2 approvals {by}")]);
    assert_eq!(missing(&["alice", "bob"]), [format!("it has 1 of 2 approvals {by}")]);
    assert_eq!(missing(&["bob", "BOB"]), [format!("it has 1 of 2 approvals {by}")]);
    assert_eq!(missing(&["bob", "carol"]), Vec::<String>::new());
}

#[test]
fn only_those_who_are_named_count() {
    let mut people = People::default();
    people.teams.insert("@acme/risk".to_owned(), set(&["Dan", "eve"]));
    let plan = everything();
    let from = words(&["@alice", "@acme/risk"]);
    let named = Policy { from, ..policy(When::Jobs) };
    let missing =
        |approvals: &[&str]| people.missing(&named, &plan, &standing(&[], approvals, "al"));
    assert_eq!(missing(&["bob"]), ["it has 0 of 1 approval by `@alice` or `@acme/risk`"]);
    assert_eq!(missing(&["bob", "ALICE"]), Vec::<String>::new());
    assert_eq!(missing(&["dan"]), Vec::<String>::new());
    let ask = |approvals: &[&str], author: &str| {
        let has = standing(&[], approvals, author);
        people.demands(std::slice::from_ref(&named), &plan, Some(&has))[0].ask.clone()
    };
    assert_eq!(ask(&["bob"], "al"), ["@acme/risk", "@alice"]);
    assert_eq!(ask(&[], "Alice"), ["@acme/risk"], "not the author");
    assert_eq!(ask(&["dan"], "al"), Vec::<String>::new());
}

#[test]
fn a_team_that_cannot_be_seen_approves_nothing_and_that_is_said() {
    let people = People::default();
    let plan = everything();
    let named = Policy { from: words(&["@acme/risk", "@carol"]), ..policy(When::Jobs) };
    let missing = people.missing(&named, &plan, &standing(&[], &["dan"], "al"));
    assert_eq!(missing.len(), 2);
    assert!(missing[1].starts_with("nobody can tell who belongs to `@acme/risk`"), "{missing:?}");
    assert!(missing[1].contains("a token that may read members"), "{missing:?}");
    // What is met needs no team.
    let met = people.missing(&named, &plan, &standing(&[], &["carol"], "al"));
    assert_eq!(met, Vec::<String>::new());
}

#[test]
fn a_policy_that_nobody_could_meet_says_so() {
    let people = People::default();
    let plan = everything();
    let named = Policy { from: words(&["@alice"]), ..policy(When::Jobs) };
    let missing = people.demands(&[named], &plan, Some(&standing(&[], &["alice"], "alice")));
    let expected = [
        "it has 0 of 1 approval by `@alice`",
        "only 0 of those can approve, the author not counted: name more in `policy.p.from`",
    ];
    assert_eq!(missing[0].missing, expected);
}

/// A plan that breaks configs of several owners.
fn owned() -> (People, Plan, Policy) {
    let mut people = People::default();
    people.teams.insert("@acme/pay".to_owned(), set(&["pat", "paul"]));
    let owners = [
        ("group_bys/payments.txn.user__1", &["@acme/pay", "@peggy"][..]),
        ("joins/risk.fraud.v__1", &["@rick"]),
    ];
    people.owners = owners.map(|(config, owners)| (config.to_owned(), words(owners))).into();
    let plan = everything();
    let asks = Policy { from: words(&["codeowners"]), ..policy(When::OnlineBreaking) };
    (people, plan, asks)
}

#[test]
fn an_owner_of_each_config_must_approve() {
    let (people, plan, asks) = owned();
    let missing =
        |approvals: &[&str]| people.missing(&asks, &plan, &standing(&[], approvals, "al"));
    let (pay, risk) = (
        "no owner of `group_bys/payments.txn.user__1` has approved: `@acme/pay`, `@peggy`",
        "no owner of `joins/risk.fraud.v__1` has approved: `@rick`",
    );
    assert_eq!(missing(&["bob"]), [pay, risk]);
    assert_eq!(missing(&["paul"]), [risk]);
    assert_eq!(missing(&["rick"]), [pay]);
    assert_eq!(missing(&["rick", "Peggy"]), Vec::<String>::new());
    let ask = |approvals: &[&str]| {
        let has = standing(&[], approvals, "al");
        people.demands(std::slice::from_ref(&asks), &plan, Some(&has))[0].ask.clone()
    };
    assert_eq!(ask(&[]), ["@acme/pay", "@peggy", "@rick"]);
    assert_eq!(ask(&["paul"]), ["@rick"]);
    let two = Policy { approvals: 3, ..asks.clone() };
    let missing = people.missing(&two, &plan, &standing(&[], &["rick", "peggy", "bob"], "al"));
    assert_eq!(missing, ["it has 2 of 3 approvals by an owner of each config"]);
}

#[test]
fn one_who_is_named_beside_owners_counts_for_every_config() {
    let (people, plan, asks) = owned();
    let mixed = Policy { from: words(&["codeowners", "@boss"]), ..asks };
    let missing =
        |approvals: &[&str]| people.missing(&mixed, &plan, &standing(&[], approvals, "al"));
    assert_eq!(missing(&["boss"]), Vec::<String>::new());
    assert_eq!(
        missing(&["paul"]),
        ["no owner of `joins/risk.fraud.v__1` has approved: `@rick`, `@boss`"]
    );
    // Who is named stands in for owners that are not there, and nobody else does.
    let nobody = People { owners: BTreeMap::new(), ..people.clone() };
    let has = standing(&[], &["bob"], "al");
    let missing =
        nobody.demands(std::slice::from_ref(&mixed), &plan, Some(&has))[0].missing.clone();
    let expected = "nobody owns `group_bys/payments.txn.user__1`, `joins/risk.fraud.v__1`, and nobody of \
                    `@boss` has approved";
    assert_eq!(missing, [expected]);
}

#[test]
fn what_nobody_else_owns_anybody_may_approve() {
    let (mut people, plan, asks) = owned();
    people.owners.remove("joins/risk.fraud.v__1");
    let demand = |author: &str, approvals: &[&str]| {
        let has = standing(&[], approvals, author);
        people.demands(std::slice::from_ref(&asks), &plan, Some(&has)).remove(0)
    };
    let unmet = demand("al", &[]);
    assert_eq!(
        unmet.missing[0],
        "nobody owns `joins/risk.fraud.v__1`, so anybody may approve, and nobody has"
    );
    let met = demand("al", &["peggy"]);
    assert_eq!(met.missing, Vec::<String>::new());
    assert!(met.why.ends_with("; nobody owns `joins/risk.fraud.v__1`, so any approval counts"));
    // An owner's own change is not held up for ever, nor approved by its author.
    people.owners.insert("joins/risk.fraud.v__1".to_owned(), words(&["@Rick"]));
    let own = |approvals: &[&str]| {
        let has = standing(&[], approvals, "rick");
        people.demands(std::slice::from_ref(&asks), &plan, Some(&has)).remove(0)
    };
    assert_eq!(own(&["rick"]).missing.len(), 2);
    assert_eq!(own(&["peggy"]).missing, Vec::<String>::new());
    assert!(own(&["peggy"]).why.contains("only the author owns `joins/risk.fraud.v__1`"));
}

#[test]
fn an_owner_by_e_mail_is_nobody_until_somebody_can_tell() {
    let (mut people, plan, asks) = owned();
    people.owners = [
        ("group_bys/payments.txn.user__1".to_owned(), words(&["pay@acme.example"])),
        ("joins/risk.fraud.v__1".to_owned(), words(&["@rick"])),
    ]
    .into();
    let has = standing(&[], &["pat", "rick"], "al");
    let missing = people.missing(&asks, &plan, &has);
    assert!(
        missing[1].starts_with("nobody can tell whose address `pay@acme.example` is"),
        "{missing:?}"
    );
    people.teams.insert("pay@acme.example".to_owned(), set(&["pat"]));
    assert_eq!(people.missing(&asks, &plan, &has), Vec::<String>::new());
}

#[test]
fn without_a_pull_request_nothing_is_given() {
    let (people, plan, asks) = owned();
    let labels = Policy { name: "l".to_owned(), labels: words(&["a", "b"]), approvals: 2, ..asks };
    let only = Policy { name: "m".to_owned(), approvals: 0, from: Vec::new(), ..labels.clone() };
    let found = people.demands(&[labels, only], &plan, None);
    assert_eq!(
        found[0].missing,
        ["there is no pull request, so it lacks one of the labels `a`, `b` and 2 approvals by an \
          owner of each config"]
    );
    assert_eq!(found[0].ask, ["@acme/pay", "@peggy", "@rick"]);
    assert_eq!(
        found[1].missing,
        ["there is no pull request, so it lacks one of the labels `a`, `b`"]
    );
}

#[test]
fn demands_stand_by_name_and_long_lists_are_counted() {
    let names: Vec<String> = (0..40).map(|at| format!("joins/a.b{at:02}")).collect();
    let steps = names.iter().map(|it| step(it, "backfill")).collect();
    let plan = Plan { steps, ..plan() };
    let policies = ["z", "a", "m"].map(|it| Policy { name: it.to_owned(), ..policy(When::Jobs) });
    let found = People::default().demands(&policies, &plan, None);
    let order: Vec<&str> = found.iter().map(|it| it.policy.as_str()).collect();
    assert_eq!(order, ["a", "m", "z"]);
    assert_eq!(
        found[0].why,
        "it has 40 steps of 40 configs: `joins/a.b00`, `joins/a.b01`, `joins/a.b02` and 37 more"
    );
    assert_eq!(found[0].configs.len(), 40);
}

#[test]
fn handles_are_told_from_other_words() {
    for good in ["@a", "@alice-b", "@acme/risk", "@acme/risk.team_1", "@some_one"] {
        assert!(is_handle(good), "{good}");
    }
    for bad in ["", "@", "a", "@a/", "@/b", "@a/b/c", "@a b", "@-a", "a@b.c", "@ä", "@@a", "@a,@b"]
    {
        assert!(!is_handle(bad), "{bad}");
    }
}

const LOGINS: [&str; 5] = ["ann", "bea", "cid", "dot", "eli"];
const TEAMS: [&str; 2] = ["@acme/one", "@acme/two"];
const LABELS: [&str; 3] = ["x", "y", "z"];
const CONFIGS: [&str; 5] =
    ["joins/a.j__1", "joins/b.j__1", "group_bys/a.g__1", "group_bys/b.g__1", "group_bys/c.g__1"];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(of.to_vec(), 0..=of.len()).prop_map(|it| words(&it))
}

fn any_policy() -> impl Strategy<Value = Policy> {
    const FROM: &[&str] = &["@ann", "@Bea", "@acme/one", "@acme/two", "codeowners"];
    let scope = (some(&["a", "b"]), some(&["joins/*", "*.g__1"]), some(&["*/b.*", "joins/a*"]));
    let needs = (some(&LABELS), 0..4_u32, some(FROM));
    (0..WHENS.len(), 0..400_u32, scope, needs).prop_map(|(when, days, scope, needs)| Policy {
        when: WHENS[when].0,
        days,
        teams: scope.0,
        configs: scope.1,
        allowed: scope.2,
        approvals: needs.1.max(u32::from(needs.0.is_empty() || !needs.2.is_empty())),
        labels: needs.0,
        from: needs.2,
        ..policy(When::Jobs)
    })
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    vec(any_policy(), 1..4).prop_map(|found| {
        let named = found.into_iter().enumerate();
        named.map(|(at, it)| Policy { name: format!("p{at}"), ..it }).collect()
    })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let rewrites = [Rewrite::Fill, Rewrite::Auto, Rewrite::Overwrite, Rewrite::ArchiveFirst];
    let steps =
        vec((select(&CONFIGS[..]), select(rewrites.to_vec()), option::of(1..300_i64)), 0..4);
    let codes = select(vec!["online-breaking", "history-not-rewritten", "hub-only"]);
    let warnings = vec((codes, select(&CONFIGS[..]), subsequence(CONFIGS.to_vec(), 0..3)), 0..4);
    let changes = vec(select(&CONFIGS[..]), 0..3);
    (steps, warnings, changes).prop_map(|(steps, warnings, changes)| Plan {
        steps: steps.into_iter().map(|it| backfill(it.0, it.1, it.2)).collect(),
        warnings: warnings.into_iter().map(|it| warning(it.0, it.1, &it.2)).collect(),
        changes: changes.into_iter().map(|it| change(it, None)).collect(),
        ..plan()
    })
}

fn any_people() -> impl Strategy<Value = People> {
    let team = || option::of(some(&LOGINS));
    let owners = vec(some(&["@ann", "@cid", "@acme/one", "d@acme.example"]), CONFIGS.len());
    ((team(), team()), owners).prop_map(|(teams, owners)| {
        let seen = TEAMS.into_iter().zip([teams.0, teams.1]);
        let teams =
            seen.filter_map(|(name, it)| Some((name.to_owned(), it?.into_iter().collect())));
        let owners = CONFIGS.into_iter().map(str::to_owned).zip(owners);
        People { teams: teams.collect(), owners: owners.collect() }
    })
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let of =
        |names: &'static [&'static str]| btree_set(select(names).prop_map(str::to_owned), 0..5);
    let author = option::of(select(&LOGINS[..]).prop_map(str::to_owned));
    (of(&LABELS), of(&LOGINS), author).prop_map(|(labels, approvals, author)| Standing {
        labels,
        approvals,
        author,
    })
}

fn unmet(demands: &[Demand]) -> BTreeSet<&str> {
    demands.iter().filter(|it| !it.missing.is_empty()).map(|it| it.policy.as_str()).collect()
}

#[test]
fn what_is_taken_away_never_helps() {
    let examples = (policies(), any_plan(), any_people(), any_standing(), any::<usize>());
    check(3000, &examples, |(policies, plan, people, has, at)| {
        let before = people.demands(&policies, &plan, Some(&has));
        let mut less = has.clone();
        let given: Vec<String> = has.labels.iter().chain(&has.approvals).cloned().collect();
        if let Some(gone) = given.get(at % given.len().max(1)) {
            less.labels.remove(gone);
            less.approvals.remove(gone);
        }
        let mut blind = people.clone();
        blind.teams.pop_last();
        for after in [
            people.demands(&policies, &plan, Some(&less)),
            blind.demands(&policies, &plan, Some(&has)),
            people.demands(&policies, &plan, None),
        ] {
            assert!(unmet(&before).is_subset(&unmet(&after)), "{before:#?} {after:#?}");
            let falls = |demands: &[Demand]| {
                demands.iter().map(|it| it.configs.clone()).collect::<Vec<_>>()
            };
            assert_eq!(falls(&before), falls(&after), "a plan falls under what it does");
        }
        let none = people.demands(&policies, &plan, None);
        assert_eq!(unmet(&none).len(), none.len(), "each asks for something");
        assert!(before.iter().all(|it| !it.missing.is_empty() || it.ask.is_empty()));
        assert!(before.iter().all(|it| !it.configs.is_empty()));
        Ok(())
    });
}

#[test]
fn neither_order_nor_case_nor_the_author_matters() {
    let examples = (policies(), any_plan(), any_people(), any_standing());
    check(1500, &examples, |(policies, plan, people, has)| {
        let expected = people.demands(&policies, &plan, Some(&has));
        let mut turned = plan.clone();
        turned.steps.reverse();
        turned.warnings.reverse();
        turned.changes.reverse();
        let mut others: Vec<Policy> = policies.clone();
        others.reverse();
        assert_eq!(people.demands(&others, &turned, Some(&has)), expected);
        let loud = |names: &BTreeSet<String>| names.iter().map(|it| it.to_uppercase()).collect();
        let shouted = Standing {
            labels: loud(&has.labels),
            approvals: loud(&has.approvals),
            author: has.author.as_ref().map(|it| it.to_uppercase()),
        };
        assert_eq!(people.demands(&policies, &plan, Some(&shouted)), expected);
        let mut own = has.clone();
        own.approvals.extend(has.author.clone());
        assert_eq!(people.demands(&policies, &plan, Some(&own)), expected);
        Ok(())
    });
}

/// Whether a policy is met, worked out config by config.
fn is_met(policy: &Policy, configs: &[Address], people: &People, has: &Standing) -> bool {
    let lower = |names: BTreeSet<String>| -> BTreeSet<String> {
        names.iter().map(|it| it.to_lowercase()).collect()
    };
    let author = lower(has.author.iter().cloned().collect());
    let approvers = &lower(has.approvals.clone()) - &author;
    let known = |name: &String| people.teams.contains_key(name) || !name.contains(['/', '.']);
    let behind = |names: &[String]| -> BTreeSet<String> {
        let each = names.iter().filter(|it| *it != "codeowners").map(|name| {
            let login = name.strip_prefix('@').filter(|it| !it.contains('/'));
            let login = login.map(|it| set(&[it]));
            lower(login.or_else(|| people.teams.get(name).cloned()).unwrap_or_default())
        });
        each.flatten().collect()
    };
    let named = behind(&policy.from);
    let names_anybody = policy.from.iter().any(|it| it != "codeowners");
    let mut counted: BTreeSet<String> = &approvers & &named;
    let mut covered = true;
    if policy.from.is_empty() {
        counted.clone_from(&approvers);
    }
    for config in configs.iter().filter(|_| policy.from.contains(&"codeowners".to_owned())) {
        let owners = people.owners.get(&config.to_string()).cloned().unwrap_or_default();
        let may = behind(&owners);
        let own = !owners.is_empty() && owners.iter().all(known) && may == author;
        let all = !names_anybody && (owners.is_empty() || own);
        let by = if all { approvers.clone() } else { &approvers & &(&may | &named) };
        covered &= !by.is_empty();
        counted.extend(by);
    }
    let needed = usize::try_from(policy.approvals).unwrap();
    let labels = policy.labels.is_empty() || policy.labels.iter().any(|it| has.labels.contains(it));
    labels && (needed == 0 || (covered && counted.len() >= needed))
}

#[test]
fn what_is_missing_is_missing() {
    let examples = (policies(), any_plan(), any_people(), any_standing());
    let seen = std::cell::Cell::new([0; 2]);
    check(3000, &examples, |(policies, plan, people, has)| {
        for demand in people.demands(&policies, &plan, Some(&has)) {
            let policy = policies.iter().find(|it| it.name == demand.policy).unwrap();
            let met = is_met(policy, &demand.configs, &people, &has);
            assert_eq!(
                demand.missing.is_empty(),
                met,
                "{policy:#?} {demand:#?} {people:?} {has:?}"
            );
            let mut counts = seen.get();
            counts[usize::from(met)] += 1;
            seen.set(counts);
            // Who is asked is neither the author nor done, where it is not a label that is missing.
            let label = demand.missing.iter().any(|it| it.contains(" label"));
            for name in demand.ask.iter().filter(|_| !label) {
                let login = name.trim_start_matches('@').to_lowercase();
                assert!(has.author.as_ref() != Some(&login) && !has.approvals.contains(&login));
            }
        }
        Ok(())
    });
    assert!(seen.get().iter().all(|it| *it > 300), "{seen:?}");
}
