//! A plan to jobs that ran: in order, side by side, journaled, and resumed where they stopped.

pub mod airflow;
pub mod board;
pub mod command;
mod dataproc;
pub mod engine;
pub mod gate;
pub mod machine;
mod preflight;
pub mod process;
pub mod progress;
mod proof;
pub mod runner;
pub mod scrub;
mod step;
mod surroundings;
pub mod work;
pub mod zipline;
