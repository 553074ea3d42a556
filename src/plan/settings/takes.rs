//! Whether a value is what a setting takes, and what to say where it is not.

use toml::de::DeValue;

use super::dags::wrong_alert;
use super::table::Item;
use super::table::Takes;
use crate::model::day::Day;
use crate::model::name::CONFIG_TYPES;
use crate::plan::policy::CODEOWNERS;
use crate::plan::policy::is_handle;

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
        Takes::One(item) => {
            let text = text(value).ok_or_else(|| expected("a string", is(value)))?;
            named(item, &text).map(|()| vec![text])
        }
        Takes::List(item) => match texts(value)? {
            none if none.is_empty() => {
                Err("an empty list: name something, or leave the setting out".to_owned())
            }
            list => list.iter().try_for_each(|text| named(item, text)).map(|()| list),
        },
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

/// Whether a text is the name of such a thing; if not, why.
fn named(item: Item, text: &str) -> Result<(), String> {
    let fits = match item {
        Item::Name => !text.is_empty(),
        Item::Label => (1..=50).contains(&text.chars().count()) && text.trim() == text,
        Item::Configs => can_match(text),
        Item::People => text == CODEOWNERS || is_handle(text),
        Item::Email => text.contains('@') && !text.contains(char::is_whitespace),
        Item::Alert => wrong_alert(text).is_none(),
    };
    match item {
        _ if fits => Ok(()),
        Item::Name => Err("an empty name".to_owned()),
        Item::Label => Err(format!(
            "`{text}` is no label: those have 1 to 50 characters, and no white space around them"
        )),
        Item::Configs => Err(format!(
            "`{text}` matches no config: addresses look like `group_bys/team.file.name__1`"
        )),
        Item::Email => Err(format!("`{text}` is no address of mail")),
        Item::Alert => Err(wrong_alert(text).unwrap_or_default()),
        Item::People => {
            Err(format!("`{text}` is none of `@login`, `@organization/team`, `{CODEOWNERS}`"))
        }
    }
}

/// Whether there can be an address that a glob matches: a policy must not be off by a slip.
fn can_match(glob: &str) -> bool {
    let start = glob.find(['*', '?']).map_or(glob, |at| &glob[..at]);
    CONFIG_TYPES.iter().any(|(_, dir, _)| {
        let address = format!("{dir}/");
        start.starts_with(&address) || (start.len() < glob.len() && address.starts_with(start))
    })
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found}")
}

/// A suggestion, where a known name is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let scored = known.map(|it| (strsim::jaro_winkler(name, it), it));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, best)) if score > 0.75 => format!("; did you mean `{best}`?"),
        _ => String::new(),
    }
}
