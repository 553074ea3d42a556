//! Laws that hold for any document: fingerprints move exactly where rules say so, equal
//! documents have no changes, spelling does not matter, and nothing that stands in a repository
//! makes the program panic.
//!
//! Examples are made from real documents, from the schema, and from nothing at all. The seed is
//! fixed, so a failure on one machine is a failure on all.

use std::sync::LazyLock;

use chronon_plan::diff::definition;
use chronon_plan::diff::fields;
use chronon_plan::impact::judge;
use chronon_plan::impact::own_all;
use chronon_plan::impact::unknowns;
use chronon_plan::model::document::INFERRED_ACCURACY;
use chronon_plan::model::document::Kind;
use chronon_plan::model::document::normalise;
use chronon_plan::model::facts;
use chronon_plan::model::name::CONFIG_TYPES;
use chronon_plan::model::name::ConfigType;
use chronon_plan::model::name::Dialect;
use chronon_plan::model::path::Pattern;
use chronon_plan::model::path::Step;
use chronon_plan::model::schema;
use chronon_plan::model::schema::Ty;
use chronon_plan::model::sql;
use chronon_plan::plan::settings;
use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::test_runner::Config;
use proptest::test_runner::RngSeed;
use proptest::test_runner::TestCaseError;
use proptest::test_runner::TestRunner;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::rules;
use crate::rules::Document;
use crate::support::corpus;
use crate::support::project;

/// Runs a test on examples of a strategy, the same ones each time.
pub(crate) fn check<S: Strategy>(
    cases: u32,
    examples: &S,
    test: impl Fn(S::Value) -> Result<(), String>,
) {
    let config = Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_261_122),
        max_shrink_iters: 400,
        ..Config::default()
    };
    let outcome =
        TestRunner::new(config).run(examples, |example| test(example).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Choices, read off bytes: examples shrink as the bytes do, and end where the bytes end.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl<'a> Choices<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter())
    }

    fn byte(&mut self) -> usize {
        self.0.next().copied().unwrap_or(0).into()
    }

    /// A number below `end`, which is at least 1.
    fn below(&mut self, end: usize) -> usize {
        (self.byte() << 8 | self.byte()) % end
    }

    fn of<'t, T>(&mut self, any: &'t [T]) -> &'t T {
        &any[self.below(any.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.byte() % times == 1
    }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

/// Every document at hand, without those that say the same.
static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let mut all = rules::documents(&project().join("fixtures/zipline"));
    all.extend(rules::documents(&project().join("fixtures/oss")));
    all.extend(corpus().iter().flat_map(|it| rules::documents(it)));
    all.extend(rules::fixtures().into_iter().flat_map(|it| [it.1, it.2]));
    all.sort_by_key(|it| (it.kind, it.body.to_string()));
    all.dedup_by(|one, other| one.kind == other.kind && one.body == other.body);
    all
});

fn document() -> impl Strategy<Value = &'static Document> {
    (0..DOCUMENTS.len()).prop_map(|at| &DOCUMENTS[at])
}

