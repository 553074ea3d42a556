//! The output columns that differ between two documents.

use serde_json::Value;

use crate::model::columns::Columns;
use crate::model::columns::Role;
use crate::model::columns::columns as columns_of;
use crate::model::columns::request_keys;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;

/// The columns that differ, each list sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnChanges {
    /// New columns.
    pub added: Vec<String>,
    /// Columns that are gone.
    pub removed: Vec<String>,
    /// Columns that have another name and the same values, from and to.
    pub renamed: Vec<(String, String)>,
    /// Columns that have the same name and other values.
    pub changed: Vec<String>,
    /// Those of the removed and renamed columns that were served online.
    pub lost_online: Vec<String>,
    /// Keys that a request for a Join must name now and did not have to before.
    pub new_keys: Vec<String>,
}

impl ColumnChanges {
    /// Whether no column differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The columns that differ between two documents of one type, either of which may be missing.
pub fn columns(
    kind: ConfigType,
    dialect: Dialect,
    before: Option<&Value>,
    after: Option<&Value>,
) -> ColumnChanges {
    let of =
        |side: Option<&Value>| side.map(|it| columns_of(kind, it, dialect)).unwrap_or_default();
    let mut changes = compare(&of(before), &of(after));
    if let (Some(before), Some(after)) = (before, after) {
        let known = request_keys(before);
        changes.new_keys = request_keys(after).difference(&known).cloned().collect();
    }
    changes
}

fn compare(before: &Columns, after: &Columns) -> ColumnChanges {
    let mut changes = ColumnChanges::default();
    let only = |one: &Columns, other: &Columns| -> Vec<String> {
        one.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let (mut removed, mut added) = (only(before, after), only(after, before));
    removed.retain(|old| {
        let same = added.iter().position(|new| after[new] == before[old]);
        let renamed = same.map(|at| (old.clone(), added.remove(at)));
        changes.renamed.extend(renamed.clone());
        renamed.is_none()
    });
    let gone = removed.iter().chain(changes.renamed.iter().map(|it| &it.0));
    changes.lost_online = gone.filter(|name| before[*name].role == Role::Value).cloned().collect();
    changes.lost_online.sort();
    let differs = |name: &&String| after.get(*name).is_some_and(|it| *it != before[*name]);
    changes.changed = before.keys().filter(differs).cloned().collect();
    (changes.removed, changes.added) = (removed, added);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::Column;

    fn table(rows: &[(&str, &str)]) -> Columns {
        let column = |meaning: &str| Column { role: Role::Value, meaning: meaning.to_owned() };
        rows.iter().map(|(name, meaning)| ((*name).to_owned(), column(meaning))).collect()
    }

    #[test]
    fn same_values_under_another_name_are_a_rename() {
        let before = table(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
        let after = table(&[("a", "1"), ("b", "5"), ("e", "3"), ("f", "6")]);
        let changes = compare(&before, &after);
        assert_eq!(changes.added, ["f"]);
        assert_eq!(changes.removed, ["d"]);
        assert_eq!(changes.renamed, [("c".to_owned(), "e".to_owned())]);
        assert_eq!(changes.changed, ["b"]);
        assert_eq!(changes.lost_online, ["c", "d"]);
        assert!(compare(&before, &before).is_empty());
    }
}
