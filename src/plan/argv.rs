//! The command of a step, as the real CLI takes it (reference §4.2, §4.3).
//!
//! # Why
//! Dates are always explicit: without them the CLI takes today's. In dialect ZIP the config comes
//! first, because the CLI takes the first word that it does not know for the config.

use super::contract::Range;
use super::contract::Rewrite;
use super::modes::Dates;
use super::modes::Mode;
use super::range::is_whole;
use super::settings::ARGUMENTS;
use super::settings::EnvSettings;
use crate::model::catalog::Config;
use crate::model::day::Day;
use crate::model::name::Dialect;
use crate::model::name::Resource;

/// Whether a streaming job may go on from what the old one kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Savepoint {
    /// The shape of its state changed, or there is no old job.
    None,
    /// Only its surroundings changed.
    Latest,
}

/// What a command depends on beside the config.
pub(super) struct Call<'a> {
    pub(super) dialect: Dialect,
    pub(super) settings: &'a EnvSettings,
    pub(super) mode: &'static Mode,
    pub(super) config: &'a Config,
    pub(super) newest: Day,
    pub(super) range: Option<&'a Range>,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) savepoint: Savepoint,
    /// A start that moved to an earlier day.
    pub(super) earlier: bool,
}

impl Call<'_> {
    /// The command; none where there is none and somebody must do the step by hand.
    pub(super) fn argv(&self) -> Option<Vec<String>> {
        if self.settings.own_commands {
            return self.own_command();
        }
        if self.dialect == Dialect::Oss && self.mode.name == "upload-to-kv" {
            return self.kv_upload();
        }
        let mut argv = self.program();
        match self.dialect {
            Dialect::Zip => {
                argv.push("run".to_owned());
                argv.push(match self.settings.legacy_cli {
                    true => format!("--conf={}", self.config.path),
                    false => self.config.path.clone(),
                });
                argv.push(format!("--mode={}", self.mode.name));
            }
            Dialect::Oss => {
                argv.push(format!("--mode={}", self.mode.name));
                argv.push(format!("--conf={}", self.config.path));
            }
        }
        argv.extend(self.dates());
        argv.extend(self.arguments());
        argv.extend(self.switches());
        argv.extend(self.values("extra_args").iter().cloned());
        Some(argv)
    }

    fn program(&self) -> Vec<String> {
        let usual = || match self.dialect {
            Dialect::Zip => vec!["zipline".to_owned()],
            Dialect::Oss => vec!["run.py".to_owned()],
        };
        self.settings.program.clone().unwrap_or_else(usual)
    }

    fn values(&self, name: &str) -> &[String] {
        self.settings.argument(name, self.config.facts.team.as_deref(), self.mode.name)
    }

    fn dates(&self) -> Vec<String> {
        match (self.mode.dates, self.range) {
            (Dates::None, _) | (Dates::Range, None) => Vec::new(),
            (Dates::Day, _) => vec![format!("--ds={}", self.newest)],
            (Dates::Range, Some(range)) => {
                let start = range.start.map(|start| format!("--start-ds={start}"));
                start.into_iter().chain([format!("--end-ds={}", range.end)]).collect()
            }
        }
    }

    fn arguments(&self) -> Vec<String> {
        let here = ARGUMENTS.iter().filter(|argument| {
            argument.only.is_none_or(|only| only == self.dialect)
                && (argument.modes.is_empty() || argument.modes.contains(&self.mode.name))
                && !argument.option.is_empty()
        });
        let given = here.map(|argument| (argument.option, self.values(argument.name)));
        given
            .filter(|(_, values)| !values.is_empty())
            .map(|(option, values)| format!("{option}={}", values.join(" ")))
            .collect()
    }

    fn switches(&self) -> Vec<String> {
        let mut switches = Vec::new();
        let mut on = |switch: &str, when: bool| {
            if when {
                switches.push(switch.to_owned());
            }
        };
        let zip = self.dialect == Dialect::Zip;
        let table = self.mode.resource == Resource::Table;
        let query = self.config.address.kind == crate::model::name::ConfigType::StagingQuery;
        on("--force-overwrite", zip && table && query && self.rewrite == Some(Rewrite::Overwrite));
        on("--run-first-hole", !zip && table && self.earlier);
        let deploy = zip && self.mode.resource == Resource::Stream;
        on("--streaming-mode=deploy", deploy);
        on("--no-savepoint", deploy && self.savepoint == Savepoint::None);
        on("--latest-savepoint", deploy && self.savepoint == Savepoint::Latest);
        switches
    }

    /// A command of one's own. `{operation}` is left for the runner: a plan does not know it.
    fn own_command(&self) -> Option<Vec<String>> {
        let range = self.range;
        let day = |day: Option<Day>| day.map_or_else(String::new, |day| day.to_string());
        let table = self.config.output_table().unwrap_or_default().to_owned();
        let end = range.map_or(self.newest, |range| range.end);
        let dated = self.mode.dates != Dates::None;
        let values = [
            ("conf", self.config.path.clone()),
            ("name", self.config.address.name.to_string()),
            ("mode", self.mode.name.to_owned()),
            ("team", self.config.facts.team.clone().unwrap_or_default()),
            ("ds", day(dated.then_some(end))),
            ("start_ds", day(range.and_then(|range| range.start))),
            ("end_ds", day(range.map(|range| range.end))),
            ("table", table),
        ];
        Some(fill(self.settings.command(self.mode.name)?, &values))
    }

    fn kv_upload(&self) -> Option<Vec<String>> {
        let fill = |word: &String| {
            word.replace("{conf}", &self.config.path)
                .replace("{name}", &self.config.address.name)
                .replace("{dataset}", &self.config.batch_dataset())
                .replace("{ds}", &self.newest.to_string())
        };
        Some(self.settings.kv_upload.as_ref()?.iter().map(fill).collect())
    }
}

