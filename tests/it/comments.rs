//! Comments of pull requests: golden files that a person can read, and what holds of any plan and
//! any budget.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use chronon_plan::model::name::Address;
use chronon_plan::model::name::ConfigType;
use chronon_plan::plan::contract::Cause;
use chronon_plan::plan::contract::Change;
use chronon_plan::plan::contract::Columns;
use chronon_plan::plan::contract::Field;
use chronon_plan::plan::contract::Kind;
use chronon_plan::plan::contract::Plan;
use chronon_plan::plan::contract::Range;
use chronon_plan::plan::contract::Rewrite;
use chronon_plan::plan::contract::Scope;
use chronon_plan::plan::contract::Step;
use chronon_plan::plan::contract::Trigger;
use chronon_plan::plan::contract::Warning;
use chronon_plan::plan::modes::MODES;
use chronon_plan::plan::policy::Demand;
use chronon_plan::plan::schedules::DagChange;
use chronon_plan::plan::schedules::Schedules;
use chronon_plan::plan::schedules::TaskChange;
use chronon_plan::plan::warning::CODES;
use chronon_plan::render;
use chronon_plan::render::comment;
use chronon_plan::render::comment::Comment;
use chronon_plan::render::comment::Detail;
use chronon_plan::render::comment::Earlier;
use chronon_plan::render::comment::FailedStep;
use chronon_plan::render::comment::Marker;
use chronon_plan::render::comment::Overlap;
use chronon_plan::render::comment::Receipt;
use chronon_plan::render::comment::Rendered;
use chronon_plan::render::comment::Status;
use chronon_plan::render::comment::Trouble;
use chronon_plan::render::comment::Watched;
use proptest::prelude::Strategy;
use proptest::sample::select;
use proptest::test_runner::Config;

use crate::hostile::AIRFLOW;
use crate::hostile::LONG_RUN;
use crate::hostile::check_markdown;
use crate::support::golden;
use crate::support::project;

const HEAD: &str = "4be7a21c09d8e5f3b6a7c8d9e0f1a2b3c4d5e6f7";
const RUN: &str = "https://github.com/acme/features/actions/runs/7712345678";

