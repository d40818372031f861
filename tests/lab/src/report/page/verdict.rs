//! The result of a run in a few words.

use super::palette::Role;
use crate::{
    report::{
        Report, Totals,
        units::{count, counted, seconds, unbroken},
    },
    run::invariants::Status,
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
        let with = |status| report.invariants.iter().filter(move |one| one.status == status);
        let broken: Vec<&str> = with(Status::Broken).map(|one| one.name).collect();
        let role = match (totals.lost, broken.len()) {
            (0, 0) if totals.messages == 0 => Role::Text,
            (0, 0) => Role::Delivered,
            _ => Role::Failure,
        };
        let headline = match (totals.lost, &broken[..]) {
            (0, []) if totals.messages == 0 => "Nothing was sent".to_owned(),
            (0, []) => "Nothing lost".to_owned(),
            (0, broken) => format!("Broken: {}", broken.join(", ")),
            (lost, _) => format!("{} lost", counted(lost, "message")),
        };
        let invariants =
            invariants(with(Status::Holds).count(), broken.len(), with(Status::NotExercised).count());
        Self { role, headline, account: unbroken(&format!("{} {invariants}", account(totals))) }
    }
}

fn invariants(hold: usize, broken: usize, idle: usize) -> String {
    let all = hold + broken + idle;
    let idle = match idle {
        0 if broken == 0 => return format!("All {all} invariants hold."),
        idle if idle == all => return "No invariant was exercised.".to_owned(),
        0 => String::new(),
        1 => ", 1 was not exercised".to_owned(),
        idle => format!(", {idle} were not exercised"),
    };
    match broken {
        0 => format!("No invariant is broken: {hold} of {all} hold{idle}."),
        1 => format!("1 of {all} invariants is broken, {hold} hold{idle}."),
        broken => format!("{broken} of {all} invariants are broken, {hold} hold{idle}."),
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
