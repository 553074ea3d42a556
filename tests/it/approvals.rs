//! Laws of approvals, over the plans of all fixtures: what covers what, who answers for what, and
//! that a plan comes back from a check as it went in.

use std::collections::BTreeSet;
use std::fs;

use chronon_plan::plan::approval;
use chronon_plan::plan::contract::Kind;
use chronon_plan::plan::contract::Plan;
use chronon_plan::plan::contract::Scope;
use chronon_plan::plan::difference;
use chronon_plan::plan::is_rest;
use chronon_plan::plan::schedules::DagChange;
use chronon_plan::plan::schedules::Schedules;
use chronon_plan::plan::schedules::SettingChange;
use chronon_plan::plan::schedules::TaskChange;
use chronon_plan::publish::record;
use chronon_plan::publish::record::Maker;

use crate::support::files;
use crate::support::project;

/// Every plan that the fixtures expect.
fn plans() -> Vec<Plan> {
    let all = files(&project().join("fixtures"));
    let plans = all.iter().filter(|it| it.ends_with("expected/plan.json"));
    let read = |file| serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let plans: Vec<Plan> = plans.map(read).collect();
    assert!(plans.iter().filter(|it| it.steps.len() > 3).count() > 5);
    plans
}

fn ids(plan: &Plan) -> BTreeSet<&str> {
    plan.steps.iter().map(|it| it.id.as_str()).collect()
}

#[test]
fn a_plan_covers_itself_and_nothing_covers_what_it_lacks() {
    for plan in plans() {
        let whole = approval::coverage(&[&plan], &[&plan], &plan);
        assert!(whole.is_seen() && whole.missing.is_empty(), "{whole:?}");
        for at in 0..plan.steps.len() {
            let mut less = plan.clone();
            let gone = less.steps.remove(at);
            let lacking = approval::coverage(&[&less], &[&less], &plan);
            assert_eq!(lacking.unseen_steps, [gone.id.as_str()]);
            let smaller = approval::coverage(&[&plan], &[&plan], &less);
            assert!(smaller.is_seen());
            assert_eq!(smaller.missing, [gone.id.as_str()]);
            // Two approvals that each lack something cover it together.
            let mut other = plan.clone();
            other.steps.retain(|it| it.id == gone.id);
            assert!(approval::coverage(&[], &[&less, &other], &plan).is_seen());
        }
    }
}

#[test]
fn a_step_is_covered_by_what_it_does_and_not_by_its_name_or_its_day() {
    for plan in plans().iter().filter(|it| !it.steps.is_empty()) {
        let mut changes: Vec<Plan> = vec![plan.clone(); 4];
        changes[0].steps[0].blob = "another content".to_owned();
        changes[1].steps[0].argv.push("--more".to_owned());
        changes[2].steps[0].manual = Some("look".to_owned());
        changes[3].steps[0].path.push('x');
        for other in &changes {
            let found = approval::coverage(&[], &[plan], other);
            assert_eq!(found.unseen_steps, [plan.steps[0].id.clone()]);
        }
        let mut reworded = plan.clone();
        reworded.steps[0].because.clear();
        reworded.steps[0].scope = Scope::Pending;
        assert!(approval::coverage(&[], &[plan], &reworded).is_seen());
        let mut warned = plan.clone();
        warned.warnings.clear();
        let unseen = approval::coverage(&[], &[&warned], plan).unseen_warnings;
        assert_eq!(unseen.len(), plan.warnings.len());
    }
}

#[test]
fn every_config_is_answered_for_once() {
    for plan in plans() {
        let half = |odd: bool| {
            let mut half = plan.clone();
            let mut at = 0;
            half.steps.retain(|_| {
                at += 1;
                (at % 2 == 1) == odd
            });
            half
        };
        let (odd, even) = (half(true), half(false));
        for approved in [vec![], vec![&odd], vec![&odd, &even], vec![&plan, &odd]] {
            let shares = approval::shares(&approved, &plan);
            assert_eq!(shares.len(), approved.len() + 1);
            let dealt: usize = shares.iter().map(|it| it.steps.len()).sum();
            assert_eq!(dealt, plan.steps.len());
            let days: i64 = shares.iter().map(|it| it.summary.backfill_days).sum();
            assert_eq!(days, plan.summary.backfill_days);
            for (share, approved) in shares.iter().zip(&approved) {
                let own = ids(share);
                let all: BTreeSet<&str> = plan.steps.iter().map(|it| it.id.as_str()).collect();
                assert!(own.is_subset(&all));
                assert!(own.is_empty() || approval::share(approved, share));
            }
        }
        let whole = approval::shares(&[&plan], &plan);
        assert_eq!(ids(&whole[0]), ids(&plan));
        assert!(whole[1].steps.is_empty());
        assert_eq!(ids(&approval::asked_for(&plan)), ids(&plan), "nothing is pending here");
        assert!(approval::unspent(&plan, &|_| true, true).steps.is_empty());
    }
}

