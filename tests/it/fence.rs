//! The lock and its fences, one thing at a time: many at once, a holder that wakes too late,
//! answers that get lost, serials that are taken, and whoever writes without asking.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use chronon_plan::model::ledger::Ledger;
use chronon_plan::state::fold;
use chronon_plan::state::head;
use chronon_plan::state::head::Head;
use chronon_plan::state::head::SaveError;
use chronon_plan::state::journal::Carried;
use chronon_plan::state::journal::Event;
use chronon_plan::state::journal::Journal;
use chronon_plan::state::journal::JournalError;
use chronon_plan::state::lease;
use chronon_plan::state::lease::Ask;
use chronon_plan::state::lease::Lease;
use chronon_plan::state::ledger::Row;
use chronon_plan::state::local::Local;
use chronon_plan::state::objects::Objects;
use chronon_plan::state::store::Expect;
use chronon_plan::state::store::Object;
use chronon_plan::state::store::Put;
use chronon_plan::state::store::Store;
use chronon_plan::state::store::StoreError;

use crate::lock::ENV;
use crate::lock::acquire;
use crate::lock::applied;
use crate::lock::ask;
use crate::lock::opened;
use crate::lock::resource;
use crate::lock::started;
use crate::support::clock::fast;
use crate::support::memory::Hours;
use crate::support::memory::Loss;
use crate::support::memory::Lossy;
use crate::support::memory::Memory;
use crate::support::memory::objects;

const HOUR: Duration = Duration::from_secs(3600);

fn row(run: &str) -> Row {
    let (config, table) = resource(run);
    Row::of(&config, table, &applied(run, 1))
}

fn with(mut ledger: Ledger, run: &str) -> Ledger {
    ledger.applied.insert(resource(run), applied(run, 1));
    ledger
}

fn first(objects: &Objects) -> Head {
    let ledger = Ledger { lineage: "lineage".to_owned(), ..Ledger::default() };
    head::save(objects, ENV, "first", None, ledger).unwrap()
}

/// Many take the lock at once; whoever has it counts, in a way that two at once would spoil.
fn everybody_gets_it_and_never_two(store: impl Store + 'static) {
    const MANY: usize = 32;
    // A fifth of a second passes in a millisecond, so that waiting takes no time.
    let objects = Objects::new(Box::new(store), fast(200));
    let (inside, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..MANY {
            let (objects, inside, count) = (&objects, &inside, &count);
            scope.spawn(move || {
                let ask =
                    Ask { ttl: 24 * HOUR, patience: 240 * HOUR, ..ask(&format!("r{number}")) };
                let lease =
                    lease::acquire(objects, &ask, &|_| false, &|| false, &mut |_| ()).unwrap();
                assert!(!inside.swap(true, Ordering::SeqCst), "two are inside");
                let before = count.load(Ordering::SeqCst);
                thread::yield_now();
                assert!(lease.is_held());
                count.store(before + 1, Ordering::SeqCst);
                assert!(inside.swap(false, Ordering::SeqCst), "two were inside");
                lease.release(Vec::new()).unwrap();
            });
        }
    });
    assert_eq!(count.into_inner(), MANY);
    let (_, document) = lease::look(&objects).unwrap().unwrap();
    assert!(document.holder.is_none() && document.unfinished.is_empty());
}

#[test]
fn of_many_in_memory_one_has_the_lock() {
    everybody_gets_it_and_never_two(Memory::default());
}

#[test]
fn of_many_in_a_folder_one_has_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    everybody_gets_it_and_never_two(Local::open(folder.path()));
}

/// A holder that stopped at a point, and one that took over.
struct Takeover {
    store: Memory,
    early: Objects,
    late: Objects,
    time: Hours,
}

impl Takeover {
    /// The clocks of the two disagree by an hour, and neither begins at nothing.
    fn new() -> Self {
        let (store, time) = (Memory::default(), Hours::default());
        let objects = |offset| Objects::new(Box::new(store.clone()), time.clock(offset));
        let (early, late) = (objects(5 * HOUR), objects(4 * HOUR));
        first(&early);
        Self { store, early, late, time }
    }

