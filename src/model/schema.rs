//! TABLE of every field of every struct of both dialects: its type, what an absent value means,
//! and whether its values are secret.
//!
//! # Why
//! Comparing, hashing, redacting and naming unknown fields all need the same knowledge of
//! Chronon's thrift; written once here (reference §1.2, §1.3), they cannot disagree. A field that
//! is missing from this table is *unknown*: it is kept, compared, and counts for everything.

use serde_json::Value;

use super::name::Dialect;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Ty {
    /// A boolean, written 0 or 1; absent and null mean the given default.
    Flag(bool),
    /// A number.
    Number,
    /// A string.
    Text,
    /// A string of SQL.
    Sql,
    /// A string that holds JSON, as far as it parses.
    Json,
    /// An integer with a name for each value.
    Enum(&'static str),
    /// Another struct of the table.
    Struct(&'static str),
    /// An ordered list.
    List(&'static Self),
    /// An unordered map with string keys.
    Map(&'static Self),
    /// A map whose values are settings of a job or its environment: never shown.
    Secrets,
    /// A map from mode to such a map.
    SecretsByMode,
}

/// Whether an empty value says something else than an absent one.
///
/// Chronon's Scala tests strings for null only, so an empty one differs from an absent one; lists
/// and maps mostly do not (`Option(…)`, `ScalaJavaConversions`), and the exceptions are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// An empty list or map is an absent one.
    Absent,
    /// Chronon tells them apart.
    Kept,
    /// An empty string is an absent one too: nothing but people reads it.
    Prose,
}

/// One field of one struct.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its thrift name.
    pub name: &'static str,
    /// What it holds.
    pub ty: Ty,
    /// The one dialect that has it, or both.
    pub only: Option<Dialect>,
    /// What empty means.
    pub empty: Empty,
}

const fn both(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, only: None, empty: Empty::Absent }
}

const fn zip(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, only: Some(Dialect::Zip), empty: Empty::Absent }
}

const fn oss(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, only: Some(Dialect::Oss), empty: Empty::Absent }
}

/// The same field, which only people read.
const fn prose(field: Field) -> Field {
    Field { empty: Empty::Prose, ..field }
}

/// The same field, where empty and absent differ.
const fn kept(field: Field) -> Field {
    Field { empty: Empty::Kept, ..field }
}

use Ty::Enum;
use Ty::Flag;
use Ty::Json;
use Ty::List;
use Ty::Map;
use Ty::Number;
use Ty::Secrets;
use Ty::SecretsByMode;
use Ty::Sql;
use Ty::Struct;
use Ty::Text;

