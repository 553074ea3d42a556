//! Time, and the chance in it, as values that the command line gives.
//!
//! # Why
//! Nothing below the command line reads a clock, so that a test can let an hour pass at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A clock that never goes back, a way to wait, and a source of chance.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    sleep: Arc<dyn Fn(Duration) + Send + Sync>,
    jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Clock {
    /// A clock of these parts: the time since some fixed moment, waiting, and a number from 0 up
    /// to 1 that differs from call to call and from process to process.
    pub fn new(
        now: impl Fn() -> Duration + Send + Sync + 'static,
        sleep: impl Fn(Duration) + Send + Sync + 'static,
        jitter: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { now: Arc::new(now), sleep: Arc::new(sleep), jitter: Arc::new(jitter) }
    }

    /// The time since some fixed moment.
    pub fn now(&self) -> Duration {
        (self.now)()
    }

    /// Waits this long.
    pub fn sleep(&self, time: Duration) {
        (self.sleep)(time);
    }

    /// A number from 0 up to 1.
    pub fn jitter(&self) -> f64 {
        (self.jitter)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish_non_exhaustive()
    }
}
