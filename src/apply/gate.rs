//! Which jobs of the zipline CLI may run side by side on one machine.
//!
//! # Why
//! The CLI keeps its jars in one folder of the machine, `/tmp/zipline`, and writes them anew where
//! they differ (reference §4.4): jobs with different jars would pull them from under each other,
//! and two first jobs would write the same file at once. Outside of GCP it also stages configs
//! by their file's name alone, so two of one name would overwrite each other.

use std::collections::BTreeSet;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use super::runner::Stop;

/// How often is looked whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// Lets jobs in.
#[derive(Debug, Default)]
pub struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    jobs: usize,
    /// The jars of those inside, or of the last that was.
    jars: String,
    /// Whether those jars are on disk.
    settled: bool,
    /// Names that only one may have at a time.
    names: BTreeSet<String>,
}

/// A job that was let in; it leaves when this is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    name: Option<String>,
}

impl Gate {
    /// Waits until a job with these jars may run, and none other of this name does; none where
    /// everything is to stop.
    pub fn enter(&self, jars: &str, name: Option<&str>, stop: &Stop) -> Option<Pass<'_>> {
        let mut inside = self.lock();
        while !inside.admits(jars, name) {
            if stop.is_asked() {
                return None;
            }
            let waited = self.changed.wait_timeout(inside, TICK);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if inside.jars != jars {
            inside.settled = false;
            jars.clone_into(&mut inside.jars);
        }
        inside.jobs += 1;
        inside.names.extend(name.map(str::to_owned));
        Some(Pass { gate: self, name: name.map(str::to_owned) })
    }

    /// A holder that panicked left nothing half done: each change is one step.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn admits(&self, jars: &str, name: Option<&str>) -> bool {
        let alone = self.jobs == 0;
        let same = self.jars == jars && self.settled;
        (alone || same) && name.is_none_or(|name| !self.names.contains(name))
    }
}

impl Pass<'_> {
    /// Says that the jars are on disk: others with the same may come in.
    pub fn settle(&self) {
        self.gate.lock().settled = true;
        self.gate.changed.notify_all();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut inside = self.gate.lock();
        inside.jobs -= 1;
        if let Some(name) = &self.name {
            inside.names.remove(name);
        }
        drop(inside);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a job may come in right now.
    fn admits(gate: &Gate, jars: &str, name: Option<&str>) -> bool {
        let stop = Stop::default();
        stop.ask();
        gate.enter(jars, name, &stop).is_some()
    }

    fn enter<'a>(gate: &'a Gate, jars: &str, name: Option<&str>) -> Pass<'a> {
        gate.enter(jars, name, &Stop::default()).unwrap()
    }

    #[test]
    fn the_first_goes_alone_until_the_jars_are_there() {
        let gate = Gate::default();
        let first = enter(&gate, "1", None);
        assert!(!admits(&gate, "1", None));
        first.settle();
        assert!(admits(&gate, "1", None) && !admits(&gate, "2", None));
        drop(first);
        // The jars are still there for the next; for others they are not.
        let next = enter(&gate, "1", None);
        assert!(admits(&gate, "1", None));
        drop(next);
        let other = enter(&gate, "2", None);
        assert!(!admits(&gate, "2", None) && !admits(&gate, "1", None));
        drop(other);
    }

    #[test]
    fn a_first_job_that_ends_without_jars_lets_the_next_try() {
        let gate = Gate::default();
        drop(enter(&gate, "1", None));
        let next = enter(&gate, "1", None);
        assert!(!admits(&gate, "1", None), "nothing says that the jars are there");
        drop(next);
    }

    #[test]
    fn two_of_one_name_never_run_side_by_side() {
        let gate = Gate::default();
        let first = enter(&gate, "1", Some("a"));
        first.settle();
        assert!(!admits(&gate, "1", Some("a")) && admits(&gate, "1", Some("b")));
        drop(first);
        assert!(admits(&gate, "1", Some("a")));
    }

    #[test]
    fn many_jobs_with_two_sets_of_jars_never_overlap() {
        let gate = Gate::default();
        let stop = Stop::default();
        let now = Mutex::new([0_usize; 2]);
        std::thread::scope(|scope| {
            for job in 0..16 {
                let (gate, stop, now) = (&gate, &stop, &now);
                scope.spawn(move || {
                    let of = job % 2;
                    let pass = gate.enter(&of.to_string(), None, stop).unwrap();
                    now.lock().unwrap()[of] += 1;
                    pass.settle();
                    std::thread::yield_now();
                    let mut now = now.lock().unwrap();
                    assert_eq!(now[1 - of], 0);
                    now[of] -= 1;
                    drop(now);
                    drop(pass);
                });
            }
        });
        assert_eq!(now.into_inner().unwrap(), [0, 0]);
    }
}