/// Days that no job has: they stand for days that only a scheduler knows.
const SOME_DAYS: (&str, &str) = ("1902-03-04", "1905-06-07");

/// Over which days a job runs whose days a scheduler fills in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// From a first to a last one.
    Bounded,
    /// Up to a last one; the job fills what is missing before it.
    UpTo,
}

/// The command of a job that a scheduler runs, with `{ds}`, `{start_ds}` and `{end_ds}` where days
/// belong; none where there is none.
pub fn scheduled(
    dialect: Dialect,
    settings: &EnvSettings,
    config: &Config,
    mode: &'static Mode,
    span: Span,
) -> Option<Vec<String>> {
    let (first, last) = (SOME_DAYS.0.parse().ok()?, SOME_DAYS.1.parse().ok()?);
    let start = Some(first).filter(|_| span == Span::Bounded);
    let query = config.address.kind == crate::model::name::ConfigType::StagingQuery;
    let whole = dialect == Dialect::Oss && query && is_whole(&config.facts);
    let range = Range { start, end: last, days: None };
    let call = Call {
        dialect,
        settings,
        mode,
        config,
        newest: last,
        range: Some(&range).filter(|_| mode.dates == Dates::Range && !whole),
        rewrite: None,
        // What is deployed again is what ran before.
        savepoint: Savepoint::Latest,
        earlier: false,
    };
    let end = if mode.dates == Dates::Range { "{end_ds}" } else { "{ds}" };
    Some(templated(&config.path, &call.argv()?, (SOME_DAYS.0, "{start_ds}"), (SOME_DAYS.1, end)))
}

/// A command with placeholders for its days. The path of the config is left alone, whatever it is
/// called, and what stands beside it in a word is not.
pub fn templated(
    path: &str,
    argv: &[String],
    first: (&str, &str),
    last: (&str, &str),
) -> Vec<String> {
    let dated = |part: &str| part.replace(last.0, last.1).replace(first.0, first.1);
    let filled = |word: &String| word.split(path).map(dated).collect::<Vec<_>>().join(path);
    argv.iter().map(filled).collect()
}

/// The command that looks whether partitions are there; `{partitions}` is left for the scheduler.
pub fn check_partitions(settings: &EnvSettings, config: &Config) -> Vec<String> {
    let usual = || vec!["zipline".to_owned()];
    let mut argv = settings.program.clone().unwrap_or_else(usual);
    argv.push("run".to_owned());
    argv.push(match settings.legacy_cli {
        true => format!("--conf={}", config.path),
        false => config.path.clone(),
    });
    argv.extend(["--mode=metastore", "check-partitions"].map(str::to_owned));
    argv.push("--partition-names={partitions}".to_owned());
    for argument in ARGUMENTS.iter().filter(|it| it.modes.is_empty() && !it.option.is_empty()) {
        let values = settings.argument(argument.name, config.facts.team.as_deref(), "metastore");
        if !values.is_empty() {
            argv.push(format!("{}={}", argument.option, values.join(" ")));
        }
    }
    argv
}

/// Words with their placeholders filled in; a word whose placeholder has no value is left out.
pub fn fill(words: &[String], values: &[(&str, String)]) -> Vec<String> {
    let filled = |word: &String| {
        let mut text = String::new();
        let mut rest = word.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let named = after.split_once('}');
            let value = named.and_then(|(name, _)| values.iter().find(|it| it.0 == name));
            match (value, named) {
                (Some((_, value)), _) if value.is_empty() => return None,
                (Some((_, value)), Some((_, behind))) => {
                    text.push_str(value);
                    rest = behind;
                }
                _ => {
                    text.push('{');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        Some(text)
    };
    words.iter().filter_map(filled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_placeholders_beside_the_path_and_not_in_it() {
        let path = "compiled/joins/a/of_2026-01-02";
        let words = [path, "--ds=2026-01-02", "load compiled/joins/a/of_2026-01-02 2026-01-02"];
        let days = (("2026-01-01", "{start_ds}"), ("2026-01-02", "{end_ds}"));
        let argv = templated(path, &words.map(str::to_owned), days.0, days.1);
        let expected = [path, "--ds={end_ds}", "load compiled/joins/a/of_2026-01-02 {end_ds}"];
        assert_eq!(argv, expected);
    }

    #[test]
    fn words_are_filled_once_and_left_out_without_a_value() {
        let words = ["{conf}", "--a={ds} b", "{x} {\"k\": {conf}", "--start={start_ds}", "{"];
        let values = [
            ("conf", "c {ds}".to_owned()),
            ("ds", "2026-01-01".to_owned()),
            ("start_ds", String::new()),
        ];
        let filled = fill(&words.map(str::to_owned), &values);
        // What was filled in is not filled again: a value is no template.
        assert_eq!(filled, ["c {ds}", "--a=2026-01-01 b", "{x} {\"k\": c {ds}", "{"]);
    }
}