/// Every struct with its fields, sorted by name.
#[rustfmt::skip] // one struct, one block; one field, one line
pub const STRUCTS: &[(&str, &[Field])] = &[
    ("Aggregation", &[
        both("inputColumn", Text),
        both("operation", Enum("Operation")),
        both("argMap", Map(&Text)),
        kept(both("windows", List(&Struct("Window")))),
        kept(both("buckets", List(&Text))),
        oss("elementWise", Flag(false)),
    ]),
    ("BootstrapPart", &[
        both("metaData", Struct("MetaData")),
        both("table", Text),
        both("query", Struct("Query")),
        kept(both("keyColumns", List(&Text))),
    ]),
    ("ClusterConfigProperties", &[zip("common", Secrets), zip("modeClusterConfigs", SecretsByMode)]),
    ("ConfigProperties", &[zip("common", Secrets), zip("modeConfigs", SecretsByMode)]),
    ("DataField", &[both("name", Text), both("dataType", Struct("TDataType"))]),
    ("DeploymentSpec", &[
        zip("containerConfig", Struct("ServingContainerConfig")),
        zip("endpointConfig", Struct("EndpointConfig")),
        zip("resourceConfig", Struct("ResourceConfig")),
        zip("rolloutStrategy", Struct("RolloutStrategy")),
    ]),
    ("Derivation", &[both("name", Text), both("expression", Sql), oss("metaData", Struct("MetaData"))]),
    ("DriftSpec", &[
        zip("slices", List(&Text)),
        zip("derivations", Map(&Sql)),
        zip("columnCardinalityHints", Map(&Number)),
        zip("tileSize", Struct("Window")),
        zip("lookbackWindows", List(&Struct("Window"))),
        zip("driftMetric", Enum("DriftMetric")),
    ]),
    ("EndpointConfig", &[zip("endpointName", Text), zip("additionalConfigs", Secrets)]),
    ("EntitySource", &[
        both("snapshotTable", Text),
        both("mutationTable", Text),
        both("mutationTopic", Text),
        both("query", Struct("Query")),
    ]),
    ("EnvironmentVariables", &[zip("common", Secrets), zip("modeEnvironments", SecretsByMode)]),
    ("EventSource", &[
        both("table", Text),
        both("topic", Text),
        both("query", Struct("Query")),
        both("isCumulative", Flag(false)),
    ]),
    ("ExecutionInfo", &[
        zip("env", Struct("EnvironmentVariables")),
        zip("conf", Struct("ConfigProperties")),
        zip("dependencyPollIntervalMillis", Number),
        zip("healthCheckIntervalMillis", Number),
        zip("clusterConf", Struct("ClusterConfigProperties")),
        zip("offlineSchedule", Text),
        zip("stepDays", Number),
        zip("historicalBackfill", Flag(true)),
        zip("tableDependencies", List(&Struct("TableDependency"))),
        zip("outputTableInfo", Struct("TableInfo")),
        zip("enableStatsCompute", Flag(false)),
        zip("onlineSchedule", Text),
        zip("workflowConcurrency", Number),
        zip("kvDependencies", List(&Struct("KvDependency"))),
        zip("outputKvInfo", Struct("KvInfo")),
        zip("kvPollIntervalMillis", Number),
    ]),
    ("ExternalPart", &[
        both("source", Struct("ExternalSource")),
        both("keyMapping", Map(&Text)),
        both("prefix", Text),
    ]),
    ("ExternalSource", &[
        both("metadata", Struct("MetaData")),
        both("keySchema", Struct("TDataType")),
        both("valueSchema", Struct("TDataType")),
        oss("factoryConfig", Struct("ExternalSourceFactoryConfig")),
        oss("offlineGroupBy", Struct("GroupBy")),
    ]),
    ("ExternalSourceFactoryConfig", &[oss("factoryName", Text), oss("factoryParams", Secrets)]),
    ("GroupBy", &[
        both("metaData", Struct("MetaData")),
        both("sources", List(&Struct("Source"))),
        kept(both("keyColumns", List(&Text))),
        kept(both("aggregations", List(&Struct("Aggregation")))),
        both("accuracy", Enum("Accuracy")),
        oss("backfillStartDate", Text),
        both("derivations", List(&Struct("Derivation"))),
        oss("isIncremental", Flag(false)),
        zip("keyFilter", Struct("EntitySource")),
        zip("onlineStrategy", Enum("OnlineStrategy")),
    ]),
    ("InferenceSpec", &[
        both("modelBackend", Enum("ModelBackend")),
        both("modelBackendParams", Secrets),
        zip("resourceConfig", Struct("ResourceConfig")),
    ]),
    ("Join", &[
        both("metaData", Struct("MetaData")),
        both("left", Struct("Source")),
        both("joinParts", List(&Struct("JoinPart"))),
        kept(both("skewKeys", Map(&List(&Text)))),
        both("onlineExternalParts", List(&Struct("ExternalPart"))),
        oss("labelPart", Struct("LabelPart")),
        both("bootstrapParts", List(&Struct("BootstrapPart"))),
        kept(both("rowIds", List(&Text))),
        both("derivations", List(&Struct("Derivation"))),
        oss("modelTransforms", Struct("ModelTransforms")),
        zip("useLongNames", Flag(true)),
    ]),
    ("JoinPart", &[
        both("groupBy", Struct("GroupBy")),
        both("keyMapping", Map(&Text)),
        both("prefix", Text),
        zip("useLongNames", Flag(true)),
    ]),
    ("JoinSource", &[both("join", Struct("Join")), both("query", Struct("Query"))]),
    ("KvDependency", &[
        zip("kvInfo", Struct("KvInfo")),
        zip("startMillis", Number),
        zip("endMillis", Number),
        zip("scanStrategy", Enum("KvScanStrategy")),
    ]),
    ("KvInfo", &[zip("cluster", Text), zip("table", Text), zip("keyBase64", Text)]),
    ("LabelPart", &[
        kept(oss("labels", List(&Struct("JoinPart")))),
        oss("leftStartOffset", Number),
        oss("leftEndOffset", Number),
        oss("metaData", Struct("MetaData")),
    ]),
    ("MetaData", &[
        both("name", Text),
        prose(both("team", Text)),
        prose(zip("version", Text)),
        prose(both("outputNamespace", Text)),
        zip("additionalOutputPartitionColumns", List(&Text)),
        both("tableProperties", Map(&Text)),
        zip("tags", Map(&Text)),
        zip("columnTags", Map(&Map(&Text))),
        zip("columnHashes", Map(&Text)),
        both("online", Flag(false)),
        both("production", Flag(false)),
        prose(zip("sourceFile", Text)),
        prose(both("customJson", Json)),
        zip("environments", List(&Enum("Environment"))),
        both("consistencyCheck", Flag(false)),
        both("samplePercent", Number),
        both("consistencySamplePercent", Number),
        zip("driftSpec", Struct("DriftSpec")),
        zip("executionInfo", Struct("ExecutionInfo")),
        oss("dependencies", List(&Json)),
        oss("modeToEnvMap", SecretsByMode),
        oss("offlineSchedule", Text),
        oss("historicalBackfill", Flag(true)),
        prose(oss("deprecationDate", Text)),
        prose(oss("description", Text)),
    ]),
    ("Metric", &[zip("name", Text), zip("threshold", Number)]),
    ("Model", &[
        both("metaData", Struct("MetaData")),
        both("inferenceSpec", Struct("InferenceSpec")),
        oss("inputSchema", Struct("TDataType")),
        oss("outputSchema", Struct("TDataType")),
        zip("inputMapping", Map(&Sql)),
        zip("outputMapping", Map(&Sql)),
        zip("valueSchema", Struct("TDataType")),
        zip("modelArtifactBaseUri", Text),
        zip("trainingConf", Struct("TrainingSpec")),
        zip("deploymentConf", Struct("DeploymentSpec")),
    ]),
    ("ModelTransform", &[
        oss("model", Struct("Model")),
        oss("inputMappings", Map(&Sql)),
        oss("outputMappings", Map(&Sql)),
        oss("prefix", Text),
    ]),
    ("ModelTransforms", &[
        oss("transforms", List(&Struct("ModelTransform"))),
        zip("sources", List(&Struct("Source"))),
        zip("models", List(&Struct("Model"))),
        both("passthroughFields", List(&Text)),
        zip("metaData", Struct("MetaData")),
        zip("keySchema", Struct("TDataType")),
    ]),
    ("Query", &[
        kept(both("selects", Map(&Sql))),
        both("wheres", List(&Sql)),
        both("startPartition", Text),
        both("endPartition", Text),
        both("timeColumn", Sql),
        both("setups", List(&Sql)),
        both("mutationTimeColumn", Sql),
        both("reversalColumn", Sql),
        both("partitionColumn", Text),
        zip("partitionFormat", Text),
        zip("partitionInterval", Struct("Window")),
        zip("partitionLag", Struct("Window")),
        zip("subPartitionsToWaitFor", List(&Text)),
        zip("timePartitioned", Flag(false)),
        zip("partitionOffset", Struct("Window")),
    ]),
    ("ResourceConfig", &[
        zip("minReplicaCount", Number),
        zip("maxReplicaCount", Number),
        zip("machineType", Text),
    ]),
    ("RolloutStrategy", &[
        zip("rolloutType", Enum("DeploymentStrategyType")),
        zip("validationTrafficPercentRamps", List(&Number)),
        zip("validationTrafficDurationMins", List(&Number)),
        zip("rolloutMetricThresholds", List(&Struct("Metric"))),
    ]),
    ("ServingContainerConfig", &[
        zip("image", Text),
        zip("servingHealthRoute", Text),
        zip("servingPredictRoute", Text),
        zip("servingContainerEnvVars", Secrets),
    ]),
    ("Source", &[
        both("events", Struct("EventSource")),
        both("entities", Struct("EntitySource")),
        both("joinSource", Struct("JoinSource")),
        zip("modelTransforms", Struct("ModelTransforms")),
    ]),
    ("StagingQuery", &[
        both("metaData", Struct("MetaData")),
        both("query", Sql),
        both("startPartition", Text),
        both("setups", List(&Sql)),
        oss("createView", Flag(false)),
        zip("engineType", Enum("EngineType")),
        zip("tableDependencies", List(&Struct("TableDependency"))),
        zip("recomputeDays", Number),
    ]),
    ("TDataType", &[
        both("kind", Enum("DataKind")),
        both("params", List(&Struct("DataField"))),
        both("name", Text),
    ]),
    ("TableDependency", &[
        zip("tableInfo", Struct("TableInfo")),
        zip("startOffset", Struct("Window")),
        zip("endOffset", Struct("Window")),
        zip("startCutOff", Text),
        zip("endCutOff", Text),
        zip("isSoftNodeDependency", Flag(false)),
        zip("semanticHash", Text),
        zip("forceCompute", Flag(false)),
    ]),
    ("TableInfo", &[
        zip("table", Text),
        zip("partitionColumn", Text),
        zip("partitionFormat", Text),
        zip("partitionInterval", Struct("Window")),
        zip("partitionOffset", Struct("Window")),
        zip("isCumulative", Flag(false)),
        zip("triggerExpr", Text),
        zip("timePartitioned", Flag(false)),
    ]),
    // A team's file is a bare MetaData (reference §1.1) that some releases write as a Team.
    ("Team", &[
        zip("name", Text),
        prose(zip("team", Text)),
        prose(zip("description", Text)),
        prose(zip("email", Text)),
        prose(zip("outputNamespace", Text)),
        zip("tableProperties", Map(&Text)),
        zip("tags", Map(&Text)),
        prose(zip("customJson", Json)),
        zip("env", Struct("EnvironmentVariables")),
        zip("conf", Struct("ConfigProperties")),
        zip("clusterConf", Struct("ClusterConfigProperties")),
        zip("executionInfo", Struct("ExecutionInfo")),
    ]),
    ("TrainingSpec", &[
        zip("trainingDataSource", Struct("Source")),
        zip("trainingDataWindow", Struct("Window")),
        zip("schedule", Text),
        zip("image", Text),
        zip("pythonModule", Text),
        zip("resourceConfig", Struct("ResourceConfig")),
        zip("jobConfigs", Secrets),
    ]),
    ("Window", &[both("length", Number), both("timeUnit", Enum("TimeUnit"))]),
];

