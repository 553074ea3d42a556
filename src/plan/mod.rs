//! Assessment and ledger to a plan. Pure: no clock, no environment, no network.

pub mod approval;
pub mod argv;
pub mod contract;
mod difference;
mod digest;
mod inputs;
pub mod modes;
mod needed;
mod order;
mod orphans;
pub mod policy;
mod range;
mod reach;
pub mod schedules;
pub mod settings;
mod steps;
mod upgrade;
pub mod warning;
mod warnings;

pub use difference::difference;
pub use difference::do_alike;
pub use difference::is_rest;
pub use inputs::Desired;
pub use inputs::Earlier;
pub use inputs::Inputs;
pub use inputs::Lineages;
pub use inputs::Options;
pub use inputs::OwnPrints;
pub use inputs::StaleCopy;
pub use settings::nearest;
pub use upgrade::upgraded;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::diff::Change;
use crate::diff::ChangeKind;
use crate::impact::Verdict;
use crate::model::catalog::Catalog;
use crate::model::catalog::OtherFile;
use crate::model::lineage::Lineage;
use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::name::Resource;
use contract::Plan;
use needed::View;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Configs that read each other's tables.
    #[error("these configs wait for each other: {}", list(.configs))]
    Cycle {
        /// The configs, each reading the next.
        configs: Vec<Address>,
    },
    /// A step that was forced and cannot be.
    #[error("`{step}` is no step of this env")]
    UnknownStep {
        /// As it was asked for.
        step: String,
        /// The steps that the config could have, if there is such a config.
        known: Vec<String>,
    },
    /// A target that matches nothing.
    #[error("no config matches the target `{target}`")]
    UnknownTarget {
        /// As it was asked for.
        target: String,
    },
    /// A ledger whose fingerprints nobody brought up to date.
    #[error("the ledger holds fingerprints of version {version}")]
    LedgerVersion {
        /// The version.
        version: u32,
    },
}

