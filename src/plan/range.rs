//! Which days a backfill computes (reference §5).

use super::contract::Range;
use super::needed::View;
use super::settings::EnvSettings;
use crate::model::day::Day;
use crate::model::facts::Facts;
use crate::model::facts::Role;
use crate::model::lineage::EdgeKind;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;

/// The days of a backfill of the config at `index`; none where the job is given no days, because
/// it replaces a view or an unpartitioned table as a whole.
pub(super) fn range(
    view: View<'_>,
    index: usize,
    newest: Day,
    settings: &EnvSettings,
) -> Option<Range> {
    let config = view.config(index);
    let facts = &config.facts;
    let oss = view.catalog.dialect == Dialect::Oss;
    let query = config.address.kind == ConfigType::StagingQuery;
    if oss && query && is_whole(facts) {
        return None;
    }
    let end = match (config.address.kind, facts.end) {
        (ConfigType::Join, Some(last)) => newest.min(last),
        _ => newest,
    };
    // Dialect ZIP writes the switch into every GroupBy and nothing reads it there.
    let latest_only = facts.latest_only && (oss || config.address.kind == ConfigType::Join);
    let start = match latest_only {
        true => Some(end),
        false => start(view, index).or(settings.backfill_start),
    };
    Some(Range { start, end, days: start.map(|start| start.days_through(end)) })
}

/// Whether a query of dialect OSS replaces a view or an unpartitioned table as a whole.
pub(super) fn is_whole(facts: &Facts) -> bool {
    facts.view || facts.start_text.is_none()
}

/// Where the table of a config starts, as far as configs say it.
fn start(view: View<'_>, index: usize) -> Option<Day> {
    let config = view.config(index);
    match (config.address.kind, view.catalog.dialect) {
        (ConfigType::GroupBy, Dialect::Zip) => {
            let own = config.facts.reads.iter().filter(|read| {
                read.role == Role::Source && (read.inside.is_none() || read.table.is_empty())
            });
            let said = own.filter_map(|read| read.start).min();
            said.or_else(|| chained_start(view, index))
        }
        (ConfigType::StagingQuery, Dialect::Zip) => {
            config.facts.start.or_else(|| first_read(view, index))
        }
        _ => config.facts.start,
    }
}

/// Where the joins start that a GroupBy is chained on.
fn chained_start(view: View<'_>, index: usize) -> Option<Day> {
    let edges = view.lineage.upstream(index).iter();
    let parents = edges.filter(|edge| edge.kind == EdgeKind::Chains);
    parents.filter_map(|edge| start(view, edge.upstream)).min()
}

/// The earliest day from which anything downstream reads the table; none where a reader does not
/// say from when.
fn first_read(view: View<'_>, index: usize) -> Option<Day> {
    let mut first: Option<Day> = None;
    for (reader, edge) in view.lineage.readers(index) {
        let config = view.config(reader);
        let read = edge.read.and_then(|at| config.facts.reads.get(at))?;
        let from = match config.address.kind {
            ConfigType::StagingQuery => {
                let from = start(view, reader)?.plus(-read.start_offset);
                read.start.map_or(from, |cut_off| from.max(cut_off))
            }
            // An upload reads its filter for the newest day alone.
            _ if read.role == Role::KeyFilter => continue,
            // A join reads what it bootstraps from for its own days.
            ConfigType::Join => read.start.or_else(|| start(view, reader))?,
            _ => read.start?,
        };
        first = Some(first.map_or(from, |first| first.min(from)));
    }
    first
}
