//! Who reads whose output, and who embeds whom (reference §3).
//!
//! # Why
//! Compiled files name tables, not each other. A producer is found by computing the tables that
//! every config writes and looking up those that others read; so a change of a StagingQuery's SQL
//! reaches a GroupBy whose file did not change.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;

use super::catalog::Catalog;
use super::catalog::Config;
use super::facts::Part;
use super::facts::PartRole;
use super::facts::Read;
use super::facts::Role;
use super::name::ConfigType;
use super::name::sanitize;

/// Why one config is upstream of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// Reads its output table, in this role.
    Reads(Role),
    /// Is chained on it through a join source, and so reads its output table.
    Chains,
    /// Embeds a copy of it.
    Embeds(PartRole),
    /// Uses it as a model.
    Uses,
}

impl EdgeKind {
    /// Whether what is downstream reads the table that the upstream config writes.
    pub fn reads_table(self) -> bool {
        matches!(self, Self::Reads(_) | Self::Chains)
    }

    /// Whether the edge was found by reading SQL, and so may be wrong.
    pub fn is_inferred(self) -> bool {
        self == Self::Reads(Role::Sql)
    }

    /// The word for it in graphs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reads(Role::Left) => "left",
            Self::Reads(Role::Source) => "source",
            Self::Reads(Role::Bootstrap) => "bootstrap",
            Self::Reads(Role::KeyFilter) => "key filter",
            Self::Reads(Role::Dependency) => "dependency",
            Self::Reads(Role::Sql) => "sql",
            Self::Reads(Role::Training) => "training",
            Self::Chains => "join source",
            Self::Embeds(PartRole::Part) => "join part",
            Self::Embeds(PartRole::Label) => "label part",
            Self::Embeds(PartRole::External) => "external part",
            Self::Uses => "model",
        }
    }
}

/// One edge, seen from downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The upstream config, as an index into the catalog.
    pub upstream: usize,
    /// Why.
    pub kind: EdgeKind,
    /// The read behind it, as an index into the downstream config's facts.
    pub read: Option<usize>,
}

/// The lineage of a catalog; configs are their indices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lineage {
    upstream: Vec<Vec<Edge>>,
    downstream: Vec<Vec<usize>>,
    tables: FxHashMap<String, usize>,
    same_table: Vec<(usize, usize)>,
}

impl Lineage {
    /// Finds every edge of the catalog.
    pub fn of(catalog: &Catalog) -> Self {
        let producers = Producers::of(catalog);
        let upstream: Vec<Vec<Edge>> =
            (0..catalog.configs.len()).map(|index| edges(&producers, index)).collect();
        let mut downstream = vec![Vec::new(); upstream.len()];
        for (index, edges) in upstream.iter().enumerate() {
            for edge in edges {
                if downstream[edge.upstream].last() != Some(&index) {
                    downstream[edge.upstream].push(index);
                }
            }
        }
        let Producers { tables, same_table, .. } = producers;
        Self { upstream, downstream, tables, same_table }
    }

    /// The edges to what a config depends on, sorted.
    pub fn upstream(&self, index: usize) -> &[Edge] {
        &self.upstream[index]
    }

    /// The configs that depend on it in any way, sorted.
    pub fn downstream(&self, index: usize) -> &[usize] {
        &self.downstream[index]
    }

    /// The configs whose output table it reads, sorted, each once.
    pub fn read_tables(&self, index: usize) -> Vec<usize> {
        let edges = self.upstream[index].iter().filter(|edge| edge.kind.reads_table());
        let mut producers: Vec<usize> = edges.map(|edge| edge.upstream).collect();
        producers.dedup();
        producers
    }

    /// The configs that read its output table, with the edge, sorted.
    pub fn readers(&self, index: usize) -> impl Iterator<Item = (usize, &Edge)> {
        self.downstream[index].iter().flat_map(move |&reader| {
            let edges = self.upstream[reader].iter();
            let reads = edges.filter(move |e| e.upstream == index && e.kind.reads_table());
            reads.map(move |edge| (reader, edge))
        })
    }

