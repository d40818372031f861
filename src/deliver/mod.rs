//! Batches on their way to Perseus: the stages, attempts, limits and what is outstanding.

pub mod backoff;
pub mod concurrency;
pub mod decoder;
pub mod delivery;
pub mod latency;
pub mod outstanding;
pub mod pipeline;
pub mod refusals;
pub mod stop;
