//! Whether a value is what a setting takes, and what to say where it is not.

use toml::de::DeValue;

use super::table::Takes;
use crate::model::day::Day;

/// The words of a value that a setting takes; else what it should be.
pub(super) fn check(takes: Takes, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is = |value: &DeValue<'_>| value.type_str();
    let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
    let words =
        |values: Vec<String>| match values.iter().find(|it| it.contains(char::is_whitespace)) {
            Some(bad) => {
                Err(format!("`{bad}` has white space in it, and the CLI splits its commands there"))
            }
            None if values.iter().any(String::is_empty) => Err("an empty word".to_owned()),
            None => Ok(values),
        };
    match takes {
        Takes::Text => Ok(vec![text(value).ok_or_else(|| expected("a string", is(value)))?]),
        Takes::Word => words(vec![text(value).ok_or_else(|| expected("a string", is(value)))?]),
        Takes::OneOf(choices) => {
            let word = text(value).ok_or_else(|| expected("a string", is(value)))?;
            if choices.contains(&word.as_str()) {
                Ok(vec![word])
            } else {
                Err(format!("`{word}` is none of `{}`", choices.join("`, `")))
            }
        }
        Takes::Words => words(texts(value)?),
        Takes::Template(known) => template(texts(value)?, known),
        Takes::Number(least, most) => {
            let number = value.as_integer().map(|it| it.as_str().parse::<u32>());
            let number = number.ok_or_else(|| expected("a number", is(value)))?;
            match number.ok().filter(|it| (least..=most).contains(it)) {
                Some(number) => Ok(vec![number.to_string()]),
                None => Err(format!("expected a whole number from {least} to {most}")),
            }
        }
        Takes::Date => {
            let word = text(value).or_else(|| value.as_datetime().map(ToString::to_string));
            let word = word.ok_or_else(|| expected("a date", is(value)))?;
            word.parse::<Day>().map(|day| vec![day.to_string()]).map_err(|error| error.to_string())
        }
    }
}

/// A list of strings.
fn texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let list = value.as_array();
    let list = list.ok_or_else(|| expected("a list of strings", value.type_str()))?;
    let each = list.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
    each.collect::<Option<_>>().ok_or_else(|| expected("a list of strings", "another list"))
}

/// The words of a command, where each is there and names no unknown placeholder.
fn template(words: Vec<String>, known: &'static [&'static str]) -> Result<Vec<String>, String> {
    if words.is_empty() || words.iter().any(String::is_empty) {
        return Err("an empty word, or no word at all".to_owned());
    }
    let is_name =
        |it: &&str| !it.is_empty() && it.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let inside = |word: &'_ str| -> Option<String> {
        let named = word.split('{').skip(1).filter_map(|it| it.split_once('}').map(|it| it.0));
        named.filter(is_name).find(|it| !known.contains(it)).map(str::to_owned)
    };
    match words.iter().find_map(|word| inside(word)) {
        Some(name) => {
            let near = nearest(&name, known.iter().copied());
            Err(format!("there is no `{{{name}}}` here{near}"))
        }
        None => Ok(words),
    }
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found}")
}

/// A suggestion, where a known name is near.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let scored = known.map(|it| (strsim::jaro_winkler(name, it), it));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, best)) if score > 0.75 => format!("; did you mean `{best}`?"),
        _ => String::new(),
    }
}
