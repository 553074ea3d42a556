//! Column names, held against what the real compiler worked out.
//!
//! `zipline compile` writes the output columns of every GroupBy and Join into
//! `metaData.columnHashes`. That list is not quite what Chronon puts out: each known difference is
//! a row of `DIFFERENCES`, with its reason, and is applied exactly. Anything else is a bug here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use chronon_plan::model::columns::columns;
use chronon_plan::model::document::normalise;
use chronon_plan::model::name::ConfigType;
use chronon_plan::model::name::Dialect;
use serde_json::Value;
use serde_json::json;

use crate::support::corpus;
use crate::support::project;

type Names = BTreeSet<String>;

/// One way in which `columnHashes` differs from the columns that Chronon puts out.
struct Difference {
    /// Why.
    why: &'static str,
    /// The columns that the compiler lists and Chronon does not put out.
    listed: fn(ConfigType, &Value) -> Names,
    /// The columns that Chronon puts out and the compiler does not list.
    unlisted: fn(ConfigType, &Value) -> Names,
}

const DIFFERENCES: [Difference; 6] = [
    Difference {
        why: "an embedded GroupBy without aggregations hands on its keys like any other select",
        listed: keys_handed_on,
        unlisted: none,
    },
    Difference {
        why: "with `*`, a column that a derivation merely renames is listed under both names",
        listed: renamed,
        unlisted: none,
    },
    Difference {
        why: "so it is in an embedded GroupBy with `*`, whose columns the join hands on",
        listed: renamed_in_parts,
        unlisted: none,
    },
    Difference {
        why: "without `*`, a join keeps the columns of its left side, but they are not listed",
        listed: none,
        unlisted: left,
    },
    Difference {
        why: "a GroupBy without aggregations lists what any source selects; the first one decides",
        listed: selected_later,
        unlisted: none,
    },
    Difference {
        why: "the compiler forgets the `k` of UNIQUE_TOP_K and writes the operation in full",
        listed: unique_top_in_full,
        unlisted: unique_top_with_k,
    },
];

fn none(_: ConfigType, _: &Value) -> Names {
    Names::new()
}

fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of[field].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}

/// The columns that the project works out.
fn names(kind: ConfigType, document: &Value) -> Names {
    columns(kind, &normalise(kind, document.clone()), Dialect::Zip).into_keys().collect()
}

/// The columns before derivations.
fn base(kind: ConfigType, document: &Value) -> Names {
    let mut document = document.clone();
    document["derivations"] = json!([]);
    names(kind, &document)
}

/// The compiler looks at the expression, Chronon at the name; both are `*` or neither is.
fn has_star(document: &Value) -> bool {
    list(document, "derivations").iter().any(|it| it["expression"] == "*")
}

fn keeps_base(document: &Value) -> bool {
    list(document, "derivations").is_empty() || has_star(document)
}

fn selects(source: &Value) -> Names {
    let arms = ["events", "entities", "joinSource"];
    let selects = arms.iter().filter_map(|arm| source[arm]["query"]["selects"].as_object());
    selects.flatten().map(|select| select.0.clone()).collect()
}

/// What the compiler writes before the columns of a part.
fn prefix(join: &Value, part: &Value) -> String {
    let group_by = &part["groupBy"];
    let stem = match join["useLongNames"].as_i64() {
        Some(1) => text(&group_by["metaData"], "name").replace('.', "_"),
        _ => keys(group_by).join("_"),
    };
    let prefix = part["prefix"].as_str().map(|prefix| format!("{prefix}_")).unwrap_or_default();
    format!("{prefix}{stem}_")
}

fn keys(group_by: &Value) -> Vec<&str> {
    list(group_by, "keyColumns").iter().filter_map(Value::as_str).collect()
}

