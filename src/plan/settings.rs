//! `chronon-plan.toml`: what an env is and how its jobs are called.
//!
//! # Why
//! Every setting is a row of a table that reading, the docs and the messages share. A mistake is
//! never half understood: all of them are reported at once, each with its line, and an unknown
//! name with the nearest known one.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use super::takes::check;
use super::takes::nearest;
use crate::model::day::Day;
use crate::model::name::Dialect;
use crate::plan::modes;
use crate::plan::modes::Mode;

/// The file's name, at the top of the repository.
pub const FILE: &str = "chronon-plan.toml";

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A string.
    Text,
    /// A string without white space: it becomes one word of a command.
    Word,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A list of strings without white space.
    Words,
    /// A command of one's own: a list of words in which these placeholders are filled in.
    Template(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u32, u32),
    /// A date.
    Date,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its path; `*` stands for a name.
    pub path: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds without it.
    pub default: &'static str,
    /// What it is for.
    pub does: &'static str,
}

const fn setting(
    path: &'static str,
    takes: Takes,
    default: &'static str,
    does: &'static str,
) -> Setting {
    Setting { path, takes, default, does }
}

/// What is filled in where a command of one's own names it.
pub const PLACEHOLDERS: &[&str] =
    &["conf", "name", "mode", "team", "ds", "start_ds", "end_ds", "operation", "table"];

/// What is filled in where a command names it that looks for a job of an earlier run.
pub const FIND_PLACEHOLDERS: &[&str] = &["conf", "name", "mode", "operation"];

/// What is filled in where a command archives a table.
pub const ARCHIVE_PLACEHOLDERS: &[&str] = &["table", "conf", "name", "operation"];

/// Minutes that a job may be given: a week at the most.
const MINUTES: Takes = Takes::Number(1, 7 * 24 * 60);

/// Every setting of an env but the arguments of its jobs.
#[rustfmt::skip] // one setting, one line
pub const SETTINGS: &[Setting] = &[
    setting("default_env", Takes::Word, "the only env", "the env that is meant when `--env` is missing"),
    setting("env.*.root", Takes::Text, "the compiled root that exists", "the compiled root, from the repository's top"),
    setting("env.*.dialect", Takes::OneOf(&["zip", "oss"]), "as the files say", "what wrote the compiled files"),
    setting("env.*.state", Takes::Text, "`.chronon-plan` at the repository's top", "where the ledger is kept: `gs://BUCKET/PREFIX`, or a folder from the repository's top; the env's name is added"),
    setting("env.*.lock.ttl", Takes::Number(2, 3600), "60", "after how many seconds without a sign of life a lock may be taken over"),
    setting("env.*.parallelism", Takes::Number(1, 256), "8", "how many jobs of an apply run at once"),
    setting("env.*.program", Takes::Words, "`zipline`, or `run.py` in dialect oss", "the CLI and arguments that always come first"),
    setting("env.*.cli", Takes::OneOf(&["current", "legacy"]), "current", "how the CLI takes the config: `legacy` is `--conf`, up to version 1.0.12"),
    setting("env.*.runner", Takes::OneOf(&["zipline", "command"]), "zipline", "what runs jobs: the CLI, or commands of your own"),
    setting("env.*.command", Takes::Template(PLACEHOLDERS), "a step by hand", "with runner `command`: the command of every mode that has none of its own; `{conf}`, `{name}`, `{mode}`, `{team}`, `{ds}`, `{start_ds}`, `{end_ds}`, `{operation}` and `{table}` are filled in, and a word whose placeholder has no value is left out"),
    setting("env.*.mode.*.command", Takes::Template(PLACEHOLDERS), "`env.*.command`", "with runner `command`: the command of this mode"),
    setting("env.*.find", Takes::Template(FIND_PLACEHOLDERS), "such a job is submitted again", "with runner `command`: prints, as its last line, what became of the job of an earlier run: `running`, `done`, `failed` or `none`; `{conf}`, `{name}`, `{mode}` and `{operation}` are filled in"),
    setting("env.*.mode.*.timeout", MINUTES, "as the table of modes says", "how many minutes a job may take"),
    setting("env.*.mode.*.retries", Takes::Number(0, 10), "as the table of modes says", "how often a job is tried again that failed"),
    setting("env.*.retry_delay", Takes::Number(0, 3600), "10", "how many seconds to wait before the first new attempt; it doubles with each"),
    setting("env.*.archive", Takes::Template(ARCHIVE_PLACEHOLDERS), "`--archived` says that somebody did", "the command that archives or drops a table before an `archive-first` backfill; `{table}`, `{conf}`, `{name}`, `{operation}` are filled in"),
    setting("env.*.consistency", Takes::OneOf(&["schedule", "apply"]), "schedule", "who runs consistency jobs"),
    setting("env.*.kv_upload", Takes::Words, "a step by hand", "in dialect oss: the command that loads an upload into the KV store; `{conf}`, `{name}`, `{dataset}` and `{ds}` are filled in"),
    setting("env.*.backfill.start", Takes::Date, "none", "where backfills start that no config gives a start"),
    setting("env.*.backfill.chunk_days", Takes::Number(1, 36500), "one job for all days", "how many days one job of a backfill computes at most; an apply that was killed goes on with the next chunk"),
];

