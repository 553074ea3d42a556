//! SIGINT and SIGTERM as a request to stop.
//!
//! # Why
//! A cancelled CI job gets SIGINT, SIGTERM after seven seconds and is killed after ten. So the
//! first signal stops everything that can be stopped, later ones change nothing, and if the state
//! store gives no answer the process ends by itself in time: the journal says what was going on,
//! and the lease runs out.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use super::failure::Exit;
use super::failure::Failure;
use crate::apply::runner::Stop;

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_millis(5500);

/// Signals, watched.
pub(super) struct Watch {
    /// Asked to stop once one came.
    pub(super) stop: Arc<Stop>,
    interrupted: Arc<AtomicBool>,
}

impl Watch {
    /// Watches from now on.
    pub(super) fn start() -> Result<Self, Failure> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Failure::new)?;
        let watch = Self { stop: Arc::default(), interrupted: Arc::default() };
        let (stop, interrupted) = (Arc::clone(&watch.stop), Arc::clone(&watch.interrupted));
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                interrupted.store(true, Ordering::SeqCst);
                stop.ask();
                std::thread::sleep(PATIENCE);
                end();
            }
        });
        Ok(watch)
    }

    /// Lets something else begin after a lock was lost; a signal stays heard.
    pub(super) fn renew(&self) {
        self.stop.clear();
        if self.is_interrupted() {
            self.stop.ask();
        }
    }

    /// Whether a signal came.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

#[expect(clippy::exit, reason = "the store gives no answer, and in a moment we are killed")]
fn end() {
    std::process::exit(Exit::Interrupted.code().into());
}
