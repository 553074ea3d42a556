//! The schedules of a commit, and what of them would be published.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use super::failure::Failure;
use super::publishing;
use super::state::State;
use super::state::USUAL;
use super::workspace::Workspace;
use crate::model::catalog::Catalog;
use crate::model::ledger::Ledger;
use crate::model::lineage::Lineage;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::plan::Lineages;
use crate::plan::PlanError;
use crate::plan::argv;
use crate::plan::contract::Step;
use crate::plan::schedules::Schedules;
use crate::plan::settings::EnvSettings;
use crate::plan::settings::Team;
use crate::schedule;
use crate::schedule::Built;
use crate::schedule::Packed;
use crate::schedule::Teams;
use crate::schedule::spec::Manifest;
use crate::source;

/// What is published now.
#[derive(Clone, Debug)]
pub(super) enum Published {
    /// Nobody looked: what base asks for counts.
    AsBase,
    /// This, or nothing yet.
    Known(Option<Box<Manifest>>),
    /// Nothing where the settings say, but in another place.
    Elsewhere(String),
}

/// Both sides of a plan.
pub(super) struct Sides {
    pub(super) head: Built,
    base: Option<Manifest>,
    location: String,
}

impl Sides {
    /// The schedules of head and base; none where head's settings do not publish any.
    pub(super) fn of(workspace: &Workspace, lineages: &Lineages) -> Result<Option<Self>, Failure> {
        let Some(location) = workspace.settings.dags.place.clone() else { return Ok(None) };
        let pair = &workspace.pair;
        let (settings, teams) = (&workspace.settings, &workspace.teams);
        let head = built(workspace, &pair.head, &lineages.head, settings, teams)?;
        // Settings that nobody can read published nothing, and those that publish elsewhere not here.
        let base = workspace.settings_of_base().ok();
        let base = base.filter(|it| it.0.dags.place.as_ref() == Some(&location));
        let base = base.map(|(settings, teams)| {
            built(workspace, &pair.base, &lineages.base, &settings, &teams)
        });
        // What could never run was never published.
        let base = base.transpose()?.filter(|it| it.cycle.is_empty()).map(|it| it.manifest);
        Ok(Some(Self { head, base, location }))
    }

    /// What would be published.
    pub(super) fn change(&self, published: &Published) -> Schedules {
        let base = self.base.as_ref();
        let applied = match published {
            Published::AsBase => base,
            Published::Known(manifest) => manifest.as_deref(),
            Published::Elsewhere(_) => None,
        };
        let Self { head, location, .. } = self;
        let mut schedules = schedule::change(applied, base, &head.manifest, location, &head.notes);
        if let Published::Elsewhere(old) = published {
            schedules.notes.push(format!("the DAGs in {old} stay there and run on until somebody deletes chronon_dags.py and chronon_dags.json there"));
        }
        schedules
    }
}

/// The schedules of one commit.
pub(super) fn built(
    workspace: &Workspace,
    catalog: &Catalog,
    lineage: &Lineage,
    settings: &EnvSettings,
    teams: &BTreeMap<String, Team>,
) -> Result<Built, Failure> {
    let file = match Teams::file(&catalog.root, catalog.dialect) {
        Some(path) => workspace.repository.file(&catalog.commit, &path)?,
        None => None,
    };
    let compiled = catalog.configs.iter().filter(|it| it.address.kind == ConfigType::Team);
    let compiled = compiled.filter_map(|it| it.path.rsplit('/').nth(1).map(str::to_owned));
    let teams = Teams::of(teams, file.as_deref(), compiled).map_err(|what| {
        Failure::new(format!("{}: {what}", catalog.commit.short()))
            .hint("mend the file, or take it out of the commit")
    })?;
    let state = readable(settings, &workspace.env);
    let inputs = schedule::Inputs {
        env: &workspace.env,
        catalog,
        lineage,
        settings,
        teams: &teams,
        state: state.as_deref(),
    };
    Ok(schedule::build(&inputs))
}

/// Schedules that can be published: none of their tasks wait for each other.
pub(super) fn sound(built: &Built) -> Result<(), Failure> {
    match built.cycle.is_empty() {
        true => Ok(()),
        false => Err(PlanError::Cycle { configs: built.cycle.clone() }.into()),
    }
}

/// Where workers find the state of an env: a bucket, or a folder by its full path.
fn readable(settings: &EnvSettings, env: &str) -> Option<String> {
    let place = settings.state.as_deref().unwrap_or(USUAL).trim_end_matches('/');
    let shared = place.starts_with("gs://") || Path::new(place).is_absolute();
    shared.then(|| format!("{place}/{env}"))
}

/// What the ledger says is published, in the place that the settings name.
pub(super) fn published(
    state: &State,
    ledger: Option<&Ledger>,
    settings: &EnvSettings,
) -> Result<Published, Failure> {
    let known = ledger.and_then(|it| it.schedules.as_ref());
    let Some(known) = known else { return Ok(Published::Known(None)) };
    if settings.dags.place.as_ref() != Some(&known.location) {
        return Ok(Published::Elsewhere(known.location.clone()));
    }
    let bytes = crate::state::head::kept_schedules(&state.objects, &known.digest)?;
    // Without the copy all DAGs read as new, and are published again.
    let manifest = bytes.and_then(|bytes| publishing::read(&bytes));
    Ok(Published::Known(manifest.map(Box::new)))
}

/// The command of a step, with placeholders for its days.
pub(super) fn template(step: &Step) -> Vec<String> {
    let day = |name: &str| {
        let option = format!("--{name}=");
        step.argv.iter().find_map(|word| word.strip_prefix(option.as_str())).map(str::to_owned)
    };
    let range = step.range.as_ref();
    let first = range.and_then(|it| it.start).map(|it| it.to_string());
    let (last, called) = match range {
        Some(range) => (Some(range.end.to_string()), "{end_ds}"),
        None => (day("ds"), "{ds}"),
    };
    // What there is none of is nowhere in the command.
    let nowhere = "\0".to_owned();
    let (first, last) = (first.unwrap_or(nowhere.clone()), last.unwrap_or(nowhere));
    argv::templated(&step.path, &step.argv, (&first, "{start_ds}"), (&last, called))
}

/// The files of head that jobs need, packed: those of configs that jobs run for, and all under the
/// root that is none; where commands are one's own or dialect OSS needs its repository, the rest too.
pub(super) fn packed(workspace: &Workspace, built: &Built) -> Result<Packed, Failure> {
    let head = &workspace.pair.head;
    let configs: BTreeSet<&str> = head.configs.iter().map(|it| it.path.as_str()).collect();
    let root = if head.root.is_empty() { String::new() } else { format!("{}/", head.root) };
    let all = workspace.settings.own_commands || head.dialect == Dialect::Oss;
    let keep = |path: &str| match path.starts_with(&root) {
        true => built.jobs.contains_key(path) || !configs.contains(path),
        false => all,
    };
    let files = source::held(&workspace.repository, &head.commit, &keep).map_err(Failure::new)?;
    Ok(Packed::of(&files))
}
