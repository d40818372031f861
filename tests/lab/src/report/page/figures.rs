//! The figures of the whole run, side by side.

use maud::{Markup, html};

use super::palette::Role;
use crate::report::{
    Totals,
    units::{count, counted, time, unbroken},
};

struct Figure {
    name: &'static str,
    value: String,
    note: String,
    /// The role of its colour, if it means something good or bad.
    role: Option<Role>,
}

/// Renders the figures.
pub(super) fn grid(totals: &Totals) -> Markup {
    html! {
        dl.figures {
            @for figure in messages(totals).into_iter().chain(work(totals)) {
                div {
                    dt { (figure.name) }
                    dd {
                        b class=[figure.role.map(Role::name)] { (figure.value) }
                        @if !figure.note.is_empty() { span { (figure.note) } }
                    }
                }
            }
        }
    }
}

fn figure(name: &'static str, value: String, note: impl Into<String>, role: Option<Role>) -> Figure {
    Figure { name, value, note: unbroken(&note.into()), role }
}

fn messages(totals: &Totals) -> [Figure; 5] {
    let Totals { messages, delivered, lost, dead_letters, healthy_dead_letters, left, .. } = *totals;
    let bad = |number: u64| (number > 0).then_some(Role::Failure);
    let sent = format!("of {} sent", count(messages));
    let dead = match dead_letters {
        0 => "in the dead-letter queue".to_owned(),
        _ => format!("{} good, all others poison", count(healthy_dead_letters)),
    };
    let duplicates = totals.duplicates.total();
    let causes = match duplicates {
        0 => "messages delivered again".to_owned(),
        _ => format!("messages delivered again: {}", totals.duplicates.in_words()),
    };
    [
        figure("Delivered", count(delivered), sent, Some(Role::Delivered)),
        figure("Lost", count(lost), "deleted, and not delivered", bad(lost)),
        figure("Dead letters", count(dead_letters), dead, bad(dead_letters)),
        figure("Still in the queue", count(left), "when the run ended", None),
        figure("Duplicates", count(duplicates), causes, None),
    ]
}

fn work(totals: &Totals) -> [Figure; 5] {
    let known = |age: Option<f64>| age.map_or_else(|| "none".to_owned(), time);
    let retries: u64 = totals.retries_by_end.values().copied().map(u64::from).sum();
    let at_once =
        format!("at most {} at once, in all environments together", count(totals.requests_at_once.into()));
    let mut invoked = format!(
        "in {}; {} received, {} of them returned",
        counted(totals.environments, "environment"),
        counted(totals.received, "message"),
        count(totals.reported)
    );
    if totals.sabotaged > 0 {
        invoked += &format!("; {} crashed or stalled on purpose", counted(totals.sabotaged, "invocation"));
    }
    let [median, most, nearly_all] = [totals.age_p50_ms, totals.age_p95_ms, totals.age_p99_ms].map(known);
    let percentiles = match totals.delivered {
        0 => "no message was delivered".to_owned(),
        _ => format!("median; 95th percentile {most}, 99th percentile {nearly_all}"),
    };
    let headroom = known(totals.worst_headroom_ms.map(f64::from));
    let too_late = (totals.worst_headroom_ms == Some(0)).then_some(Role::Failure);
    [
        figure("Requests", count(totals.requests), at_once, None),
        figure(
            "Retries",
            count(retries),
            "requests repeated within an invocation",
            (retries > 0).then_some(Role::Retries),
        ),
        figure("Invocations", count(totals.invocations), invoked, None),
        figure("Age at delivery", median, percentiles, None),
        figure("Worst headroom", headroom, "least time left before Lambda's timeout", too_late),
    ]
}
