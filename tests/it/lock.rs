//! The lock, the fences and the journal, in every order in which two runs can meet.
//!
//! The workers do what a command does under the lock, by the code that the command runs; the
//! driver in `support/interleave.rs` decides who goes next, whose lease runs out, and whose answer
//! gets lost. Each of these is exhaustive within its bounds:
//!
//! - no answer is lost, and workers are held back any number of times, up to the order of steps
//!   that have nothing to do with each other;
//! - the same with one more renewal, where a worker that could go on is held back up to three
//!   times; and without that bound, in a test that is run by name (`--ignored`);
//! - one answer is lost, in each of five ways, and a worker that could go on is held back once.
//!
//! Beyond that chance decides: three workers, two lost answers. What is not modelled is the thread
//! that renews the lease: here a worker renews it between two other calls. That the driver finds
//! what is wrong is shown on stores that break their promises.

use std::collections::BTreeSet;
use std::time::Duration;

use chronon_plan::model::ledger::Applied;
use chronon_plan::model::ledger::Fingerprint;
use chronon_plan::model::ledger::Ledger;
use chronon_plan::model::name::Address;
use chronon_plan::model::name::BlobId;
use chronon_plan::model::name::CommitId;
use chronon_plan::model::name::ConfigType;
use chronon_plan::model::name::Resource;
use chronon_plan::state::fold;
use chronon_plan::state::head;
use chronon_plan::state::head::Head;
use chronon_plan::state::head::SaveError;
use chronon_plan::state::journal::Carried;
use chronon_plan::state::journal::Ending;
use chronon_plan::state::journal::Event;
use chronon_plan::state::journal::Journal;
use chronon_plan::state::journal::JournalError;
use chronon_plan::state::journal::Page;
use chronon_plan::state::lease;
use chronon_plan::state::lease::Ask;
use chronon_plan::state::lease::Holder;
use chronon_plan::state::lease::Lease;
use chronon_plan::state::ledger;
use chronon_plan::state::ledger::Row;
use chronon_plan::state::objects::Objects;

use crate::support::interleave::Explored;
use crate::support::interleave::FAULTS;
use crate::support::interleave::Fate;
use crate::support::interleave::Rules;
use crate::support::interleave::World;
use crate::support::interleave::explore;
use crate::support::interleave::walk;
use crate::support::memory::Content;
use crate::support::memory::Memory;
use crate::support::memory::Plant;
use crate::support::memory::objects;

pub(crate) const ENV: &str = "prod";

const TTL: Duration = Duration::from_secs(4);

/// Longer than a lease: whoever waits looks once, and then not before it may have run out.
const NAP: Duration = Duration::from_secs(5);

/// Two of them are longer than a lease, one is not.
const SHORT_NAP: Duration = Duration::from_millis(2400);

/// A run of before, whose journal is in no ledger yet.
const OLD: &str = "old";

/// A resource that every run brings about anew: each counts one more in it.
const SHARED: &str = "shared";

pub(crate) fn resource(name: &str) -> (Address, Resource) {
    (Address::new(ConfigType::GroupBy, name), Resource::Table)
}

/// A resource as a run applied it; `count` is kept where a ledger keeps a job.
pub(crate) fn applied(run: &str, count: usize) -> Applied {
    Applied {
        fingerprint: Fingerprint([7; 32]),
        own: Fingerprint([8; 32]),
        upstream: Vec::new(),
        version: 1,
        commit: CommitId("c0ffee".to_owned()),
        path: "compiled/group_bys/x".to_owned(),
        blob: BlobId([9; 20]),
        range: None,
        run: run.to_owned(),
        job: Some(count.to_string()),
        at: "2026-11-22T00:00:00Z".to_owned(),
        begun: false,
    }
}

fn counted(ledger: &Ledger, name: &str) -> usize {
    let job = ledger.applied.get(&resource(name)).and_then(|it| it.job.as_ref());
    job.map_or(0, |it| it.parse().unwrap())
}

pub(crate) fn ask(run: &str) -> Ask {
    Ask {
        nonce: format!("nonce of {run}"),
        holder: Holder { run: run.to_owned(), ..Holder::default() },
        ttl: TTL,
        patience: Duration::from_secs(36_000),
    }
}

pub(crate) fn acquire<'a>(objects: &'a Objects, run: &str) -> Option<Lease<'a>> {
    lease::acquire(objects, &ask(run), &|_| false, &|| false, &mut |_| ()).ok()
}

fn work(run: &str) -> String {
    format!("work of {run}")
}

pub(crate) fn started(run: &str) -> Event {
    let (work, operation) = (work(run), format!("operation of {run}"));
    Event::Started { work, step: "step".to_owned(), operation, same: false }
}

fn ended(work: String) -> Event {
    Event::Ended { work, step: "step".to_owned(), how: Ending::Done, what: None }
}

