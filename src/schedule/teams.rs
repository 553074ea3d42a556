//! What the tasks of a team are run with: its own settings, those for all, an OSS repository's
//! `teams.json`, and what holds where nobody says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;

use super::spec;
use crate::model::name::Dialect;
use crate::plan::settings::SETTINGS;
use crate::plan::settings::Takes;
use crate::plan::settings::Team;
use crate::plan::settings::nearest;

/// The name under which what holds for all teams stands.
pub(super) const ALL: &str = "default";

/// Where an OSS repository keeps its teams, from the compiled root's parent.
pub const TEAMS_FILE: &str = "teams.json";

/// The teams of a repository.
#[derive(Clone, Debug, Default)]
pub struct Teams {
    of: BTreeMap<String, Team>,
    /// Those that somebody has named; a team that is none of them may be a slip.
    known: BTreeSet<String>,
    /// Those that the settings name.
    set: BTreeSet<String>,
    /// Partition column and format of each, as `teams.json` has them.
    usual: BTreeMap<String, (Option<String>, Option<String>)>,
}

impl Teams {
    /// The teams of the settings, over those of `teams.json`, and those that files under
    /// `teams_metadata/` name.
    ///
    /// # Errors
    /// Where `teams.json` is no JSON object, with the line; its text may hold secrets.
    pub fn of(
        settings: &BTreeMap<String, Team>,
        file: Option<&[u8]>,
        compiled: impl Iterator<Item = String>,
    ) -> Result<Self, String> {
        let file = file.map(serde_json::from_slice::<Map<String, Value>>).transpose();
        let file = file.map_err(|error| {
            format!("{TEAMS_FILE}:{}: not a JSON object of teams", error.line())
        })?;
        let mut teams = Self::default();
        for (name, value) in file.iter().flatten() {
            teams.of.insert(name.clone(), of_json(value));
            teams.usual.insert(
                name.clone(),
                (env(value, "PARTITION_COLUMN"), env(value, "PARTITION_FORMAT")),
            );
            teams.known.insert(name.clone());
        }
        for (name, team) in settings {
            let below = teams.of.get(name).cloned().unwrap_or_default();
            teams.of.insert(name.clone(), team.or(&below));
            teams.known.insert(name.clone());
            teams.set.insert(name.clone());
        }
        teams.set.remove(ALL);
        teams.known.extend(compiled);
        teams.known.remove(ALL);
        Ok(teams)
    }

    /// A sentence where a team is none that anybody named, though teams are named.
    pub(super) fn stranger(&self, team: &str) -> Option<String> {
        let named = self.known.is_empty() || self.known.contains(team);
        let near = nearest(team, self.known.iter().map(String::as_str));
        let end = if near.is_empty() { "." } else { "" };
        (!named).then(|| {
            format!("team `{team}` is not among the teams of this repository, so what holds for all holds for it{near}{end} Add [team.{team}] to the settings")
        })
    }

    /// A sentence for each team of the settings that no config is of.
    pub(super) fn idle(&self, of_configs: &BTreeSet<&str>) -> Vec<String> {
        let idle = self.set.iter().filter(|it| !of_configs.contains(it.as_str()));
        let told = |team: &String| {
            let near = nearest(team, of_configs.iter().copied());
            format!("[team.{team}] is about no config of this commit{near}")
        };
        idle.map(told).collect()
    }

    /// Partition column and format of a team's tables, where `teams.json` says so.
    pub(super) fn usual(&self, team: &str) -> (Option<String>, Option<String>) {
        let of = |name: &str| self.usual.get(name).cloned().unwrap_or_default();
        let ((column, format), (all_column, all_format)) = (of(team), of(ALL));
        (column.or(all_column), format.or(all_format))
    }

