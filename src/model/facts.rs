//! What lineage, resources and ranges need to know of a config: a few hundred bytes of a file
//! that may hold megabytes.
//!
//! # Why
//! A plan must know the lineage of every config though few changed. Reading files into these
//! facts keeps no document in memory, skips what is not needed while parsing, and the result can
//! be cached by the file's blob id. Facts are the same for both dialects: what differs is decided
//! by those who read them.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;

use super::day::Day;
use super::name::ConfigType;
use super::partitions;
use super::partitions::Cut;
use super::partitions::Declared;
use super::partitions::Ready;
use super::shape::Dependency;
use super::shape::Doc;
use super::shape::JoinSource;
use super::shape::Meta;
use super::shape::Query;
use super::shape::Source;
use super::shape::Window;
use super::shape::day;
use super::shape::text;
use super::sql;

/// How a config reads a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// The left side of a Join.
    Left,
    /// A source of a GroupBy, its own or one embedded in a Join.
    Source,
    /// A bootstrap part of a Join.
    Bootstrap,
    /// The key filter of a GroupBy's upload.
    KeyFilter,
    /// A declared dependency of a StagingQuery.
    Dependency,
    /// A table named in SQL; found by reading the text, so not certain.
    Sql,
    /// The training data of a Model.
    Training,
}

/// One table that a config reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The table, without partitions, as written.
    pub table: String,
    /// In which role.
    pub role: Role,
    /// From which day, where the config says.
    pub start: Option<Day>,
    /// How many days before its own first day a StagingQuery reads.
    pub start_offset: i64,
    /// The embedded GroupBy that reads it, as an index into [`Facts::parts`].
    pub part: Option<u32>,
    /// The embedded Join that reads it, as an index into [`Facts::parents`]; where that Join is
    /// a config of its own, this read is its business.
    pub inside: Option<u32>,
    /// When it is there, where the config says more than nothing.
    pub ready: Option<Box<Ready>>,
}

/// What an embedded GroupBy is to the Join that embeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PartRole {
    /// A join part.
    Part,
    /// A label part (dialect OSS).
    Label,
    /// The offline counterpart of an external part (dialect OSS).
    External,
}

/// A GroupBy embedded in a Join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its `metaData.name`.
    pub name: String,
    /// The prefix of its columns and part table.
    pub prefix: Option<String>,
    /// What it is to the Join.
    pub role: PartRole,
    /// Whether the embedding Join is one that the config itself embeds.
    pub nested: bool,
}

/// The facts of one config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `metaData.name`; none in a team's file.
    pub name: Option<String>,
    /// `metaData.team`.
    pub team: Option<String>,
    /// `metaData.outputNamespace`.
    pub namespace: Option<String>,
    /// `executionInfo.outputTableInfo.table`, which replaces the derived name.
    pub output_table: Option<String>,
    /// Whether the final output of a modular join stands in its `__derived` table.
    pub derived_output: bool,
    /// `metaData.online`.
    pub online: bool,
    /// The offline schedule, wherever the dialect keeps it.
    pub offline_schedule: Option<String>,
    /// When an online config is uploaded, where it says so (dialect ZIP).
    pub online_schedule: Option<String>,
    /// How its output is cut, where it says so.
    pub cut: Option<Box<Cut>>,
    /// How the tables that it reads are cut where nothing else says so.
    pub usual_cut: Option<Box<Cut>>,
    /// How many days behind its own day it reads (dialect OSS).
    pub lag: i64,
    /// Partitions that it declares by hand to wait for, of tables that are none of its reads.
    pub declared: Vec<Declared>,
    /// Whether accuracy is TEMPORAL, inferred where absent (reference §1.4).
    pub temporal: bool,
    /// Whether a topic feeds it, through the left of a join it is chained on.
    pub topic: bool,
    /// Whether the consistency check of a Join is on.
    pub consistency: bool,
    /// Its own first day: `backfillStartDate`, `startPartition`, or the left's.
    pub start: Option<Day>,
    /// Whether it says from when at all, readable or not.
    pub start_text: Option<String>,
    /// The left's last day.
    pub end: Option<Day>,
    /// `historicalBackfill` is off: only the newest partition is computed.
    pub latest_only: bool,
    /// A StagingQuery that is a view.
    pub view: bool,
    /// A Join with label parts or embedded models, whose tables other jobs compute.
    pub extra_tables: bool,
    /// The tables it reads.
    pub reads: Vec<Read>,
    /// The GroupBys it embeds.
    pub parts: Vec<Part>,
    /// The Joins it is chained on, outermost only.
    pub parents: Vec<String>,
    /// The Models it uses.
    pub models: Vec<String>,
    /// Above zero where only dialect ZIP writes such a file, below where only OSS does.
    pub dialect_hint: i8,
    /// Whether the file was read to its end: else what no fact needs was skipped unread.
    pub checked: bool,
}

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What facts need; the rest is skipped, whatever it is.
    Facts,
    /// All of it.
    Whole,
}

