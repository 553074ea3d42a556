//! Runs workers on one store in every order there is, one call at a time.
//!
//! A driver for stateless model checking: each call of a worker on the store, and each end of a
//! sleep, is a point at which it is decided who goes next and how the call ends. An execution is
//! the list of its decisions; the next one replays a prefix of the last and then decides
//! otherwise (depth first), so that all are seen once. Time stands still until somebody sleeps,
//! and a worker that is not chosen is one that was paused: others may sleep past its lease.
//!
//! # Why so much can be left out
//! Two steps of different workers that touch different objects, or only read, and do not move the
//! clock, lead to the same state in either order; of such orders one is looked at (sleep sets,
//! Godefroid 1996). What a worker does between two points must therefore depend on nothing but the
//! answers it got, the clock, and the objects that its last call named; and journals count as one
//! object each. Steps that use up a fault depend on each other. Where preemptions are bounded
//! (CHESS, Musuvathi and Qadeer 2007) nothing else is left out: the two do not mix.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use chronon_plan::state::clock::Clock;
use chronon_plan::state::objects::Objects;
use chronon_plan::state::store::Expect;
use chronon_plan::state::store::Object;
use chronon_plan::state::store::Put;
use chronon_plan::state::store::Store;
use chronon_plan::state::store::StoreError;

use super::memory::Content;
use super::memory::Plant;
use super::memory::commit;

/// No execution is longer than this.
const LONGEST: usize = 600;

/// How long a worker tries a call; with pauses of 250 and 500 ms before the second and the third
/// attempt there is no fourth.
const DEADLINE: Duration = Duration::from_secs(1);

/// How many calls after it get no answer where a worker is cut off: until it gives up.
const CUT_OFF: usize = 3;

/// How a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// With an answer.
    Answered,
    /// Nothing is written, and the answer gets lost.
    LostBefore,
    /// It is written, and the answer gets lost.
    LostAfter,
    /// Nothing is written, and the worker hears nothing until it gives the call up.
    CutOffBefore,
    /// It is written, and the worker hears nothing until it gives the call up.
    CutOffAfter,
    /// The answer gets lost, and it is written at any later moment.
    Late,
}

/// Every fate but an answer.
pub(crate) const FAULTS: [Fate; 5] =
    [Fate::LostBefore, Fate::LostAfter, Fate::CutOffBefore, Fate::CutOffAfter, Fate::Late];

/// What is explored.
#[derive(Clone)]
pub(crate) struct Rules {
    /// How many workers there are.
    pub(crate) workers: usize,
    /// How many writes of one execution may end otherwise than with an answer.
    pub(crate) faults: usize,
    /// How they may end then.
    pub(crate) fates: Vec<Fate>,
    /// How often a worker that could go on is held back for another; any number of times where
    /// there is no bound.
    pub(crate) preemptions: Option<usize>,
    /// Sleeps of a second and more last this long instead: nobody wakes on time.
    pub(crate) nap: Option<Duration>,
    /// What the store does wrong.
    pub(crate) plant: Plant,
    /// What is in the store at first.
    pub(crate) content: Content,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Explored {
    /// How many executions ran to their end.
    pub(crate) executions: usize,
    /// How many were left because an equal one had been seen.
    pub(crate) pruned: usize,
    /// What went wrong, with the schedule; the search ends there.
    pub(crate) violation: Option<String>,
    /// How often the things happened that the programs noted.
    pub(crate) notes: BTreeMap<&'static str, usize>,
}

/// What a worker waits to do.
#[derive(Clone, Debug)]
enum Pending {
    /// It has not come to its first call yet, or it is at work.
    Busy,
    Wake(Duration),
    Get(String),
    Put(String),
    Done,
}

/// A decision: who goes on, and how its call ends.
#[derive(Clone, Debug)]
struct Step {
    /// A worker, or above those a late write.
    actor: usize,
    fate: Fate,
    /// What it touches; nothing but the clock where there is no object.
    object: Option<String>,
    writes: bool,
    moves_clock: bool,
}

impl Step {
    fn is(&self, other: &Self) -> bool {
        self.actor == other.actor && self.fate == other.fate
    }

