//! What an event asks for: a value, and a sentence for `--explain`.
//!
//! # Why
//! Everything that follows from the event alone is decided here, without git, network or
//! settings, so that it can be read in one place and told without being done.

use std::collections::BTreeMap;
use std::fmt;

use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use crate::publish::PullRef;
use crate::publish::command::Command;
use crate::publish::command::Verb;
use crate::publish::event::CommentCreated;
use crate::publish::event::Event;
use crate::publish::event::MergeGroup;
use crate::publish::event::PullAction;
use crate::publish::event::Push;
use crate::publish::event::What;
use crate::publish::event::WorkflowRun;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// Plan a pull request, and say on it what was found.
    Plan(Wanted, Order),
    /// Say on a pull request that nothing of it will be applied.
    Close(Box<PullRef>),
    /// Plan what a merge queue wants to merge, and let it or not.
    Queue(MergeGroup),
    /// Apply what the default branch asks for.
    Apply(Landing, Order),
    /// Collect what applies have left to run, and say what was merged and is not applied.
    Collect(Landing),
    /// Say what was merged and is not applied.
    Pending(Order),
    /// Nothing, and why.
    Nothing(String),
}

/// Which pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The event tells all of it.
    Known(Box<PullRef>),
    /// To be asked for by its number.
    Number(u64),
    /// To be asked for by its newest commit: GitHub names no pull request of a fork's run.
    Run(WorkflowRun),
}

/// What came to the default branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Landing {
    /// The commit that it is at; none for the one that is checked out.
    pub(super) after: Option<String>,
    /// The commit that it was at.
    pub(super) before: Option<String>,
    /// The branch's name.
    pub(super) branch: String,
}

/// What somebody asked for beside the event itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) envs: Vec<String>,
    pub(super) targets: Vec<String>,
    pub(super) archived: Vec<String>,
    pub(super) done: Vec<String>,
    pub(super) approved: Option<String>,
    pub(super) allow_older: bool,
    /// The comment that asks, to be answered with a reaction, and who wrote it.
    pub(super) comment: Option<(u64, String)>,
}

/// The inputs of a run by hand.
const INPUTS: [&str; 8] =
    ["command", "pull-request", "env", "target", "approved", "archived", "done", "allow-older"];

/// What an event asks for.
pub(super) fn of(event: &Event) -> Result<Intent, Failure> {
    let default = event.repository.as_ref().map(|it| it.default_branch.as_str());
    Ok(match &event.what {
        What::PullRequest { action: PullAction::Closed { merged: true }, pull } => Intent::Nothing(
            format!("#{} is merged: it is applied by the push to `{}`", pull.number, pull.base_ref),
        ),
        What::PullRequest { action: PullAction::Closed { merged: false }, pull } => {
            Intent::Close(pull.clone())
        }
        What::PullRequest { pull, .. } | What::Review { pull, .. } if !pull.open => {
            Intent::Nothing(format!("#{} is closed", pull.number))
        }
        What::PullRequest { pull, .. } | What::Review { pull, .. } => {
            Intent::Plan(Wanted::Known(pull.clone()), Order::default())
        }
        What::Push(push) => of_push(event, push)?,
        What::MergeGroup(group) => Intent::Queue(group.clone()),
        What::Dispatch { reference, inputs } => of_dispatch(reference, inputs, default)?,
        What::CommentCreated(comment) => of_comment(comment, default)?,
        What::Schedule => Intent::Collect(by_hand(default)),
        What::WorkflowRun(run) => of_run(run),
        What::Nothing => Intent::Nothing("the event asks for nothing".to_owned()),
    })
}

fn of_push(event: &Event, push: &Push) -> Result<Intent, Failure> {
    if !event.is_push_to_default() {
        return Err(Failure::new(format!(
            "a push to `{}` is not handled: only the default branch `{}` is applied",
            push.reference, push.default_branch
        ))
        .hint(format!("in the workflow: `on: push: branches: [{}]`", push.default_branch)));
    }
    let is_new = push.before.bytes().all(|byte| byte == b'0');
    let landing = Landing {
        after: Some(push.after.clone()),
        before: Some(push.before.clone()).filter(|_| !is_new),
        branch: push.default_branch.clone(),
    };
    Ok(Intent::Apply(landing, Order::default()))
}

fn of_run(run: &WorkflowRun) -> Intent {
    if run.event.starts_with("pull_request") {
        return Intent::Plan(Wanted::Run(run.clone()), Order::default());
    }
    Intent::Nothing(format!("the run `{}` was of no pull request", run.name))
}

