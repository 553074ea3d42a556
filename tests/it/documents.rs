//! Ledgers as bytes: what is written is read, what is not understood is refused, and nothing
//! changes on the way.

use chronon_plan::model::day::Day;
use chronon_plan::model::ledger::Applied;
use chronon_plan::model::ledger::Fingerprint;
use chronon_plan::model::ledger::Ledger;
use chronon_plan::model::ledger::Parent;
use chronon_plan::model::ledger::Published;
use chronon_plan::model::name::Address;
use chronon_plan::model::name::BlobId;
use chronon_plan::model::name::CONFIG_TYPES;
use chronon_plan::model::name::CommitId;
use chronon_plan::model::name::RESOURCES;
use chronon_plan::model::name::Resource;
use chronon_plan::state::StateError;
use chronon_plan::state::head;
use chronon_plan::state::ledger;
use chronon_plan::state::ledger::BadLedger;
use chronon_plan::state::ledger::FORMAT_VERSION;
use chronon_plan::state::store::Expect;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::test_runner::Config;
use proptest::test_runner::RngSeed;
use proptest::test_runner::TestCaseError;
use proptest::test_runner::TestRunner;

use crate::support::memory::Memory;
use crate::support::memory::objects;

fn check<S: Strategy>(cases: u32, examples: &S, test: impl Fn(S::Value) -> Result<(), String>) {
    let config = Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_261_122),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(examples, |it| test(it).map_err(TestCaseError::fail));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn address() -> impl Strategy<Value = Address> {
    (0..CONFIG_TYPES.len(), ".{0,12}")
        .prop_map(|(at, name)| Address::new(CONFIG_TYPES[at].0, &name))
}

fn resource() -> impl Strategy<Value = (Address, Resource)> {
    (address(), 0..RESOURCES.len()).prop_map(|(address, at)| (address, RESOURCES[at].0))
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    any::<[u8; 32]>().prop_map(Fingerprint)
}

fn days() -> impl Strategy<Value = (Day, Day)> {
    let day = |days: i64| "2000-01-01".parse::<Day>().unwrap().plus(days);
    (0_i64..20_000, 0_i64..20_000).prop_map(move |(from, to)| (day(from), day(to)))
}

fn applied() -> impl Strategy<Value = Applied> {
    let prints = (fingerprint(), fingerprint(), vec((address(), fingerprint()), 0..3));
    let texts = (".{0,9}", ".{0,9}", ".{0,9}", of(".{0,9}"), ".{0,9}");
    let numbers = (any::<u32>(), any::<bool>());
    (prints, numbers, any::<[u8; 20]>(), of(days()), texts).prop_map(
        |((fingerprint, own, upstream), numbers, blob, range, (commit, path, run, job, at))| {
            let (version, begun) = numbers;
            let (commit, blob) = (CommitId(commit), BlobId(blob));
            #[rustfmt::skip] // one line, as it is one value
            return Applied { fingerprint, own, upstream, version, commit, path, blob, range, run, job, at, begun };
        },
    )
}

fn published() -> impl Strategy<Value = Published> {
    let dags = btree_map(".{0,9}", ".{0,9}", 0..3);
    (".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}", dags).prop_map(
        |(digest, location, commit, run, at, dags)| {
            let commit = CommitId(commit);
            Published { digest, location, commit, run, at, dags }
        },
    )
}

fn ledgers() -> impl Strategy<Value = Ledger> {
    let parent = (any::<u64>(), ".{0,9}").prop_map(|(serial, digest)| Parent { serial, digest });
    let rows = btree_map(resource(), applied(), 0..5);
    let superseded = vec(".{0,9}", 0..3);
    let first = (".{0,9}", any::<u64>(), of(parent), of(".{0,9}"));
    (first, superseded, of(published()), rows).prop_map(
        |((lineage, serial, parent, commit), superseded, schedules, applied)| {
            let commit = commit.map(CommitId);
            Ledger { lineage, serial, parent, commit, superseded, schedules, applied }
        },
    )
}

#[test]
fn what_is_written_is_read() {
    check(256, &(ledgers(), ".{0,9}", ".{0,9}"), |(ledger, env, writer)| {
        let bytes = ledger::write(&ledger, &env, &writer);
        let read = ledger::read(&bytes).map_err(|error| error.to_string())?;
        let again = ledger::write(&read.0, &env, &writer);
        if read != (ledger, env) || again != bytes {
            return Err(format!("{read:?}"));
        }
        Ok(())
    });
}

/// What reading lets through must be all that was said: written again it says the same, but for
/// the writer, who is only there to tell writes apart.
fn refused_or_whole(bytes: &[u8]) -> Result<bool, String> {
    let Ok((ledger, env)) = ledger::read(bytes) else { return Ok(false) };
    let json = |bytes: &[u8]| -> serde_json::Value { serde_json::from_slice(bytes).unwrap() };
    let before = json(bytes);
    let after = json(&ledger::write(&ledger, &env, before["writer"].as_str().unwrap()));
    // A place may say that it is empty, and rows may stand in any order.
    let (before, after) = (settled(before), settled(after));
    if before == after { Ok(true) } else { Err(format!("{before}\nis read as\n{after}")) }
}

fn settled(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(rows) = json["resources"].as_array_mut() {
        for row in rows.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            row.retain(|_, value| !value.is_null() && *value != serde_json::json!([]));
        }
        rows.sort_by_key(ToString::to_string);
    }
    json
}

#[test]
fn a_byte_that_changed_is_refused_or_says_what_it_says() {
    check(512, &(ledgers(), any::<usize>(), any::<u8>()), |(ledger, at, byte)| {
        let mut bytes = ledger::write(&ledger, "prod", "writer");
        let at = at % bytes.len();
        bytes[at] = byte;
        refused_or_whole(&bytes).map(|_| ())
    });
}