    /// Whether the order of two steps makes no difference.
    fn commutes(&self, other: &Self) -> bool {
        let apart = self.object.is_none() || self.object != other.object;
        let faults = self.fate != Fate::Answered && other.fate != Fate::Answered;
        self.actor != other.actor
            && !(self.moves_clock || other.moves_clock || faults)
            && (apart || !(self.writes || other.writes))
    }
}

/// A point at which there was more than one way on.
struct Node {
    options: Vec<Step>,
    at: usize,
    /// Steps that need no look: what they lead to was seen from an equal state.
    asleep: Vec<Step>,
}

/// Who decides.
enum Chooser {
    /// All ways, one after the other.
    Depth(Vec<Node>),
    /// Chance, from a seed.
    Chance(u64),
}

/// A write that is still under way.
type Late = (String, Expect, Vec<u8>);

struct Core {
    rules: Rules,
    chooser: Chooser,
    depth: usize,
    now: Duration,
    content: Content,
    pending: Vec<Pending>,
    turn: Option<Step>,
    last: usize,
    faults: usize,
    preemptions: usize,
    silent: Vec<usize>,
    late: Vec<Option<Late>>,
    /// Until when each worker may believe that nobody else has the lock.
    beliefs: Vec<Option<Duration>>,
    commits: Vec<(String, Vec<u8>)>,
    marks: BTreeSet<String>,
    schedule: Vec<(Pending, Step)>,
    notes: BTreeMap<&'static str, usize>,
    /// Nothing is decided any more: what is there leads nowhere new, or something went wrong.
    over: bool,
    violation: Option<String>,
}

/// One execution.
#[derive(Clone)]
pub(crate) struct World {
    core: Arc<Mutex<Core>>,
    turns: Arc<Vec<Condvar>>,
}

thread_local! {
    /// The time that this worker is made to see, where it is asked what it would think then.
    static PRETENDED: Cell<Option<Duration>> = const { Cell::new(None) };
}

impl World {
    fn new(rules: &Rules, chooser: Chooser) -> Self {
        let count = rules.workers;
        let core = Core {
            rules: rules.clone(),
            chooser,
            depth: 0,
            now: Duration::ZERO,
            content: rules.content.clone(),
            pending: vec![Pending::Busy; count],
            turn: None,
            last: 0,
            faults: 0,
            preemptions: 0,
            silent: vec![0; count],
            late: Vec::new(),
            beliefs: vec![None; count],
            commits: Vec::new(),
            marks: BTreeSet::new(),
            schedule: Vec::new(),
            notes: BTreeMap::new(),
            over: false,
            violation: None,
        };
        let turns = (0..count).map(|_| Condvar::new()).collect();
        Self { core: Arc::new(Mutex::new(core)), turns: Arc::new(turns) }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects as a worker sees them, by a clock of its own: each worker's has another origin.
    pub(crate) fn objects(&self, worker: usize) -> Objects {
        let offset = Duration::from_secs(3600) * u32::try_from(worker).unwrap();
        let (reader, sleeper) = (self.clone(), self.clone());
        let now = move || PRETENDED.get().unwrap_or_else(|| reader.lock().now) + offset;
        let sleep = move |time| sleeper.sleep(worker, time);
        let seat = Seat { world: self.clone(), worker };
        Objects::new(Box::new(seat), Clock::new(now, sleep, || 1.0)).within(DEADLINE)
    }

    /// Notes until when a worker believes that it has the lock, by asking it; and that nobody else
    /// believes so now.
    pub(crate) fn believes(&self, worker: usize, is_held: &dyn Fn() -> bool) {
        let now = self.lock().now;
        let (mut from, mut to) = (now, now + Duration::from_secs(3600));
        while to - from > Duration::from_millis(1) {
            let middle = from + (to - from) / 2;
            PRETENDED.set(Some(middle));
            if is_held() { from = middle } else { to = middle }
        }
        PRETENDED.set(None);
        let held = is_held();
        let mut core = self.lock();
        core.beliefs[worker] = held.then_some(to);
        let others = core.beliefs.iter().enumerate().filter(|it| it.0 != worker);
        let both = others.filter_map(|it| Some((it.0, (*it.1)?))).find(|it| held && it.1 > now);
        if let Some((other, until)) = both {
            core.fail(&format!(
                "worker {worker} holds the lock at {now:?}, and worker {other} until {until:?}"
            ));
        }
    }

    /// Notes that a worker no longer believes that it has the lock.
    pub(crate) fn lets_go(&self, worker: usize) {
        self.lock().beliefs[worker] = None;
    }

    /// Notes that something happened; how often is in what came of it.
    pub(crate) fn note(&self, what: &'static str) {
        *self.lock().notes.entry(what).or_default() += 1;
    }

    /// Sets or removes a mark that all workers see.
    pub(crate) fn mark(&self, what: &str, set: bool) {
        let mut core = self.lock();
        if set {
            core.marks.insert(what.to_owned());
        } else {
            core.marks.remove(what);
        }
    }

    /// The marks that are set.
    pub(crate) fn marks(&self) -> BTreeSet<String> {
        self.lock().marks.clone()
    }

    /// Says that something is wrong.
    pub(crate) fn fail(&self, what: &str) {
        self.lock().fail(what);
    }

    /// What is in the store.
    pub(crate) fn content(&self) -> Content {
        self.lock().content.clone()
    }

    /// Every write that was done, in order.
    pub(crate) fn commits(&self) -> Vec<(String, Vec<u8>)> {
        self.lock().commits.clone()
    }

    /// Whether any write ended otherwise than with an answer.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.lock().faults > 0
    }