/// One argument that jobs are given.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// The setting's name.
    pub name: &'static str,
    /// The CLI's option; empty for arguments that are passed on as they are.
    pub option: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// The one dialect that has it, or both.
    pub only: Option<Dialect>,
    /// The modes that take it; empty for all.
    pub modes: &'static [&'static str],
    /// What it is for.
    pub does: &'static str,
}

const ONLINE: &[&str] = &["streaming", "metadata-upload"];
const STREAMING: &[&str] = &["streaming"];
const FLATTENER: &[&str] = &["log-flattener"];

/// Every argument; each may be set per env, mode, team, and team and mode (reference §4.2, §4.3).
#[rustfmt::skip] // one argument, one line
pub const ARGUMENTS: &[Argument] = &[
    Argument { name: "artifact_prefix", option: "--artifact-prefix", takes: Takes::Word, only: Some(Dialect::Zip), modes: &[], does: "where the jars are" },
    Argument { name: "version", option: "--version", takes: Takes::Word, only: Some(Dialect::Zip), modes: &[], does: "the version of the jars" },
    Argument { name: "additional_jars", option: "--additional-jars", takes: Takes::Word, only: Some(Dialect::Zip), modes: &[], does: "jars to add, separated by commas" },
    Argument { name: "uploader", option: "--uploader", takes: Takes::OneOf(&["spark", "bigquery"]), only: Some(Dialect::Zip), modes: &["upload-to-kv"], does: "what loads an upload into the KV store" },
    Argument { name: "kafka_bootstrap", option: "--kafka-bootstrap", takes: Takes::Word, only: None, modes: STREAMING, does: "the Kafka brokers" },
    Argument { name: "flink_state_uri", option: "--flink-state-uri", takes: Takes::Word, only: Some(Dialect::Zip), modes: STREAMING, does: "where Flink keeps checkpoints and manifests" },
    Argument { name: "online_jar", option: "--online-jar", takes: Takes::Word, only: Some(Dialect::Oss), modes: ONLINE, does: "the jar with the online implementation" },
    Argument { name: "online_class", option: "--online-class", takes: Takes::Word, only: Some(Dialect::Oss), modes: ONLINE, does: "the class of the online implementation" },
    Argument { name: "online_args", option: "--online-args", takes: Takes::Words, only: None, modes: ONLINE, does: "arguments of the online implementation, as `-Zkey=value`" },
    Argument { name: "log_table", option: "--log-table", takes: Takes::Word, only: None, modes: FLATTENER, does: "the table of logged responses" },
    Argument { name: "schema_table", option: "--schema-table", takes: Takes::Word, only: None, modes: FLATTENER, does: "the table of logged schemas" },
    Argument { name: "extra_args", option: "", takes: Takes::Words, only: None, modes: &[], does: "anything else, passed on as it is" },
];

/// The places at which arguments may stand, the most specific last.
pub const ARGUMENT_PLACES: [&str; 4] =
    ["env.*", "env.*.mode.*", "env.*.team.*", "env.*.team.*.mode.*"];

/// A mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The setting, where it is one.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// An argument's value and for whom it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    team: Option<String>,
    mode: Option<String>,
    name: String,
    values: Vec<String>,
}

