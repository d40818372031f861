//! What is sent, and when.

mod arrivals;
pub mod events;
pub(crate) mod messages;

pub(crate) use self::arrivals::{Arrivals, Shape, Traffic};
