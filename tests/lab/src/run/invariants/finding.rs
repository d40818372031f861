//! The result of checking an invariant.

use serde::Serialize;

use crate::report::units::unbroken;

/// The most breaches of an invariant shown in words.
pub(super) const MOST_BREACHES: usize = 5;

/// An invariant, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// What it promises.
    pub promise: &'static str,
    /// Whether the promise was kept.
    pub status: Status,
    /// The figures that were checked.
    pub evidence: String,
    /// The breaches, in words. Only the first ones.
    pub breaches: Vec<String>,
}

/// The result of checking an invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// There was something to check, and the promise was kept.
    Holds,
    /// The promise was broken.
    Broken,
    /// The run had nothing to check.
    NotExercised,
}

impl Finding {
    /// Marks an invariant as not exercised if there was nothing to check.
    pub(super) fn exercised_by(self, checked: usize) -> Self {
        match self.status {
            Status::Holds if checked == 0 => Self { status: Status::NotExercised, ..self },
            _ => self,
        }
    }
}

/// An invariant with its breaches: without any it holds.
pub(super) fn finding(
    name: &'static str,
    promise: &'static str,
    evidence: String,
    mut breaches: Vec<String>,
) -> Finding {
    let all = breaches.len();
    breaches.truncate(MOST_BREACHES);
    breaches.extend((all > MOST_BREACHES).then(|| format!("and {} more", all - MOST_BREACHES)));
    let status = if all == 0 { Status::Holds } else { Status::Broken };
    Finding { name, promise, status, evidence: unbroken(&evidence), breaches }
}