    /// What tasks of a team are run with.
    pub(super) fn resolved(&self, name: &str) -> spec::Team {
        let all = self.of.get(ALL).cloned().unwrap_or_default();
        let team = self.of.get(name).map_or(all.clone(), |own| own.or(&all));
        let mail = || if team.emails.is_empty() { Vec::new() } else { vec!["email".to_owned()] };
        spec::Team {
            owner: team.owner.unwrap_or_else(|| name.to_owned()),
            queue: team.queue,
            pool: team.pool.unwrap_or_else(|| POOL.to_owned()),
            priority: team.priority.unwrap_or(0),
            concurrency: team.concurrency.unwrap_or(16),
            start: team.start_date,
            retries: team.retries.unwrap_or(2),
            retry_minutes: team.retry_minutes.unwrap_or(5),
            poke_minutes: team.poke_minutes.unwrap_or(5),
            wait_hours: team.wait_hours.unwrap_or(24),
            bigtable_instance: team.bigtable_instance,
            staging_bucket: team.staging_bucket,
            alerts: if team.alerts.is_empty() { mail() } else { team.alerts },
            emails: team.emails,
        }
    }

    /// The pools that Airflow must have beside its own, with their slots: where teams share one,
    /// the largest number counts.
    pub fn pools<'a>(&self, names: impl Iterator<Item = &'a String>) -> BTreeMap<String, u32> {
        let all = self.of.get(ALL).cloned().unwrap_or_default();
        let mut pools = BTreeMap::new();
        for name in names {
            let team = self.of.get(name).map_or(all.clone(), |own| own.or(&all));
            let Some(pool) = team.pool.filter(|it| it != POOL) else { continue };
            let slots = pools.entry(pool).or_insert(0);
            *slots = team.pool_slots.unwrap_or(SLOTS).max(*slots);
        }
        pools
    }

    /// Where `teams.json` lies for a compiled root.
    pub fn file(root: &str, dialect: Dialect) -> Option<String> {
        let above = root.rsplit_once('/').map(|it| format!("{}/", it.0)).unwrap_or_default();
        (dialect == Dialect::Oss).then(|| format!("{above}{TEAMS_FILE}"))
    }
}

/// The pool that every Airflow has.
const POOL: &str = "default_pool";

/// How many slots a pool gets where nobody says.
const SLOTS: u32 = 16;

/// What `teams.json` says of a team, by the keys that its own Airflow code and its users have.
fn of_json(team: &Value) -> Team {
    let text = |keys: &[&str]| {
        let found = keys.iter().filter_map(|key| team.get(key)?.as_str());
        found.map(str::trim).find(|it| !it.is_empty() && !it.contains("TODO")).map(str::to_owned)
    };
    let number = |key: &str| {
        let number = u32::try_from(team.get(key)?.as_u64()?).ok()?;
        allows(key, number).then_some(number)
    };
    let mails = ["email", "emails", "maintainer_emails"].iter().filter_map(|key| team.get(key));
    let mails = mails.flat_map(|it| match it {
        Value::String(text) => text.split([',', ';', ' ']).map(str::to_owned).collect(),
        Value::Array(list) => list.iter().filter_map(|it| Some(it.as_str()?.to_owned())).collect(),
        _ => Vec::new(),
    });
    Team {
        owner: text(&["owner", "owners", "user"]),
        emails: mails.filter(|it| it.contains('@')).collect(),
        queue: text(&["queue", "airflow_queue"]),
        pool: text(&["pool", "airflow_pool"]),
        priority: number("priority"),
        concurrency: number("concurrency"),
        start_date: text(&["start_date"]).and_then(|it| it.parse().ok()),
        bigtable_instance: text(&["bigtable_instance"]),
        staging_bucket: text(&["staging_bucket"]),
        ..Team::default()
    }
}

/// Whether the setting of this name would take a number: with concurrency 0 nothing ever ran.
fn allows(key: &str, number: u32) -> bool {
    let row = SETTINGS.iter().find(|row| row.path.strip_prefix("team.*.") == Some(key));
    row.is_some_and(
        |row| matches!(row.takes, Takes::Number(least, most) if (least..=most).contains(&number)),
    )
}

/// A variable of a team's environment that names or lays out data.
fn env(team: &Value, name: &str) -> Option<String> {
    team.get("common_env")?.get(name)?.as_str().map(str::to_owned)
}
