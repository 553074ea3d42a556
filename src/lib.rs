//! Terraform's plan and apply for Chronon feature repositories.
//!
//! ```text
//! git tree ─source─▶ Catalog ─diff─▶ ChangeSet ─impact─▶ Assessment ─plan─▶ Plan ─┬─render─▶ text
//!                                                                    ▲            └─apply──▶ Ledger ─state─▶ gs://
//!                                                           Ledger ──┘               Runner             Store
//! ```
//!
//! Modules stand in the order in which they may use each other: each names only those before it.

pub mod model;

pub mod source;

pub mod diff;

pub mod impact;

pub mod plan;

pub mod schedule;

pub mod render;

pub mod state;

pub mod publish;

pub mod apply;

pub mod cli;
