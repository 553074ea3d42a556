//! A plan as a pull request comment.
//!
//! # Why
//! What a reviewer must know stands outside the folds: the verdict, what breaks, what stays wrong.
//! Everything else is one click away. All text from configs is code or inside fences, so nothing
//! in it is Markdown.

use std::fmt::Write;

use serde_json::Value;

use super::escape::cell;
use super::escape::code;
use super::escape::fenced;
use super::escape::html;
use super::escape::prose;
use super::escape::visible;
use super::graph;
use super::outline::Block;
use super::outline::Member;
use super::outline::Quiet;
use super::outline::outline;
use super::schedules;
use super::sql;
use super::words;
use crate::model::name::Address;
use crate::plan::contract::Columns;
use crate::plan::contract::Field;
use crate::plan::contract::Kind;
use crate::plan::contract::Plan;
use crate::plan::contract::Scope;
use crate::plan::contract::Step;
use crate::plan::contract::Trigger;
use crate::plan::contract::Warning;

/// More steps than this make a graph that nobody can read.
const GRAPH_STEPS: usize = 30;

/// Up to this many configs are read without a click.
pub(super) const OPEN_CONFIGS: usize = 4;

/// How much of a block is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Everything.
    Full,
    /// No SQL and no commands; long values and lists are cut.
    Fields,
}

impl Depth {
    /// Text as it may stand in a block.
    fn text(self, text: &str, most: usize) -> String {
        match self {
            Self::Full => visible(text),
            Self::Fields => words::short(text, most),
        }
    }

    /// A config of which the block tells.
    fn name(self, address: &Address) -> String {
        self.text(&address.to_string(), 200)
    }

    /// A sentence.
    fn prose(self, text: &str) -> String {
        match self {
            Self::Full => prose(text),
            Self::Fields => prose(&words::short(text, 200)),
        }
    }

    /// A value.
    fn value(self, value: Option<&Value>) -> String {
        code(&self.text(&words::value(value), 60))
    }

