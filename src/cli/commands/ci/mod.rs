//! `ci`: looks at the event of a GitHub Actions job and does what it asks for.
//!
//! ```text
//! event ─intent─▶ plan  (pull request)  ─┐
//!                 queue (merge queue)    ├─ gate (approved? policies?) ─▶ desk (check, comment, labels)
//!                 land  (default branch) ─┘
//! ```

mod actions;
mod annotations;
mod collect;
mod comments;
mod compiled;
mod desk;
mod gate;
mod intent;
mod land;
mod overlap;
mod people;
mod plan;
mod pulls;
mod queue;
mod receipt;
mod report;
mod sides;
mod tell;

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use super::super::args::CiArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::signals::Watch;
use super::super::state;
use super::super::state::State;
use super::super::workspace;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use crate::model::day::Day;
use crate::model::name::CommitId;
use crate::plan::settings;
use crate::plan::settings::Settings;
use crate::publish::event::Event;
use crate::publish::event::What;
use crate::publish::github::Reaction;
use crate::source::Repository;
use actions::Actions;
use desk::Desk;
use intent::Intent;
use intent::Order;
use report::Report;

/// What the job stands on.
struct Ci<'a> {
    args: &'a CiArgs,
    actions: &'a Actions,
    desk: &'a Desk<'a>,
    watch: &'a Watch,
    /// The file of `--settings`, where it is one of the repository: it is read from commits then,
    /// for what lies in the work tree is what a pull request put there.
    settings_file: Option<String>,
}

pub(in super::super) fn run(args: &CiArgs, output: &mut Output) -> Result<Exit, Failure> {
    if args.check_compiled {
        return compiled::check(args, output);
    }
    let actions = Actions::of_process()?;
    let event = Event::read(&actions.event, &actions.payload)
        .map_err(|error| Failure::new(&error).hint(error.next()))?;
    let intent = intent::of(&event);
    let misunderstood = match (&event.what, &intent) {
        (What::CommentCreated(comment), Err(_)) => Some(comment.comment_id),
        _ => None,
    };
    if args.explain {
        let text = report::explain(args, &actions, &intent?);
        output.answer(None, &text)?;
        return Ok(Exit::Done);
    }
    // Lines of jobs and names of configs must not be read as commands to the runner.
    let silence = state::nonce();
    Output::aside(&format!("::stop-commands::{silence}"));
    let watch = Watch::start()?;
    let desk = Desk::of(&actions, &watch.stop);
    let settings_file = file_of_repository(args);
    let ci = Ci { args, actions: &actions, desk: &desk, watch: &watch, settings_file };
    if let Some(comment) = misunderstood {
        ci.react(comment, Reaction::Confused);
    }
    let done = intent.and_then(|intent| ci.answer(&intent, output));
    let done = done.unwrap_or_else(|failure| {
        // Told before commands are heard again: it may quote anybody.
        output.tell(&failure);
        report::trouble(&ci, &failure);
        failure.exit
    });
    Output::aside(&format!("::{silence}::"));
    desk.command_annotations();
    Ok(done)
}