    /// The config that writes a table, compared without regard to case.
    pub fn producer(&self, table: &str) -> Option<usize> {
        self.tables.get(&*lower(table)).copied()
    }

    /// Pairs of configs that write one table, the first one first.
    pub fn same_table(&self) -> &[(usize, usize)] {
        &self.same_table
    }

    /// The configs in a cycle of table reads, if there is one: each reads the next, the last the
    /// first.
    pub fn cycle(&self) -> Option<Vec<usize>> {
        let mut waiting: Vec<usize> =
            (0..self.upstream.len()).map(|index| self.read_tables(index).len()).collect();
        let mut ready: Vec<usize> = (0..waiting.len()).filter(|&i| waiting[i] == 0).collect();
        while let Some(done) = ready.pop() {
            for &reader in &self.downstream[done] {
                if self.read_tables(reader).contains(&done) {
                    waiting[reader] -= 1;
                    if waiting[reader] == 0 {
                        ready.push(reader);
                    }
                }
            }
        }
        let start = waiting.iter().position(|&count| count > 0)?;
        let mut walk = vec![start];
        loop {
            let last = *walk.last()?;
            let next = self.read_tables(last).into_iter().find(|&up| waiting[up] > 0)?;
            if let Some(at) = walk.iter().position(|&seen| seen == next) {
                return Some(walk.split_off(at));
            }
            walk.push(next);
        }
    }
}

/// Suffixes of the tables that a config writes beside its output (reference §1.6).
const SIDE_TABLES: [&str; 15] = [
    "__derived",
    "__upload",
    "_upload",
    "_bootstrap",
    "_daily_inc",
    "_labels",
    "_labeled",
    "_labeled_latest",
    "_logged",
    "_comparison",
    "_consistency",
    "_consistency_upload",
    "_daily_stats",
    "_logged_daily_stats",
    "_pre_mt",
];

/// A name as tables are compared, without a copy where it is in lower case already.
fn lower(table: &str) -> Cow<'_, str> {
    if table.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        table.to_lowercase().into()
    } else {
        table.into()
    }
}

/// Which config writes a table.
struct Producers<'a> {
    catalog: &'a Catalog,
    tables: FxHashMap<String, usize>,
    same_table: Vec<(usize, usize)>,
    /// The namespaces of all outputs: a table elsewhere is nobody's.
    spaces: FxHashSet<String>,
}

impl<'a> Producers<'a> {
    fn of(catalog: &'a Catalog) -> Self {
        let tables = FxHashMap::default();
        let mut producers =
            Self { catalog, tables, same_table: Vec::new(), spaces: FxHashSet::default() };
        for (index, config) in catalog.configs.iter().enumerate() {
            if has_output(config.address.kind)
                && let Some(table) = config.output_table()
            {
                let table = lower(table);
                let space = table.rsplit_once('.').map_or("", |split| split.0);
                if !producers.spaces.contains(space) {
                    producers.spaces.insert(space.to_owned());
                }
                let first = *producers.tables.entry(table.into_owned()).or_insert(index);
                if first != index {
                    producers.same_table.push((first, index));
                }
            }
        }
        producers
    }

    /// The config of this type and name.
    fn named(&self, kind: ConfigType, name: &str) -> Option<usize> {
        let order = |config: &Arc<Config>| {
            config.address.kind.cmp(&kind).then_with(|| (*config.address.name).cmp(name))
        };
        self.catalog.configs.binary_search_by(order).ok()
    }

    /// The producer of a table in lower case: as its output, or as a table beside it.
    fn find(&self, table: &str) -> Option<usize> {
        if let Some(found) = self.tables.get(table) {
            return Some(*found);
        }
        let space = table.rsplit_once('.').map_or("", |split| split.0);
        if !self.spaces.contains(space) {
            return None;
        }
        let bases = SIDE_TABLES.iter().filter_map(|suffix| table.strip_suffix(suffix));
        let side = bases.filter_map(|base| self.tables.get(base)).next().copied();
        side.or_else(|| self.joining(table))
    }

