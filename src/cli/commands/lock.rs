//! `lock`: who holds it, and freeing it.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::args::LockArgs;
use super::super::args::LockCommand;
use super::super::args::StateCommon;
use super::super::args::StateFormat;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::state;
use super::super::state::State;
use super::super::workspace::Prepared;
use crate::render::visible;
use crate::state::lease;
use crate::state::lease::Document;
use crate::state::store::Put;

/// `lock show --format json`.
#[derive(Serialize, JsonSchema)]
pub(super) struct LockState {
    /// Where the state is.
    location: String,
    /// Whether somebody holds the lock.
    held: bool,
    /// The lock as it is kept; null where nobody ever took it.
    lock: Option<Document>,
}

pub(in super::super) fn run(args: &LockArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        LockCommand::Show { common } => show(common, output),
        LockCommand::Release { id, common } => release(id, common, output),
    }
}

fn show(common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = open(common)?;
    let text = match common.format {
        StateFormat::Json => json(&state)?,
        StateFormat::Text => text(lease::look(&state.objects)?.map(|it| it.1).as_ref()),
    };
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

fn text(lock: Option<&Document>) -> String {
    let Some(lock) = lock else { return "The lock is free; nobody ever took it.\n".to_owned() };
    let mut text = match &lock.holder {
        None => "The lock is free.\n".to_owned(),
        Some(_) => format!(
            "The lock is held by {}.\nid: {}\nIt is taken over once it was not renewed for {} s.\n",
            visible(&lease::describe(lock)),
            visible(&lock.nonce),
            lock.ttl_seconds
        ),
    };
    if !lock.unfinished.is_empty() {
        let runs: Vec<String> = lock.unfinished.iter().map(|it| visible(it)).collect();
        text.push_str(&format!("Runs that the next apply carries on: {}\n", runs.join(", ")));
    }
    text
}

fn release(id: &str, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = open(common)?;
    let seen = lease::look(&state.objects)?;
    let Some((generation, lock)) = seen.filter(|it| it.1.holder.is_some()) else {
        output.tell("The lock is free already.");
        return released(&state, common, output);
    };
    if lock.nonce != id {
        return Err(Failure::new(format!(
            "the lock is not `{id}`: it is held by {}",
            lease::describe(&lock)
        ))
        .ends(Exit::Locked)
        .hint(format!("if that run is surely dead: chronon-plan lock release {}", lock.nonce)));
    }
    let holder = lease::describe(&lock);
    match lease::break_open(&state.objects, &state::nonce(), (generation, lock))? {
        Put::Written(_) => {
            output.tell(format!(
                "Freed the lock of {holder}. If that run lives after all, it can write nothing more; the next apply carries on what it began."
            ));
            released(&state, common, output)
        }
        Put::Conflict => Err(Failure::new("the lock changed just now: its holder lives")
            .ends(Exit::Locked)
            .hint("chronon-plan lock show")),
    }
}

/// Answers programs with the lock as it is now; people have been told.
fn released(state: &State, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    if common.format == StateFormat::Json {
        output.answer(None, &json(state)?)?;
    }
    Ok(Exit::Done)
}

/// The lock as it is now.
fn json(state: &State) -> Result<String, Failure> {
    let lock = lease::look(&state.objects)?.map(|it| it.1);
    let held = lock.as_ref().is_some_and(|lock| lock.holder.is_some());
    super::json(&LockState { location: state.location.clone(), held, lock })
}

pub(super) fn open(common: &StateCommon) -> Result<State, Failure> {
    State::open(&Prepared::of(&super::request(&common.repo))?)
}
