//! Policies: what a plan needs beside a reviewer's eye, and what of it is missing.

use crate::model::name::Address;

/// A policy that a plan falls under, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The policy's name in the settings.
    pub policy: String,
    /// Why the plan falls under it, in a sentence.
    pub why: String,
    /// The configs that make it so; empty where it is the plan as a whole.
    pub configs: Vec<Address>,
    /// What is missing, a sentence each; empty where the policy is met.
    pub missing: Vec<String>,
    /// Who can give it: logins and teams, as `@login` and `@org/team`.
    pub ask: Vec<String>,
}
