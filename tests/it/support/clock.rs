//! Clocks for tests: the machine's, and one that runs faster.

use std::thread;
use std::time::Instant;

use chronon_plan::state::clock::Clock;

/// The machine's clock.
pub(crate) fn real() -> Clock {
    fast(1)
}

/// A clock on which `times` seconds pass in one: waiting for a minute takes a minute by it, and
/// less by the wall.
pub(crate) fn fast(times: u32) -> Clock {
    let start = Instant::now();
    let jitter = || f64::from(getrandom::u32().unwrap()) / f64::from(u32::MAX);
    Clock::new(move || start.elapsed() * times, move |time| thread::sleep(time / times), jitter)
}
