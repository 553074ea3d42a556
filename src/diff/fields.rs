//! Two documents of one type to the fields that differ.
//!
//! # Why
//! Lists are aligned by what identifies their items, so one inserted item is one change and not
//! a change of everything behind it. The order of items still counts: Chronon hashes lists in
//! order.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::document::INFERRED_ACCURACY;
use crate::model::document::Kind;
use crate::model::document::shown;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::name::split_version;
use crate::model::path::FieldPath;
use crate::model::path::Step;
use crate::model::schema;
use crate::model::schema::Ty;

/// One field that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Where.
    pub path: FieldPath,
    /// What stands there.
    pub kind: Kind,
    /// The value at base; never to be shown as it is.
    before: Option<Value>,
    /// The value at head; never to be shown as it is.
    after: Option<Value>,
    /// Only the order of a list's items differs.
    pub reordered: bool,
    /// The values in the items of a reordered list.
    moved: BTreeSet<FieldPath>,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl FieldChange {
    /// The value at base, as it may be shown.
    pub fn before(&self) -> Option<Value> {
        self.before.as_ref().map(|value| shown(self.kind, value))
    }

    /// The value at head, as it may be shown.
    pub fn after(&self) -> Option<Value> {
        self.after.as_ref().map(|value| shown(self.kind, value))
    }

    /// The name of one of its values, where it is an enum's.
    pub fn name_of(&self, value: Option<&Value>, dialect: Dialect) -> Option<String> {
        let Kind::Known(Ty::Enum(of)) = self.kind else { return None };
        schema::enum_name(of, value?, dialect).map(str::to_owned)
    }

    /// Whether its values are settings that are never shown.
    pub fn is_hidden(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Known(Ty::Secrets | Ty::SecretsByMode))
    }

    /// Whether its values are SQL.
    pub fn is_sql(&self) -> bool {
        matches!(self.kind, Kind::Known(Ty::Sql))
    }
}

/// The fields in which two documents of type `kind` differ, in the order of their paths.
pub fn fields(
    kind: ConfigType,
    dialect: Dialect,
    before: &Value,
    after: &Value,
) -> Vec<FieldChange> {
    let mut walk = Walk { dialect, found: Vec::new() };
    let top = Kind::Known(Ty::Struct(kind.word()));
    walk.compare(&FieldPath::default(), top, Some(before), Some(after));
    walk.found.sort_by(|a, b| a.path.cmp(&b.path));
    walk.found
}

struct Walk {
    dialect: Dialect,
    found: Vec<FieldChange>,
}

impl Walk {
    fn compare(
        &mut self,
        path: &FieldPath,
        kind: Kind,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        if before == after {
            return;
        }
        match (before, after) {
            // An empty value is one of its own, which rules see by its own path.
            (Some(Value::Object(one)), Some(Value::Object(other)))
                if kind.is_map() || one.is_empty() == other.is_empty() =>
            {
                self.objects(path, kind, before, after);
            }
            (Some(Value::Array(before)), Some(Value::Array(after)))
                if matches!(kind, Kind::Known(Ty::List(_)))
                    || before.is_empty() == after.is_empty() =>
            {
                self.lists(path, kind, before, after);
            }
            (None, Some(Value::Array(items))) if !items.is_empty() => {
                self.lists(path, kind, &[], items);
            }
            (Some(Value::Array(items)), None) if !items.is_empty() => {
                self.lists(path, kind, items, &[]);
            }
            _ => self.add(path, kind, before, after),
        }
    }

    fn add(&mut self, path: &FieldPath, kind: Kind, before: Option<&Value>, after: Option<&Value>) {
        let (before, after) = (before.cloned(), after.cloned());
        let (path, moved) = (path.clone(), BTreeSet::new());
        self.found.push(FieldChange { path, kind, before, after, reordered: false, moved });
    }

    fn objects(
        &mut self,
        path: &FieldPath,
        kind: Kind,
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        let keys = |side: Option<&Value>| -> BTreeSet<String> {
            let map = side.and_then(Value::as_object);
            map.map(|map| map.keys().cloned().collect()).unwrap_or_default()
        };
        let mut names = keys(before);
        names.extend(keys(after));
        let accuracy = matches!(kind, Kind::Known(Ty::Struct("GroupBy")));
        if accuracy && names.contains("accuracy") {
            // One side leaves it to Chronon: compared with what the other says.
            names.remove(INFERRED_ACCURACY);
        }
        for name in names {
            let inferred = accuracy && name == "accuracy";
            let (before, after) = (part(before, &name, inferred), part(after, &name, inferred));
            if before == after {
                continue;
            }
            let inner = kind.of_field(&name);
            let step = if kind.is_map() { Step::Key(name) } else { Step::Field(name) };
            self.compare(&path.then(step), inner, before, after);
        }
    }

