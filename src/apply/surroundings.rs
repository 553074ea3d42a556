//! What a job of the zipline CLI finds around it: the variables of its config's env and of the
//! process, and the options of its command.
//!
//! # Why
//! The CLI puts a config's env for the mode, else its common one, into the environment, and what
//! is in the environment already wins, even if it is empty (reference §4.4). Whoever asks for the
//! region of a job must find the very value that the job will use.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::machine::Machine;
use super::runner::Job;
use super::scrub::Scrubber;
use super::scrub::secrets_of;
use crate::model::name::Dialect;

/// Where the CLI sends jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Gcp,
    Aws,
    Azure,
    /// Nowhere: the driver is started on this machine.
    None,
}

/// Variables that would make the CLI read another folder than the one it is started in.
pub(super) const ELSEWHERE: [&str; 2] = ["CHRONON_ROOT", "CHRONON_REPO_PATH"];

/// A job and all that it finds.
pub(super) struct Surroundings<'a> {
    pub(super) job: &'a Job,
    machine: &'a Machine,
    dialect: Dialect,
    own: BTreeMap<String, String>,
    document: Value,
}

impl<'a> Surroundings<'a> {
    /// Reads the config of a job; where that cannot be read, says why.
    pub(super) fn read(
        job: &'a Job,
        machine: &'a Machine,
        dialect: Dialect,
    ) -> Result<Self, String> {
        let file = job.folder.join(&job.path);
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", job.path))?;
        let document: Value = serde_json::from_slice(&bytes)
            // The place is enough: the text of the file may hold secrets.
            .map_err(|error| format!("{} is not JSON (line {})", job.path, error.line()))?;
        let own = own_env(&document, &job.mode);
        Ok(Self { job, machine, dialect, own, document })
    }

    /// The value of a variable as the CLI will see it; none where it is missing or empty.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        match self.machine.env.get(name) {
            Some(value) => Some(value.as_str()),
            None => self.own.get(name).map(String::as_str),
        }
        .filter(|value| !value.is_empty())
    }

    /// The value of an option, or else of the variable that stands for it.
    pub(super) fn option_or(&self, name: &str, variable: &str) -> Option<&str> {
        option(&self.job.argv, name).filter(|it| !it.is_empty()).or_else(|| self.value(variable))
    }

    /// Where the job goes; none where the CLI knows no such provider.
    pub(super) fn provider(&self) -> Option<Provider> {
        const PROVIDERS: [(&str, Provider); 3] =
            [("GCP", Provider::Gcp), ("AWS", Provider::Aws), ("AZURE", Provider::Azure)];
        let named = self.value("CLOUD_PROVIDER").filter(|_| self.dialect == Dialect::Zip);
        let Some(named) = named else { return Some(Provider::None) };
        let known = PROVIDERS.iter().find(|row| row.0.eq_ignore_ascii_case(named));
        known.map(|row| row.1)
    }

    /// Names and values that no output may show.
    pub(super) fn scrubber(&self) -> Scrubber {
        let mut secrets = self.job.secrets.clone();
        secrets.extend(secrets_of(&self.document));
        Scrubber::new(&secrets)
    }

    /// Whether it reads a Kafka topic that does not say itself where the brokers are.
    pub(super) fn needs_kafka(&self) -> bool {
        let mut topics = Vec::new();
        let sources = self.document["sources"].as_array();
        sources.into_iter().flatten().for_each(|source| collect_topics(source, &mut topics));
        topics.iter().any(|topic| {
            let scheme = topic.split_once("://").map(|it| it.0);
            let tokens = ["bootstrap=", "host="];
            scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case("kafka"))
                && !topic.split('/').any(|part| tokens.iter().any(|it| part.starts_with(it)))
        })
    }
}

/// The value of an option, written `--name=value` or `--name value`.
pub(super) fn option<'w>(argv: &'w [String], name: &str) -> Option<&'w str> {
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix(name) {
            Some("") => return words.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
            _ => {}
        }
    }
    None
}

/// The env that a config brings for a mode.
fn own_env(document: &Value, mode: &str) -> BTreeMap<String, String> {
    let env = &document["metaData"]["executionInfo"]["env"];
    let of_mode = env["modeEnvironments"][mode].as_object().filter(|map| !map.is_empty());
    let map = of_mode.or_else(|| env["common"].as_object());
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let entries = map.into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

fn collect_topics<'d>(source: &'d Value, topics: &mut Vec<&'d str>) {
    let own = ["/events/topic", "/entities/mutationTopic"];
    topics.extend(own.iter().filter_map(|at| source.pointer(at)?.as_str()));
    if let Some(left) = source.pointer("/joinSource/join/left") {
        collect_topics(left, topics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_env_of_the_mode_replaces_the_common_one() {
        let document = json!({"metaData": {"executionInfo": {"env": {
            "common": {"A": "common", "B": "common"},
            "modeEnvironments": {"upload": {"A": "upload", "C": null, "D": 1}, "streaming": {}},
        }}}});
        let of = |mode| own_env(&document, mode);
        assert_eq!(of("upload").get("A").map(String::as_str), Some("upload"));
        assert_eq!(of("upload").get("B"), None);
        assert_eq!(of("upload").get("C"), None);
        assert_eq!(of("upload").get("D").map(String::as_str), Some("1"));
        assert_eq!(of("streaming").get("B").map(String::as_str), Some("common"));
        assert!(own_env(&json!({}), "upload").is_empty());
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let argv = ["x", "--version=1=2", "--ds", "2026-01-01", "--versions=3"].map(str::to_owned);
        assert_eq!(option(&argv, "--version"), Some("1=2"));
        assert_eq!(option(&argv, "--ds"), Some("2026-01-01"));
        assert_eq!(option(&argv, "--end-ds"), None);
    }
}