/// Pointers to all values of a document that are as asked.
fn places(value: &Value, wanted: &dyn Fn(&Value) -> bool) -> Vec<String> {
    fn walk(at: &str, value: &Value, wanted: &dyn Fn(&Value) -> bool, found: &mut Vec<String>) {
        if wanted(value) {
            found.push(at.to_owned());
        }
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    walk(&format!("{at}/{name}"), value, wanted, found);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(&format!("{at}/{index}"), item, wanted, found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    walk("", value, wanted, &mut found);
    found
}

fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn scalar(choices: &mut Choices<'_>) -> Value {
    let text = |choices: &mut Choices<'_>| *choices.of(&["", "a", "ds", "rides.b__2", "{}", "é\n"]);
    match choices.below(7) {
        0 => Value::from(choices.below(25)),
        1 => Value::from(choices.once_in(2)),
        2 => Value::from(2.5),
        3 => Value::Null,
        _ => Value::from(text(choices)),
    }
}

/// Fields that are put where they may or may not belong.
const FIELDS: [&str; 20] = [
    "accuracy",
    "aggregations",
    "additionalOutputPartitionColumns",
    "backfillStartDate",
    "derivations",
    "envVars",
    "executionInfo",
    "fromTheFuture",
    "keyColumns",
    "keyFilter",
    "keyMapping",
    "metaData",
    "mutationTopic",
    "name",
    "online",
    "prefix",
    "table",
    "tags",
    "topic",
    "useLongNames",
];

/// One of the edits that people and compilers make, at a place chosen at random.
fn mutate(document: &mut Value, choices: &mut Choices<'_>) {
    let kind = choices.below(8);
    let wanted: &dyn Fn(&Value) -> bool = match kind {
        0 | 1 => &is_scalar,
        2 => &|value| value.as_object().is_some_and(|map| !map.is_empty()),
        3 => &|value| value.as_array().is_some_and(|items| !items.is_empty()),
        4 => &|value| value.as_array().is_some_and(|items| items.len() > 1),
        5 => &|value| value.is_boolean() || *value == 0 || *value == 1,
        _ => &Value::is_object,
    };
    let places = places(document, wanted);
    if places.is_empty() {
        return;
    }
    let at = choices.of(&places);
    let Some(value) = document.pointer_mut(at) else { return };
    match (kind, value) {
        (2, Value::Object(map)) => {
            let names: Vec<String> = map.keys().cloned().collect();
            map.remove(choices.of(&names));
        }
        (3, Value::Array(items)) => {
            let mut copy = choices.of(items).clone();
            if choices.once_in(4) {
                items.remove(choices.below(items.len()));
                return;
            }
            let inner = self::places(&copy, &is_scalar);
            if !inner.is_empty() && !choices.once_in(4) {
                let at = choices.of(&inner).clone();
                if let Some(inner) = copy.pointer_mut(&at) {
                    *inner = scalar(choices);
                }
            }
            items.insert(choices.below(items.len() + 1), copy);
        }
        (4, Value::Array(items)) => {
            let (one, other) = (choices.below(items.len()), choices.below(items.len()));
            items.swap(one, other);
        }
        (5, value) => *value = if *value == 0 || *value == false { json!(1) } else { json!(false) },
        (6 | 7, Value::Object(map)) => {
            let texts = !map.is_empty() && map.values().all(Value::is_string);
            let name = if texts { "entry" } else { *choices.of(&FIELDS) };
            let held = match choices.below(8) {
                0 => json!({"name": "a.b__1"}),
                1 => json!([scalar(choices)]),
                2 => json!({}),
                _ => scalar(choices),
            };
            map.insert(name.to_owned(), held);
        }
        (_, value) => *value = scalar(choices),
    }
}

/// A document of a type, made from the schema, with a wrong type here and there.
fn made(ty: Ty, depth: usize, choices: &mut Choices<'_>) -> Value {
    if choices.once_in(24) {
        return scalar(choices);
    }
    let some = |choices: &mut Choices<'_>| if depth > 8 { 0 } else { choices.below(3) };
    let entries = |ty: Ty, choices: &mut Choices<'_>| -> Value {
        let keys = ["streaming", "serving", "common", "accuracy", "modular_execution", "é"];
        let count = some(choices);
        let entry = |choices: &mut Choices<'_>| {
            ((*choices.of(&keys)).to_owned(), made(ty, depth + 1, choices))
        };
        (0..count).map(|_| entry(choices)).collect::<Map<_, _>>().into()
    };
    match ty {
        Ty::Flag(_) => json!(choices.below(2)),
        Ty::Number | Ty::Enum(_) => json!(choices.below(20)),
        Ty::Text => json!(choices.of(&["a", "b", "a.b__1", "a.b__2", "2025-01-01"])),
        Ty::Sql => json!(choices.of(&["a", "CAST(a AS INT)", "CAST(a AS LONG)", "'"])),
        Ty::Json => json!(choices.of(&["{\"enable_tiling\": true, \"a\": null}", "[1]", "{"])),
        Ty::Map(inner) => entries(*inner, choices),
        Ty::Secrets => entries(Ty::Text, choices),
        Ty::SecretsByMode => entries(Ty::Secrets, choices),
        Ty::List(inner) => {
            let count = some(choices);
            (0..count).map(|_| made(*inner, depth + 1, choices)).collect()
        }
        Ty::Struct(of) => {
            let known = schema::fields(of);
            let count = if depth > 8 { 0 } else { choices.below(known.len().min(6) + 1) };
            let mut map = Map::new();
            for _ in 0..count {
                let field = choices.of(known);
                map.insert(field.name.to_owned(), made(field.ty, depth + 1, choices));
            }
            map.into()
        }
    }
}

