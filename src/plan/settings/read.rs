//! Reads the file: every mistake is reported, each with its line.

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use super::Given;
use super::Mistake;
use super::Settings;
use super::table::ARGUMENT_PLACES;
use super::table::ARGUMENTS;
use super::table::SETTINGS;
use super::table::takes;
use super::takes::check;
use super::takes::nearest;
use crate::model::name::Dialect;
use crate::plan::modes;

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
