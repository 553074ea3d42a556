//! What is said on GitHub: events read, and comments, checks and labels written.
pub mod record;
