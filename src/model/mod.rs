//! Nouns: names, days, the schema of compiled files, catalogs, lineage, the ledger.
//!
//! No IO, no clock, no git: everything here is a value or a function of values.

pub mod catalog;
pub mod causes;
pub mod columns;
pub mod day;
pub mod document;
pub mod facts;
pub mod ledger;
pub mod lineage;
pub mod name;
pub mod partitions;
pub mod path;
pub mod resource;
pub mod schema;
mod shape;
pub mod sql;