    /// Names of which the block does not tell.
    fn list<T: ToString>(self, names: &[T]) -> String {
        let most = if self == Self::Full { usize::MAX } else { 5 };
        let shown = names.iter().take(most).map(|it| code(&self.text(&it.to_string(), 120)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(most) {
            0 => shown,
            more => format!("{shown} and {} more", words::thousands(more)),
        }
    }
}

/// A plan as Markdown.
pub fn plan(plan: &Plan) -> String {
    let outline = outline(plan);
    let mut page = String::new();
    heading(&mut page, plan);
    warnings(&mut page, plan);
    let configs: usize = outline.blocks.iter().map(Block::configs).sum();
    let open = if configs <= OPEN_CONFIGS { Fold::Open } else { Fold::Closed };
    for block in &outline.blocks {
        block_fold(&mut page, open, block, Depth::Full);
    }
    removed(&mut page, plan);
    steps(&mut page, plan);
    plan.schedules.iter().for_each(|it| schedules::write_markdown(&mut page, it, Depth::Full));
    quiet(&mut page, &outline.quiet);
    files(&mut page, plan);
    orphans(&mut page, plan, Depth::Full);
    let _ = writeln!(page, "<sub>digest {} · as of {}</sub>", code(&plan.digest), plan.as_of);
    page
}

/// What differs between two commits as Markdown, without jobs.
pub fn changes(plan: &Plan) -> String {
    let outline = outline(plan);
    let mut page = String::new();
    let number = words::count(plan.changes.len(), "config");
    let _ = writeln!(
        page,
        "### {number} differ between {} and {}\n",
        code(&plan.base.rev),
        code(&plan.head.rev)
    );
    for block in &outline.blocks {
        let mut body = String::new();
        block.fields.iter().for_each(|field| field_item(&mut body, field, Depth::Full));
        for member in &block.members {
            let _ = writeln!(body, "\n{} {}\n", sign(member), address(member.config));
            member
                .change
                .iter()
                .for_each(|change| columns(&mut body, &change.columns, change.kind, Depth::Full));
        }
        if block.members.iter().any(|member| member.change.is_some()) {
            let _ = writeln!(page, "{body}");
        }
    }
    removed(&mut page, plan);
    quiet(&mut page, &outline.quiet);
    files(&mut page, plan);
    page
}

fn heading(page: &mut String, plan: &Plan) {
    let short = |commit: &str| code(commit.get(..7).unwrap_or(commit));
    let _ = writeln!(page, "### chronon-plan: {}\n", code(&plan.env));
    let _ = writeln!(page, "**{}**\n", words::sentence(plan));
    let (base, head) = (&plan.base, &plan.head);
    let _ = writeln!(
        page,
        "{} at {} → {} at {}\n",
        code(&base.rev),
        short(&base.commit),
        code(&head.rev),
        short(&head.commit)
    );
}

fn warnings(page: &mut String, plan: &Plan) {
    for warning in &plan.warnings {
        let severe = ["online-breaking", "history-not-rewritten"].contains(&warning.code.as_str());
        let sign = if severe { "🛑" } else { "⚠️" };
        let Warning { code: name, config, field, text, affects } = warning;
        let _ = write!(page, "- {sign} **{name}** {}", address(config));
        if let Some(field) = field {
            let _ = write!(page, " · {}", code(field));
        }
        let _ = write!(page, "<br>{}", prose(text));
        if !affects.is_empty() {
            let _ = write!(page, "<br>hits {}", addresses(affects));
        }
        page.push('\n');
    }
    if !plan.warnings.is_empty() {
        page.push('\n');
    }
}

pub(super) fn address(address: &Address) -> String {
    code(&address.to_string())
}

fn addresses(addresses: &[Address]) -> String {
    addresses.iter().map(address).collect::<Vec<_>>().join(", ")
}

/// Whether a fold can be read without a click.
#[derive(Clone, Copy)]
pub(super) enum Fold {
    Open,
    Closed,
}

pub(super) fn fold(page: &mut String, fold: Fold, summary: &str, body: &str) {
    let tag = match fold {
        Fold::Open => "<details open>",
        Fold::Closed => "<details>",
    };
    let body = body.trim_end_matches('\n');
    let _ = writeln!(page, "{tag}<summary>{summary}</summary>\n\n{body}\n</details>\n");
}

pub(super) fn block_fold(page: &mut String, how: Fold, block: &Block<'_>, depth: Depth) {
    let mut body = String::new();
    for field in &block.fields {
        field_item(&mut body, field, depth);
    }
    if !block.upstream.is_empty() {
        let list = depth.list(&block.upstream);
        let _ = writeln!(body, "- reads the table of {list}, which changes");
    }
    for reason in &block.reasons {
        let _ = writeln!(body, "- {}", depth.prose(reason));
    }
    for member in &block.members {
        member_part(&mut body, block, member, depth);
    }
    let summary = match block.members.as_slice() {
        [member] if member.others.is_empty() => {
            format!("{} {}{}", sign(member), html(&depth.name(member.config)), jobs(&member.steps))
        }
        [first, ..] => {
            let number = words::count(block.configs(), "config");
            let alike =
                if block.fields.is_empty() { "need jobs for one reason" } else { "changed alike" };
            format!("{} {number} {alike}{}", sign(first), jobs(&first.steps))
        }
        [] => return,
    };
    fold(page, how, &summary, &body);
}

pub(super) fn sign(member: &Member<'_>) -> &'static str {
    match member.change.map(|change| change.kind) {
        Some(Kind::Added) => "➕",
        Some(Kind::Removed) => "➖",
        Some(Kind::VersionBump | Kind::Renamed) => "⏭️",
        Some(Kind::Modified) => "✏️",
        None => "⬆️",
    }
}

pub(super) fn jobs(steps: &[&Step]) -> String {
    let modes: Vec<&str> = steps.iter().map(|step| step.mode.as_str()).collect();
    if modes.is_empty() { " · no job".to_owned() } else { format!(" · {}", modes.join(", ")) }
}

fn field_item(body: &mut String, field: &Field, depth: Depth) {
    let because = depth.prose(&field.because);
    let path = code(&depth.text(&field.path, 120));
    let text = |value: &Option<Value>| value.as_ref().and_then(|it| it.as_str().map(str::to_owned));
    let value = |value: &Option<Value>| depth.value(value.as_ref());
    let what = match (&field.before, &field.after) {
        _ if field.hidden => format!("{path} changed, values hidden"),
        _ if field.reordered => format!("{path} in another order"),
        (None, Some(Value::Array(_) | Value::Object(_))) => format!("{path} added"),
        (Some(Value::Array(_) | Value::Object(_)), None) => format!("{path} removed"),
        (None, Some(_)) => format!("{path} added: {}", value(&field.after)),
        (Some(_), None) => format!("{path} removed: {}", value(&field.before)),
        (Some(_), Some(_)) if field.sql && depth == Depth::Full => path,
        (Some(_), Some(_)) if field.sql => format!("{path} changed"),
        _ => format!("{path}: {} → {}", value(&field.before), value(&field.after)),
    };
    let _ = writeln!(body, "- {what} — {because}");
    let sql = field.sql && depth == Depth::Full;
    if let (true, Some(before), Some(after)) = (sql, text(&field.before), text(&field.after)) {
        let _ = writeln!(body, "\n{}", fenced("diff", &sql::lines(&before, &after)));
    }
}

fn member_part(body: &mut String, block: &Block<'_>, member: &Member<'_>, depth: Depth) {
    if block.configs() > 1 {
        let all = std::iter::once(member.config).chain(member.others.iter().copied());
        let all: Vec<String> = all.map(|it| code(&depth.name(it))).collect();
        let _ = writeln!(body, "\n{} {}\n", sign(member), all.join(", "));
    }
    if let Some(change) = member.change {
        if let Some(from) = &change.from {
            let _ = writeln!(body, "- replaces {}", code(&depth.name(from)));
        }
        columns(body, &change.columns, change.kind, depth);
        if !change.downstream.is_empty() {
            let _ = writeln!(body, "- downstream: {}", depth.list(&change.downstream));
        }
    }
    for group in words::grouped(&member.steps) {
        let modes: Vec<String> = group.iter().map(|step| words::step(step)).collect();
        let notes = group.first().map(|step| notes(step)).unwrap_or_default();
        let _ = writeln!(body, "- **{}**{notes}", prose(&modes.join(" → ")));
    }
}

fn notes(step: &Step) -> String {
    let mut notes = String::new();
    if step.trigger == Trigger::Schedule {
        notes.push_str(" (by the scheduler, once there is a day of logs)");
    }
    if step.scope == Scope::Pending {
        notes.push_str(" (pending: merged before, never applied)");
    }
    notes
}

fn columns(body: &mut String, columns: &Columns, kind: Kind, depth: Depth) {
    let mut list = |what: &str, names: &[String]| {
        if !names.is_empty() {
            let _ = writeln!(body, "- columns {what}: {}", depth.list(names));
        }
    };
    list("added", &columns.added);
    list("removed", &columns.removed);
    if matches!(kind, Kind::Modified | Kind::VersionBump) {
        list("with other values", &columns.changed);
    }
    for renamed in &columns.renamed {
        let name = |name: &str| code(&depth.text(name, 120));
        let _ = writeln!(body, "- column {} renamed to {}", name(&renamed.from), name(&renamed.to));
    }
}

pub(super) fn removed(page: &mut String, plan: &Plan) {
    let gone: Vec<Address> = plan
        .changes
        .iter()
        .filter(|it| it.kind == Kind::Removed)
        .map(|it| it.config.clone())
        .collect();
    if !gone.is_empty() {
        let body: String = gone.iter().map(|it| format!("- {}\n", address(it))).collect();
        fold(
            page,
            Fold::Closed,
            &format!("➖ {} removed", words::count(gone.len(), "config")),
            &body,
        );
    }
}

/// Every step in order, with its command.
pub(super) fn steps(page: &mut String, plan: &Plan) {
    if plan.steps.is_empty() {
        return;
    }
    let mut body = String::new();
    let waits = plan.steps.iter().any(|step| !step.after.is_empty());
    if waits && plan.steps.len() <= GRAPH_STEPS {
        let _ = writeln!(body, "{}", fenced("mermaid", graph::steps_mermaid(plan).trim_end()));
    }
    body.push_str("| # | job | config | days and old partitions | after |\n");
    body.push_str("|---|---|---|---|---|\n");
    let numbers = words::numbers(plan);
    for (at, step) in plan.steps.iter().enumerate() {
        let days = step.range.as_ref().map(words::days);
        let rewrite = step.rewrite.map(|it| words::rewrite(it).to_owned());
        let days = days.into_iter().chain(rewrite).collect::<Vec<_>>().join("<br>");
        let (mode, config) = (cell(&step.mode), cell(&step.config.to_string()));
        let after = words::after(&numbers, step);
        let at = at + 1;
        let _ = writeln!(body, "| {at} | {mode} | {config} | {days} | {after} |");
    }
    let _ = writeln!(body, "\n{}", fenced("sh", &commands(plan).join("\n")));
    let title = format!("{} in order, with commands", words::count(plan.steps.len(), "step"));
    fold(page, Fold::Closed, &title, &body);
}

/// The commands of all steps, in order; what has none is a comment.
fn commands(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        if let Some(manual) = &step.manual {
            lines.push(format!("# {} by hand: {manual}", step.id).replace('\n', "\\n"));
        }
        if !step.argv.is_empty() {
            lines.push(shell(&step.argv));
        }
    }
    lines
}

/// A command as a shell takes it.
fn shell(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    let quote = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ").replace('\n', "\\n")
}

pub(super) fn quiet(page: &mut String, quiet: &[Quiet<'_>]) {
    if quiet.is_empty() {
        return;
    }
    let mut body = String::new();
    for group in quiet {
        let hidden = if group.hidden { ", values hidden" } else { "" };
        let number = words::count(group.configs.len(), "config");
        let _ =
            writeln!(body, "- {} in {number}{hidden}: {}", code(&group.path), prose(group.because));
        if let Some(field) = group.values.filter(|field| !field.hidden && !field.sql) {
            let value = |value: &Option<Value>| code(&words::value(value.as_ref()));
            let _ = writeln!(body, "  - {} → {}", value(&field.before), value(&field.after));
        }
        let list: Vec<String> = group.configs.iter().map(|it| address(it)).collect();
        let _ = writeln!(body, "  - {}", list.join(", "));
    }
    fold(page, Fold::Closed, "Changed, no job needed", &body);
}

pub(super) fn files(page: &mut String, plan: &Plan) {
    let mut body = String::new();
    for file in &plan.skipped_files {
        let place =
            if file.line > 0 { format!(":{}:{}", file.line, file.column) } else { String::new() };
        let _ = writeln!(
            body,
            "- left out {} at {}: {}",
            code(&format!("{}{place}", file.path)),
            file.side,
            prose(&file.what)
        );
    }
    for file in &plan.other_files {
        let verb = match file.kind {
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Modified | Kind::VersionBump | Kind::Renamed => "changed",
        };
        let _ = writeln!(body, "- {} {verb}: {}", code(&file.path), prose(&file.why));
    }
    if !body.is_empty() {
        let title = if plan.skipped_files.is_empty() {
            "Other files"
        } else {
            "⚠️ Files that cannot be read were left out"
        };
        fold(page, Fold::Closed, title, &body);
    }
}

pub(super) fn orphans(page: &mut String, plan: &Plan, depth: Depth) {
    if plan.orphans.is_empty() {
        return;
    }
    let mut body = String::new();
    for orphan in &plan.orphans {
        let _ = writeln!(body, "- {} of {}", code(&orphan.what), address(&orphan.config));
        if !orphan.remove_with.is_empty() && depth == Depth::Full {
            let commands: Vec<String> = orphan.remove_with.iter().map(|it| visible(it)).collect();
            let _ = writeln!(body, "\n{}", fenced("sh", &commands.join("\n")));
        }
    }
    let number = words::thousands(plan.orphans.len());
    fold(page, Fold::Closed, &format!("{number} left behind, to be removed by hand"), &body);
}
