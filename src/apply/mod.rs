//! A plan to jobs that ran: in order, side by side, journaled, and resumed where they stopped.

pub mod board;
pub mod command;
pub mod engine;
pub mod machine;
pub mod process;
pub mod progress;
pub mod runner;
pub mod scrub;
pub mod work;