pub(crate) fn opened(run: &str, carried: &Carried) -> Event {
    let carried = Carried { commit: None, ..carried.clone() };
    Event::Opened { plan: "plan".to_owned(), commit: Some(run.to_owned()), as_of: None, carried }
}

/// What is there before anybody comes: a ledger, and a run that ended before it could write the
/// next: it applied something, and a job of it may be running. `sealed`: somebody has looked at it.
fn before(sealed: bool) -> Content {
    let store = Memory::default();
    let objects = objects(store.clone());
    let first = Ledger { lineage: "lineage".to_owned(), ..Ledger::default() };
    head::save(&objects, ENV, "first", None, first).unwrap();
    let lease = acquire(&objects, OLD).unwrap();
    let (config, table) = resource(OLD);
    let row = Row::of(&config, table, &applied(OLD, 1));
    let mut events = vec![opened(OLD, &Carried::default()), Event::Applied { rows: vec![row] }];
    events.push(started(OLD));
    // A seal is a page of its own; one page is one call less for everybody.
    events.extend(sealed.then(|| Event::Sealed { by: "another".to_owned() }));
    Journal::of(&objects, OLD).add(events).unwrap();
    lease.release(vec![OLD.to_owned()]).unwrap();
    store.content()
}

/// What a run was told, and so may rely on.
#[derive(Debug, Default)]
struct Told {
    run: String,
    /// Its resource is applied; and this is what it counted.
    applied: Option<usize>,
    /// The ledger was written under this serial.
    saved: Option<u64>,
}

/// How far a run got with journals; what it must name when it gives the lock back.
#[derive(Default)]
struct Standing {
    journaled: bool,
    folded: bool,
}

/// In how many calls a run does what it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// What can come together does, and the lease is renewed once.
    Brief,
    /// The same, and it is renewed twice.
    Renewing,
    /// As many as a command makes.
    Full,
}

fn brief(world: &World, worker: usize) -> Told {
    run(world, worker, Habit::Brief)
}

fn renewing(world: &World, worker: usize) -> Told {
    run(world, worker, Habit::Renewing)
}

fn full(world: &World, worker: usize) -> Told {
    run(world, worker, Habit::Full)
}

/// A run, from the lock to its release.
fn run(world: &World, worker: usize, habit: Habit) -> Told {
    let run = format!("run{worker}");
    let mut told = Told { run: run.clone(), ..Told::default() };
    let objects = world.objects(worker);
    let Some(lease) = acquire(&objects, &run) else { return told };
    let at_work = AtWork { world, worker, run: &run, objects: &objects, lease: &lease, habit };
    at_work.look();
    let mut standing = Standing::default();
    if at_work.work(&mut told, &mut standing).is_none() {
        world.note("gave up");
    }
    let mut unfinished = if standing.folded { Vec::new() } else { lease.unfinished.clone() };
    unfinished.extend(standing.journaled.then_some(run));
    world.lets_go(worker);
    if lease.release(unfinished).is_err() {
        world.note("lost");
    }
    told
}

/// A run that has the lock.
struct AtWork<'a> {
    world: &'a World,
    worker: usize,
    run: &'a str,
    objects: &'a Objects,
    lease: &'a Lease<'a>,
    habit: Habit,
}

