//! What has been applied, kept outside the repository: the ledger, its lock and its journal.
//!
//! ```text
//! Ledger, Lease, Journal ── settled reads and writes ── Store: a folder | gs://
//! ```
//!
//! # Why
//! A store can do two things: get an object, and put one on a condition. Everything that makes
//! state safe (the lock, the fence, history, answers that got lost) is written once above that.

pub mod store;
