//! What became of each record, and what is answered.

pub mod ledger;
pub mod rejection;
