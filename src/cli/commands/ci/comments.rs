//! The comment of an env on a pull request: found again, and edited only where it says something
//! else.

use std::panic::AssertUnwindSafe;

use super::super::super::failure::Exit;
use super::super::super::state;
use super::desk::Desk;
use crate::plan::contract::Plan;
use crate::plan::policy::Demand;
use crate::publish::error::PublishError;
use crate::publish::objects::Comment as Posted;
use crate::publish::people;
use crate::render::comment;
use crate::render::comment::Comment;
use crate::render::comment::Earlier;
use crate::render::comment::Marker;
use crate::render::comment::Overlap;
use crate::render::comment::Status;
use crate::render::comment::Trouble;

/// Budgets that are tried in turn, should GitHub count otherwise than we do.
const BUDGETS: [usize; 3] = [comment::BUDGET, comment::BUDGET / 2, 2 * comment::LEAST_BUDGET];

/// What is to be said on a pull request of one env.
#[derive(Clone, Copy)]
pub(super) struct Say<'a> {
    pub(super) env: &'a str,
    pub(super) status: Status<'a>,
    pub(super) plan: Option<&'a Plan>,
    pub(super) head: &'a str,
    pub(super) demands: &'a [Demand],
    pub(super) overlaps: &'a [Overlap],
    pub(super) notes: &'a [String],
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// The comment's address.
    pub(super) url: Option<String>,
    /// Whether the text could not be made.
    pub(super) broken: bool,
}

impl<'a> Say<'a> {
    /// What is said where nothing more is known than this.
    pub(super) fn of(
        env: &'a str,
        status: Status<'a>,
        plan: Option<&'a Plan>,
        head: &'a str,
    ) -> Self {
        Self { env, status, plan, head, demands: &[], overlaps: &[], notes: &[] }
    }

    /// Whether there is nothing that is worth a comment of its own.
    fn is_idle(&self) -> bool {
        let plan = self.plan.is_some_and(|plan| {
            plan.is_empty()
                && plan.changes.is_empty()
                && plan.warnings.is_empty()
                && plan.orphans.is_empty()
                && plan.skipped_files.is_empty()
        });
        let nothing = match self.status {
            Status::Planned => plan,
            Status::Closed => true,
            Status::Applied(receipt) => {
                receipt.done == 0 && receipt.failed.is_empty() && receipt.published == 0
            }
            _ => false,
        };
        nothing && self.demands.iter().all(|it| it.missing.is_empty())
    }

    fn with<'b>(&'b self, at: &'b str, run: &'b str, earlier: &'b [Earlier]) -> Comment<'b> {
        let Say { env, status, plan, head, demands, overlaps, notes } = *self;
        Comment { env, status, plan, head, at, run, demands, overlaps, notes, earlier }
    }

    /// The same for pages that nobody edits.
    pub(super) fn page(&self, run: &str, budget: usize) -> String {
        let at = state::date();
        let text = guarded(|| comment::summary(&self.with(&at, run, &[]), budget).text);
        text.unwrap_or_else(|| {
            let trouble = apology();
            let plain = self.sorry(&trouble);
            comment::summary(&plain.with(&at, run, &[]), budget).text
        })
    }

    /// What is said where the text cannot be made.
    fn sorry<'b>(&'b self, trouble: &'b Trouble) -> Say<'b> {
        let status = Status::Failed(trouble);
        Say::of(self.env, status, None, self.head)
    }
}

fn apology() -> Trouble {
    Trouble {
        what: vec![
            "the plan was made but could not be written as text; that is a mistake of chronon-plan"
                .to_owned(),
        ],
        next: vec!["chronon-plan plan --format json, to see it".to_owned()],
        exit: Exit::Error.code(),
    }
}

/// The text, unless making it breaks down.
fn guarded(make: impl FnOnce() -> String) -> Option<String> {
    std::panic::catch_unwind(AssertUnwindSafe(make)).ok()
}

/// Posts or edits the comment.
pub(super) fn say(desk: &Desk<'_>, number: u64, say: &Say<'_>) -> Said {
    // An answer that got lost may have been to a comment that is there now: look once more.
    match attempt(desk, number, say) {
        Err(PublishError::Unclear { .. }) => attempt(desk, number, say).unwrap_or_default(),
        other => other.unwrap_or_default(),
    }
}

fn attempt(desk: &Desk<'_>, number: u64, say: &Say<'_>) -> Result<Said, PublishError> {
    let comments = desk.ask("comments cannot be read", |github| github.comments(number));
    let Some(comments) = comments else { return Ok(Said::default()) };
    let marked = |body: &str| Marker::read(body).is_some_and(|it| it.is_of(say.env));
    let login = desk.login();
    let known = people::mine(&comments.items, login.as_deref(), &marked);
    let before = known.and_then(|it| Marker::read(&it.body));
    match (known, &before) {
        (None, _) if say.is_idle() => return Ok(Said::default()),
        (Some(known), Some(marker)) if is_said(known, say, marker) => {
            return Ok(Said { url: Some(known.html_url.clone()), broken: false });
        }
        _ => {}
    }
    let digest = say.plan.map(|plan| plan.digest.as_str()).unwrap_or_default();
    let earlier = before.map(|it| it.before(say.head, digest)).unwrap_or_default();
    post(desk, number, say, known, &earlier)
}

fn post(
    desk: &Desk<'_>,
    number: u64,
    say: &Say<'_>,
    known: Option<&Posted>,
    earlier: &[Earlier],
) -> Result<Said, PublishError> {
    let (at, run, trouble) = (state::date(), desk.actions.run.as_str(), apology());
    let mut said = Said::default();
    for budget in BUDGETS {
        let text = guarded(|| comment::render(&say.with(&at, run, earlier), budget).text);
        said.broken = text.is_none();
        let sorry = say.sorry(&trouble);
        let text =
            text.unwrap_or_else(|| comment::render(&sorry.with(&at, run, earlier), budget).text);
        let written = desk.write("comment not written", |github| match known {
            Some(known) => github.update_comment(known.id, &text),
            None => github.create_comment(number, &text),
        });
        match written {
            Ok(posted) => {
                said.url = posted.map(|it| it.html_url);
                return Ok(said);
            }
            // Too long for GitHub, however it counts.
            Err(PublishError::Invalid { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}

/// Whether a comment says this already: only the time and the run may be others.
fn is_said(known: &Posted, say: &Say<'_>, marker: &Marker) -> bool {
    let Marker { at, run, earlier, .. } = marker;
    let again = guarded(|| comment::render(&say.with(at, run, earlier), comment::BUDGET).text);
    let plain = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    again.is_some_and(|text| plain(&text) == plain(&known.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_made_is_none_and_what_stands_in_for_it_can() {
        assert_eq!(guarded(|| "text".to_owned()).as_deref(), Some("text"));
        assert_eq!(guarded(|| panic!("made to fail")), None);
        let trouble = apology();
        let say = Say::of("prod", Status::Planned, None, "");
        let text = comment::render(&say.sorry(&trouble).with("", "", &[]), comment::BUDGET).text;
        assert!(text.contains("could not be written"), "{text}");
    }
}
