//! Which step may start next: a value, without threads or clocks.
//!
//! # Why
//! A failed step holds up what waits for it and nothing else. Ties go by the order of the plan, so
//! that two runs of one plan start alike.

use std::collections::BTreeMap;

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Something that it waits for is not done.
    Waiting,
    /// It may start.
    Ready,
    /// It was started.
    Running,
    /// It is done.
    Done,
    /// It failed, or was left behind when the apply stopped.
    Failed,
    /// It waits for this one, which failed or was skipped itself.
    Skipped(usize),
}

/// The steps of an apply, by their place in the plan.
#[derive(Clone, Debug)]
pub struct Board {
    states: Vec<State>,
    /// How many steps each still waits for.
    waits: Vec<usize>,
    followers: Vec<Vec<usize>>,
}

impl Board {
    /// The steps by id, each with the ids that it waits for; ids that are not among them count as
    /// done.
    pub fn of<'a>(steps: impl Iterator<Item = (&'a str, &'a [String])> + Clone) -> Self {
        let places: BTreeMap<&str, usize> =
            steps.clone().enumerate().map(|(at, step)| (step.0, at)).collect();
        let mut board = Self {
            states: vec![State::Ready; places.len()],
            waits: vec![0; places.len()],
            followers: vec![Vec::new(); places.len()],
        };
        for (at, (_, after)) in steps.enumerate() {
            for &before in after.iter().filter_map(|id| places.get(id.as_str())) {
                board.waits[at] += 1;
                board.followers[before].push(at);
                board.states[at] = State::Waiting;
            }
        }
        board
    }

    /// The next step to start.
    pub fn take(&mut self) -> Option<usize> {
        let at = self.states.iter().position(|state| *state == State::Ready)?;
        self.states[at] = State::Running;
        Some(at)
    }

    /// Notes that a step is done.
    pub fn done(&mut self, at: usize) {
        self.states[at] = State::Done;
        for &follower in &self.followers[at] {
            self.waits[follower] -= 1;
            if self.waits[follower] == 0 && self.states[follower] == State::Waiting {
                self.states[follower] = State::Ready;
            }
        }
    }

    /// Notes that a step will not be done, and gives back what is skipped for it, each with the
    /// step that it waited for.
    pub fn fail(&mut self, at: usize) -> Vec<(usize, usize)> {
        self.states[at] = State::Failed;
        let mut skipped = Vec::new();
        let mut open = vec![at];
        while let Some(before) = open.pop() {
            for &follower in &self.followers[before] {
                if self.states[follower] == State::Waiting {
                    self.states[follower] = State::Skipped(before);
                    skipped.push((follower, before));
                    open.push(follower);
                }
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// Whether nothing runs and nothing can start.
    pub fn is_settled(&self) -> bool {
        !self.states.iter().any(|state| matches!(state, State::Ready | State::Running))
    }

    /// Where each step stands.
    pub fn states(&self) -> &[State] {
        &self.states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(steps: &[(&'static str, &[&str])]) -> Board {
        let after: Vec<(&str, Vec<String>)> = steps
            .iter()
            .map(|it| (it.0, it.1.iter().map(|id| (*id).to_owned()).collect()))
            .collect();
        Board::of(after.iter().map(|it| (it.0, it.1.as_slice())))
    }

    #[test]
    fn a_failure_skips_what_waits_for_it_and_nothing_else() {
        let mut board = board(&[
            ("a", &[]),
            ("b", &["a"]),
            ("c", &["b", "d"]),
            ("d", &[]),
            ("e", &["d", "not in the plan"]),
        ]);
        assert_eq!((board.take(), board.take(), board.take()), (Some(0), Some(3), None));
        assert!(!board.is_settled());
        assert_eq!(board.fail(0), [(1, 0), (2, 1)]);
        board.done(3);
        assert_eq!(board.take(), Some(4));
        board.done(4);
        assert!(board.is_settled());
        use State::Done;
        use State::Failed;
        use State::Skipped;
        assert_eq!(board.states(), [Failed, Skipped(0), Skipped(1), Done, Done]);
    }
}