    /// Takes over from `early`, applies something, and writes the ledger.
    fn take(&self) -> (Lease<'_>, Head) {
        let lease = acquire(&self.late, "late").unwrap();
        assert_eq!(lease.unfinished, ["early"]);
        let journals = fold::seal(&self.late, &lease.unfinished, "late").unwrap();
        let head = head::load(&self.late, ENV).unwrap().unwrap();
        let ledger = Ledger::clone(&fold::onto(&head, &fold::gather(journals, Some(&head))));
        assert!(lease.is_held());
        let saved = head::save(&self.late, ENV, "late", Some(&head), with(ledger, "late")).unwrap();
        (lease, saved)
    }
}

#[test]
fn a_holder_that_wakes_too_late_can_do_nothing() {
    let both = Takeover::new();
    let lease = acquire(&both.early, "early").unwrap();
    let head = head::load(&both.early, ENV).unwrap().unwrap();
    let journal = Journal::of(&both.early, "early");
    let applied = Event::Applied { rows: vec![row("early")] };
    journal.add(vec![opened("early", &Carried::default()), started("early"), applied]).unwrap();
    assert!(lease.is_held());
    let (other, saved) = both.take();
    assert!(!lease.is_held() && other.is_held());
    let content = both.store.content();
    // What was written before the pause is not lost.
    assert!(saved.ledger.applied.contains_key(&resource("early")));
    assert_eq!(lease.renew(), Err(lease::Lost));
    assert_eq!(journal.add(vec![started("again")]), Err(JournalError::Sealed));
    // And after the first refusal nothing is even tried.
    assert_eq!(journal.add(vec![started("again")]), Err(JournalError::Sealed));
    let ledger = with(Ledger::clone(&head.ledger), "zombie");
    assert_eq!(head::save(&both.early, ENV, "early", Some(&head), ledger), Err(SaveError::Changed));
    assert_eq!(lease.release(Vec::new()), Err(lease::Lost));
    let kept = |key: &str| both.store.content().get(key) == content.get(key);
    assert!(content.keys().all(|key| kept(key)), "what the other wrote stands");
    let known = fold::known(&both.late, ENV).unwrap().ledger.unwrap();
    assert_eq!(known, saved.ledger);
    assert!(!known.applied.contains_key(&resource("zombie")));
    assert!(other.is_held() && other.renew().is_ok());
    other.release(Vec::new()).unwrap();
}

#[test]
fn a_lock_that_ran_out_and_that_nobody_took_can_be_renewed() {
    let both = Takeover::new();
    let lease = acquire(&both.early, "early").unwrap();
    both.time.pass(HOUR);
    assert!(!lease.is_held());
    assert_eq!(lease.renew(), Ok(()));
    assert!(lease.is_held());
}

#[test]
fn a_renewal_whose_answer_got_lost_does_not_count_for_the_next() {
    let (store, time) = (Memory::default(), Hours::default());
    // The first write takes the lock; the second is the renewal.
    let lossy = Lossy::of(store.clone(), Some((1, Loss::After))).silent_after_it(1);
    let clock = time.clock(HOUR);
    let objects = Objects::new(Box::new(lossy), clock).within(Duration::from_millis(100));
    let lease = acquire(&objects, "early").unwrap();
    lease.renew().unwrap();
    let renewed = lease::look(&objects).unwrap().unwrap();
    assert_eq!(renewed.1.beat, 1, "it was written, and nobody said so");
    time.pass(Duration::from_secs(3));
    lease.renew().unwrap();
    let again = lease::look(&objects).unwrap().unwrap();
    assert!(lease.is_held() && again.0 > renewed.0, "the lease lasts from a write that others see");
}

#[test]
fn a_lease_lasts_as_long_as_it_says_to_others() {
    let time = Hours::default();
    let objects = Objects::new(Box::new(Memory::default()), time.clock(HOUR));
    let ask = Ask { ttl: Duration::from_millis(1900), ..ask("early") };
    let lease = lease::acquire(&objects, &ask, &|_| false, &|| false, &mut |_| ()).unwrap();
    let told = lease::look(&objects).unwrap().unwrap().1.ttl_seconds;
    time.pass(Duration::from_secs(told));
    assert!(!lease.is_held(), "others may take over after {told} s");
}

