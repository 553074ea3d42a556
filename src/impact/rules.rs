//! TABLE of field-impact rules: which fields of which config count for which resources.
//!
//! # Why
//! This table is the product: what is hashed, why a job is planned, what breaks online clients
//! and what the docs say all come from it, so they cannot disagree. For each field the first row
//! that matches decides. Sources: reference §1.5, §2.1–2.4, §7.

use crate::model::name::ConfigType;
use crate::model::name::Resource;
use crate::model::path::Pattern;
use crate::model::path::Step;
use std::sync::LazyLock;

/// Whether a change of the field can break online clients of a config that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// It cannot.
    No,
    /// It always does.
    Always,
    /// It does where a served column disappears, is renamed, or is cast to another type, or where
    /// requests need another key.
    Values,
}

/// Whether the job that rebuilds a table notices the change by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// The field has no part in a table.
    Moot,
    /// It only moves where the table starts.
    Extends,
    /// A join's semantic hash covers it: changed tables are archived and recomputed.
    Sees,
    /// As `Sees`, but only in dialect ZIP.
    SeesInZip,
    /// No hash covers it: partitions that exist stay as they are.
    Blind,
}

/// Something to tell beside the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing.
    Nothing,
    /// No mode of the CLI deploys it: the Hub does.
    HubOnly,
    /// A job that is no part of a plan computes it.
    ManualJob,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, also that of its fixture.
    pub id: &'static str,
    /// The type of config it is about.
    pub of: ConfigType,
    /// The fields it is about.
    pub field: &'static str,
    /// The resources for which they count.
    pub counts: &'static [Resource],
    /// Whether they can break online clients.
    pub breaks: Breaks,
    /// Whether the job notices.
    pub notice: Notice,
    /// What else there is to say.
    pub says: Says,
    /// Why, in one sentence for people.
    pub because: &'static str,
}

use Breaks::Always;
use Breaks::No;
use Breaks::Values;
use ConfigType::GroupBy as G;
use ConfigType::Join as J;
use ConfigType::Model;
use ConfigType::ModelTransforms;
use ConfigType::StagingQuery as Q;
use ConfigType::Team;
use Notice::Blind;
use Notice::Extends;
use Notice::Moot;
use Notice::Sees;
use Notice::SeesInZip;
use Resource::Consistency as C;
use Resource::Kv as K;
use Resource::Metadata as M;
use Resource::Stream as S;
use Resource::Table as T;

const fn rule(
    id: &'static str,
    of: ConfigType,
    field: &'static str,
    counts: &'static [Resource],
    breaks: Breaks,
    notice: Notice,
    because: &'static str,
) -> Rule {
    Rule { id, of, field, counts, breaks, notice, says: Says::Nothing, because }
}

const fn says(says: Says, rule: Rule) -> Rule {
    Rule { says, ..rule }
}

const NEXT_RUN: &str = "takes effect on the next run of each job";
const BOOKKEEPING: &str = "bookkeeping of the compiler";
const ORCHESTRATION: &str = "decides when jobs run, not what they compute";

