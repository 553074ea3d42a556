//! Recording a commit as applied without running anything.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::basis::Basis;
use super::super::failure::Failure;
use super::super::state;
use super::super::state::State;
use super::super::tasks;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::model::day::Day;
use crate::model::ledger::Applied;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::CommitId;
use crate::model::name::Resource;
use crate::plan;
use crate::plan::Options;

/// The run that stands beside what was adopted.
const RUN: &str = "adopt";

/// Everything that a commit asks for, as if it had been applied.
pub(super) struct Adopted {
    pub(super) commit: CommitId,
    pub(super) applied: BTreeMap<(Address, Resource), Applied>,
}

/// Reads a commit as applied.
pub(super) fn of(request: Request, commit: &str, state: &State) -> Result<Adopted, Failure> {
    let request =
        Request { head: Some(commit.to_owned()), base: None, one_commit: true, ..request };
    let workspace = Workspace::open(&request)?;
    let options = Options::default();
    let basis = Basis::to_adopt(&workspace, state.location.clone(), &options)?;
    let desired = plan::desired(&basis.inputs(Day::EPOCH))?;
    let at = state::date();
    let entry = |key: &(Address, Resource)| {
        let applied = tasks::entry(&workspace, &desired, key, None)?;
        Some((key.clone(), Applied { run: RUN.to_owned(), at: at.clone(), ..applied }))
    };
    let applied = desired.keys().filter_map(entry).collect();
    Ok(Adopted { commit: workspace.pair.head.commit.clone(), applied })
}

/// A first ledger, that of the base of what is applied. An env may be as new as its settings, and its
/// root too: nothing of it was ever applied then.
pub(super) fn first_ledger(
    prepared: &Prepared,
    request: &Request,
    base: &CommitId,
    state: &State,
) -> Result<Ledger, Failure> {
    let root = prepared.root();
    let is_old = root.is_empty() || prepared.repository.holds(base, Path::new(&root))?;
    let applied = if is_old {
        let settings_of = request.settings_of.as_ref().unwrap_or(&prepared.head.commit).clone();
        let request = Request { settings_of: Some(settings_of), ..request.clone() };
        of(request, &base.0, state)?.applied
    } else {
        BTreeMap::new()
    };
    let lineage = state::nonce();
    Ok(Ledger { lineage, commit: Some(base.clone()), applied, ..Ledger::default() })
}
