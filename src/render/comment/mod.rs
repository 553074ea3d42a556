//! The comment of a pull request: the plan, and later what became of it, within a byte budget.
//!
//! # Why
//! One comment is edited in place from the first plan to the receipt, so it is what people read.
//! It never is too large for GitHub: of a large plan less is told, level by level, and each level
//! says what it leaves out. What breaks clients and what rewrites history stands first and is told
//! at every level. Everything that others wrote is code, or inside fences.

mod asks;
mod body;
mod ending;
mod frame;
mod marker;
mod part;
mod severe;
mod spell;

pub use marker::EARLIER;
pub use marker::Earlier;
pub use marker::Marker;

use part::Part;

use super::outline::Outline;
use super::outline::outline;
use crate::model::name::Address;
use crate::plan::contract::Plan;
use crate::plan::policy::Demand;

/// How many bytes a comment may have.
pub const BUDGET: usize = 65_536;

/// How many bytes the summary of a check run may have.
pub const CHECK_BUDGET: usize = 65_535;

/// How many bytes the summary of a job may have.
pub const SUMMARY_BUDGET: usize = 1_048_576;

/// The smallest budget in which everything that must be said has room.
pub const LEAST_BUDGET: usize = 4_096;

/// Everything that the comment of a pull request tells.
#[derive(Clone, Debug)]
pub struct Comment<'a> {
    /// The env.
    pub env: &'a str,
    /// How far things have come.
    pub status: Status<'a>,
    /// The plan; none where none could be made.
    pub plan: Option<&'a Plan>,
    /// The commit of the pull request; of a receipt, that of the default branch.
    pub head: &'a str,
    /// When, as RFC 3339.
    pub at: &'a str,
    /// The address of the run; empty where there is none.
    pub run: &'a str,
    /// The policies that the plan falls under.
    pub demands: &'a [Demand],
    /// Other open pull requests that touch the same or related configs.
    pub overlaps: &'a [Overlap],
    /// Sentences of the program's own, which may quote names in backticks.
    pub notes: &'a [String],
    /// Earlier plans, newest first; no more than ten are shown.
    pub earlier: &'a [Earlier],
}

/// How far things have come.
#[derive(Clone, Copy, Debug)]
pub enum Status<'a> {
    /// It is planned; merging applies it.
    Planned,
    /// The pull request was closed without a merge.
    Closed,
    /// It is in the merge queue.
    Queued,
    /// The jobs run.
    Applying,
    /// All of it was applied.
    Applied(&'a Receipt),
    /// What was started runs on without the apply, and is collected later.
    Running(&'a Receipt),
    /// Some of it was applied.
    Partly(&'a Receipt),
    /// Nothing was applied, and why.
    Refused(&'a Trouble),
    /// It began and broke off, and why: nobody here knows what was applied.
    Broken(&'a Trouble),
    /// No plan could be made, and why.
    Failed(&'a Trouble),
    /// The apply was asked to stop.
    Interrupted(&'a Receipt),
}

/// Why nothing was done. Lines of errors may quote anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// What is the matter.
    pub what: Vec<String>,
    /// What to do next.
    pub next: Vec<String>,
    /// The exit code.
    pub exit: u8,
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// How many steps are done.
    pub done: usize,
    /// The steps that failed, or are to be done by hand.
    pub failed: Vec<FailedStep>,
    /// How many steps were not started because of those.
    pub skipped: usize,
    /// How many steps were left behind when the apply stopped.
    pub left: usize,
    /// How many steps run on without the apply.
    pub running: usize,
    /// Jobs that can be watched.
    pub watched: Vec<Watched>,
    /// How many DAGs were published.
    pub published: usize,
    /// The serial of the ledger as it stands.
    pub serial: u64,
    /// How many steps a new plan has, and DAGs to publish; none where nobody planned again.
    pub again: Option<usize>,
    /// How long it took, as people say it.
    pub took: String,
    /// What to do so that it goes on: sentences that may quote commands in backticks.
    pub resume: Vec<String>,
}

/// A job that can be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The step.
    pub step: String,
    /// Its page: an address that we made.
    pub page: String,
    /// Whether it is done; none while it runs.
    pub done: Option<bool>,
}

/// A step that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedStep {
    /// The step.
    pub step: String,
    /// What happened, or what is to be done.
    pub what: String,
    /// The last lines of its log.
    pub tail: Vec<String>,
    /// Whether somebody must do it by hand.
    pub by_hand: bool,
    /// The page that shows what happened: an address that we made.
    pub page: Option<String>,
}

/// Another open pull request that touches the same or related configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// The configs that both touch.
    pub same: Vec<Address>,
    /// Those that it touches and that are up- or downstream of this plan's.
    pub related: Vec<Address>,
}

/// A page, and how much of the plan it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The page as Markdown.
    pub text: String,
    /// How much is told.
    pub detail: Detail,
}

/// How much of a plan is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Everything.
    Full,
    /// Fields and days, without SQL, graph and commands; what is long is cut.
    Fields,
    /// One line for each config.
    Configs,
    /// How many configs and jobs, by mode and by team.
    Counts,
}

/// Where a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a comment, which is found again by its marker.
    Comment,
    /// In the summary of a job or of a check run.
    Summary,
}

/// What every part of a page is made from.
#[derive(Clone, Copy)]
struct View<'a> {
    comment: &'a Comment<'a>,
    outline: Option<&'a Outline<'a>>,
    detail: Detail,
    place: Place,
    /// What is longer than this is on no page.
    budget: usize,
}

/// The comment, at the first level of detail that fits the budget; never over it. The budget is
/// at least [`LEAST_BUDGET`].
pub fn render(comment: &Comment<'_>, budget: usize) -> Rendered {
    page(comment, Place::Comment, budget)
}

/// The same for the summary of a job or of a check run: without the marker.
pub fn summary(comment: &Comment<'_>, budget: usize) -> Rendered {
    page(comment, Place::Summary, budget)
}

fn page(comment: &Comment<'_>, place: Place, budget: usize) -> Rendered {
    let outline = comment.plan.map(outline);
    let view = |detail| View { comment, outline: outline.as_ref(), detail, place, budget };
    for detail in [Detail::Full, Detail::Fields, Detail::Configs] {
        if let Some(text) = part::whole(&parts(view(detail)), budget) {
            return Rendered { text, detail };
        }
    }
    let detail = Detail::Counts;
    Rendered { text: part::fitted(&parts(view(detail)), budget), detail }
}

/// The parts of a page, in their order.
fn parts(view: View<'_>) -> Vec<Part<'_>> {
    let mut parts = vec![frame::marker(view), frame::head(view), severe::part(view)];
    parts.extend(asks::demands(view));
    parts.push(asks::warnings(view));
    parts.extend(ending::parts(view));
    parts.extend(body::parts(view));
    parts.extend([asks::overlaps(view), asks::notes(view), asks::earlier(view), frame::foot(view)]);
    parts
}