/// Every rule, in the order in which they are tried.
#[rustfmt::skip] // one rule, one line
pub const RULES: &[Rule] = &[
    rule("gb-name", G, "metaData.name", &[T, K, S, M], Always, Blind, "every table, dataset and job is named after it"),
    rule("gb-namespace", G, "metaData.outputNamespace", &[T, K, S, M], No, Blind, "names the tables"),
    rule("gb-output-table", G, "metaData.executionInfo.outputTableInfo.**", &[T, K, S], No, Blind, "names and lays out the table"),
    rule("gb-partition-column", G, "metaData.executionInfo.conf.common[spark.chronon.partition.column]", &[T, K, S], No, Blind, "lays out every table that the jobs read and write"),
    rule("gb-partition-format", G, "metaData.executionInfo.conf.common[spark.chronon.partition.format]", &[T, K, S], No, Blind, "lays out every table that the jobs read and write"),
    rule("gb-partition-column-mode", G, "metaData.executionInfo.conf.modeConfigs[][spark.chronon.partition.column]", &[T, K, S], No, Blind, "lays out every table that the mode's job reads and writes"),
    rule("gb-partition-format-mode", G, "metaData.executionInfo.conf.modeConfigs[][spark.chronon.partition.format]", &[T, K, S], No, Blind, "lays out every table that the mode's job reads and writes"),
    rule("gb-extra-partitions", G, "metaData.additionalOutputPartitionColumns.**", &[T, K, S, M], No, Blind, "lays out the table"),
    rule("gb-serving-conf", G, "metaData.executionInfo.conf.modeConfigs[serving].**", &[K], No, Moot, "the fetcher reads it from the serving info of the upload"),
    rule("gb-streaming-env", G, "metaData.executionInfo.env.modeEnvironments[streaming].**", &[S], No, Moot, "the streaming job runs with this environment"),
    rule("gb-streaming-conf", G, "metaData.executionInfo.conf.modeConfigs[streaming].**", &[S], No, Moot, "the streaming job runs with these settings"),
    rule("gb-streaming-cluster", G, "metaData.executionInfo.clusterConf.modeClusterConfigs[streaming].**", &[S], No, Moot, "the streaming job runs on this cluster"),
    rule("gb-streaming-env-oss", G, "metaData.modeToEnvMap[streaming].**", &[S], No, Moot, "the streaming job runs with this environment"),
    rule("gb-execution", G, "metaData.executionInfo.**", &[], No, Moot, NEXT_RUN),
    rule("gb-mode-env", G, "metaData.modeToEnvMap.**", &[], No, Moot, NEXT_RUN),
    rule("gb-schedule", G, "metaData.offlineSchedule", &[], No, Moot, ORCHESTRATION),
    rule("gb-history", G, "metaData.historicalBackfill", &[], No, Moot, "decides which days the next backfill fills"),
    rule("gb-args", G, "metaData.customJson.additional_args.**", &[], No, Moot, NEXT_RUN),
    rule("gb-env", G, "metaData.customJson.additional_env.**", &[], No, Moot, NEXT_RUN),
    rule("gb-column-hashes", G, "metaData.columnHashes.**", &[], No, Moot, BOOKKEEPING),
    rule("gb-source-file", G, "metaData.sourceFile", &[], No, Moot, BOOKKEEPING),
    rule("gb-airflow-dependencies", G, "metaData.customJson.airflowDependencies.**", &[], No, Moot, ORCHESTRATION),
    rule("gb-tiling", G, "metaData.customJson.enable_tiling", &[K, S, M], Always, Moot, "streaming rows are stored in another form"),
    rule("gb-notifications", G, "metaData.customJson.enable_write_notifications", &[S, M], No, Moot, "the streaming job sends the notifications"),
    rule("gb-notification-topic", G, "metaData.customJson.notification_topic_override", &[S, M], No, Moot, "the streaming job sends the notifications"),
    rule("gb-metadata", G, "metaData.**", &[M], No, Moot, "the copy in the KV store mirrors the repository"),
    rule("gb-embedded-name", G, "sources.**.metaData.name", &[T, K, S, M], No, Blind, "names what the source is made of"),
    rule("gb-embedded-namespace", G, "sources.**.metaData.outputNamespace", &[T, K, S], No, Blind, "names the table that the source reads"),
    rule("gb-embedded-output-table", G, "sources.**.metaData.executionInfo.outputTableInfo.**", &[T, K, S], No, Blind, "names and lays out the table that the source reads"),
    rule("gb-embedded-partitions", G, "sources.**.metaData.additionalOutputPartitionColumns.**", &[T, K, S], No, Blind, "lays out the table that the source reads"),
    rule("gb-embedded-metadata", G, "sources.**.metaData.**", &[], No, Moot, "an embedded copy's own settings are never used"),
    rule("gb-embedded-external", G, "sources.**.metadata.**", &[], No, Moot, "an embedded copy's own settings are never used"),
    rule("gb-topic", G, "sources.**.topic", &[K, S, M], No, Moot, "the streaming job reads it, and finds it in the serving info of the upload"),
    rule("gb-mutation-topic", G, "sources.**.mutationTopic", &[K, S, M], No, Moot, "the streaming job reads it, and finds it in the serving info of the upload"),
    rule("gb-embedded-key-filter", G, "sources.**.keyFilter.**", &[M], No, Moot, "only the upload of the embedded GroupBy itself uses it"),
    rule("gb-sources", G, "sources.**", &[T, K, S, M], Values, Blind, "every value is computed from it"),
    rule("gb-keys", G, "keyColumns.**", &[T, K, S, M], Always, Blind, "rows are stored and requested by these keys"),
    rule("gb-aggregations", G, "aggregations.**", &[T, K, S, M], Values, Blind, "it decides which values there are"),
    rule("gb-accuracy", G, "accuracy", &[K, S, M], Always, Moot, "final values and values to be completed are stored differently"),
    rule("gb-accuracy-inferred", G, "accuracyInferred", &[K, S, M], Always, Moot, "a topic came or went, and accuracy follows it: final values and values to be completed are stored differently"),
    rule("gb-backfill-start", G, "backfillStartDate", &[T, M], No, Extends, "the table starts on another day"),
    rule("gb-incremental", G, "isIncremental", &[T, M], No, Blind, "the table is computed from daily intermediate results"),
    rule("gb-derivation-metadata", G, "derivations[].metaData.**", &[], No, Moot, BOOKKEEPING),
    rule("gb-derivations", G, "derivations.**", &[T, K, S, M], Values, Blind, "they decide which columns there are; the fetcher finds them in the serving info of the upload"),
    rule("gb-key-filter", G, "keyFilter.**", &[K, M], No, Moot, "only the upload uses it"),
    rule("gb-online-strategy", G, "onlineStrategy", &[K, S, M], Always, Moot, "streaming rows are stored in another form"),

    rule("join-name", J, "metaData.name", &[C, T, M], Always, Blind, "every table and key is named after it"),
    rule("join-namespace", J, "metaData.outputNamespace", &[C, T, M], No, Blind, "names the tables"),
    rule("join-output-table", J, "metaData.executionInfo.outputTableInfo.**", &[T], No, Blind, "names and lays out the table"),
    rule("join-partition-column", J, "metaData.executionInfo.conf.common[spark.chronon.partition.column]", &[T], No, Blind, "lays out every table that the jobs read and write"),
    rule("join-partition-format", J, "metaData.executionInfo.conf.common[spark.chronon.partition.format]", &[T], No, Blind, "lays out every table that the jobs read and write"),
    rule("join-partition-column-mode", J, "metaData.executionInfo.conf.modeConfigs[][spark.chronon.partition.column]", &[T], No, Blind, "lays out every table that the mode's job reads and writes"),
    rule("join-partition-format-mode", J, "metaData.executionInfo.conf.modeConfigs[][spark.chronon.partition.format]", &[T], No, Blind, "lays out every table that the mode's job reads and writes"),
    rule("join-modular", J, "metaData.executionInfo.conf.common[modular_execution]", &[T], No, Blind, "moves the final output to another table"),
    rule("join-extra-partitions", J, "metaData.additionalOutputPartitionColumns.**", &[T, M], No, Blind, "lays out the table"),
    rule("join-execution", J, "metaData.executionInfo.**", &[], No, Moot, NEXT_RUN),
    rule("join-mode-env", J, "metaData.modeToEnvMap.**", &[], No, Moot, NEXT_RUN),
    rule("join-schedule", J, "metaData.offlineSchedule", &[], No, Moot, ORCHESTRATION),
    rule("join-history", J, "metaData.historicalBackfill", &[], No, Moot, "decides which days the next backfill fills"),
    rule("join-args", J, "metaData.customJson.additional_args.**", &[], No, Moot, NEXT_RUN),
    rule("join-env", J, "metaData.customJson.additional_env.**", &[], No, Moot, NEXT_RUN),
    rule("join-column-hashes", J, "metaData.columnHashes.**", &[], No, Moot, BOOKKEEPING),
    rule("join-source-file", J, "metaData.sourceFile", &[], No, Moot, BOOKKEEPING),
    rule("join-airflow-dependencies", J, "metaData.customJson.airflowDependencies.**", &[], No, Moot, ORCHESTRATION),
    rule("join-sample", J, "metaData.samplePercent", &[C, M], No, Moot, "the fetcher logs this share of requests"),
    rule("join-consistency", J, "metaData.consistencyCheck", &[C, M], No, Moot, "switches the consistency jobs"),
    rule("join-consistency-oss", J, "metaData.customJson.check_consistency", &[C, M], No, Moot, "switches the consistency jobs"),
    rule("join-consistency-sample", J, "metaData.consistencySamplePercent", &[C, M], No, Moot, "the consistency jobs compare this share of rows"),
    rule("join-metadata", J, "metaData.**", &[M], No, Moot, "the copy in the KV store mirrors the repository"),
    rule("join-embedded-name", J, "**.metaData.name", &[T, M], Values, Sees, "names what the join is made of"),
    rule("join-embedded-namespace", J, "**.metaData.outputNamespace", &[T], No, Sees, "names the tables that the join is made of"),
    rule("join-embedded-output-table", J, "**.metaData.executionInfo.outputTableInfo.**", &[T], No, Blind, "names and lays out a table that the join is made of"),
    rule("join-embedded-partitions", J, "**.metaData.additionalOutputPartitionColumns.**", &[T], No, Blind, "lays out a table that the join is made of"),
    rule("join-embedded-metadata", J, "**.metaData.**", &[], No, Moot, "an embedded copy's own settings are never used"),
    rule("join-external-name", J, "onlineExternalParts[].source.metadata.name", &[M], Values, Moot, "names the columns of the external part"),
    rule("join-external-metadata", J, "**.metadata.**", &[], No, Moot, "an embedded copy's own settings are never used"),
    rule("join-left-topic", J, "left.**.topic", &[M], No, Moot, "only GroupBys chained on the join stream from it"),
    rule("join-left-mutation-topic", J, "left.**.mutationTopic", &[M], No, Moot, "only GroupBys chained on the join stream from it"),
    rule("join-part-topic", J, "**.groupBy.**.topic", &[M], No, Moot, "only the GroupBy's own streaming job reads it"),
    rule("join-part-mutation-topic", J, "**.groupBy.**.mutationTopic", &[M], No, Moot, "only the GroupBy's own streaming job reads it"),
    rule("join-part-key-filter", J, "**.keyFilter.**", &[M], No, Moot, "only the GroupBy's own upload uses it"),
    rule("join-label-part", J, "labelPart.**", &[M], No, Moot, "label tables are computed by a job of their own").manual(),
    rule("join-models", J, "modelTransforms.**", &[M], No, Moot, "model outputs are computed by a job of their own").manual(),
    rule("join-external-offline", J, "onlineExternalParts[].source.offlineGroupBy.**", &[T, M], Values, Sees, "its values are joined offline"),
    rule("join-external-key-schema", J, "onlineExternalParts[].source.keySchema.**", &[M], Always, Moot, "requests are encoded by it"),
    rule("join-external-value-schema", J, "onlineExternalParts[].source.valueSchema.**", &[M], Always, Moot, "responses are decoded by it"),
    rule("join-external-key-mapping", J, "onlineExternalParts[].keyMapping.**", &[M], Always, Moot, "requests must name other keys"),
    rule("join-external-parts", J, "onlineExternalParts.**", &[M], Values, Moot, "the fetcher calls the external source"),
    rule("join-part-accuracy-inferred", J, "**.groupBy.accuracyInferred", &[T, M], No, SeesInZip, "a topic came or went, and accuracy follows it: values are as of the row's time or of the day's start"),
    rule("join-part-accuracy", J, "joinParts[].groupBy.accuracy", &[T, M], No, Sees, "values are as of the row's time or of the day's start"),
    rule("join-part-backfill-start", J, "joinParts[].groupBy.backfillStartDate", &[T, M], No, Sees, "the semantic hash covers it"),
    rule("join-part-group-by", J, "joinParts[].groupBy.**", &[T, M], Values, Sees, "the join recomputes the GroupBy from its sources"),
    rule("join-part-prefix", J, "joinParts[].prefix", &[T, M], Values, Sees, "the part's columns are named after it"),
    rule("join-part-key-mapping", J, "joinParts[].keyMapping.**", &[T, M], Values, Blind, "rows are matched, and requests keyed, by other columns; no semantic hash covers it"),
    rule("join-part-long-names", J, "joinParts[].useLongNames", &[T, M], Values, Blind, "the part's columns are named differently; no semantic hash covers it"),
    rule("join-parts", J, "joinParts.**", &[T, M], Values, Sees, "it decides which columns there are"),
    rule("join-long-names", J, "useLongNames", &[T, M], Values, Blind, "columns are named differently; no semantic hash covers it"),
    rule("join-left", J, "left.**", &[T, M], No, Sees, "every row of the join comes from it"),
    rule("join-derivations", J, "derivations.**", &[T, M], Values, Sees, "they decide which columns there are"),
    rule("join-bootstrap", J, "bootstrapParts.**", &[T, M], No, Sees, "values are taken from it"),
    rule("join-skew-keys", J, "skewKeys.**", &[T, M], No, Blind, "rows with these keys are left out; no semantic hash covers it"),
    rule("join-row-ids", J, "rowIds.**", &[C, T, M], No, Blind, "rows are matched by them; no semantic hash covers it"),

    rule("sq-name", Q, "metaData.name", &[T], No, Blind, "the table is named after it"),
    rule("sq-namespace", Q, "metaData.outputNamespace", &[T], No, Blind, "names the table"),
    rule("sq-output-table", Q, "metaData.executionInfo.outputTableInfo.**", &[T], No, Blind, "names and lays out the table"),
    rule("sq-partition-column", Q, "metaData.executionInfo.conf.common[spark.chronon.partition.column]", &[T], No, Blind, "lays out every table that the job reads and writes"),
    rule("sq-partition-format", Q, "metaData.executionInfo.conf.common[spark.chronon.partition.format]", &[T], No, Blind, "lays out every table that the job reads and writes"),
    rule("sq-partition-column-mode", Q, "metaData.executionInfo.conf.modeConfigs[][spark.chronon.partition.column]", &[T], No, Blind, "lays out every table that the mode's job reads and writes"),
    rule("sq-partition-format-mode", Q, "metaData.executionInfo.conf.modeConfigs[][spark.chronon.partition.format]", &[T], No, Blind, "lays out every table that the mode's job reads and writes"),
    rule("sq-extra-partitions", Q, "metaData.additionalOutputPartitionColumns.**", &[T], No, Blind, "lays out the table"),
    rule("sq-extra-partitions-oss", Q, "metaData.customJson.additional_partition_cols.**", &[T], No, Blind, "lays out the table"),
    rule("sq-metadata", Q, "metaData.**", &[], No, Moot, NEXT_RUN),
    rule("sq-query", Q, "query", &[T], No, Blind, "it decides what the rows are"),
    rule("sq-setups", Q, "setups.**", &[T], No, Blind, "they run before the query"),
    rule("sq-engine", Q, "engineType", &[T], No, Blind, "another engine runs the query"),
    rule("sq-view", Q, "createView", &[T], No, Blind, "a view replaces the table, or a table the view"),
    rule("sq-start", Q, "startPartition", &[T], No, Extends, "the table starts on another day"),
    rule("sq-dependencies", Q, "tableDependencies.**", &[], No, Moot, ORCHESTRATION),
    rule("sq-recompute-days", Q, "recomputeDays", &[], No, Moot, ORCHESTRATION),

    rule("model-name", Model, "metaData.name", &[], No, Moot, "the endpoint is named after it").hub(),
    rule("model-metadata", Model, "metaData.**", &[], No, Moot, BOOKKEEPING),
    rule("model-embedded-metadata", Model, "**.metaData.**", &[], No, Moot, BOOKKEEPING),
    rule("model", Model, "**", &[], No, Moot, "models are trained and deployed by the Hub alone").hub(),
    rule("transforms-name", ModelTransforms, "metaData.name", &[], No, Moot, "its tables are named after it").hub(),
    rule("transforms-metadata", ModelTransforms, "metaData.**", &[], No, Moot, BOOKKEEPING),
    rule("transforms-embedded-metadata", ModelTransforms, "**.metaData.**", &[], No, Moot, BOOKKEEPING),
    rule("transforms", ModelTransforms, "**", &[], No, Moot, "model transforms are run by the Hub alone").hub(),
    rule("team", Team, "**", &[], No, Moot, "each config carries its own copy, which is what counts"),
];

