//! Small types that many modules share. This folder imports nothing of the rest.

pub mod aws;
pub mod format;
pub(crate) mod host;
pub mod limits;
pub(crate) mod text;
pub mod token;
