//! What every store must do, held by one suite: on a folder, on the tests' storage service, and
//! on the emulator that `STORAGE_EMULATOR_HOST` names, where it does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use chronon_plan::state::StateError;
use chronon_plan::state::gcs::Gcs;
use chronon_plan::state::local::Local;
use chronon_plan::state::location::Location;
use chronon_plan::state::location::open;
use chronon_plan::state::store::Expect;
use chronon_plan::state::store::Generation;
use chronon_plan::state::store::Put;
use chronon_plan::state::store::Store;
use chronon_plan::state::store::StoreError;

use crate::support::gcs;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A law of stores, and its name, which is also the prefix of its keys.
type Law = (&'static str, fn(&dyn Store));

const LAWS: [Law; 9] = [
    ("missing", nothing_is_where_nothing_was_written),
    ("reread", what_was_written_is_read),
    ("once", an_object_is_created_once),
    ("race", one_of_many_creates_wins),
    ("stale", a_stale_write_changes_nothing),
    ("growing", generations_grow),
    ("counter", no_increment_is_lost),
    ("big", big_objects_are_whole),
    ("names", odd_names_are_kept_apart),
];

fn written(put: Result<Put, StoreError>) -> Generation {
    match put {
        Ok(Put::Written(generation)) => generation,
        other => panic!("{other:?}"),
    }
}

fn nothing_is_where_nothing_was_written(store: &dyn Store) {
    assert_eq!(store.get("missing/a"), Ok(None));
    assert_eq!(store.put("missing/a", Expect::At(Generation(1)), b"x"), Ok(Put::Conflict));
    assert_eq!(store.get("missing/a"), Ok(None));
    written(store.put("missing/folder/b", Expect::Absent, b"x"));
    assert_eq!(store.get("missing/folder"), Ok(None));
}

fn what_was_written_is_read(store: &dyn Store) {
    for (at, bytes) in [&b""[..], b"\0\r\n--\xff", b"{}"].into_iter().enumerate() {
        let key = format!("reread/{at}");
        let generation = written(store.put(&key, Expect::Absent, bytes));
        for _ in 0..2 {
            let found = store.get(&key).unwrap().unwrap();
            assert_eq!((found.generation, found.bytes.as_slice()), (generation, bytes));
        }
    }
}

fn an_object_is_created_once(store: &dyn Store) {
    let first = written(store.put("once/a", Expect::Absent, b"first"));
    assert_eq!(store.put("once/a", Expect::Absent, b"second"), Ok(Put::Conflict));
    let found = store.get("once/a").unwrap().unwrap();
    assert_eq!((found.generation, found.bytes), (first, b"first".to_vec()));
}

fn one_of_many_creates_wins(store: &dyn Store) {
    let start = Barrier::new(32);
    let create = |own: usize| {
        start.wait();
        (own, store.put("race/a", Expect::Absent, own.to_string().as_bytes()).unwrap())
    };
    let ends = thread::scope(|scope| {
        let threads: Vec<_> = (0..32).map(|own| scope.spawn(move || create(own))).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    let won: Vec<usize> =
        ends.iter().filter(|end| end.1 != Put::Conflict).map(|end| end.0).collect();
    assert_eq!(won.len(), 1, "{ends:?}");
    assert_eq!(store.get("race/a").unwrap().unwrap().bytes, won[0].to_string().into_bytes());
}

fn a_stale_write_changes_nothing(store: &dyn Store) {
    let first = written(store.put("stale/a", Expect::Absent, b"1"));
    let second = written(store.put("stale/a", Expect::At(first), b"2"));
    assert_eq!(store.put("stale/a", Expect::At(first), b"3"), Ok(Put::Conflict));
    let later = Generation(second.0 + 1);
    assert_eq!(store.put("stale/a", Expect::At(later), b"4"), Ok(Put::Conflict));
    let found = store.get("stale/a").unwrap().unwrap();
    assert_eq!((found.generation, found.bytes), (second, b"2".to_vec()));
}

fn generations_grow(store: &dyn Store) {
    let mut last = written(store.put("growing/a", Expect::Absent, b"same"));
    for _ in 0..20 {
        let next = written(store.put("growing/a", Expect::At(last), b"same"));
        assert!(next > last, "{next:?} after {last:?}");
        assert_eq!(store.get("growing/a").unwrap().unwrap().generation, next);
        last = next;
    }
}

fn no_increment_is_lost(store: &dyn Store) {
    written(store.put("counter/a", Expect::Absent, b"0"));
    let increment = || {
        loop {
            let found = store.get("counter/a").unwrap().unwrap();
            let count: u32 = String::from_utf8(found.bytes).unwrap().parse().unwrap();
            let next = (count + 1).to_string();
            let put = store.put("counter/a", Expect::At(found.generation), next.as_bytes());
            if put.unwrap() != Put::Conflict {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10).for_each(|_| increment()));
        }
    });
    assert_eq!(store.get("counter/a").unwrap().unwrap().bytes, b"80");
}

fn big_objects_are_whole(store: &dyn Store) {
    let bytes: Vec<u8> = (0..20_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let first = written(store.put("big/a", Expect::Absent, &bytes));
    assert!(store.get("big/a").unwrap().unwrap().bytes == bytes);
    let half = &bytes[..bytes.len() / 2];
    written(store.put("big/a", Expect::At(first), half));
    assert!(store.get("big/a").unwrap().unwrap().bytes == half);
}

fn odd_names_are_kept_apart(store: &dyn Store) {
    let names = [
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "a?b=c&d",
        "a#b",
        "ü€😀",
        "a.b",
        "a'\"<>|*b",
        "-",
        "A",
        "a",
        "d/e/f/g.json",
        "b/o",
    ];
    for name in names {
        written(store.put(&format!("names/{name}/x"), Expect::Absent, name.as_bytes()));
    }
    for name in names {
        let found = store.get(&format!("names/{name}/x")).unwrap().unwrap();
        assert_eq!(String::from_utf8(found.bytes).unwrap(), name);
    }
    let long = ["p".repeat(200), "q".repeat(200), "r".repeat(200)].join("/");
    for name in ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", ".lock", "a\\b", "a\nb", "a\0b"] {
        for refused in [store.get(name).map(drop), store.put(name, Expect::Absent, b"").map(drop)] {
            assert!(matches!(refused, Err(StoreError::Refused { .. })), "{name:?}: {refused:?}");
        }
    }
    written(store.put(&long, Expect::Absent, b"x"));
    assert!(matches!(store.get(&"p".repeat(201)), Err(StoreError::Refused { .. })));
}

fn hold_to_all_laws(store: &dyn Store) {
    for (name, law) in LAWS {
        let location = store.location();
        let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| law(store)));
        assert!(end.is_ok(), "`{name}` does not hold in {location}");
    }
}

#[test]
fn a_folder_keeps_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    hold_to_all_laws(&Local::open(folder.path().join("deep/state")));
}

#[test]
fn a_bucket_keeps_the_laws() {
    let server = gcs::Gcs::start();
    server.state("state");
    server.unlimited();
    for prefix in ["", "prod", "of a team/prod"] {
        hold_to_all_laws(&Gcs::open("state", prefix, Some(&server.endpoint()), TIMEOUT).unwrap());
    }
    assert_eq!(server.violations(), [""; 0]);
    assert!(server.names("state").contains(&"of a team/prod/once/a".to_owned()));
}

#[test]
fn an_emulator_keeps_the_laws() {
    let Some(endpoint) = std::env::var("STORAGE_EMULATOR_HOST").ok() else { return };
    let nonce = getrandom::u64().unwrap();
    let bucket = std::env::var("STORAGE_EMULATOR_BUCKET").unwrap_or_else(|_| "state".to_owned());
    let prefix = format!("laws/{nonce:x}");
    hold_to_all_laws(&Gcs::open(&bucket, &prefix, Some(&endpoint), TIMEOUT).unwrap());
}