/// The settings of one env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvSettings {
    /// The compiled root, where it is named.
    pub root: Option<String>,
    /// The dialect, where it is named.
    pub dialect: Option<Dialect>,
    /// The CLI, where it is named.
    pub program: Option<Vec<String>>,
    /// Whether an apply runs consistency jobs.
    pub applies_consistency: bool,
    /// The command that loads an upload into the KV store.
    pub kv_upload: Option<Vec<String>>,
    /// Where backfills start that no config gives a start.
    pub backfill_start: Option<Day>,
    /// How many days one job of a backfill computes at most.
    pub chunk_days: Option<u32>,
    /// Where the ledger is kept, where it is named.
    pub state: Option<String>,
    /// After how many seconds without a sign of life a lock may be taken over.
    pub lock_ttl: Option<u32>,
    /// How many jobs of an apply run at once.
    pub parallelism: Option<u32>,
    /// How many seconds to wait before the first new attempt.
    pub retry_delay: Option<u32>,
    /// The command that archives a table, its placeholders not filled in.
    pub archive: Option<Vec<String>>,
    /// Whether the CLI is of version 1.0.12 or older, which takes the config by `--conf`.
    pub legacy_cli: bool,
    /// Whether jobs are commands of one's own.
    pub own_commands: bool,
    /// The command that looks for a job of an earlier run.
    pub find: Option<Vec<String>>,
    command: Option<Vec<String>>,
    modes: BTreeMap<String, ModeSettings>,
    given: Vec<Given>,
}

/// What is set for one mode of an env.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ModeSettings {
    command: Option<Vec<String>>,
    timeout: Option<u32>,
    retries: Option<u32>,
}

impl EnvSettings {
    /// How many minutes a job of this mode may take.
    pub fn timeout(&self, mode: &Mode) -> u32 {
        self.modes.get(mode.name).and_then(|it| it.timeout).unwrap_or(mode.timeout)
    }

    /// How often a job of this mode is tried again that failed.
    pub fn retries(&self, mode: &Mode) -> u32 {
        self.modes.get(mode.name).and_then(|it| it.retries).unwrap_or(mode.retries)
    }

    /// The command of one's own for this mode, its placeholders not yet filled in.
    pub fn command(&self, mode: &str) -> Option<&[String]> {
        let own = self.modes.get(mode).and_then(|it| it.command.as_deref());
        own.or(self.command.as_deref())
    }

    fn keep_of_mode(&mut self, mode: &str, name: &str, values: &[String]) -> bool {
        let of = self.modes.entry(mode.to_owned()).or_default();
        let number = values.first().and_then(|it| it.parse().ok());
        match name {
            "command" => of.command = Some(values.to_vec()),
            "timeout" => of.timeout = number,
            "retries" => of.retries = number,
            _ => return false,
        }
        true
    }

    /// The values of an argument for a job: the most specific place wins.
    pub fn argument(&self, name: &str, team: Option<&str>, mode: &str) -> &[String] {
        let fits = |given: &&Given| {
            let team = given.team.is_none() || given.team.as_deref() == team;
            let mode = given.mode.as_deref().is_none_or(|it| it == mode);
            given.name == name && team && mode
        };
        let rank = |given: &&Given| (given.team.is_some(), given.mode.is_some());
        self.given.iter().filter(fits).max_by_key(rank).map_or(&[], |given| &given.values)
    }
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The env that is meant when none is named.
    pub default_env: Option<String>,
    /// Every env by name.
    pub envs: BTreeMap<String, EnvSettings>,
}

/// Reads the file.
///
/// # Errors
/// Every mistake in it, in the order of lines.
pub fn read(text: &str) -> Result<Settings, Vec<Mistake>> {
    let mut reader =
        Reader { text, settings: Settings::default(), mistakes: Vec::new(), default_line: 1 };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.mistake(at, "", error.message().to_owned());
    }
    if reader.mistakes.is_empty() {
        reader.table(&mut Vec::new(), table.get_ref());
    }
    let default_line = reader.default_line;
    let Reader { settings, mut mistakes, .. } = reader;
    if let Some(env) = settings.default_env.as_ref().filter(|env| !settings.envs.contains_key(*env))
    {
        let what = format!("there is no `[env.{env}]`");
        mistakes.push(Mistake { line: default_line, setting: "default_env".to_owned(), what });
    }
    mistakes.sort();
    if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
}

struct Reader<'a> {
    text: &'a str,
    settings: Settings,
    mistakes: Vec<Mistake>,
    /// Where `default_env` stands.
    default_line: usize,
}

