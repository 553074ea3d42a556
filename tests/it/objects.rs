//! Reads and writes that end with an answer, whatever goes wrong on the way.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use chronon_plan::state::StateError;
use chronon_plan::state::clock::Clock;
use chronon_plan::state::gcs::Gcs;
use chronon_plan::state::objects::Objects;
use chronon_plan::state::store::Expect;
use chronon_plan::state::store::Generation;
use chronon_plan::state::store::Object;
use chronon_plan::state::store::Put;
use chronon_plan::state::store::Store;
use chronon_plan::state::store::StoreError;

use crate::support::clock;
use crate::support::gcs;
use crate::support::gcs::Fault;
use crate::support::gcs::Moment;

/// How long a call may take here, and how much longer one that stalls takes.
const TIMEOUT: Duration = Duration::from_millis(500);
const STALL: Duration = Duration::from_millis(900);

/// Everything after which the outcome must be as if nothing had been wrong.
const PASSING: [Fault; 14] = [
    Fault::Status(408),
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::BrokenBody,
    Fault::StatusAfter(408),
    Fault::StatusAfter(500),
    Fault::StatusAfter(503),
    Fault::StallBefore(STALL),
    Fault::StallAfter(STALL),
];

/// A server with a state bucket, without its limit: most tests here are about something else.
fn server() -> gcs::Gcs {
    let server = gcs::Gcs::start();
    server.state("state");
    server.unlimited();
    server
}

fn objects(server: &gcs::Gcs, clock: Clock) -> Objects {
    let store = Gcs::open("state", "prod", Some(&server.endpoint()), TIMEOUT).unwrap();
    // Long enough on a fast clock and a busy machine.
    Objects::new(Box::new(store), clock).within(Duration::from_secs(1200))
}

/// Where a write starts from: nothing, or somebody's object.
fn begun(server: &gcs::Gcs, create: bool) -> Expect {
    match create {
        true => Expect::Absent,
        false => Expect::At(Generation(server.put("state", "prod/a", b"before"))),
    }
}

