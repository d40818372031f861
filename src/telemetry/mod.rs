//! Log lines, metrics and traces.

pub mod counters;
pub mod emf;
pub mod histogram;
pub mod logs;
pub mod messages;
pub(crate) mod stdout;
pub mod trace;
