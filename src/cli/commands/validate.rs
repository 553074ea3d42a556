//! `validate`: what is wrong with one commit, all at once.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::args::ValidateArgs;
use super::super::args::ValidateFormat;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::impact;
use crate::model::catalog::Config;
use crate::model::lineage::Lineage;
use crate::plan;
use crate::render::visible;
use crate::source;
use crate::source::Content;
use crate::source::Wanted;

/// What was found in a commit.
#[derive(Serialize, JsonSchema)]
pub(super) struct Findings {
    /// The version of this form.
    schema_version: u32,
    /// The commit.
    commit: String,
    /// The compiled root.
    root: String,
    /// How many configs were checked.
    configs: usize,
    /// What is wrong, sorted; the check fails where one of them is an error.
    findings: Vec<Finding>,
}

/// One thing that was found.
#[derive(Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// Whether the check fails for it.
    severity: Severity,
    /// Which kind: a warning's code, `malformed-file`, or `cycle`.
    code: String,
    /// The file.
    path: String,
    /// The line, from 1; 0 for the whole file.
    line: usize,
    /// The column, from 1; 0 for the whole line.
    column: usize,
    /// What is the matter.
    text: String,
}

/// Whether the check fails.
#[derive(Clone, Copy, Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

pub(in super::super) fn run(args: &ValidateArgs, output: &mut Output) -> Result<Exit, Failure> {
    let request = Request {
        head: Some(args.head.clone()),
        one_commit: true,
        keep_going: true,
        thorough: true,
        ..super::request(&args.repo)
    };
    let workspace = Workspace::open(&request)?;
    let findings = find(&workspace)?;
    let failed = findings.findings.iter().any(|it| it.severity == Severity::Error);
    let text = match args.format {
        ValidateFormat::Text => text(&findings),
        ValidateFormat::Json => super::json(&findings)?,
    };
    output.answer(args.out.as_deref(), &text)?;
    Ok(if failed { Exit::Error } else { Exit::Done })
}

fn find(workspace: &Workspace) -> Result<Findings, Failure> {
    let head = &workspace.pair.head;
    let mut findings = Vec::new();
    for file in &head.malformed {
        findings.push(Finding {
            severity: Severity::Error,
            code: "malformed-file".to_owned(),
            path: file.path.clone(),
            line: file.line,
            column: file.column,
            text: file.what.clone(),
        });
    }
    let mut add = |severity: Severity, code: &str, config: &Config, text: String| {
        let (code, path) = (code.to_owned(), config.path.clone());
        findings.push(Finding { severity, code, path, line: 0, column: 0, text });
    };
    for copy in workspace.stale_copies(None)? {
        let text = copy.text();
        let config = head.get(&copy.join);
        config
            .iter()
            .for_each(|config| add(Severity::Error, "embedded-copy-differs", config, text.clone()));
    }
    let lineage = Lineage::of(head);
    for (code, address, text) in plan::collisions_of(head, &lineage) {
        let config = head.get(&address);
        config.iter().for_each(|config| add(Severity::Error, code.name(), config, text.clone()));
    }
    let cycle = lineage.cycle().unwrap_or_default();
    if let Some(&first) = cycle.first() {
        let names: Vec<String> =
            cycle.iter().map(|&at| head.configs[at].address.to_string()).collect();
        let text = format!("these read each other's tables: {}", names.join(", "));
        add(Severity::Error, "cycle", &head.configs[first], text);
    }
    for (at, path, what) in unknowns(workspace)? {
        add(Severity::Warning, "unknown-field", &head.configs[at], format!("{path}: {what}"));
    }
    findings.extend(schedules(workspace, &lineage)?);
    findings.sort();
    findings.dedup();
    Ok(Findings {
        schema_version: 1,
        commit: head.commit.to_string(),
        root: head.root.clone(),
        configs: head.configs.len(),
        findings,
    })
}

/// What people should know of the schedules, where any are published.
fn schedules(workspace: &Workspace, lineage: &Lineage) -> Result<Vec<Finding>, Failure> {
    let Workspace { settings, teams, pair, .. } = workspace;
    if settings.dags.place.is_none() {
        return Ok(Vec::new());
    }
    let built = super::super::schedules::built(workspace, &pair.head, lineage, settings, teams)?;
    let finding = |note: (String, String)| Finding {
        severity: Severity::Warning,
        code: "schedule".to_owned(),
        path: crate::plan::settings::FILE.to_owned(),
        line: 0,
        column: 0,
        text: crate::schedule::note(&note),
    };
    let circle = (lineage.cycle().is_none() && !built.cycle.is_empty()).then(|| {
        let names: Vec<String> = built.cycle.iter().map(ToString::to_string).collect();
        let path = pair.head.get(&built.cycle[0]).map(|it| it.path.clone()).unwrap_or_default();
        let text = format!("these wait for each other: {}", names.join(", "));
        let (severity, code) = (Severity::Error, "cycle".to_owned());
        Finding { severity, code, path, line: 0, column: 0, text }
    });
    Ok(built.notes.into_iter().map(finding).chain(circle).collect())
}

/// Fields and values that this version does not know, in any config.
fn unknowns(workspace: &Workspace) -> Result<Vec<(usize, String, String)>, Failure> {
    let head = &workspace.pair.head;
    let wanted: Vec<Wanted> = head
        .configs
        .iter()
        .map(|it| Wanted { before: None, after: Some(Content::of(it)) })
        .collect();
    let found = source::documents(&workspace.repository, &wanted, |at, _, document| {
        let found =
            document.map(|it| impact::unknowns(head.configs[at].address.kind, head.dialect, &it));
        let found = found.unwrap_or_default().into_iter();
        found.map(|(path, what)| (at, path.to_string(), what)).collect::<Vec<_>>()
    })?;
    Ok(found.into_iter().flatten().collect())
}

fn text(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in &findings.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = if finding.line > 0 {
            format!(":{}:{}", finding.line, finding.column)
        } else {
            String::new()
        };
        let _ = writeln!(text, "{severity} {}  {}{place}", finding.code, visible(&finding.path));
        let _ = writeln!(text, "    {}", visible(&finding.text));
    }
    let number = |severity| findings.findings.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    let _ = writeln!(
        text,
        "{} configs checked: {errors} errors, {warnings} warnings.",
        findings.configs
    );
    text
}
