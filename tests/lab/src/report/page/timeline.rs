//! The time axis that all charts share, with intervals merged until they can be seen.

use super::axis::Axis;
use crate::{
    report::units,
    run::{Point, Series},
};

/// More intervals than this cannot be told apart on a chart.
const MOST_SLICES: usize = 160;

/// The intervals of a run as they are drawn, and when there was an outage.
pub(super) struct Timeline<'a> {
    pub(super) slices: Vec<Slice<'a>>,
    /// Start and end in seconds, as exact as the intervals of the report.
    pub(super) outages: Vec<(f64, f64)>,
    pub(super) axis: Axis,
    interval: f64,
}

/// One interval of the report, or several that are drawn as one.
pub(super) struct Slice<'a> {
    pub(super) from: f64,
    pub(super) until: f64,
    points: &'a [Point],
}

impl<'a> Timeline<'a> {
    pub(super) fn of(series: &'a Series) -> Self {
        let points = &series.points[..];
        let merged = points.len().div_ceil(MOST_SLICES).max(1);
        let mut slices: Vec<Slice<'a>> = Vec::new();
        for points in points.chunks(merged) {
            let from = slices.last().map_or(0.0, |slice| slice.until);
            let until = points.last().map_or(from, |point| point.at_s);
            slices.push(Slice { from, until, points });
        }
        if let Some(last) = slices.last_mut() {
            // It may be so short that its values would not be visible.
            last.until = last.until.max(last.from + merged as f64 * series.interval_s);
        }
        let end = slices.last().map_or(1.0, |slice| slice.until);
        let interval = series.interval_s * merged as f64;
        Self { slices, outages: outages(points), axis: Axis::clock(end), interval }
    }

    /// How long an interval is, as the charts show it.
    pub(super) fn interval(&self) -> String {
        units::seconds(self.interval)
    }

    /// How the charts are to be read.
    pub(super) fn note(&self) -> String {
        let intervals = format!(
            "Horizontal axis of all charts: the time since the start of the run, in intervals of {}.",
            self.interval()
        );
        match self.outages.len() {
            0 => format!("{intervals} There was no outage of Perseus."),
            number => format!(
                "{intervals} Shaded: {} of Perseus; the configuration says of which kind. When an environment has noticed an \
                 outage, each of its invocations sends only a probe.",
                units::counted(number as u64, "outage")
            ),
        }
    }

    /// The ends of the slices in seconds, for the page's script.
    pub(super) fn ends(&self) -> String {
        let ends: Vec<String> = self.slices.iter().map(|slice| slice.until.to_string()).collect();
        ends.join(" ")
    }

    /// The slices in words, for the page's script.
    pub(super) fn times(&self) -> String {
        let time = |at: f64| if at == 0.0 { "0".to_owned() } else { units::seconds(at) };
        let times: Vec<String> = self
            .slices
            .iter()
            .map(|slice| format!("{} to {}", time(slice.from), time(slice.until)))
            .collect();
        times.join("|")
    }
}

impl Slice<'_> {
    /// The most of a figure.
    pub(super) fn most(&self, figure: impl Fn(&Point) -> Option<f64>) -> Option<f64> {
        self.points.iter().filter_map(figure).reduce(f64::max)
    }

    /// The least of a figure.
    pub(super) fn least(&self, figure: impl Fn(&Point) -> Option<f64>) -> Option<f64> {
        self.points.iter().filter_map(figure).reduce(f64::min)
    }

    /// The total of a figure per second.
    pub(super) fn count(&self, figure: impl Fn(&Point) -> f64) -> f64 {
        let begins = std::iter::once(self.from).chain(self.points.iter().map(|point| point.at_s));
        begins.zip(self.points).map(|(from, point)| (figure(point) * (point.at_s - from)).round()).sum()
    }

    /// A count, added up.
    pub(super) fn sum(&self, figure: impl Fn(&Point) -> u32) -> f64 {
        self.points.iter().map(|point| f64::from(figure(point))).sum()
    }
}

fn outages(points: &[Point]) -> Vec<(f64, f64)> {
    let mut outages: Vec<(f64, f64)> = Vec::new();
    let mut from = 0.0;
    for point in points {
        match outages.last_mut() {
            Some(last) if point.outage && last.1 == from => last.1 = point.at_s,
            _ if point.outage => outages.push((from, point.at_s)),
            _ => {}
        }
        from = point.at_s;
    }
    outages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(count: u32, outage: impl Fn(u32) -> bool) -> Series {
        let point = |number: u32| Point {
            at_s: f64::from(number + 1),
            queue_depth: if number == 777 { 5_000 } else { 1 },
            headroom_ms: number.is_multiple_of(2).then_some(number + 10),
            outage: outage(number),
            ..Point::default()
        };
        Series { interval_s: 1.0, points: (0..count).map(point).collect() }
    }

    #[test]
    fn a_long_run_is_thinned_and_keeps_its_extremes() {
        let series = series(86_400, |_| false);
        let timeline = Timeline::of(&series);
        assert!(timeline.slices.len() <= MOST_SLICES);
        let depth = |slice: &Slice<'_>| slice.most(|point| Some(point.queue_depth.into()));
        assert_eq!(timeline.slices.iter().filter_map(depth).reduce(f64::max), Some(5_000.0));
        assert_eq!(timeline.slices[0].least(|point| point.headroom_ms.map(f64::from)), Some(10.0));
        let total: f64 = timeline.slices.iter().map(|slice| slice.sum(|point| point.queue_depth)).sum();
        assert!((total - 91_399.0).abs() < 0.5, "what is counted is added up, {total}");
        assert!((timeline.slices.last().expect("a slice").until - 86_400.0).abs() < 0.5);
    }

    #[test]
    fn a_short_last_interval_counts_what_it_had() {
        let [first, last] = [(10.0, 4.0), (10.001, 2_000.0)].map(|(at_s, deliveries_per_s)| Point {
            at_s,
            deliveries_per_s,
            ..Point::default()
        });
        let series = Series { interval_s: 10.0, points: vec![first, last] };
        let slices = Timeline::of(&series).slices;
        let counts: Vec<f64> =
            slices.iter().map(|slice| slice.count(|point| point.deliveries_per_s)).collect();
        assert!((counts[0] - 40.0).abs() < 0.01 && (counts[1] - 2.0).abs() < 0.01, "{counts:?}");
    }

    #[test]
    fn a_short_last_interval_is_drawn_as_long_as_the_others() {
        let point = |at_s| Point { at_s, ..Point::default() };
        let series = Series { interval_s: 10.0, points: vec![point(10.0), point(10.001)] };
        let timeline = Timeline::of(&series);
        assert_eq!(
            (&timeline.ends()[..], timeline.times().replace('\u{a0}', " ")),
            ("10 20", "0 to 10 s|10 s to 20 s".to_owned())
        );
        let ended_at_once = Series { interval_s: 10.0, points: vec![point(0.0)] };
        assert_eq!(Timeline::of(&ended_at_once).ends(), "10");
    }

    #[test]
    fn an_outage_is_as_long_as_its_intervals() {
        let series = series(10, |number| [0, 4, 5, 9].contains(&number));
        assert_eq!(Timeline::of(&series).outages, [(0.0, 1.0), (4.0, 6.0), (9.0, 10.0)]);
    }

    #[test]
    fn a_run_without_intervals_has_a_timeline() {
        assert!(Timeline::of(&Series::default()).slices.is_empty());
    }
}
