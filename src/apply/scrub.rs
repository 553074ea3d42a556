//! Lines of output without what is secret.
//!
//! # Why
//! The CLI prints the environment of a config and all its arguments (reference §8.1), and a log
//! is read by more people than a config. What must not show is covered by what is known of it,
//! its name and value, and beyond that by the shapes that common tokens have.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::model::document::Kind;
use crate::model::name::CONFIG_TYPES;
use crate::model::schema;
use crate::model::schema::Ty;

/// What stands in place of a secret.
const COVER: &str = "***";

/// A value of at least as many bytes is covered wherever it stands; a shorter one only behind
/// its name, for it stands everywhere by chance.
const TELLING: usize = 6;

/// Shapes of tokens that nobody should see, whoever printed them.
#[rustfmt::skip] // one shape, one line
const SHAPES: &[&str] = &[
    r"ya29\.[0-9A-Za-z_\-.]+",
    r"1//[0-9A-Za-z_\-]{20,}",
    r"GOCSPX-[0-9A-Za-z_\-]{10,}",
    r"eyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]*",
    r"gh[opsur]_[0-9A-Za-z]{16,}",
    r"github_pat_[0-9A-Za-z_]{16,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"(?i:Bearer)\s+[0-9A-Za-z_\-.~+/=]{8,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
];

static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&SHAPES.join("|")).ok());

/// A text to look for, and which of its bytes to cover.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    covered: Range<usize>,
}

/// Covers what is secret, line by line.
#[derive(Clone, Debug, Default)]
pub struct Scrubber {
    patterns: Vec<Pattern>,
    longest: usize,
    in_key: bool,
}

impl Scrubber {
    /// Covers the values of these names.
    pub fn new(secrets: &[(String, String)]) -> Self {
        let mut patterns = Vec::new();
        for (name, value) in secrets.iter().filter(|secret| !secret.1.trim().is_empty()) {
            named(name, value, &mut patterns);
            let escaped = Value::from(value.as_str()).to_string();
            let escaped = escaped[1..escaped.len() - 1].to_owned();
            let lines = value.lines().map(|line| line.trim().to_owned());
            let texts = lines.chain([value.clone(), escaped]);
            patterns.extend(
                texts
                    .filter(|text| text.len() >= TELLING)
                    .map(|text| Pattern { covered: 0..text.len(), text }),
            );
        }
        patterns.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        patterns.dedup();
        let longest = patterns.first().map_or(0, |pattern| pattern.text.len());
        Self { patterns, longest, in_key: false }
    }

    /// How many bytes at a cut may be the beginning of a secret.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The next line of some output; a private key may go over several.
    pub fn line(&mut self, line: &str) -> String {
        let opens = line.rfind("-----BEGIN ").filter(|at| line[*at..].contains("PRIVATE KEY-----"));
        let inside = self.in_key && !line.trim().contains(char::is_whitespace);
        self.in_key = match opens {
            Some(at) => !line[at..].contains("-----END "),
            None => inside && !line.contains("-----END "),
        };
        if inside || (opens.is_none() && line.contains("-----END ") && line.contains("PRIVATE KEY"))
        {
            return COVER.to_owned();
        }
        self.text(line)
    }

    /// A text that stands for itself.
    pub fn text(&self, text: &str) -> String {
        let mut covered = self.known(text);
        if let Some(tokens) = TOKENS.as_ref() {
            covered.extend(tokens.find_iter(text).map(|found| found.range()));
        }
        if covered.is_empty() {
            return text.to_owned();
        }
        covered.sort_by_key(|range| (range.start, range.end));
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        for range in covered {
            if range.start >= at {
                shown.push_str(&text[at..range.start]);
                shown.push_str(COVER);
            }
            at = at.max(range.end);
        }
        shown.push_str(&text[at..]);
        shown
    }

    /// Where known secrets stand; places may overlap.
    fn known(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for pattern in &self.patterns {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(&pattern.text)) {
                let start = from + at;
                found.push(start + pattern.covered.start..start + pattern.covered.end);
                let step = text[start..].chars().next().map_or(1, char::len_utf8);
                from = start + step;
            }
        }
        found
    }
}

/// The forms in which a name and its value stand together.
fn named(name: &str, value: &str, patterns: &mut Vec<Pattern>) {
    let first = value.lines().next().unwrap_or_default();
    let forms = [
        (format!("{name}="), ""),
        (format!("{name}: "), ""),
        (format!("'{name}': '"), "'"),
        (format!("\"{name}\": \""), "\""),
        (format!("\"{name}\":\""), "\""),
    ];
    if name.is_empty() || first.is_empty() {
        return;
    }
    for (before, after) in forms {
        let covered = before.len()..before.len() + first.len();
        patterns.push(Pattern { text: format!("{before}{first}{after}"), covered });
    }
}