/// Waits until every call has been decided, also those that their client gave up.
fn settled(server: &gcs::Gcs) {
    while server.calls().iter().any(|call| call.status.is_none() && call.is_write()) {
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a raw answer of a store is, in one word.
fn word<T>(answer: &Result<T, StoreError>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(StoreError::Busy(_)) => "busy",
        Err(StoreError::Unclear(_)) => "unclear",
        Err(StoreError::Refused { .. }) => "refused",
    }
}

#[test]
fn every_answer_has_its_meaning_and_no_call_is_made_twice() {
    let statuses =
        [(429, "busy", "busy"), (401, "refused", "refused"), (403, "refused", "refused")];
    let lost = [408, 500, 502, 503, 504].map(|status| (status, "unclear", "busy"));
    let faults = statuses.into_iter().chain(lost).map(|it| (Fault::Status(it.0), it.1, it.2));
    let others =
        [Fault::ResetBefore, Fault::ResetAfter, Fault::BrokenBody, Fault::StallAfter(STALL)];
    let others = others.map(|fault| (fault, "unclear", "busy"));
    for (fault, put, get) in faults.chain(others) {
        let server = server();
        let generation = Generation(server.put("state", "prod/a", b"there"));
        let store = Gcs::open("state", "prod", Some(&server.endpoint()), TIMEOUT).unwrap();
        server.fail(9, fault, |_| true);
        assert_eq!(word(&store.put("b", Expect::Absent, b"x")), put, "{fault:?}");
        assert_eq!(word(&store.put("a", Expect::At(generation), b"x")), put, "{fault:?}");
        assert_eq!(word(&store.get("a")), get, "{fault:?}");
        assert_eq!(server.calls().len(), 3, "{fault:?}");
    }
}

#[test]
fn a_write_that_goes_wrong_is_made_exactly_once() {
    let one = |fault: Fault, create: bool| {
        let server = server();
        let expect = begun(&server, create);
        let objects = objects(&server, clock::fast(20));
        server.fail(1, fault, gcs::Call::is_write);
        let put = objects.put("a", expect, b"ours");
        let resets = matches!(fault, Fault::ResetBefore | Fault::ResetAfter);
        if !resets {
            settled(&server);
        }
        let found = server.object("state", "prod/a").unwrap();
        let case = format!("{fault:?}, create: {create}");
        assert_eq!(put, Ok(Put::Written(Generation(found.generation))), "{case}");
        assert_eq!(found.bytes, b"ours", "{case}");
        assert_eq!(found.writes, if create { 1 } else { 2 }, "{case}");
        assert_eq!(server.violations(), [""; 0], "{case}");
        assert_eq!(found.content_type, "application/json");
    };
    thread::scope(|scope| {
        for create in [true, false] {
            for fault in PASSING {
                scope.spawn(move || one(fault, create));
            }
        }
    });
}

/// The read that resolves a lost answer goes wrong as well, and so does the second write.
#[test]
fn faults_that_follow_each_other_change_nothing() {
    let one = |first: Fault, then: Fault, create: bool| {
        let server = server();
        let expect = begun(&server, create);
        let objects = objects(&server, clock::fast(20));
        server.fail(1, first, gcs::Call::is_write);
        server.fail(2, then, gcs::Call::is_read);
        server.fail(1, first, gcs::Call::is_write);
        let put = objects.put("a", expect, b"ours");
        let found = server.object("state", "prod/a").unwrap();
        assert_eq!(put, Ok(Put::Written(Generation(found.generation))), "{first:?}, {then:?}");
        assert_eq!(found.writes, if create { 1 } else { 2 }, "{first:?}, {then:?}");
    };
    let firsts = [Fault::ResetBefore, Fault::ResetAfter, Fault::Status(429), Fault::BrokenBody];
    let thens = [Fault::Status(503), Fault::ResetAfter, Fault::BrokenBody, Fault::Status(429)];
    thread::scope(|scope| {
        for create in [true, false] {
            for first in firsts {
                scope.spawn(move || thens.into_iter().for_each(|then| one(first, then, create)));
            }
        }
    });
}

#[test]
fn a_read_that_goes_wrong_is_made_again() {
    let one = |fault: Fault| {
        let server = server();
        let generation = Generation(server.put("state", "prod/a", b"there"));
        let objects = objects(&server, clock::fast(20));
        server.fail(2, fault, gcs::Call::is_read);
        let found = Object { generation, bytes: b"there".to_vec() };
        assert_eq!(objects.get("a"), Ok(Some(found)), "{fault:?}");
        server.fail(1, fault, gcs::Call::is_read);
        assert_eq!(objects.get("b"), Ok(None), "{fault:?}");
        assert!(server.calls().len() >= 5, "{fault:?}");
    };
    thread::scope(|scope| {
        for fault in PASSING {
            scope.spawn(move || one(fault));
        }
    });
}

#[test]
fn what_is_not_permitted_is_not_tried_again() {
    for status in [401, 403] {
        for create in [true, false] {
            let server = server();
            let expect = begun(&server, create);
            let objects = objects(&server, clock::real());
            server.fail(9, Fault::Status(status), |_| true);
            let write = objects.put("a", expect, b"ours").unwrap_err();
            let read = objects.get("a").unwrap_err();
            assert_eq!(server.calls().len(), 2, "{status}");
            for (error, permission) in
                [(&write, "storage.objects.create"), (&read, "storage.objects.get")]
            {
                assert!(matches!(error, StateError::Refused { .. }), "{error:?}");
                assert!(error.to_string().contains("gs://state/prod/a"), "{error}");
                let told = format!("{error} {}", error.next());
                assert!(told.contains(permission), "{told}");
                let command = if status == 401 {
                    "gcloud auth application-default login"
                } else {
                    "gcloud storage buckets add-iam-policy-binding gs://state"
                };
                assert!(told.contains(command), "{told}");
            }
            let delete = write.next().contains("storage.objects.delete");
            assert_eq!(delete, status == 403 && !create, "{}", write.next());
        }
    }
}

#[test]
fn a_bucket_that_is_not_there_is_said_to_be_missing() {
    let server = gcs::Gcs::start();
    let objects = objects(&server, clock::real());
    let errors =
        [objects.get("a").unwrap_err(), objects.put("a", Expect::Absent, b"x").unwrap_err()];
    for error in errors {
        assert!(error.to_string().ends_with("there is no such bucket"), "{error}");
        assert_eq!(error.next(), "gcloud storage buckets create gs://state");
    }
}

#[test]
fn a_server_that_is_gone_is_not_waited_for_longer_than_was_asked() {
    let server = gcs::Gcs::start();
    let objects = objects(&server, clock::fast(100)).within(Duration::from_secs(60));
    drop(server);
    for error in
        [objects.get("a").unwrap_err(), objects.put("a", Expect::Absent, b"x").unwrap_err()]
    {
        let StateError::NoAnswer { after, unclear, .. } = &error else { panic!("{error:?}") };
        // The last attempt begins in time and is not broken off.
        assert!(*after < Duration::from_secs(90) && !unclear, "{error:?}");
    }
}

/// Somebody else writes in the middle of our write, at every moment at which that can be.
#[test]
fn somebody_elses_write_is_a_conflict() {
    let faults =
        [None, Some(Fault::ResetBefore), Some(Fault::StatusAfter(503)), Some(Fault::BrokenBody)];
    for (moment, fault) in
        [Moment::Before, Moment::After].into_iter().flat_map(|it| faults.map(|fault| (it, fault)))
    {
        // A write whose answer arrives was ours, whatever came after; and where the fault comes
        // first, there is no moment after.
        let answered = moment == Moment::After && fault.is_none();
        if answered || (moment == Moment::After && fault == Some(Fault::ResetBefore)) {
            continue;
        }
        for create in [true, false] {
            let server = Arc::new(server());
            let expect = begun(&server, create);
            let objects = objects(&server, clock::fast(20));
            if let Some(fault) = fault {
                server.fail(1, fault, gcs::Call::is_write);
            }
            let (once, theirs) = (AtomicBool::new(false), Arc::downgrade(&server));
            server.hook(move |at, _| {
                if at == moment && !once.swap(true, Ordering::SeqCst) {
                    theirs.upgrade().unwrap().put("state", "prod/a", b"theirs");
                }
            });
            let case = format!("{moment:?} {fault:?} create: {create}");
            assert_eq!(objects.put("a", expect, b"ours"), Ok(Put::Conflict), "{case}");
            assert_eq!(server.object("state", "prod/a").unwrap().bytes, b"theirs", "{case}");
        }
    }
}

/// By the machine's clock, against the server's rule of one write a second.
#[test]
fn one_object_is_written_once_a_second_by_all_threads_together() {
    let server = gcs::Gcs::start();
    server.state("state");
    let objects = objects(&server, clock::real());
    let start = Instant::now();
    objects.put("a", Expect::Absent, b"0").unwrap();
    server.fail(1, Fault::StatusAfter(503), |call| call.is_write() && call.object == "prod/a");
    let append = |own: u8| {
        loop {
            let mut found = objects.get("a").unwrap().unwrap();
            found.bytes.push(own);
            let put = objects.put("a", Expect::At(found.generation), &found.bytes).unwrap();
            if put != Put::Conflict {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for own in [b'1', b'2', b'3'] {
            scope.spawn(move || append(own));
        }
        // Other objects do not wait for this one.
        for other in 0..20 {
            let put = objects.put(&format!("journal/{other}"), Expect::Absent, b"x").unwrap();
            assert_ne!(put, Put::Conflict);
        }
        assert!(start.elapsed() < Duration::from_secs(15));
    });
    let mut bytes = server.object("state", "prod/a").unwrap().bytes;
    bytes.sort_unstable();
    assert_eq!(bytes, b"0123");
    assert!(start.elapsed() >= Duration::from_secs(3));
    assert_eq!(server.violations(), [""; 0]);
}

/// A store that answers from a list, and a clock on which only waiting takes time.
struct Scripted {
    answers: Mutex<Vec<Result<Put, StoreError>>>,
    last: Result<Put, StoreError>,
    there: Option<Object>,
    pace: Duration,
    puts: Arc<AtomicUsize>,
}

impl Store for Scripted {
    fn get(&self, _: &str) -> Result<Option<Object>, StoreError> {
        Ok(self.there.clone())
    }

    fn put(&self, _: &str, _: Expect, _: &[u8]) -> Result<Put, StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.answers.lock().unwrap().pop().unwrap_or_else(|| self.last.clone())
    }

    fn pace(&self) -> Duration {
        self.pace
    }

    fn location(&self) -> String {
        "a script".to_owned()
    }
}

/// What was waited for, on a clock that stands still otherwise.
type Waits = Arc<Mutex<Vec<Duration>>>;

fn standing() -> (Clock, Waits) {
    let waits = Waits::default();
    let (seen, slept) = (Arc::clone(&waits), Arc::clone(&waits));
    let now = move || seen.lock().unwrap().iter().sum();
    (Clock::new(now, move |time| slept.lock().unwrap().push(time), || 0.5), waits)
}

fn scripted(last: Result<Put, StoreError>) -> Scripted {
    let answers = Mutex::new(Vec::new());
    Scripted { answers, last, there: None, pace: Duration::ZERO, puts: Arc::default() }
}

#[test]
fn waits_grow_up_to_a_limit_and_end_in_time() {
    for (end, unclear) in
        [(StoreError::Busy("b".to_owned()), false), (StoreError::Unclear("u".to_owned()), true)]
    {
        let (clock, waits) = standing();
        let store = scripted(Err(end));
        let puts = Arc::clone(&store.puts);
        let error = Objects::new(Box::new(store), clock).put("a", Expect::Absent, b"x");
        let waits = waits.lock().unwrap();
        let all: Duration = waits.iter().sum();
        let why = if unclear { "u" } else { "b" }.to_owned();
        let place = "a in a script".to_owned();
        assert_eq!(error, Err(StateError::NoAnswer { place, why, after: all, unclear }));
        assert!(waits.is_sorted() && waits[0] < Duration::from_millis(250));
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(8)));
        assert!(all > Duration::from_secs(45) && all <= Duration::from_secs(60), "{all:?}");
        assert_eq!(puts.load(Ordering::SeqCst), waits.len() + 1);
    }
}