/// The names of values, by number.
type EnumNames = &'static [(i64, &'static str)];

/// Every enum with the names of its values; a third column where the dialects differ.
#[rustfmt::skip] // one enum, one line
const ENUMS: &[(&str, Option<Dialect>, EnumNames)] = &[
    ("Accuracy", None, &[(0, "TEMPORAL"), (1, "SNAPSHOT")]),
    ("DataKind", None, &[(0, "BOOLEAN"), (1, "BYTE"), (2, "SHORT"), (3, "INT"), (4, "LONG"), (5, "FLOAT"), (6, "DOUBLE"), (7, "STRING"), (8, "BINARY"), (9, "DATE"), (10, "TIMESTAMP"), (11, "MAP"), (12, "LIST"), (13, "STRUCT")]),
    ("DataKind", Some(Dialect::Zip), &[(14, "DECIMAL")]),
    ("DeploymentStrategyType", None, &[(0, "BLUE_GREEN"), (1, "ROLLING"), (2, "IMMEDIATE")]),
    ("DriftMetric", None, &[(0, "JENSEN_SHANNON"), (1, "HELLINGER"), (3, "PSI")]),
    ("EngineType", None, &[(0, "SPARK"), (1, "BIGQUERY"), (2, "SNOWFLAKE")]),
    ("Environment", None, &[(0, "PROD"), (1, "CANARY")]),
    ("KvScanStrategy", None, &[(0, "ALL"), (1, "LATEST")]),
    ("ModelBackend", Some(Dialect::Zip), &[(0, "VertexAI"), (1, "SageMaker"), (2, "Ray")]),
    ("OnlineStrategy", None, &[(0, "DEFAULT"), (1, "STREAMING_MEGATILES"), (2, "PUSH")]),
    ("Operation", None, &[(0, "MIN"), (1, "MAX"), (2, "FIRST"), (3, "LAST"), (4, "UNIQUE_COUNT"), (5, "APPROX_UNIQUE_COUNT"), (6, "COUNT"), (7, "SUM"), (8, "AVERAGE"), (9, "VARIANCE"), (10, "SKEW"), (11, "KURTOSIS"), (12, "APPROX_PERCENTILE"), (13, "LAST_K"), (14, "FIRST_K"), (15, "TOP_K"), (16, "BOTTOM_K"), (17, "HISTOGRAM")]),
    ("Operation", Some(Dialect::Oss), &[(18, "APPROX_HISTOGRAM_K"), (19, "BOUNDED_UNIQUE_COUNT")]),
    ("Operation", Some(Dialect::Zip), &[(18, "APPROX_FREQUENT_K"), (19, "APPROX_HEAVY_HITTERS_K"), (20, "UNIQUE_TOP_K")]),
    ("TimeUnit", None, &[(0, "HOURS"), (1, "DAYS")]),
    ("TimeUnit", Some(Dialect::Zip), &[(2, "MINUTES")]),
];

