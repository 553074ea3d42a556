//! Whether a plan falls under a policy, and by which configs.

use std::collections::BTreeSet;

use wildmatch::WildMatch;

use super::Policy;
use super::When;
use super::count;
use super::listed;
use crate::model::name::Address;
use crate::plan::contract::Plan;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::plan::contract::Warning;
use crate::plan::warning::Code;

/// Why a plan falls under a policy.
pub(super) struct Falls {
    /// The reason as a sentence.
    pub(super) why: String,
    /// The configs that make it so, sorted.
    pub(super) configs: Vec<Address>,
}

/// Why a plan falls under a policy; none where it does not.
pub(super) fn falls(policy: &Policy, plan: &Plan) -> Option<Falls> {
    if !policy.envs.is_empty() && !policy.envs.contains(&plan.env) {
        return None;
    }
    let scope = Scope::new(policy);
    let of_warnings = |code, what| of_warnings(&scope, &plan.warnings, code, what);
    match policy.when {
        When::OnlineBreaking => of_warnings(Code::OnlineBreaking, "online clients break of"),
        When::HistoryNotRewritten => {
            of_warnings(Code::HistoryNotRewritten, "history stays wrong in, or in what is read by,")
        }
        When::HistoryRewritten => history_rewritten(&scope, plan),
        When::BackfillDays => backfill_days(&scope, plan, i64::from(policy.days)),
        When::Team => of_team(&scope, plan),
        When::Jobs => jobs(&scope, plan),
    }
}

/// The configs that a policy is about.
struct Scope<'a> {
    teams: &'a [String],
    configs: Vec<WildMatch>,
    allowed: Vec<WildMatch>,
}

impl<'a> Scope<'a> {
    fn new(policy: &'a Policy) -> Self {
        let globs = |texts: &[String]| texts.iter().map(|text| WildMatch::new(text)).collect();
        let (configs, allowed) = (globs(&policy.configs), globs(&policy.allowed));
        Self { teams: &policy.teams, configs, allowed }
    }

    fn exempts(&self, config: &Address) -> bool {
        let address = config.to_string();
        self.allowed.iter().any(|glob| glob.matches(&address))
    }

    fn covers(&self, config: &Address) -> bool {
        let address = config.to_string();
        let meant =
            self.configs.is_empty() || self.configs.iter().any(|glob| glob.matches(&address));
        let team = self.teams.is_empty() || self.teams.iter().any(|team| team == team_of(config));
        meant && team && !self.exempts(config)
    }

    fn steps<'p>(&self, plan: &'p Plan) -> Vec<&'p Step> {
        plan.steps.iter().filter(|step| self.covers(&step.config)).collect()
    }
}

/// The team of a config: the compiler writes its folder before the first dot of the name.
fn team_of(config: &Address) -> &str {
    config.name.split('.').next().unwrap_or_default()
}

fn found(why: String, configs: BTreeSet<&Address>) -> Option<Falls> {
    (!configs.is_empty()).then(|| Falls { why, configs: configs.into_iter().cloned().collect() })
}

fn names(configs: &BTreeSet<&Address>) -> String {
    listed(&configs.iter().collect::<Vec<_>>())
}

/// A warning is about its config and about those that it hits: else a policy that guards a join
/// would not see that one of its GroupBys breaks it. Where the config is exempt, all of it is.
fn of_warnings(scope: &Scope<'_>, warnings: &[Warning], code: Code, what: &str) -> Option<Falls> {
    let of_code = warnings.iter().filter(|it| it.code == code.name() && !scope.exempts(&it.config));
    let configs = of_code.flat_map(|it| std::iter::once(&it.config).chain(&it.affects));
    let configs: BTreeSet<&Address> = configs.filter(|it| scope.covers(it)).collect();
    let why = format!("{what} {}: {}", count(configs.len(), "config"), names(&configs));
    found(why, configs)
}

fn history_rewritten(scope: &Scope<'_>, plan: &Plan) -> Option<Falls> {
    let rewrites = |step: &&Step| match step.rewrite {
        Some(Rewrite::Overwrite | Rewrite::Auto | Rewrite::ArchiveFirst) => true,
        Some(Rewrite::Fill) | None => false,
    };
    let steps = scope.steps(plan).into_iter().filter(rewrites);
    let configs: BTreeSet<&Address> = steps.map(|step| &step.config).collect();
    let why =
        format!("history is rewritten of {}: {}", count(configs.len(), "config"), names(&configs));
    found(why, configs)
}

fn backfill_days(scope: &Scope<'_>, plan: &Plan, most: i64) -> Option<Falls> {
    let steps = scope.steps(plan);
    let backfills = || steps.iter().filter_map(|step| Some((&step.config, step.range.as_ref()?)));
    let days: i64 = backfills().filter_map(|it| it.1.days).sum();
    let open: BTreeSet<&Address> =
        backfills().filter(|it| it.1.days.is_none()).map(|it| it.0).collect();
    let all: BTreeSet<&Address> = backfills().map(|it| it.0).collect();
    if days > most {
        let number = usize::try_from(days).unwrap_or_default();
        let why = format!(
            "its backfills compute {}, more than {most}: {}",
            count(number, "day"),
            names(&all)
        );
        return found(why, all);
    }
    // How many days it will be nobody knows, so they may be too many.
    let why = format!(
        "nothing says where backfills start, so they may compute more than {most} days: {}",
        names(&open)
    );
    found(why, open)
}

fn of_team(scope: &Scope<'_>, plan: &Plan) -> Option<Falls> {
    let changed = plan.changes.iter().flat_map(|it| std::iter::once(&it.config).chain(&it.from));
    let all = changed.chain(plan.steps.iter().map(|step| &step.config));
    let configs: BTreeSet<&Address> = all.filter(|it| scope.covers(it)).collect();
    let why = format!(
        "{} of {} {} or {} a job: {}",
        count(configs.len(), "config"),
        listed(scope.teams),
        if configs.len() == 1 { "changes" } else { "change" },
        if configs.len() == 1 { "needs" } else { "need" },
        names(&configs)
    );
    found(why, configs)
}

fn jobs(scope: &Scope<'_>, plan: &Plan) -> Option<Falls> {
    let steps = scope.steps(plan);
    let configs: BTreeSet<&Address> = steps.iter().map(|step| &step.config).collect();
    let why = format!(
        "it has {} of {}: {}",
        count(steps.len(), "step"),
        count(configs.len(), "config"),
        names(&configs)
    );
    found(why, configs)
}
