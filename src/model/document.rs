//! A compiled file's content in the one form in which it is compared, hashed and shown.
//!
//! # Why
//! Chronon treats many spellings alike: `0` and `false`, absent and null and empty, JSON that
//! stands inside a string. Bringing both sides into one form first means that comparison and
//! hashing are plain equality, and cannot disagree about what counts as a change.

use serde_json::Map;
use serde_json::Value;

use super::name::ConfigType;
use super::path::FieldPath;
use super::path::Step;
use super::schema;
use super::schema::Empty;
use super::schema::Field;
use super::schema::Ty;

/// What is shown in place of a value that must not be.
pub const HIDDEN: &str = "(hidden)";

/// The name under which a GroupBy's accuracy stands where the config leaves it to Chronon.
pub const INFERRED_ACCURACY: &str = "accuracyInferred";

/// Keys of `customJson` that hold settings of jobs (reference §1.5).
const SECRET_JSON_KEYS: [&str; 2] = ["additional_args", "additional_env"];

/// Words in the name of a field of no known struct that make its value suspect.
const SECRET_WORDS: [&str; 8] =
    ["env", "conf", "cluster", "secret", "token", "password", "credential", "key_file"];

/// Structs whose unknown fields are taken for settings.
const SECRET_STRUCTS: [&str; 5] = [
    "ClusterConfigProperties",
    "ConfigProperties",
    "EnvironmentVariables",
    "ExecutionInfo",
    "Team",
];

/// The normal form of a compiled file of type `kind`.
pub fn normalise(kind: ConfigType, body: Value) -> Value {
    let mut body = structure(kind.word(), body);
    if kind == ConfigType::GroupBy {
        spell_out_streaming_env(&mut body);
    }
    body
}

fn structure(of: &'static str, value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let mut normal = Map::new();
    for (name, value) in map {
        let value = match schema::field(of, &name) {
            Some(field) => field_value(field, value),
            None => Some(value).filter(|value| !value.is_null()),
        };
        normal.extend(value.map(|value| (name, value)));
    }
    if of == "GroupBy" && !normal.contains_key("accuracy") {
        let accuracy = i64::from(!has_topic(&normal));
        normal.insert(INFERRED_ACCURACY.to_owned(), accuracy.into());
    }
    Value::Object(normal)
}

fn field_value(field: &Field, value: Value) -> Option<Value> {
    let value = typed(field.ty, value)?;
    let empty = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    let says_nothing = match field.empty {
        Empty::Absent => empty && !value.is_string(),
        Empty::Prose => empty,
        Empty::Kept => false,
    };
    (!says_nothing).then_some(value)
}

/// The normal form of a value of type `ty`; none where it says nothing.
fn typed(ty: Ty, value: Value) -> Option<Value> {
    let value = match (ty, value) {
        (_, Value::Null) => return None,
        (Ty::Flag(default), value) => match truth(&value) {
            Some(flag) => return (flag != default).then(|| i64::from(flag).into()),
            None => value,
        },
        (Ty::Struct(of), value @ Value::Object(_)) => structure(of, value),
        (Ty::List(inner), Value::Array(items)) => {
            items.into_iter().map(|item| typed(*inner, item).unwrap_or(Value::Null)).collect()
        }
        (Ty::Map(inner), Value::Object(map)) => entries(*inner, map),
        (Ty::Secrets, Value::Object(map)) => entries(Ty::Text, map),
        (Ty::SecretsByMode, Value::Object(map)) => entries(Ty::Secrets, map),
        (Ty::Json, Value::String(text)) => embedded(text),
        (Ty::Number | Ty::Enum(_), value) => integral(value),
        (_, value) => value,
    };
    Some(value)
}

fn entries(inner: Ty, map: Map<String, Value>) -> Value {
    map.into_iter().filter_map(|(key, value)| Some((key, typed(inner, value)?))).collect()
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        _ => None,
    }
}

/// `100.0` and `100` are one number.
fn integral(value: Value) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < EXACT => {
            format!("{number:.0}").parse::<i64>().map_or(value, Value::from)
        }
        _ => value,
    }
}

/// JSON inside a string; the string itself where it does not parse (reference §8.10).
fn embedded(text: String) -> Value {
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(map)) => map.into_iter().filter(|entry| !entry.1.is_null()).collect(),
        Ok(value @ Value::Array(_)) => value,
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
            Value::String(text)
        }
    }
}

/// Whether a GroupBy has a topic, through the left of a join it is chained on (reference §1.4).
fn has_topic(group_by: &Map<String, Value>) -> bool {
    let sources = group_by.get("sources").and_then(Value::as_array);
    sources.is_some_and(|sources| sources.iter().any(source_has_topic))
}