/// The plan that a change of the fixtures leads to, as its golden file has it.
fn fixture(change: &str) -> Plan {
    let file = project().join("fixtures/zipline/changes").join(change).join("expected/plan.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A planned pull request about which there is nothing else to say.
fn planned(plan: &Plan) -> Comment<'_> {
    Comment {
        env: "prod",
        status: Status::Planned,
        plan: Some(plan),
        head: HEAD,
        at: "2026-11-22T16:58:07Z",
        run: RUN,
        demands: &[],
        overlaps: &[],
        notes: &[],
        earlier: &[],
    }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// Renders a comment as GitHub would get it and compares it with its golden file.
fn compare(name: &str, comment: &Comment<'_>) -> Detail {
    let shown = comment::render(comment, comment::BUDGET);
    assert_eq!(shown, comment::render(comment, comment::BUDGET), "the same bytes each time");
    check_markdown(shown.text.split_once('\n').unwrap().1);
    golden(&project().join("fixtures/comments").join(name).with_extension("md"), &shown.text);
    shown.detail
}

#[test]
fn a_plan_is_shown_with_what_breaks_first() {
    let plan = fixture("remove-aggregation");
    assert_eq!(compare("planned", &planned(&plan)), Detail::Full);
    let plan = fixture("staging-sql-changed");
    assert_eq!(compare("history", &planned(&plan)), Detail::Full);
}

#[test]
fn a_policy_that_is_not_met_says_who_can_help() {
    let plan = fixture("remove-aggregation");
    let demand = |policy: &str, why: &str, missing: &[&str]| Demand {
        policy: policy.to_owned(),
        why: why.to_owned(),
        configs: vec![address("group_bys/listening.plays.listener_plays__1")],
        missing: texts(missing),
        ask: texts(&["@alice", "@acme/risk"]),
    };
    let demands = [
        demand("backfill", "1,140 days are backfilled, more than 400", &[]),
        demand(
            "breaking",
            "`group_bys/listening.plays.listener_plays__1` breaks online clients",
            &["the label `breaking-ok`", "1 of 1 approvals"],
        ),
    ];
    compare("policy", &Comment { demands: &demands, ..planned(&plan) });
}

fn earlier(number: u64) -> Earlier {
    let hex = |seed: &str, digits| seed.repeat(64 / seed.len() + 1)[..digits].to_owned();
    let seeds = [("c19a6", "8f03b"), ("07d4e", "62ac5"), ("e5b28", "4d910")];
    let (commit, digest) = seeds[usize::try_from(number).unwrap() % seeds.len()];
    Earlier {
        head: hex(commit, 40),
        digest: format!("sha256:{}", hex(digest, 64)),
        at: format!("2026-11-{:02}T09:1{}:00Z", 21 - number, number),
        run: format!("{}{number}", RUN.trim_end_matches('8')),
    }
}

#[test]
fn other_pull_requests_and_earlier_plans_are_told() {
    let plan = fixture("add-aggregation");
    let overlaps = [
        Overlap {
            number: 412,
            title: "listening: count skips per hour".to_owned(),
            same: vec![address("group_bys/listening.plays.listener_plays__1")],
            related: vec![],
        },
        Overlap {
            number: 398,
            title: "radio: rank by freshness".to_owned(),
            same: vec![],
            related: vec![address("joins/discovery.radio.radio_rank__3")],
        },
    ];
    let earlier: Vec<Earlier> = (0..3).map(earlier).collect();
    let notes = texts(&["the branch is 3 commits behind `main`; the plan is of the merge of both"]);
    let comment =
        Comment { overlaps: &overlaps, earlier: &earlier, notes: &notes, ..planned(&plan) };
    compare("overlaps", &comment);
    let marker = Marker::read(&comment::render(&comment, comment::BUDGET).text).unwrap();
    assert_eq!((marker.earlier.as_slice(), marker.head.as_str()), (&earlier[..], HEAD));
    let next = marker.before("", "");
    assert_eq!((next.len(), next[0].digest.as_str()), (4, plan.digest.as_str()));
}

/// An apply of which one step failed.
fn partly(plan: &Plan) -> Receipt {
    let failed = FailedStep {
        step: plan.steps[0].id.clone(),
        what: "job 5f1c0e ended in state `ERROR`".to_owned(),
        tail: texts(&[
            "26/11/22 17:20:41 INFO BatchNodeRunner: writing 2026-03-01 to 2026-03-30",
            "26/11/22 17:24:09 ERROR TaskSetManager: Task 12 in stage 7.0 failed 4 times",
            "org.apache.spark.SparkException: Job aborted due to stage failure",
            "Caused by: java.lang.OutOfMemoryError: Java heap space",
        ]),
        by_hand: false,
        page: None,
    };
    Receipt {
        done: plan.steps.len() - 3,
        failed: vec![failed],
        skipped: 2,
        serial: 143,
        again: Some(3),
        took: "26 min 3 s".to_owned(),
        resume: texts(&["run the workflow again: what is done stays done"]),
        ..Receipt::default()
    }
}

#[test]
fn the_same_comment_becomes_the_receipt() {
    let plan = fixture("select-expression-changed");
    let all = plan.steps.len();
    let applied = Receipt {
        done: all,
        serial: 143,
        again: Some(0),
        took: "48 min 12 s".to_owned(),
        ..Receipt::default()
    };
    let partly = partly(&plan);
    let archive = FailedStep {
        step: plan.steps[0].id.clone(),
        what: "archive `discovery.radio_rank`, then apply with `--archived`".to_owned(),
        tail: Vec::new(),
        by_hand: true,
        page: None,
    };
    let interrupted = Receipt {
        failed: vec![archive],
        left: 1,
        skipped: 1,
        again: None,
        took: "4 s".to_owned(),
        resume: texts(&["re-run the job, or dispatch the workflow with `command: apply`"]),
        ..partly.clone()
    };
    for (name, status) in [
        ("applying", Status::Applying),
        ("applied", Status::Applied(&applied)),
        ("partly", Status::Partly(&partly)),
        ("interrupted", Status::Interrupted(&interrupted)),
        ("queued", Status::Queued),
        ("closed", Status::Closed),
    ] {
        compare(name, &Comment { status, ..planned(&plan) });
    }
}

#[test]
fn what_airflow_runs_can_be_clicked() {
    let plan = fixture("select-expression-changed");
    let partly = partly(&plan);
    let pages = |step: &Step| {
        let run = "https://airflow.acme.example/dags/chronon_job/runs/chronon-plan__5f1c0e";
        Watched { step: step.id.clone(), page: run.to_owned(), done: None }
    };
    let running = Receipt {
        running: 2,
        watched: plan.steps.iter().take(2).map(pages).collect(),
        done: 0,
        failed: Vec::new(),
        skipped: plan.steps.len() - 2,
        resume: texts(&["the next scheduled run of the workflow collects what runs"]),
        ..partly.clone()
    };
    let broken = FailedStep {
        page: Some("https://airflow.acme.example/dags/a/grid?dag_run_id=b&task_id=job".to_owned()),
        ..partly.failed[0].clone()
    };
    let linked = Receipt { failed: vec![broken], ..partly.clone() };
    for (name, status) in
        [("running", Status::Running(&running)), ("partly-in-airflow", Status::Partly(&linked))]
    {
        compare(name, &Comment { status, ..planned(&plan) });
    }
}

#[test]
fn what_was_not_done_says_why_and_what_to_do() {
    let plan = fixture("topic-changed");
    let refused = Trouble {
        what: texts(&[
            "the plan is not the approved one",
            "`group_bys/listening.sessions.session_stats__2#streaming` is new in it",
        ]),
        next: texts(&[
            "look at the plan below; if it is right, approve it by dispatching the workflow with its digest",
        ]),
        exit: 3,
    };
    compare("refused", &Comment { status: Status::Refused(&refused), ..planned(&plan) });
    let failed = Trouble {
        what: texts(&[
            "compiled/joins/discovery/radio.radio_rank__3:14:7: expected `,` or `}`",
            "chronon-plan.toml:9: `env.prod.paralelism` is no setting; the nearest is `parallelism`",
        ]),
        next: texts(&["run `zipline compile` and commit what it writes", "chronon-plan validate"]),
        exit: 1,
    };
    let comment = Comment { status: Status::Failed(&failed), plan: None, ..planned(&plan) };
    compare("failed", &comment);
}

/// A plan as if a repository had so many copies of each team.
fn multiplied(plan: &Plan, copies: usize) -> Plan {
    let mut large = plan.clone();
    for copy in 0..copies {
        let renamed = |text: &str| {
            ["listening.", "discovery.", "catalog."].iter().fold(text.to_owned(), |text, team| {
                text.replace(team, &format!("{}_{copy:03}.", team.trim_end_matches('.')))
            })
        };
        let copied: Plan =
            serde_json::from_str(&renamed(&serde_json::to_string(plan).unwrap())).unwrap();
        large.changes.extend(copied.changes);
        large.steps.extend(copied.steps);
        // One team alone breaks its clients.
        let stale = copied.warnings.into_iter().filter(|it| it.code == "history-not-rewritten");
        large.warnings.extend(stale);
    }
    large
}

/// Counts a plan anew.
fn summed(mut plan: Plan) -> Plan {
    let (mut by_mode, mut warnings) = (BTreeMap::new(), BTreeMap::new());
    for step in &plan.steps {
        *by_mode.entry(step.mode.clone()).or_default() += 1;
    }
    for warning in &plan.warnings {
        *warnings.entry(warning.code.clone()).or_default() += 1;
    }
    let days = plan.steps.iter().filter_map(|step| step.range.as_ref()?.days).sum();
    (plan.summary.by_mode, plan.summary.warnings) = (by_mode, warnings);
    (plan.summary.steps, plan.summary.changed) = (plan.steps.len(), plan.changes.len());
    plan.summary.backfill_days = days;
    plan
}

fn configs(plan: &Plan) -> BTreeSet<&Address> {
    let changed = plan.changes.iter().map(|it| &it.config);
    changed.chain(plan.steps.iter().map(|it| &it.config)).collect()
}

#[test]
fn a_plan_of_100_configs_is_told_without_its_sql() {
    let plan = summed(multiplied(&fixture("staging-sql-changed"), 24));
    assert_eq!(configs(&plan).len(), 100);
    assert_eq!(compare("100-configs", &planned(&plan)), Detail::Fields);
}

#[test]
fn a_plan_of_500_configs_is_one_line_each() {
    let plan = fixture("remove-aggregation");
    let each = configs(&plan).len();
    let mut plan = multiplied(&plan, 500 / each);
    plan.changes.truncate(500);
    let kept: BTreeSet<Address> = plan.changes.iter().map(|it| it.config.clone()).collect();
    plan.steps.retain(|step| kept.contains(&step.config));
    let plan = summed(plan);
    assert_eq!(configs(&plan).len(), 500);
    let comment = planned(&plan);
    assert_eq!(compare("500-configs", &comment), Detail::Configs);
    let page = comment::render(&comment, comment::BUDGET).text;
    for config in configs(&plan) {
        assert!(page.contains(&format!("| `{config}` |")), "{config}");
    }
    // The summary of the job has room for all of it.
    assert_eq!(comment::summary(&comment, comment::SUMMARY_BUDGET).detail, Detail::Full);
}

#[test]
fn a_plan_of_thousands_of_configs_is_counted() {
    let plan = large(3_000, 12, 40, "");
    assert_eq!(compare("3000-configs", &planned(&plan)), Detail::Counts);
}

/// A plan that is cheap to make: every config changed one field, and every `severe`th breaks its
/// clients and keeps wrong history.
fn large(configs: usize, teams: usize, severe: usize, more: &str) -> Plan {
    let name = |at: usize| format!("team_{}.file.config_{at}{more}__1", at % teams);
    let mut plan = fixture("tags-only");
    (plan.changes, plan.steps, plan.warnings) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..configs {
        let config = Address::new(ConfigType::Join, &name(at));
        let perils = at.is_multiple_of(severe);
        plan.changes.push(change(&config, more));
        plan.steps.push(step(&config, if perils { Rewrite::ArchiveFirst } else { Rewrite::Auto }));
        if perils {
            plan.warnings.push(warning("online-breaking", &config, more));
            plan.warnings.push(warning("history-not-rewritten", &config, more));
        }
    }
    plan.warnings.sort_by(|one, other| other.code.cmp(&one.code));
    summed(plan)
}

fn change(config: &Address, more: &str) -> Change {
    let field = Field {
        path: format!("aggregations[amount SUM].windows{more}"),
        before: Some("7d".into()),
        after: Some(format!("14d{more}").into()),
        before_name: None,
        after_name: None,
        sql: false,
        hidden: false,
        reordered: false,
        counts_for: vec!["table".to_owned()],
        because: format!("it decides which values there are {more}"),
    };
    Change {
        config: config.clone(),
        path: format!("compiled/{config}"),
        kind: Kind::Modified,
        from: None,
        fields: vec![field],
        columns: Columns::default(),
        downstream: Vec::new(),
    }
}

fn step(config: &Address, rewrite: Rewrite) -> Step {
    let range = Range {
        start: "2025-01-01".parse().ok(),
        end: "2025-01-31".parse().unwrap(),
        days: Some(31),
    };
    Step {
        blob: String::new(),
        id: format!("{config}#backfill"),
        config: config.clone(),
        path: format!("compiled/{config}"),
        mode: "backfill".to_owned(),
        resource: "table".to_owned(),
        cause: Cause::Changed,
        scope: Scope::Change,
        trigger: Trigger::Apply,
        because: Vec::new(),
        after: Vec::new(),
        range: Some(range),
        rewrite: Some(rewrite),
        argv: texts(&["zipline", "run"]),
        manual: None,
    }
}

fn warning(code: &str, config: &Address, more: &str) -> Warning {
    Warning {
        code: code.to_owned(),
        config: config.clone(),
        field: Some("keyColumns".to_owned()),
        text: format!("it is keyed by other columns {more}"),
        affects: vec![config.clone()],
    }
}

/// What a page says of a peril: how many configs it names, and how many it only counts.
fn said_of(page: &str, peril: &str) -> (BTreeSet<String>, usize) {
    let number = |text: &str| text.replace(',', "").parse::<usize>().unwrap();
    let (mut named, mut counted) = (BTreeSet::new(), 0);
    for line in page.lines().filter(|line| line.contains(&format!("**{peril}**"))) {
        let names = line.split('`').skip(1).step_by(2).filter(|it| it.starts_with("joins/"));
        let names: BTreeSet<String> = names.map(str::to_owned).collect();
        let words: Vec<&str> = line.split(' ').collect();
        let before = |word: &str| words.iter().position(|it| it.starts_with(word)).unwrap_or(0);
        if line.contains(" more config") {
            counted += number(words[before("more") - 1]);
        } else if names.is_empty() {
            counted += number(words[before("config") - 1]);
        }
        named.extend(names);
    }
    (named, counted)
}

/// What must hold of a plan with this many severe configs at any budget.
fn holds(plan: &Plan, comment: &Comment<'_>, budget: usize) -> Rendered {
    let shown = comment::render(comment, budget);
    let page = &shown.text;
    assert!(page.len() <= budget, "{} of {budget}", page.len());
    assert!(page.ends_with("</sub>\n"), "it is cut off at {budget}: {page}");
    check_markdown(page.split_once('\n').unwrap().1);
    let all = plan.changes.len();
    let few = if shown.detail == Detail::Counts { 0 } else { all };
    let commas = |text: &str| text.replace(',', "");
    assert!(commas(page).contains(&format!("**{few} of {all} config")), "{few} of {all}");
    for peril in ["online-breaking", "history-not-rewritten"] {
        let severe: BTreeSet<String> = plan
            .warnings
            .iter()
            .filter(|it| it.code == peril)
            .map(|it| render::visible(&it.config.to_string()))
            .collect();
        let (named, counted) = said_of(page, peril);
        assert!(named.is_subset(&severe));
        assert_eq!(named.len() + counted, severe.len(), "{peril} at {budget}: {page}");
    }
    let rewrites = plan.steps.iter().filter(|it| it.rewrite == Some(Rewrite::Auto)).count();
    let (named, counted) = said_of(page, "history-rewritten");
    assert_eq!(named.len() + counted, rewrites, "{page}");
    // Severe things stand above everything but the head.
    let severe = page.rfind("\n- 🛑").or_else(|| page.rfind("\n- 🔁"));
    let rest = ["\n**Policies", "\n**Warnings**", "\n<details", "\n**Notes**", "\n| "];
    let first = rest.iter().filter_map(|it| page.find(it)).min();
    assert!(severe.is_none() || first.is_none() || severe < first, "{page}");
    shown
}

fn hostile() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "",
        "@org",
        "|",
        "`",
        "``` ~~~",
        "<b>",
        "\u{202e}",
        "🎉列",
        "</details>",
        "-->",
    ])
    .prop_map(str::to_owned)
}

