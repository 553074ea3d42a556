//! The table of rules against one small change per rule, and the law that ties it to
//! fingerprints.
//!
//! A rule without a fixture is a claim that nobody has seen hold. The law is what makes a plan
//! complete: whatever a rule counts moves a fingerprint, and nothing else does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use chronon_plan::diff::Change;
use chronon_plan::diff::ChangeKind;
use chronon_plan::diff::columns;
use chronon_plan::diff::fields;
use chronon_plan::impact::judge;
use chronon_plan::impact::own;
use chronon_plan::impact::rules::RULES;
use chronon_plan::impact::rules::lookup;
use chronon_plan::model::document::normalise;
use chronon_plan::model::facts;
use chronon_plan::model::name::Address;
use chronon_plan::model::name::ConfigType;
use chronon_plan::model::name::Dialect;
use chronon_plan::model::name::RESOURCES;
use serde_json::Value;

use crate::support::corpus;
use crate::support::project;

/// A compiled file as it stands on disk, with what its place says of it.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) kind: ConfigType,
    pub(crate) dialect: Dialect,
    pub(crate) body: Value,
    pub(crate) path: PathBuf,
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap();
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every compiled file below a folder, wherever its roots are.
pub(crate) fn documents(below: &Path) -> Vec<Document> {
    let document = |path: PathBuf| {
        let words: Vec<&str> = path.iter().filter_map(|word| word.to_str()).collect();
        let kind = words.iter().rev().find_map(|word| ConfigType::of_dir(word))?;
        let oss = words.iter().any(|word| word.ends_with("production"));
        let dialect = if oss { Dialect::Oss } else { Dialect::Zip };
        let is_compiled =
            |word: &&str| word.starts_with("compiled") || word.ends_with("production");
        let body = words.iter().any(is_compiled).then(|| json(&path));
        body.map(|body| Document { kind, dialect, body, path })
    };
    files(below).into_iter().filter_map(document).collect()
}

/// Both sides of every rule's fixture, by rule.
pub(crate) fn fixtures() -> Vec<(&'static str, Document, Document)> {
    let side = |rule: &chronon_plan::impact::rules::Rule, name: &str| {
        let path = project().join("fixtures/impact").join(rule.id).join(name);
        let body = json(&path);
        let hint = facts::read(rule.of, body.to_string().as_bytes(), facts::Extent::Whole)
            .unwrap()
            .dialect_hint;
        let dialect = if hint < 0 { Dialect::Oss } else { Dialect::Zip };
        Document { kind: rule.of, dialect, body, path }
    };
    let both = |rule| (side(rule, "before.json"), side(rule, "after.json"));
    let all = RULES.iter().map(|rule| (rule.id, both(rule)));
    all.map(|(id, (before, after))| (id, before, after)).collect()
}

