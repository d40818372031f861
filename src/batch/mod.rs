//! From records to batches, and from batches to requests.

pub mod batcher;
pub mod fifo;
pub mod request;
