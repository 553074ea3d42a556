//! Checks, and everything else that is written on GitHub, as far as the job may.
//!
//! # Why
//! A plan is worth no less because a comment could not be posted, and an apply must not stop for
//! it. So nothing here fails: what is not permitted, or has no answer, is told once, in a line
//! that names what would help.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::super::output::Output;
use super::actions;
use super::actions::Actions;
use crate::apply::process;
use crate::apply::runner::Stop;
use crate::plan::contract::Plan;
use crate::publish::api;
use crate::publish::api::Api;
use crate::publish::api::List;
use crate::publish::error::PublishError;
use crate::publish::github::GitHub;
use crate::publish::http::Proxies;
use crate::publish::http::Timeouts;
use crate::publish::objects::Annotation;
use crate::publish::objects::Check;
use crate::publish::objects::CheckState;
use crate::publish::objects::Conclusion;
use crate::publish::objects::NewCheck;
use crate::publish::objects::StatusState;
use crate::publish::record;
use crate::publish::record::Maker;
use crate::publish::token::Token;
use crate::render::visible;

/// The login of the app whose token a job gets where it names no other.
const USUAL_BOT: &str = "github-actions[bot]";

/// After how many calls without an answer nothing more is asked: each was tried several times.
const SILENCES: usize = 2;

/// Ends of a check that leave its digest worth something: what a policy lacks is asked again.
const GOOD: [&str; 2] = ["success", "action_required"];

/// How long one call may wait for GitHub's limits.
const PATIENCE: Duration = Duration::from_secs(300);

/// The pen, and whose hand holds it.
pub(super) struct Desk<'a> {
    github: Option<GitHub>,
    pub(super) actions: &'a Actions,
    told: RefCell<BTreeSet<String>>,
    /// The app that the token is of, once GitHub has said it.
    app: Cell<Option<u64>>,
    login: RefCell<Option<String>>,
    checks_denied: Cell<bool>,
    /// Whether nothing is to be written.
    muted: Cell<bool>,
    /// Annotations that no check holds.
    loose: RefCell<Vec<Annotation>>,
    /// What has been complained of.
    complaints: RefCell<BTreeSet<String>>,
    /// How many calls in a row got no answer.
    silences: Cell<usize>,
    blind: Cell<bool>,
}

/// A check that is open.
pub(super) struct Open {
    name: String,
    sha: String,
    /// None where it is a commit status.
    id: Option<u64>,
}

/// What a check says at its end.
pub(super) struct Verdict<'a> {
    pub(super) conclusion: Conclusion,
    pub(super) title: String,
    pub(super) summary: String,
    /// The plan that it stands for, and what made it.
    pub(super) plan: Option<(&'a Plan, Maker)>,
    pub(super) annotations: Vec<Annotation>,
}

/// A digest that a pull request was reviewed with, and the plan where it was kept.
#[derive(Clone, Debug)]
pub(super) struct Approval {
    pub(super) digest: String,
    pub(super) plan: Option<Plan>,
}

/// GitHub, to be asked with the job's token.
fn open(actions: &Actions, token: Token, stop: &Arc<Stop>) -> Result<GitHub, PublishError> {
    let stop = Arc::clone(stop);
    let api = Api::open(api::Settings {
        base: actions.api.clone(),
        token,
        proxies: Proxies::Environment,
        timeouts: Timeouts::default(),
        patience: PATIENCE,
        pause: Box::new(move |time| !process::pause(time, &stop)),
    })?;
    GitHub::new(api, &actions.repository)
}

impl<'a> Desk<'a> {
    /// A desk with the job's token; without one nothing can be written.
    pub(super) fn of(actions: &'a Actions, stop: &Arc<Stop>) -> Self {
        let github = actions.token.clone().map(|token| open(actions, token, stop));
        let desk = Self {
            github: None,
            actions,
            told: RefCell::default(),
            app: Cell::new(None),
            login: RefCell::new(None),
            checks_denied: Cell::new(false),
            muted: Cell::new(false),
            loose: RefCell::default(),
            complaints: RefCell::default(),
            silences: Cell::new(0),
            blind: Cell::new(false),
        };
        match github {
            None => {
                desk.note("GITHUB_TOKEN is not set, so nothing is written on GitHub: `env: GITHUB_TOKEN: ${{ github.token }}`");
                desk
            }
            Some(Err(error)) => {
                desk.note(&format!("nothing can be written on GitHub: {error}; {}", error.next()));
                desk
            }
            Some(Ok(github)) => Self { github: Some(github), ..desk },
        }
    }

    /// Says something beside the answer, once.
    pub(super) fn note(&self, text: &str) {
        if self.told.borrow_mut().insert(text.to_owned()) {
            Output::aside(&format!("note: {}", visible(text)));
        }
    }

    /// Everything that was said beside the answers, sorted.
    pub(super) fn notes(&self) -> Vec<String> {
        self.told.borrow().iter().cloned().collect()
    }

