//! What an apply says while it goes on: one event after another, for people and for programs.

use schemars::JsonSchema;
use serde::Serialize;

/// Something that happened, as `apply --format json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// A step starts.
    Started {
        /// The step.
        step: String,
        /// Which of its chunks, from 1.
        chunk: usize,
        /// How many chunks it has.
        chunks: usize,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The job of a step that an earlier run started is looked for instead of submitting another.
    Resumed {
        /// The step.
        step: String,
        /// The job, where it is known.
        job: Option<String>,
        /// The page on which people can watch it.
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<String>,
    },
    /// The job of a step is known to the cluster.
    Submitted {
        /// The step.
        step: String,
        /// The job.
        job: String,
        /// The page on which people can watch it.
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<String>,
    },
    /// The job of a step runs and is left to run.
    Detached {
        /// The step.
        step: String,
    },
    /// A step will be tried again.
    Retrying {
        /// The step.
        step: String,
        /// What happened.
        what: String,
        /// In how many seconds.
        seconds: u64,
    },
    /// A step is done.
    Done {
        /// The step.
        step: String,
        /// How long it took, in milliseconds.
        milliseconds: u64,
        /// Whether an earlier run did it.
        before: bool,
    },
    /// A step failed for good.
    Failed {
        /// The step.
        step: String,
        /// What happened.
        what: String,
        /// The end of its output.
        tail: Vec<String>,
        /// The file with all of its output.
        log: String,
        /// The page on which people can see what happened.
        #[serde(skip_serializing_if = "Option::is_none")]
        page: Option<String>,
    },
    /// A step was left behind when the apply stopped.
    Left {
        /// The step.
        step: String,
    },
    /// A step is not started because another one failed.
    Skipped {
        /// The step.
        step: String,
        /// The step that it waits for.
        because: String,
    },
    /// A step is the scheduler's.
    Scheduled {
        /// The step.
        step: String,
    },
    /// A step must be done by hand.
    ByHand {
        /// The step.
        step: String,
        /// What to do.
        what: String,
    },
    /// Something that people should know.
    Note {
        /// What.
        text: String,
    },
}
