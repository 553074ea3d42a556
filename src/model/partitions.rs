//! How tables are cut into partitions, and when a partition that a config reads is there.
//!
//! # Why
//! A schedule waits for exactly what a job will read. What configs say of that is little and in
//! many places (reference §1.2, §3.2): it is gathered here once, in minutes and in the words of
//! the config, and whoever computes days from it needs no file.

use serde::Deserialize;
use serde::Serialize;

use super::shape::Dependency;
use super::shape::Query;
use super::shape::TableInfo;
use super::shape::Window;
use super::shape::text;
use super::sql;

/// How a table is cut; what a config leaves open is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cut {
    /// The partition column.
    pub column: Option<String>,
    /// How values of it are written, as Java spells date patterns.
    pub format: Option<String>,
    /// How many minutes a partition covers.
    pub minutes: Option<i64>,
    /// How many minutes after midnight UTC the first partition of a day begins.
    pub shift: i64,
}

/// When what a config reads of a table is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ready {
    /// How the table is cut.
    pub cut: Cut,
    /// How many minutes before its own end a job stops reading it.
    pub lag: i64,
    /// Partitions below that of the day, as `hr=23:00`.
    pub below: Vec<String>,
    /// The first partition that is read, as the table writes it.
    pub first: Option<String>,
    /// The last partition that there will ever be, as the table writes it.
    pub last: Option<String>,
    /// Whether it has no partitions but a column of times.
    pub timed: bool,
}

/// A partition that a config declares by hand to wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Declared {
    /// The table.
    pub table: String,
    /// When it is there.
    pub ready: Ready,
}

fn minutes(of: Option<&Window>) -> Option<i64> {
    of.map(Window::minutes)
}

/// A value that becomes part of a name: only what looks like one is taken.
fn name(value: Option<String>) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    value.filter(|it| !it.is_empty() && it.chars().all(fits))
}

/// A date pattern: only what looks like one is taken.
fn pattern(value: Option<String>) -> Option<String> {
    let fits = |c: char| "yMdHms-_/:. T'".contains(c);
    value.filter(|it| it.contains("yy") && it.chars().all(fits))
}

impl Cut {
    /// As an output or a dependency describes a table.
    pub(super) fn of_table(info: &TableInfo<'_>) -> Self {
        Self {
            column: name(text(&info.partition_column)),
            format: pattern(text(&info.partition_format)),
            minutes: minutes(info.partition_interval.as_ref()).filter(|it| *it > 0),
            shift: minutes(info.partition_offset.as_ref()).unwrap_or_default(),
        }
    }

    /// With what is open taken from another.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            column: self.column.clone().or_else(|| other.column.clone()),
            format: self.format.clone().or_else(|| other.format.clone()),
            minutes: self.minutes.or(other.minutes),
            shift: if self.minutes.is_some() { self.shift } else { other.shift },
        }
    }

    /// As the settings of Spark name column and format for all tables of a team.
    pub(super) fn usual(column: Option<String>, format: Option<String>) -> Self {
        Self { column: name(column), format: pattern(format), ..Self::default() }
    }
}

impl Ready {
    /// As the query of a source says it.
    pub(super) fn of_query(query: &Query<'_>) -> Self {
        let below = query.sub_partitions_to_wait_for.as_deref().unwrap_or_default();
        Self {
            cut: Cut {
                column: name(text(&query.partition_column)),
                format: pattern(text(&query.partition_format)),
                minutes: minutes(query.partition_interval.as_ref()).filter(|it| *it > 0),
                shift: minutes(query.partition_offset.as_ref()).unwrap_or_default(),
            },
            lag: minutes(query.partition_lag.as_ref()).unwrap_or_default(),
            below: below.iter().map(|it| it.0.to_string()).collect(),
            first: text(&query.start_partition),
            last: text(&query.end_partition),
            timed: query.time_partitioned.on(),
        }
    }

    /// With what is open taken from a declaration of the same table; all of it where nothing else
    /// is said of a dependency.
    #[must_use]
    pub(super) fn or(self, declared: &Self, dependency: bool) -> Self {
        if dependency && self == Self::default() {
            return declared.clone();
        }
        let below = if self.below.is_empty() { declared.below.clone() } else { self.below };
        Self { cut: self.cut.or(&declared.cut), below, ..self }
    }

