//! JSON text, scanned in blocks of 64 bytes.

mod nesting;
pub(crate) mod scan;
mod simd;
#[cfg(test)]
pub(crate) mod strategies;
pub(crate) mod unescape;
pub(crate) mod walk;