#[test]
fn a_byte_that_is_missing_or_too_many_is_refused_or_says_what_it_says() {
    check(512, &(ledgers(), any::<usize>(), of(any::<u8>())), |(ledger, at, byte)| {
        let mut bytes = ledger::write(&ledger, "prod", "writer");
        let at = at % bytes.len();
        match byte {
            Some(byte) => bytes.insert(at, byte),
            None => drop(bytes.remove(at)),
        }
        refused_or_whole(&bytes).map(|_| ())
    });
}

/// Every place in a ledger that has fields.
fn places(json: &serde_json::Value) -> Vec<String> {
    let mut places = vec![String::new()];
    places.extend(json["parent"].is_object().then(|| "/parent".to_owned()));
    for (row, fields) in json["resources"].as_array().unwrap().iter().enumerate() {
        places.push(format!("/resources/{row}"));
        let upstream = fields.get("upstream").map_or(0, |it| it.as_array().unwrap().len());
        places.extend((0..upstream).map(|at| format!("/resources/{row}/upstream/{at}")));
    }
    places
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    check(128, &ledgers(), |ledger| {
        let bytes = ledger::write(&ledger, "prod", "writer");
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        for place in places(&json) {
            let mut more = json.clone();
            more.pointer_mut(&place).unwrap()["unheard_of"] = 1.into();
            match ledger::read(&serde_json::to_vec(&more).unwrap()) {
                Err(BadLedger::Shape { what, .. }) if what.contains("unheard_of") => {}
                other => return Err(format!("{more}\nis read as\n{other:?}")),
            }
        }
        Ok(())
    });
}

/// One row, and the ledger with this instead of that.
fn replaced(this: &str, that: &str) -> Result<(Ledger, String), BadLedger> {
    let day = |text: &str| text.parse::<Day>().unwrap();
    let applied = Applied {
        fingerprint: Fingerprint([7; 32]),
        own: Fingerprint([8; 32]),
        upstream: Vec::new(),
        version: 1,
        commit: CommitId("c0ffee".to_owned()),
        path: "compiled/joins/a".to_owned(),
        blob: BlobId([9; 20]),
        range: Some((day("2026-01-01"), day("2026-02-01"))),
        run: "run".to_owned(),
        job: None,
        at: "2026-11-22T00:00:00Z".to_owned(),
        begun: false,
    };
    let mut ledger = Ledger { serial: 1, ..Ledger::default() };
    ledger.applied.insert(("joins/a".parse().unwrap(), Resource::Table), applied);
    let text = String::from_utf8(ledger::write(&ledger, "prod", "writer")).unwrap();
    assert!(ledger::read(text.as_bytes()).is_ok() && text.contains(this), "{text}");
    ledger::read(text.replacen(this, that, 1).as_bytes())
}

#[test]
fn a_newer_form_is_refused_whatever_is_in_it() {
    for (this, that) in [
        ("\"format_version\":1", "\"format_version\":3"),
        ("\"format_version\":1", "\"format_version\":3,\"unheard_of\":{}"),
        ("\"format_version\":1,\"lineage\":\"\"", "\"format_version\":3"),
    ] {
        assert_eq!(replaced(this, that), Err(BadLedger::Newer { version: 3 }), "{that}");
    }
    let objects = objects(Memory::default());
    let newer = format!("{{\"format_version\":{}}}", FORMAT_VERSION + 1);
    objects.put("state.json", Expect::Absent, newer.as_bytes()).unwrap();
    let refused = head::load(&objects, "prod").unwrap_err();
    assert!(matches!(refused, StateError::Bad { newer: true, .. }), "{refused}");
    assert!(refused.next().contains("newer"));
}

#[test]
fn half_a_value_is_refused() {
    for (this, that, said) in [
        (",\"end\":\"2026-02-01\"", "", "`start` and `end`"),
        (",\"start\":\"2026-01-01\"", "", "`start` and `end`"),
        ("\"start\":\"2026-01-01\"", "\"start\":\"2026-13-01\"", "2026-13-01"),
        ("0707", "07", "is not a fingerprint"),
        ("0808", "08", "is not a fingerprint"),
        ("0909", "zz", "is not a blob id"),
        ("\"table\"", "\"tabel\"", "tabel"),
    ] {
        let refused = replaced(this, that).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    // The same resource twice.
    let text = replaced("joins/a", "joins/b").unwrap();
    let text = String::from_utf8(ledger::write(&text.0, "prod", "writer")).unwrap();
    let row = text.lines().nth(1).unwrap();
    let twice = text.replacen(row, &format!("{row},\n{row}"), 1);
    assert!(ledger::read(twice.as_bytes()).unwrap_err().to_string().contains("twice"));
}

#[test]
fn a_large_ledger_is_written_and_read() {
    let (one, env) = replaced("run", "run").unwrap();
    let applied = one.applied.values().next().unwrap().clone();
    let mut ledger = Ledger { lineage: "large".to_owned(), serial: 3, ..Ledger::default() };
    for number in 0..20_000 {
        for (resource, _) in RESOURCES {
            let address = Address::new(CONFIG_TYPES[0].0, &format!("team.file.name_{number}__1"));
            ledger.applied.insert((address, resource), applied.clone());
        }
    }
    assert_eq!(ledger.applied.len(), 100_000);
    let bytes = ledger::write(&ledger, &env, "writer");
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 100_002, "a row to a line");
    let read = ledger::read(&bytes).unwrap();
    assert!(read.0 == ledger && read.1 == env);
}
