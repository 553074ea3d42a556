//! What an apply says last: where its jobs are, what became of the schedules, how to go on.

use super::failure::Exit;
use super::progress::Receipt;
use crate::render::visible;

/// Steps, counted.
pub(super) fn steps(count: usize) -> String {
    if count == 1 { "1 step".to_owned() } else { format!("{count} steps") }
}

/// The pages of jobs that run on.
pub(super) fn pages(receipt: &Receipt) -> String {
    let running = receipt.watched.iter().filter(|it| it.1.done.is_none());
    running.map(|(step, it)| format!("  {}: {}\n", visible(step), visible(&it.page))).collect()
}

/// What became of the schedules.
pub(super) fn schedules(receipt: &Receipt) -> String {
    let told = match (&receipt.published, &receipt.unpublished) {
        (Some((dags, place)), _) => {
            let dags = if *dags == 1 { "1 DAG".to_owned() } else { format!("{dags} DAGs") };
            format!("{dags} published in {}", visible(place))
        }
        (None, Some(_)) => "not published".to_owned(),
        (None, None) => return String::new(),
    };
    format!("Schedules: {told}.\n")
}

/// What the next thing to do is.
pub(super) fn last_words(receipt: &Receipt) -> String {
    if receipt.running > 0 && receipt.exit == Exit::Partial {
        return "Jobs that were started go on without this process. To collect them: `chronon-plan apply --resume`; to start what became possible and leave that too: `chronon-plan apply --resume --detach`.\n".to_owned();
    }
    match receipt.exit {
        Exit::Done => match receipt.needed {
            Some(0) => "Planned again: no changes.\n".to_owned(),
            Some(left) => {
                let what = match receipt.plan.schedules {
                    Some(_) => format!("{left} steps or DAGs"),
                    None => steps(left),
                };
                format!("Planned again: {what} still needed; run `chronon-plan plan`.\n")
            }
            None => String::new(),
        },
        Exit::Interrupted => "Interrupted. Jobs that were submitted go on; the same command finds them again and does the rest.\n".to_owned(),
        Exit::Locked => "The lock was lost, so nothing more was started. What is done is in the journal: `chronon-plan lock show`, then `chronon-plan apply`.\n".to_owned(),
        _ => {
            let why = receipt.cut_off.iter().map(|why| format!("The journal could not be kept: {why}\n"));
            let next = "What is done is kept. Once the cause is mended, the same command does the rest.\n";
            why.chain([next.to_owned()]).collect()
        }
    }
}