    fn sleep(&self, worker: usize, time: Duration) {
        let core = self.lock();
        let time = match core.rules.nap {
            Some(nap) if time >= Duration::from_secs(1) => nap,
            _ => time,
        };
        let until = core.now + time;
        let point = self.point(core, worker, Pending::Wake(until));
        let mut core = point.map_or_else(|| self.lock(), |it| it.0);
        core.now = core.now.max(until);
    }

    /// Waits for a worker's turn; none where nothing is decided any more.
    fn point<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        worker: usize,
        pending: Pending,
    ) -> Option<(MutexGuard<'a, Core>, Fate)> {
        core.pending[worker] = pending;
        self.decide(&mut core);
        loop {
            if core.over {
                return None;
            }
            if let Some(step) = core.turn.take_if(|step| step.actor == worker) {
                core.pending[worker] = Pending::Busy;
                return Some((core, step.fate));
            }
            core = self.turns[worker].wait(core).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends a worker.
    fn done(&self, worker: usize) {
        let mut core = self.lock();
        core.pending[worker] = Pending::Done;
        self.decide(&mut core);
    }

    /// Once nobody is at work any more: who goes next.
    fn decide(&self, core: &mut Core) {
        if core.pending.iter().any(|it| matches!(it, Pending::Busy)) && !core.over {
            return;
        }
        core.decide();
        match &core.turn {
            Some(step) if !core.over => self.turns[step.actor].notify_one(),
            _ => self.turns.iter().for_each(Condvar::notify_all),
        }
    }
}

impl Core {
    fn fail(&mut self, what: &str) {
        self.over = true;
        if self.violation.is_none() {
            let lines = self.schedule.iter().map(|(pending, step)| {
                let object = step.object.as_deref().unwrap_or_default();
                format!("\n  {} {pending:?} {object} {:?}", step.actor, step.fate)
            });
            self.violation = Some(format!("{what}{}", lines.collect::<String>()));
        }
    }

    fn decide(&mut self) {
        while !self.over && self.turn.is_none() {
            let steps = self.steps();
            if !steps.iter().any(|step| step.actor < self.rules.workers) {
                return;
            }
            self.depth += 1;
            if self.depth > LONGEST {
                return self.fail("it goes on for ever");
            }
            let Some(step) = self.choose(steps) else {
                self.over = true;
                return;
            };
            self.take(step);
        }
    }

    fn take(&mut self, step: Step) {
        let worker = step.actor;
        self.faults += usize::from(step.fate != Fate::Answered);
        self.preemptions += usize::from(self.preempts(worker));
        let pending = self.pending.get(worker).cloned().unwrap_or(Pending::Done);
        self.schedule.push((pending, step.clone()));
        if worker < self.rules.workers {
            self.last = worker;
            self.turn = Some(step);
        } else if let Some((key, expect, bytes)) = self.late[worker - self.rules.workers].take() {
            self.commit(&key, expect, &bytes);
        }
    }

    /// Whether somebody who could go on is held back.
    fn preempts(&self, worker: usize) -> bool {
        let ready = matches!(self.pending[self.last], Pending::Get(_) | Pending::Put(_));
        worker < self.rules.workers && worker != self.last && ready && !self.schedule.is_empty()
    }

    /// Every way on.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        // Whoever went last goes first, so that what is cheap is seen first. The workers are alike,
        // so which of them begins makes no difference.
        let count = if self.depth == 0 { 1 } else { self.rules.workers };
        for worker in (0..count).map(|it| (it + self.last) % count) {
            let bounded = self.rules.preemptions.is_some_and(|most| self.preemptions >= most);
            if bounded && self.preempts(worker) {
                continue;
            }
            let step = |fate, key: &str, writes| {
                let object = Some(object(key));
                Step { actor: worker, fate, object, writes, moves_clock: false }
            };
            match &self.pending[worker] {
                Pending::Busy | Pending::Done => {}
                Pending::Wake(time) => steps.push(Step {
                    actor: worker,
                    fate: Fate::Answered,
                    object: None,
                    writes: false,
                    moves_clock: *time > self.now,
                }),
                Pending::Get(key) => steps.push(step(Fate::Answered, key, false)),
                Pending::Put(key) => {
                    steps.push(step(Fate::Answered, key, true));
                    if self.faults < self.rules.faults && self.silent[worker] == 0 {
                        steps.extend(self.rules.fates.iter().map(|fate| step(*fate, key, true)));
                    }
                }
            }
        }
        for (number, late) in self.late.iter().enumerate() {
            let actor = self.rules.workers + number;
            steps.extend(late.as_ref().map(|it| Step {
                actor,
                fate: Fate::Answered,
                object: Some(object(&it.0)),
                writes: true,
                moves_clock: false,
            }));
        }
        steps
    }

    fn choose(&mut self, steps: Vec<Step>) -> Option<Step> {
        let bounded = self.rules.preemptions.is_some();
        match &mut self.chooser {
            Chooser::Depth(nodes) => {
                if let Some(node) = nodes.get(self.depth - 1) {
                    return Some(node.options[node.at].clone());
                }
                let asleep = match nodes.last() {
                    Some(before) if !bounded => before.asleep_after(),
                    _ => Vec::new(),
                };
                let awake = |step: &Step| !asleep.iter().any(|it| it.is(step));
                let options: Vec<Step> = steps.into_iter().filter(awake).collect();
                let first = options.first().cloned();
                if first.is_some() {
                    nodes.push(Node { options, at: 0, asleep });
                }
                first
            }
            Chooser::Chance(seed) => {
                // A fault at one write of eight, or all would come at the beginning; and whoever
                // goes goes on for a while, or nobody would ever fall behind.
                let calm = !random(seed).is_multiple_of(8);
                let stay = !random(seed).is_multiple_of(8);
                let last = self.last;
                let calm = |step: &&Step| !calm || step.fate == Fate::Answered;
                let mut few: Vec<&Step> = steps.iter().filter(calm).collect();
                if stay && few.iter().any(|step| step.actor == last) {
                    few.retain(|step| step.actor == last);
                }
                let at = random(seed) % u64::try_from(few.len()).unwrap();
                few.get(usize::try_from(at).unwrap()).map(|step| (*step).clone())
            }
        }
    }

    fn commit(&mut self, key: &str, expect: Expect, bytes: &[u8]) -> Put {
        let put = commit(&mut self.content, self.rules.plant, (key, expect, bytes));
        if put != Put::Conflict {
            self.commits.push((key.to_owned(), bytes.to_vec()));
        }
        put
    }

    fn put(&mut self, worker: usize, fate: Fate, late: Late) -> Result<Put, StoreError> {
        let (key, expect, bytes) = &late;
        let lost = || Err(StoreError::Unclear("the answer got lost".to_owned()));
        if self.silent[worker] > 0 {
            self.silent[worker] -= 1;
            return lost();
        }
        match fate {
            Fate::Answered => return Ok(self.commit(key, *expect, bytes)),
            Fate::LostBefore => {}
            Fate::LostAfter => drop(self.commit(key, *expect, bytes)),
            Fate::CutOffBefore => self.silent[worker] = CUT_OFF,
            Fate::CutOffAfter => {
                self.commit(key, *expect, bytes);
                self.silent[worker] = CUT_OFF;
            }
            Fate::Late => self.late.push(Some(late)),
        }
        lost()
    }
}

impl Node {
    /// What needs no look after the step that is being looked at: what needed none before, and the
    /// steps that were looked at instead of it, as far as the order makes no difference.
    fn asleep_after(&self) -> Vec<Step> {
        let taken = &self.options[self.at];
        let seen = self.asleep.iter().chain(&self.options[..self.at]);
        seen.filter(|step| step.commutes(taken)).cloned().collect()
    }
}

/// What counts as one object: a whole journal does.
fn object(key: &str) -> String {
    match key.strip_prefix("journal/").and_then(|rest| rest.split_once('/')) {
        Some((run, _)) => format!("journal/{run}"),
        None => key.to_owned(),
    }
}

/// Splitmix64: small, and the same on every machine.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The store as one worker sees it.
struct Seat {
    world: World,
    worker: usize,
}

impl Seat {
    fn over() -> StoreError {
        StoreError::Refused { what: "it is over".to_owned(), next: String::new() }
    }
}

impl Store for Seat {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let pending = Pending::Get(key.to_owned());
        let point = self.world.point(self.world.lock(), self.worker, pending);
        let (mut core, _) = point.ok_or_else(Self::over)?;
        if core.silent[self.worker] > 0 {
            core.silent[self.worker] -= 1;
            return Err(StoreError::Busy("no answer".to_owned()));
        }
        Ok(core.content.get(key).cloned())
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        let pending = Pending::Put(key.to_owned());
        let point = self.world.point(self.world.lock(), self.worker, pending);
        let (mut core, fate) = point.ok_or_else(Self::over)?;
        core.put(self.worker, fate, (key.to_owned(), expect, bytes.to_vec()))
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// What a worker does, on its objects.
type Program<'a, T> = &'a (dyn Fn(&World, usize) -> T + Sync);

/// What must hold at the end of an execution, by what its workers brought back.
type Check<'a, T> = &'a dyn Fn(&World, &[T]) -> Result<(), String>;

/// One execution; whether there was anything new in it.
fn execute<T: Send>(world: &World, program: Program<'_, T>, check: Check<'_, T>) -> bool {
    let count = world.lock().rules.workers;
    let results: Vec<T> = std::thread::scope(|scope| {
        let run = |worker| {
            scope.spawn(move || {
                let result = program(world, worker);
                world.done(worker);
                result
            })
        };
        let threads: Vec<_> = (0..count).map(run).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let over = world.lock().over;
    if !over && let Err(what) = check(world, &results) {
        world.fail(&what);
    }
    !over
}

impl Explored {
    fn add(&mut self, world: &World, whole: bool) {
        let mut core = world.lock();
        self.violation = core.violation.take();
        *(if whole { &mut self.executions } else { &mut self.pruned }) += 1;
        if whole {
            for (what, count) in &core.notes {
                *self.notes.entry(what).or_default() += count;
            }
        }
    }
}

/// Runs every execution, until one goes wrong.
pub(crate) fn explore<T: Send>(
    rules: &Rules,
    program: Program<'_, T>,
    check: Check<'_, T>,
) -> Explored {
    let mut explored = Explored::default();
    let mut nodes = Vec::new();
    loop {
        let world = World::new(rules, Chooser::Depth(nodes));
        let whole = execute(&world, program, check);
        explored.add(&world, whole);
        let chooser = std::mem::replace(&mut world.lock().chooser, Chooser::Chance(0));
        let Chooser::Depth(mut found) = chooser else { return explored };
        while found.pop_if(|node| node.at + 1 == node.options.len()).is_some() {}
        if explored.violation.is_some() || found.is_empty() {
            return explored;
        }
        found.iter_mut().last().unwrap().at += 1;
        nodes = found;
    }
}

/// Runs this many executions that chance decides, until one goes wrong.
pub(crate) fn walk<T: Send>(
    rules: &Rules,
    seeds: std::ops::Range<u64>,
    program: Program<'_, T>,
    check: Check<'_, T>,
) -> Explored {
    let mut explored = Explored::default();
    for seed in seeds {
        let world = World::new(rules, Chooser::Chance(seed));
        let whole = execute(&world, program, check);
        explored.add(&world, whole);
        if explored.violation.is_some() {
            break;
        }
    }
    explored
}