/// Sets of pointers, strictest first.
pub type Identities = &'static [&'static [&'static str]];

/// How the items of a list of these structs are told apart: the first set of pointers that gives
/// two items the same values pairs them, then the next. `~` leaves out a `__N`; an empty set pairs
/// what is left, in order.
#[rustfmt::skip] // one struct, one line
const IDENTITIES: &[(&str, Identities)] = &[
    ("Aggregation", &[&["/inputColumn", "/operation", "/argMap", "/buckets"], &["/inputColumn", "/operation", "/buckets"], &["/inputColumn", "/operation"]]),
    ("BootstrapPart", &[&["/table", "/metaData/name"], &["/table"], &[]]),
    ("DataField", &[&["/name"]]),
    ("Derivation", &[&["/name"]]),
    ("ExternalPart", &[&["/source/metadata/name", "/prefix"], &["/source/metadata/name"], &[]]),
    ("JoinPart", &[&["/groupBy/metaData/name", "/prefix"], &["/groupBy/metaData/name"], &["/groupBy/metaData/name~"]]),
    ("KvDependency", &[&["/kvInfo/table"]]),
    ("Metric", &[&["/name"]]),
    ("Model", &[&["/metaData/name"]]),
    ("ModelTransform", &[&["/model/metaData/name", "/prefix"], &["/model/metaData/name"]]),
    ("Source", &[&["/events/table", "/entities/snapshotTable", "/joinSource/join/metaData/name"], &[]]),
    ("TableDependency", &[&["/tableInfo/table"]]),
    ("Window", &[&["/length", "/timeUnit"]]),
];

/// The fields of a struct; empty for a name that is not in the table.
pub fn fields(name: &str) -> &'static [Field] {
    // Lengths differ nearly everywhere, so a scan beats a search that compares bytes.
    STRUCTS.iter().find(|row| row.0 == name).map_or(&[], |row| row.1)
}