/// A whole document; it has at least a name, as every file does that is read.
fn made_document(kind: ConfigType, choices: &mut Choices<'_>) -> Value {
    let mut made = made(Ty::Struct(kind.word()), 0, choices);
    if !made.is_object() {
        made = json!({});
    }
    if !made["metaData"].is_object() {
        made["metaData"] = json!({});
    }
    made["metaData"]["name"] = json!("a.b__1");
    made
}

fn kind_and_dialect() -> impl Strategy<Value = (ConfigType, Dialect)> {
    let kinds: Vec<ConfigType> = CONFIG_TYPES.iter().map(|row| row.0).collect();
    (select(kinds), select(vec![Dialect::Oss, Dialect::Zip]))
}

/// What two documents hold in common where one leaves accuracy to Chronon and the other says the
/// same.
fn with_accuracy_said(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let said = |name: &String| {
                let infers = name == INFERRED_ACCURACY && !map.contains_key("accuracy");
                if infers { "accuracy".to_owned() } else { name.clone() }
            };
            map.iter().map(|(name, value)| (said(name), with_accuracy_said(value))).collect()
        }
        Value::Array(items) => items.iter().map(with_accuracy_said).collect(),
        value => value.clone(),
    }
}

/// The laws of two documents: rules and fingerprints agree, and there are changes exactly where
/// there is a difference.
fn agree(kind: ConfigType, dialect: Dialect, before: &Value, after: &Value) -> Result<(), String> {
    let [before, after] = [before, after].map(|it| normalise(kind, it.clone()));
    let changed = !fields(kind, dialect, &before, &after).is_empty();
    let differ = with_accuracy_said(&before) != with_accuracy_said(&after);
    if changed != differ {
        return Err(format!("changes {changed}, difference {differ}"));
    }
    rules::law(kind, dialect, &before, &after)?;
    rules::law(kind, dialect, &after, &before)
}

#[test]
fn rules_and_fingerprints_agree_about_any_edit_of_a_real_document() {
    check(500, &(document(), vec(bytes(24), 1..4)), |(document, edits)| {
        let mut after = document.body.clone();
        edits.iter().for_each(|edit| mutate(&mut after, &mut Choices::new(edit)));
        agree(document.kind, document.dialect, &document.body, &after)
            .map_err(|it| format!("{}: {it}", document.path.display()))
    });
}

#[test]
fn rules_and_fingerprints_agree_about_any_two_real_documents() {
    check(150, &(document(), any::<usize>()), |(before, other)| {
        let same: Vec<&Document> = DOCUMENTS.iter().filter(|it| it.kind == before.kind).collect();
        let after = same[other % same.len()];
        agree(before.kind, before.dialect, &before.body, &after.body)
            .map_err(|it| format!("{} and {}: {it}", before.path.display(), after.path.display()))
    });
}

#[test]
fn rules_and_fingerprints_agree_about_any_edit_of_a_made_document() {
    let examples = (kind_and_dialect(), bytes(400), vec(bytes(24), 1..4));
    check(1500, &examples, |((kind, dialect), bytes, edits)| {
        let before = made_document(kind, &mut Choices::new(&bytes));
        let mut after = before.clone();
        edits.iter().for_each(|edit| mutate(&mut after, &mut Choices::new(edit)));
        agree(kind, dialect, &before, &after).map_err(|it| format!("{it}\n{before}\n{after}"))
    });
}