proptest::proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_plan_is_over_any_budget(
        configs in select(vec![1_usize, 5, 40, 300, 1_200, 3_000]),
        teams in select(vec![1_usize, 3, 50, 2_999]),
        severe in select(vec![1_usize, 2, 30, 5_000]),
        more in hostile(),
        budgets in proptest::collection::vec(comment::LEAST_BUDGET..200_000, 3),
    ) {
        let plan = large(configs, teams, severe, &more);
        // A name with backticks is quoted by more of them, which the count of names does not read.
        let read = !more.contains('`');
        let comment = planned(&plan);
        for budget in budgets.into_iter().chain([comment::LEAST_BUDGET]) {
            if read {
                holds(&plan, &comment, budget);
            } else {
                let page = comment::render(&comment, budget).text;
                assert!(page.len() <= budget && page.ends_with("</sub>\n"));
                check_markdown(page.split_once('\n').unwrap().1);
            }
        }
    }
}

/// Everything that is not the plan, as long as it can be and longer.
struct Flood {
    demands: Vec<Demand>,
    overlaps: Vec<Overlap>,
    receipt: Receipt,
    trouble: Trouble,
    run: String,
    earlier: Vec<Earlier>,
}

fn long(number: usize) -> String {
    format!("{number} {}", "`a` b <c> @d ".repeat(50))
}

