//! The result of a run in a few words.

use super::palette::Role;
use crate::report::{
    Report, Totals,
    units::{count, counted, seconds},
};

/// The head of the page.
pub(super) struct Verdict {
    pub(super) role: Role,
    pub(super) headline: String,
    /// The headline in figures.
    pub(super) account: String,
}

impl Verdict {
    pub(super) fn of(report: &Report) -> Self {
        let totals = &report.totals;
        let broken: Vec<&str> =
            report.invariants.iter().filter(|one| !one.holds).map(|one| one.name).collect();
        let role = if broken.is_empty() && totals.lost == 0 { Role::Delivered } else { Role::Failure };
        let headline = match (totals.lost, &broken[..]) {
            (0, []) if totals.messages == 0 => "Nothing was sent".to_owned(),
            (0, []) => "Nothing lost".to_owned(),
            (0, broken) => format!("Broken: {}", broken.join(", ")),
            (lost, _) => format!("{} lost", counted(lost, "message")),
        };
        let invariants = match broken.len() {
            0 => format!("All {} invariants hold.", report.invariants.len()),
            1 => format!("1 of {} invariants is broken.", report.invariants.len()),
            broken => format!("{broken} of {} invariants are broken.", report.invariants.len()),
        };
        Self { role, headline, account: format!("{} {invariants}", account(totals)) }
    }
}

fn account(totals: &Totals) -> String {
    let mut places = vec![format!("{} delivered", count(totals.delivered))];
    for (number, index) in [
        (totals.dead_letters, counted(totals.dead_letters, "dead letter")),
        (totals.left, format!("{} still in the queue", count(totals.left))),
        (totals.lost, format!("{} lost", count(totals.lost))),
    ] {
        places.extend((number > 0).then_some(index));
    }
    format!("{} in {}: {}.", counted(totals.messages, "message"), seconds(totals.seconds), places.join(", "))
}