/// The change between two documents in their normal form.
pub(crate) fn change(
    kind: ConfigType,
    dialect: Dialect,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Change {
    let fields = match (before, after) {
        (Some(before), Some(after)) => fields(kind, dialect, before, after),
        (Some(_), None) | (None, _) => Vec::new(),
    };
    let columns = columns(kind, dialect, before, after);
    let address = Address::new(kind, "any.name");
    Change { address, from: None, path: String::new(), kind: ChangeKind::Modified, fields, columns }
}

/// Whether fingerprints and rules agree about two documents in their normal form; else what
/// they disagree about.
///
/// One disagreement is allowed: a list was reordered whose items differ in nothing that counts
/// for the resource. A rule is asked about the list as a whole, and cannot see that.
pub(crate) fn law(
    kind: ConfigType,
    dialect: Dialect,
    before: &Value,
    after: &Value,
) -> Result<(), String> {
    let change = change(kind, dialect, Some(before), Some(after));
    let verdict = judge(kind, dialect, &change, Some(before), Some(after));
    assert_eq!(verdict.fields.len(), change.fields.len());
    for (resource, name) in RESOURCES {
        let differs = own(kind, before, resource) != own(kind, after, resource);
        let counts = verdict.counts_for(resource);
        let judged = verdict.fields.iter().zip(&change.fields);
        let counting = judged.filter(|it| it.0.counts.contains_key(&resource));
        let (reordered, edited): (Vec<_>, Vec<_>) = counting.partition(|it| it.1.reordered);
        let unseen = counts && !differs && edited.is_empty() && !reordered.is_empty();
        if differs != counts && !unseen {
            let paths: Vec<String> = change.fields.iter().map(|it| it.path.to_string()).collect();
            return Err(format!(
                "{} of a {}: rules say {counts}, fingerprints {differs}, after {paths:?}",
                name,
                kind.word()
            ));
        }
    }
    Ok(())
}

/// The rules that a change hits: those of the fields that are shown, and of the values in them.
fn hit(kind: ConfigType, change: &Change, verdict: &chronon_plan::impact::Verdict) -> Vec<String> {
    let shown = verdict.fields.iter().map(|field| field.rule.map(|rule| rule.id));
    let edited = change.fields.iter().filter(|field| !field.reordered);
    let leaves = edited.flat_map(chronon_plan::diff::changed_leaves);
    let leaves = leaves.map(|leaf| lookup(kind, &leaf.0).map(|rule| rule.id));
    let ids: BTreeSet<String> =
        shown.chain(leaves).map(|id| id.unwrap_or("(none)").to_owned()).collect();
    ids.into_iter().collect()
}

#[test]
fn every_rule_has_a_fixture_and_every_fixture_a_rule() {
    let folder = project().join("fixtures/impact");
    let names = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    let ids: BTreeSet<String> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(names, ids);
}

#[test]
fn each_fixture_hits_its_rule_and_no_other() {
    for (id, before, after) in fixtures() {
        let also = after.path.with_file_name("also.json");
        let also = if also.is_file() { json(&also) } else { Value::Array(Vec::new()) };
        let also = also.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
        let mut expected: Vec<String> = also.chain([id.to_owned()]).collect();
        expected.sort();
        let (kind, dialect) = (after.kind, after.dialect);
        let [before, after] = [before, after].map(|it| normalise(kind, it.body));
        let change = change(kind, dialect, Some(&before), Some(&after));
        let verdict = judge(kind, dialect, &change, Some(&before), Some(&after));
        assert_eq!(hit(kind, &change, &verdict), expected, "{id}: {:?}", change.fields);
        assert!(verdict.unknown.is_empty(), "{id}: {:?}", verdict.unknown);
        assert!(verdict.fields.iter().all(|field| field.known), "{id}");
        let one = change.fields.len() == 1 || expected.len() > 1;
        assert!(one, "{id} changes more than one field: {:?}", change.fields);
    }
}

#[test]
fn rules_are_silent_where_nothing_changed() {
    for (id, before, after) in fixtures() {
        for side in [before, after] {
            let body = normalise(side.kind, side.body);
            let change = change(side.kind, side.dialect, Some(&body), Some(&body));
            let verdict = judge(side.kind, side.dialect, &change, Some(&body), Some(&body));
            assert!(verdict.fields.is_empty() && verdict.unknown.is_empty(), "{id}");
            assert!(change.columns.is_empty(), "{id}");
        }
    }
}

#[test]
fn fingerprints_move_exactly_where_a_rule_counts() {
    for (id, before, after) in fixtures() {
        let (kind, dialect) = (after.kind, after.dialect);
        let [before, after] = [before, after].map(|it| normalise(kind, it.body));
        let rule = RULES.iter().find(|rule| rule.id == id).unwrap();
        for (resource, name) in RESOURCES {
            let differs = own(kind, &before, resource) != own(kind, &after, resource);
            let alone = !project().join("fixtures/impact").join(id).join("also.json").exists();
            let counts = rule.counts.contains(&resource);
            assert!(differs == counts || !alone, "{id}: {name}");
        }
        law(kind, dialect, &before, &after).unwrap_or_else(|it| panic!("{id}: {it}"));
    }
}

/// Holds the law over every file that a folder of changes has beside its base.
fn law_of_changes(base: &Path, changes: &Path) -> usize {
    let key = |top: &Path, it: &Document| it.path.strip_prefix(top).unwrap().to_owned();
    let base: BTreeMap<PathBuf, Document> =
        documents(base).into_iter().map(|it| (key(base, &it), it)).collect();
    let mut held = 0;
    for after in documents(changes) {
        let below = after.path.strip_prefix(changes).unwrap();
        let below: PathBuf = below.iter().skip(1).collect();
        let Some(before) = base.get(&below) else { continue };
        let [old, new] = [before, &after].map(|it| normalise(it.kind, it.body.clone()));
        law(after.kind, after.dialect, &old, &new)
            .unwrap_or_else(|it| panic!("{}: {it}", after.path.display()));
        held += 1;
    }
    held
}

#[test]
fn the_law_holds_over_every_scenario() {
    for fixture in ["zipline", "oss"] {
        let fixture = project().join("fixtures").join(fixture);
        let held = law_of_changes(&fixture.join("base"), &fixture.join("changes"));
        assert!(held >= 15, "{}: {held}", fixture.display());
    }
    if let Some(corpus) = corpus() {
        let market = corpus.join("marketplace");
        assert!(law_of_changes(&market.join("base"), &market.join("scenarios")) >= 9);
    }
}
