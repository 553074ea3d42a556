//! A plan for people at a terminal, and for logs.
//!
//! # Why
//! Worst first: what breaks and what stays wrong stands above everything. Then one block per
//! cause, each config under one headline, and what needs no job counted below. The last line is
//! always the same sentence.

use std::fmt::Write;

use comfy_table::ContentArrangement;
use comfy_table::Table;
use serde_json::Value;

use super::Style;
use super::escape::visible;
use super::outline::Block;
use super::outline::Member;
use super::outline::Outline;
use super::outline::Quiet;
use super::outline::outline;
use super::page::GLUE;
use super::page::Page;
use super::page::Paint;
use super::sql;
use super::sql::Run;
use super::words;
use crate::model::name::Address;
use crate::plan::contract::Change;
use crate::plan::contract::Columns;
use crate::plan::contract::Field;
use crate::plan::contract::Kind;
use crate::plan::contract::Plan;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Scope;
use crate::plan::contract::Step;
use crate::plan::contract::Trigger;

/// A plan as text.
pub fn plan(plan: &Plan, style: Style) -> String {
    let mut page = Page { style, complete: plan.complete, text: String::new() };
    let outline = outline(plan);
    page.heading(plan);
    if !style.changes_only {
        page.warnings(plan);
    }
    page.blocks(&outline);
    page.removed(&outline);
    page.quiet(&outline.quiet);
    page.files(plan);
    if style.changes_only {
        page.closing(&differences(plan));
    } else {
        page.by_hand(plan);
        page.order(plan);
        plan.schedules.iter().for_each(|it| page.schedules(it, false));
        page.orphans(plan);
        page.text.push('\n');
        page.line(0, &page.paint(Paint::Dim, &format!("digest {}", plan.digest)));
        page.closing(&words::sentence(plan));
    }
    page.text
}

/// The closing line of a comparison that plans nothing.
fn differences(plan: &Plan) -> String {
    format!(
        "{} differ between {} and {}.",
        words::count(plan.changes.len(), "config"),
        visible(&plan.base.rev),
        visible(&plan.head.rev)
    )
}

/// More steps than this are told in waves: each stands with its config above.
const LISTED_STEPS: usize = 60;

/// Said of a config that changed and has no step.
const KEEPS_NOTHING: &str = "no job: it keeps no table, dataset or streaming job of its own";

/// The same where steps may have been left out.
const LEFT_OUT: &str = "no job in this plan, which is incomplete";

impl Page {
    fn heading(&mut self, plan: &Plan) {
        let side = |side: &crate::plan::contract::Side| {
            let short = side.commit.get(..7).unwrap_or(&side.commit);
            if side.rev.starts_with(short) {
                short.to_owned()
            } else {
                format!("{} ({short})", visible(&side.rev))
            }
        };
        let (base, head) = (side(&plan.base), side(&plan.head));
        let env = self.paint(Paint::Bold, &visible(&plan.env));
        let as_of =
            if self.style.changes_only { String::new() } else { format!(", as of {}", plan.as_of) };
        self.line(0, &format!("chronon-plan {env}: {base} → {head}{as_of}"));
    }

    fn warnings(&mut self, plan: &Plan) {
        if plan.warnings.is_empty() {
            return;
        }
        self.section("Warnings");
        for warning in &plan.warnings {
            let severe =
                ["online-breaking", "history-not-rewritten"].contains(&warning.code.as_str());
            let code = self.paint(if severe { Paint::Red } else { Paint::Yellow }, &warning.code);
            self.line(2, &format!("! {code}  {}", name(&warning.config)));
            let field = warning
                .field
                .as_ref()
                .map(|field| format!("{}: ", visible(field)))
                .unwrap_or_default();
            self.line(6, &format!("{field}{}", visible(&warning.text)));
            if !warning.affects.is_empty() {
                self.line(6, &format!("hits {}", names(&warning.affects)));
            }
        }
    }

