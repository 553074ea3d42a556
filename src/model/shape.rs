//! The shape of compiled files, as far as facts need it.
//!
//! # Why
//! Typed parsing skips what nobody asks for, borrows what it keeps, and is several times faster
//! than reading a document. Every field is optional: what is missing is decided by who asks.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;

use super::day::Day;

/// A string that borrows from the file where it can.
#[derive(Deserialize)]
pub(super) struct Str<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

pub(super) type Text<'a> = Option<Str<'a>>;

pub(super) fn text(of: &Text<'_>) -> Option<String> {
    of.as_ref().map(|text| text.0.to_string()).filter(|text| !text.is_empty())
}

pub(super) fn day(of: &Text<'_>) -> Option<Day> {
    of.as_ref().and_then(|text| text.0.parse().ok())
}

/// A boolean written as 0, 1, 0.0, true or null.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flag(pub(super) Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Flag;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("0, 1, true or false")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(Some(value)))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(Some(value != 0)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Flag, E> {
                Ok(Flag(Some(value != 0)))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Flag, E> {
                Ok(Flag(Some(value != 0.0)))
            }
            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag(None))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Flag {
    pub(super) fn on(self) -> bool {
        self.0 == Some(true)
    }
}

/// Every field that matters of every type; types share names where they share meaning.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Doc<'a> {
    #[serde(borrow)]
    pub(super) meta_data: Option<Meta<'a>>,
    pub(super) sources: Option<Vec<Source<'a>>>,
    pub(super) left: Option<Source<'a>>,
    pub(super) join_parts: Option<Vec<JoinPart<'a>>>,
    pub(super) bootstrap_parts: Option<Vec<Bootstrap<'a>>>,
    pub(super) label_part: Option<Labels<'a>>,
    pub(super) online_external_parts: Option<Vec<External<'a>>>,
    pub(super) model_transforms: Option<IgnoredAny>,
    pub(super) derivations: Option<Vec<IgnoredAny>>,
    pub(super) key_filter: Option<Entities<'a>>,
    pub(super) accuracy: Option<i64>,
    pub(super) backfill_start_date: Text<'a>,
    pub(super) is_incremental: Option<IgnoredAny>,
    pub(super) start_partition: Text<'a>,
    pub(super) create_view: Flag,
    pub(super) query: Text<'a>,
    pub(super) table_dependencies: Option<Vec<Dependency<'a>>>,
    pub(super) models: Option<Vec<Model<'a>>>,
    pub(super) training_conf: Option<Training<'a>>,
    pub(super) use_long_names: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) team: Text<'a>,
    pub(super) output_namespace: Text<'a>,
    pub(super) online: Flag,
    pub(super) consistency_check: Flag,
    pub(super) custom_json: Text<'a>,
    pub(super) offline_schedule: Text<'a>,
    pub(super) historical_backfill: Flag,
    pub(super) execution_info: Option<Execution<'a>>,
    pub(super) dependencies: Option<Vec<Str<'a>>>,
    pub(super) mode_to_env_map: Option<IgnoredAny>,
    pub(super) version: Option<IgnoredAny>,
    pub(super) column_hashes: Option<IgnoredAny>,
    pub(super) source_file: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Execution<'a> {
    #[serde(borrow)]
    pub(super) offline_schedule: Text<'a>,
    pub(super) online_schedule: Text<'a>,
    pub(super) historical_backfill: Flag,
    pub(super) output_table_info: Option<TableInfo<'a>>,
    pub(super) table_dependencies: Option<Vec<Dependency<'a>>>,
    pub(super) conf: Option<Conf<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Conf<'a> {
    #[serde(borrow)]
    pub(super) common: Option<Common<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Common<'a> {
    #[serde(borrow)]
    pub(super) modular_execution: Text<'a>,
    #[serde(rename = "spark.chronon.partition.column")]
    pub(super) partition_column: Text<'a>,
    #[serde(rename = "spark.chronon.partition.format")]
    pub(super) partition_format: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TableInfo<'a> {
    #[serde(borrow)]
    pub(super) table: Text<'a>,
    pub(super) partition_column: Text<'a>,
    pub(super) partition_format: Text<'a>,
    pub(super) partition_interval: Option<Window>,
    pub(super) partition_offset: Option<Window>,
    pub(super) time_partitioned: Flag,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Dependency<'a> {
    #[serde(borrow)]
    pub(super) table_info: Option<TableInfo<'a>>,
    pub(super) start_offset: Option<Window>,
    pub(super) end_offset: Option<Window>,
    pub(super) start_cut_off: Text<'a>,
    pub(super) end_cut_off: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Window {
    pub(super) length: i64,
    pub(super) time_unit: i64,
}

impl Window {
    /// Whole days, rounded up (reference §1.3).
    pub(super) fn days(&self) -> i64 {
        match self.time_unit {
            0 => self.length.div_euclid(24) + i64::from(self.length.rem_euclid(24) > 0),
            2 => self.length.div_euclid(1440) + i64::from(self.length.rem_euclid(1440) > 0),
            _ => self.length,
        }
    }