/// Columns of the parts of a join, with their prefixes, where the join hands them on.
fn of_parts(join: &Value, of: impl Fn(&Value) -> Names) -> Names {
    let parts = list(join, "joinParts").iter().filter(|_| keeps_base(join));
    let named = |part: &Value| {
        let prefix = prefix(join, part);
        of(&part["groupBy"]).into_iter().map(move |name| format!("{prefix}{name}"))
    };
    parts.flat_map(named).collect()
}

fn keys_handed_on(kind: ConfigType, document: &Value) -> Names {
    if kind != ConfigType::Join {
        return Names::new();
    }
    of_parts(document, |group_by| {
        let passes = list(group_by, "aggregations").is_empty() && keeps_base(group_by);
        let selected: Names = list(group_by, "sources").iter().flat_map(selects).collect();
        let keys = keys(group_by).into_iter().map(str::to_owned);
        keys.filter(|key| passes && selected.contains(key)).collect()
    })
}

fn renamed(kind: ConfigType, document: &Value) -> Names {
    if !has_star(document) {
        return Names::new();
    }
    let base = base(kind, document);
    let expressions = list(document, "derivations").iter().map(|it| text(it, "expression"));
    expressions.filter(|it| base.contains(*it)).map(str::to_owned).collect()
}

fn renamed_in_parts(kind: ConfigType, document: &Value) -> Names {
    match kind {
        ConfigType::Join => of_parts(document, |group_by| renamed(ConfigType::GroupBy, group_by)),
        _ => Names::new(),
    }
}

fn left(kind: ConfigType, document: &Value) -> Names {
    if kind != ConfigType::Join || keeps_base(document) {
        return Names::new();
    }
    let derived =
        |name: &String| list(document, "derivations").iter().any(|it| text(it, "name") == name);
    selects(&document["left"]).into_iter().filter(|name| !derived(name)).collect()
}

fn selected_later(kind: ConfigType, document: &Value) -> Names {
    let group_by = kind == ConfigType::GroupBy && list(document, "aggregations").is_empty();
    if !group_by || !keeps_base(document) {
        return Names::new();
    }
    let sources = list(document, "sources");
    let first = sources.first().map(selects).unwrap_or_default();
    sources.iter().flat_map(selects).filter(|name| !first.contains(name)).collect()
}

/// The columns of UNIQUE_TOP_K, as we name them or as the compiler does.
fn unique_top(kind: ConfigType, document: &Value, spell: fn(&str, &str) -> String) -> Names {
    const UNIQUE_TOP_K: i64 = 20;
    if kind == ConfigType::Join {
        return of_parts(document, |it| unique_top(ConfigType::GroupBy, it, spell));
    }
    let aggregations = list(document, "aggregations").iter().filter(|_| keeps_base(document));
    let of = aggregations.filter(|it| it["operation"].as_i64() == Some(UNIQUE_TOP_K));
    let columns = |aggregation: &Value| {
        let k = text(&aggregation["argMap"], "k").to_owned();
        let alone = json!({"aggregations": [aggregation]});
        names(kind, &alone).into_iter().map(move |name| spell(&name, &k))
    };
    of.flat_map(columns).collect()
}

fn unique_top_in_full(kind: ConfigType, document: &Value) -> Names {
    unique_top(kind, document, |name, k| {
        name.replacen(&format!("_unique_top{k}"), "_unique_top_k", 1)
    })
}

fn unique_top_with_k(kind: ConfigType, document: &Value) -> Names {
    unique_top(kind, document, |name, _| name.to_owned())
}

/// What the compiler must have listed, going by our columns; counts which differences applied.
fn expected(kind: ConfigType, document: &Value, applied: &mut Applied) -> Names {
    let mut expected = names(kind, document);
    for difference in &DIFFERENCES {
        let (listed, unlisted) =
            ((difference.listed)(kind, document), (difference.unlisted)(kind, document));
        for name in unlisted {
            assert!(expected.remove(&name), "`{name}` is no column of ours: {}", difference.why);
            *applied.entry(difference.why).or_default() += 1;
        }
        for name in listed {
            if expected.insert(name) {
                *applied.entry(difference.why).or_default() += 1;
            }
        }
    }
    expected
}

