//! Log lines, metrics and traces.

pub(crate) mod counters;
pub(crate) mod emf;
pub(crate) mod histogram;
pub mod logs;
pub mod messages;
pub mod reasons;
pub(crate) mod stdout;
pub(crate) mod trace;

/// The version and what it was built from, for example `0.1.0+1a2b3c4`. See build.rs.
pub(crate) const VERSION: &str = env!("BUILD_VERSION");
