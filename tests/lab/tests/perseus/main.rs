//! The stand-in for Perseus: what it answers and commits, and that it finds every breach of the contract.

mod answers;
mod contract;
mod request;