impl Rule {
    const fn hub(self) -> Self {
        says(Says::HubOnly, self)
    }

    const fn manual(self) -> Self {
        says(Says::ManualJob, self)
    }
}

/// The rules of one type with their patterns read, in order.
fn compiled(of: ConfigType) -> &'static [(Pattern, &'static Rule)] {
    type Compiled = Vec<Vec<(Pattern, &'static Rule)>>;
    static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
        let of = |kind: ConfigType| {
            let rules = RULES.iter().filter(|rule| rule.of == kind);
            rules.map(|rule| (Pattern::new(rule.field), rule)).collect()
        };
        crate::model::name::CONFIG_TYPES.iter().map(|row| of(row.0)).collect()
    });
    &COMPILED[of as usize]
}

/// The rule that decides about a field; none where no row matches.
pub fn lookup(of: ConfigType, path: &[Step]) -> Option<&'static Rule> {
    compiled(of).iter().find(|row| row.0.matches(path)).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::document::INFERRED_ACCURACY;
    use crate::model::schema;
    use crate::model::schema::Ty;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_reasons_are_sentences() {
        let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
        for rule in RULES {
            assert!(!rule.because.is_empty() && !rule.because.ends_with('.'), "{}", rule.id);
            let table = rule.counts.contains(&Resource::Table);
            assert_eq!(table, rule.notice != Notice::Moot, "{}: notice is about tables", rule.id);
        }
    }

    /// Keys that some rule names, of values that hold any keys.
    const KEYS: [&[&str]; 3] = [
        &[
            "lag",
            "airflowDependencies",
            "additional_args",
            "additional_env",
            "enable_tiling",
            "enable_write_notifications",
            "notification_topic_override",
            "check_consistency",
            "additional_partition_cols",
        ],
        &[
            "X",
            "spark.chronon.partition.column",
            "spark.chronon.partition.format",
            "modular_execution",
        ],
        &["streaming", "serving", "backfill"],
    ];

    /// A walk through the schema, as deep as types do not repeat.
    struct Walk {
        of: ConfigType,
        path: Vec<Step>,
        open: Vec<&'static str>,
        hit: BTreeSet<&'static str>,
    }

    impl Walk {
        fn below(&mut self, step: Step, ty: Ty) {
            self.path.push(step);
            self.at(ty);
            self.path.pop();
        }

        /// Asks for the rule of every field.
        fn at(&mut self, ty: Ty) {
            match ty {
                Ty::Struct(name) => self.fields(name),
                Ty::List(inner) | Ty::Map(inner) => self.below(Step::Item("x".to_owned()), *inner),
                Ty::Json => {
                    KEYS[0]
                        .iter()
                        .for_each(|it| self.below(Step::Field((*it).to_owned()), Ty::Text));
                }
                Ty::Secrets => {
                    KEYS[1].iter().for_each(|it| self.below(Step::Key((*it).to_owned()), Ty::Text));
                }
                Ty::SecretsByMode => {
                    KEYS[2]
                        .iter()
                        .for_each(|it| self.below(Step::Key((*it).to_owned()), Ty::Secrets));
                }
                Ty::Flag(_) | Ty::Number | Ty::Text | Ty::Sql | Ty::Enum(_) => {
                    let shown = crate::model::path::FieldPath(self.path.clone());
                    let rule = lookup(self.of, &self.path);
                    let rule = rule.unwrap_or_else(|| panic!("{shown} has no rule"));
                    self.hit.insert(rule.id);
                }
            }
        }

        fn fields(&mut self, name: &'static str) {
            if self.open.iter().filter(|it| **it == name).count() > 1 {
                return;
            }
            self.open.push(name);
            for field in schema::fields(name) {
                self.below(Step::Field(field.name.to_owned()), field.ty);
            }
            if name == "GroupBy" {
                self.below(Step::Field(INFERRED_ACCURACY.to_owned()), Ty::Number);
            }
            self.open.pop();
        }
    }

    #[test]
    fn every_field_of_every_type_has_a_rule_and_every_rule_a_field() {
        let mut hit = BTreeSet::new();
        for (of, _, name) in crate::model::name::CONFIG_TYPES {
            let mut walk = Walk { of, path: Vec::new(), open: Vec::new(), hit };
            walk.fields(name);
            hit = walk.hit;
        }
        let idle: Vec<&str> =
            RULES.iter().map(|rule| rule.id).filter(|id| !hit.contains(id)).collect();
        // Rules about a list as a whole, reached by reordering alone.
        assert_eq!(idle, ["join-parts"], "rules that no field reaches");
    }
}
