//! What keeps a plan from being applied: each with its exit code and what to do about it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::super::args::ApplyArgs;
use super::super::basis::Basis;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::schedules::Published;
use super::super::state::State;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::model::day::Day;
use crate::model::ledger::Ledger;
use crate::model::name::CommitId;
use crate::plan;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::state::journal::Begun;
use crate::state::journal::Carried;

/// How many lines are shown of what differs between two plans.
const SHOWN: usize = 50;

/// What was asked for, with a saved plan read.
pub(super) struct Asked<'a> {
    pub(super) args: &'a ApplyArgs,
    pub(super) request: Request,
    pub(super) file: Option<Plan>,
    /// The day that was asked for.
    pub(super) as_of: Option<Day>,
    pub(super) options: Options,
    /// What was begun and is gone on with, whose plan is the saved one.
    pub(super) resumes: Option<Begun>,
}

impl Asked<'_> {
    /// To plan with, knowing what is published. A saved plan without schedules leaves them alone.
    pub(super) fn over<'b>(&self, basis: Basis<'b>, published: Published) -> Basis<'b> {
        let basis = basis.over(published);
        match &self.file {
            Some(file) if file.schedules.is_none() => basis.without_schedules(),
            _ => basis,
        }
    }

    /// Plans for the day that was asked for; for that of a run of the same commit that was cut off,
    /// where the plan goes on with its work, so that this counts even after midnight; or for today.
    pub(super) fn plan(
        &self,
        basis: &Basis<'_>,
        carried: &Carried,
        head: &CommitId,
    ) -> Result<Plan, Failure> {
        if let Some(day) = self.as_of {
            return basis.plan(day);
        }
        let open = carried.open.values().map(|it| &it.step);
        let begun: BTreeSet<&String> =
            carried.done.values().map(|it| &it.step).chain(open).collect();
        let resumed = carried.as_of.filter(|_| carried.commit.as_ref() == Some(&head.0));
        if let Some(day) = resumed.filter(|_| !begun.is_empty()) {
            let plan = basis.plan(day)?;
            if plan.steps.iter().any(|step| begun.contains(&step.id)) {
                return Ok(plan);
            }
        }
        basis.plan(super::plan::today())
    }
}

/// A saved plan belongs to one env and one state.
pub(super) fn check_file(asked: &Asked<'_>, state: &State) -> Result<(), Failure> {
    let Some(file) = &asked.file else { return Ok(()) };
    let again = "plan again: `chronon-plan plan --format json --out plan.json`";
    let other = |what: String| Err(Failure::new(what).ends(Exit::Stale).hint(again));
    if file.env != state.env {
        return other(format!("the plan is for env `{}`, not `{}`", file.env, state.env));
    }
    if file.state.location != state.location {
        let (old, new) = (&file.state.location, &state.location);
        return other(format!("the plan was made for the state in {old}, not in {new}"));
    }
    if let Some(approved) = asked.args.approved.as_ref().filter(|it| **it != file.digest) {
        return Err(Failure::new(format!("the plan is {}, not {approved}", file.digest))
            .ends(Exit::PlanDiffers)
            .hint("approve this plan, or apply the one that was approved"));
    }
    if !file.skipped_files.is_empty() {
        return other("the plan leaves out files that could not be read".to_owned());
    }
    Ok(())
}

/// Jobs can be left alone only where they go on without this process.
pub(super) fn can_detach(asked: &Asked<'_>, prepared: &Prepared) -> Result<(), Failure> {
    if !asked.args.detach || prepared.settings.airflow.runs {
        return Ok(());
    }
    let runner = if prepared.settings.own_commands { "command" } else { "zipline" };
    Err(Failure::new(format!(
        "jobs of runner `{runner}` cannot be left alone: they are children of this process"
    ))
    .hint("leave out `--detach`: what is interrupted is found again by the next apply")
    .hint(format!("or let Airflow run them: `env.{}.runner = \"airflow\"`", prepared.env)))
}

/// What was begun may have ended since, but nothing else may have been begun.
pub(super) fn still_resumes(asked: &Asked<'_>, carried: &Carried) -> Result<(), Failure> {
    let same = asked.resumes.is_none()
        || !carried.has_work()
        || carried.asked.as_deref() == asked.resumes.as_ref();
    if same {
        return Ok(());
    }
    Err(Failure::new("another apply was begun meanwhile")
        .ends(Exit::Stale)
        .hint("chronon-plan apply --resume, to go on with that one"))
}

/// Without a ledger somebody must say what counts as applied: to guess it would leave out jobs.
pub(super) fn first_base(prepared: &Prepared) -> Result<crate::source::Revision, Failure> {
    if prepared.names_base() {
        return prepared.base();
    }
    Err(Failure::new("there is no ledger yet, so nothing says what is applied")
        .hint("chronon-plan state adopt --commit REV, to record that REV is what runs today")
        .hint("or chronon-plan apply --base REV, which does that and then applies the difference"))
}

