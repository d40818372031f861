//! The figures of the whole run, side by side.

use maud::{Markup, html};

use super::palette::Role;
use crate::{
    report::{
        Totals,
        units::{count, counted, time},
    },
    run::invariants::Causes,
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
    Figure { name, value, note: note.into(), role }
}

fn messages(totals: &Totals) -> [Figure; 5] {
    let Totals { messages, delivered, lost, dead_letters, healthy_dead_letters, left, .. } = *totals;
    let Causes { redelivered, reply_lost, cut_off, trial, other } = totals.duplicates;
    let bad = |number: u64| (number > 0).then_some(Role::Failure);
    let sent = format!("of {} sent", count(messages));
    let healthy = format!("{} of them good messages", count(healthy_dead_letters));
    let causes = format!(
        "messages delivered again: {} replies lost, {} cut off, {} redelivered, {} on trial, {} for other reasons",
        count(reply_lost),
        count(cut_off),
        count(redelivered),
        count(trial),
        count(other)
    );
    [
        figure("Delivered", count(delivered), sent, Some(Role::Delivered)),
        figure("Lost", count(lost), "deleted from the queue and not delivered", bad(lost)),
        figure("Dead letters", count(dead_letters), healthy, bad(dead_letters)),
        figure("Still in the queue", count(left), "when the run ended", None),
        figure("Duplicates", count(redelivered + reply_lost + cut_off + trial + other), causes, None),
    ]
}

fn work(totals: &Totals) -> [Figure; 5] {
    let known = |age: Option<f64>| age.map_or_else(|| "none".to_owned(), time);
    let retries: u64 = totals.retries_by_end.values().copied().map(u64::from).sum();
    let at_once = format!("to Perseus, at most {} at once", count(totals.requests_at_once.into()));
    let invoked = format!(
        "of the function, in {}, {} of them ended on purpose; they received {} messages and returned {}",
        counted(totals.environments, "environment"),
        count(totals.sabotaged),
        count(totals.received),
        count(totals.reported)
    );
    let [half, most, nearly_all] = [totals.age_p50_ms, totals.age_p95_ms, totals.age_p99_ms].map(known);
    let younger = match totals.delivered {
        0 => "no message was delivered".to_owned(),
        _ => format!(
            "half of the messages were younger, 95\u{a0}% younger than {most}, 99\u{a0}% than {nearly_all}"
        ),
    };
    let headroom = known(totals.worst_headroom_ms.map(f64::from));
    let too_late = (totals.worst_headroom_ms == Some(0)).then_some(Role::Failure);
    [
        figure("Requests", count(totals.requests), at_once, None),
        figure(
            "Retries",
            count(retries),
            "requests that repeat an earlier one",
            (retries > 0).then_some(Role::Retries),
        ),
        figure("Invocations", count(totals.invocations), invoked, None),
        figure("Age at delivery", half, younger, None),
        figure("Worst headroom", headroom, "least time left between an answer and its deadline", too_late),
    ]
}
