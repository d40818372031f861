//! One run: the loop that drives it, what happened in it, and the invariants that must hold.

pub(crate) mod drive;
pub mod history;
pub mod invariants;
pub(crate) mod series;

pub use self::{
    drive::{DriveError, Progress},
    series::{Point, Series},
};