/// Reads what is compared: with the base that was asked for, else with what was applied last.
pub(super) fn open(prepared: Prepared, ledger: &Ledger) -> Result<Workspace, Failure> {
    let base = match &ledger.commit {
        Some(commit) if !prepared.names_base() => {
            prepared.repository.revision(&commit.0).map_err(|error| not_here(&commit.0, error))?
        }
        _ => prepared.base()?,
    };
    prepared.read(&base)
}

fn not_here(commit: &str, error: crate::source::SourceError) -> Failure {
    let failure = Failure::from(error);
    Failure::new(format!("the commit that was applied last, {commit}, is not in this clone"))
        .lines(failure.what)
        .ends(Exit::Stale)
        .hint("fetch all history: `git fetch --unshallow`, or `fetch-depth: 0` in GitHub Actions")
        .hint("if history was rewritten: name what to compare with, `--base REV --allow-older`")
}

/// A commit that does not contain the one that was applied last would roll production back.
pub(super) fn descends(
    asked: &Asked<'_>,
    prepared: &Prepared,
    ledger: &Ledger,
) -> Result<(), Failure> {
    let Some(last) = &ledger.commit else { return Ok(()) };
    if asked.args.allow_older {
        return Ok(());
    }
    let descends = prepared.repository.descends(&prepared.head.commit, last);
    if descends.map_err(|error| not_here(&last.0, error))? {
        return Ok(());
    }
    let (head, last) = (prepared.head.commit.short(), last.short());
    Err(Failure::new(format!(
        "{head} does not contain {last}, which was applied last: applying it would undo that"
    ))
    .ends(Exit::Stale)
    .hint(format!("apply a commit that contains {last}"))
    .hint("if undoing it is what you want: `--allow-older`"))
}

/// Everything that keeps a plan from being applied as it is, all at once.
pub(super) fn refusals(
    asked: &Asked<'_>,
    workspace: &Workspace,
    plan: &Plan,
) -> Result<(), Failure> {
    let args = asked.args;
    let archived: BTreeSet<&str> = args.archived.iter().map(String::as_str).collect();
    let by_hand = workspace.settings.archive.is_none();
    let is_archived = |step: &Step| archived.contains(step.config.to_string().as_str());
    let blocked =
        |step: &&Step| step.rewrite == Some(Rewrite::ArchiveFirst) && by_hand && !is_archived(step);
    let head = &workspace.pair.head;
    let named = |it: &&String| head.configs.iter().any(|known| known.address.to_string() == **it);
    let unknown: Vec<String> = args.archived.iter().filter(|it| !named(it)).cloned().collect();
    if !unknown.is_empty() {
        return Err(Failure::new("`--archived` names configs that the commit does not have")
            .lines(unknown)
            .hint("name them as the plan does: `joins/team.file.name__1`"));
    }
    let unarchived: Vec<&Step> = plan.steps.iter().filter(blocked).collect();
    if !unarchived.is_empty() {
        let mut failure = Failure::new(
            "these tables must be archived or dropped first, or their history stays wrong",
        )
        .ends(Exit::Policy);
        for step in &unarchived {
            let table = workspace.pair.head.get(&step.config).and_then(|it| it.output_table());
            failure = failure.lines([format!("{}: {}", step.config, table.unwrap_or_default())]);
        }
        let names: Vec<String> =
            unarchived.iter().map(|it| format!("--archived {}", it.config)).collect();
        return Err(failure
            .hint(format!("once that is done: chronon-plan apply {}", names.join(" ")))
            .hint(format!("or set `env.{}.archive` to the command that does it", plan.env)));
    }
    let open = |step: &&Step| step.range.as_ref().is_some_and(|range| range.start.is_none());
    let endless: Vec<String> =
        plan.steps.iter().filter(open).map(|step| step.config.to_string()).collect();
    if !endless.is_empty() {
        let setting = format!("env.{}.backfill.start", plan.env);
        return Err(Failure::new("nothing says where these backfills start")
            .lines(endless)
            .hint(format!("set `{setting}` in {}", crate::plan::settings::FILE))
            .hint("or leave them out: `--target`"));
    }
    let ids: BTreeSet<&str> = plan.steps.iter().map(|it| it.id.as_str()).collect();
    let before = |it: &String| asked.resumes.as_ref().is_some_and(|begun| begun.done.contains(it));
    let unknown = args.done.iter().filter(|it| !ids.contains(it.as_str()) && !before(it));
    let unknown: Vec<String> = unknown.cloned().collect();
    if !unknown.is_empty() {
        return Err(Failure::new("`--done` names steps that are not in the plan")
            .lines(unknown)
            .hint(
                "chronon-plan apply --dry-run lists its steps; one that is done needs no `--done`",
            ));
    }
    Ok(())
}

