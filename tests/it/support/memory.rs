//! A store in memory, wrong in ways that tests plant, and one that loses answers; a clock that
//! moves when somebody sleeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chronon_plan::state::clock::Clock;
use chronon_plan::state::objects::Objects;
use chronon_plan::state::store::Expect;
use chronon_plan::state::store::Generation;
use chronon_plan::state::store::Object;
use chronon_plan::state::store::Put;
use chronon_plan::state::store::Store;
use chronon_plan::state::store::StoreError;

/// Every object of a store.
pub(crate) type Content = BTreeMap<String, Object>;

/// A mistake that a store makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// None.
    Nothing,
    /// Writes what begins with this, whatever was expected.
    Unconditional(&'static str),
    /// Writes what begins with this wherever there is an object, whichever it is.
    AnyGeneration(&'static str),
    /// Keeps what begins with this and is there already, and says that it was written.
    FalseAnswer(&'static str),
}

impl Plant {
    fn holds(self, key: &str, expect: Expect, current: Option<Generation>) -> bool {
        let wanted = match expect {
            Expect::Absent => None,
            Expect::At(generation) => Some(generation),
        };
        match self {
            Self::Unconditional(prefix) if key.starts_with(prefix) => true,
            Self::AnyGeneration(prefix) if key.starts_with(prefix) => {
                wanted.is_some() == current.is_some()
            }
            _ => wanted == current,
        }
    }
}

/// Writes an object where the condition holds.
pub(crate) fn commit(
    content: &mut Content,
    plant: Plant,
    (key, expect, bytes): (&str, Expect, &[u8]),
) -> Put {
    let current = content.get(key).map(|it| it.generation);
    if !plant.holds(key, expect, current) {
        return match (plant, current) {
            (Plant::FalseAnswer(prefix), Some(current)) if key.starts_with(prefix) => {
                Put::Written(current)
            }
            _ => Put::Conflict,
        };
    }
    let generation = Generation(current.map_or(1, |it| it.0 + 1));
    content.insert(key.to_owned(), Object { generation, bytes: bytes.to_vec() });
    Put::Written(generation)
}

/// A store in memory; a clone is the same one.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Content>>);

impl Memory {
    /// A store that holds this.
    pub(crate) fn of(content: Content) -> Self {
        Self(Arc::new(Mutex::new(content)))
    }

    /// What is in it.
    pub(crate) fn content(&self) -> Content {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

impl Store for Memory {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        Ok(self.lock().get(key).cloned())
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        Ok(commit(&mut self.lock(), Plant::Nothing, (key, expect, bytes)))
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// When the answer of a write gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Before anything was written.
    Before,
    /// After it was written.
    After,
}

/// A store that loses the answer of one write.
#[derive(Clone)]
pub(crate) struct Lossy<S> {
    inner: S,
    loss: Option<(usize, Loss)>,
    puts: Arc<AtomicUsize>,
    /// How many reads after the loss get no answer either.
    silent: Arc<AtomicUsize>,
}

impl<S> Lossy<S> {
    /// Loses the answer of the write of this number, from 0; of none where there is no number.
    pub(crate) fn of(inner: S, loss: Option<(usize, Loss)>) -> Self {
        Self { inner, loss, puts: Arc::default(), silent: Arc::default() }
    }

    /// The same, where this many reads after the loss get no answer either.
    pub(crate) fn silent_after_it(self, reads: usize) -> Self {
        self.silent.store(reads, Ordering::SeqCst);
        self
    }

    /// How many writes were sent.
    pub(crate) fn puts(&self) -> usize {
        self.puts.load(Ordering::SeqCst)
    }
}

impl<S: Store> Store for Lossy<S> {
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let lost = self.loss.is_some_and(|(at, _)| self.puts() > at);
        let less = |left: usize| left.checked_sub(1);
        if lost && self.silent.try_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(StoreError::Busy("no answer".to_owned()));
        }
        self.inner.get(key)
    }

    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError> {
        let number = self.puts.fetch_add(1, Ordering::SeqCst);
        let lost = || Err(StoreError::Unclear("the answer got lost".to_owned()));
        match self.loss {
            Some((at, Loss::Before)) if at == number => lost(),
            Some((at, Loss::After)) if at == number => {
                self.inner.put(key, expect, bytes)?;
                lost()
            }
            _ => self.inner.put(key, expect, bytes),
        }
    }

    fn pace(&self) -> Duration {
        self.inner.pace()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

/// Time that passes when somebody sleeps.
#[derive(Clone, Default)]
pub(crate) struct Hours(Arc<Mutex<Duration>>);

impl Hours {
    /// A clock that is ahead of this time by an offset.
    pub(crate) fn clock(&self, offset: Duration) -> Clock {
        let (reader, sleeper) = (self.clone(), self.clone());
        let now = move || *reader.0.lock().unwrap() + offset;
        Clock::new(now, move |time| sleeper.pass(time), || 1.0)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

/// Objects of a store that nobody waits for.
pub(crate) fn objects(store: impl Store + 'static) -> Objects {
    Objects::new(Box::new(store), Hours::default().clock(Duration::ZERO))
}