    /// In minutes.
    pub(super) fn minutes(&self) -> i64 {
        let each = match self.time_unit {
            0 => 60,
            2 => 1,
            _ => 1440,
        };
        self.length.saturating_mul(each)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) events: Option<Events<'a>>,
    pub(super) entities: Option<Entities<'a>>,
    pub(super) join_source: Option<Box<JoinSource<'a>>>,
    pub(super) model_transforms: Option<Box<Doc<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Events<'a> {
    #[serde(borrow)]
    pub(super) table: Text<'a>,
    pub(super) topic: Text<'a>,
    pub(super) query: Option<Query<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entities<'a> {
    #[serde(borrow)]
    pub(super) snapshot_table: Text<'a>,
    pub(super) mutation_table: Text<'a>,
    pub(super) mutation_topic: Text<'a>,
    pub(super) query: Option<Query<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct JoinSource<'a> {
    #[serde(borrow)]
    pub(super) join: Option<Doc<'a>>,
    pub(super) query: Option<Query<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Query<'a> {
    #[serde(borrow)]
    pub(super) start_partition: Text<'a>,
    pub(super) end_partition: Text<'a>,
    pub(super) partition_column: Text<'a>,
    pub(super) partition_format: Text<'a>,
    pub(super) partition_interval: Option<Window>,
    pub(super) partition_offset: Option<Window>,
    pub(super) partition_lag: Option<Window>,
    pub(super) sub_partitions_to_wait_for: Option<Vec<Str<'a>>>,
    pub(super) time_partitioned: Flag,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct JoinPart<'a> {
    #[serde(borrow)]
    pub(super) group_by: Option<Doc<'a>>,
    pub(super) prefix: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Labels<'a> {
    #[serde(borrow)]
    pub(super) labels: Option<Vec<JoinPart<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct External<'a> {
    #[serde(borrow)]
    pub(super) source: Option<ExternalSource<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ExternalSource<'a> {
    #[serde(borrow)]
    pub(super) offline_group_by: Option<Doc<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Bootstrap<'a> {
    #[serde(borrow)]
    pub(super) table: Text<'a>,
    pub(super) query: Option<Query<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Model<'a> {
    #[serde(borrow)]
    pub(super) meta_data: Option<Meta<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Training<'a> {
    #[serde(borrow)]
    pub(super) training_data_source: Option<Source<'a>>,
}

impl Source<'_> {
    pub(super) fn has_topic(&self) -> bool {
        let events = self.events.as_ref().is_some_and(|events| events.topic.is_some());
        let entities = self.entities.as_ref().is_some_and(|it| it.mutation_topic.is_some());
        let join = self.join_source.as_ref().and_then(|source| source.join.as_ref());
        let left = join.and_then(|join| join.left.as_ref()).is_some_and(Source::has_topic);
        events || entities || left
    }

    pub(super) fn query(&self) -> Option<&Query<'_>> {
        let events = self.events.as_ref().and_then(|it| it.query.as_ref());
        let entities = self.entities.as_ref().and_then(|it| it.query.as_ref());
        let joined = self.join_source.as_ref().and_then(|it| it.query.as_ref());
        events.or(entities).or(joined)
    }
}

impl Doc<'_> {
    pub(super) fn topic(&self) -> bool {
        self.sources.as_deref().unwrap_or_default().iter().any(Source::has_topic)
    }

    pub(super) fn temporal(&self) -> bool {
        self.accuracy.map_or_else(|| self.topic(), |accuracy| accuracy == 0)
    }

    pub(super) fn name(&self) -> Option<String> {
        self.meta_data.as_ref().and_then(|meta| text(&meta.name))
    }

    /// Whether the final output stands in `__derived` (reference §1.6, §7).
    pub(super) fn derived_output(&self) -> bool {
        let info = self.meta_data.as_ref().and_then(|meta| meta.execution_info.as_ref());
        let conf = info.and_then(|info| info.conf.as_ref()).and_then(|conf| conf.common.as_ref());
        let modular = conf.and_then(|it| it.modular_execution.as_ref());
        let parts = self.join_parts.as_deref().unwrap_or_default();
        let temporal = |part: &JoinPart<'_>| part.group_by.as_ref().is_some_and(Doc::temporal);
        let events = self.left.as_ref().is_some_and(|left| left.events.is_some());
        let bootstrapped = self.bootstrap_parts.as_ref().is_some_and(|parts| !parts.is_empty());
        let union = events && !bootstrapped && parts.len() == 1 && temporal(&parts[0]);
        modular.is_some_and(|it| it.0 == "true")
            && self.derivations.as_ref().is_some_and(|it| !it.is_empty())
            && !union
    }

    pub(super) fn dialect_hint(&self) -> i8 {
        let meta = self.meta_data.as_ref();
        let seen = |of: &dyn Fn(&Meta<'_>) -> bool| meta.is_some_and(of);
        let zip = [
            seen(&|it| it.execution_info.is_some()),
            seen(&|it| it.version.is_some()),
            seen(&|it| it.column_hashes.is_some()),
            seen(&|it| it.source_file.is_some()),
            self.use_long_names.is_some(),
        ];
        let oss = [
            seen(&|it| it.dependencies.is_some()),
            seen(&|it| it.mode_to_env_map.is_some()),
            seen(&|it| it.offline_schedule.is_some()),
            self.backfill_start_date.is_some() || self.is_incremental.is_some(),
            self.label_part.is_some(),
        ];
        let any = |signs: [bool; 5]| i8::from(signs.contains(&true));
        any(zip) - any(oss)
    }
}
