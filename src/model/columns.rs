//! The columns that a GroupBy or a Join puts out, named as Chronon names them (reference §1.6).
//!
//! # Why
//! Reviewers think in features. Each column also carries what its values depend on, so that a
//! column which keeps its name but changes its meaning is told, and a renamed one recognised.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use super::document::INFERRED_ACCURACY;
use super::name::ConfigType;
use super::name::Dialect;
use super::name::sanitize;
use super::schema;

/// What a column is to those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A key of a GroupBy.
    Key,
    /// A column of a Join's left side, which only its table has.
    Left,
    /// A feature: in the table, and served online.
    Value,
}

/// What is known of a column beside its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it is to those who read it.
    pub role: Role,
    /// What its values depend on; equal texts are equal values.
    pub meaning: String,
}

/// Columns by name.
pub type Columns = BTreeMap<String, Column>;

/// The output columns of a config, from its normal form; none for types without columns.
pub fn columns(kind: ConfigType, document: &Value, dialect: Dialect) -> Columns {
    match kind {
        ConfigType::GroupBy => group_by(document, dialect),
        ConfigType::Join => join(document, dialect),
        ConfigType::Model
        | ConfigType::ModelTransforms
        | ConfigType::StagingQuery
        | ConfigType::Team => Columns::new(),
    }
}

/// Operations whose `k` is part of the column's name; `UNIQUE_TOP_K` in dialect ZIP alone.
const NAMED_K: [&str; 5] = ["LAST_K", "FIRST_K", "TOP_K", "BOTTOM_K", "UNIQUE_TOP_K"];

fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn texts<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    list(of, field).iter().filter_map(Value::as_str)
}

/// The one arm of a source that is set, with its query.
fn query(source: &Value) -> &Value {
    let arms = ["/events/query", "/entities/query", "/joinSource/query"];
    arms.iter().find_map(|arm| source.pointer(arm)).unwrap_or(&Value::Null)
}

fn group_by(document: &Value, dialect: Dialect) -> Columns {
    let mut columns = values(document, dialect);
    for key in texts(document, "keyColumns") {
        let meaning = expressions(document, key).to_string();
        columns.entry(key.to_owned()).or_insert(Column { role: Role::Key, meaning });
    }
    columns
}

/// The value columns of a GroupBy, after its derivations.
fn values(document: &Value, dialect: Dialect) -> Columns {
    let context = context(document);
    let mut base = Columns::new();
    let mut add = |name: String, meaning: Value| {
        let meaning = format!("{meaning} of {context}");
        base.insert(name, Column { role: Role::Value, meaning });
    };
    if let Some(aggregations) = document.get("aggregations").and_then(Value::as_array) {
        for aggregation in aggregations {
            for (name, window, bucket) in aggregated(aggregation, dialect) {
                let mut how = aggregation.clone();
                if let Some(how) = how.as_object_mut() {
                    how.remove("windows");
                    how.remove("buckets");
                }
                let input = aggregation["inputColumn"].as_str().unwrap_or_default();
                let by = bucket.as_deref().map(|bucket| expressions(document, bucket));
                add(name, json!([how, window, by, expressions(document, input)]));
            }
        }
    } else {
        let keys: BTreeSet<&str> = texts(document, "keyColumns").collect();
        let first = list(document, "sources").first().unwrap_or(&Value::Null);
        let selects = query(first).get("selects").and_then(Value::as_object);
        for name in selects.into_iter().flatten().map(|select| select.0) {
            if !keys.contains(name.as_str()) {
                add(name.clone(), expressions(document, name));
            }
        }
    }
    project(document, base)
}

/// What every value of a GroupBy depends on: its keys, accuracy and sources but for the
/// expressions of single columns.
fn context(document: &Value) -> Value {
    let accuracy = document.get("accuracy").or_else(|| document.get(INFERRED_ACCURACY));
    let sources: Vec<Value> = list(document, "sources").iter().map(rows).collect();
    json!([document.get("keyColumns"), accuracy, sources])
}

/// Which rows a source gives: all of it but topics and the expressions of single columns.
fn rows(source: &Value) -> Value {
    let mut source = source.clone();
    for arm in ["/events", "/entities", "/joinSource"] {
        if let Some(arm) = source.pointer_mut(arm).and_then(Value::as_object_mut) {
            arm.retain(|name, _| !["topic", "mutationTopic"].contains(&name.as_str()));
            if let Some(query) = arm.get_mut("query").and_then(Value::as_object_mut) {
                query.remove("selects");
            }
            let join = arm.get("join").and_then(|join| join.pointer("/metaData/name")).cloned();
            arm.extend(join.map(|name| ("join".to_owned(), name)));
        }
    }
    source
}