impl AtWork<'_> {
    /// Writes down what the lease says.
    fn look(&self) {
        self.world.believes(self.worker, &|| self.lease.is_held());
    }

    /// Renews the lease; where it is lost everything stops.
    fn renew(&self) -> Option<()> {
        let renewed = self.lease.renew();
        self.look();
        if renewed.is_err() {
            self.world.note("lost");
        }
        renewed.ok()
    }

    /// As under `cli::state::locked`: none where the run stops early.
    fn work(&self, told: &mut Told, standing: &mut Standing) -> Option<()> {
        let journals = fold::seal(self.objects, &self.lease.unfinished, self.run).ok()?;
        let head = head::load(self.objects, ENV).ok()??;
        let carried = fold::gather(journals, Some(&head));
        let mut ledger = Ledger::clone(&fold::onto(&head, &carried));
        if self.habit != Habit::Brief {
            self.renew()?;
        }
        self.knows(&carried);
        let journal = Journal::of(self.objects, self.run);
        let first = [opened(self.run, &carried), started(self.run)];
        for events in first.chunks(self.together(first.len())) {
            self.keep(&journal, events.to_vec())?;
            *standing = Standing { journaled: true, folded: true };
        }
        if !self.lease.is_held() {
            return None;
        }
        self.submit();
        self.renew()?;
        let count = counted(&ledger, SHARED) + 1;
        let mut rows = Vec::new();
        for name in [self.run, SHARED] {
            let (key, applied) = (resource(name), applied(self.run, count));
            rows.push(Row::of(&key.0, key.1, &applied));
            ledger.applied.insert(key, applied);
        }
        // Jobs of earlier runs are waited for like its own.
        let jobs = carried.open.keys().cloned().chain([work(self.run)]);
        let all: Vec<Event> = jobs.map(ended).chain([Event::Applied { rows }]).collect();
        for events in all.chunks(self.together(all.len())) {
            self.keep(&journal, events.to_vec())?;
            for event in events {
                if let Event::Ended { work, .. } = event {
                    self.world.mark(work, false);
                }
            }
        }
        told.applied = Some(count);
        // Everything that earlier journals held is in this run's own, or in the ledger.
        ledger.superseded = self.lease.unfinished.clone();
        told.saved = self.save(&head, ledger);
        standing.journaled = told.saved.is_none();
        told.saved.map(|_| ())
    }

    /// Whoever has taken the lock and sealed the journals knows every job that may be running.
    fn knows(&self, carried: &Carried) {
        for work in self.world.marks() {
            self.world.note("found the job of another");
            if carried.done.contains_key(&work) {
                // Its end was written, whether or not who wrote it heard so.
                self.world.mark(&work, false);
            } else if !self.lease.is_held() {
                // Somebody else may start things now.
                return;
            } else if !carried.open.contains_key(&work) {
                self.world.fail(&format!("{} knows nothing of the {work}", self.run));
            }
        }
    }

    /// How many of these events come together.
    fn together(&self, all: usize) -> usize {
        if self.habit == Habit::Full { 1 } else { all }
    }

    fn keep(&self, journal: &Journal<'_>, events: Vec<Event>) -> Option<()> {
        let kept = journal.add(events);
        if kept == Err(JournalError::Sealed) {
            self.world.note("stopped by a sealed journal");
        }
        kept.ok()
    }

    /// A job is submitted now. Nobody may have taken over: they would not wait for it.
    fn submit(&self) {
        self.world.mark(&work(self.run), true);
        let prefix = format!("journal/{}/", self.run);
        let content = self.world.content();
        for (key, object) in content.iter().filter(|it| it.0.starts_with(&prefix)) {
            let page: Page = serde_json::from_slice(&object.bytes).unwrap();
            if page.events.iter().any(|it| matches!(it, Event::Sealed { by: _ })) {
                self.world.fail(&format!("{} submits a job, and {key} is sealed", self.run));
            }
        }
    }

    fn save(&self, head: &Head, ledger: Ledger) -> Option<u64> {
        if !self.lease.is_held() {
            self.world.note("no longer held before the ledger was written");
            return None;
        }
        let saved = head::save(self.objects, ENV, self.run, Some(head), ledger);
        if saved == Err(SaveError::Changed) {
            self.world.note("stopped by a changed ledger");
        }
        saved.ok().map(|head| head.ledger.serial)
    }
}

/// What must be true in the end.
fn check(world: &World, told: &[Told]) -> Result<(), String> {
    let objects = objects(Memory::of(world.content()));
    let known = fold::known(&objects, ENV).map_err(|error| error.to_string())?;
    let ledger = known.ledger.ok_or("there is no ledger")?;
    nothing_is_lost(&ledger, told)?;
    history_is_a_chain(&objects, known.head.as_ref())?;
    serials_grow(&world.commits())?;
    if told.iter().all(|it| it.saved.is_some()) {
        world.note("everybody was done");
    }
    if !world.is_disturbed() && told.iter().all(|it| it.saved.is_none()) {
        return Err("nobody got anything done, and nothing was in the way".to_owned());
    }
    Ok(())
}

fn nothing_is_lost(ledger: &Ledger, told: &[Told]) -> Result<(), String> {
    if !ledger.applied.contains_key(&resource(OLD)) {
        return Err("what the old run applied is lost".to_owned());
    }
    let mut counts = BTreeSet::new();
    for told in told {
        let Some(count) = told.applied else { continue };
        let row = ledger.applied.get(&resource(&told.run));
        if row.is_none_or(|row| row.run != told.run) {
            return Err(format!("what {} applied is lost", told.run));
        }
        if !counts.insert(count) {
            return Err(format!("two runs counted {count}: one did not see the other"));
        }
    }
    let count = counted(ledger, SHARED);
    match counts.last() {
        Some(last) if count < *last => Err(format!("{last} was counted, and {count} is left")),
        _ => Ok(()),
    }
}