/// Reads the facts of a compiled file of type `kind`; the whole file where it will be
/// compared.
///
/// # Errors
/// Where the bytes are not a JSON object of the expected shape; the error has line and column.
pub fn read(kind: ConfigType, bytes: &[u8], extent: Extent) -> Result<Facts, serde_json::Error> {
    let object = bytes.trim_ascii_start().first() == Some(&b'{');
    if kind == ConfigType::Team || !object {
        // Derived structs would also take a list; a map takes an object alone.
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes)?;
        return Ok(Facts { dialect_hint: 1, checked: true, ..Facts::default() });
    }
    let mut facts = Collector::default().collect(kind, &serde_json::from_slice(bytes)?);
    if extent == Extent::Whole {
        serde_json::from_slice::<Sound>(bytes)?;
    }
    facts.checked = extent == Extent::Whole;
    Ok(facts)
}

/// A document that a full parser takes. Fields that no fact needs are skipped unread, so what is
/// wrong inside them would come to light only when the document is compared.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> serde::de::Visitor<'de> for Sound {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// Gathers reads and parts while walking a document.
#[derive(Default)]
struct Collector {
    facts: Facts,
    part: Option<u32>,
    inside: Option<u32>,
}

fn index<T>(of: &[T]) -> Option<u32> {
    u32::try_from(of.len()).ok()
}

impl Collector {
    fn collect(mut self, kind: ConfigType, doc: &Doc<'_>) -> Facts {
        self.facts.dialect_hint = doc.dialect_hint();
        if let Some(meta) = &doc.meta_data {
            self.meta(kind, meta);
        }
        self.facts.temporal = doc.temporal();
        self.facts.topic = doc.topic();
        self.facts.view = doc.create_view.on();
        self.facts.derived_output = doc.derived_output();
        self.facts.extra_tables = doc.model_transforms.is_some()
            || doc.label_part.as_ref().is_some_and(|part| part.labels.is_some());
        let left = doc.left.as_ref().and_then(Source::query);
        let starts = [
            &doc.backfill_start_date,
            &doc.start_partition,
            left.map_or(&None, |query| &query.start_partition),
        ];
        let start = starts.into_iter().find(|start| text(start).is_some());
        self.facts.start = start.and_then(day);
        self.facts.start_text = start.and_then(text);
        self.facts.end = left.and_then(|query| day(&query.end_partition));
        self.body(doc);
        if kind == ConfigType::StagingQuery {
            self.staging_query(doc);
        }
        if let Some(meta) = &doc.meta_data {
            self.declared(meta);
        }
        self.facts
    }

    /// What is waited for by hand; what is read anyway is not said twice.
    fn declared(&mut self, meta: &Meta<'_>) {
        let custom = meta.custom_json.as_ref().map_or("", |json| &json.0);
        let custom: partitions::Custom = serde_json::from_str(custom).unwrap_or_default();
        self.facts.lag = custom.lag.as_ref().and_then(serde_json::Value::as_i64).unwrap_or(0);
        let specs = custom.airflow_dependencies.into_iter().flatten();
        let own = meta.dependencies.as_deref().unwrap_or_default().iter();
        let own = own
            .map(|it| serde_json::from_str(&it.0).unwrap_or_else(|_| partitions::Spec::of(&it.0)));
        for partitions::Spec { spec, start, end } in specs.chain(own) {
            let Some(declared) = partitions::declared(&spec, start, end) else { continue };
            let read = |it: &&mut Read| it.table.eq_ignore_ascii_case(&declared.table);
            let mut known = self.facts.reads.iter_mut().filter(read).peekable();
            if known.peek().is_none() && !self.facts.declared.contains(&declared) {
                self.facts.declared.push(declared);
                continue;
            }
            for read in known {
                let ready = read.ready.take().map_or_else(Ready::default, |it| *it);
                read.ready = telling(ready.or(&declared.ready, read.role == Role::Dependency));
            }
        }
    }