fn source_has_topic(source: &Value) -> bool {
    let there = |pointer| source.pointer(pointer).is_some_and(|topic| !topic.is_null());
    let left = source.pointer("/joinSource/join/left");
    there("/events/topic") || there("/entities/mutationTopic") || left.is_some_and(source_has_topic)
}

/// Writes out which environment the streaming job gets: its mode's own, else the common one
/// (reference §4.4), so that a change of the common one shows where it takes effect.
fn spell_out_streaming_env(body: &mut Value) {
    let online = body.pointer("/metaData/online").is_some();
    let Some(env) = body.pointer_mut("/metaData/executionInfo/env").and_then(Value::as_object_mut)
    else {
        return;
    };
    let common = env.get("common").cloned();
    if let (true, Some(common)) = (online, common) {
        let modes = env.entry("modeEnvironments").or_insert_with(|| Value::Object(Map::new()));
        if let Some(modes) = modes.as_object_mut() {
            let streaming = modes.entry("streaming").or_insert(Value::Null);
            if streaming.as_object().is_none_or(Map::is_empty) {
                *streaming = common;
            }
        }
    }
}

/// What stands at one place of a document: enough to go one step deeper and to show the value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A value of a known type.
    Known(Ty),
    /// Something inside a JSON string.
    Json,
    /// Something that the schema does not know.
    Unknown,
    /// Something, known or not, whose value is never shown.
    Secret,
}

impl Kind {
    /// Where a field of this kind leads.
    pub fn of_field(self, name: &str) -> Self {
        match self {
            Self::Known(Ty::Struct("GroupBy")) if name == INFERRED_ACCURACY => {
                Self::Known(Ty::Enum("Accuracy"))
            }
            Self::Known(Ty::Struct(of)) => match schema::field(of, name) {
                Some(field) => Self::Known(field.ty),
                None if SECRET_STRUCTS.contains(&of) || suspect(name) => Self::Secret,
                None => Self::Unknown,
            },
            Self::Known(Ty::Json) | Self::Json
                if SECRET_JSON_KEYS.contains(&name) || name.eq_ignore_ascii_case("env") =>
            {
                Self::Secret
            }
            Self::Known(Ty::Json) | Self::Json => Self::Json,
            Self::Known(Ty::Map(inner)) => Self::Known(*inner),
            Self::Known(Ty::SecretsByMode) => Self::Known(Ty::Secrets),
            Self::Known(Ty::Secrets) | Self::Secret => Self::Secret,
            Self::Known(_) | Self::Unknown if suspect(name) => Self::Secret,
            Self::Known(_) | Self::Unknown => Self::Unknown,
        }
    }

    /// Whether the schema knows this field, as far as it is about such values at all.
    pub fn knows(self, name: &str) -> bool {
        match self {
            Self::Known(Ty::Struct(of)) => {
                schema::field(of, name).is_some() || name == INFERRED_ACCURACY
            }
            Self::Known(_) | Self::Json | Self::Unknown | Self::Secret => true,
        }
    }

    /// Where an item of a list of this kind leads.
    pub fn of_item(self) -> Self {
        match self {
            Self::Known(Ty::List(inner)) => Self::Known(*inner),
            Self::Known(Ty::Json) => Self::Json,
            Self::Known(Ty::Secrets | Ty::SecretsByMode) => Self::Secret,
            Self::Known(_) => Self::Unknown,
            Self::Json | Self::Unknown | Self::Secret => self,
        }
    }

    /// Whether an object of this kind is a map rather than a struct.
    pub fn is_map(self) -> bool {
        matches!(self, Self::Known(Ty::Map(_) | Ty::Secrets | Ty::SecretsByMode) | Self::Secret)
    }
}

