//! The command of a step, as the real CLI takes it (reference §4.2, §4.3).
//!
//! # Why
//! Dates are always explicit: without them the CLI takes today's. In dialect ZIP the config comes
//! first, because the CLI takes the first word that it does not know for the config.

use super::contract::Range;
use super::contract::Rewrite;
use super::modes::Dates;
use super::modes::Mode;
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
        if self.dialect == Dialect::Oss && self.mode.name == "upload-to-kv" {
            return self.kv_upload();
        }
        let mut argv = self.program();
        match self.dialect {
            Dialect::Zip => {
                argv.push("run".to_owned());
                argv.push(self.config.path.clone());
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
