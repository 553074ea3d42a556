//! What a job leaves behind: outputs for later steps, its page, files of plans.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::super::super::args::CiArgs;
use super::super::super::args::Format;
use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::workspace::Prepared;
use super::super::super::workspace::Request;
use super::super::plan::Planned;
use super::super::plan::planned;
use super::Ci;
use super::actions::Actions;
use super::comments::Say;
use super::desk::Open;
use super::intent::Intent;
use super::intent::Order;
use super::tell;
use super::tell::Ending;
use crate::model::name::CommitId;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::plan::warning::Code;
use crate::publish::objects::Conclusion;
use crate::render::comment::SUMMARY_BUDGET;
use crate::render::comment::Status;
use crate::render::comment::Trouble;
use crate::render::visible;

/// What came of one env.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) env: String,
    pub(super) plan: Option<Plan>,
    pub(super) exit: Option<Exit>,
    pub(super) comment: Option<String>,
    /// What the job's page says of it.
    pub(super) page: String,
}

/// What came of all of them.
#[derive(Default)]
pub(super) struct Report {
    pub(super) outcomes: Vec<Outcome>,
}

impl Report {
    /// How the process ends: as the first env that did not end well.
    pub(super) fn exit(&self) -> Exit {
        let exits = self.outcomes.iter().filter_map(|it| it.exit);
        let mut bad = exits.filter(|it| *it != Exit::Done);
        bad.next().unwrap_or(Exit::Done)
    }

    /// Writes the outputs, the plans' files and the job's page; gives how the process ends.
    pub(super) fn write(self, ci: &Ci<'_>) -> Result<Exit, Failure> {
        let mut files = Vec::new();
        for outcome in &self.outcomes {
            let file = outcome.plan.as_ref().map(|plan| save(ci.actions, &outcome.env, plan));
            files.push(file.transpose()?);
        }
        ci.actions.outputs(&self.values(&files))?;
        let mut pages: Vec<String> = self.outcomes.iter().map(|it| it.page.clone()).collect();
        let notes = ci.desk.notes();
        let notes: Vec<String> =
            notes.iter().map(|it| format!("- {}", crate::render::prose(it))).collect();
        pages.push(notes.join("\n"));
        pages.retain(|it| !it.is_empty());
        ci.actions.summarise(&pages.join("\n\n"))?;
        Ok(self.exit())
    }

