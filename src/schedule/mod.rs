//! Catalog and settings to the DAGs that run every day. Pure: no clock, no environment, no network.
//!
//! # Why
//! What runs every day is planned and applied like everything else. So DAGs are plain values,
//! derived from compiled configs alone: who is waited for comes from lineage, and what a task runs
//! is the very command that an apply would run.

mod airflow;
mod build;
mod by_hand;
mod changes;
mod commands;
mod cron;
mod cycle;
mod jobs;
mod notes;
mod pack;
mod priority;
pub mod spec;
mod teams;
mod waits;

pub use airflow::CHECK;
pub use airflow::LOADER;
pub use airflow::LOADER_FILE;
pub use airflow::MANIFEST_FILE;
pub use build::Built;
pub use build::Inputs;
pub use build::build;
pub use changes::change;
pub use changes::fingerprints;
pub use changes::note;
pub use cron::shown as shown_schedule;
pub use pack::Bundle;
pub use pack::OVER;
pub use pack::Packed;
pub use pack::index;
pub use pack::index_key;
pub use pack::with_bounded;
pub use teams::TEAMS_FILE;
pub use teams::Teams;
