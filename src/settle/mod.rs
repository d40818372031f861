//! The outcome of each record, and the answer to Lambda.

pub mod ledger;
pub mod rejection;