/// How many columns each difference accounts for.
type Applied = BTreeMap<&'static str, usize>;

fn holds(what: &str, kind: ConfigType, document: &Value, applied: &mut Applied) {
    let hashes = document["metaData"]["columnHashes"].as_object();
    let listed: Names = hashes.into_iter().flatten().map(|hash| hash.0.clone()).collect();
    assert!(!listed.is_empty(), "{what} lists no columns");
    assert_eq!(expected(kind, document, applied), listed, "{what}");
}

/// Compares every GroupBy and Join below a folder, and the GroupBys that joins embed.
fn compare(folder: &Path, applied: &mut Applied) -> (usize, usize) {
    let (mut configs, mut copies) = (0, 0);
    for file in files(folder) {
        let path = file.to_str().unwrap();
        let kind = match path {
            _ if !path.contains("/compiled") => continue,
            _ if path.contains("/group_bys/") => ConfigType::GroupBy,
            _ if path.contains("/joins/") => ConfigType::Join,
            _ => continue,
        };
        let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        holds(path, kind, &document, applied);
        configs += 1;
        for part in list(&document, "joinParts") {
            let group_by = &part["groupBy"];
            let what = format!("{path}, its copy of {}", group_by["metaData"]["name"]);
            holds(&what, ConfigType::GroupBy, group_by, applied);
            copies += 1;
        }
    }
    (configs, copies)
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|it| it.is_dir());
    folders.iter().flat_map(|it| self::files(it)).chain(files).collect()
}

#[test]
fn our_fixtures_have_the_columns_that_the_compiler_lists() {
    let mut applied = Applied::new();
    let (configs, copies) = compare(&project().join("fixtures/zipline"), &mut applied);
    assert!(configs > 20 && copies > 20, "{configs} configs, {copies} copies");
    // The last two rows are rules of the compiler that no fixture meets.
    let met: Vec<&str> = applied.into_keys().collect();
    let rows: BTreeSet<&str> = DIFFERENCES[..4].iter().map(|row| row.why).collect();
    assert_eq!(met, rows.into_iter().collect::<Vec<_>>());
}

#[test]
fn the_corpus_has_the_columns_that_the_compiler_lists() {
    let Some(corpus) = corpus() else { return };
    let mut applied = Applied::new();
    let ours = compare(&project().join("fixtures/zipline"), &mut applied);
    let theirs = compare(&corpus.join("marketplace"), &mut applied);
    let (configs, copies) = (ours.0 + theirs.0, ours.1 + theirs.1);
    assert!(theirs.0 > 20 && configs > 40, "{configs} configs, {copies} copies");
}

/// What no fixture holds, worked out by hand from the compiler's source.
#[test]
fn rules_of_the_compiler_that_no_fixture_meets_hold_too() {
    let select = |name: &str| json!({"events": {"query": {"selects": {"user": "u", name: "x"}}}});
    let several = json!({"keyColumns": ["user"], "sources": [select("a"), select("b")]});
    let mut applied = Applied::new();
    let listed = expected(ConfigType::GroupBy, &several, &mut applied);
    assert_eq!(listed.into_iter().collect::<Vec<_>>(), ["a", "b", "user"]);
    let unique = json!({"keyColumns": ["user"], "sources": [select("x")], "aggregations": [
        {"inputColumn": "x", "operation": 20, "argMap": {"k": "5"},
         "windows": [{"length": 7, "timeUnit": 1}]}]});
    let ours: Vec<String> = names(ConfigType::GroupBy, &unique).into_iter().collect();
    assert_eq!(ours, ["user", "x_unique_top5_7d"]);
    let listed = expected(ConfigType::GroupBy, &unique, &mut applied);
    assert_eq!(listed.into_iter().collect::<Vec<_>>(), ["user", "x_unique_top_k_7d"]);
    assert_eq!(applied.len(), 2);
}
