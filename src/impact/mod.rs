//! Changes to what they mean: which resources of a config they count for, and why. Pure.

mod fingerprint;
pub mod rules;

pub use fingerprint::combined;
pub use fingerprint::own;
pub use fingerprint::own_all;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::diff::Change;
use crate::diff::FieldChange;
use crate::diff::changed_leaves;
use crate::model::document::Kind;
use crate::model::document::is_known;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::name::RESOURCES;
use crate::model::name::Resource;
use crate::model::path::FieldPath;
use crate::model::path::Step;
use crate::model::schema;
use crate::model::schema::Ty;
use rules::Breaks;
use rules::Notice;
use rules::Rule;
use rules::Says;

/// Why an unknown field counts for everything.
pub const UNKNOWN: &str = "this version does not know the field, so it counts for everything";

/// What one changed field means.
#[derive(Clone, Debug)]
pub struct FieldVerdict {
    /// The rule about the field itself; none for an unknown field.
    pub rule: Option<&'static Rule>,
    /// The resources it counts for, each with the sentence that says why.
    pub counts: BTreeMap<Resource, &'static str>,
    /// Whether it breaks online clients, served columns set aside.
    pub breaks: bool,
    /// Whether this version knows the field.
    pub known: bool,
}

impl FieldVerdict {
    /// Whether the job that rebuilds the table notices.
    pub fn notice(&self) -> Notice {
        self.rule.map_or(Notice::Blind, |rule| rule.notice)
    }

    /// What else there is to say.
    pub fn says(&self) -> Says {
        self.rule.map_or(Says::Nothing, |rule| rule.says)
    }
}

/// What a change of a config means.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// One for each field of the change, in its order.
    pub fields: Vec<FieldVerdict>,
    /// What this version does not know in the config at head, and did not stand there at base.
    pub unknown: Vec<(FieldPath, String)>,
}

impl Verdict {
    /// Whether the change counts for a resource: by the rules, field by field.
    pub fn counts_for(&self, resource: Resource) -> bool {
        self.fields.iter().any(|field| field.counts.contains_key(&resource))
    }
}

/// Judges a change, given the documents it is between.
pub fn judge(
    kind: ConfigType,
    dialect: Dialect,
    change: &Change,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Verdict {
    let unknown =
        |side: Option<&Value>| side.map(|it| unknowns(kind, dialect, it)).unwrap_or_default();
    let known_before = unknown(before);
    let touched = |path: &FieldPath| change.fields.iter().any(|field| is_below(path, &field.path));
    let mut unknown = unknown(after);
    unknown.retain(|(path, what)| {
        !known_before.contains(&(path.clone(), what.clone())) || touched(path)
    });
    Verdict {
        fields: change.fields.iter().map(|field| judge_field(kind, field)).collect(),
        unknown: unknown.into_iter().collect(),
    }
}

fn is_below(path: &FieldPath, other: &FieldPath) -> bool {
    path.0.starts_with(&other.0) || other.0.starts_with(&path.0)
}

fn judge_field(kind: ConfigType, change: &FieldChange) -> FieldVerdict {
    let rule_of = |path: &FieldPath| rules::lookup(kind, &path.0).filter(|_| is_known(kind, path));
    let mut counts = BTreeMap::new();
    for leaf in changed_leaves(change) {
        match rule_of(&leaf) {
            Some(rule) => {
                counts.extend(rule.counts.iter().map(|resource| (*resource, rule.because)));
            }
            None => counts.extend(RESOURCES.map(|row| (row.0, UNKNOWN))),
        }
    }
    let rule = rule_of(&change.path);
    for resource in rule.map_or(&[][..], |rule| rule.counts) {
        if let (Some(text), Some(rule)) = (counts.get_mut(resource), rule) {
            *text = rule.because;
        }
    }
    let breaks = match rule.map(|rule| rule.breaks) {
        Some(Breaks::Always) => true,
        Some(Breaks::Values) => recast(change),
        Some(Breaks::No) | None => false,
    };
    FieldVerdict { rule, counts, breaks, known: rule.is_some() }
}

/// Whether an expression is cast to another type than before. What a join in a source selects is
/// not what the GroupBy serves.
fn recast(change: &FieldChange) -> bool {
    if change.path.0.iter().any(|step| matches!(step, Step::Field(name) if name == "joinSource")) {
        return false;
    }
    let cast = |value: Option<Value>| value.as_ref().and_then(Value::as_str).and_then(cast_type);
    match (cast(change.before()), cast(change.after())) {
        (Some(before), Some(after)) => change.is_sql() && before != after,
        _ => false,
    }
}

/// The type that an expression as a whole is cast to.
fn cast_type(expression: &str) -> Option<String> {
    let upper = expression.trim().to_ascii_uppercase();
    let inner = upper.strip_prefix("CAST(")?.strip_suffix(')')?;
    let mut depth = 0;
    for c in inner.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth < 0 {
            return None;
        }
    }
    inner.rsplit_once(" AS ").map(|split| split.1.trim().to_owned())
}

/// Fields and enum values that this version does not know.
pub fn unknowns(
    kind: ConfigType,
    dialect: Dialect,
    document: &Value,
) -> BTreeSet<(FieldPath, String)> {
    let mut search = Search { dialect, path: FieldPath::default(), found: BTreeSet::new() };
    search.look(Kind::Known(Ty::Struct(kind.word())), document);
    search.found
}

struct Search {
    dialect: Dialect,
    path: FieldPath,
    found: BTreeSet<(FieldPath, String)>,
}

impl Search {
    fn look(&mut self, kind: Kind, value: &Value) {
        match (kind, value) {
            (Kind::Known(Ty::Struct(of)), Value::Object(map)) => {
                for (name, value) in map {
                    self.path.0.push(Step::Field(name.clone()));
                    if kind.knows(name) {
                        self.look(kind.of_field(name), value);
                    } else {
                        self.add(format!("this version knows no such field of {of}"));
                    }
                    self.path.0.pop();
                }
            }
            (Kind::Known(Ty::Map(_)), Value::Object(map)) => {
                for (name, value) in map {
                    self.path.0.push(Step::Key(name.clone()));
                    self.look(kind.of_field(name), value);
                    self.path.0.pop();
                }
            }
            (Kind::Known(Ty::List(_)), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.path.0.push(Step::Item((at + 1).to_string()));
                    self.look(kind.of_item(), item);
                    self.path.0.pop();
                }
            }
            (Kind::Known(Ty::Enum(of)), value)
                if schema::is_enum(of, self.dialect)
                    && schema::enum_name(of, value, self.dialect).is_none() =>
            {
                self.add(format!("this version knows no {of} {value}"));
            }
            _ => {}
        }
    }

    fn add(&mut self, what: String) {
        self.found.insert((self.path.clone(), what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cast_of_the_whole_expression_names_its_type() {
        assert_eq!(cast_type("CAST(a AS DOUBLE)").as_deref(), Some("DOUBLE"));
        assert_eq!(cast_type("cast(f(a) as decimal(10, 2))").as_deref(), Some("DECIMAL(10, 2)"));
        assert_eq!(cast_type("CAST(a AS DOUBLE) / (100)"), None);
        assert_eq!(cast_type("a"), None);
    }
}