impl Reader<'_> {
    fn mistake(&mut self, at: usize, setting: &str, what: String) {
        let line = self.line(at);
        self.mistakes.push(Mistake { line, setting: setting.to_owned(), what });
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1
    }

    fn table(&mut self, path: &mut Vec<String>, table: &DeTable<'_>) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            let at = key.span().start;
            if let DeValue::Table(inner) = value.get_ref() {
                if self.is_place(path, at) {
                    if let [first, name] = path.as_slice()
                        && first == "env"
                    {
                        self.settings.envs.entry(name.clone()).or_default();
                    }
                    self.table(path, inner);
                }
            } else {
                self.value(path, at, value);
            }
            path.pop();
        }
    }

    /// Whether settings can stand in a table at this path; if not, says so.
    fn is_place(&mut self, path: &[String], at: usize) -> bool {
        let known = || {
            let settings =
                SETTINGS.iter().map(|row| row.path.rsplit_once('.').map_or("", |it| it.0));
            settings.chain(ARGUMENT_PLACES)
        };
        let is_prefix = |place: &str| {
            let parts: Vec<&str> = place.split('.').collect();
            path.len() <= parts.len() && parts.iter().zip(path).all(|(p, s)| *p == "*" || p == s)
        };
        if known().any(is_prefix) {
            let mode = path.len() >= 2 && path[path.len() - 2] == "mode";
            let name = &path[path.len() - 1];
            if mode && modes::by_name(name).is_none() {
                let names = modes::MODES.iter().map(|mode| mode.name);
                let what = format!("there is no mode `{name}`{}", nearest(name, names));
                self.mistake(at, &path.join("."), what);
                return false;
            }
            return true;
        }
        let last = path.last().map_or("", String::as_str);
        let names = ["env", "mode", "team", "backfill", "lock"];
        let what = format!("no such table{}", nearest(last, names.into_iter()));
        self.mistake(at, &path.join("."), what);
        false
    }

    fn value(&mut self, path: &[String], at: usize, value: &Spanned<DeValue<'_>>) {
        let shown = path.join(".");
        let Some(takes) = takes(path) else {
            let last = path.last().map_or("", String::as_str);
            let settings = SETTINGS.iter().filter_map(|row| row.path.rsplit('.').next());
            let names = settings.chain(ARGUMENTS.iter().map(|row| row.name));
            let what = format!("no such setting{}", nearest(last, names));
            return self.mistake(at, &shown, what);
        };
        match check(takes, value.get_ref()) {
            Ok(values) => {
                if path.len() == 1 {
                    self.default_line = self.line(at);
                }
                self.keep(path, values);
            }
            Err(what) => self.mistake(at, &shown, what),
        }
    }

    fn keep(&mut self, path: &[String], values: Vec<String>) {
        let first = values.first().cloned();
        let [env_word, env, rest @ ..] = path else {
            self.settings.default_env = first;
            return;
        };
        debug_assert_eq!(env_word, "env");
        let env = self.settings.envs.entry(env.clone()).or_default();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let number = first.as_ref().and_then(|it| it.parse().ok());
        let given = |team: Option<&str>, mode: Option<&str>, name: &str, values| Given {
            team: team.map(str::to_owned),
            mode: mode.map(str::to_owned),
            name: name.to_owned(),
            values,
        };
        match rest.as_slice() {
            ["root"] => env.root = first.map(|root| root.trim_matches('/').to_owned()),
            ["dialect"] if first.as_deref() == Some("oss") => env.dialect = Some(Dialect::Oss),
            ["dialect"] => env.dialect = Some(Dialect::Zip),
            ["program"] => env.program = Some(values),
            ["consistency"] => env.applies_consistency = first.as_deref() == Some("apply"),
            ["kv_upload"] => env.kv_upload = Some(values),
            ["backfill", "start"] => env.backfill_start = first.and_then(|day| day.parse().ok()),
            ["backfill", "chunk_days"] => env.chunk_days = number,
            ["state"] => env.state = first,
            ["lock", "ttl"] => env.lock_ttl = number,
            ["parallelism"] => env.parallelism = number,
            ["retry_delay"] => env.retry_delay = number,
            ["archive"] => env.archive = Some(values),
            ["cli"] => env.legacy_cli = first.as_deref() == Some("legacy"),
            ["runner"] => env.own_commands = first.as_deref() == Some("command"),
            ["command"] => env.command = Some(values),
            ["find"] => env.find = Some(values),
            ["mode", mode, name] if env.keep_of_mode(mode, name, &values) => {}
            ["team", team, "mode", mode, name] => {
                env.given.push(given(Some(team), Some(mode), name, values));
            }
            ["mode", mode, name] => env.given.push(given(None, Some(mode), name, values)),
            ["team", team, name] => env.given.push(given(Some(team), None, name, values)),
            [name] => env.given.push(given(None, None, name, values)),
            _ => {}
        }
    }
}