/// What a column of the sources is made of, source by source.
fn expressions(document: &Value, column: &str) -> Value {
    let of = |source: &Value| {
        let selected = query(source).get("selects").and_then(|selects| selects.get(column));
        selected.cloned().unwrap_or_else(|| column.into())
    };
    list(document, "sources").iter().map(of).collect()
}

/// The columns of one aggregation, each with its window and bucket.
fn aggregated(aggregation: &Value, dialect: Dialect) -> Vec<(String, Value, Option<String>)> {
    let input = aggregation["inputColumn"].as_str().unwrap_or_default();
    let operation = operation(aggregation, dialect);
    let windows = match aggregation.get("windows").and_then(Value::as_array) {
        None => vec![Value::Null],
        Some(windows) => windows.clone(),
    };
    let buckets = match aggregation.get("buckets").and_then(Value::as_array) {
        None => vec![None],
        Some(buckets) => buckets.iter().map(|it| it.as_str().map(str::to_owned)).collect(),
    };
    let mut columns = Vec::new();
    for bucket in &buckets {
        for window in &windows {
            let by = bucket.as_ref().map(|bucket| format!("_by_{bucket}")).unwrap_or_default();
            let name = format!("{input}_{operation}{}{by}", suffix(window));
            columns.push((name, window.clone(), bucket.clone()));
        }
    }
    columns
}

/// An operation as it stands in a column's name.
fn operation(aggregation: &Value, dialect: Dialect) -> String {
    let value = aggregation.get("operation").unwrap_or(&Value::Null);
    let Some(name) = schema::enum_name("Operation", value, dialect) else {
        return format!("operation{value}");
    };
    let k = aggregation.pointer("/argMap/k").and_then(Value::as_str);
    match name.strip_suffix("_K").filter(|_| NAMED_K.contains(&name)) {
        Some(stem) => format!("{}{}", stem.to_lowercase(), k.unwrap_or_default()),
        None => name.to_lowercase(),
    }
}

/// A window as it stands in a column's name; an unbounded one leaves no trace.
fn suffix(window: &Value) -> String {
    let length = window["length"].as_i64().unwrap_or(0);
    let unit = match window["timeUnit"].as_i64() {
        Some(0) => "h",
        Some(2) => "m",
        _ => "d",
    };
    let bounded = length > 0 && length < i64::from(i32::MAX);
    if bounded { format!("_{length}{unit}") } else { String::new() }
}

/// Applies derivations: `*` keeps every base column that no derivation merely renames.
fn project(document: &Value, base: Columns) -> Columns {
    let derivations = list(document, "derivations");
    if derivations.is_empty() {
        return base;
    }
    let part = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    let mut columns = Columns::new();
    if derivations.iter().any(|it| it["name"] == "*") {
        let used: BTreeSet<String> = derivations.iter().map(|it| part(it, "expression")).collect();
        let kept = base.iter().filter(|(name, _)| !used.contains(*name));
        columns.extend(kept.map(|(name, column)| (name.clone(), column.clone())));
    }
    for derivation in derivations.iter().filter(|it| it["name"] != "*") {
        let expression = part(derivation, "expression");
        let meaning = match base.get(&expression) {
            Some(renamed) => renamed.meaning.clone(),
            None => derived(&expression, &base),
        };
        columns.insert(part(derivation, "name"), Column { role: Role::Value, meaning });
    }
    columns
}

/// An expression with the columns it names replaced by what they mean, so that it is the same
/// expression where only their names differ.
fn derived(expression: &str, base: &Columns) -> String {
    let mut meaning = String::new();
    let mut rest = expression;
    while !rest.is_empty() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = rest.starts_with(is_word);
        let end = rest.find(|c| is_word(c) != word).unwrap_or(rest.len());
        match base.get(&rest[..end]) {
            Some(column) => meaning.push_str(&json!([column.meaning]).to_string()),
            None => meaning.push_str(&rest[..end]),
        }
        rest = &rest[end..];
    }
    meaning
}

fn join(document: &Value, dialect: Dialect) -> Columns {
    let left = document.get("left").unwrap_or(&Value::Null);
    let left_rows = rows(left);
    let mut base = Columns::new();
    for part in list(document, "joinParts") {
        let group_by = part.get("groupBy").unwrap_or(&Value::Null);
        let prefix = part_prefix(part, group_by, dialect);
        let mapping = part.get("keyMapping");
        for (name, column) in values(group_by, dialect) {
            let meaning = json!([column.meaning, mapping, left_rows]).to_string();
            base.insert(format!("{prefix}{name}"), Column { role: Role::Value, meaning });
        }
    }
    for external in list(document, "onlineExternalParts") {
        base.extend(external_columns(external));
    }
    let mut columns = project(document, base);
    let selects = query(left).get("selects").and_then(Value::as_object);
    for (name, expression) in selects.into_iter().flatten() {
        let meaning = expression.to_string();
        columns.entry(name.clone()).or_insert(Column { role: Role::Left, meaning });
    }
    columns
}

