//! From the payload of an invocation to records.

pub(crate) mod attributes;
pub(crate) mod body;
pub mod event;
pub(crate) mod field;
pub(crate) mod json;
pub mod record;
