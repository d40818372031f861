//! The outcome of each record, and which records are reported.

pub mod ledger;
pub(crate) mod rejection;