fn suspect(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether this version of the tool knows every step of a path into a config of type `kind`.
pub fn is_known(kind: ConfigType, path: &FieldPath) -> bool {
    let mut at = Kind::Known(Ty::Struct(kind.word()));
    for step in &path.0 {
        if matches!(step, Step::Field(name) if !at.knows(name)) {
            return false;
        }
        at = match step {
            Step::Field(name) | Step::Key(name) => at.of_field(name),
            Step::Item(_) => at.of_item(),
        };
    }
    true
}

/// The value as it may be shown: settings hidden, bookkeeping of embedded objects left out.
pub fn shown(kind: Kind, value: &Value) -> Value {
    match (kind, value) {
        (Kind::Secret | Kind::Known(Ty::Secrets | Ty::SecretsByMode), Value::Object(map)) => {
            map.iter().map(|(key, value)| (key.clone(), shown(Kind::Secret, value))).collect()
        }
        (Kind::Secret | Kind::Known(Ty::Secrets | Ty::SecretsByMode), _) => HIDDEN.into(),
        // Settings that are no object, and JSON that does not parse, may still hold secrets.
        (Kind::Known(Ty::Struct(of)), value)
            if SECRET_STRUCTS.contains(&of) && !value.is_object() =>
        {
            HIDDEN.into()
        }
        (Kind::Known(Ty::Json), Value::String(text)) if text.trim_start().starts_with('{') => {
            HIDDEN.into()
        }
        (Kind::Known(Ty::Struct("MetaData")), Value::Object(map)) => map
            .iter()
            .filter(|entry| ["name", "outputNamespace", "online"].contains(&entry.0.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        (_, Value::Object(map)) => {
            let inner =
                |(key, value): (&String, &Value)| (key.clone(), shown(kind.of_field(key), value));
            map.iter().map(inner).collect()
        }
        (_, Value::Array(items)) => items.iter().map(|item| shown(kind.of_item(), item)).collect(),
        (_, value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group_by(value: Value) -> Value {
        normalise(ConfigType::GroupBy, value)
    }

    #[test]
    fn spellings_that_chronon_treats_alike_are_one() {
        let plain = group_by(json!({"metaData": {"name": "a", "online": 1, "samplePercent": 100}}));
        for same in [
            json!({"metaData": {"online": true, "name": "a", "samplePercent": 100.0}}),
            json!({"metaData": {"name": "a", "online": 1, "production": 0, "team": null,
                                "samplePercent": 100, "tableProperties": {}}, "sources": []}),
            json!({"metaData": {"name": "a", "online": 1, "samplePercent": 100,
                                "executionInfo": {"historicalBackfill": true}}}),
        ] {
            assert_eq!(group_by(same), plain);
        }
    }

    #[test]
    fn absence_that_means_something_is_kept() {
        let absent = group_by(json!({"metaData": {"name": "a"}}));
        assert_ne!(group_by(json!({"metaData": {"name": "a"}, "aggregations": []})), absent);
        let join = |value| normalise(ConfigType::Join, value);
        assert_ne!(join(json!({"useLongNames": 0})), join(json!({})));
        assert_eq!(join(json!({"useLongNames": 1})), join(json!({})));
    }

    #[test]
    fn json_in_strings_is_json_where_it_parses() {
        let spaced = json!({"metaData": {"customJson": "{\"lag\":  0, \"tags\": null}"}});
        let tight = json!({"metaData": {"customJson": "{\"lag\":0}"}});
        assert_eq!(group_by(spaced), group_by(tight));
        let broken = json!({"metaData": {"customJson": "{\"lag\": "}});
        assert_eq!(group_by(broken.clone())["metaData"], broken["metaData"]);
    }

    #[test]
    fn accuracy_is_inferred_from_a_topic_at_any_depth() {
        let plain = json!({"sources": [{"events": {"table": "t"}}]});
        assert_eq!(group_by(plain)[INFERRED_ACCURACY], 1);
        let left = json!({"events": {"table": "t", "topic": "x"}});
        let chained = json!({"sources": [{"joinSource": {"join": {"left": left}}}]});
        assert_eq!(group_by(chained)[INFERRED_ACCURACY], 0);
    }

    #[test]
    fn settings_are_hidden_wherever_they_stand() {
        let kind = Kind::Known(Ty::Struct("MetaData"));
        let env = kind.of_field("executionInfo").of_field("env");
        let value = json!({"common": {"TOKEN": "s3cret"}, "newKind": {"A": "s3cret"}});
        let text = shown(env, &value).to_string();
        assert!(text.contains("TOKEN") && !text.contains("s3cret"), "{text}");
        let custom = kind.of_field("customJson");
        let value = json!({"additional_env": {"A": "s3cret"}, "lag": 1});
        assert!(!shown(custom, &value).to_string().contains("s3cret"));
        let broken = "{\"additional_env\": {\"A\": \"s3cret\"";
        assert!(!shown(custom, &json!(broken)).to_string().contains("s3cret"));
        for (at, value) in [(env, json!("s3cret")), (env, json!(["s3cret"]))] {
            assert!(!shown(at, &value).to_string().contains("s3cret"));
        }
        assert!(!shown(kind.of_field("envVars"), &json!("s3cret")).to_string().contains("s3cret"));
    }
}