/// A whole run, alone.
fn whole(objects: &Objects) -> Ledger {
    let before = first(objects);
    let lease = acquire(objects, "run").unwrap();
    lease.renew().unwrap();
    let journal = Journal::of(objects, "run");
    journal.add(vec![opened("run", &Carried::default())]).unwrap();
    journal.add(vec![started("run")]).unwrap();
    journal.add(vec![Event::Applied { rows: vec![row("run")] }]).unwrap();
    assert!(lease.is_held());
    let ledger = with(Ledger::clone(&before.ledger), "run");
    let saved = head::save(objects, ENV, "run", Some(&before), ledger).unwrap();
    lease.release(Vec::new()).unwrap();
    assert_eq!(head::load(objects, ENV), Ok(Some(saved.clone())));
    Ledger::clone(&saved.ledger)
}

/// Loses each answer in turn, before and after the write.
fn lost_answers_change_nothing<S: Store + Clone + 'static>(
    open: impl Fn() -> S,
    same: impl Fn(&S, &S) -> bool,
) {
    let undisturbed = open();
    let calm = Lossy::of(undisturbed.clone(), None);
    let ledger = whole(&objects(calm.clone()));
    assert!(calm.puts() >= 9, "{}", calm.puts());
    for number in 0..calm.puts() {
        for loss in [Loss::Before, Loss::After] {
            let store = open();
            let lossy = Lossy::of(store.clone(), Some((number, loss)));
            assert_eq!(whole(&objects(lossy.clone())), ledger, "{number} {loss:?}");
            assert!(same(&store, &undisturbed), "{number} {loss:?}");
            // What was not written is sent again, what was written is not.
            let more = usize::from(loss == Loss::Before);
            assert_eq!(lossy.puts(), calm.puts() + more, "{number} {loss:?}");
        }
    }
}

#[test]
fn answers_that_get_lost_in_memory_change_nothing() {
    lost_answers_change_nothing(Memory::default, |one, other| one.content() == other.content());
}

#[test]
fn answers_that_get_lost_by_a_folder_change_nothing() {
    let folders = tempfile::tempdir().unwrap();
    let number = AtomicUsize::new(0);
    let open = || {
        let number = number.fetch_add(1, Ordering::SeqCst);
        Folder(folders.path().join(number.to_string()))
    };
    lost_answers_change_nothing(open, |one, other| {
        ["state.json", "lock.json", "history/2.json", "journal/run/2.json"].iter().all(|key| {
            let object = one.get(key).unwrap();
            object.is_some() && object == other.get(key).unwrap()
        })
    });
}

/// A folder that is opened anew for each call, as by another process.
#[derive(Clone)]
struct Folder(PathBuf);

impl Store for Folder {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        Local::open(&self.0).get(key)
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        Local::open(&self.0).put(key, expect, bytes)
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn location(&self) -> String {
        self.0.display().to_string()
    }
}

#[test]
fn a_serial_of_a_write_that_was_given_up_is_passed_over() {
    let store = Memory::default();
    let objects = objects(store.clone());
    let before = first(&objects);
    // Somebody wrote these, and died before one became the head.
    for serial in [2, 3] {
        let key = format!("history/{serial}.json");
        objects.put(&key, Expect::Absent, b"given up").unwrap();
    }
    let ledger = with(Ledger::clone(&before.ledger), "run");
    let saved = head::save(&objects, ENV, "run", Some(&before), ledger).unwrap();
    assert_eq!(saved.ledger.serial, 4);
    assert_eq!(saved.ledger.parent.as_ref().map(|it| it.serial), Some(1));
    assert_eq!(head::load(&objects, ENV), Ok(Some(saved.clone())));
    let kept = store.content();
    assert_eq!(kept["history/4.json"].bytes, kept["state.json"].bytes);
    assert_eq!(kept["history/2.json"].bytes, b"given up");
    let next =
        head::save(&objects, ENV, "next", Some(&saved), Ledger::clone(&saved.ledger)).unwrap();
    assert_eq!(next.ledger.serial, 5);
}