    /// Asks GitHub; what it refuses is told once.
    pub(super) fn ask<T>(
        &self,
        what: &str,
        call: impl FnOnce(&GitHub) -> Result<T, PublishError>,
    ) -> Option<T> {
        let github = self.github.as_ref().filter(|_| self.silences.get() < SILENCES)?;
        self.heard(what, call(github)).ok()
    }

    /// Keeps count of answers that did not come, and tells what is in the way: of each kind once.
    fn heard<T>(&self, what: &str, answer: Result<T, PublishError>) -> Result<T, PublishError> {
        let Err(error) = &answer else {
            self.silences.set(0);
            return answer;
        };
        if self.complaints.borrow_mut().insert(what.to_owned()) {
            self.note(&format!("{what}: {error}; {}", error.next()));
        }
        if let PublishError::NoAnswer { .. }
        | PublishError::Unclear { .. }
        | PublishError::Limited { .. } = error
        {
            self.silences.set(self.silences.get() + 1);
            if self.silences.get() == SILENCES {
                self.note("GitHub gives no answer: nothing more is asked of it in this run");
            }
        }
        answer
    }

    /// As [`Self::ask`], for what decides whether something may run: that it could not be read is
    /// remembered. What GitHub does not have is nothing.
    pub(super) fn ask_list<T>(
        &self,
        what: &str,
        call: impl FnOnce(&GitHub) -> Result<List<T>, PublishError>,
    ) -> Vec<T> {
        let answer = self.ask(what, |github| match call(github) {
            // A commit that was not pushed, as GitHub says it.
            Err(PublishError::NotFound { .. } | PublishError::Invalid { .. }) => Ok(Vec::new()),
            other => other.map(|it| it.items),
        });
        self.blind.set(self.blind.get() || answer.is_none());
        answer.unwrap_or_default()
    }

    /// Whether something that decides what may run could not be read.
    pub(super) fn is_blind(&self) -> bool {
        self.blind.get()
    }

    /// The same, for what nothing can go on without.
    pub(super) fn must<T>(
        &self,
        call: impl FnOnce(&GitHub) -> Result<T, PublishError>,
    ) -> Result<T, PublishError> {
        let missing = || PublishError::Setup {
            what: "GITHUB_TOKEN is not set".to_owned(),
            next: "in the workflow: `env: GITHUB_TOKEN: ${{ github.token }}`".to_owned(),
        };
        call(self.github.as_ref().ok_or_else(missing)?)
    }

    /// Writes something, and tells what is in the way; none where nothing is to be written.
    pub(super) fn write<T>(
        &self,
        what: &str,
        call: impl FnOnce(&GitHub) -> Result<T, PublishError>,
    ) -> Result<Option<T>, PublishError> {
        let speaks = !self.muted.get() && self.silences.get() < SILENCES;
        let Some(github) = self.github.as_ref().filter(|_| speaks) else { return Ok(None) };
        self.heard(what, call(github)).map(Some)
    }

    /// From now on nothing is written, for this reason.
    pub(super) fn mute(&self, why: &str) {
        self.note(why);
        self.muted.set(true);
    }

    /// Puts labels on a pull request, and takes others off; only where they are not so already.
    pub(super) fn relabel(&self, number: u64, labels: &BTreeMap<&str, bool>) {
        if labels.is_empty() || self.muted.get() {
            return;
        }
        let Some(there) = self.ask("labels cannot be read", |github| github.labels(number)) else {
            return;
        };
        let is_there = |label: &str| there.items.iter().any(|it| it.eq_ignore_ascii_case(label));
        let wanted = labels.iter().filter(|it| *it.1 && !is_there(it.0));
        let wanted: Vec<&str> = wanted.map(|it| *it.0).collect();
        if !wanted.is_empty() {
            self.ask("labels not set", |github| github.add_labels(number, &wanted));
        }
        for (label, _) in labels.iter().filter(|it| !*it.1 && is_there(it.0)) {
            self.ask("label not removed", |github| github.remove_label(number, label));
        }
    }

    /// Prints the annotations that no check holds, as commands that the runner reads.
    pub(super) fn command_annotations(&self) {
        for it in self.loose.borrow().iter() {
            let line = actions::command("warning", &it.path, it.start_line, &it.title, &it.message);
            Output::aside(&line);
        }
    }

    /// Opens a check that is in progress.
    pub(super) fn open(&self, name: &str, sha: &str, title: &str) -> Open {
        let summary = "In progress.".to_owned();
        let check = NewCheck { title: title.to_owned(), summary, ..self.check(name, sha) };
        let made = self.write_check(|github| match github.create_check(&check) {
            // It may be there all the same, and would stay open for ever.
            Err(PublishError::Unclear { .. }) => {
                let open = |it: &Check| it.status == "in_progress";
                match github.checks(sha, name)?.items.into_iter().next().filter(open) {
                    Some(check) => Ok(check),
                    None => github.create_check(&check),
                }
            }
            other => other,
        });
        let id = made.map(|made| {
            self.app.set(made.app_id);
            if let Some(slug) = made.app_slug {
                *self.login.borrow_mut() = Some(format!("{slug}[bot]"));
            }
            made.id
        });
        if id.is_none() {
            self.status(name, sha, StatusState::Pending, title);
        }
        Open { name: name.to_owned(), sha: sha.to_owned(), id }
    }