    fn values(&self, files: &[Option<PathBuf>]) -> BTreeMap<String, String> {
        let plans = || self.outcomes.iter().filter_map(|it| it.plan.as_ref());
        let first = self.outcomes.first();
        let plan = first.and_then(|it| it.plan.as_ref());
        let steps: usize = plans().map(|it| it.steps.len()).sum();
        let days: i64 = plans().map(|it| it.summary.backfill_days).sum();
        let file = |file: &Option<PathBuf>| {
            file.as_ref().map(|it| it.display().to_string()).unwrap_or_default()
        };
        let files: Vec<String> = files.iter().map(file).collect();
        let each = self.outcomes.iter().zip(&files);
        let envs: Vec<Value> = each.map(|(outcome, file)| outcome.value(file)).collect();
        let paths: Vec<String> = files.iter().filter(|it| !it.is_empty()).cloned().collect();
        let comment = first.and_then(|it| it.comment.clone());
        let rows = [
            ("has-changes", plans().any(|it| !it.is_empty()).to_string()),
            ("digest", plan.map(|it| it.digest.clone()).unwrap_or_default()),
            ("steps", steps.to_string()),
            ("backfill-days", days.to_string()),
            ("breaking", plans().any(is_breaking).to_string()),
            ("plan-file", paths.join("\n")),
            ("comment-url", comment.unwrap_or_default()),
            ("envs", Value::from(envs).to_string()),
        ];
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Outcome {
    fn value(&self, file: &str) -> Value {
        let plan = self.plan.as_ref();
        json!({
            "env": self.env,
            "exit": self.exit.unwrap_or(Exit::Done).code(),
            "has-changes": plan.is_some_and(|it| !it.is_empty()),
            "digest": plan.map(|it| &it.digest),
            "steps": plan.map_or(0, |it| it.steps.len()),
            "backfill-days": plan.map_or(0, |it| it.summary.backfill_days),
            "breaking": plan.is_some_and(is_breaking),
            "plan-file": file,
            "comment-url": self.comment,
        })
    }
}

/// Whether a plan breaks online clients.
pub(super) fn is_breaking(plan: &Plan) -> bool {
    plan.warnings.iter().any(|it| it.code == Code::OnlineBreaking.name())
}

/// Saves a plan where later steps find it.
fn save(actions: &Actions, env: &str, plan: &Plan) -> Result<PathBuf, Failure> {
    let folder = actions.folder.join(env);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let file = folder.join("plan.json");
    let text = super::super::json(plan)?;
    std::fs::write(&file, text)
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    Ok(file)
}

/// Shows a plan in the job's log.
pub(super) fn show(plan: &Plan, output: &mut Output) -> Result<(), Failure> {
    let text = super::super::rendered(plan, Format::Text, output.style(None))?;
    output.answer(None, &format!("{text}\n"))
}

/// A failure as a comment tells it.
pub(super) fn trouble_of(failure: &Failure) -> Trouble {
    Trouble { what: failure.what.clone(), next: failure.hints.clone(), exit: failure.exit.code() }
}

/// Puts a failure that is of no env on the job's page.
pub(super) fn trouble(ci: &Ci<'_>, failure: &Failure) {
    let what: Vec<String> = failure.what.iter().map(|it| crate::render::prose(it)).collect();
    let next: Vec<String> =
        failure.hints.iter().map(|it| format!("- next: {}", crate::render::prose(it))).collect();
    let page = format!("### chronon-plan\n\n❌ {}\n\n{}", what.join("<br>"), next.join("\n"));
    if let Err(failure) = ci.actions.summarise(&page) {
        ci.desk.note(&failure.what.join(" "));
    }
}

/// What a job would do, for `--explain`.
pub(super) fn explain(args: &CiArgs, actions: &Actions, intent: &Intent) -> String {
    let mut text = format!(
        "Event {} of {}.\nWould do: {}.\n",
        visible(&actions.event),
        visible(&actions.repository),
        visible(&intent.to_string())
    );
    let envs = envs_of(args, intent);
    match envs.as_deref() {
        Ok([]) => {}
        Ok(envs) => text.push_str(&format!("Envs: {}.\n", visible(&envs.join(", ")))),
        Err(failure) => {
            text.push_str(&format!(
                "Envs: cannot be told ({}).\n",
                visible(&failure.what.join(" "))
            ));
        }
    }
    let token =
        if actions.token.is_some() { "is set" } else { "is not set: nothing would be written" };
    text.push_str(&format!("API: {}. GITHUB_TOKEN {token}.\n", visible(&actions.api)));
    text
}

/// The envs that an intent is about, as far as the commit that is checked out tells.
fn envs_of(args: &CiArgs, intent: &Intent) -> Result<Vec<String>, Failure> {
    let none = Order::default();
    let order = match intent {
        Intent::Plan(_, order) | Intent::Apply(_, order) | Intent::Pending(order) => order,
        Intent::Close(_) | Intent::Queue(_) | Intent::Collect(_) => &none,
        Intent::Nothing(_) => return Ok(Vec::new()),
    };
    let request =
        Request { repo: args.repo.clone(), settings: args.settings.clone(), ..Request::default() };
    let repository = super::Repository::open(&args.repo)?;
    let head = repository.revision("HEAD")?;
    let settings = super::workspace::read_settings(&repository, &request, &head.commit)?;
    let names = super::envs_named(args, &settings, order);
    Ok(if names.is_empty() { vec!["the one that there is".to_owned()] } else { names })
}

impl Ci<'_> {
    /// Says what was merged and is not applied.
    pub(super) fn pending(&self, order: &Order, output: &mut Output) -> Result<Exit, Failure> {
        let repository = self.repository()?;
        let head = repository.revision("HEAD")?;
        let settings = self.settings(&repository, &head.commit)?;
        let mut report = Report::default();
        for env in self.envs(&settings, order) {
            report.outcomes.push(self.pending_of(env.as_ref(), order, &head.commit, output));
        }
        report.write(self)
    }

    /// The same of one env. One that cannot be planned hides none of the others.
    pub(super) fn pending_of(
        &self,
        env: Option<&String>,
        order: &Order,
        head: &CommitId,
        output: &mut Output,
    ) -> Outcome {
        let found = self.pending_in(env, order, head);
        let shown = found.and_then(|outcome| {
            outcome.plan.as_ref().map_or(Ok(()), |plan| show(plan, output))?;
            Ok(outcome)
        });
        shown.unwrap_or_else(|failure| failed(env, &failure, output))
    }

    fn pending_in(
        &self,
        env: Option<&String>,
        order: &Order,
        head: &CommitId,
    ) -> Result<Outcome, Failure> {
        let request = Request { head: Some(head.0.clone()), ..self.request(env) };
        let prepared = Prepared::of(&request)?;
        let state = self.state(&prepared)?;
        let name = prepared.env.clone();
        let options = Options { targets: order.targets.clone(), force: Vec::new() };
        let made = planned(prepared, Some(&state), self.day(), &options)?;
        Ok(page_of(self, &name, made, head))
    }
}

/// What came of an env of which nothing more is known than a failure.
pub(super) fn failed(env: Option<&String>, failure: &Failure, output: &mut Output) -> Outcome {
    output.tell(failure);
    let (env, exit) = (super::name_of(None, env), Some(failure.exit));
    Outcome { env, exit, ..Outcome::default() }
}

/// What is said of a plan that is reported and no more.
fn reported<'a>(env: &'a str, made: &'a Planned, head: &'a CommitId) -> Say<'a> {
    let say = Say::of(env, Status::Planned, Some(&made.plan), &head.0);
    Say { notes: &made.notes, ..say }
}

fn page_of(ci: &Ci<'_>, env: &str, made: Planned, head: &CommitId) -> Outcome {
    let page = reported(env, &made, head).page(&ci.actions.run, SUMMARY_BUDGET);
    let (env, plan) = (env.to_owned(), Some(made.plan));
    Outcome { env, plan, exit: Some(Exit::Done), comment: None, page }
}

/// A push that is planned and not applied, because nobody reviewed it and settings say so.
pub(super) fn unapplied(
    ci: &Ci<'_>,
    env: &str,
    check: &Open,
    made: &Planned,
    head: &CommitId,
) -> Outcome {
    let ending = Ending {
        conclusion: Conclusion::Success,
        title: format!("Not applied: {}", super::plan::title(&made.plan, None)),
        stands_for: None,
        annotations: Vec::new(),
        exit: Exit::Done,
        comment: None,
    };
    tell::end(ci, check, &reported(env, made, head), ending)
}
