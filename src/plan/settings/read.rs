//! Reads the file: every mistake is reported, each with its line.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use super::Ci;
use super::DirectPush;
use super::EnvSettings;
use super::Given;
use super::Mistake;
use super::Settings;
use super::policies;
use super::policies::Draft;
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
    let mut reader = Reader { text, ..Reader::default() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.mistake(at, "", error.message().to_owned());
    }
    if reader.mistakes.is_empty() {
        reader.table(&mut Vec::new(), table.get_ref());
        reader.finish();
    }
    let Reader { settings, mut mistakes, .. } = reader;
    mistakes.sort();
    if mistakes.is_empty() { Ok(settings) } else { Err(mistakes) }
}

#[derive(Default)]
struct Reader<'a> {
    text: &'a str,
    settings: Settings,
    mistakes: Vec<Mistake>,
    /// Where each table and setting stands, be it right or wrong.
    stands: BTreeMap<Vec<String>, usize>,
    /// What is right of each policy, by setting.
    policies: BTreeMap<String, BTreeMap<String, Vec<String>>>,
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
            self.stands.insert(path.clone(), at);
            if let DeValue::Table(inner) = value.get_ref() {
                if self.is_place(path, at) {
                    self.open(path);
                    self.table(path, inner);
                }
            } else {
                self.value(path, at, value);
            }
            path.pop();
        }
    }

    /// An env and a policy are there even where their tables are empty.
    fn open(&mut self, path: &[String]) {
        match path {
            [first, name] if first == "env" => {
                self.settings.envs.entry(name.clone()).or_default();
            }
            [first, name] if first == "policy" => {
                self.policies.entry(name.clone()).or_default();
            }
            [first, name] if first == "team" => {
                self.settings.teams.entry(name.clone()).or_default();
            }
            _ => {}
        }
    }

    /// Whether settings can stand in a table at this path; if not, says so.
    fn is_place(&mut self, path: &[String], at: usize) -> bool {
        if places().any(|place| starts(place, path)) {
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
        let Some((last, above)) = path.split_last() else { return false };
        let beside = places().filter(|place| starts(place, above));
        let names = beside.filter_map(|place| place.split('.').nth(above.len()));
        let what = format!("no such table{}", nearest(last, names.filter(|it| *it != "*")));
        self.mistake(at, &path.join("."), what);
        false
    }

    fn value(&mut self, path: &[String], at: usize, value: &Spanned<DeValue<'_>>) {
        let shown = path.join(".");
        let Some(takes) = takes(path) else {
            return self.mistake(at, &shown, format!("no such setting{}", near(path)));
        };
        match check(takes, value.get_ref()) {
            Ok(values) => self.keep(path, values),
            Err(what) => self.mistake(at, &shown, what),
        }
    }

    fn keep(&mut self, path: &[String], values: Vec<String>) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["default_env"] => self.settings.default_env = values.into_iter().next(),
            ["ci", rest @ ..] => keep_of_ci(&mut self.settings.ci, rest, values),
            ["policy", name, setting] => {
                let policy = self.policies.entry((*name).to_owned()).or_default();
                policy.insert((*setting).to_owned(), values);
            }
            ["team", team, setting] => {
                self.settings.teams.entry((*team).to_owned()).or_default().keep(setting, values);
            }
            ["env", env, rest @ ..] => {
                let env = self.settings.envs.entry((*env).to_owned()).or_default();
                keep_of_env(env, rest, values);
            }
            _ => {}
        }
    }

    /// What only the whole file can tell.
    fn finish(&mut self) {
        let mut envs: Vec<String> = self.settings.envs.keys().cloned().collect();
        let mut found: Vec<(Vec<&str>, String)> = Vec::new();
        if let Some(env) = self.settings.default_env.as_ref().filter(|env| !envs.contains(env)) {
            found.push((vec!["default_env"], format!("there is no `[env.{env}]`")));
        }
        if envs.is_empty() {
            envs.extend(UNNAMED_ENVS.map(str::to_owned));
        }
        let unknown = policies::unknown_envs(&self.settings.ci.envs, &envs);
        found.extend(unknown.map(|what| (vec!["ci", "envs"], what)));
        let twice = policies::label_twice(&self.settings.ci.labels);
        found.extend(twice.map(|what| (vec!["ci", "label"], what)));
        let all = &self.settings.envs;
        let wrong: Vec<_> = all.iter().map(|it| (it.0.clone(), it.1.wrong(it.0, all))).collect();
        for (name, mistakes) in &wrong {
            let at = |at: &[&'static str]| [&["env", name.as_str()], at].concat();
            found.extend(mistakes.iter().map(|it| (at(it.0), it.1.clone())));
        }
        let drafts = std::mem::take(&mut self.policies);
        for (name, values) in &drafts {
            let stands = |setting: &str| {
                let path = ["policy", name, setting].map(str::to_owned);
                self.stands.contains_key(path.as_slice())
            };
            let draft = Draft { name, values, stands: &stands };
            found.extend(draft.wrong(&envs, &self.settings.ci.labels).into_iter().map(
                |(setting, what)| (["policy", name].into_iter().chain(setting).collect(), what),
            ));
            self.settings.policies.push(draft.policy());
        }
        for (path, what) in found {
            let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
            let at = self.stands.get(&path).copied().unwrap_or_default();
            self.mistake(at, &path.join("."), what);
        }
    }
}