    /// As a declared dependency says it.
    pub(super) fn of_dependency(dependency: &Dependency<'_>) -> Self {
        let info = dependency.table_info.as_ref();
        Self {
            cut: info.map(Cut::of_table).unwrap_or_default(),
            lag: minutes(dependency.end_offset.as_ref()).unwrap_or_default(),
            below: Vec::new(),
            first: text(&dependency.start_cut_off),
            last: text(&dependency.end_cut_off),
            timed: info.is_some_and(|info| info.time_partitioned.on()),
        }
    }
}

/// The partitions that a table is written with: those of `ns.t/hr=00:00` are `hr=00:00`.
pub(super) fn below(table: &str) -> Vec<String> {
    table.split('/').skip(1).filter(|part| part.contains('=')).map(str::to_owned).collect()
}

/// What a spec waits for, as `ns.t/ds={{ macros.ds_add(ds, -1) }}/hr=23`; none where it is not
/// of that form.
pub(super) fn declared(
    spec: &str,
    first: Option<String>,
    last: Option<String>,
) -> Option<Declared> {
    let table = sql::clean_table(spec);
    let mut parts = spec.split('/').skip(1);
    let (column, value) = parts.next()?.split_once('=')?;
    let column = name(Some(column.trim().to_owned()))?;
    let mut ready =
        Ready { below: parts.map(str::to_owned).collect(), first, last, ..Ready::default() };
    ready.cut.column = Some(column);
    match template(value) {
        Some(days) => ready.lag = days * 1440,
        // A fixed partition is the last one that there will be.
        None if !value.contains('{') => ready.last = Some(value.trim().to_owned()),
        None => return None,
    }
    let sound = !table.is_empty() && ready.below.iter().all(|part| part.contains('='));
    sound.then(|| Declared { table: table.to_owned(), ready })
}

/// How many days before its own a template of a date means; none for other texts.
fn template(value: &str) -> Option<i64> {
    let inner = value.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    if inner == "ds" {
        return Some(0);
    }
    let args = inner.strip_prefix("macros.ds_add(")?.strip_suffix(')')?;
    let (what, days) = args.split_once(',')?;
    let days: i64 = days.trim().parse().ok()?;
    (what.trim() == "ds").then(|| -days)
}

/// What schedules need of `customJson`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Custom {
    pub(super) lag: Option<serde_json::Value>,
    pub(super) airflow_dependencies: Option<Vec<Spec>>,
}

/// One dependency that somebody wrote, or the compiler for them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    pub(super) spec: String,
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
}

impl Spec {
    pub(super) fn of(spec: &str) -> Self {
        Self { spec: spec.to_owned(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_with_offset_and_what_lies_below() {
        let of = |spec: &str| declared(spec, None, None);
        let plain = of("ns.t/ds={{ ds }}").unwrap();
        assert_eq!((plain.table.as_str(), plain.ready.lag), ("ns.t", 0));
        let late = of("ns.t/day={{ macros.ds_add(ds, -2) }}/hr=23:00").unwrap();
        assert_eq!(late.ready.lag, 2880);
        assert_eq!(late.ready.cut.column.as_deref(), Some("day"));
        assert_eq!(late.ready.below, ["hr=23:00"]);
        assert_eq!(of("ns.t/ds=2024-01-01").unwrap().ready.last.as_deref(), Some("2024-01-01"));
        for other in ["ns.t", "ns.t/ds", "ns.t/ds={{ next_ds }}", "/ds={{ ds }}", "t/a b={{ ds }}"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_looks_like_a_column_or_a_pattern_is_taken_from_settings() {
        let cut = Cut::usual(Some("s3cr3t token".to_owned()), Some("hunter2".to_owned()));
        assert_eq!(cut, Cut::default());
        let cut = Cut::usual(Some("ds".to_owned()), Some("yyyy-MM-dd".to_owned()));
        assert_eq!(cut.column.as_deref(), Some("ds"));
    }
}