fn many() -> Vec<String> {
    (0..30).map(long).collect()
}

fn many_configs() -> Vec<Address> {
    many().iter().map(|it| Address::new(ConfigType::Join, it)).collect()
}

impl Flood {
    fn new() -> Self {
        let demand = |number: usize| Demand {
            policy: long(number),
            why: long(number),
            configs: many_configs(),
            missing: if number.is_multiple_of(2) { many() } else { Vec::new() },
            ask: many(),
        };
        let overlap = |number| Overlap {
            number,
            title: long(9),
            same: many_configs(),
            related: many_configs(),
        };
        let page = format!("{AIRFLOW}{}", "x".repeat(1_900));
        let failed = |at| FailedStep {
            step: long(at),
            what: long(at),
            tail: many(),
            by_hand: at == 1,
            page: Some(page.clone()),
        };
        let watched = |at| Watched { step: long(at), page: page.clone(), done: None };
        let run = format!("{LONG_RUN}12345678901234567890");
        Self {
            demands: (0..40).map(demand).collect(),
            overlaps: (0..40).map(overlap).collect(),
            receipt: Receipt {
                running: 1_000_000_000,
                watched: (0..100).map(watched).collect(),
                done: 1_000_000_000,
                failed: (0..40).map(failed).collect(),
                skipped: 1_000_000_000,
                left: 1_000_000_000,
                published: 1_000_000_000,
                serial: u64::MAX,
                again: Some(3_000_000_000),
                took: long(1),
                resume: many(),
            },
            trouble: Trouble { what: many(), next: many(), exit: u8::MAX },
            earlier: (0..10).map(|at| Earlier { run: run.clone(), ..earlier(at) }).collect(),
            run,
        }
    }