/// The field of a struct, in either dialect.
pub fn field(of: &str, name: &str) -> Option<&'static Field> {
    fields(of).iter().find(|field| field.name == name)
}

/// The pointers that identify an item of a list of `of`, strictest first.
pub fn identities(of: &str) -> Identities {
    IDENTITIES.iter().find(|row| row.0 == of).map_or(&[], |row| row.1)
}

/// The name of an enum's value, if this version knows it.
pub fn enum_name(of: &str, value: &Value, dialect: Dialect) -> Option<&'static str> {
    let number = value.as_i64()?;
    let known = |only: &Option<Dialect>| only.is_none_or(|only| only == dialect);
    let rows = ENUMS.iter().filter(|row| row.0 == of && known(&row.1));
    rows.flat_map(|row| row.2).find(|row| row.0 == number).map(|row| row.1)
}

/// Whether values of an enum can be told from free text in this dialect (OSS model backends are
/// strings).
pub fn is_enum(of: &str, dialect: Dialect) -> bool {
    ENUMS.iter().any(|row| row.0 == of && row.1.is_none_or(|only| only == dialect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_sorted_and_every_reference_resolves() {
        assert!(STRUCTS.is_sorted_by_key(|row| row.0));
        let mut types: Vec<Ty> = STRUCTS.iter().flat_map(|r| r.1).map(|f| f.ty).collect();
        while let Some(ty) = types.pop() {
            match ty {
                Struct(name) => assert!(!fields(name).is_empty(), "{name}"),
                Enum(name) => assert!(ENUMS.iter().any(|row| row.0 == name), "{name}"),
                List(inner) | Map(inner) => types.push(*inner),
                Flag(_) | Number | Text | Sql | Json | Secrets | SecretsByMode => {}
            }
        }
        for (name, _) in IDENTITIES {
            assert!(!fields(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn operations_18_and_19_differ_by_dialect() {
        let name = |n: i64, d| enum_name("Operation", &Value::from(n), d);
        assert_eq!(name(18, Dialect::Oss), Some("APPROX_HISTOGRAM_K"));
        assert_eq!(name(18, Dialect::Zip), Some("APPROX_FREQUENT_K"));
        assert_eq!(name(20, Dialect::Oss), None);
    }
}