impl Ci<'_> {
    /// Does what is asked for; a comment that asked for it gets a reaction.
    fn answer(&self, intent: &Intent, output: &mut Output) -> Result<Exit, Failure> {
        let order = match intent {
            Intent::Plan(_, order) | Intent::Apply(_, order) => Some(order),
            Intent::Close(_)
            | Intent::Queue(_)
            | Intent::Collect(_)
            | Intent::Pending(_)
            | Intent::Nothing(_) => None,
        };
        let asked = order.and_then(|order| order.comment.clone());
        let Some((comment, author)) = asked else { return self.does(intent, output) };
        if !people::may_write(self.desk, &author) {
            self.react(comment, Reaction::Confused);
            return Err(Failure::new(format!("@{author} may not write to this repository"))
                .ends(Exit::Policy)
                .hint("ask somebody who may to write the comment"));
        }
        self.react(comment, Reaction::Eyes);
        let done = self.does(intent, output);
        let well = matches!(done, Ok(Exit::Done));
        self.react(comment, if well { Reaction::Rocket } else { Reaction::Confused });
        done
    }

    fn react(&self, comment: u64, with: Reaction) {
        // What is in the way was told, and nothing depends on it.
        self.desk.write("no reaction", |github| github.react(comment, with)).ok();
    }

    fn does(&self, intent: &Intent, output: &mut Output) -> Result<Exit, Failure> {
        match intent {
            Intent::Plan(wanted, order) => self.plan_pull(wanted, order, output),
            Intent::Close(pull) => self.close(pull),
            Intent::Queue(group) => self.queue(group, output),
            Intent::Apply(landing, order) => self.land(landing, order, output),
            Intent::Collect(landing) => self.collect(landing, output),
            Intent::Pending(order) => self.pending(order, output),
            Intent::Nothing(why) => {
                output.answer(None, &format!("Nothing to do: {why}.\n"))?;
                Report::default().write(self)?;
                Ok(Exit::Done)
            }
        }
    }

    /// What every command of this job looks at.
    fn request(&self, env: Option<&String>) -> Request {
        let CiArgs { repo, root, settings, no_cache, .. } = self.args;
        Request {
            repo: repo.clone(),
            env: env.cloned(),
            root: root.clone(),
            settings: settings.clone().filter(|_| self.settings_file.is_none()),
            settings_file: self.settings_file.clone(),
            cached: !no_cache,
            ..Request::default()
        }
    }

    fn repository(&self) -> Result<Repository, Failure> {
        Ok(Repository::open(&self.args.repo)?)
    }

    /// The state of an env. A ledger in a folder of the repository must be none of its commits: it
    /// would be whatever a pull request says.
    fn state(&self, prepared: &Prepared) -> Result<State, Failure> {
        let place = state::place(prepared);
        let below = Path::new(&place).components().filter(|it| matches!(it, Component::Normal(_)));
        let below: PathBuf = below.collect();
        let inside = !place.starts_with("gs://") && !place.starts_with('/');
        if inside && prepared.repository.holds(&prepared.head.commit, &below)? {
            let what = format!("the commit holds `{place}`, where the ledger is kept");
            return Err(Failure::new(what).hint(format!(
                "take it out of git: `git rm -r --cached {place}`, and add it to .gitignore"
            )));
        }
        State::open(prepared)
    }

    fn day(&self) -> Day {
        self.args.as_of.unwrap_or_else(super::plan::today)
    }

    /// The settings of a commit.
    fn settings(&self, repository: &Repository, commit: &CommitId) -> Result<Settings, Failure> {
        workspace::read_settings(repository, &self.request(None), commit)
    }

    /// The settings that decide what a change may do: those of the commit it is made to, for it
    /// must not loosen them itself. Where they cannot be read, the ones it brings are better than
    /// none.
    fn rules_of(
        &self,
        repository: &Repository,
        base: &CommitId,
        head: &CommitId,
    ) -> Result<Settings, Failure> {
        self.settings(repository, base).or_else(|failure| {
            let what = failure.what.join(" ");
            self.desk.note(&format!(
                "{} of {} cannot be read, so the policies of {} hold: {what}",
                settings::FILE,
                base.short(),
                head.short()
            ));
            self.settings(repository, head)
        })
    }

    fn envs(&self, settings: &Settings, order: &Order) -> Vec<Option<String>> {
        envs(self.args, settings, order)
    }
}

/// The envs to look after; one without a name where nobody names any.
fn envs(args: &CiArgs, settings: &Settings, order: &Order) -> Vec<Option<String>> {
    let names = envs_named(args, settings, order);
    match names.is_empty() {
        true => vec![None],
        false => names.into_iter().map(Some).collect(),
    }
}

/// The path of `--settings` from the top of the repository; none where it lies outside.
fn file_of_repository(args: &CiArgs) -> Option<String> {
    let file = args.settings.as_ref()?.canonicalize().ok()?;
    let top = Repository::open(&args.repo).ok()?.top()?.canonicalize().ok()?;
    file.strip_prefix(top).ok()?.to_str().map(str::to_owned)
}

/// The envs that are asked for, or all that settings name.
fn envs_named(args: &CiArgs, settings: &Settings, order: &Order) -> Vec<String> {
    let named = [&order.envs, &args.env, &settings.ci.envs];
    let named = named.into_iter().find(|it| !it.is_empty()).cloned();
    named.unwrap_or_else(|| settings.envs.keys().cloned().collect())
}

/// The env that is meant where not even its name could be found out.
const USUAL_ENV: &str = "prod";

/// An env's name, as far as it is known.
fn name_of(prepared: Option<&Prepared>, env: Option<&String>) -> String {
    let found = prepared.map(|prepared| prepared.env.clone());
    found.or_else(|| env.cloned()).unwrap_or_else(|| USUAL_ENV.to_owned())
}

/// The check that a plan of an env is reviewed by; branch protection may require it.
fn plan_check(env: &str) -> String {
    format!("chronon-plan: {env}")
}

/// The check of an apply.
fn apply_check(env: &str) -> String {
    format!("chronon-plan apply: {env}")
}