#[test]
fn a_ledger_that_somebody_else_changed_is_left_as_it_is() {
    let store = Memory::default();
    let objects = objects(store.clone());
    let before = first(&objects);
    let theirs = with(Ledger::clone(&before.ledger), "theirs");
    let theirs = head::save(&objects, ENV, "theirs", Some(&before), theirs).unwrap();
    let ours = with(Ledger::clone(&before.ledger), "ours");
    let refused = head::save(&objects, ENV, "ours", Some(&before), ours.clone());
    assert_eq!(refused, Err(SaveError::Changed));
    // Nor where it is taken for the first one, or was written by hand.
    assert_eq!(head::save(&objects, ENV, "ours", None, ours.clone()), Err(SaveError::Changed));
    assert_eq!(head::load(&objects, ENV), Ok(Some(theirs.clone())));
    let bytes = store.content()["state.json"].bytes.clone();
    objects.put("state.json", Expect::At(theirs.generation), &bytes).unwrap();
    let refused = head::save(&objects, ENV, "ours", Some(&theirs), ours);
    assert_eq!(refused, Err(SaveError::Changed));
}

/// A store on which another run begins and ends between two reads of somebody else.
struct Interrupted {
    store: Memory,
    reads: AtomicUsize,
}

impl Store for Interrupted {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let found = self.store.get(key);
        if self.reads.fetch_add(1, Ordering::SeqCst) == 0 {
            let objects = objects(self.store.clone());
            let lease = acquire(&objects, "late").unwrap();
            let journals = fold::seal(&objects, &lease.unfinished, "late").unwrap();
            let head = head::load(&objects, ENV).unwrap().unwrap();
            let mut ledger =
                Ledger::clone(&fold::onto(&head, &fold::gather(journals, Some(&head))));
            ledger.applied.insert(resource("early"), applied("late", 2));
            head::save(&objects, ENV, "late", Some(&head), ledger).unwrap();
            lease.release(Vec::new()).unwrap();
        }
        found
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        self.store.put(key, expect, bytes)
    }

    fn pace(&self) -> Duration {
        self.store.pace()
    }

    fn location(&self) -> String {
        self.store.location()
    }
}

#[test]
fn a_run_that_ends_while_somebody_reads_is_not_hidden_by_the_one_before() {
    let store = Memory::default();
    let before = objects(store.clone());
    first(&before);
    let lease = acquire(&before, "early").unwrap();
    let applied = Event::Applied { rows: vec![row("early")] };
    let journal = Journal::of(&before, "early");
    journal.add(vec![opened("early", &Carried::default()), applied]).unwrap();
    lease.release(vec!["early".to_owned()]).unwrap();
    let known = fold::known(&before, ENV).unwrap();
    assert_eq!((known.journaled, known.lock.unwrap().holder), (1, None));
    assert_eq!(known.ledger.unwrap().applied[&resource("early")].run, "early");
    let interrupted = Interrupted { store, reads: AtomicUsize::new(0) };
    let known = fold::known(&objects(interrupted), ENV).unwrap();
    assert_eq!(known.ledger.unwrap().applied[&resource("early")].run, "late");
    assert_eq!(known.journaled, 0);
}

#[test]
fn a_correction_that_was_cut_off_before_it_gave_the_lock_back_stands() {
    let both = Takeover::new();
    let lease = acquire(&both.early, "early").unwrap();
    let journal = Journal::of(&both.early, "early");
    journal.add(vec![Event::Applied { rows: vec![row("early")] }]).unwrap();
    drop(lease);
    let before = fold::known(&both.early, ENV).unwrap();
    assert!(before.ledger.unwrap().applied.contains_key(&resource("early")));
    // Another run takes over, forgets the resource, and dies before it releases the lock.
    let lease = acquire(&both.late, "late").unwrap();
    fold::seal(&both.late, &lease.unfinished, "late").unwrap();
    let head = head::load(&both.late, ENV).unwrap().unwrap();
    let mut ledger = Ledger::clone(&head.ledger);
    ledger.applied.remove(&resource("early"));
    ledger.superseded = lease.unfinished.clone();
    head::save(&both.late, ENV, "late", Some(&head), ledger).unwrap();
    drop(lease);
    let after = fold::known(&both.early, ENV).unwrap();
    assert!(!after.ledger.unwrap().applied.contains_key(&resource("early")));
}