fn of_comment(comment: &CommentCreated, default: Option<&str>) -> Result<Intent, Failure> {
    let command = match Command::read(&comment.body) {
        None => return Ok(Intent::Nothing("the comment is not for chronon-plan".to_owned())),
        Some(_) if !comment.on_pull => {
            return Ok(Intent::Nothing("the comment is on no pull request".to_owned()));
        }
        Some(Err(what)) => {
            return Err(Failure::new(format!("the comment is not understood: {what}"))
                .hint("write `/chronon-plan plan`, or `/chronon-plan apply --target 'GLOB'`"));
        }
        Some(Ok(command)) => command,
    };
    let order = Order {
        envs: command.env.into_iter().collect(),
        targets: command.targets,
        archived: command.archived,
        done: command.done,
        comment: Some((comment.comment_id, comment.author.clone())),
        ..Order::default()
    };
    Ok(match command.verb {
        Verb::Plan => Intent::Plan(Wanted::Number(comment.number), order),
        Verb::Apply => Intent::Apply(by_hand(default), order),
    })
}

fn of_dispatch(
    reference: &str,
    inputs: &BTreeMap<String, String>,
    default: Option<&str>,
) -> Result<Intent, Failure> {
    let input = |name: &str| inputs.get(name).map(|it| it.trim()).filter(|it| !it.is_empty());
    let words = |name: &str| -> Vec<String> {
        let separated = |c: char| c.is_whitespace() || c == ',';
        let words = input(name).unwrap_or_default().split(separated);
        words.filter(|it| !it.is_empty()).map(str::to_owned).collect()
    };
    let unknown: Vec<&str> =
        inputs.keys().map(String::as_str).filter(|it| !INPUTS.contains(it)).collect();
    if !unknown.is_empty() {
        return Err(Failure::new(format!("no such inputs: {}", unknown.join(", ")))
            .hint(format!("the workflow may ask for {}", INPUTS.join(", "))));
    }
    let order = Order {
        envs: words("env"),
        targets: words("target"),
        archived: words("archived"),
        done: words("done"),
        approved: input("approved").map(str::to_owned),
        allow_older: input("allow-older") == Some("true"),
        comment: None,
    };
    let number = input("pull-request").map(|it| (it, it.trim_start_matches('#').parse()));
    match (input("command").unwrap_or("plan"), number) {
        ("plan", Some((_, Ok(number)))) => Ok(Intent::Plan(Wanted::Number(number), order)),
        ("plan", Some((text, Err(_)))) => {
            Err(Failure::new(format!("input `pull-request`: `{text}` is no number")))
        }
        ("plan", None) => Ok(Intent::Pending(order)),
        ("apply", _) => match reference.strip_prefix("refs/heads/") {
            Some(branch) if default == Some(branch) => Ok(Intent::Apply(by_hand(default), order)),
            _ => Err(Failure::new(format!("`{reference}` is not applied: only what is merged is"))
                .ends(Exit::Policy)
                .hint(format!("run the workflow on the branch `{}`", default.unwrap_or("main")))),
        },
        (other, _) => Err(Failure::new(format!("input `command`: `{other}` is no command"))
            .hint("use `plan` or `apply`")),
    }
}

fn by_hand(default: Option<&str>) -> Landing {
    let branch = default.unwrap_or("the default branch").to_owned();
    Landing { after: None, before: None, branch }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(pull) => write!(f, "pull request #{}", pull.number),
            Self::Number(number) => write!(f, "pull request #{number}"),
            Self::Run(run) => write!(f, "the pull request of commit {}", run.head_sha),
        }
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(wanted, _) => write!(
                f,
                "plan {wanted}, and tell it: one comment and one check per env; nothing is applied"
            ),
            Self::Close(pull) => {
                write!(f, "say on pull request #{} that nothing of it is applied", pull.number)
            }
            Self::Queue(group) => write!(
                f,
                "plan commit {} of the merge queue, and let it be merged if that is what was approved",
                group.head_sha
            ),
            Self::Apply(landing, order) => {
                let at = landing.after.as_deref().unwrap_or("the commit that is checked out");
                write!(f, "apply {at} of `{}`, if it is what was approved", landing.branch)?;
                match order.targets.as_slice() {
                    [] => Ok(()),
                    targets => write!(f, "; only {}", targets.join(", ")),
                }
            }
            Self::Collect(_) => write!(
                f,
                "collect what applies have left to run and go on with those; say what was merged and is not applied"
            ),
            Self::Pending(_) => {
                write!(f, "say what was merged and is not applied; nothing is applied")
            }
            Self::Nothing(why) => write!(f, "nothing: {why}"),
        }
    }
}
