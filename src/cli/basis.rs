//! What a plan is made of, owned: changes, lineages, fingerprints, and what a ledger refers to.
//!
//! # Why
//! Without a ledger only what differs is read. With one, fingerprints must be the real ones; those
//! of files that are what was applied stand in the ledger, so that here too only what differs is
//! read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use super::failure::Failure;
use super::schedules;
use super::schedules::Published;
use super::schedules::Sides;
use super::workspace::Judged;
use super::workspace::Workspace;
use crate::diff;
use crate::diff::Candidate;
use crate::diff::ChangeKind;
use crate::impact;
use crate::model::catalog::Catalog;
use crate::model::day::Day;
use crate::model::ledger::FINGERPRINT_VERSION;
use crate::model::ledger::Fingerprint;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::ConfigType;
use crate::model::name::Resource;
use crate::plan;
use crate::plan::Earlier;
use crate::plan::Inputs;
use crate::plan::Lineages;
use crate::plan::Options;
use crate::plan::OwnPrints;
use crate::plan::contract::Plan;
use crate::schedule::Built;
use crate::source;
use crate::source::Content;
use crate::source::Wanted;

/// Everything that a plan is made of, beside the catalogs.
pub(super) struct Basis<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    judged: Judged,
    lineages: Lineages,
    evaluated: BTreeSet<Address>,
    earlier: BTreeMap<(Address, BlobId), Earlier>,
    ledger: Option<Arc<Ledger>>,
    location: String,
    sides: Option<Sides>,
    published: Published,
    /// Whether schedules are no part of the plan.
    jobs_alone: bool,
    /// How many files that were applied are not in this clone.
    pub(super) missing: usize,
}

impl<'a> Basis<'a> {
    /// To plan with: against a ledger where there is one, else against base.
    pub(super) fn of(
        workspace: &'a Workspace,
        ledger: Option<Arc<Ledger>>,
        location: String,
        options: &'a Options,
    ) -> Result<Self, Failure> {
        let mut basis = Self {
            workspace,
            options,
            judged: workspace.judge()?,
            lineages: Lineages::of(&workspace.pair.base, &workspace.pair.head),
            evaluated: BTreeSet::new(),
            earlier: BTreeMap::new(),
            ledger,
            location,
            sides: None,
            published: Published::AsBase,
            jobs_alone: !options.targets.is_empty(),
            missing: 0,
        };
        // What leaves steps out leaves schedules alone: they would run what was not applied. But
        // where Airflow runs the jobs, it needs the files of the commit for any of them.
        if options.targets.is_empty() || workspace.settings.airflow.runs {
            basis.sides = Sides::of(workspace, &basis.lineages)?;
        }
        basis.evaluated = plan::evaluated(&basis.inputs(Day::EPOCH));
        if let Some(ledger) = basis.ledger.clone() {
            basis.print()?;
            (basis.earlier, basis.missing) = earlier_configs(workspace, &ledger, &basis.evaluated)?;
        }
        Ok(basis)
    }

    /// To record base as applied: with real fingerprints of everything.
    pub(super) fn to_adopt(
        workspace: &'a Workspace,
        location: String,
        options: &'a Options,
    ) -> Result<Self, Failure> {
        let mut basis = Self::of(workspace, None, location, options)?;
        basis.print()?;
        Ok(basis)
    }

    /// Computes the own fingerprints that the ledger does not hold, from the files. A file that
    /// both sides share is read once.
    fn print(&mut self) -> Result<(), Failure> {
        let pair = &self.workspace.pair;
        let unrecorded = plan::unrecorded(&self.inputs(Day::EPOCH));
        let mut wanted: BTreeMap<(ConfigType, BlobId), Content> = BTreeMap::new();
        for (indices, catalog) in unrecorded.iter().zip([&pair.base, &pair.head]) {
            for &index in indices {
                let config = &catalog.configs[index];
                let key = (config.address.kind, config.blob);
                wanted.entry(key).or_insert_with(|| Content::of(config));
            }
        }
        let prints = prints_of(self.workspace, wanted.into_values().collect())?;
        let side = |catalog: &Catalog, indices: &[usize]| {
            let mut side = HashMap::new();
            for &index in indices {
                let config = &catalog.configs[index];
                let own = prints.get(&(config.address.kind, config.blob)).into_iter().flatten();
                side.extend(own.map(|it| ((config.address.clone(), *it.0), *it.1)));
            }
            side
        };
        let [base, head] = &unrecorded;
        self.judged.own = OwnPrints { base: side(&pair.base, base), head: side(&pair.head, head) };
        Ok(())
    }

    /// To plan with, knowing what is published.
    #[must_use]
    pub(super) fn over(self, published: Published) -> Self {
        Self { published, ..self }
    }

    /// To plan jobs with, and no schedules.
    #[must_use]
    pub(super) fn without_schedules(self) -> Self {
        Self { jobs_alone: true, ..self }
    }

    /// The schedules of head, where its settings publish any.
    pub(super) fn schedules(&self) -> Option<&Built> {
        self.sides.as_ref().map(|it| &it.head)
    }

    /// Makes the plan.
    pub(super) fn plan(&self, as_of: Day) -> Result<Plan, Failure> {
        let plan = plan::build(&self.inputs(as_of))?;
        let sides = self.sides.as_ref().filter(|_| !self.jobs_alone);
        sides.map_or(Ok(()), |it| schedules::sound(&it.head))?;
        let schedules = sides.map(|it| it.change(&self.published));
        Ok(plan::schedules::with(plan, schedules))
    }

