//! What people are asked for or told beside the plan: policies, warnings, other pull requests,
//! notes, earlier plans.

use std::fmt::Write;

use super::View;
use super::marker::EARLIER;
use super::marker::Earlier;
use super::part::Form;
use super::part::List;
use super::part::Part;
use super::severe;
use super::spell;
use crate::model::name::Address;
use crate::plan::contract::Warning;
use crate::plan::policy::Demand;
use crate::render::escape::code;
use crate::render::words;

/// Up to this many other pull requests are read without a click.
const OPEN_OVERLAPS: usize = 3;

/// The policies that are not met, with who can help; then those that are.
pub(super) fn demands(view: View<'_>) -> [Part<'_>; 2] {
    let (met, unmet): (Vec<&Demand>, Vec<&Demand>) =
        view.comment.demands.iter().partition(|it| it.missing.is_empty());
    let list = |before: &str, demands: Vec<&Demand>, noun| {
        let items = demands.into_iter().map(|it| demand(view, it)).collect();
        List { before: before.to_owned(), items, after: "", form: Form::Bullets, noun }.part()
    };
    [
        list(
            "**Policies not met**\n\n",
            unmet,
            ["policy that is not met", "policies that are not met"],
        ),
        list("**Policies met**\n\n", met, ["policy that is met", "policies that are met"]),
    ]
}

/// A policy: why it holds, which configs make it so, what is missing and who can give it.
fn demand(view: View<'_>, demand: &Demand) -> String {
    let sizes = view.detail.sizes();
    let Demand { policy, why, configs, missing, ask } = demand;
    let sign = if missing.is_empty() { "✅" } else { "⛔" };
    let mut item = format!("- {sign} **policy** {} · {}", sizes.name(policy), sizes.prose(why));
    if missing.is_empty() {
        return item + "\n";
    }
    // The sentence names the first few; where those are all, it has said it.
    let named = |it: &Address| why.contains(&format!("`{it}`"));
    if !configs.iter().all(named) {
        let _ = write!(item, "<br>because of {}", sizes.configs(configs));
    }
    for lack in missing.iter().take(sizes.names) {
        let _ = write!(item, "<br>missing: {}", sizes.prose(lack));
    }
    let left = missing.len().saturating_sub(sizes.names);
    if left > 0 {
        let _ = write!(item, "<br>and {} more missing", words::thousands(left));
    }
    if !ask.is_empty() {
        // As code, a name calls nobody.
        let who: Vec<String> = ask.iter().take(sizes.people).map(|it| sizes.name(it)).collect();
        let _ = write!(item, "<br>ask {}", who.join(" or "));
        let left = ask.len() - who.len();
        if left > 0 {
            let _ = write!(item, " or one of {} more", words::thousands(left));
        }
    }
    item + "\n"
}

/// The warnings that are not severe.
pub(super) fn warnings(view: View<'_>) -> Part<'_> {
    let warnings = view.comment.plan.iter().flat_map(|plan| &plan.warnings);
    let other = warnings.filter(|it| !severe::is_severe(&it.code));
    List {
        before: "**Warnings**\n\n".to_owned(),
        items: other.map(|it| warning(view, it)).collect(),
        after: "",
        form: Form::Bullets,
        noun: ["other warning", "other warnings"],
    }
    .part()
}

fn warning(view: View<'_>, warning: &Warning) -> String {
    let sizes = view.detail.sizes();
    let Warning { code: name, config, field, text, affects } = warning;
    let mut item = format!("- ⚠️ **{}** {}", sizes.prose(name), sizes.config(config));
    if let Some(field) = field {
        let _ = write!(item, " · {}", sizes.name(field));
    }
    let _ = write!(item, "<br>{}", sizes.prose(text));
    if !affects.is_empty() {
        let _ = write!(item, "<br>hits {}", sizes.configs(affects));
    }
    item + "\n"
}

/// Other open pull requests that touch the same or related configs.
pub(super) fn overlaps(view: View<'_>) -> Part<'_> {
    let sizes = view.detail.sizes();
    let all = view.comment.overlaps;
    let items = all.iter().map(|it| {
        // As code: a link would be a mark on the other pull request at each edit of this comment.
        let number = code(&format!("#{}", it.number));
        let mut item = format!("- {number} {}", sizes.name(&it.title));
        for (what, configs) in
            [("both touch", &it.same), ("up- or downstream it touches", &it.related)]
        {
            if !configs.is_empty() {
                let _ = write!(item, "<br>{what} {}", sizes.configs(configs));
            }
        }
        item + "\n"
    });
    let items = items.collect();
    let open = if all.len() <= OPEN_OVERLAPS { " open" } else { "" };
    let number = words::count(all.len(), "other open pull request");
    let touch = if all.len() == 1 { "touches" } else { "touch" };
    List {
        before: format!(
            "<details{open}><summary>🔀 {number} {touch} the same or related configs</summary>\n\n"
        ),
        items,
        after: "</details>\n\n",
        form: Form::Bullets,
        noun: ["other open pull request", "other open pull requests"],
    }
    .part()
}

/// Sentences of the program's own.
pub(super) fn notes(view: View<'_>) -> Part<'_> {
    let sizes = view.detail.sizes();
    List {
        before: "**Notes**\n\n".to_owned(),
        items: view.comment.notes.iter().map(|it| format!("- {}\n", sizes.prose(it))).collect(),
        after: "",
        form: Form::Bullets,
        noun: ["note", "notes"],
    }
    .part()
}

/// The plans that this comment showed before.
pub(super) fn earlier(view: View<'_>) -> Part<'_> {
    let sound = |it: &&Earlier| it.is_sound();
    let all: Vec<&Earlier> = view.comment.earlier.iter().filter(sound).take(EARLIER).collect();
    let row = |it: &&Earlier| {
        let (commit, digest) = (spell::commit(&it.head), spell::digest(&it.digest));
        let (time, run) = (spell::time(&it.at), spell::earlier_link(view.comment, it));
        format!("| {commit} | {digest} | {time} | {run} |\n")
    };
    List {
        before: format!(
            "<details><summary>{}</summary>\n\n| commit | digest | planned | run |\n|---|---|---|---|\n",
            words::count(all.len(), "earlier plan")
        ),
        items: all.iter().map(row).collect(),
        after: "</details>\n\n",
        form: Form::Rows,
        noun: ["earlier plan", "earlier plans"],
    }
    .part()
}
