//! What became of a plan: why nothing was done, or what was, what failed and how to go on.

use std::fmt::Write;

use super::FailedStep;
use super::Receipt;
use super::Status;
use super::Trouble;
use super::View;
use super::Watched;
use super::marker::is_page;
use super::part::Form;
use super::part::List;
use super::part::Noun;
use super::part::Part;
use crate::render::escape::code;
use crate::render::escape::fenced;
use crate::render::words;

/// The parts of the page.
pub(super) fn parts(view: View<'_>) -> Vec<Part<'_>> {
    match view.comment.status {
        Status::Planned | Status::Closed | Status::Queued | Status::Applying => Vec::new(),
        Status::Applied(receipt)
        | Status::Running(receipt)
        | Status::Partly(receipt)
        | Status::Interrupted(receipt) => ended(view, receipt),
        Status::Refused(trouble) | Status::Broken(trouble) | Status::Failed(trouble) => {
            let Trouble { what, next, exit: _ } = trouble;
            vec![
                lines(view, "**What is the matter**\n\n", what, ["line of it", "lines of it"]),
                lines(view, "**What to do**\n\n", next, ["thing to do", "things to do"]),
            ]
        }
    }
}

fn ended<'a>(view: View<'a>, receipt: &'a Receipt) -> Vec<Part<'a>> {
    let failed = List {
        before: String::new(),
        items: receipt.failed.iter().map(|it| failure(view, it)).collect(),
        after: "",
        form: Form::Rows,
        noun: ["failed step", "failed steps"],
    };
    let resume = ["way to go on", "ways to go on"];
    vec![
        failed.part(),
        watched(view, receipt),
        lines(view, "**To go on**\n\n", &receipt.resume, resume),
        Part::fixed(ledger(receipt)),
    ]
}

/// Jobs on the pages of whatever runs them.
fn watched<'a>(view: View<'a>, receipt: &Receipt) -> Part<'a> {
    let sizes = view.detail.sizes();
    let sign = |done: Option<bool>| match done {
        None => "🟠 running",
        Some(true) => "✅ done",
        Some(false) => "❌ failed",
    };
    let row = |it: &Watched| {
        format!("- {} {} · [run]({})\n", sign(it.done), sizes.name(&it.step), it.page)
    };
    let sound = receipt.watched.iter().filter(|it| is_page(&it.page));
    List {
        before: "**In Airflow**\n\n".to_owned(),
        items: sound.map(row).collect(),
        after: "",
        form: Form::Bullets,
        noun: ["run", "runs"],
    }
    .part()
}

/// The ledger as it stands, and what a new plan says.
fn ledger(receipt: &Receipt) -> String {
    let again = match receipt.again {
        Some(0) => "re-plan: no changes".to_owned(),
        Some(steps) => format!("re-plan: {} to do", words::count(steps, "step")),
        None => "re-plan: none was made".to_owned(),
    };
    format!("The ledger is at serial {} · {again}\n\n", code(&receipt.serial.to_string()))
}

/// Lines of errors or advice, which may quote anything.
fn lines<'a>(view: View<'a>, before: &str, all: &[String], noun: Noun) -> Part<'a> {
    let sizes = view.detail.sizes();
    let told = all.iter().map(|line| sizes.prose(line)).filter(|line| !line.is_empty());
    List {
        before: before.to_owned(),
        items: told.map(|line| format!("- {line}\n")).collect(),
        after: "",
        form: Form::Bullets,
        noun,
    }
    .part()
}

/// A step that failed, with the end of its log.
fn failure(view: View<'_>, failed: &FailedStep) -> String {
    let sizes = view.detail.sizes();
    let FailedStep { step, what, tail, by_hand, page } = failed;
    let (sign, word) = if *by_hand { ("✋", "to be done by hand") } else { ("❌", "failed") };
    let (step, what) = (sizes.name(step), sizes.prose(what));
    let mut item = format!("{sign} **{word}** {step}");
    if !what.is_empty() {
        let _ = write!(item, " · {what}");
    }
    if let Some(page) = page.as_ref().filter(|page| is_page(page)) {
        let _ = write!(item, " · [log]({page})");
    }
    item.push_str("\n\n");
    if !tail.is_empty() {
        let shown = &tail[tail.len().saturating_sub(sizes.lines)..];
        if shown.len() < tail.len() {
            let (few, all) = (shown.len(), words::count(tail.len(), "line"));
            let _ = writeln!(item, "The last {few} of {all} of its log:\n");
        }
        let shown: Vec<String> = shown.iter().map(|it| words::short(it, sizes.line)).collect();
        let _ = writeln!(item, "{}", fenced("text", &shown.join("\n")));
    }
    item
}
