//! The tables that SQL text and dependency specs name.
//!
//! # Why
//! A StagingQuery's dependencies are declared by hand and may be missing; its SQL is not. Reading
//! the text is a guess (templates make it no SQL that a parser takes), so what it finds is marked
//! as inferred (reference §3.2, row 6).

/// A table name without partitions: `ns.t/ds={{ ds }}` is `ns.t` (reference §3.2, row 4).
pub fn clean_table(spec: &str) -> &str {
    spec.split('/').next().unwrap_or_default().trim()
}

/// The table that an OSS dependency of a StagingQuery waits for.
///
/// A dependency on a view is written as a partition of the signal table; the view is meant
/// (reference §3.2, row 5).
pub fn table_of_dependency(spec: &str) -> Option<String> {
    let json = serde_json::from_str::<serde_json::Value>(spec).ok();
    let spec = json.as_ref().and_then(|json| json["spec"].as_str()).unwrap_or(spec);
    let table = clean_table(spec);
    let signal = table.ends_with(".chronon_signal_partitions");
    let named = || spec.split('/').find_map(|part| part.strip_prefix("table_name="));
    let table = if signal { named().unwrap_or(table) } else { table };
    (!table.is_empty()).then(|| table.to_owned())
}

/// The tables named after `FROM` and `JOIN` and in `{{ max_date(table=…) }}`; qualified names
/// only, so that names of common table expressions are not taken for tables.
pub fn tables(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |name: &str| {
        if name.contains('.') && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    };
    let mut expects_table = false;
    let mut in_from = false;
    for token in tokens(sql) {
        match token {
            Token::Word(word) if is_word(&word, &["from", "join"]) => {
                (expects_table, in_from) = (true, true);
            }
            Token::Word(word) if expects_table => {
                add(&word);
                expects_table = false;
            }
            Token::Word(word) if is_word(&word, &CLAUSES) => in_from = false,
            Token::Symbol(',') => expects_table = in_from,
            Token::Word(_) => {}
            Token::Symbol(_) => expects_table = false,
        }
    }
    for template in sql.split("{{").skip(1) {
        let inner = template.split("}}").next().unwrap_or_default();
        template_table(inner).iter().for_each(|table| add(table));
    }
    found
}

/// Words that end a list of tables.
const CLAUSES: [&str; 9] =
    ["where", "group", "having", "order", "limit", "union", "on", "using", "select"];

fn is_word(word: &str, any: &[&str]) -> bool {
    any.iter().any(|other| word.eq_ignore_ascii_case(other))
}

enum Token {
    /// A word or a qualified name, without its quotes.
    Word(String),
    Symbol(char),
}

/// The words and symbols of SQL, without comments, string literals and templates.
fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |split| split.1);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |split| split.1);
        } else if let Some(template) = rest.strip_prefix("{{") {
            rest = template.split_once("}}").map_or("", |split| split.1);
        } else if first == '\'' || first == '"' {
            rest = after_literal(&rest[1..], first);
        } else if is_name(first) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].replace('`', "")));
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Symbol(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '`' | '$')
}

fn after_literal(rest: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return &rest[at + c.len_utf8()..];
        }
    }
    ""
}

fn template_table(inner: &str) -> Option<String> {
    let (_, after) = inner.split_once("table=")?;
    let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
    (end > 0).then(|| after[..end].replace('`', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_where_sql_has_them() {
        let cases: &[(&str, &[&str])] = &[
            (
                "SELECT a FROM raw.x WHERE ds BETWEEN {{ start_date }} AND {{ end_date }}",
                &["raw.x"],
            ),
            ("select * from `cat`.`ns`.`t` t left join ns.u on t.id = u.id", &["cat.ns.t", "ns.u"]),
            ("WITH c AS (SELECT 1 FROM ns.a) SELECT * FROM c, ns.b", &["ns.a", "ns.b"]),
            ("SELECT 'from ns.no' -- from ns.no\n FROM /* from ns.no */ ns.yes", &["ns.yes"]),
            ("SELECT * FROM (SELECT * FROM ns.in) x", &["ns.in"]),
            ("SELECT * FROM ns.a WHERE ds = '{{ max_date(table=ns.b) }}'", &["ns.a", "ns.b"]),
            ("SELECT extract(day FROM t.ts) FROM ns.a", &["t.ts", "ns.a"]),
            ("", &[]),
            ("FROM", &[]),
            ("FROM '", &[]),
        ];
        for (sql, expected) in cases {
            assert_eq!(tables(sql), *expected, "{sql}");
        }
    }

    #[test]
    fn dependencies_name_tables_in_every_spelling() {
        let of = |spec: &str| table_of_dependency(spec).unwrap();
        assert_eq!(of("ns.t/ds={{ ds }}"), "ns.t");
        assert_eq!(of(r#"{"name": "w", "spec": "ns.t/ds={{ ds }}"}"#), "ns.t");
        assert_eq!(of("ns.chronon_signal_partitions/ds={{ ds }}/table_name=ns.view"), "ns.view");
    }
}
