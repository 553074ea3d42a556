//! What every store must do, held by one suite: on a folder, on the tests' storage service, and
//! on the emulator that `STORAGE_EMULATOR_HOST` names, where it does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
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

const LAWS: [Law; 10] = [
    ("missing", nothing_is_where_nothing_was_written),
    ("reread", what_was_written_is_read),
    ("once", an_object_is_created_once),
    ("race", one_of_many_creates_wins),
    ("stale", a_stale_write_changes_nothing),
    ("growing", generations_grow),
    ("counter", no_increment_is_lost),
    ("pairs", a_generation_is_read_with_its_own_content),
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

fn a_generation_is_read_with_its_own_content(store: &dyn Store) {
    let mut wrote = BTreeMap::new();
    let mut last = written(store.put("pairs/a", Expect::Absent, b"0"));
    wrote.insert(last, b"0".to_vec());
    let done = AtomicBool::new(false);
    let read = || {
        let found = || store.get("pairs/a").unwrap().unwrap();
        let reads = std::iter::repeat_with(found).take_while(|_| !done.load(Ordering::SeqCst));
        reads.map(|it| (it.generation, it.bytes)).collect::<BTreeSet<_>>()
    };
    let pairs = thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(read)).collect();
        for number in 1..150 {
            let bytes = format!("{number}").into_bytes();
            last = written(store.put("pairs/a", Expect::At(last), &bytes));
            wrote.insert(last, bytes);
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().flat_map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(!pairs.is_empty());
    for (generation, bytes) in pairs {
        assert_eq!(wrote.get(&generation), Some(&bytes), "{generation:?}");
    }
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

/// Runs one of the hidden tests below as processes of their own, which wait until their input
/// ends.
fn processes(count: usize, test: &str, folder: &Path) -> Vec<Child> {
    let one = |number: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture", "--quiet"])
            .env(FOLDER, folder)
            .env(NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    (0..count).map(one).collect()
}

const FOLDER: &str = "CHRONON_PLAN_TEST_FOLDER";
const NUMBER: &str = "CHRONON_PLAN_TEST_NUMBER";

/// Waits for the start, and gives the store and who this is.
fn process() -> (Local, String) {
    let folder = std::env::var(FOLDER).expect("another test runs this one as a process");
    let number = std::env::var(NUMBER).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    (Local::open(folder), number)
}

/// The lines that processes printed under `word`, once all have ended.
fn printed(processes: Vec<Child>, word: &str) -> Vec<String> {
    let outputs = processes.into_iter().map(|it| it.wait_with_output().unwrap());
    let texts = outputs.map(|it| String::from_utf8(it.stdout).unwrap());
    texts.flat_map(|text| lines(&text, word)).collect()
}

fn lines(text: &str, word: &str) -> Vec<String> {
    // The last line of a killed process may be cut off.
    let whole = text.rsplit_once('\n').map_or("", |it| it.0);
    whole
        .lines()
        .filter_map(|line| line.strip_prefix(word))
        .map(|it| it.trim().to_owned())
        .collect()
}

#[test]
fn one_of_many_processes_creates() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut processes = processes(32, "stores::process_creates", &state);
    processes.iter_mut().for_each(|it| drop(it.stdin.take()));
    let won = printed(processes, "won");
    assert_eq!(won.len(), 1, "{won:?}");
    let found = Local::open(state).get("lock.json").unwrap().unwrap();
    assert_eq!(String::from_utf8(found.bytes).unwrap(), won[0]);
}

#[test]
#[ignore = "a process of `one_of_many_processes_creates`"]
fn process_creates() {
    let (store, own) = process();
    if store.put("lock.json", Expect::Absent, own.as_bytes()).unwrap() != Put::Conflict {
        say(&format!("won {own}"));
    }
}

/// Kills a process that writes, many times over, wherever it is: nothing that it was told to be
/// written is lost, and no generation ever stands for two contents.
#[test]
fn a_killed_writer_leaves_no_content_under_an_old_generation() {
    let folder = tempfile::tempdir().unwrap();
    let store = Local::open(folder.path());
    let mut known: BTreeMap<Generation, String> = BTreeMap::new();
    for round in 0..12 {
        let mut writer = processes(1, "stores::process_writes", folder.path()).remove(0);
        drop(writer.stdin.take());
        // It writes once it has said so; then it is killed after a while that differs.
        let mut output = BufReader::new(writer.stdout.take().unwrap());
        let mut text = String::new();
        while lines(&text, "wrote").len() < 3 {
            assert_ne!(output.read_line(&mut text).unwrap(), 0, "{text}");
        }
        thread::sleep(Duration::from_micros(700 * round));
        writer.kill().unwrap();
        writer.wait().unwrap();
        output.read_to_string(&mut text).unwrap();
        for line in lines(&text, "wrote") {
            let (generation, content) = line.split_once(' ').unwrap();
            let generation = Generation(generation.parse().unwrap());
            assert_eq!(known.insert(generation, content.to_owned()), None, "{generation:?}");
        }
        let found = store.get("state.json").unwrap().unwrap();
        let content = String::from_utf8(found.bytes).unwrap();
        let (last, written) = known.last_key_value().unwrap();
        assert!(found.generation >= *last);
        let grown = found.generation > *last;
        // What was not told yet may be there or not, under its own generation either way.
        assert!(grown || content == *written, "{content} under {last:?}");
        if grown {
            let told: Vec<&Generation> =
                known.iter().filter(|it| *it.1 == content).map(|it| it.0).collect();
            assert!(told.is_empty() || told == [last], "{content} is older than {last:?}");
            known.insert(found.generation, content);
        }
    }
}

#[test]
#[ignore = "a process of `a_killed_writer_leaves_no_content_under_an_old_generation`"]
fn process_writes() {
    let (store, _) = process();
    loop {
        let found = store.get("state.json").unwrap();
        let expect = found.map_or(Expect::Absent, |it| Expect::At(it.generation));
        let content = format!("{:032x}", u128::from(getrandom::u64().unwrap()));
        let generation = written(store.put("state.json", expect, content.as_bytes()));
        say(&format!("wrote {} {content}", generation.0));
    }
}

/// Prints a line at once, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[test]
fn a_writer_that_died_between_number_and_content_changed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Local::open(folder.path());
    let first = written(store.put("a/b", Expect::Absent, b"1"));
    let second = written(store.put("a/b", Expect::At(first), b"2"));
    let number = folder.path().join(".generations/a/b");
    assert_eq!(fs::read_to_string(&number).unwrap(), "2");
    fs::write(&number, "3").unwrap();
    fs::write(folder.path().join(".new"), "half of it").unwrap();
    assert_eq!(store.put("a/b", Expect::At(second), b"3"), Ok(Put::Conflict));
    let found = store.get("a/b").unwrap().unwrap();
    assert_eq!((found.generation, found.bytes.as_slice()), (Generation(3), &b"2"[..]));
    assert_eq!(
        store.put("a/b", Expect::At(found.generation), b"4"),
        Ok(Put::Written(Generation(4)))
    );
    // Removed by hand, and created anew: a generation of its own.
    fs::remove_file(folder.path().join("a/b")).unwrap();
    assert_eq!(store.get("a/b"), Ok(None));
    assert_eq!(store.put("a/b", Expect::Absent, b"5"), Ok(Put::Written(Generation(5))));
    assert_eq!(store.get("a/b").unwrap().unwrap().generation, Generation(5));
    fs::write(&number, "many").unwrap();
    let error = store.get("a/b").unwrap_err();
    assert!(error.to_string().contains(".generations/a/b holds no number"), "{error}");
}

#[test]
fn reading_makes_nothing_and_writing_hides_the_folder_from_git() {
    let folder = tempfile::tempdir().unwrap();
    let store = Local::open(folder.path().join("repo/.chronon-plan/prod"));
    assert_eq!(store.get("state.json"), Ok(None));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    written(store.put("state.json", Expect::Absent, b"{}"));
    let repo = git2::Repository::init(folder.path().join("repo")).unwrap();
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    assert!(repo.statuses(Some(&mut options)).unwrap().is_empty());
    let top = folder.path().join("repo/.chronon-plan/prod");
    assert_eq!(fs::read_to_string(top.join(".gitignore")).unwrap(), "*\n");
    // A file that was there before a lock is an object like any other.
    fs::remove_file(top.join(".lock")).unwrap();
    assert_eq!(store.get("state.json").unwrap().unwrap().generation, Generation(1));
    assert!(!top.join(".lock").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let store = Local::open(folder.path().join("file/state"));
    assert_eq!(store.get("a"), Ok(None));
    let Err(StoreError::Refused { what, next }) = store.put("a", Expect::Absent, b"x") else {
        panic!("a file was taken for a folder");
    };
    assert!(what.contains("file/state") && next.contains("move the file away"), "{what}: {next}");
}

#[test]
fn locations_are_buckets_or_folders() {
    let top = Path::new("/repo");
    let shown = |text: &str| Location::parse(text, top).unwrap().to_string();
    for (text, meant) in [
        (".chronon-plan", "/repo/.chronon-plan"),
        ("/srv/state", "/srv/state"),
        ("a/b:c", "/repo/a/b:c"),
        ("gs://my-bucket", "gs://my-bucket"),
        ("gs://my-bucket/", "gs://my-bucket"),
        ("gs://my_bucket.of.ours/a/b c/", "gs://my_bucket.of.ours/a/b c"),
    ] {
        assert_eq!(shown(text), meant);
    }
    for (text, said) in [
        ("s3://bucket/x", "not supported"),
        ("file:///x", "not supported"),
        ("gs:/bucket", "not supported"),
        ("C:/state", "not supported"),
        ("", "empty"),
        ("~/state", "only a shell knows"),
        ("gs://", "3 to 63 characters"),
        ("gs://ab", "3 to 63 characters"),
        ("gs://Upper", "lower-case letters"),
        ("gs://-abc", "start and end with a letter"),
        ("gs://a..b", "between two dots"),
        ("gs://192.168.5.4/x", "IP address"),
        ("gs://google-state", "start with `goog`"),
        ("gs://my-bucket//x", "empty part"),
        ("gs://my-bucket/../x", "starts with `.`"),
    ] {
        let error = Location::parse(text, top).unwrap_err();
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(error.to_string().contains(text), "{text}: {error}");
        assert!(matches!(error, StateError::Refused { .. }) && !error.next().is_empty());
    }
}

#[test]
fn every_env_has_a_place_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let state = Location::parse("state", folder.path()).unwrap();
    let store = open(&state, "prod", None).unwrap();
    written(store.put("state.json", Expect::Absent, b"x"));
    assert!(folder.path().join("state/prod/state.json").is_file());
    assert_eq!(open(&state, "canary", None).unwrap().get("state.json"), Ok(None));
    assert!(matches!(open(&state, "../prod", None), Err(StateError::Refused { .. })));

    let server = gcs::Gcs::start();
    server.state("state");
    for (location, prefix) in [("gs://state", ""), ("gs://state/teams/a/", "teams/a/")] {
        let location = Location::parse(location, folder.path()).unwrap();
        // With and without a scheme, as other tools take it.
        for (env, endpoint) in
            [("prod", server.endpoint()), ("dev", server.endpoint()[7..].to_owned())]
        {
            let store = open(&location, env, Some(&endpoint)).unwrap();
            written(store.put("state.json", Expect::Absent, b"x"));
            assert!(server.object("state", &format!("{prefix}{env}/state.json")).is_some());
            assert_eq!(store.location(), format!("gs://state/{prefix}{env}"));
        }
    }
}
