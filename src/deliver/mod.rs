//! Delivers batches to Perseus: stages, attempts, retries, splits, limits.

mod advice;
mod answer;
mod attempt;
mod backoff;
pub(crate) mod concurrency;
pub(crate) mod context;
pub mod decoder;
mod delivery;
pub(crate) mod latency;
mod next_step;
mod outstanding;
pub(crate) mod pipeline;
pub(crate) mod refusal_streak;
pub(crate) mod stop;
