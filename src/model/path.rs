//! Where a value stands in a config, and the patterns that rules are written in.
//!
//! # Why
//! People read `aggregations[amount SUM].windows[14d]`; rules are about
//! `aggregations[].windows[]`. One path type serves both, so a rule is matched against exactly
//! what the reviewer is shown.

use std::fmt;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A field of a struct.
    Field(String),
    /// An item of a list, by what identifies it.
    Item(String),
    /// An entry of a map.
    Key(String),
}

/// A path from a config's top to one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// This path with one step more.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if index == 0 => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(key) | Step::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Field(&'static str),
    AnyBracket,
    Bracket(&'static str),
    AnyDepth,
}

/// A pattern over paths: `sources[].**.topic`.
///
/// A name matches a field, `[]` any item or map entry, `[k]` the entry `k`, and `**` any number
/// of steps, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

impl Pattern {
    /// Reads a pattern. Patterns are constants of this program, so there is nothing to report.
    pub fn new(text: &'static str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (key, after) = after.split_once(']').unwrap_or((after, ""));
                parts.push(if key.is_empty() { Part::AnyBracket } else { Part::Bracket(key) });
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                match &rest[..end] {
                    "" => {}
                    "**" => parts.push(Part::AnyDepth),
                    name => parts.push(Part::Field(name)),
                }
                rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
            }
        }
        Self(parts)
    }

    /// Whether the path is one that this pattern describes.
    pub fn matches(&self, path: &[Step]) -> bool {
        matches(&self.0, path)
    }
}

fn matches(parts: &[Part], path: &[Step]) -> bool {
    let Some((part, parts)) = parts.split_first() else { return path.is_empty() };
    if *part == Part::AnyDepth {
        return (0..=path.len()).any(|skipped| matches(parts, &path[skipped..]));
    }
    let Some((step, path)) = path.split_first() else { return false };
    let fits = match (part, step) {
        (Part::Field(want), Step::Field(name)) => want == name,
        (Part::AnyBracket, Step::Item(_) | Step::Key(_)) => true,
        (Part::Bracket(want), Step::Item(key) | Step::Key(key)) => want == key,
        (Part::Field(_), Step::Item(_) | Step::Key(_))
        | (Part::AnyBracket | Part::Bracket(_), Step::Field(_))
        | (Part::AnyDepth, _) => false,
    };
    fits && matches(parts, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(steps: &[Step]) -> FieldPath {
        FieldPath(steps.to_vec())
    }

    fn field(name: &str) -> Step {
        Step::Field(name.to_owned())
    }

    #[test]
    fn paths_read_as_people_write_them() {
        let windows = path(&[
            field("aggregations"),
            Step::Item("amount SUM".to_owned()),
            field("windows"),
            Step::Item("14d".to_owned()),
        ]);
        assert_eq!(windows.to_string(), "aggregations[amount SUM].windows[14d]");
    }

    #[test]
    fn patterns_match_what_they_say() {
        let topic = path(&[
            field("joinParts"),
            Step::Item("g".to_owned()),
            field("groupBy"),
            field("sources"),
            Step::Item("t".to_owned()),
            field("events"),
            field("topic"),
        ]);
        let env = path(&[field("env"), Step::Key("streaming".to_owned())]);
        let table: &[(&'static str, &FieldPath, bool)] = &[
            ("joinParts[].groupBy.**.topic", &topic, true),
            ("**.topic", &topic, true),
            ("joinParts[].groupBy.**", &topic, true),
            ("joinParts[].groupBy", &topic, false),
            ("joinParts.groupBy.**", &topic, false),
            ("sources[].**", &topic, false),
            ("env[streaming]", &env, true),
            ("env[]", &env, true),
            ("env[backfill]", &env, false),
            ("**", &FieldPath::default(), true),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(Pattern::new(pattern).matches(&path.0), *expected, "{pattern}");
        }
    }
}