fn list(configs: &[Address]) -> String {
    configs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Makes the plan.
///
/// # Errors
/// Where configs read each other's tables in a cycle, or an option names what is not there.
pub fn build(inputs: &Inputs<'_>) -> Result<Plan, PlanError> {
    let (base, head) = inputs.views();
    let needs = needed::needs(inputs, base, head)?;
    let mut builder = steps::Builder::new(inputs, base, head, &needs);
    builder.add_all()?;
    let steps::Built { steps, notes } = builder.finish();
    let mut steps = order::order(head, steps)?;
    let all = steps.len();
    keep_targets(inputs, head, &mut steps)?;
    let warnings = warnings::warnings(inputs, base, head, &needs, &steps, &notes);
    let mut plan = Plan {
        schema_version: contract::SCHEMA_VERSION,
        digest: String::new(),
        env: inputs.env.to_owned(),
        dialect: inputs.head.dialect.name().to_owned(),
        as_of: inputs.as_of,
        complete: steps.len() == all && skipped_files(inputs).is_empty(),
        base: side(inputs.base),
        head: side(inputs.head),
        state: state(inputs),
        summary: contract::Summary::default(),
        changes: changes(inputs, base, head),
        orphans: orphans::orphans(inputs, base, head),
        warnings,
        other_files: other_files(inputs),
        skipped_files: skipped_files(inputs),
        schedules: None,
        steps,
    };
    plan.summary = summary(inputs, &plan);
    plan.digest = digest::digest(inputs, &plan);
    Ok(plan)
}

/// The fingerprint of every resource of head, whole and of its config alone: what a ledger holds
/// once head is applied; against a ledger, of those that must be looked at. They are true only where the inputs' own fingerprints are.
///
/// # Errors
/// Where configs read each other's tables in a cycle.
pub fn desired(inputs: &Inputs<'_>) -> Result<BTreeMap<(Address, Resource), Desired>, PlanError> {
    let (base, head) = inputs.views();
    needed::desired(inputs, base, head)
}

/// What a plan of these inputs must look at; whatever they hold under that name is not used.
pub fn evaluated(inputs: &Inputs<'_>) -> BTreeSet<Address> {
    let (base, head) = inputs.views();
    reach::evaluated(inputs, base, head)
}

/// The configs of base and of head whose own fingerprints a ledger does not hold: to plan against
/// it, somebody must compute them from their files. Indices into the catalogs.
pub fn unrecorded(inputs: &Inputs<'_>) -> [Vec<usize>; 2] {
    let (base, head) = inputs.views();
    [base, head].map(|view| reach::unrecorded(inputs, view, inputs.evaluated))
}

/// Leaves the steps of targets and what they wait for.
fn keep_targets(
    inputs: &Inputs<'_>,
    head: View<'_>,
    steps: &mut Vec<contract::Step>,
) -> Result<(), PlanError> {
    if inputs.options.targets.is_empty() {
        return Ok(());
    }
    let mut kept = BTreeSet::new();
    for target in &inputs.options.targets {
        let glob = wildmatch::WildMatch::new(target);
        let fits = |address: &Address| glob.matches(&address.to_string());
        if !head.catalog.configs.iter().any(|config| fits(&config.address)) {
            return Err(PlanError::UnknownTarget { target: target.clone() });
        }
        kept.extend(steps.iter().filter(|it| fits(&it.config)).map(|it| it.id.clone()));
    }
    for step in steps.iter().rev() {
        if kept.contains(&step.id) {
            kept.extend(step.after.iter().cloned());
        }
    }
    steps.retain(|step| kept.contains(&step.id));
    Ok(())
}

/// Configs of a catalog that write to one place or run under one label: the code, one of them, and
/// the sentence.
pub fn collisions_of(
    catalog: &Catalog,
    lineage: &Lineage,
) -> Vec<(warning::Code, Address, String)> {
    let found = warnings::collisions(View { catalog, lineage }, None);
    found
        .into_iter()
        .map(|(code, config, what, other)| {
            let text = format!("{what} is also that of {other}");
            (code, config, text)
        })
        .collect()
}

fn side(catalog: &Catalog) -> contract::Side {
    contract::Side { rev: catalog.rev.clone(), commit: catalog.commit.to_string() }
}

fn state(inputs: &Inputs<'_>) -> contract::State {
    contract::State {
        location: inputs.state_location.to_owned(),
        lineage: inputs.ledger.map(|ledger| ledger.lineage.clone()),
        serial: inputs.ledger.map_or(0, |ledger| ledger.serial),
        found: inputs.ledger.is_some(),
    }
}

fn changes(inputs: &Inputs<'_>, base: View<'_>, head: View<'_>) -> Vec<contract::Change> {
    let of = |(change, verdict): &(Change, Verdict)| contract::Change {
        config: change.address.clone(),
        path: change.path.clone(),
        kind: match change.kind {
            ChangeKind::Added => contract::Kind::Added,
            ChangeKind::Removed => contract::Kind::Removed,
            ChangeKind::Modified => contract::Kind::Modified,
            ChangeKind::VersionBump => contract::Kind::VersionBump,
            ChangeKind::Renamed => contract::Kind::Renamed,
        },
        from: change.from.clone(),
        fields: fields(change, verdict, &kept(base, head, change), head.catalog.dialect),
        columns: contract::Columns {
            added: change.columns.added.clone(),
            removed: change.columns.removed.clone(),
            renamed: change
                .columns
                .renamed
                .iter()
                .map(|(from, to)| contract::RenamedColumn { from: from.clone(), to: to.clone() })
                .collect(),
            changed: change.columns.changed.clone(),
        },
        downstream: downstream(head, &change.address)
            .or_else(|| downstream(base, &change.address))
            .unwrap_or_default(),
    };
    inputs.changes.iter().map(of).collect()
}

/// The resources that a config has on either side.
fn kept(base: View<'_>, head: View<'_>, change: &Change) -> BTreeSet<Resource> {
    let before = change.from.as_ref().unwrap_or(&change.address);
    base.resources(before).into_iter().chain(head.resources(&change.address)).collect()
}

/// Said of a field that would count if the config kept anything that depends on it.
const KEEPS_NOTHING: &str = "the config keeps no table, dataset or job that depends on it";

fn fields(
    change: &Change,
    verdict: &Verdict,
    kept: &BTreeSet<Resource>,
    dialect: Dialect,
) -> Vec<contract::Field> {
    let both = change.fields.iter().zip(&verdict.fields);
    let of = |(field, verdict): (&crate::diff::FieldChange, &crate::impact::FieldVerdict)| {
        let hidden = field.is_hidden();
        let counts: Vec<String> = verdict
            .counts
            .keys()
            .filter(|it| kept.contains(it))
            .map(|it| it.name().to_owned())
            .collect();
        let because = match verdict.rule {
            _ if counts.is_empty() && !verdict.counts.is_empty() => KEEPS_NOTHING,
            Some(rule) => rule.because,
            None => crate::impact::UNKNOWN,
        };
        contract::Field {
            path: field.path.to_string(),
            before: field.before().filter(|_| !hidden),
            after: field.after().filter(|_| !hidden),
            before_name: field.name_of(field.before().as_ref(), dialect),
            after_name: field.name_of(field.after().as_ref(), dialect),
            sql: field.is_sql(),
            hidden,
            reordered: field.reordered,
            counts_for: counts,
            because: because.to_owned(),
        }
    };
    both.map(of).collect()
}

/// Everything that depends on a config, at any distance; none where it is not there.
fn downstream(view: View<'_>, address: &Address) -> Option<Vec<Address>> {
    let mut open = vec![view.index(address)?];
    let mut seen: BTreeSet<usize> = open.iter().copied().collect();
    while let Some(index) = open.pop() {
        let next = view.lineage.downstream(index).iter().filter(|it| seen.insert(**it));
        open.extend(next);
    }
    let found = seen.into_iter().map(|index| view.config(index).address.clone());
    Some(found.filter(|it| it != address).collect())
}

fn other_files(inputs: &Inputs<'_>) -> Vec<contract::OtherFile> {
    let files = |catalog: &'_ Catalog| -> BTreeMap<String, OtherFile> {
        catalog.others.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (before, after) = (files(inputs.base), files(inputs.head));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |path: &String| {
        let (kind, file) = match (before.get(path), after.get(path)) {
            (None, file) => (contract::Kind::Added, file),
            (file, None) => (contract::Kind::Removed, file),
            (Some(old), Some(new)) if old.blob == new.blob => return None,
            (Some(_), file) => (contract::Kind::Modified, file),
        };
        Some(contract::OtherFile { path: path.clone(), kind, why: file?.why.to_owned() })
    };
    paths.into_iter().filter_map(of).collect()
}

fn skipped_files(inputs: &Inputs<'_>) -> Vec<contract::SkippedFile> {
    let of = |side: &str, catalog: &Catalog| -> Vec<contract::SkippedFile> {
        let file = |it: &crate::model::catalog::Malformed| contract::SkippedFile {
            path: it.path.clone(),
            side: side.to_owned(),
            line: it.line,
            column: it.column,
            what: it.what.clone(),
        };
        catalog.malformed.iter().map(file).collect()
    };
    let mut files = of("head", inputs.head);
    files.extend(of("base", inputs.base));
    files
}

fn summary(inputs: &Inputs<'_>, plan: &Plan) -> contract::Summary {
    let mut by_mode: BTreeMap<String, usize> = BTreeMap::new();
    for step in &plan.steps {
        *by_mode.entry(step.mode.clone()).or_default() += 1;
    }
    let mut warnings: BTreeMap<String, usize> = BTreeMap::new();
    for warning in &plan.warnings {
        *warnings.entry(warning.code.clone()).or_default() += 1;
    }
    let changed = plan.changes.iter().filter(|it| it.kind != contract::Kind::Removed);
    let touched: BTreeSet<&Address> =
        plan.steps.iter().map(|it| &it.config).chain(changed.map(|it| &it.config)).collect();
    let days = plan.steps.iter().filter_map(|step| step.range.as_ref()?.days);
    let configs = inputs.head.configs.iter().filter(|it| it.address.kind != ConfigType::Team);
    contract::Summary {
        steps: plan.steps.len(),
        by_mode,
        backfill_days: days.sum(),
        unchanged: configs.filter(|it| !touched.contains(&it.address)).count(),
        changed: plan.changes.len(),
        warnings,
    }
}
