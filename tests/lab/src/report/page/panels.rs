//! The charts of a report.

use std::collections::BTreeMap;

use super::{
    axis::Axis,
    chart::Chart,
    line::{Form, Line},
    palette::Role,
    timeline::{Slice, Timeline},
};
use crate::{
    report::{Totals, units},
    run::Point,
};

/// The roles of the ends with the most retries, and of all others together.
const KINDS: [Role; 4] = [Role::Retries, Role::Second, Role::Third, Role::Level];

/// All charts, in rows of three: of messages, of requests, of what should not be.
pub(super) fn all(timeline: &Timeline<'_>, totals: &Totals) -> Vec<Chart> {
    let slices = &timeline.slices[..];
    vec![
        queue_depth(slices),
        deliveries(timeline, totals),
        age(slices, totals),
        in_flight(slices, totals),
        requests(timeline, totals),
        retries(timeline, totals),
        headroom(slices, totals),
        repeats(timeline, totals),
        dead_letters(slices),
    ]
}

fn queue_depth(slices: &[Slice<'_>]) -> Chart {
    let waiting = level("waiting", slices, |point| point.queue_depth.into());
    let flying = level("in flight (hidden)", slices, |point| point.messages_in_flight.into());
    let flying = Line { role: Role::Delivered, form: Form::Outline, ..flying };
    let axis = Axis::counts(waiting.most().max(flying.most()));
    Chart {
        title: "Queue depth",
        unit: "messages at the end of an interval".to_owned(),
        axis,
        lines: vec![waiting, flying],
    }
}

/// Those that SQS has moved. Of those that the function sends itself nothing is known over time.
fn dead_letters(slices: &[Slice<'_>]) -> Chart {
    let dead = level("moved by SQS", slices, |point| point.dead_letters.into());
    let dead = Line { role: Role::Failure, ..dead };
    let axis = Axis::counts(dead.most());
    Chart {
        title: "Dead letters moved by SQS",
        unit: "messages at the end of an interval".to_owned(),
        axis,
        lines: vec![dead],
    }
}

fn deliveries(timeline: &Timeline<'_>, totals: &Totals) -> Chart {
    let counts = timeline.slices.iter().map(|slice| Some(slice.count(|point| point.deliveries_per_s)));
    let line = columns("delivered", Role::Delivered, counts.collect());
    let line = Line { figure: format!("{} in all", units::count(totals.delivered)), ..line };
    Chart {
        title: "Deliveries",
        unit: format!("messages per {}", timeline.interval()),
        axis: Axis::counts(line.most()),
        lines: vec![line],
    }
}

fn age(slices: &[Slice<'_>], totals: &Totals) -> Chart {
    let known = |age: Option<f64>| age.map_or_else(|| "none".to_owned(), units::time);
    let line = |name: &str, role, form, age: &dyn Fn(&Point) -> Option<f64>| Line {
        form,
        ..steps(name, role, most(slices, age))
    };
    let median = line("median", Role::Delivered, Form::Bars, &|point| point.age_p50_ms);
    let nearly_all = line("95th percentile", Role::Second, Form::Marks, &|point| point.age_p95_ms);
    let oldest = line("oldest", Role::Level, Form::Reach, &|point| point.age_max_ms);
    let least = slices.iter().filter_map(|slice| slice.least(|point| point.age_p50_ms)).reduce(f64::min);
    let most = oldest.values.iter().flatten().copied().reduce(f64::max);
    Chart {
        title: "Age at delivery",
        unit: "time since a message was sent, logarithmic".to_owned(),
        axis: Axis::magnitudes(least.unwrap_or(1.0), most.unwrap_or(1.0)),
        lines: vec![
            Line { figure: known(totals.age_p50_ms), ..median },
            Line { figure: known(totals.age_p95_ms), ..nearly_all },
            Line { figure: known(most), ..oldest },
        ],
    }
}

fn repeats(timeline: &Timeline<'_>, totals: &Totals) -> Chart {
    let counts = timeline.slices.iter().map(|slice| Some(slice.count(|point| point.duplicates_per_s)));
    let line = columns("delivered again", Role::Level, counts.collect());
    let all = totals.duplicates.total();
    Chart {
        title: "Duplicates",
        unit: format!("messages per {}", timeline.interval()),
        axis: Axis::counts(line.most()),
        lines: vec![Line { figure: format!("{} in all", units::count(all)), ..line }],
    }
}

fn in_flight(slices: &[Slice<'_>], totals: &Totals) -> Chart {
    let line =
        columns("at Perseus", Role::Level, most(slices, |point| Some(point.requests_in_flight.into())));
    let line = Line { figure: format!("at most {}", units::count(totals.requests_at_once.into())), ..line };
    Chart {
        title: "Requests in flight",
        unit: "most at once in an interval, all environments".to_owned(),
        axis: Axis::counts(line.most()),
        lines: vec![line],
    }
}

fn requests(timeline: &Timeline<'_>, totals: &Totals) -> Chart {
    let ends: Vec<(&str, u32)> =
        totals.requests_by_end.iter().map(|(end, count)| (&end[..], *count)).collect();
    let is_good = |end: &str| end.parse().is_ok_and(|status: u16| (200..300).contains(&status));
    let (good, bad): (Vec<_>, Vec<_>) = ends.into_iter().partition(|(end, _)| is_good(end));
    let line = |name: &str, role: Role, ends: &[(&str, u32)]| Line {
        role,
        ..ended(name, ends, timeline, |point| &point.requests)
    };
    Chart {
        title: "Requests",
        unit: format!("per {}, by how they ended", timeline.interval()),
        axis: Axis::counts(highest(timeline, |point| &point.requests)),
        lines: vec![line("clear 2xx", Role::Delivered, &good), line("all others", Role::Failure, &bad)],
    }
}

fn retries(timeline: &Timeline<'_>, totals: &Totals) -> Chart {
    let mut ends: Vec<(&str, u32)> =
        totals.retries_by_end.iter().map(|(end, count)| (&end[..], *count)).collect();
    // The sort is stable: equal counts stay in the order of their names.
    ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (named, others) = ends.split_at(ends.len().min(KINDS.len() - 1));
    let line = |name: &str, ends: &[(&str, u32)]| ended(name, ends, timeline, |point| &point.retries);
    let mut lines: Vec<Line> = named.iter().map(|end| line(end.0, &[*end])).collect();
    if !others.is_empty() {
        lines.push(line(&format!("{} others", others.len()), others));
    }
    for (line, role) in lines.iter_mut().zip(KINDS) {
        line.role = role;
    }
    Chart {
        title: "Retries",
        unit: format!("per {}, by how the previous attempt ended", timeline.interval()),
        axis: Axis::counts(highest(timeline, |point| &point.retries)),
        lines,
    }
}

/// Requests or retries that ended in one of these ways.
fn ended(
    name: &str,
    ends: &[(&str, u32)],
    timeline: &Timeline<'_>,
    counts: impl Fn(&Point) -> &BTreeMap<String, u32>,
) -> Line {
    let count = |counts: &BTreeMap<String, u32>| ends.iter().filter_map(|(end, _)| counts.get(*end)).sum();
    let values = timeline.slices.iter().map(|slice| Some(slice.sum(|point| count(counts(point))))).collect();
    let total = ends.iter().map(|(_, count)| u64::from(*count)).sum();
    Line { figure: units::count(total), ..columns(name, Role::Retries, values) }
}

/// The largest sum in an interval.
fn highest(timeline: &Timeline<'_>, counts: impl Fn(&Point) -> &BTreeMap<String, u32>) -> f64 {
    timeline.slices.iter().map(|slice| slice.sum(|point| counts(point).values().sum())).fold(0.0, f64::max)
}

fn headroom(slices: &[Slice<'_>], totals: &Totals) -> Chart {
    let values = slices.iter().map(|slice| slice.least(|point| point.headroom_ms.map(f64::from))).collect();
    let line = steps("headroom", Role::Level, values);
    let worst = totals.worst_headroom_ms.map_or_else(|| "none".to_owned(), |worst| units::time(worst.into()));
    let worst = format!("worst {worst} (dot)");
    Chart {
        title: "Headroom",
        unit: "least time left before Lambda's timeout".to_owned(),
        axis: Axis::times(line.most()),
        lines: vec![Line { figure: worst, ..line }],
    }
}

/// How much there is of something at the end of each interval.
fn level(name: &str, slices: &[Slice<'_>], figure: impl Fn(&Point) -> f64) -> Line {
    let line = steps(name, Role::Level, most(slices, |point| Some(figure(point))));
    Line { figure: format!("at most {}", units::number(line.most())), form: Form::Level, ..line }
}

fn steps(name: &str, role: Role, values: Vec<Option<f64>>) -> Line {
    let (name, figure) = (name.to_owned(), String::new());
    Line { name, figure, role, form: Form::Steps, values }
}

fn columns(name: &str, role: Role, values: Vec<Option<f64>>) -> Line {
    Line { form: Form::Columns, ..steps(name, role, values) }
}

fn most(slices: &[Slice<'_>], figure: impl Fn(&Point) -> Option<f64>) -> Vec<Option<f64>> {
    slices.iter().map(|slice| slice.most(&figure)).collect()
}