/// What the setting at this path takes; none for a path that is no setting.
fn takes(path: &[String]) -> Option<Takes> {
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() == path.len() && parts.iter().zip(path).all(|(p, s)| *p == "*" || p == s)
    };
    let setting = SETTINGS.iter().find(|row| fits(row.path)).map(|row| row.takes);
    setting.or_else(|| {
        let (last, _) = path.split_last()?;
        let argument = ARGUMENTS.iter().find(|row| row.name == last)?;
        let here = ARGUMENT_PLACES.iter().any(|place| fits(&format!("{place}.{last}")));
        here.then_some(argument.takes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_argument_wins() {
        let settings = read(
            "[env.prod]\nversion = '1'\n[env.prod.mode.streaming]\nversion = '2'\n\
             [env.prod.team.ads]\nversion = '3'\n[env.prod.team.ads.mode.streaming]\nversion = '4'\n",
        )
        .unwrap();
        let env = &settings.envs["prod"];
        let version = |team, mode| env.argument("version", team, mode)[0].as_str();
        assert_eq!(version(None, "backfill"), "1");
        assert_eq!(version(None, "streaming"), "2");
        assert_eq!(version(Some("ads"), "backfill"), "3");
        assert_eq!(version(Some("ads"), "streaming"), "4");
        assert!(env.argument("uploader", None, "upload-to-kv").is_empty());
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "default_env = 3\n[env.prod]\nrout = 'compiled'\nversion = 'a b'\n\
                    uploader = 'flink'\nprogram = 'zipline'\n[env.prod.backfill]\nstart = 'soon'\n\
                    [env.prod.mode.bakfill]\nversion = '1'\n[enw.prod]\n";
        let mistakes = read(text).unwrap_err();
        let told: Vec<String> =
            mistakes.iter().map(|it| format!("{} {}: {}", it.line, it.setting, it.what)).collect();
        let expected = [
            "1 default_env: expected a string, found integer",
            "3 env.prod.rout: no such setting; did you mean `root`?",
            "4 env.prod.version: `a b` has white space in it, and the CLI splits its commands there",
            "5 env.prod.uploader: `flink` is none of `spark`, `bigquery`",
            "6 env.prod.program: expected a list of strings, found string",
            "8 env.prod.backfill.start: `soon` is not a date; one looks like 2026-11-22",
            "9 env.prod.mode.bakfill: there is no mode `bakfill`; did you mean `backfill`?",
            "11 enw: no such table; did you mean `env`?",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn commands_of_ones_own_and_limits_are_checked() {
        let text = "[env.prod]\nrunner = 'command'\ncommand = ['run it', '{cnf}']\nfind = ['x', '{ds}']\n\
                    [env.prod.mode.backfill]\ntimeout = 0\nretries = '3'\ncommand = []\n";
        let mistakes = read(text).unwrap_err();
        let told: Vec<String> =
            mistakes.iter().map(|it| format!("{} {}", it.line, it.what)).collect();
        let expected = [
            "3 there is no `{cnf}` here; did you mean `conf`?",
            "4 there is no `{ds}` here",
            "6 expected a whole number from 1 to 10080",
            "7 expected a number, found string",
            "8 an empty word, or no word at all",
        ];
        assert_eq!(told, expected);
        let text = "[env.prod]\ncommand = ['a b', '{\"x\": 1}']\n[env.prod.mode.upload]\n\
                    command = ['own']\ntimeout = 7\nretries = 0\n";
        let env = &read(text).unwrap().envs["prod"];
        let mode = |name| modes::by_name(name).unwrap();
        assert_eq!(env.command("upload"), Some(&["own".to_owned()][..]));
        assert_eq!(env.command("backfill").unwrap()[0], "a b");
        assert_eq!((env.timeout(mode("upload")), env.retries(mode("upload"))), (7, 0));
        assert_eq!(env.timeout(mode("backfill")), mode("backfill").timeout);
    }

    #[test]
    fn broken_toml_and_a_missing_default_are_mistakes() {
        assert_eq!(read("a = [").unwrap_err()[0].line, 1);
        let mistakes = read("default_env = 'prod'\n").unwrap_err();
        assert_eq!(mistakes[0].what, "there is no `[env.prod]`");
    }
}
