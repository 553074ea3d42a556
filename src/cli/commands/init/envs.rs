//! The settings that `init` writes: an env for each compiled root.

use std::fmt::Write;

use super::super::super::workspace::usual_env;
use super::wishes;

const ROOTLESS: &str = "# root = \"compiled\"    # what compile writes; it is found by itself\n";
const STATELESS: &str =
    "# state = \"gs://BUCKET/PREFIX\"    # without it: the folder .chronon-plan\n";
const ZIPLINE: &str = "# artifact_prefix = \"gs://BUCKET\"    # arguments of jobs; the README of chronon-plan lists all\n\
                       # version = \"1.28.0\"\n";

/// The text of the settings.
pub(super) fn settings(roots: &[String], state: Option<&str>) -> String {
    let names = names(roots);
    let mut text = String::from(
        "# What chronon-plan looks after; `chronon-plan plan` reads it from the commit.\n",
    );
    if let [first, _, ..] = names.as_slice() {
        writeln!(text, "default_env = {}", quoted(first)).unwrap_or_default();
    }
    for (at, name) in names.iter().enumerate() {
        write!(text, "\n[env.{name}]\n").unwrap_or_default();
        match roots.get(at) {
            Some(root) => writeln!(text, "root = {}", quoted(root)).unwrap_or_default(),
            None => text.push_str(ROOTLESS),
        }
        match state {
            Some(state) => writeln!(text, "state = {}", quoted(state)).unwrap_or_default(),
            None => text.push_str(STATELESS),
        }
        if roots.get(at).is_none_or(|root| wishes::is_zipline(root)) {
            text.push_str(ZIPLINE);
        }
    }
    text
}

/// A name for the env of each root: the usual one, or the path where several would have that.
fn names(roots: &[String]) -> Vec<String> {
    if roots.is_empty() {
        return vec![usual_env("").to_owned()];
    }
    let mut names: Vec<String> = Vec::new();
    for root in roots {
        let usual = usual_env(root);
        let alone = roots.iter().filter(|other| usual_env(other) == usual).count() == 1;
        let mut name = if alone { usual.to_owned() } else { slug(root) };
        while names.contains(&name) {
            name.push_str("-2");
        }
        names.push(name);
    }
    names
}

/// A path as a name that TOML takes without quotes.
fn slug(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    path.chars().map(plain).collect()
}

/// A text as TOML quotes it.
fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::settings;

    #[test]
    fn every_root_gets_an_env_of_its_own_and_reads_as_it_was() {
        let cases: [(&[&str], &[&str]); 6] = [
            (&["compiled"], &["prod"]),
            (&["compiled", "compiled_canary"], &["prod", "canary"]),
            (&["compiled", "production"], &["compiled", "production"]),
            (&["a/compiled", "b/compiled"], &["a-compiled", "b-compiled"]),
            (&["a b/compiled", "a.b/compiled"], &["a-b-compiled", "a-b-compiled-2"]),
            (&["a\"\\\u{7}ü/compiled"], &["prod"]),
        ];
        for (roots, want) in cases {
            let roots: Vec<String> = roots.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(names(&roots), want);
            let read = settings::read(&settings(&roots, Some("gs://acme-state/x"))).unwrap();
            for (root, name) in roots.iter().zip(want) {
                assert_eq!(read.envs[*name].root.as_ref(), Some(root));
                assert_eq!(read.envs[*name].state.as_deref(), Some("gs://acme-state/x"));
            }
            assert_eq!(read.default_env.as_deref(), (want.len() > 1).then_some(want[0]));
        }
    }

    #[test]
    fn without_any_root_one_is_found_later() {
        let read = settings::read(&settings(&[], None)).unwrap();
        assert_eq!(read.envs.keys().collect::<Vec<_>>(), ["prod"]);
        assert_eq!((&read.envs["prod"].root, &read.envs["prod"].state), (&None, &None));
    }
}
