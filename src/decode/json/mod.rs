//! JSON, walked by blocks of bytes.

pub(crate) mod scan;
pub(crate) mod simd;
#[cfg(test)]
pub(crate) mod strategies;
pub(crate) mod unescape;