    fn lists(&mut self, path: &FieldPath, kind: Kind, before: &[Value], after: &[Value]) {
        let inner = kind.of_item();
        let pairs = align(inner, before, after);
        let matched: Vec<usize> = pairs.iter().filter_map(|pair| pair.0.and(pair.1)).collect();
        let labels = |items: &[Value]| labels(inner, items, self.dialect);
        let (old_labels, new_labels) = (labels(before), labels(after));
        if !matched.is_sorted() {
            let list = |labels: &[String]| Value::from(labels.to_vec());
            let (old, new) = (list(&old_labels), list(&new_labels));
            let mut moved = BTreeSet::new();
            for item in before {
                leaves(&path.then(Step::Item(String::new())), inner, item, &mut moved);
            }
            self.found.push(FieldChange {
                path: path.clone(),
                kind: Kind::Unknown,
                before: Some(old),
                after: Some(new),
                reordered: true,
                moved,
            });
        }
        for (old, new) in pairs {
            let label = new.map(|at| &new_labels[at]).or(old.map(|at| &old_labels[at]));
            let item = path.then(Step::Item(label.cloned().unwrap_or_default()));
            let (old, new) = (old.map(|at| &before[at]), new.map(|at| &after[at]));
            match (old, new) {
                (Some(_), Some(_)) => self.compare(&item, inner, old, new),
                _ => self.add(&item, inner, old, new),
            }
        }
    }
}

/// A field of one side; an inferred accuracy where the other side says one.
fn part<'a>(side: Option<&'a Value>, name: &str, inferred: bool) -> Option<&'a Value> {
    let map = side.and_then(Value::as_object)?;
    map.get(name).or_else(|| map.get(INFERRED_ACCURACY).filter(|_| inferred))
}

/// Pairs of positions of the items that are one item, in the order of `before`; then what only
/// `after` has.
fn align(kind: Kind, before: &[Value], after: &[Value]) -> Vec<(Option<usize>, Option<usize>)> {
    let mut old: Vec<Option<usize>> = vec![None; before.len()];
    let mut new: Vec<Option<usize>> = vec![None; after.len()];
    let mut pair = |same: &dyn Fn(&Value, &Value) -> bool| {
        for (at, value) in before.iter().enumerate() {
            if old[at].is_some() {
                continue;
            }
            let free = (0..after.len()).find(|&it| new[it].is_none() && same(value, &after[it]));
            if let Some(found) = free {
                old[at] = Some(found);
                new[found] = Some(at);
            }
        }
    };
    pair(&|one, other| one == other);
    match kind {
        Kind::Known(Ty::Struct(of)) => {
            for pointers in schema::identities(of) {
                pair(&|one, other| pointers.iter().all(|at| same_at(at, one, other)));
            }
        }
        _ => pair(&|_, _| true),
    }
    let kept = old.iter().enumerate().map(|(at, found)| (Some(at), *found));
    let added = new.iter().enumerate().filter(|it| it.1.is_none()).map(|it| (None, Some(it.0)));
    kept.chain(added).collect()
}

/// Whether two items have the same value at a pointer; `~` leaves out a version.
fn same_at(pointer: &str, one: &Value, other: &Value) -> bool {
    match pointer.strip_suffix('~') {
        None => one.pointer(pointer) == other.pointer(pointer),
        Some(pointer) => {
            let base = |item: &Value| {
                item.pointer(pointer)
                    .and_then(Value::as_str)
                    .map(|it| split_version(it).0.to_owned())
            };
            base(one).is_some() && base(one) == base(other)
        }
    }
}

/// What people call each item of a list; unique within the list.
pub(super) fn labels(kind: Kind, items: &[Value], dialect: Dialect) -> Vec<String> {
    let mut labels: Vec<String> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let label = label(kind, item, dialect).unwrap_or_else(|| (at + 1).to_string());
        let same = |other: &&String| **other == label || other.starts_with(&format!("{label} #"));
        let copies = labels.iter().filter(same).count();
        labels.push(if copies == 0 { label } else { format!("{label} #{}", copies + 1) });
    }
    labels
}

fn label(kind: Kind, item: &Value, dialect: Dialect) -> Option<String> {
    let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
    match kind {
        Kind::Known(Ty::Struct("Aggregation")) => {
            let operation = item.get("operation")?;
            let name = schema::enum_name("Operation", operation, dialect);
            let operation = name.map_or_else(|| operation.to_string(), str::to_owned);
            let k = text("/argMap/k").map(|k| format!(" k={k}")).unwrap_or_default();
            Some(format!("{} {operation}{k}", text("/inputColumn")?))
        }
        Kind::Known(Ty::Struct("Window")) => {
            let unit = item.get("timeUnit").and_then(Value::as_i64)?;
            Some(format!(
                "{}{}",
                item.get("length")?,
                ["h", "d", "m"].get(usize::try_from(unit).ok()?)?
            ))
        }
        Kind::Known(Ty::Struct(of)) => {
            let pointers = schema::identities(of).first()?;
            let known: Vec<&str> = pointers.iter().filter_map(|at| text(at)).collect();
            (!known.is_empty()).then(|| known.join(" "))
        }
        Kind::Known(Ty::Text) => item.as_str().map(str::to_owned),
        Kind::Known(Ty::Json) | Kind::Json => {
            text("/spec").or_else(|| text("/name")).or(item.as_str()).map(str::to_owned)
        }
        Kind::Known(_) | Kind::Unknown | Kind::Secret => None,
    }
}