/// Whether two steps of one id do the same, whatever the reasons.
fn runs_alike(a: &Step, b: &Step) -> bool {
    a.argv == b.argv
        && a.rewrite == b.rewrite
        && a.range == b.range
        && a.manual == b.manual
        && a.trigger == b.trigger
}

/// Leaves the steps of a saved plan that are still to do; fails where what it says of one no
/// longer holds.
pub(super) fn select(asked: &Asked<'_>, live: &mut Plan) -> Result<(), Failure> {
    let Some(file) = &asked.file else { return Ok(()) };
    let lineage = |plan: &Plan| plan.state.lineage.clone();
    let again = "plan again: `chronon-plan plan --format json --out plan.json`";
    if file.state.found && lineage(file) != lineage(live) {
        return Err(Failure::new("the plan was made for another ledger, which is no longer there")
            .ends(Exit::Stale)
            .hint(again));
    }
    let wanted: BTreeMap<&str, &Step> = file.steps.iter().map(|it| (it.id.as_str(), it)).collect();
    let mut stale = Vec::new();
    for step in &live.steps {
        match wanted.get(step.id.as_str()) {
            // A plan that was begun is kept by its digest, which does not cover the day.
            Some(planned)
                if asked.resumes.is_some() && plan::do_alike((file, planned), (live, step)) => {}
            Some(planned) if asked.resumes.is_some() || !runs_alike(planned, step) => {
                stale.push(format!("{}: it would run differently now", step.id));
            }
            Some(_) => {
                let siblings = live.steps.iter().filter(|it| {
                    it.config == step.config && it.resource == step.resource && it.id != step.id
                });
                let needed = step.after.iter().chain(siblings.map(|it| &it.id));
                let lacking = needed.filter(|it| !wanted.contains_key(it.as_str()));
                stale.extend(
                    lacking
                        .map(|it| format!("{}: it needs {it} now, which the plan lacks", step.id)),
                );
            }
            None => {}
        }
    }
    if !stale.is_empty() {
        return Err(Failure::new("the plan is out of date")
            .lines(stale)
            .ends(Exit::Stale)
            .hint(again));
    }
    select_schedules(file, live)?;
    let kept: BTreeSet<String> = wanted.keys().map(|it| (*it).to_owned()).collect();
    live.complete = live.complete && live.steps.iter().all(|it| kept.contains(&it.id));
    live.steps.retain(|step| kept.contains(&step.id));
    Ok(())
}

/// A saved plan publishes what it shows: schedules without any that it shows are left alone.
fn select_schedules(file: &Plan, live: &mut Plan) -> Result<(), Failure> {
    let unseen = plan::schedules::unseen(&[file], live);
    if unseen.is_empty() {
        return Ok(());
    }
    if file.schedules.as_ref().is_some_and(|it| !it.is_empty()) {
        let lines = unseen.into_iter().take(SHOWN).map(|it| format!("{it}: the plan lacks it"));
        return Err(Failure::new(
            "the plan is out of date: other schedules would be published now",
        )
        .lines(lines)
        .ends(Exit::Stale)
        .hint("plan again: `chronon-plan plan --format json --out plan.json`"));
    }
    live.schedules = None;
    Ok(())
}

/// The plan must be the one that was approved, or what an earlier apply of it left to do.
pub(super) fn check_digest(
    plan: &Plan,
    approved: Option<(String, Option<Plan>)>,
    state: &State,
) -> Result<(), Failure> {
    let Some((digest, known)) = approved.filter(|it| it.0 != plan.digest) else { return Ok(()) };
    let before = known.or_else(|| kept_plan(&digest, state));
    if before.as_ref().is_some_and(|before| plan::is_rest(before, plan)) {
        return Ok(());
    }
    let failure = Failure::new(format!("the plan is {}, not {digest}", plan.digest))
        .hint("chronon-plan plan, to see it; then approve its digest");
    Err(differs(failure, before.as_ref(), plan))
}

/// A plan that an apply began, kept by its digest.
pub(super) fn kept_plan(digest: &str, state: &State) -> Option<Plan> {
    let bytes = crate::state::head::kept_plan(&state.objects, digest).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// A failure because a plan is not the one that was approved, with what differs where that one is
/// known.
pub(super) fn differs(failure: Failure, before: Option<&Plan>, now: &Plan) -> Failure {
    let failure = failure.ends(Exit::PlanDiffers);
    let Some(before) = before else { return failure };
    let mut lines = plan::difference(before, now);
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    failure.lines(lines).lines((more > 0).then(|| format!("and {more} more")))
}