    fn statuses(&self) -> [Status<'_>; 5] {
        [
            Status::Planned,
            Status::Running(&self.receipt),
            Status::Partly(&self.receipt),
            Status::Refused(&self.trouble),
            Status::Interrupted(&self.receipt),
        ]
    }
}

/// A plan with thousands of severe warnings, of as many teams, and with large numbers.
fn severe_plan() -> Plan {
    let mut plan = large(3_000, 2_999, 1, " <b>");
    let config = Address::new(ConfigType::Join, &long(1));
    let other = Warning { text: long(1), ..warning("hub-only", &config, "") };
    plan.warnings.extend(std::iter::repeat_n(other, 40));
    plan.complete = false;
    plan.schedules = Some(schedules(20));
    plan.summary.backfill_days = i64::MAX;
    let number = 1_000_000_000;
    plan.summary.warnings = CODES.iter().map(|row| (row.1.to_owned(), number)).collect();
    plan.summary.by_mode = MODES.iter().map(|mode| (mode.name.to_owned(), number)).collect();
    plan
}

/// Schedules of as many DAGs, nine tasks each.
fn schedules(number: usize) -> Schedules {
    let task = |at: usize| TaskChange {
        task: long(at),
        kind: Kind::Modified,
        config: None,
        what: vec![long(1)],
        fingerprint: None,
    };
    let dag = |at: usize| DagChange {
        dag: long(at),
        kind: Kind::Modified,
        scope: Scope::Change,
        schedule_before: None,
        schedule_after: Some(long(at)),
        tasks_before: usize::MAX,
        tasks_after: 1_000_000_000,
        settings: Vec::new(),
        tasks: (0..9).map(task).collect(),
        fingerprint: None,
    };
    Schedules {
        location: long(1),
        dags: (0..number).map(dag).collect(),
        unchanged: 1_000_000_000,
        notes: many(),
    }
}

