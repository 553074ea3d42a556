//! What every comment begins and ends with: the marker, the verdict, and where it comes from.

use std::fmt::Write;

use super::Receipt;
use super::Status;
use super::View;
use super::marker::EARLIER;
use super::marker::Earlier;
use super::marker::Marker;
use super::marker::is_commit;
use super::marker::is_digest;
use super::marker::is_run;
use super::marker::is_time;
use super::marker::kept;
use super::part::Part;
use super::part::said;
use super::spell;
use crate::render::escape::code;
use crate::render::escape::prose;
use crate::render::words;

/// The hidden first line. Of earlier plans it keeps as many as fit.
pub(super) fn marker(view: View<'_>) -> Part<'_> {
    if view.place == super::Place::Summary {
        return Part::fixed(String::new());
    }
    let sound = |it: &&Earlier| it.is_sound();
    let earlier: Vec<Earlier> =
        view.comment.earlier.iter().filter(sound).take(EARLIER).cloned().collect();
    Part::new(earlier.len(), move |size| {
        let comment = view.comment;
        let own = |text: &str, form| kept(text.to_owned(), form);
        let marker = Marker {
            env: comment.env.to_owned(),
            head: own(comment.head, is_commit),
            digest: own(comment.plan.map_or("", |plan| &plan.digest), is_digest),
            at: own(comment.at, is_time),
            run: own(comment.run, is_run),
            earlier: earlier[..size].to_vec(),
        };
        marker.line() + "\n"
    })
    .late()
}

/// The heading, how far things have come, and the plan in a sentence.
pub(super) fn head(view: View<'_>) -> Part<'_> {
    let comment = view.comment;
    let mut page = format!("### chronon-plan: {}\n\n", code(&words::short(comment.env, 60)));
    let (sign, state, more) = status(view);
    let _ = writeln!(page, "{sign} **{state}** · {more}\n");
    if let Some(plan) = comment.plan {
        let _ = writeln!(page, "**{}**\n", words::sentence(plan));
    }
    let mut facts = Vec::new();
    if !comment.head.is_empty() {
        facts.push(format!("commit {}", spell::commit(comment.head)));
    }
    if let Some(plan) = comment.plan {
        facts.push(format!("digest {}", spell::digest(&plan.digest)));
    }
    if !comment.at.is_empty() {
        facts.push(spell::time(comment.at));
    }
    if is_run(comment.run) {
        facts.push(spell::link(comment, "run"));
    }
    if !facts.is_empty() {
        let _ = writeln!(page, "<sub>{}</sub>\n", facts.join(" · "));
    }
    Part::fixed(page)
}

/// How far things have come: a sign, in a word, and in a sentence.
fn status(view: View<'_>) -> (&'static str, &'static str, String) {
    let plain = |text: &str| text.to_owned();
    let exit = |exit: u8| format!("exit code {exit}");
    match view.comment.status {
        Status::Planned => planned(view),
        Status::Closed => ("⚪", "Closed without a merge", plain("nothing of this plan was run")),
        Status::Queued => {
            ("🟡", "In the merge queue", format!("{} once it is merged", work(view)[0]))
        }
        Status::Applying => ("🟠", "Applying", format!("{} now", work(view)[0])),
        Status::Applied(receipt) => ("✅", "Applied", done(receipt)),
        Status::Running(receipt) => ("🟠", "Running in Airflow", done(receipt)),
        Status::Partly(receipt) => ("❌", "Partly applied", done(receipt)),
        Status::Interrupted(receipt) => ("⏸️", "Interrupted", done(receipt)),
        Status::Broken(trouble) => {
            ("❌", "Broke off", format!("jobs may have run, {}", exit(trouble.exit)))
        }
        Status::Refused(trouble) => {
            ("⛔", "Refused", format!("nothing was run, {}", exit(trouble.exit)))
        }
        Status::Failed(trouble) => {
            ("❌", "Failed", format!("no plan could be made, {}", exit(trouble.exit)))
        }
    }
}

fn planned(view: View<'_>) -> (&'static str, &'static str, String) {
    let unmet = view.comment.demands.iter().filter(|it| !it.missing.is_empty()).count();
    if unmet > 0 {
        let unmet = said(unmet, ["policy is not met", "policies are not met"]);
        return ("🔴", "Planned, not to be merged yet", unmet);
    }
    if view.comment.plan.is_some_and(|plan| plan.is_empty() && plan.complete) {
        return ("✅", "Nothing to run", "merging this needs no job".to_owned());
    }
    ("🔵", "Planned", format!("merging this {}", work(view)[1]))
}

/// What applying comes to: the jobs, or only the schedules.
fn work(view: View<'_>) -> [&'static str; 2] {
    let none = |plan: &crate::plan::contract::Plan| plan.steps.is_empty() && !plan.is_empty();
    match view.comment.plan.is_some_and(none) {
        true => ["the schedules are published", "publishes the schedules"],
        false => ["the jobs run", "runs the jobs"],
    }
}

/// What an apply did, in numbers.
fn done(receipt: &Receipt) -> String {
    let Receipt { done, failed, skipped, left, running, published, took, .. } = receipt;
    let all = done + failed.len() + skipped + left + running;
    let mut parts = Vec::new();
    if all > 0 || *published == 0 {
        parts.push(format!("{} of {} done", words::thousands(*done), words::count(all, "step")));
    }
    if *published > 0 {
        parts.push(format!("{} published", words::count(*published, "DAG")));
    }
    for (number, word) in [
        (*running, "running"),
        (failed.len(), "failed"),
        (*skipped, "not started"),
        (*left, "left behind"),
    ] {
        if number > 0 {
            parts.push(format!("{} {word}", words::thousands(number)));
        }
    }
    if !took.is_empty() {
        parts.push(format!("in {}", prose(&words::short(took, 40))));
    }
    parts.join(", ")
}

/// The whole digest, and what was compared.
pub(super) fn foot(view: View<'_>) -> Part<'_> {
    let Some(plan) = view.comment.plan else { return Part::fixed(String::new()) };
    let side = |side: &crate::plan::contract::Side| {
        format!("{} at {}", code(&words::short(&side.rev, 60)), spell::commit(&side.commit))
    };
    let digest = code(&words::short(&plan.digest, 80));
    Part::fixed(format!(
        "<sub>digest {digest} · as of {} · compared with {}</sub>\n",
        plan.as_of,
        side(&plan.base)
    ))
}
