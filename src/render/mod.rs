//! A plan to text, Markdown, JSON and graphs. Pure: the same plan gives the same bytes.

pub mod comment;
mod escape;
pub mod graph;
pub mod json;
mod markdown;
mod outline;
mod page;
mod schedules;
mod sql;
mod text;
mod words;

pub use escape::prose;
pub use escape::visible;
pub use markdown::changes as markdown_changes;
pub use markdown::plan as markdown;
pub use schedules::markdown as schedules_markdown;
pub use schedules::text as schedules_text;
pub use text::plan as text;
pub use words::sentence;

/// How text may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether it may be coloured.
    pub colour: bool,
    /// How many columns there are; none where lines need no end.
    pub width: Option<usize>,
    /// Whether only what differs is shown: for `diff`, which plans nothing.
    pub changes_only: bool,
}