#[test]
fn a_plan_comes_back_from_a_check_as_it_went_in() {
    for plan in plans() {
        let (text, whole) = record::text(&plan, Maker::Pull);
        assert!(whole && text.len() <= 65_535);
        let kept = record::plan(&text, &plan.digest).unwrap();
        assert_eq!((&kept.steps, &kept.warnings), (&plan.steps, &plan.warnings));
        assert!(kept.changes.is_empty(), "values of fields are not kept");
        // As GitHub may hand it back.
        assert_eq!(record::plan(&text.replace('\n', "\r\n"), &plan.digest), Some(kept));
        assert_eq!(record::plan(&text, "sha256:of another"), None);
        assert_eq!(record::plan(&text[..text.len() / 2], &plan.digest), None);
    }
    // A plan that has no room leaves the digest alone, and says what made it.
    let mut large = plans().into_iter().find(|it| !it.steps.is_empty()).unwrap();
    let step = large.steps[0].clone();
    for number in 0..4_000_u32 {
        let hash = number.wrapping_mul(2_654_435_761);
        let id = format!("joins/a.b.c{hash:x}{:x}__1#backfill", hash.rotate_left(13));
        large.steps.push(chronon_plan::plan::contract::Step {
            blob: id.clone(),
            id,
            ..step.clone()
        });
    }
    let (text, whole) = record::text(&large, Maker::Queue);
    assert!(!whole && text.len() < 200);
    assert_eq!(record::maker(&text), Some(Maker::Queue));
    assert_eq!(record::plan(&text, &large.digest), None);
}

/// The plan of a fixture that changes two tasks and a setting of one DAG, and adds another.
fn scheduled() -> Plan {
    let mut plan = plans().into_iter().find(|it| it.steps.len() > 3).unwrap();
    let task = |name: &str| TaskChange {
        task: name.to_owned(),
        kind: Kind::Modified,
        config: None,
        what: Vec::new(),
        fingerprint: Some(format!("print of {name}")),
    };
    let setting = |name: &str| SettingChange {
        setting: name.to_owned(),
        fingerprint: Some(format!("print of {name}")),
    };
    let dag = |name: &str, kind, tasks: &[&str], settings: &[&str]| DagChange {
        dag: name.to_owned(),
        kind,
        scope: Scope::Change,
        schedule_before: None,
        schedule_after: None,
        tasks_before: 2,
        tasks_after: 2,
        settings: settings.iter().map(|it| setting(it)).collect(),
        tasks: tasks.iter().map(|it| task(it)).collect(),
        fingerprint: Some(format!("print of {name}")),
    };
    let dags = vec![
        dag("one", Kind::Modified, &["a", "b"], &["schedule"]),
        dag("two", Kind::Added, &["a"], &["itself"]),
    ];
    plan.schedules =
        Some(Schedules { location: "gs://dags".to_owned(), dags, unchanged: 3, notes: Vec::new() });
    plan
}

#[test]
fn schedules_are_covered_part_by_part_and_by_what_they_will_be() {
    let plan = scheduled();
    let seen = |approved: &[&Plan], now: &Plan| approval::coverage(&[], approved, now).is_seen();
    assert!(seen(&[&plan], &plan) && is_rest(&plan, &plan));
    assert_eq!(difference(&plan, &plan), [""; 0]);
    let mut parts = Vec::new();
    for (at, dag) in plan.schedules.as_ref().unwrap().dags.iter().enumerate() {
        parts.extend((0..dag.tasks.len()).map(|task| (at, Some(task))));
        parts.extend((0..dag.settings.len()).map(|_| (at, None)));
    }
    for (at, task) in parts {
        let (mut less, mut other) = (plan.clone(), plan.clone());
        let [fewer, another] =
            [&mut less, &mut other].map(|it| &mut it.schedules.as_mut().unwrap().dags[at]);
        match task {
            Some(task) => {
                fewer.tasks.remove(task);
                another.tasks[task].fingerprint = Some("another".to_owned());
            }
            None => {
                fewer.settings.clear();
                another.settings[0].fingerprint = Some("another".to_owned());
            }
        }
        // Less may be done than was approved, and never more or anything else.
        for (approved, now, good) in
            [(&plan, &less, true), (&less, &plan, false), (&plan, &other, false)]
        {
            let coverage = approval::coverage(&[approved], &[approved], now);
            assert_eq!((coverage.is_seen(), coverage.missing.len()), (good, 0));
            assert_eq!(is_rest(approved, now), good);
            assert!(!difference(approved, now).is_empty());
        }
        // Two approvals that each lack something cover it together.
        let mut rest = plan.clone();
        rest.schedules
            .as_mut()
            .unwrap()
            .dags
            .retain(|it| it.dag == plan.schedules.as_ref().unwrap().dags[at].dag);
        assert!(seen(&[&less, &rest], &plan));
    }
}

#[test]
fn an_approval_of_schedules_is_for_their_place_and_used_up_once_they_are_published() {
    let plan = scheduled();
    let mut alone = plan.clone();
    alone.steps.clear();
    assert!(is_rest(&plan, &alone), "what is left are the schedules");
    assert!(approval::share(&plan, &alone));
    let mut elsewhere = alone.clone();
    elsewhere.schedules.as_mut().unwrap().location = "gs://other".to_owned();
    assert!(!is_rest(&plan, &elsewhere) && !approval::share(&plan, &elsewhere));
    assert!(difference(&plan, &elsewhere).iter().any(|it| it.contains("gs://dags -> gs://other")));
    let spent = approval::unspent(&plan, &|_| false, true);
    assert_eq!(spent.steps, plan.steps);
    assert!(!approval::coverage(&[], &[&spent], &alone).is_seen());
    // Policies ask about configs and jobs.
    assert!(approval::shares(&[&plan], &plan).iter().all(|it| it.schedules.is_none()));
}