/// Names and values of everything in a compiled file that must not be shown: its env, conf and
/// cluster settings, at any depth of what it embeds.
///
/// # Why
/// The file's type shows by its fields; where several types fit, what any of them takes for a
/// setting is one.
pub fn secrets_of(document: &Value) -> Vec<(String, String)> {
    let fields = || document.as_object().into_iter().flat_map(|map| map.keys());
    let fit = |word: &str| fields().filter(|name| schema::field(word, name).is_some()).count();
    let best = CONFIG_TYPES.iter().map(|row| fit(row.2)).max();
    let mut found = Vec::new();
    for (_, _, word) in CONFIG_TYPES.iter().filter(|row| Some(fit(row.2)) == best) {
        collect(Kind::Known(Ty::Struct(word)), "", document, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn collect(kind: Kind, name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let secret = matches!(kind, Kind::Secret | Kind::Known(Ty::Secrets | Ty::SecretsByMode));
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| collect(kind.of_field(key), key, inner, found));
        }
        Value::Array(items) => {
            items.iter().for_each(|item| collect(kind.of_item(), name, item, found));
        }
        Value::String(text) => {
            let inside = serde_json::from_str(text).ok().filter(|it: &Value| is_nested(it));
            let broken = matches!(kind, Kind::Known(Ty::Json)) && text.trim().starts_with('{');
            if secret || (broken && inside.is_none()) {
                found.push((name.to_owned(), text.clone()));
            }
            if let (Some(inside), true) = (inside, secret || matches!(kind, Kind::Known(Ty::Json)))
            {
                collect(kind, name, &inside, found);
            }
        }
        Value::Number(_) | Value::Bool(_) if secret => {
            found.push((name.to_owned(), value.to_string()));
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrubber() -> Scrubber {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Scrubber::new(&[
            pair("TOKEN", "hunter2-listens"),
            pair("PIN", "17"),
            pair("LONGER", "hunter2-listens-more"),
            pair("NOTE", "first line\nsecond line"),
            pair("QUOTED", "say \"friend\""),
            pair("EMPTY", ""),
        ])
    }

    #[test]
    fn every_shape_of_a_secret_is_covered() {
        let table = [
            ("TOKEN=hunter2-listens", "TOKEN=***"),
            ("PIN=17 of 17", "PIN=*** of 17"),
            ("PIN: 17", "PIN: ***"),
            ("{'PIN': '17', 'X': '17'}", "{'PIN': '***', 'X': '17'}"),
            ("{\"PIN\": \"17\"} {\"PIN\":\"17\"}", "{\"PIN\": \"***\"} {\"PIN\":\"***\"}"),
            ("xhunter2-listensx", "x***x"),
            ("hunter2-listens-more!", "***!"),
            ("hunter2-listenshunter2-listens", "******"),
            ("  second line", "  ***"),
            ("json: say \\\"friend\\\".", "json: ***."),
            ("auth ya29.a0AfH6SMBx-y_z end", "auth *** end"),
            ("was=1//0hunter9_hunter9-hunter9&x", "was=***&x"),
            ("secret GOCSPX-hunter9-hunter9.", "secret ***."),
            ("id eyJhbGciOiJSUzI1.eyJzdWIiOiIxMjM0.hunter9_x-y end", "id *** end"),
            ("https://host/1//x", "https://host/1//x"),
            ("ghp_abcdefghij0123456789 ghs_abcdefghij0123456789", "*** ***"),
            ("github_pat_11ABCDEFG0abcdefghij_x", "***"),
            ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
            ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\\nMII\\n-----END RSA PRIVATE KEY----- b",
                "a *** b",
            ),
            ("17 EMPTY= nothing here", "17 EMPTY= nothing here"),
            ("größe hunter2-listens größe", "größe *** größe"),
        ];
        for (line, expected) in table {
            assert_eq!(scrubber().line(line), expected, "{line}");
        }
    }

    #[test]
    fn a_private_key_over_several_lines_is_covered() {
        let mut scrubber = Scrubber::default();
        let lines = [
            ("x -----BEGIN PRIVATE KEY-----", "x ***"),
            ("MIIEvQIBADANBgkq", "***"),
            ("-----END PRIVATE KEY-----", "***"),
            ("after", "after"),
            ("-----BEGIN PRIVATE KEY-----", "***"),
            ("never ends", "never ends"),
            ("MIIEvQIBADANBgkq", "MIIEvQIBADANBgkq"),
        ];
        for (line, expected) in lines {
            assert_eq!(scrubber.line(line), expected);
        }
    }

    #[test]
    fn secrets_are_found_at_any_depth() {
        let execution = json!({
            "env": {"common": {"A": "s-1"}, "modeEnvironments": {"upload": {"B": "s-2"}}},
            "conf": {"common": {"c": "s-3"}},
            "clusterConf": {"common": {"d": "{\"deep\": {\"e\": \"s-4\"}}"}},
        });
        let group_by = json!({"metaData": {"name": "open", "executionInfo": execution}});
        let custom = "{\"additional_env\": {\"F\": \"s-5\"}, \"lag\": \"open\"}";
        let join = json!({
            "metaData": {"name": "open", "customJson": custom, "modeToEnvMap": {"x": {"G": "s-6"}}},
            "joinParts": [{"groupBy": group_by}],
        });
        let found = secrets_of(&join);
        for value in ["s-1", "s-2", "s-3", "s-4", "s-5", "s-6"] {
            assert!(found.iter().any(|it| it.1 == value), "{value}: {found:?}");
        }
        assert!(found.iter().all(|it| it.1 != "open"), "{found:?}");
        assert!(found.contains(&("A".to_owned(), "s-1".to_owned())));
    }
}
