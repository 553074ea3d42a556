//! A receipt as a comment tells it, and what to do so that the rest is applied.

use super::super::super::failure::Exit;
use super::super::super::progress;
use crate::apply::progress::Progress;
use crate::render::comment::FailedStep;
use crate::render::comment::Receipt;
use crate::render::comment::Watched;

const UNDER_WAY: &str = "the next scheduled run of the workflow collects what runs and starts what waits for it; to do that now, comment `/chronon-plan apply`";

/// A receipt as a comment tells it.
pub(super) fn told(receipt: &progress::Receipt, run: &str) -> Receipt {
    let failed = receipt.failures.iter().filter_map(|event| match event {
        Progress::Failed { step, what, tail, page, .. } => Some(FailedStep {
            step: step.clone(),
            what: what.clone(),
            tail: tail.clone(),
            by_hand: false,
            page: page.clone(),
        }),
        Progress::ByHand { step, what } => Some(FailedStep {
            step: step.clone(),
            what: what.clone(),
            tail: Vec::new(),
            by_hand: true,
            page: None,
        }),
        _ => None,
    });
    let watched = receipt.watched.iter().map(|(step, it)| Watched {
        step: step.clone(),
        page: it.page.clone(),
        done: it.done,
    });
    let unpublished = receipt.unpublished.iter().map(|why| FailedStep {
        step: "schedules".to_owned(),
        what: why.clone(),
        ..FailedStep::default()
    });
    Receipt {
        running: receipt.running,
        watched: watched.collect(),
        done: receipt.done,
        failed: failed.chain(unpublished).collect(),
        published: receipt.published.as_ref().map_or(0, |it| it.0),
        skipped: receipt.skipped,
        left: receipt.left,
        serial: receipt.serial,
        again: receipt.needed,
        took: progress::elapsed(receipt.took),
        resume: resume(receipt, run),
    }
}

/// What to do so that the rest is applied.
fn resume(receipt: &progress::Receipt, run: &str) -> Vec<String> {
    if receipt.exit == Exit::Done {
        return Vec::new();
    }
    if receipt.is_under_way() {
        return vec![UNDER_WAY.to_owned()];
    }
    let by_hand = receipt.failures.iter().filter_map(|event| match event {
        Progress::ByHand { step, .. } => {
            Some(format!("once it is done by hand: comment `/chronon-plan apply --done {step}`"))
        }
        _ => None,
    });
    let again = match run {
        "" => "run the workflow again: only the rest is done",
        _ => {
            "once the cause is mended, re-run the failed jobs of this run, or comment `/chronon-plan apply`: only the rest is done"
        }
    };
    by_hand.chain([again.to_owned()]).collect()
}