    /// What a plan is made of.
    pub(super) fn inputs(&self, as_of: Day) -> Inputs<'_> {
        let workspace = self.workspace;
        Inputs {
            env: &workspace.env,
            base: &workspace.pair.base,
            head: &workspace.pair.head,
            lineages: &self.lineages,
            evaluated: &self.evaluated,
            changes: &self.judged.changes,
            own: &self.judged.own,
            earlier: &self.earlier,
            stale_copies: &self.judged.stale_copies,
            ledger: self.ledger.as_deref(),
            state_location: &self.location,
            as_of,
            settings: &workspace.settings,
            options: self.options,
        }
    }
}

/// The own fingerprints that each file makes.
type FilePrints = HashMap<(ConfigType, BlobId), BTreeMap<Resource, Fingerprint>>;

/// The own fingerprints of files, for every resource that a config of the type could have.
fn prints_of(workspace: &Workspace, files: Vec<Content>) -> Result<FilePrints, Failure> {
    let wanted: Vec<Wanted> =
        files.into_iter().map(|it| Wanted { before: None, after: Some(it) }).collect();
    let prints = source::documents(&workspace.repository, &wanted, |at, _, document| {
        let content = wanted[at].after.as_ref()?;
        let prints = impact::own_all(content.kind, &document?);
        Some(((content.kind, content.blob), prints))
    })?;
    Ok(prints.into_iter().flatten().collect())
}

type EarlierConfigs = (BTreeMap<(Address, BlobId), Earlier>, usize);

/// The configs of a ledger that are neither what they are at head nor at base, with what head
/// changes of them; and how many of them are not in this clone.
fn earlier_configs(
    workspace: &Workspace,
    ledger: &Ledger,
    evaluated: &BTreeSet<Address>,
) -> Result<EarlierConfigs, Failure> {
    let pair = &workspace.pair;
    let at_hand = |address: &Address, blob: BlobId| {
        [&pair.base, &pair.head].iter().any(|it| it.get(address).is_some_and(|it| it.blob == blob))
    };
    let mut wanted: BTreeMap<(Address, BlobId), String> = BTreeMap::new();
    for address in evaluated {
        for (_, applied) in ledger.of(address).filter(|it| !at_hand(address, it.1.blob)) {
            wanted.insert((address.clone(), applied.blob), applied.path.clone());
        }
    }
    let files: Vec<(Address, String, BlobId)> =
        wanted.into_iter().map(|((address, blob), path)| (address, path, blob)).collect();
    let configs = source::configs_of(&workspace.repository, &files)?;
    let missing = configs.iter().filter(|it| it.is_none()).count();
    let mut earlier: Vec<Earlier> =
        configs.into_iter().flatten().map(|config| Earlier { config, change: None }).collect();
    let compared: Vec<Wanted> = earlier
        .iter()
        .map(|it| {
            let after = pair.head.get(&it.config.address).map(Content::of);
            let before = after.is_some().then(|| Content::of(&it.config));
            Wanted { before, after }
        })
        .collect();
    let dialect = pair.head.dialect;
    let changes = source::documents(&workspace.repository, &compared, |at, before, after| {
        let (before, after) = (before.as_ref()?, after.as_ref()?);
        let config = &earlier[at].config;
        let candidate = Candidate {
            address: config.address.clone(),
            before: Some((config.address.clone(), config.blob)),
            after: compared[at].after.as_ref().map(|it| it.blob),
            kind: ChangeKind::Modified,
        };
        let path = &compared[at].after.as_ref()?.path;
        let change = diff::change(&candidate, path, dialect, Some(before), Some(after));
        let kind = config.address.kind;
        let verdict = impact::judge(kind, dialect, &change, Some(before), Some(after));
        Some((change, verdict))
    })?;
    for (earlier, change) in earlier.iter_mut().zip(changes) {
        earlier.change = change;
    }
    let keyed = earlier.into_iter().map(|it| ((it.config.address.clone(), it.config.blob), it));
    Ok((keyed.collect(), missing))
}

/// Brings fingerprints that older rules made up to today's, from the files that were applied: a new
/// version of the tool never triggers a job.
pub(super) fn upgraded(workspace: &Workspace, ledger: Arc<Ledger>) -> Result<Arc<Ledger>, Failure> {
    let old = |it: &crate::model::ledger::Applied| it.version != FINGERPRINT_VERSION;
    if !ledger.applied.values().any(old) {
        return Ok(ledger);
    }
    let mut files: BTreeMap<(ConfigType, BlobId), Content> = BTreeMap::new();
    for ((address, _), applied) in ledger.applied.iter().filter(|it| old(it.1)) {
        let (kind, path, blob) = (address.kind, applied.path.clone(), applied.blob);
        files.insert((kind, blob), Content { kind, path, blob });
    }
    let prints = prints_of(workspace, files.into_values().collect()).map_err(|failure| {
        failure
            .hint("this version has new rules and reads the applied files again: fetch all history (`fetch-depth: 0`, `git fetch --unshallow`)")
    })?;
    let ledger = Arc::unwrap_or_clone(ledger);
    Ok(Arc::new(plan::upgraded(ledger, &|address, resource, blob| {
        prints.get(&(address.kind, blob))?.get(&resource).copied()
    })))
}