/// The envs that are there where the file names none.
const UNNAMED_ENVS: [&str; 2] = ["prod", "canary"];

fn keep_of_ci(ci: &mut Ci, path: &[&str], values: Vec<String>) {
    let first = values.first().cloned();
    match path {
        ["envs"] => ci.envs = values,
        ["smaller"] => ci.applies_smaller = first.as_deref() == Some("apply"),
        ["direct_push"] => {
            ci.direct_push = match first.as_deref() {
                Some("apply") => DirectPush::Apply,
                Some("plan") => DirectPush::Plan,
                _ => DirectPush::Refuse,
            }
        }
        ["label", "jobs"] => ci.labels.jobs = first,
        ["label", "breaking"] => ci.labels.breaking = first,
        ["label", "history"] => ci.labels.history = first,
        _ => {}
    }
}

fn keep_of_env(env: &mut EnvSettings, path: &[&str], values: Vec<String>) {
    let first = values.first().cloned();
    let number = first.as_ref().and_then(|it| it.parse().ok());
    let given = |team: Option<&str>, mode: Option<&str>, name: &str, values| Given {
        team: team.map(str::to_owned),
        mode: mode.map(str::to_owned),
        name: name.to_owned(),
        values,
    };
    match path {
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
        ["runner"] => {
            env.own_commands = first.as_deref() == Some("command");
            env.airflow.runs = first.as_deref() == Some("airflow");
        }
        ["command"] => env.command = Some(values),
        ["find"] => env.find = Some(values),
        ["airflow", "cluster", ..] => env.cluster.keep(&path[1..], &values),
        ["airflow", name] => {
            env.airflow.keep(name, first);
            env.dags.keep(name, values);
        }
        ["mode", mode, "compute"] | ["mode", mode, "cluster", _] => {
            let of = env.modes.entry((*mode).to_owned()).or_default();
            of.cluster.keep(&path[2..], &values);
        }
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

/// The tables in which settings stand.
fn places() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().filter_map(|row| Some(row.path.rsplit_once('.')?.0));
    settings.chain(ARGUMENT_PLACES)
}

/// Whether a table is at this path, or below it.
fn starts(place: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = place.split('.').collect();
    path.len() <= parts.len() && parts.iter().zip(path).all(|(p, s)| *p == "*" || p == s)
}

/// A suggestion for a setting that is none, of those that stand below the same top-level table.
fn near(path: &[String]) -> String {
    let Some((last, above)) = path.split_last() else { return String::new() };
    let top = above.first();
    let beside = SETTINGS.iter().filter(|row| match (top, row.path.split_once('.')) {
        (Some(top), Some((first, _))) => top == first,
        (None, None) => true,
        _ => false,
    });
    let settings = beside.filter_map(|row| row.path.rsplit('.').next());
    let arguments = ARGUMENTS.iter().filter(|_| top.is_some_and(|it| it == "env"));
    nearest(last, settings.chain(arguments.map(|row| row.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::policy::Policy;
    use crate::plan::policy::WHEN_NAMES;
    use crate::plan::policy::When;
    use crate::plan::settings::Labels;

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

    fn told(text: &str) -> Vec<String> {
        let mistakes = read(text).unwrap_err();
        mistakes.iter().map(|it| format!("{} {}: {}", it.line, it.setting, it.what)).collect()
    }

    #[test]
    fn what_ci_does_is_read_and_has_defaults() {
        let text = "[env.prod]\n[env.canary]\n[ci]\ndirect_push = 'plan'\nsmaller = 'apply'\n\
                    envs = ['canary']\n[ci.label]\njobs = 'has jobs'\nhistory = 'rewrites'\n";
        let labels = Labels {
            jobs: Some("has jobs".to_owned()),
            breaking: None,
            history: Some("rewrites".to_owned()),
        };
        let ci = Ci {
            envs: vec!["canary".to_owned()],
            direct_push: DirectPush::Plan,
            applies_smaller: true,
            labels,
        };
        assert_eq!(read(text).unwrap().ci, ci);
        assert_eq!(read("[ci]\ndirect_push = 'apply'").unwrap().ci.direct_push, DirectPush::Apply);
        for text in ["", "[ci]", "[ci]\ndirect_push = 'refuse'\nsmaller = 'refuse'"] {
            let ci = read(text).unwrap().ci;
            assert_eq!(ci, Ci::default());
            assert_eq!((ci.direct_push, ci.applies_smaller), (DirectPush::Refuse, false));
        }
    }

    #[test]
    fn policies_are_read_and_stand_by_name() {
        let text = "[env.prod]\n[policy.risk]\nwhen = 'backfill-days'\ndays = 400\nenvs = ['prod']\n\
                    teams = ['payments']\nconfigs = ['joins/risk.*', '*__1']\n\
                    allowed = ['group_bys/ads.old__1']\nlabels = ['long ok']\napprovals = 2\n\
                    from = ['@alice', '@acme/risk', 'codeowners']\n[policy.ads]\nwhen = 'jobs'\n\
                    from = ['@bob']\n[policy.breaking]\nwhen = 'online-breaking'\nlabels = ['ok']\n";
        let policies = read(text).unwrap().policies;
        let names: Vec<&str> = policies.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["ads", "breaking", "risk"]);
        let words = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let risk = Policy {
            name: "risk".to_owned(),
            when: When::BackfillDays,
            envs: words(&["prod"]),
            days: 400,
            teams: words(&["payments"]),
            configs: words(&["joins/risk.*", "*__1"]),
            allowed: words(&["group_bys/ads.old__1"]),
            labels: words(&["long ok"]),
            approvals: 2,
            from: words(&["@alice", "@acme/risk", "codeowners"]),
        };
        assert_eq!(policies[2], risk);
        assert_eq!(policies[0].approvals, 1, "whose approvals count, so one is needed");
        assert_eq!(policies[1].approvals, 0);
    }

    #[test]
    fn every_condition_has_a_policy_of_its_own() {
        for name in WHEN_NAMES {
            let more = match name {
                "backfill-days" => "days = 0",
                "team" => "teams = ['ads']",
                _ => "",
            };
            let text = format!("[policy.p]\nwhen = '{name}'\napprovals = 1\n{more}");
            assert_eq!(read(&text).unwrap().policies[0].when.name(), name);
        }
    }

    #[test]
    fn every_mistake_about_ci_and_policies_is_told_with_its_line() {
        let text = "[env.prod]\n[ci]\ndirect_push = 'ignore'\nsmaler = 'apply'\nenvs = ['prod', 'prd']\n\
                    [ci.lable]\njobs = 'x'\n[ci.label]\njobs = ' x'\nbreaking = 'Hot'\nhistory = 'hot'\n\
                    [polcy.x]\n[policy.empty]\n[policy.days]\nwhen = 'backfill-days'\nlabels = []\n\
                    [policy.more]\nwhen = 'jobs'\ndays = 3\nlabels = ['hot']\n\
                    [policy.team]\nwhen = 'team'\napprovals = 0\n\
                    [policy.wrong]\nwhen = 'online'\ndays = 3\nenvs = ['canary']\nteam = ['ads']\n\
                    configs = ['risk.*']\nfrom = ['alice', '@acme/risk/x']\nlabels = ['']\n";
        let expected = [
            "3 ci.direct_push: `ignore` is none of `refuse`, `apply`, `plan`",
            "4 ci.smaler: no such setting; did you mean `smaller`?",
            "5 ci.envs: there is no `[env.prd]`; did you mean `prod`?",
            "6 ci.lable: no such table; did you mean `label`?",
            "8 ci.label: `hot` is the label of two things",
            "9 ci.label.jobs: ` x` is no label: those have 1 to 50 characters, and no white space around them",
            "12 polcy: no such table; did you mean `policy`?",
            "13 policy.empty: it asks for nothing: set `labels` or `approvals`",
            "13 policy.empty: no `when`: one of `online-breaking`, `history-not-rewritten`, `history-rewritten`, `backfill-days`, `team`, `jobs`",
            "14 policy.days: no `days`: `backfill-days` holds above so many",
            "16 policy.days.labels: an empty list: name something, or leave the setting out",
            "19 policy.more.days: it belongs to `backfill-days`, not to `jobs`",
            "20 policy.more.labels: `hot` is a label that CI itself puts on: nobody would decide",
            "21 policy.team: no `teams`: `team` is about their configs",
            "23 policy.team.approvals: expected a whole number from 1 to 20",
            "25 policy.wrong.when: `online` is none of `online-breaking`, `history-not-rewritten`, `history-rewritten`, `backfill-days`, `team`, `jobs`",
            "27 policy.wrong.envs: there is no `[env.canary]`",
            "28 policy.wrong.team: no such setting; did you mean `teams`?",
            "29 policy.wrong.configs: `risk.*` matches no config: addresses look like `group_bys/team.file.name__1`",
            "30 policy.wrong.from: `alice` is none of `@login`, `@organization/team`, `codeowners`",
            "31 policy.wrong.labels: `` is no label: those have 1 to 50 characters, and no white space around them",
        ];
        assert_eq!(told(text), expected);
    }

    #[test]
    fn envs_that_nobody_names_can_be_named_by_policies() {
        let with =
            |env: &str| format!("[policy.p]\nwhen = 'jobs'\nlabels = ['x']\nenvs = ['{env}']\n");
        assert!(read(&with("prod")).is_ok() && read(&with("canary")).is_ok());
        assert_eq!(told(&with("test")), ["4 policy.p.envs: there is no `[env.test]`"]);
        let named = format!("[env.test]\n{}", with("prod"));
        assert_eq!(told(&named), ["5 policy.p.envs: there is no `[env.prod]`"]);
    }

    #[test]
    fn a_glob_that_no_address_can_match_is_a_mistake() {
        let with = |glob: &str| {
            read(&format!("[policy.p]\nwhen = 'jobs'\nlabels = ['x']\nallowed = ['{glob}']\n"))
        };
        for glob in
            ["*", "?oins/*", "joins/*", "joins/a.b__1", "join*", "group_bys/*risk*", "*risk*"]
        {
            assert!(with(glob).is_ok(), "{glob}");
        }
        for glob in
            ["", "risk", "risk*", "joins", "join", "compiled/joins/*", "/joins/*", "Joins/*"]
        {
            assert!(with(glob).is_err(), "{glob}");
        }
    }

    #[test]
    fn broken_toml_and_a_missing_default_are_mistakes() {
        assert_eq!(read("a = [").unwrap_err()[0].line, 1);
        let mistakes = read("default_env = 'prod'\n").unwrap_err();
        assert_eq!(mistakes[0].what, "there is no `[env.prod]`");
    }
}
