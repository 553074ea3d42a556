//! Whether the compiled files are what the sources compile to, after a job has compiled them.
//!
//! # Why
//! What is committed is what is planned and run. Where somebody edits a source and forgets to
//! compile, a plan is empty and the change is lost until the next who compiles. So a job of its
//! own, which needs no credentials for it runs the branch's code, compiles and then asks this.

use super::super::super::args::CiArgs;
use super::super::super::failure::Exit;
use super::super::super::failure::Failure;
use super::super::super::output::Output;
use super::super::super::workspace;
use super::super::super::workspace::Prepared;
use super::super::super::workspace::Request;
use super::actions;
use crate::render::prose;
use crate::render::visible;
use crate::source::Repository;

/// How many files are named one by one.
const NAMED: usize = 1_000;

pub(super) fn check(args: &CiArgs, output: &mut Output) -> Result<Exit, Failure> {
    let repository = Repository::open(&args.repo)?;
    let request = Request {
        repo: args.repo.clone(),
        root: args.root.clone(),
        settings: args.settings.clone(),
        ..Request::default()
    };
    let head = repository.revision("HEAD")?;
    let settings = workspace::read_settings(&repository, &request, &head.commit)?;
    let mut stale = Vec::new();
    for env in super::envs(args, &settings, &super::Order::default()) {
        let prepared = Prepared::of(&Request { env, ..request.clone() })?;
        let root = prepared.root();
        stale.extend(repository.uncommitted(&head.commit, &root, None)?);
    }
    stale.sort();
    stale.dedup();
    if stale.is_empty() {
        output.answer(None, "The compiled files are those of the commit.\n")?;
        return Ok(Exit::Done);
    }
    tell(&stale)?;
    let named = stale.iter().take(NAMED).map(|path| format!("  {}", visible(path)));
    let more = stale.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("  and {more} more"));
    let what = match stale.len() {
        1 => "1 compiled file is not what the sources compile to".to_owned(),
        many => format!("{many} compiled files are not what the sources compile to"),
    };
    Err(Failure::new(what)
        .lines(named.chain(more))
        .hint("compile and commit the result: `zipline compile --force`, then `git add` the compiled root"))
}

/// Says it on the job's page and in front of the files, where this is a job of GitHub.
fn tell(stale: &[String]) -> Result<(), Failure> {
    let list: Vec<String> =
        stale.iter().take(NAMED).map(|path| format!("- {}", prose(&format!("`{path}`")))).collect();
    let page = format!(
        "### ❌ Compiled files are stale\n\nThey are not what the sources compile to. Compile, and commit the result.\n\n{}\n",
        list.join("\n")
    );
    actions::page_of_process(&page)?;
    for path in stale.iter().take(NAMED) {
        let what = "not what the sources compile to: compile again and commit the result";
        Output::aside(&actions::command("error", path, 1, "stale", what));
    }
    Ok(())
}
