//! Fingerprints: what a resource's content depends on, as a hash.
//!
//! # Why
//! The projection that is hashed is made by the rules themselves: a value is in it if and only if
//! its rule counts for the resource. So a fingerprint changes exactly when a rule says so.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use super::rules;
use crate::model::document::INFERRED_ACCURACY;
use crate::model::document::Kind;
use crate::model::ledger::FINGERPRINT_VERSION;
use crate::model::ledger::Fingerprint;
use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::model::name::RESOURCES;
use crate::model::name::Resource;
use crate::model::path::FieldPath;
use crate::model::path::Step;
use crate::model::schema::Ty;

/// The part of a resource's fingerprint that the config alone accounts for.
pub fn own(kind: ConfigType, document: &Value, resource: Resource) -> Fingerprint {
    let projected = survey(kind, document);
    print(resource, &projected[resource as usize])
}

/// [`own`] of every resource that a config of this type could have.
pub fn own_all(kind: ConfigType, document: &Value) -> BTreeMap<Resource, Fingerprint> {
    let possible = |row: &&(Resource, &str)| {
        rules::RULES.iter().any(|rule| rule.of == kind && rule.counts.contains(&row.0))
    };
    let projected = survey(kind, document);
    let resources = RESOURCES.iter().filter(possible);
    resources.map(|row| (row.0, print(row.0, &projected[row.0 as usize]))).collect()
}

fn print(resource: Resource, projected: &Option<Value>) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(format!("fingerprint {FINGERPRINT_VERSION} {} ", resource.name()));
    hash.update(projected.as_ref().unwrap_or(&Value::Null).to_string());
    Fingerprint(hash.finalize().into())
}

/// The whole fingerprint: the config's own part, and the tables that it reads.
pub fn combined(own: &Fingerprint, upstream: &[(&Address, Fingerprint)]) -> Fingerprint {
    if upstream.is_empty() {
        return *own;
    }
    let mut hash = Sha256::new();
    hash.update(own.0);
    for (address, fingerprint) in upstream {
        hash.update(format!(" {address} "));
        hash.update(fingerprint.0);
    }
    Fingerprint(hash.finalize().into())
}

/// What of a value counts for each resource; none where nothing does.
type Projected = [Option<Value>; RESOURCES.len()];

/// Projects a document onto every resource in one walk.
fn survey(kind: ConfigType, document: &Value) -> Projected {
    let top = Kind::Known(Ty::Struct(kind.word()));
    Walk { kind, path: FieldPath::default() }.project(top, true, document)
}

struct Walk {
    kind: ConfigType,
    path: FieldPath,
}

impl Walk {
    fn project(&mut self, at: Kind, known: bool, value: &Value) -> Projected {
        match value {
            Value::Object(map) if !map.is_empty() => self.object(at, known, map),
            Value::Array(items) if !items.is_empty() => self.list(at, known, items),
            leaf => {
                let rule = if known { rules::lookup(self.kind, &self.path.0) } else { None };
                let counts = |resource| rule.is_none_or(|rule| rule.counts.contains(&resource));
                RESOURCES.map(|row| counts(row.0).then(|| leaf.clone()))
            }
        }
    }

    fn object(&mut self, at: Kind, known: bool, map: &Map<String, Value>) -> Projected {
        let mut kept = RESOURCES.map(|_| Map::new());
        let infers = matches!(at, Kind::Known(Ty::Struct("GroupBy")));
        for (name, value) in map {
            let step = if at.is_map() { Step::Key } else { Step::Field };
            self.path.0.push(step(name.clone()));
            let inner = self.project(at.of_field(name), known && at.knows(name), value);
            self.path.0.pop();
            let name = if infers && name == INFERRED_ACCURACY { "accuracy" } else { name };
            for (kept, value) in kept.iter_mut().zip(inner) {
                kept.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        kept.map(|map| (!map.is_empty()).then_some(Value::Object(map)))
    }

    fn list(&mut self, at: Kind, known: bool, items: &[Value]) -> Projected {
        let mut kept = RESOURCES.map(|_| Vec::new());
        for item in items {
            self.path.0.push(Step::Item(String::new()));
            let inner = self.project(at.of_item(), known, item);
            self.path.0.pop();
            kept.iter_mut().zip(inner).for_each(|(kept, value)| kept.extend(value));
        }
        kept.map(|items| (!items.is_empty()).then_some(Value::Array(items)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::document::normalise;
    use serde_json::json;

    #[test]
    fn keys_come_out_sorted_whatever_feature_a_dependency_switches_on() {
        assert_eq!(json!({"b": 1, "a": 2}).to_string(), r#"{"a":2,"b":1}"#);
    }

    #[test]
    fn unknown_fields_count_for_every_resource() {
        let of = |body| own_all(ConfigType::GroupBy, &normalise(ConfigType::GroupBy, body));
        let plain = of(json!({"metaData": {"name": "a"}}));
        let newer = of(json!({"metaData": {"name": "a"}, "fromTheFuture": 1}));
        assert_eq!(plain.len(), 4);
        for (resource, fingerprint) in plain {
            assert_ne!(newer[&resource], fingerprint, "{}", resource.name());
        }
    }

    #[test]
    fn an_upstream_table_is_part_of_the_fingerprint_under_its_name() {
        let own = Fingerprint([1; 32]);
        let one = Address::new(ConfigType::StagingQuery, "a");
        let other = Address::new(ConfigType::StagingQuery, "b");
        let with = |address, n| combined(&own, &[(address, Fingerprint([n; 32]))]);
        assert_eq!(combined(&own, &[]), own);
        assert_ne!(with(&one, 1), own);
        assert_ne!(with(&one, 1), with(&one, 2));
        assert_ne!(with(&one, 1), with(&other, 1));
    }
}
