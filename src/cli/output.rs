//! Streams: standard output is the answer, standard error the conversation.

use std::fmt::Display;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;

use super::failure::Failure;
use crate::render::Style;

/// Where a command writes.
pub(super) struct Output {
    style: Style,
}

/// Never narrower than this, whatever a terminal says of itself.
const NARROWEST: usize = 40;

impl Output {
    /// The streams of this process: colour and width only on a terminal that wants them.
    pub(super) fn of_process() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = terminal_size::terminal_size().map(|size| usize::from(size.0.0).max(NARROWEST));
        let style = Style {
            colour: terminal && !set("NO_COLOR") && !dumb,
            width: width.filter(|_| terminal),
            changes_only: false,
        };
        Self { style }
    }

    /// How text may look that goes to `out`.
    pub(super) fn style(&self, out: Option<&Path>) -> Style {
        if out.is_some() { Style::default() } else { self.style }
    }

    /// Help or a mistake of the command line, coloured where that is wanted.
    pub(super) fn clap_text(&self, error: &clap::Error) -> String {
        let text = error.render();
        if self.style.colour { text.ansi().to_string() } else { text.to_string() }
    }

    /// Writes the answer: to a file, whole or not at all, else to standard output.
    pub(super) fn answer(&mut self, out: Option<&Path>, text: &str) -> Result<(), Failure> {
        let Some(path) = out else {
            let mut stdout = std::io::stdout().lock();
            return match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
                // Whoever reads has seen enough.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                other => other.map_err(|error| Failure::new(format!("standard output: {error}"))),
            };
        };
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        let written = if is_replaceable(path) {
            std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path))
        } else {
            std::fs::write(path, text)
        };
        written.map_err(|error| {
            if draft.exists() {
                std::fs::remove_file(&draft).unwrap_or_default();
            }
            Failure::new(format!("{}: {error}", path.display()))
                .hint("name a file in a folder that exists with `--out FILE`")
        })
    }

    /// Says something beside the answer.
    pub(super) fn tell(&mut self, what: impl Display) {
        Self::aside(&what.to_string());
    }

    /// The same, from any thread.
    pub(super) fn aside(text: &str) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        // Nobody listens: nothing is left to tell.
        std::io::stderr().lock().write_all(format!("{text}{end}").as_bytes()).unwrap_or_default();
    }

    /// One line of an answer that comes bit by bit, as JSON.
    pub(super) fn line(what: &impl serde::Serialize) {
        let text = serde_json::to_string(what).unwrap_or_default();
        let mut stdout = std::io::stdout().lock();
        // Whoever read has seen enough; the jobs go on.
        stdout.write_all(format!("{text}\n").as_bytes()).unwrap_or_default();
        stdout.flush().unwrap_or_default();
    }

    /// Whether somebody watches a terminal that can be drawn on.
    pub(super) fn is_live(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        std::io::stderr().is_terminal() && !dumb && std::env::var_os("CI").is_none()
    }
}

/// Whether another file may take the place of this one: a device, a pipe or a link must stay what
/// it is, and is written through.
fn is_replaceable(path: &Path) -> bool {
    path.symlink_metadata().map_or(true, |there| there.is_file())
}