#[test]
fn a_shorter_time_is_kept() {
    let (clock, waits) = standing();
    let all = Objects::new(Box::new(scripted(Err(StoreError::Busy(String::new())))), clock);
    let short = all.within(Duration::from_secs(2)).put("a", Expect::Absent, b"x");
    assert!(matches!(short, Err(StateError::NoAnswer { .. })), "{short:?}");
    assert!(waits.lock().unwrap().iter().sum::<Duration>() <= Duration::from_secs(2));
}

#[test]
fn a_write_that_was_ours_is_found_whatever_was_answered() {
    let there = Some(Object { generation: Generation(7), bytes: b"x".to_vec() });
    for last in [Ok(Put::Conflict), Err(StoreError::Unclear(String::new()))] {
        for expect in [Expect::Absent, Expect::At(Generation(6))] {
            let store = Scripted { there: there.clone(), ..scripted(last.clone()) };
            let objects = Objects::new(Box::new(store), standing().0);
            assert_eq!(objects.put("a", expect, b"x"), Ok(Put::Written(Generation(7))));
            assert_eq!(objects.put("a", expect, b"y"), Ok(Put::Conflict));
        }
    }
}

#[test]
fn the_next_write_of_an_object_waits_and_that_of_another_does_not() {
    let (clock, waits) = standing();
    let written = Ok(Put::Written(Generation(1)));
    let store = Scripted { pace: Duration::from_secs(1), ..scripted(written) };
    let objects = Objects::new(Box::new(store), clock.clone());
    objects.put("a", Expect::Absent, b"1").unwrap();
    objects.put("b", Expect::Absent, b"1").unwrap();
    assert!(waits.lock().unwrap().is_empty());
    objects.clone().put("a", Expect::At(Generation(1)), b"2").unwrap();
    assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(1)]);
    // What has passed already is not waited for again.
    clock.sleep(Duration::from_millis(600));
    objects.put("a", Expect::At(Generation(1)), b"3").unwrap();
    assert_eq!(waits.lock().unwrap()[2..], [Duration::from_millis(400)]);
}

#[test]
fn an_apply_is_told_what_to_do_next() {
    let place = || "a".to_owned();
    let after = Duration::from_secs(60);
    let none = |unclear| StateError::NoAnswer { place: place(), why: place(), after, unclear };
    assert!(none(false).next().contains("nothing was written"));
    assert!(none(true).next().contains("what was written is found"));
    assert_eq!(none(true).to_string(), "no answer about a in 60 seconds: a");
}