    /// The join that writes this table for one of its parts.
    fn joining(&self, table: &str) -> Option<usize> {
        let bases = table.match_indices('_').map(|(at, _)| &table[..at]);
        bases.filter_map(|base| self.tables.get(base).map(|index| (base, *index))).find_map(
            |(base, index)| {
                let parts = self.catalog.configs[index].facts.parts.iter();
                let mut own = parts.filter(|part| !part.nested);
                own.any(|part| lower(&part_table(base, part)) == table).then_some(index)
            },
        )
    }
}

fn has_output(kind: ConfigType) -> bool {
    matches!(kind, ConfigType::GroupBy | ConfigType::Join | ConfigType::StagingQuery)
}

/// The table of one part of a join (reference §1.6).
fn part_table(join_table: &str, part: &Part) -> String {
    let prefix = part.prefix.as_ref().map(|prefix| format!("{prefix}_")).unwrap_or_default();
    format!("{join_table}_{prefix}{}", sanitize(&part.name))
}

fn edges(producers: &Producers<'_>, index: usize) -> Vec<Edge> {
    let config = &producers.catalog.configs[index];
    let facts = &config.facts;
    let parents: Vec<Option<usize>> =
        facts.parents.iter().map(|name| producers.named(ConfigType::Join, name)).collect();
    let mut edges = Vec::new();
    for (at, read) in facts.reads.iter().enumerate() {
        let kind = EdgeKind::Reads(read.role);
        edges.extend(read_edge(&parents, producers, read).map(|(upstream, chained)| Edge {
            upstream,
            kind: if chained { EdgeKind::Chains } else { kind },
            read: Some(at),
        }));
    }
    for part in facts.parts.iter().filter(|part| !part.nested) {
        let upstream = producers.named(ConfigType::GroupBy, &part.name);
        let kind = EdgeKind::Embeds(part.role);
        edges.extend(upstream.map(|upstream| Edge { upstream, kind, read: None }));
    }
    for model in &facts.models {
        let upstream = producers.named(ConfigType::Model, model);
        edges.extend(upstream.map(|upstream| Edge { upstream, kind: EdgeKind::Uses, read: None }));
    }
    edges.retain(|edge| edge.upstream != index);
    edges.sort_unstable();
    edges.dedup_by_key(|edge| (edge.upstream, edge.kind, edge.read));
    edges
}

/// The producer behind a read, and whether it is the join that the reader is chained on.
fn read_edge(
    parents: &[Option<usize>],
    producers: &Producers<'_>,
    read: &Read,
) -> Option<(usize, bool)> {
    let parent = read.inside.and_then(|inside| parents.get(inside as usize).copied().flatten());
    match parent {
        Some(parent) => read.table.is_empty().then_some((parent, true)),
        None => Some((producers.find(&lower(&read.table))?, false)),
    }
}

/// The config's upstream GroupBys, by role and name: what a Join serves.
pub fn embedded(config: &Config, role: PartRole) -> impl Iterator<Item = &Part> {
    config.facts.parts.iter().filter(move |part| part.role == role && !part.nested)
}

#[cfg(test)]
mod tests {
    use super::super::facts;
    use super::super::name::BlobId;
    use super::super::name::CommitId;
    use super::super::name::Dialect;
    use super::*;
    use serde_json::Value;
    use serde_json::json;

