//! Log lines, metrics and traces.

pub(crate) mod counters;
pub(crate) mod emf;
pub(crate) mod histogram;
pub mod logs;
pub mod messages;
pub mod reasons;
pub(crate) mod stdout;
pub(crate) mod trace;
