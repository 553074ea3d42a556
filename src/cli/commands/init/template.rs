//! Fills in a workflow file: keeps or drops its marked parts, and puts in values.
//!
//! # Why
//! The templates are workflow files that a person can read and a linter can check. So there is no
//! language in them: a part stands between the lines `#[name]` and `#[/name]`, a value is `<name>`.

/// The text with those parts that are on, and with its values.
pub(super) fn fill(template: &str, parts: &[&str], values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut open: Vec<&str> = Vec::new();
    for line in template.lines() {
        match mark(line) {
            Some(name) if name.starts_with('/') => drop(open.pop()),
            Some(name) => open.push(name),
            None if open.iter().all(|part| parts.contains(part)) => {
                text.push_str(&filled(line, values));
                text.push('\n');
            }
            None => {}
        }
    }
    text
}

/// The name of a mark, if a line is one.
fn mark(line: &str) -> Option<&str> {
    line.trim().strip_prefix("#[")?.strip_suffix(']')
}

/// A line with its values, in one pass: what is put in is not read again.
fn filled(line: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let known = after.split_once('>').and_then(|(name, behind)| {
            values.iter().find(|row| row.0 == name).map(|row| (row.1, behind))
        });
        let (value, behind) = known.unwrap_or(("<", after));
        text.push_str(value);
        rest = behind;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_or_dropped_with_their_marks() {
        let template = "a\n  #[x]\nb\n#[y]\nc\n#[/y]\n  #[/x]\n#[y]\nd\n#[/y]\ne # [z]\n";
        assert_eq!(fill(template, &[], &[]), "a\ne # [z]\n");
        assert_eq!(fill(template, &["x"], &[]), "a\nb\ne # [z]\n");
        assert_eq!(fill(template, &["y"], &[]), "a\nd\ne # [z]\n");
        assert_eq!(fill(template, &["x", "y"], &[]), "a\nb\nc\nd\ne # [z]\n");
    }

    #[test]
    fn a_value_is_put_in_once_and_is_not_read_again() {
        let values = [("one", "<two>"), ("two", "2")];
        assert_eq!(
            fill("<one> and <two>, <other> < 3", &[], &values),
            "<two> and 2, <other> < 3\n"
        );
    }
}