    /// A catalog of configs in namespace `ns`.
    fn catalog(configs: &[(ConfigType, &str, Value)]) -> Catalog {
        let mut configs: Vec<Arc<Config>> = configs
            .iter()
            .map(|(kind, name, body)| {
                let mut body = body.clone();
                body["metaData"] = json!({"name": name, "outputNamespace": "ns"});
                let facts =
                    facts::read(*kind, body.to_string().as_bytes(), facts::Extent::Whole).unwrap();
                let path = format!("compiled/{}/{name}", kind.dir());
                let address = super::super::name::Address::new(*kind, name);
                Config::new(address, path, BlobId([0; 20]), facts.into()).into()
            })
            .collect();
        configs.sort_by(|a, b| a.address.cmp(&b.address));
        Catalog {
            rev: "HEAD".to_owned(),
            commit: CommitId(String::new()),
            root: "compiled".to_owned(),
            dialect: Dialect::Zip,
            configs,
            others: Vec::new(),
            malformed: Vec::new(),
        }
    }

    fn upstream(catalog: &Catalog, address: &str) -> Vec<(String, &'static str)> {
        let lineage = Lineage::of(catalog);
        let index = catalog.index_of(&address.parse().unwrap()).unwrap();
        let edges = lineage.upstream(index).iter();
        edges.map(|e| (catalog.configs[e.upstream].address.to_string(), e.kind.word())).collect()
    }

    #[test]
    fn every_edge_kind_is_found() {
        let event = |table: &str| json!({"events": {"table": table}});
        let part = json!({"groupBy": {"metaData": {"name": "t.gb"}, "sources": [event("NS.t_sq")]},
            "prefix": "p"});
        let join = json!({"left": event("ns.t_sq/ds=x"), "joinParts": [part],
            "bootstrapParts": [{"table": "ns.t_parent_logged"}]});
        let parent = json!({"metaData": {"name": "t.parent"}, "left": event("ns.t_sq")});
        let catalog = catalog(&[
            (ConfigType::StagingQuery, "t.sq", json!({"query": "SELECT 1"})),
            (ConfigType::StagingQuery, "t.sq2", json!({"query": "SELECT * FROM ns.t_sq"})),
            (ConfigType::GroupBy, "t.gb", json!({"sources": [event("ns.t_sq")]})),
            (ConfigType::Join, "t.parent", json!({"left": event("raw.x")})),
            (ConfigType::Join, "t.join", join),
            (
                ConfigType::GroupBy,
                "t.chained",
                json!({"sources": [{"joinSource": {"join": parent}}]}),
            ),
            (ConfigType::GroupBy, "t.of_part", json!({"sources": [event("ns.t_join_p_t_gb")]})),
        ]);
        let sq = "staging_queries/t.sq".to_owned();
        assert_eq!(upstream(&catalog, "staging_queries/t.sq2"), [(sq.clone(), "sql")]);
        assert_eq!(upstream(&catalog, "group_bys/t.gb"), [(sq.clone(), "source")]);
        let chained = [("joins/t.parent".to_owned(), "join source")];
        assert_eq!(upstream(&catalog, "group_bys/t.chained"), chained);
        let of_part = [("joins/t.join".to_owned(), "source")];
        assert_eq!(upstream(&catalog, "group_bys/t.of_part"), of_part);
        let join = [
            ("group_bys/t.gb".to_owned(), "join part"),
            ("joins/t.parent".to_owned(), "bootstrap"),
            (sq.clone(), "left"),
            (sq, "source"),
        ];
        assert_eq!(upstream(&catalog, "joins/t.join"), join);
    }

    #[test]
    fn a_cycle_is_named_and_a_self_read_is_none() {
        let sql = |text: &str| json!({"query": text});
        let kind = ConfigType::StagingQuery;
        let own = catalog(&[(kind, "t.a", sql("SELECT * FROM ns.t_a"))]);
        assert_eq!(Lineage::of(&own).cycle(), None);
        let both = catalog(&[
            (kind, "t.a", sql("SELECT * FROM ns.t_b")),
            (kind, "t.b", sql("SELECT * FROM ns.t_a")),
            (kind, "t.c", sql("SELECT * FROM ns.t_b")),
        ]);
        assert_eq!(Lineage::of(&both).cycle().map(|cycle| cycle.len()), Some(2));
    }
}