    fn meta(&mut self, kind: ConfigType, meta: &Meta<'_>) {
        let info = meta.execution_info.as_ref();
        let custom = meta.custom_json.as_ref().map_or("", |json| &json.0);
        self.facts.name = text(&meta.name);
        self.facts.team = text(&meta.team);
        self.facts.namespace = text(&meta.output_namespace);
        self.facts.online = meta.online.on();
        self.facts.consistency = meta.consistency_check.on() || says_check_consistency(custom);
        self.facts.latest_only = meta.historical_backfill.0 == Some(false)
            || info.is_some_and(|info| info.historical_backfill.0 == Some(false));
        self.facts.offline_schedule = info
            .and_then(|info| text(&info.offline_schedule))
            .or_else(|| text(&meta.offline_schedule));
        if let Some(info) = info {
            let table = info.output_table_info.as_ref();
            self.facts.output_table = table.and_then(|table| text(&table.table));
            self.facts.online_schedule = text(&info.online_schedule);
            self.facts.cut = table.map(Cut::of_table).and_then(telling);
            let common = info.conf.as_ref().and_then(|conf| conf.common.as_ref());
            let usual =
                common.map(|it| Cut::usual(text(&it.partition_column), text(&it.partition_format)));
            self.facts.usual_cut = usual.and_then(telling);
            self.dependencies(info.table_dependencies.as_deref());
        }
        if kind == ConfigType::StagingQuery {
            for dependency in meta.dependencies.as_deref().unwrap_or_default() {
                let table = sql::table_of_dependency(&dependency.0);
                self.read(Role::Dependency, table.as_deref(), None);
            }
        }
    }

    /// Everything that reads or embeds, at any depth.
    fn body(&mut self, doc: &Doc<'_>) {
        for source in doc.sources.as_deref().unwrap_or_default() {
            self.source(Role::Source, source);
        }
        if let Some(left) = &doc.left {
            self.source(Role::Left, left);
        }
        for part in doc.join_parts.as_deref().unwrap_or_default() {
            self.embedded(PartRole::Part, part.group_by.as_ref(), text(&part.prefix));
        }
        let labels = doc.label_part.as_ref().and_then(|labels| labels.labels.as_deref());
        for label in labels.unwrap_or_default() {
            self.embedded(PartRole::Label, label.group_by.as_ref(), text(&label.prefix));
        }
        for external in doc.online_external_parts.as_deref().unwrap_or_default() {
            let source = external.source.as_ref();
            let offline = source.and_then(|source| source.offline_group_by.as_ref());
            self.embedded(PartRole::External, offline, None);
        }
        for bootstrap in doc.bootstrap_parts.as_deref().unwrap_or_default() {
            self.queried(
                Role::Bootstrap,
                text(&bootstrap.table).as_deref(),
                bootstrap.query.as_ref(),
            );
        }
        if let Some(filter) = &doc.key_filter {
            self.queried(
                Role::KeyFilter,
                text(&filter.snapshot_table).as_deref(),
                filter.query.as_ref(),
            );
        }
        for model in doc.models.as_deref().unwrap_or_default() {
            let name = model.meta_data.as_ref().and_then(|meta| text(&meta.name));
            self.facts.models.extend(name);
        }
        let training = doc.training_conf.as_ref();
        if let Some(source) = training.and_then(|training| training.training_data_source.as_ref()) {
            self.source(Role::Training, source);
        }
    }

    fn source(&mut self, role: Role, source: &Source<'_>) {
        let query = source.query();
        if let Some(events) = &source.events {
            self.queried(role, text(&events.table).as_deref(), query);
        }
        if let Some(entities) = &source.entities {
            self.queried(role, text(&entities.snapshot_table).as_deref(), query);
            self.queried(role, text(&entities.mutation_table).as_deref(), query);
        }
        if let Some(joined) = &source.join_source {
            self.chained(role, joined);
        }
        if let Some(transforms) = &source.model_transforms {
            self.body(transforms);
        }
    }

    /// A source that is a Join: what it reads is the Join's business where that is a config.
    fn chained(&mut self, role: Role, source: &JoinSource<'_>) {
        let Some(join) = &source.join else { return };
        let start = source.query.as_ref().and_then(|query| day(&query.start_partition));
        let ready = source.query.as_ref().map(Ready::of_query).and_then(telling);
        let outer = self.inside;
        if outer.is_none()
            && let Some(name) = join.name()
        {
            self.inside = index(&self.facts.parents);
            self.facts.parents.push(name);
            self.facts.reads.push(Read {
                table: String::new(),
                role,
                start,
                start_offset: 0,
                part: self.part,
                inside: self.inside,
                ready,
            });
        }
        self.body(join);
        self.inside = outer;
    }

    fn embedded(&mut self, role: PartRole, group_by: Option<&Doc<'_>>, prefix: Option<String>) {
        let Some(group_by) = group_by else { return };
        let outer = self.part;
        let name = group_by.name().unwrap_or_default();
        if outer.is_none() {
            self.part = index(&self.facts.parts);
        }
        self.facts.parts.push(Part { name, prefix, role, nested: self.inside.is_some() });
        self.body(group_by);
        self.part = outer;
    }

    fn staging_query(&mut self, doc: &Doc<'_>) {
        self.dependencies(doc.table_dependencies.as_deref());
        for table in doc.query.as_ref().map(|query| sql::tables(&query.0)).unwrap_or_default() {
            let known = |read: &Read| read.table.eq_ignore_ascii_case(&table);
            if !self.facts.reads.iter().any(known) {
                self.read(Role::Sql, Some(&table), None);
            }
        }
    }