/// Pairs that random edits rarely meet, each with what is particular about it.
fn particular_pairs() -> Vec<(&'static str, ConfigType, Value, Value)> {
    let part = |name: &str| {
        let source = json!({"events": {"table": "pedal.rain_reports"}});
        json!({"metaData": {"name": name}, "sources": [source], "keyColumns": ["city"]})
    };
    let external = |name: &str| {
        let offline = part("pricing.surge_history.v1");
        json!({"source": {"metadata": {"name": name}, "offlineGroupBy": offline}})
    };
    let mut other = external("demand");
    other["source"]["offlineGroupBy"] = part("pricing.demand_history.v1");
    let labels = [json!({"groupBy": part("rides.late.v1")}), json!({"groupBy": part("a.b.v1")})];
    let models = ["eta", "demand"].map(|name| json!({"model": {"metaData": {"name": name}}}));
    let selects = |expression: &str| {
        let selects = json!({"accuracy": expression, "accuracyInferred": "confidence"});
        json!({"sources": [{"events": {"query": {"selects": selects}}}]})
    };
    let join = |name: &str, value: Value| json!({ name: value });
    let pair = |name: &str, one: Value, other: Value| (join(name, one), join(name, other));
    let externals = "onlineExternalParts";
    let owned = json!({"metaData": {"team": "rides"}});
    let (empty, filled) = pair("bootstrapParts", json!([{}]), json!([owned]));
    let (one, two) = (external("surge"), other);
    let (ab, ba) = pair(externals, json!([one, two]), json!([two, one]));
    let (named, renamed) = pair(externals, json!([one]), json!([external("factor")]));
    let label = |at: [usize; 2]| json!({"labels": at.map(|at| labels[at].clone())});
    let (late, first) = pair("labelPart", label([0, 1]), label([1, 0]));
    let model = |at: [usize; 2]| json!({"transforms": at.map(|at| models[at].clone())});
    let (eta, bare) = pair("modelTransforms", model([0, 1]), model([1, 0]));
    vec![
        ("a document that was empty", ConfigType::Join, json!({}), owned),
        ("an item that was empty", ConfigType::Join, empty, filled),
        ("external parts in another order", ConfigType::Join, ab, ba),
        ("an external part of another name", ConfigType::Join, named, renamed),
        ("labels in another order", ConfigType::Join, late, first),
        ("models in another order", ConfigType::Join, eta, bare),
        ("a column called as we call it", ConfigType::GroupBy, selects("a"), selects("b")),
    ]
}