fn history_is_a_chain(objects: &Objects, head: Option<&Head>) -> Result<(), String> {
    let mut wanted = head.map(|head| (head.ledger.serial, head.digest.clone()));
    while let Some((serial, digest)) = wanted {
        let earlier = head::earlier(objects, ENV, serial).map_err(|error| error.to_string())?;
        let earlier = earlier.ok_or_else(|| format!("history/{serial}.json is not there"))?;
        if earlier.digest != digest {
            return Err(format!("history/{serial}.json is not what followed"));
        }
        wanted = earlier.ledger.parent.clone().map(|it| (it.serial, it.digest));
        if wanted.as_ref().is_some_and(|it| it.0 >= serial) {
            return Err(format!("the ledger before {serial} has no smaller serial"));
        }
    }
    Ok(())
}

fn serials_grow(commits: &[(String, Vec<u8>)]) -> Result<(), String> {
    let heads = commits.iter().filter(|it| it.0 == "state.json");
    let serials: Vec<u64> = heads.map(|it| ledger::read(&it.1).unwrap().0.serial).collect();
    if serials.is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    Err(format!("serials were {serials:?}"))
}

fn rules() -> Rules {
    Rules {
        workers: 2,
        faults: 0,
        fates: FAULTS.to_vec(),
        preemptions: None,
        nap: Some(NAP),
        plant: Plant::Nothing,
        content: before(true),
    }
}

/// Nothing went wrong, enough was looked at, and what the lock is there for did happen.
fn clean(explored: &Explored, least: usize, notes: &[&str]) {
    if let Some(violation) = &explored.violation {
        panic!("{violation}");
    }
    assert!(explored.executions >= least, "{explored:?}");
    for note in notes {
        assert!(explored.notes.get(note).is_some_and(|it| *it > 0), "{note}: {explored:?}");
    }
}

/// What the lock, its fences and the journal are there for.
const MET: [&str; 7] = [
    "everybody was done",
    "found the job of another",
    "gave up",
    "lost",
    "no longer held before the ledger was written",
    "stopped by a sealed journal",
    "stopped by a changed ledger",
];

#[test]
fn two_runs_in_every_order() {
    let explored = explore(&rules(), &brief, &check);
    clean(&explored, 2000, &MET);
}

#[test]
fn two_runs_that_renew_twice_in_every_order() {
    let explored = explore(&rules(), &renewing, &check);
    clean(&explored, 20_000, &MET);
}

#[test]
fn two_runs_that_renew_twice_and_change_places_thrice() {
    let rules = Rules { preemptions: Some(3), ..rules() };
    let explored = explore(&rules, &renewing, &check);
    clean(&explored, 1400, &MET);
}

#[test]
fn two_runs_and_an_answer_that_gets_lost() {
    let fates = [Fate::LostBefore, Fate::LostAfter, Fate::Late].to_vec();
    let rules = Rules { faults: 1, fates, preemptions: Some(1), ..rules() };
    let explored = explore(&rules, &renewing, &check);
    clean(&explored, 12_000, &MET);
}

#[test]
fn two_runs_and_one_that_is_cut_off() {
    let fates = [Fate::CutOffBefore, Fate::CutOffAfter].to_vec();
    // Whoever waits looks once more before it takes over, so that more fits in between.
    let rules = Rules { faults: 1, fates, preemptions: Some(1), nap: Some(SHORT_NAP), ..rules() };
    let explored = explore(&rules, &renewing, &check);
    clean(&explored, 2000, &MET);
}

#[test]
fn three_runs_as_chance_has_it() {
    let rules = Rules { workers: 3, faults: 2, nap: None, content: before(false), ..rules() };
    let explored = walk(&rules, 0..2000, &full, &check);
    clean(&explored, 2000, &MET);
}

/// What comes of two holders, whichever the search meets first.
const TWO_HOLDERS: &[&str] =
    &["holds the lock", "2 was counted, and 1 is left", "what run1 applied is lost"];

/// Stores that break what they promise, each with what comes of it.
const PLANTS: [(Plant, &[&str]); 8] = [
    (Plant::Unconditional(""), &["what run1 applied is lost"]),
    (Plant::Unconditional("lock.json"), TWO_HOLDERS),
    (Plant::AnyGeneration("lock.json"), TWO_HOLDERS),
    (Plant::FalseAnswer("lock.json"), &["holds the lock"]),
    (Plant::Unconditional("state.json"), &["what run1 applied is lost"]),
    (Plant::AnyGeneration("state.json"), &["what run1 applied is lost"]),
    (Plant::Unconditional("journal/"), &["what run0 applied is lost"]),
    (Plant::FalseAnswer("journal/"), &["what run0 applied is lost"]),
];

#[test]
fn a_store_that_breaks_its_promises_is_found_out() {
    for (plant, said) in PLANTS {
        for preemptions in [Some(2), None] {
            let rules = Rules { preemptions, plant, ..rules() };
            let explored = explore(&rules, &brief, &check);
            let violation = explored.violation.unwrap_or_default();
            let found = said.iter().any(|it| violation.contains(it));
            assert!(found, "{plant:?} {preemptions:?}: {violation}");
        }
    }
}