    fn dependencies(&mut self, dependencies: Option<&[Dependency<'_>]>) {
        for dependency in dependencies.unwrap_or_default() {
            let table = dependency.table_info.as_ref().and_then(|info| text(&info.table));
            self.read(Role::Dependency, table.as_deref(), day(&dependency.start_cut_off));
            let offset = dependency.start_offset.as_ref().map_or(0, Window::days);
            if let (Some(read), true) = (self.facts.reads.last_mut(), table.is_some()) {
                read.start_offset = offset;
                read.ready = telling(Ready::of_dependency(dependency));
            }
        }
    }

    /// A table that a query reads.
    fn queried(&mut self, role: Role, table: Option<&str>, query: Option<&Query<'_>>) {
        let known = self.facts.reads.len();
        self.read(role, table, query.and_then(|query| day(&query.start_partition)));
        let mut ready = query.map(Ready::of_query).unwrap_or_default();
        ready.below.extend(table.map(partitions::below).unwrap_or_default());
        if let Some(read) = self.facts.reads.get_mut(known) {
            read.ready = telling(ready);
        }
    }

    fn read(&mut self, role: Role, table: Option<&str>, start: Option<Day>) {
        let Some(table) = table.map(sql::clean_table).filter(|table| !table.is_empty()) else {
            return;
        };
        self.facts.reads.push(Read {
            table: table.to_owned(),
            role,
            start,
            start_offset: 0,
            part: self.part,
            inside: self.inside,
            ready: None,
        });
    }
}

/// What says anything at all.
fn telling<T: Default + PartialEq>(value: T) -> Option<Box<T>> {
    (value != T::default()).then(|| Box::new(value))
}

/// Whether OSS `customJson` switches the consistency check on (reference §1.5).
fn says_check_consistency(custom_json: &str) -> bool {
    custom_json.contains("check_consistency")
        && serde_json::from_str::<serde_json::Value>(custom_json)
            .is_ok_and(|json| json["check_consistency"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(kind: ConfigType, value: &serde_json::Value) -> Facts {
        read(kind, value.to_string().as_bytes(), Extent::Whole).unwrap()
    }

    #[test]
    fn a_chained_group_by_knows_its_parent_and_what_stands_inside() {
        let join = json!({"metaData": {"name": "t.parent"},
            "left": {"events": {"table": "raw.left", "topic": "x"}},
            "joinParts": [{"groupBy": {"metaData": {"name": "t.part"},
                "sources": [{"events": {"table": "raw.part"}}]}}]});
        let source = json!({"joinSource": {"join": join,
            "query": {"startPartition": "2024-03-01"}}});
        let facts = facts(ConfigType::GroupBy, &json!({"sources": [source]}));
        assert!(facts.temporal && facts.topic);
        assert_eq!(facts.parents, ["t.parent"]);
        assert_eq!(facts.reads[0].start, Some("2024-03-01".parse().unwrap()));
        let inside: Vec<_> = facts.reads.iter().map(|r| (r.table.as_str(), r.inside)).collect();
        assert_eq!(inside, [("", Some(0)), ("raw.left", Some(0)), ("raw.part", Some(0))]);
        assert!(facts.parts[0].nested);
    }

    #[test]
    fn explicit_accuracy_wins_over_a_topic() {
        let source = json!([{"events": {"table": "t", "topic": "x"}}]);
        let of = |accuracy| {
            facts(ConfigType::GroupBy, &json!({"accuracy": accuracy, "sources": source})).temporal
        };
        assert_eq!((of(Some(0)), of(Some(1)), of(None)), (true, false, true));
    }

    #[test]
    fn a_staging_query_reads_what_it_declares_and_what_its_sql_names() {
        let facts = facts(
            ConfigType::StagingQuery,
            &json!({"query": "SELECT * FROM raw.a JOIN raw.b USING (id)",
                "tableDependencies": [{"tableInfo": {"table": "raw.a"},
                    "startOffset": {"length": 36, "timeUnit": 0}}]}),
        );
        let reads: Vec<_> =
            facts.reads.iter().map(|r| (r.table.as_str(), r.role, r.start_offset)).collect();
        assert_eq!(reads, [("raw.a", Role::Dependency, 2), ("raw.b", Role::Sql, 0)]);
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors_with_a_place() {
        let error = read(ConfigType::Join, b"{\n \"joinParts\": 3}", Extent::Facts).unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 15));
        assert!(read(ConfigType::Join, b"[]", Extent::Facts).is_err());
        assert!(read(ConfigType::Team, b"[]", Extent::Facts).is_err());
    }
}