/// The paths of the single values behind a change, each once, sorted: what rules are matched
/// against. A whole item that was added stands for every value in it.
pub fn changed_leaves(change: &FieldChange) -> Vec<FieldPath> {
    let mut paths = BTreeSet::new();
    if change.reordered {
        paths.insert(change.path.clone());
        paths.extend(change.moved.iter().cloned());
    }
    for side in [&change.before, &change.after].into_iter().flatten() {
        if !change.reordered {
            leaves(&change.path, change.kind, side, &mut paths);
        }
    }
    paths.into_iter().collect()
}

fn leaves(path: &FieldPath, kind: Kind, value: &Value, found: &mut BTreeSet<FieldPath>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let inner = kind.of_field(name);
                let name = name.clone();
                let step = if kind.is_map() { Step::Key(name) } else { Step::Field(name) };
                leaves(&path.then(step), inner, value, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                leaves(&path.then(Step::Item(at.to_string())), kind.of_item(), item, found);
            }
        }
        _ => {
            found.insert(path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::document::normalise;
    use serde_json::json;

    fn group_by(before: Value, after: Value) -> Vec<String> {
        let normal = |value| normalise(ConfigType::GroupBy, value);
        let found = fields(ConfigType::GroupBy, Dialect::Zip, &normal(before), &normal(after));
        found.iter().map(|change| change.path.to_string()).collect()
    }

    fn sum(windows: &[i64]) -> Value {
        let windows: Vec<Value> =
            windows.iter().map(|days| json!({"length": days, "timeUnit": 1})).collect();
        json!({"inputColumn": "amount", "operation": 7, "argMap": {}, "windows": windows})
    }

    #[test]
    fn one_inserted_item_is_one_change() {
        let of = |windows: &[i64]| json!({"aggregations": [sum(windows)]});
        let found = group_by(of(&[1, 7, 30]), of(&[1, 7, 14, 30]));
        assert_eq!(found, ["aggregations[amount SUM].windows[14d]"]);
        let count = json!({"inputColumn": "amount", "operation": 6});
        let with = json!({"aggregations": [count, sum(&[1])]});
        assert_eq!(group_by(of(&[1]), with), ["aggregations[amount COUNT]"]);
    }

    #[test]
    fn another_order_is_a_change_of_the_list() {
        let one = json!({"keyColumns": ["a", "b"]});
        assert_eq!(group_by(one.clone(), json!({"keyColumns": ["b", "a"]})), ["keyColumns"]);
        assert_eq!(group_by(one, json!({"keyColumns": ["c", "b"]})), ["keyColumns[c]"]);
    }

    #[test]
    fn what_an_added_item_holds_is_what_counts() {
        let before = json!({"sources": [{"events": {"table": "a"}}]});
        let after = json!({"sources": [{"events": {"table": "a"}},
            {"events": {"table": "b", "topic": "t"}}], "accuracy": 1});
        let normal = |value| normalise(ConfigType::GroupBy, value);
        let found = fields(ConfigType::GroupBy, Dialect::Zip, &normal(before), &normal(after));
        let paths: Vec<String> =
            changed_leaves(&found[0]).iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["sources[b].events.table", "sources[b].events.topic"]);
        assert_eq!(found.len(), 1, "said accuracy equals the inferred one");
    }

    #[test]
    fn absent_and_empty_differ_only_where_they_do() {
        let plain = json!({"metaData": {"name": "a"}});
        let empty = json!({"metaData": {"name": "a"}, "aggregations": []});
        assert_eq!(group_by(plain.clone(), empty), ["aggregations"]);
        assert!(group_by(plain, json!({"metaData": {"name": "a"}, "derivations": []})).is_empty());
    }

    #[test]
    fn a_version_bump_of_a_part_is_a_change_of_that_part() {
        let part = |name: &str| json!({"groupBy": {"metaData": {"name": name}}});
        let join = |name: &str| {
            normalise(ConfigType::Join, json!({"joinParts": [part("t.other__3"), part(name)]}))
        };
        let found = fields(ConfigType::Join, Dialect::Zip, &join("t.g__1"), &join("t.g__2"));
        let paths: Vec<String> = found.iter().map(|it| it.path.to_string()).collect();
        assert_eq!(paths, ["joinParts[t.g__2].groupBy.metaData.name"]);
    }
}
