//! Schedules: one line to each DAG that differs, and behind it the tasks.

use std::fmt::Write;

use super::Style;
use super::escape::code;
use super::escape::prose;
use super::escape::visible;
use super::markdown::Depth;
use super::markdown::Fold;
use super::markdown::fold;
use super::page::Page;
use super::page::Paint;
use super::words;
use crate::plan::contract::Kind;
use crate::plan::contract::Scope;
use crate::plan::schedules::DagChange;
use crate::plan::schedules::Schedules;
use crate::plan::schedules::TaskChange;
use crate::schedule::shown_schedule;

/// Signs of text and of Markdown for what comes, goes and changes.
fn signs(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Added => ("+", "➕"),
        Kind::Removed => ("-", "➖"),
        Kind::Modified | Kind::VersionBump | Kind::Renamed => ("~", "✏️"),
    }
}

/// When a DAG runs: in a word, or as a cron between these marks.
fn when(cron: Option<&String>, mark: &str) -> String {
    let Some(cron) = cron else { return "when asked".to_owned() };
    let shown = visible(&shown_schedule(cron));
    if shown.contains(' ') { format!("{mark}{shown}{mark}") } else { shown }
}

/// What differs of a DAG, on one line; crons stand between marks.
fn told(dag: &DagChange, mark: &str) -> String {
    let when = |cron: Option<&String>| when(cron, mark);
    let count = |of: Kind| dag.tasks.iter().filter(|it| it.kind == of).count();
    let mut told = match dag.kind {
        Kind::Removed => format!("was {}", when(dag.schedule_before.as_ref())),
        _ if dag.kind != Kind::Added && dag.schedule_before != dag.schedule_after => {
            format!(
                "{} → {}",
                when(dag.schedule_before.as_ref()),
                when(dag.schedule_after.as_ref())
            )
        }
        _ => when(dag.schedule_after.as_ref()),
    };
    let whole = matches!(dag.kind, Kind::Added | Kind::Removed);
    let tasks = if dag.kind == Kind::Removed { dag.tasks_before } else { dag.tasks_after };
    if dag.tasks_before.max(dag.tasks_after) > 0 {
        let _ = write!(told, ", {}", words::count(tasks, "task"));
    }
    let parts = [("+", Kind::Added), ("~", Kind::Modified), ("-", Kind::Removed)];
    let counted = parts.map(|(sign, kind)| (sign, count(kind))).into_iter();
    let changed: Vec<String> = counted
        .filter(|it| it.1 > 0 && !whole)
        .map(|(sign, number)| format!("{sign}{}", words::thousands(number)))
        .collect();
    if !changed.is_empty() {
        let _ = write!(told, " ({})", changed.join(" "));
    }
    let settings: Vec<String> = dag
        .settings
        .iter()
        .filter(|it| !whole && it.setting != "schedule")
        .map(|it| visible(&it.setting))
        .collect();
    if !settings.is_empty() {
        let _ = write!(told, ", {}", settings.join(", "));
    }
    if dag.scope == Scope::Pending {
        told.push_str(" (merged before, not published yet)");
    }
    told
}

/// What differs of a task.
fn task(task: &TaskChange) -> String {
    let what: Vec<String> = task.what.iter().map(|it| visible(it)).collect();
    if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) }
}

/// How many DAGs, for the closing sentence.
pub(super) fn count(schedules: &Schedules) -> String {
    words::count(schedules.dags.len(), "DAG")
}

impl Page {
    /// One line to each DAG, and the tasks where they are asked for.
    pub(super) fn schedules(&mut self, schedules: &Schedules, tasks: bool) {
        if schedules.is_empty() {
            return;
        }
        self.section(&format!("Schedules, in {}", visible(&schedules.location)));
        for dag in &schedules.dags {
            let paint = match dag.kind {
                Kind::Added => Paint::Green,
                Kind::Removed => Paint::Red,
                Kind::Modified | Kind::VersionBump | Kind::Renamed => Paint::Yellow,
            };
            let sign = self.paint(paint, signs(dag.kind).0);
            self.line(2, &format!("{sign} {}  {}", visible(&dag.dag), told(dag, "")));
            for change in dag.tasks.iter().filter(|_| tasks) {
                let sign = signs(change.kind).0;
                self.line(6, &format!("{sign} {}{}", visible(&change.task), task(change)));
            }
        }
        for note in &schedules.notes {
            self.line(2, &format!("note: {}", visible(note)));
        }
        if !tasks && schedules.dags.iter().any(|dag| !dag.tasks.is_empty()) {
            let hint = self.paint(Paint::Dim, "chronon-plan airflow diff lists the tasks");
            self.line(2, &hint);
        }
    }
}

/// Schedules alone, with their tasks, as text.
pub fn text(schedules: &Schedules, style: Style) -> String {
    let mut page = Page { style, complete: true, text: String::new() };
    page.schedules(schedules, true);
    let sentence = if schedules.is_empty() {
        format!("Schedules: no changes. {} unchanged.", schedules.unchanged)
    } else {
        format!("Schedules: {} to publish. {} unchanged.", count(schedules), schedules.unchanged)
    };
    let _ = writeln!(page.text, "\n{}", page.paint(Paint::Bold, &sentence));
    page.text.trim_start().to_owned()
}

/// Schedules alone as Markdown.
pub fn markdown(schedules: &Schedules) -> String {
    let mut page = String::new();
    write_markdown(&mut page, schedules, Depth::Full);
    if page.is_empty() {
        page.push_str("The schedules are as they are published.\n");
    }
    page
}

/// One line to each DAG, its tasks behind a fold.
pub(super) fn write_markdown(page: &mut String, schedules: &Schedules, depth: Depth) {
    if schedules.is_empty() {
        return;
    }
    let mut body = String::new();
    for dag in &schedules.dags {
        let sign = signs(dag.kind).1;
        let _ = writeln!(body, "- {sign} {} {}", code(&visible(&dag.dag)), prose(&told(dag, "`")));
    }
    for note in &schedules.notes {
        let _ = writeln!(body, "- ℹ️ {}", prose(note));
    }
    body.push('\n');
    for dag in schedules.dags.iter().filter(|it| depth == Depth::Full && !it.tasks.is_empty()) {
        let mut tasks = String::new();
        for change in &dag.tasks {
            let sign = signs(change.kind).1;
            let (name, what) = (code(&visible(&change.task)), prose(&task(change)));
            let _ = writeln!(tasks, "- {sign} {name}{what}");
        }
        let title = format!(
            "{} of {}",
            words::count(dag.tasks.len(), "task"),
            super::escape::html(&visible(&dag.dag))
        );
        fold(&mut body, Fold::Closed, &title, &tasks);
    }
    let _ = writeln!(
        page,
        "**Schedules: {} to publish in {}**\n\n{body}",
        count(schedules),
        code(&visible(&schedules.location))
    );
}
