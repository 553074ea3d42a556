//! What is said on GitHub: events read, and comments, checks and labels written.

mod answer;
pub mod api;
pub mod command;
pub mod error;
pub mod event;
pub mod github;
pub mod http;
pub mod objects;
pub mod owners;
pub mod people;
mod pull;
pub mod record;
pub mod token;

pub use pull::PullRef;