#[test]
fn schedules_too_large_for_a_comment_are_told_line_by_line_then_counted() {
    for number in [1, 5, 20] {
        let mut plan = fixture("tags-only");
        plan.schedules = Some(schedules(number));
        for budget in [comment::LEAST_BUDGET, 20_000, comment::BUDGET] {
            let text = holds(&plan, &planned(&plan), budget).text;
            let told = if number == 1 { "1 DAG to publish" } else { "DAGs to publish" };
            assert!(text.contains(told), "{text}");
        }
        let text = comment::render(&planned(&plan), comment::BUDGET).text;
        let lines = text.lines().filter(|it| it.starts_with("- ✏️ ") && it.contains("tasks"));
        let lines = lines.count();
        assert!(number > 5 || lines >= number, "{number} DAGs, {lines} lines");
    }
}

#[test]
fn everything_at_once_fits_the_smallest_budget() {
    let (plan, flood, notes) = (severe_plan(), Flood::new(), many());
    let envs = ["prod".to_owned(), "e".repeat(255), "é".repeat(127), "@".repeat(255)];
    for (env, status) in envs.iter().zip(flood.statuses()) {
        let comment = Comment {
            env,
            status,
            at: "2026-11-22T16:58:07.123456789+05:30",
            run: &flood.run,
            demands: &flood.demands,
            overlaps: &flood.overlaps,
            notes: &notes,
            earlier: &flood.earlier,
            ..planned(&plan)
        };
        for budget in [comment::LEAST_BUDGET, 20_000, comment::BUDGET] {
            let marker = Marker::read(&holds(&plan, &comment, budget).text).unwrap();
            assert!(marker.is_of(env) && marker.run == flood.run);
        }
    }
}

/// Of a budget that is too small, nothing is cut in the middle either.
#[test]
fn even_a_budget_that_is_too_small_is_kept() {
    let plan = fixture("remove-aggregation");
    for budget in (0..comment::LEAST_BUDGET).step_by(97) {
        let page = comment::render(&planned(&plan), budget).text;
        assert!(page.len() <= budget);
        check_markdown(page.split_once('\n').map_or("", |it| it.1));
    }
}