/// The keys that a request for a Join names: those of its parts, as the left side calls them.
pub fn request_keys(document: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for part in list(document, "joinParts") {
        let mapping = part.get("keyMapping").and_then(Value::as_object);
        for key in texts(part.get("groupBy").unwrap_or(&Value::Null), "keyColumns") {
            let left = mapping.into_iter().flatten().find(|(_, right)| *right == key);
            keys.insert(left.map_or(key, |(left, _)| left).to_owned());
        }
    }
    keys
}

/// What stands before a part's columns: the GroupBy's name, or its keys where names are short.
fn part_prefix(part: &Value, group_by: &Value, dialect: Dialect) -> String {
    let name = group_by.pointer("/metaData/name").and_then(Value::as_str).unwrap_or_default();
    let short = dialect == Dialect::Zip && part.get("useLongNames").is_some_and(|flag| *flag == 0);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(part.get("prefix").and_then(Value::as_str).map(str::to_owned));
    if short {
        parts.extend(texts(group_by, "keyColumns").map(str::to_owned));
    } else {
        let name = sanitize(name);
        let bare = name
            .rsplit_once("__v")
            .filter(|split| dialect == Dialect::Zip && split.1.bytes().all(|b| b.is_ascii_digit()));
        parts.push(bare.map_or(name.clone(), |split| split.0.to_owned()));
    }
    parts.into_iter().map(|part| part + "_").collect()
}

fn external_columns(external: &Value) -> Columns {
    let source = external.get("source").unwrap_or(&Value::Null);
    let name = source.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let prefix = external.get("prefix").and_then(Value::as_str);
    let prefix = prefix.map(|prefix| format!("{prefix}_")).unwrap_or_default();
    let params = source.pointer("/valueSchema/params").and_then(Value::as_array);
    let fields = params.map_or(&[][..], Vec::as_slice).iter();
    let column = |field: &Value| {
        let name = format!("ext_{prefix}{}_{}", sanitize(name), field["name"].as_str()?);
        let meaning = json!([field, external.get("keyMapping")]).to_string();
        Some((name, Column { role: Role::Value, meaning }))
    };
    fields.filter_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::normalise;
    use super::*;

    fn names(kind: ConfigType, body: Value, dialect: Dialect) -> Vec<String> {
        columns(kind, &normalise(kind, body), dialect).into_keys().collect()
    }

    #[test]
    fn aggregations_name_operation_window_and_bucket() {
        let day = |n: i64| json!({"length": n, "timeUnit": 1});
        let body = json!({"keyColumns": ["user"], "aggregations": [
            {"inputColumn": "x", "operation": 7, "windows": [day(7), {"length": 1, "timeUnit": 0}],
             "buckets": ["country"]},
            {"inputColumn": "x", "operation": 13, "argMap": {"k": "10"}},
            {"inputColumn": "x", "operation": 12, "argMap": {"percentiles": "[0.5]"}},
            {"inputColumn": "x", "operation": 6, "windows": []}]});
        let expected = [
            "user",
            "x_approx_percentile",
            "x_last10",
            "x_sum_1h_by_country",
            "x_sum_7d_by_country",
        ];
        assert_eq!(names(ConfigType::GroupBy, body, Dialect::Zip), expected);
    }

    #[test]
    fn derivations_rename_and_keep_the_rest_only_with_a_star() {
        let body = |star: bool| {
            let mut derivations = vec![json!({"name": "spend", "expression": "x_sum"})];
            if star {
                derivations.push(json!({"name": "*", "expression": "*"}));
            }
            json!({"keyColumns": ["user"], "derivations": derivations, "aggregations": [
                {"inputColumn": "x", "operation": 7}, {"inputColumn": "y", "operation": 7}]})
        };
        let with = names(ConfigType::GroupBy, body(true), Dialect::Zip);
        assert_eq!(with, ["spend", "user", "y_sum"]);
        let without = names(ConfigType::GroupBy, body(false), Dialect::Zip);
        assert_eq!(without, ["spend", "user"]);
    }

    #[test]
    fn parts_are_named_by_keys_or_by_name() {
        let group_by = json!({"metaData": {"name": "t.g.v__2"}, "keyColumns": ["user"],
            "aggregations": [{"inputColumn": "x", "operation": 7}]});
        let join = |long: i64| {
            json!({"left": {"events": {"query": {"selects": {"ts": "ts"}}}},
                "joinParts": [{"groupBy": group_by, "prefix": "p", "useLongNames": long}]})
        };
        let short = names(ConfigType::Join, join(0), Dialect::Zip);
        assert_eq!(short, ["p_user_x_sum", "ts"]);
        for (long, dialect) in [(1, Dialect::Zip), (0, Dialect::Oss)] {
            let names = names(ConfigType::Join, join(long), dialect);
            assert_eq!(names, ["p_t_g_v__2_x_sum", "ts"]);
        }
    }
}
