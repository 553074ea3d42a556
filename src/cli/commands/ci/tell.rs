//! The end of an env: its check, its page, its outcome, said from one text.

use super::super::super::failure::Exit;
use super::Ci;
use super::comments::Say;
use super::desk::Open;
use super::desk::Verdict;
use super::report::Outcome;
use crate::plan::contract::Plan;
use crate::publish::objects::Annotation;
use crate::publish::objects::Conclusion;
use crate::publish::record::Maker;
use crate::render::comment::CHECK_BUDGET;
use crate::render::comment::SUMMARY_BUDGET;

/// How an env ended.
pub(super) struct Ending<'a> {
    pub(super) conclusion: Conclusion,
    /// The line that the check shows first.
    pub(super) title: String,
    /// The plan whose digest the check is to carry.
    pub(super) stands_for: Option<(&'a Plan, Maker)>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) exit: Exit,
    /// The comment's address.
    pub(super) comment: Option<String>,
}

/// Ends the check and gives what the job reports of the env.
pub(super) fn end(ci: &Ci<'_>, check: &Open, say: &Say<'_>, ending: Ending<'_>) -> Outcome {
    let run = &ci.actions.run;
    let verdict = Verdict {
        conclusion: ending.conclusion,
        title: ending.title,
        summary: say.page(run, CHECK_BUDGET),
        plan: ending.stands_for,
        annotations: ending.annotations,
    };
    ci.desk.close(check, verdict);
    Outcome {
        env: say.env.to_owned(),
        plan: say.plan.cloned(),
        exit: Some(ending.exit),
        comment: ending.comment,
        page: say.page(run, SUMMARY_BUDGET),
    }
}
