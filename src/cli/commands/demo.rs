//! `demo`: the bundled example end to end on this machine, by the commands that a user would type.

use std::path::Path;
use std::path::PathBuf;

use clap::Parser;

use super::super::args::Cli;
use super::super::args::DemoArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::example;
use crate::source::Example;

/// The day of the example's plans, so that everybody sees the same.
const AS_OF: &str = "2026-11-22";

pub(in super::super) fn run(args: &DemoArgs, output: &mut Output) -> Result<Exit, Failure> {
    let folder = folder(args)?;
    let rendered = folder.join("rendered").display().to_string();
    let mut demo = Demo { folder: &folder, output };
    demo.say(&format!(
        "The feature repository of a small music-streaming company, in {}.\n\
         Its jobs are played by the script jobs/stand-in, which runs none: chronon-plan.toml says so.",
        folder.display()
    ));
    let example = Example::new(&folder)?;
    example.commit(&example::BASE)?;
    demo.say("\n1. What runs today is what branch main says. That is recorded once.");
    demo.run(&["state", "adopt", "--commit", "main"])?;
    example.branch("try-a-change")?;
    example.commit(&example::CHANGE)?;
    demo.say("\n2. A branch changes a query and drops a feature. What does that need?");
    demo.run(&["plan", "--base", "main", "--as-of", AS_OF])?;
    demo.say(
        "\n3. It is merged, and applied: every job in its order, and each kept once it is done.",
    );
    demo.run(&["apply", "--yes", "--as-of", AS_OF])?;
    demo.say("\n4. The ledger says what is applied, since when, from which commit.");
    demo.run(&["state", "list", "joins/*", "staging_queries/*"])?;
    example.commit(&example::ANOTHER)?;
    demo.say("\n5. The next commit adds a join and removes a GroupBy.");
    demo.run(&["plan", "--base", "HEAD~1", "--as-of", AS_OF])?;
    demo.run(&["apply", "--yes", "--as-of", AS_OF])?;
    demo.say(
        "\n6. What runs every day was planned and published with it. These are the DAGs, as files\n\
         that an Airflow can import:",
    );
    demo.run(&["airflow", "render", "--out", &rendered])?;
    demo.say(&next(&folder));
    Ok(Exit::Done)
}

/// The example while it is told.
struct Demo<'a> {
    folder: &'a Path,
    output: &'a mut Output,
}

impl Demo<'_> {
    fn say(&mut self, text: &str) {
        self.output.tell(text);
    }

    /// Runs a command as if it had been typed in the folder.
    fn run(&mut self, words: &[&str]) -> Result<(), Failure> {
        let quoted = |text: &&str| match text.contains('*') {
            true => format!("'{text}'"),
            false => word(Path::new(text)),
        };
        let typed: Vec<String> = ["chronon-plan"].iter().chain(words).map(quoted).collect();
        let typed = typed.join(" ");
        self.say(&format!("\n$ {typed}\n"));
        let repo = self.folder.as_os_str();
        let all = ["chronon-plan"].iter().chain(words).map(std::ffi::OsStr::new);
        let cli =
            Cli::try_parse_from(all.chain(["--repo".as_ref(), repo])).map_err(Failure::new)?;
        match super::super::dispatch(&cli.command, self.output)? {
            Exit::Done => Ok(()),
            other => Err(Failure::new(format!("the demo stopped: `{typed}` did not end well"))
                .ends(other)
                .hint(format!("look at what it left in {}", self.folder.display()))),
        }
    }
}

/// What to try next, as it can be typed.
fn next(folder: &Path) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "chronon-plan".into());
    let (program, folder) = (word(&program), word(folder));
    format!(
        "\nTry next:\n  \
         cd {folder}\n  \
         {program} state show joins/discovery.radio.radio_rank__3\n  \
         {program} diff main HEAD\n  \
         {program} graph --of 'joins/*radio*'\n  \
         {program} airflow diff --base main --no-state    # which tasks of which DAGs differ\n  \
         {program} airflow check --python PYTHON          # with a Python that has Airflow\n  \
         {program} plan --base main --format markdown    # as a pull request comment\n  \
         {program} apply --head main                     # refused: it would undo the changes\n\
         Undo them all the same, at first with jobs that fail, then without:\n  \
         STAND_IN_FAILS=upload {program} apply --head main --allow-older\n  \
         {program} apply --head main --allow-older\n\
         Then go to your own repository and run `{program} plan --base main`."
    )
}

/// A path as one word of a shell command.
fn word(path: &Path) -> String {
    let shown = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+~".contains(c);
    if shown.chars().all(plain) { shown } else { format!("'{}'", shown.replace('\'', r"'\''")) }
}

/// The folder of the example: the one that was asked for, which must be empty or missing, else a
/// new one for temporary files.
fn folder(args: &DemoArgs) -> Result<PathBuf, Failure> {
    let Some(dir) = &args.dir else { return fresh(&std::env::temp_dir()) };
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || dir.is_file() {
        return Err(Failure::new(format!("{} is not empty", dir.display()))
            .hint("name a folder that does not exist yet with `--dir DIR`"));
    }
    std::fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    dir.canonicalize().map_err(|error| unusable(dir, &error))
}

/// A folder below `parent` that nobody has used yet.
fn fresh(parent: &Path) -> Result<PathBuf, Failure> {
    for number in 1..10_000 {
        let dir = parent.join(format!("chronon-plan-demo-{}-{number}", std::process::id()));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(&dir, &error)),
        }
    }
    Err(Failure::new(format!("no free name below {}", parent.display()))
        .hint("name one with `--dir DIR`"))
}

fn unusable(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", dir.display()))
        .hint("name a folder that can be made with `--dir DIR`")
}
