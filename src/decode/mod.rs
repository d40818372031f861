//! From the payload to records.

pub(crate) mod attributes;
pub(crate) mod body;
pub mod event;
pub(crate) mod field;
pub(crate) mod json;
pub mod record;
