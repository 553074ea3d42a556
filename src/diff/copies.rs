//! Where the copies of a GroupBy in a Join differ from the GroupBy.
//!
//! # Why
//! The compiler writes each GroupBy into every Join that takes it. Compiled at different times,
//! the two say different things, and the jobs of each follow their own.

use serde_json::Value;

use super::fields;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::path::Step;

/// For each copy directly in the Join, the fields in which it differs from its original, as paths
/// in the GroupBy; metadata of any depth set aside.
pub fn copies(
    dialect: Dialect,
    join: &Value,
    group_by: &str,
    original: &Value,
) -> Vec<Vec<String>> {
    let of = |copy: &Value| differing(dialect, copy, original);
    embedded(join, group_by).into_iter().map(of).collect()
}

fn embedded<'a>(join: &'a Value, name: &str) -> Vec<&'a Value> {
    let list =
        |pointer: &str| join.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let parts =
        list("/joinParts").chain(list("/labelPart/labels")).filter_map(|part| part.get("groupBy"));
    let external =
        list("/onlineExternalParts").filter_map(|it| it.pointer("/source/offlineGroupBy"));
    let named =
        |copy: &&Value| copy.pointer("/metaData/name").and_then(Value::as_str) == Some(name);
    parts.chain(external).filter(named).collect()
}

fn differing(dialect: Dialect, copy: &Value, original: &Value) -> Vec<String> {
    let metadata = |step: &Step| matches!(step, Step::Field(name) if name == "metaData");
    let found = fields(ConfigType::GroupBy, dialect, original, copy);
    let counts = found.iter().filter(|field| !field.path.0.iter().any(metadata));
    counts.map(|field| field.path.to_string()).collect()
}