    /// Ends a check.
    pub(super) fn close(&self, open: &Open, verdict: Verdict<'_>) {
        let digest = verdict.plan.map(|it| it.0.digest.clone());
        let Some(id) = open.id else {
            let state = match verdict.conclusion {
                Conclusion::Success => StatusState::Success,
                Conclusion::Cancelled => StatusState::Error,
                _ => StatusState::Failure,
            };
            let said = match &digest {
                Some(digest) => digest.clone(),
                None => verdict.title.clone(),
            };
            self.status(&open.name, &open.sha, state, &said);
            self.loose.borrow_mut().extend(verdict.annotations);
            return;
        };
        let text = verdict.plan.map(|(plan, maker)| record::text(plan, maker));
        if text.as_ref().is_some_and(|it| !it.1) {
            self.note("the plan is too large to be kept beside its digest; a difference will be told by digests alone");
        }
        let text = text.map(|it| it.0).unwrap_or_default();
        let check = NewCheck {
            state: CheckState::Completed(verdict.conclusion),
            external_id: digest.unwrap_or_default(),
            title: verdict.title,
            summary: verdict.summary,
            text,
            annotations: verdict.annotations,
            ..self.check(&open.name, &open.sha)
        };
        let bare = NewCheck {
            summary: check.title.clone(),
            text: String::new(),
            annotations: Vec::new(),
            ..check.clone()
        };
        // A check that does not end would hold up the pull request for ever.
        self.write_check(|github| match github.update_check(id, &check) {
            Err(PublishError::Invalid { .. }) => github.update_check(id, &bare),
            other => other,
        });
    }

    fn check(&self, name: &str, sha: &str) -> NewCheck {
        NewCheck {
            name: name.to_owned(),
            head_sha: sha.to_owned(),
            state: CheckState::InProgress,
            external_id: String::new(),
            details_url: Some(self.actions.run.clone()).filter(|it| !it.is_empty()),
            title: String::new(),
            summary: String::new(),
            text: String::new(),
            annotations: Vec::new(),
        }
    }

    /// Writes a check; where the job may not, commit statuses take their place from then on.
    fn write_check(
        &self,
        call: impl FnOnce(&GitHub) -> Result<Check, PublishError>,
    ) -> Option<Check> {
        if self.checks_denied.get() {
            return None;
        }
        let denied = |error: &PublishError| matches!(error, PublishError::Forbidden { .. });
        let what = "checks cannot be written, commit statuses take their place";
        let written = self.write(what, call);
        self.checks_denied.set(written.as_ref().is_err_and(denied));
        written.ok().flatten()
    }

    fn status(&self, name: &str, sha: &str, state: StatusState, said: &str) {
        let run = Some(self.actions.run.as_str()).filter(|it| !it.is_empty());
        let made = self.write("commit status not written", |github| {
            github.create_status(sha, name, state, said, run)
        });
        if let Ok(Some(status)) = made {
            *self.login.borrow_mut() = Some(status.author);
        }
    }

    /// Who writes with this token.
    pub(super) fn login(&self) -> Option<String> {
        if self.login.borrow().is_none() {
            let known = self.ask("who writes is not known", GitHub::whoami).flatten();
            *self.login.borrow_mut() = Some(known.unwrap_or_else(|| USUAL_BOT.to_owned()));
        }
        self.login.borrow().clone()
    }

    /// The digest that the newest check of this name on a commit stands for: a check of the app
    /// that also writes this run's, made for this purpose, that has ended and did not fail.
    pub(super) fn approval(&self, name: &str, sha: &str, maker: Maker) -> Option<Approval> {
        if self.checks_denied.get() {
            // A status says nothing of what made it.
            return self.status_approval(name, sha).filter(|_| maker == Maker::Pull);
        }
        let checks = self.ask_list("checks cannot be read", |github| github.checks(sha, name));
        let app = self.app.get();
        // Without a check of our own nobody knows whose checks are ours.
        self.blind.set(self.blind.get() || app.is_none());
        let ours = |check: &&Check| app.is_some() && check.app_id == app;
        let ended = |check: &&Check| {
            let conclusion = check.conclusion.as_deref();
            conclusion.is_some_and(|it| GOOD.contains(&it))
                && record::maker(&check.text) == Some(maker)
                && is_digest(&check.external_id)
        };
        let found = checks.iter().filter(ours).find(ended)?;
        let digest = found.external_id.clone();
        Some(Approval { plan: record::plan(&found.text, &digest), digest })
    }

    fn status_approval(&self, name: &str, sha: &str) -> Option<Approval> {
        let login = self.login()?;
        let statuses = self.ask_list("statuses cannot be read", |github| github.statuses(sha));
        let ours = statuses
            .into_iter()
            .find(|it| it.context == name && it.author == login && is_digest(&it.description))?;
        Some(Approval { digest: ours.description, plan: None })
    }
}

/// Whether a text is a digest as plans have it.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}
