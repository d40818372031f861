//! The tables: invariants, ends of requests, configuration.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::palette::Role;
use crate::{
    report::{Totals, units::count},
    run::invariants::{Finding, Status},
    scenario::Setting,
};

/// The invariants, and whether they hold.
pub(super) fn invariants(invariants: &[Finding]) -> Markup {
    let (idle, checked): (Vec<_>, Vec<_>) =
        invariants.iter().partition(|invariant| invariant.status == Status::NotExercised);
    html! {
        section {
            h2 { "Invariants" }
            table.invariants {
                thead { tr { th scope="col" { "Invariant" } th scope="col" { "Result" } } }
                tbody {
                    @for invariant in checked.into_iter().chain(idle) {
                        tr {
                            th scope="row" { b { (invariant.name) } span { (invariant.promise) } }
                            td {
                                (status(invariant.status)) " " span { (invariant.evidence) }
                                (breaches(invariant))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn status(status: Status) -> Markup {
    let (role, word) = match status {
        Status::Holds => (Role::Delivered, "holds"),
        Status::Broken => (Role::Failure, "broken"),
        Status::NotExercised => (Role::Muted, "not exercised"),
    };
    html! { b.(role.name()) { (word) } }
}

/// What broke an invariant.
pub(super) fn breaches(invariant: &Finding) -> Markup {
    html! {
        @if !invariant.breaches.is_empty() {
            ul.breaches { @for breach in &invariant.breaches { li { (breach) } } }
        }
    }
}

/// How requests ended, and how many were retried.
pub(super) fn outcomes(totals: &Totals) -> Markup {
    let (requests, retries) = (&totals.requests_by_end, &totals.retries_by_end);
    let ends: BTreeSet<&String> = requests.keys().chain(retries.keys()).collect();
    let figure =
        |number: Option<&u32>| number.map_or_else(|| "0".to_owned(), |number| count((*number).into()));
    if ends.is_empty() {
        return html! {};
    }
    let all = |counts: &BTreeMap<String, u32>| count(counts.values().map(|number| u64::from(*number)).sum());
    html! {
        section {
            h2 { "Requests by result" }
            table.outcomes {
                thead { tr { th scope="col" { "How they ended (HTTP status)" } th scope="col" { "Requests" } th scope="col" { "Retried" } } }
                tbody {
                    @for end in ends {
                        tr { th scope="row" { (end) } td { (figure(requests.get(end))) } td { (figure(retries.get(end))) } }
                    }
                    tr { th scope="row" { "all" } td { (all(requests)) } td { (all(retries)) } }
                }
            }
        }
    }
}

/// The configuration, one table for each part.
pub(super) fn configuration(settings: &[Setting]) -> Markup {
    html! {
        section {
            h2 { "Configuration" }
            div.parts {
                @for part in settings.chunk_by(|one, next| one.part == next.part) {
                    table {
                        caption { (part[0].part) }
                        tbody {
                            @for setting in part {
                                tr { th scope="row" { (setting.name) } td { (setting.value) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