#[test]
fn rules_and_fingerprints_agree_about_particular_pairs() {
    let wrong = particular_pairs().into_iter().filter_map(|(what, kind, before, after)| {
        agree(kind, Dialect::Oss, &before, &after).err().map(|it| format!("{what}: {it}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_changes_between_a_document_and_itself() {
    for document in DOCUMENTS.iter() {
        let body = normalise(document.kind, document.body.clone());
        let found = fields(document.kind, document.dialect, &body, &body);
        assert!(found.is_empty(), "{}: {found:?}", document.path.display());
        let change = rules::change(document.kind, document.dialect, Some(&body), Some(&body));
        assert!(change.columns.is_empty(), "{}", document.path.display());
    }
}

/// JSON text of a value with its keys in any order and white space anywhere.
fn written(value: &Value, choices: &mut Choices<'_>, text: &mut String) {
    let blank = |choices: &mut Choices<'_>| *choices.of(&["", "", " ", "\n", "\t  "]);
    text.push_str(blank(choices));
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            for at in (1..entries.len()).rev() {
                entries.swap(at, choices.below(at + 1));
            }
            let mut between = "{";
            for (name, value) in entries {
                text.push_str(between);
                text.push_str(&format!("{}{}:", blank(choices), Value::from(name.as_str())));
                written(value, choices, text);
                between = ",";
            }
            text.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            let mut between = "[";
            for item in items {
                text.push_str(between);
                written(item, choices, text);
                between = ",";
            }
            text.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        scalar => text.push_str(&scalar.to_string()),
    }
    text.push_str(blank(choices));
}

/// The same document as another compiler might spell it.
fn respelt(kind: Kind, value: &Value, choices: &mut Choices<'_>) -> Value {
    match (kind, value) {
        (Kind::Known(Ty::Flag(_)), value) if !choices.once_in(3) => {
            let truth = value.as_bool().or_else(|| value.as_f64().map(|number| number != 0.0));
            let spellings = |flag: bool| {
                let number = i32::from(flag);
                [json!(flag), json!(number), json!(f64::from(number))]
            };
            truth.map_or(value.clone(), |flag| choices.of(&spellings(flag)).clone())
        }
        (Kind::Known(Ty::Number | Ty::Enum(_)), Value::Number(number)) if choices.once_in(2) => {
            number.as_f64().map_or(value.clone(), Value::from)
        }
        (Kind::Known(Ty::Json), Value::String(text)) => match serde_json::from_str(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => {
                let mut text = String::new();
                written(&inner, choices, &mut text);
                Value::from(text)
            }
            Ok(_) | Err(_) => value.clone(),
        },
        (kind, Value::Object(map)) => {
            let inner = |(name, value): (&String, &Value), choices: &mut Choices<'_>| {
                (name.clone(), respelt(kind.of_field(name), value, choices))
            };
            let mut map: Map<String, Value> = map.iter().map(|it| inner(it, choices)).collect();
            add_nothing(kind, &mut map, choices);
            map.into()
        }
        (kind, Value::Array(items)) => {
            items.iter().map(|item| respelt(kind.of_item(), item, choices)).collect()
        }
        (_, value) => value.clone(),
    }
}

/// Adds entries that say what absence says.
fn add_nothing(kind: Kind, map: &mut Map<String, Value>, choices: &mut Choices<'_>) {
    match kind {
        Kind::Known(Ty::Struct(of)) => {
            for field in schema::fields(of) {
                if map.contains_key(field.name) || !choices.once_in(4) {
                    continue;
                }
                let nothing = match field.ty {
                    Ty::Flag(default) if choices.once_in(2) => json!(default),
                    _ => Value::Null,
                };
                map.insert(field.name.to_owned(), nothing);
            }
            if choices.once_in(8) {
                map.insert("fromTheFuture".to_owned(), Value::Null);
            }
        }
        Kind::Known(Ty::Map(_) | Ty::Secrets | Ty::SecretsByMode) if choices.once_in(4) => {
            map.insert("gone".to_owned(), Value::Null);
        }
        _ => {}
    }
}

#[test]
fn spelling_does_not_matter() {
    check(300, &(document(), bytes(4000)), |(document, bytes)| {
        let mut choices = Choices::new(&bytes);
        let top = Kind::Known(Ty::Struct(document.kind.word()));
        let other = respelt(top, &document.body, &mut choices);
        let mut text = String::new();
        written(&other, &mut choices, &mut text);
        let other: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let [one, other] = [&document.body, &other].map(|it| normalise(document.kind, it.clone()));
        let path = document.path.display();
        if one == other { Ok(()) } else { Err(format!("{path}:\n{one}\n{other}")) }
    });
}

#[test]
fn what_is_normal_stays_so() {
    check(300, &(kind_and_dialect(), bytes(400)), |((kind, _), bytes)| {
        let once = normalise(kind, made_document(kind, &mut Choices::new(&bytes)));
        let twice = normalise(kind, once.clone());
        if once == twice { Ok(()) } else { Err(format!("{once}\n{twice}")) }
    });
}

/// Any JSON at all, with names that mean something among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let names = schema::STRUCTS.iter().flat_map(|row| row.1).map(|field| field.name);
    let names: Vec<&'static str> = names.chain([INFERRED_ACCURACY]).collect();
    let key = prop_oneof![6 => select(names).prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..30_i64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        select(vec!["{\"check_consistency\": 1}", "CAST(a AS )", "a.b__", "__1", "{{", "CAST()"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let entries = vec((key.clone(), inner.clone()), 0..6);
        prop_oneof![
            2 => entries.prop_map(|it| it.into_iter().collect::<Map<_, _>>().into()),
            1 => vec(inner, 0..4).prop_map(Value::from),
        ]
    })
}

/// Sends two values through everything that sees documents, for every type and dialect.
fn survive(one: &Value, other: &Value) {
    for (kind, _, _) in CONFIG_TYPES {
        let [before, after] = [one, other].map(|it| normalise(kind, it.clone()));
        for dialect in [Dialect::Oss, Dialect::Zip] {
            for (before, after) in [
                (Some(&before), Some(&after)),
                (Some(&after), Some(&before)),
                (None, Some(&after)),
                (Some(&before), None),
            ] {
                let change = rules::change(kind, dialect, before, after);
                for field in &change.fields {
                    let shown = (field.before(), field.after(), field.path.to_string());
                    assert!(!shown.2.contains('\u{0}') || field.is_hidden() || shown.0.is_some());
                }
                let verdict = judge(kind, dialect, &change, before, after);
                assert_eq!(verdict.fields.len(), change.fields.len());
            }
            assert!(unknowns(kind, dialect, &after).len() < 10_000);
        }
        assert_eq!(own_all(kind, &before), own_all(kind, &before.clone()));
        drop(definition(&before));
        drop(facts::read(kind, one.to_string().as_bytes(), facts::Extent::Whole));
    }
}

#[test]
fn no_json_makes_anything_panic() {
    check(120, &(any_json(), any_json()), |(one, other)| {
        survive(&one, &other);
        Ok(())
    });
    check(80, &(kind_and_dialect(), bytes(300), bytes(300)), |((kind, _), one, other)| {
        let made = |bytes: &[u8]| made(Ty::Struct(kind.word()), 0, &mut Choices::new(bytes));
        survive(&made(&one), &made(&other));
        Ok(())
    });
}

#[test]
fn no_bytes_make_reading_facts_panic() {
    let read = |bytes: &[u8]| {
        for (kind, _, _) in CONFIG_TYPES {
            drop(facts::read(kind, bytes, facts::Extent::Whole));
        }
    };
    check(300, &bytes(200), |bytes| {
        read(&bytes);
        Ok(())
    });
    check(150, &(document(), any::<usize>(), any::<u8>()), |(document, at, byte)| {
        let mut bytes = document.body.to_string().into_bytes();
        let at = at % bytes.len();
        read(&bytes[..at]);
        bytes[at] = byte;
        read(&bytes);
        Ok(())
    });
}

/// Text made of words that mean something to a reader, and of anything else.
fn text_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        5 => select(words).prop_map(str::to_owned),
        1 => "\\PC{0,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    vec(word, 0..30).prop_map(|words| words.concat())
}

#[test]
fn no_text_makes_reading_sql_panic() {
    let words = &[
        " from ",
        " join ",
        ",",
        "`",
        "'",
        "\"",
        "--",
        "/*",
        "*/",
        "{{",
        "}}",
        "(",
        ")",
        "é",
        "\n",
        "max_date(table=",
        "a.b",
        "ns.t",
        " ",
        "\\",
        "select ",
        " where ",
        ".",
        "$",
        "{",
    ];
    check(1500, &text_of(words), |text| {
        for table in sql::tables(&text) {
            assert!(table.contains('.'), "{table:?} is no qualified name");
        }
        drop(sql::table_of_dependency(&text));
        assert!(sql::clean_table(&text).len() <= text.len());
        Ok(())
    });
}

#[test]
fn no_text_makes_reading_settings_panic() {
    let words = &[
        "[env.prod]\n",
        "[env.",
        "]",
        "]\n",
        "[",
        "root",
        " = ",
        "\"x\"",
        "\"",
        "'",
        "\n",
        "1",
        "dialect",
        "\"zip\"",
        "program",
        "[\"a\", \"b\"]",
        "env",
        ".",
        "default_env",
        "backfill",
        "start",
        "2025-01-01",
        "\"2025-01-01\"",
        "team",
        "mode",
        "é",
        "#",
        "{",
        "}",
        "true",
        ",",
        "[env.prod.team.rides.mode.backfill]\n",
        "[ci.label]\n",
        "[policy.",
        "when",
        "'team'",
        "labels",
        "['a']",
        "version",
        "kv_upload",
        "\u{feff}",
        "\"\"\"",
    ];
    check(1500, &text_of(words), |text| {
        if let Err(mistakes) = settings::read(&text) {
            assert!(!mistakes.is_empty() && mistakes.is_sorted());
            let lines = text.lines().count().max(1) + 1;
            assert!(mistakes.iter().all(|it| (1..=lines).contains(&it.line)), "{mistakes:?}");
        }
        Ok(())
    });
}

fn step() -> impl Strategy<Value = Step> {
    let word = || "[a-c]{1,2}";
    prop_oneof![
        word().prop_map(Step::Field),
        word().prop_map(Step::Item),
        word().prop_map(Step::Key)
    ]
}

#[test]
fn patterns_describe_the_paths_they_are_made_of() {
    // A pattern is a constant of the program; here it must be made one.
    let pattern = |text: String| Pattern::new(Box::leak(text.into_boxed_str()));
    check(200, &(vec(step(), 0..8), any::<usize>()), |(path, at)| {
        let shown = chronon_plan::model::path::FieldPath(path.clone()).to_string();
        let at = at % (path.len() + 1);
        let start = chronon_plan::model::path::FieldPath(path[..at].to_vec()).to_string();
        assert!(pattern(shown.clone()).matches(&path), "{shown}");
        assert!(pattern(format!("{start}.**")).matches(&path), "{start}.**");
        assert!(pattern("**".to_owned()).matches(&path));
        assert!(!pattern(format!("{shown}.zz")).matches(&path));
        Ok(())
    });
    check(200, &("[a-c.*\\[\\]é]{0,12}", vec(step(), 0..10)), |(text, path)| {
        let pattern = pattern(text);
        assert_eq!(pattern.matches(&path), pattern.matches(&path.clone()));
        Ok(())
    });
}
