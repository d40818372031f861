//! Axes with round marks: 1, 2, 5 times a power of ten, and the usual parts of an hour.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::report::units;

/// An axis and its marks.
#[derive(Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    marks: Vec<f64>,
    label: fn(f64) -> String,
    is_logarithmic: bool,
}

/// The most marks beside the first, vertically and on the clock.
const MARKS: f64 = 4.0;
const CLOCK_MARKS: f64 = 6.0;

/// Steps of time from a second up, in milliseconds.
const STEPS: [f64; 18] = [
    1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1_800e3, 3_600e3, 7_200e3, 10_800e3,
    21_600e3, 43_200e3, 86_400e3,
];

/// The marks of a logarithmic axis of times, in milliseconds.
const DECADES: [f64; 10] = [1.0, 10.0, 100.0, 1e3, 10e3, 60e3, 600e3, 3_600e3, 36_000e3, 360_000e3];

/// Finer marks, where these would be too few.
const PARTS: [f64; 24] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 30e3, 60e3, 120e3, 300e3,
    600e3, 1_800e3, 3_600e3, 10_800e3, 36_000e3, 108_000e3, 360_000e3,
];

impl Axis {
    /// Of the run's clock, in seconds.
    pub(super) fn clock(end: f64) -> Self {
        let step = time_step(end * 1e3 / CLOCK_MARKS) / 1e3;
        let label = match step {
            _ if step < 60.0 => |at: f64| format!("{at}\u{a0}s"),
            _ if step < 3_600.0 => |at: f64| format!("{}\u{a0}min", at / 60.0),
            _ => |at: f64| format!("{}\u{a0}h", at / 3_600.0),
        };
        Self { range: 0.0..end, marks: marks(step, end), label, is_logarithmic: false }
    }

    /// Of whole things.
    pub(super) fn counts(most: f64) -> Self {
        Self::up_to(most, round_step(most / MARKS).max(1.0), units::number)
    }

    /// Of times in milliseconds.
    pub(super) fn times(most: f64) -> Self {
        Self::up_to(most, time_step(most / MARKS), units::time)
    }

    /// Of times in milliseconds that differ by orders of magnitude.
    pub(super) fn magnitudes(least: f64, most: f64) -> Self {
        let marks = match around(&DECADES, least, most) {
            few if few.len() < 3 => around(&PARTS, least, most),
            enough => enough,
        };
        let range = marks[0]..marks[marks.len() - 1];
        Self { range, marks: marks.to_vec(), label: units::time, is_logarithmic: true }
    }

    fn up_to(most: f64, step: f64, label: fn(f64) -> String) -> Self {
        let end = (most / step).ceil().max(1.0) * step;
        Self { range: 0.0..end, marks: marks(step, end), label, is_logarithmic: false }
    }

    pub(super) fn start(&self) -> f64 {
        self.range.start
    }

    pub(super) fn end(&self) -> f64 {
        self.range.end
    }

    fn share(&self, value: f64) -> f64 {
        let Range { start, end } = self.range;
        match self.is_logarithmic {
            true => (value.max(start) / start).ln() / (end / start).ln(),
            false => (value - start) / (end - start),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (self.share(*value) * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        // Zero needs no unit.
        if *value == 0.0 { "0".to_owned() } else { (self.label)(*value) }
    }
}

fn marks(step: f64, end: f64) -> Vec<f64> {
    // Keeps a mark at the very end in spite of rounding.
    (0..=(end / step + 1e-9) as u32).map(|number| f64::from(number) * step).collect()
}

/// The marks that enclose both values, at least two.
fn around(marks: &[f64], least: f64, most: f64) -> &[f64] {
    let below = marks.iter().rposition(|mark| *mark <= least).unwrap_or(0).min(marks.len() - 2);
    let above = marks.iter().position(|mark| *mark >= most).unwrap_or(marks.len() - 1);
    &marks[below..=above.max(below + 1)]
}

/// 1, 2 or 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|step| step * power).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

fn time_step(rough: f64) -> f64 {
    match STEPS.iter().find(|step| **step >= rough) {
        // Below a second times are decimal.
        Some(_) if rough <= 500.0 => round_step(rough),
        Some(step) => *step,
        None => (rough / 86_400e3).ceil() * 86_400e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.marks.iter().map(|mark| axis.format_ext(mark).replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn a_clock_counts_in_one_human_unit() {
        assert_eq!(labels(&Axis::clock(45.0)), ["0", "10 s", "20 s", "30 s", "40 s"]);
        assert_eq!(labels(&Axis::clock(633.0)), ["0", "2 min", "4 min", "6 min", "8 min", "10 min"]);
        assert_eq!(labels(&Axis::clock(86_700.0)), ["0", "6 h", "12 h", "18 h", "24 h"]);
    }

    #[test]
    fn an_axis_of_counts_has_whole_marks() {
        assert_eq!(labels(&Axis::counts(0.0)), ["0", "1"]);
        assert_eq!(labels(&Axis::counts(3.0)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Axis::counts(1_204.0)), ["0", "500", "1,000", "1,500"]);
    }

    #[test]
    fn ages_of_any_size_are_on_their_axis() {
        assert_eq!(labels(&Axis::magnitudes(12.0, 92_682.0))[..2], ["10 ms", "100 ms"]);
        assert_eq!(labels(&Axis::magnitudes(2_100.0, 5_800.0)), ["2 s", "5 s", "10 s"]);
        for (least, most) in [(0.0, 0.0), (0.2, 0.3), (5e3, 5e3), (1e12, 1e13)] {
            let axis = Axis::magnitudes(least, most);
            assert!(axis.marks.len() >= 2 && axis.map(&most, (0, 100)) >= 0);
        }
    }
}