    fn blocks(&mut self, outline: &Outline<'_>) {
        if !outline.blocks.is_empty() {
            self.section(if self.style.changes_only {
                "Differences"
            } else {
                "Changes and the jobs they need"
            });
        }
        for (at, block) in outline.blocks.iter().enumerate() {
            if at > 0 {
                self.text.push('\n');
            }
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block<'_>) {
        let indent = if block.configs() > 1 {
            let number = words::count(block.configs(), "config");
            let title = match (block.fields.is_empty(), block.upstream.is_empty()) {
                (true, false) => format!("{number} read a table that changes"),
                (true, true) => number,
                (false, _) => format!("{number} changed alike"),
            };
            self.line(2, &self.paint(Paint::Bold, &title));
            self.causes(block, 6);
            4
        } else {
            2
        };
        for member in &block.members {
            self.member(block, member, indent);
        }
    }

    fn member(&mut self, block: &Block<'_>, member: &Member<'_>, indent: usize) {
        let change = member.change;
        let (sign, paint) = match change.map(|change| change.kind) {
            Some(Kind::Added) => ("+", Paint::Green),
            Some(Kind::Removed) => ("-", Paint::Red),
            Some(Kind::VersionBump | Kind::Renamed) => ("»", Paint::Yellow),
            Some(Kind::Modified) => ("~", Paint::Yellow),
            None => ("^", Paint::Dim),
        };
        let sign = self.paint(paint, sign);
        let named = match member.others.len() {
            0 => name(member.config),
            others => words::count(others + 1, "config"),
        };
        let named = self.paint(Paint::Bold, &named);
        self.line(indent, &format!("{sign}{GLUE}{named}{}", remark(member)));
        if !member.others.is_empty() {
            let all = std::iter::once(member.config).chain(member.others.iter().copied());
            self.line(indent + 4, &all.map(name).collect::<Vec<_>>().join(", "));
        }
        if block.configs() == 1 {
            self.causes(block, indent + 4);
        }
        if let Some(change) = change {
            self.columns(&change.columns, change.kind, indent + 4);
        }
        if !self.style.changes_only {
            self.steps(&member.steps, indent + 4);
            if let Some(change) = change.filter(|it| !it.downstream.is_empty()) {
                let downstream = format!("downstream: {}", names(&change.downstream));
                self.line(indent + 4, &self.paint(Paint::Dim, &downstream));
            }
        }
    }

    fn causes(&mut self, block: &Block<'_>, indent: usize) {
        for field in &block.fields {
            self.field(field, indent);
        }
        if !block.upstream.is_empty() {
            let list: Vec<String> = block.upstream.iter().map(|it| name(it)).collect();
            self.line(indent, &format!("reads the table of {}, which changes", list.join(", ")));
        }
        let kind = block.members[0].change.map(|change| change.kind);
        if kind != Some(Kind::Added) {
            for reason in &block.reasons {
                self.line(indent, &visible(reason));
            }
        }
    }

    fn field(&mut self, field: &Field, indent: usize) {
        let path = visible(&field.path).replace(' ', &GLUE.to_string());
        let because = if self.style.changes_only {
            String::new()
        } else {
            format!("  ({})", visible(&field.because))
        };
        let text =
            |value: &Option<Value>| value.as_ref().and_then(|it| it.as_str().map(str::to_owned));
        match (&field.before, &field.after) {
            _ if field.hidden => {
                self.line(indent, &format!("{path} changed, values hidden{because}"))
            }
            _ if field.reordered => self.line(indent, &format!("{path} in another order{because}")),
            (None, Some(after)) => {
                let sign = self.paint(Paint::Green, "+");
                self.line(indent, &format!("{sign}{GLUE}{path}{}{because}", brief(after)));
            }
            (Some(before), None) => {
                let sign = self.paint(Paint::Red, "-");
                self.line(indent, &format!("{sign}{GLUE}{path}{}{because}", brief(before)));
            }
            (before, after) => {
                self.line(indent, &format!("{path}{because}"));
                match (field.sql, text(before), text(after)) {
                    (true, Some(old), Some(new)) if old.contains('\n') || new.contains('\n') => {
                        self.sql_lines(indent + 2, &sql::lines(&old, &new));
                    }
                    (true, Some(old), Some(new)) => {
                        self.line(indent + 2, &self.marked(&sql::words(&old, &new)));
                    }
                    _ => {
                        let (old, new) = (words::value_before(field), words::value_after(field));
                        self.line(indent + 2, &format!("{old} → {new}"));
                    }
                }
            }
        }
    }

    /// A diff of SQL that stands on several lines.
    fn sql_lines(&mut self, indent: usize, diff: &str) {
        for line in diff.lines() {
            let shown = visible(line.trim_end()).replace(' ', &GLUE.to_string());
            let shown = match line.chars().next() {
                Some('-') => self.paint(Paint::Red, &shown),
                Some('+') => self.paint(Paint::Green, &shown),
                _ => shown,
            };
            self.line(indent, &shown);
        }
    }

    fn marked(&self, runs: &[Run]) -> String {
        let mut shown = String::new();
        for run in runs {
            match run {
                Run::Same(text) => shown.push_str(&visible(text)),
                Run::Before(text) => {
                    shown.push_str(&self.paint(Paint::Red, &format!("[-{}-]", visible(text))))
                }
                Run::After(text) => {
                    shown.push_str(&self.paint(Paint::Green, &format!("{{+{}+}}", visible(text))))
                }
            }
        }
        shown
    }

    fn columns(&mut self, columns: &Columns, kind: Kind, indent: usize) {
        let mut parts = Vec::new();
        let mut list = |paint: Paint, sign: &str, columns: &[String]| {
            if !columns.is_empty() {
                let all: Vec<String> = columns.iter().map(|it| visible(it)).collect();
                parts.push(self.paint(paint, &format!("{sign} {}", all.join(", "))));
            }
        };
        list(Paint::Green, "+", &columns.added);
        list(Paint::Red, "-", &columns.removed);
        if kind == Kind::Modified || kind == Kind::VersionBump {
            list(Paint::Yellow, "~", &columns.changed);
        }
        let renamed: Vec<String> = columns
            .renamed
            .iter()
            .map(|it| format!("{} → {}", visible(&it.from), visible(&it.to)))
            .collect();
        list(Paint::Yellow, "renamed", &renamed);
        if !parts.is_empty() {
            self.line(indent, &format!("columns {}", parts.join("; ")));
        }
    }

    fn steps(&mut self, steps: &[&Step], indent: usize) {
        if steps.is_empty() {
            self.line(indent, if self.complete { KEEPS_NOTHING } else { LEFT_OUT });
        }
        for group in words::grouped(steps) {
            let modes: Vec<String> = group.iter().map(|step| words::step(step)).collect();
            let mut shown = modes.join(" → ");
            if group.iter().all(|step| step.trigger == Trigger::Schedule) {
                shown.push_str("  (by the scheduler, once there is a day of logs)");
            }
            if group.iter().any(|step| step.scope == Scope::Pending) {
                shown.push_str("  (pending: merged before, never applied)");
            }
            let arrow = self.paint(Paint::Green, "▸");
            if group.iter().any(|step| step.rewrite == Some(Rewrite::ArchiveFirst)) {
                shown = self.paint(Paint::Red, &shown);
            }
            self.line(indent, &format!("{arrow}{GLUE}{shown}"));
        }
    }

    fn removed(&mut self, outline: &Outline<'_>) {
        if outline.removed.is_empty() {
            return;
        }
        self.section("Removed");
        for change in &outline.removed {
            let sign = self.paint(Paint::Red, "-");
            self.line(2, &format!("{sign} {}", name(&change.config)));
        }
    }

    fn quiet(&mut self, quiet: &[Quiet<'_>]) {
        if quiet.is_empty() {
            return;
        }
        self.section(if self.style.changes_only {
            "Bookkeeping and settings"
        } else {
            "Changed, no job needed"
        });
        for group in quiet {
            let number = words::count(group.configs.len(), "config");
            let hidden = if group.hidden { ", values hidden" } else { "" };
            self.line(
                2,
                &format!(
                    "{} in {number}{hidden}: {}",
                    visible(&group.path),
                    visible(group.because)
                ),
            );
            if let Some(field) = group.values.filter(|field| !field.hidden && !field.sql) {
                self.line(
                    6,
                    &format!("{} → {}", words::value_before(field), words::value_after(field)),
                );
            }
            let configs: Vec<Address> = group.configs.iter().map(|it| (*it).clone()).collect();
            self.line(6, &self.paint(Paint::Dim, &names(&configs)));
        }
    }

    fn files(&mut self, plan: &Plan) {
        if !plan.skipped_files.is_empty() {
            self.section("Left out: these files cannot be read");
        }
        for file in &plan.skipped_files {
            let place = if file.line > 0 {
                format!(":{}:{}", file.line, file.column)
            } else {
                String::new()
            };
            self.line(
                2,
                &format!(
                    "{}{place}: {} (at {})",
                    visible(&file.path),
                    visible(&file.what),
                    file.side
                ),
            );
        }
        if !plan.other_files.is_empty() {
            self.section("Other files");
        }
        for file in &plan.other_files {
            let verb = match file.kind {
                Kind::Added => "added",
                Kind::Removed => "removed",
                Kind::Modified | Kind::VersionBump | Kind::Renamed => "changed",
            };
            self.line(2, &format!("{} {verb}: {}", visible(&file.path), file.why));
        }
    }

    /// What commands leave to people, each told once.
    fn by_hand(&mut self, plan: &Plan) {
        let told = words::by_hand(plan);
        if !told.is_empty() {
            self.section("By hand");
        }
        for (what, steps) in told {
            self.line(2, &visible(what));
            self.line(6, &steps.iter().map(|it| visible(it)).collect::<Vec<_>>().join(", "));
        }
    }

    fn orphans(&mut self, plan: &Plan) {
        if plan.orphans.is_empty() {
            return;
        }
        self.section("Left behind, to be removed by hand");
        for orphan in &plan.orphans {
            self.line(2, &format!("{} of {}", visible(&orphan.what), name(&orphan.config)));
            for command in &orphan.remove_with {
                // A command is copied, so it is never broken.
                let _ = writeln!(self.text, "      {}", self.paint(Paint::Dim, &visible(command)));
            }
        }
    }

    /// Every step, numbered, with what it waits for; of very many, how many follow each other.
    fn order(&mut self, plan: &Plan) {
        if plan.steps.is_empty() {
            return;
        }
        self.section("Order");
        if plan.steps.len() > LISTED_STEPS {
            for (at, wave) in words::waves(plan).iter().enumerate() {
                self.line(2, &format!("{}. {wave}", at + 1));
            }
            return;
        }
        let numbers = words::numbers(plan);
        let mut table = Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        let width = self.style.width.map_or(u16::MAX, |it| u16::try_from(it).unwrap_or(u16::MAX));
        table.set_width(width);
        for (at, step) in plan.steps.iter().enumerate() {
            let after = words::after(&numbers, step);
            let after = if after.is_empty() { after } else { format!("← {after}") };
            let archive = step.rewrite == Some(Rewrite::ArchiveFirst);
            let mode = if archive { format!("{} *", step.mode) } else { step.mode.clone() };
            table.add_row([(at + 1).to_string(), visible(&mode), name(&step.config), after]);
        }
        for row in table.to_string().lines() {
            let _ = writeln!(self.text, " {}", row.trim_end());
        }
        if plan.steps.iter().any(|step| step.rewrite == Some(Rewrite::ArchiveFirst)) {
            self.line(2, "* once the old table is archived or dropped");
        }
    }

    fn closing(&mut self, sentence: &str) {
        let sentence = self.paint(Paint::Bold, sentence);
        let _ = writeln!(self.text, "{sentence}");
    }
}

/// What a headline adds to the name.
fn remark(member: &Member<'_>) -> String {
    match member.change {
        None => "  (its file is unchanged)".to_owned(),
        Some(Change { kind: Kind::Added, .. }) => "  (new)".to_owned(),
        Some(Change { kind: Kind::VersionBump | Kind::Renamed, from: Some(from), .. }) => {
            format!("  (replaces {})", name(from))
        }
        Some(_) => String::new(),
    }
}

/// A small value, for behind a path; nothing for large ones.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => String::new(),
        value => format!(" {}", words::value(Some(value))),
    }
}

fn name(address: &Address) -> String {
    visible(&address.to_string())
}

fn names(addresses: &[Address]) -> String {
    addresses.iter().map(name).collect::<Vec<_>>().join(", ")
}
