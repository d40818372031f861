//! From records to batches, and from batches to requests.

pub mod batcher;
mod body;
pub mod fifo;
pub mod request;
