//! The lines and columns of a chart.

use super::{palette::Role, timeline::Slice};

/// One figure over time.
pub(super) struct Line {
    pub(super) name: String,
    /// Its figure for the whole run, in words.
    pub(super) figure: String,
    pub(super) role: Role,
    pub(super) form: Form,
    /// One for each slice of the timeline.
    pub(super) values: Vec<Option<f64>>,
}

/// The shortest mark, as a share of the axis.
const LEAST_MARK: f64 = 0.014;

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A line through the ends of intervals, with the area below it.
    Level,
    /// The same without the area.
    Outline,
    /// Flat through each interval: a value of the whole interval. The least one has a dot.
    Steps,
    /// A thick dash for each interval: values that jump too much to be joined.
    Bars,
    /// A thin dash for each interval.
    Marks,
    /// Columns that begin at the values of the first line.
    Reach,
    /// Columns, stacked on those of the lines before.
    Columns,
}

impl Form {
    /// The class of its key in a legend.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Level | Self::Outline | Self::Steps => "stroke",
            Self::Bars => "bar",
            Self::Marks => "mark",
            Self::Reach => "reach",
            Self::Columns => "area",
        }
    }
}

/// The corners of something drawn, in the units of the axes.
pub(super) type Corners = Vec<(f64, f64)>;

impl Line {
    /// The most of its values.
    pub(super) fn most(&self) -> f64 {
        self.values.iter().flatten().copied().fold(0.0, f64::max)
    }

    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().flatten().all(|value| *value == 0.0)
    }

    /// Its connected parts. Columns have none; those that reach have their upper edges.
    pub(super) fn parts(&self, slices: &[Slice<'_>]) -> Vec<Corners> {
        match self.form {
            Form::Level | Form::Outline => vec![self.outline(slices)],
            Form::Steps | Form::Reach => self.flats(slices).into_iter().map(|flats| flats.concat()).collect(),
            Form::Bars | Form::Marks => self.marks(slices),
            Form::Columns => Vec::new(),
        }
    }

    /// Depths are known at the ends of intervals. Before the first interval they are 0.
    fn outline(&self, slices: &[Slice<'_>]) -> Corners {
        let ends = slices.iter().zip(&self.values);
        let ends = ends.filter_map(|(slice, value)| value.map(|value| (slice.until, value)));
        std::iter::once((0.0, 0.0)).chain(ends).collect()
    }

    /// Intervals with a value, each at least as long as can be seen.
    fn marks(&self, slices: &[Slice<'_>]) -> Vec<Corners> {
        let least = LEAST_MARK * slices.last().map_or(0.0, |slice| slice.until);
        let mark = |[(from, value), (until, _)]: [(f64, f64); 2]| {
            let missing = (least - (until - from)).max(0.0) / 2.0;
            vec![(from - missing, value), (until + missing, value)]
        };
        self.flats(slices).concat().into_iter().map(mark).collect()
    }

    /// The middle of the interval with the least value, and that.
    pub(super) fn least(&self, slices: &[Slice<'_>]) -> Option<(f64, f64)> {
        let values = slices.iter().zip(&self.values);
        let values = values.filter_map(|(slice, value)| Some(((slice.from + slice.until) / 2.0, (*value)?)));
        values.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// Intervals with a value, grouped between those without.
    fn flats(&self, slices: &[Slice<'_>]) -> Vec<Vec<[(f64, f64); 2]>> {
        let flats: Vec<Option<[(f64, f64); 2]>> = slices
            .iter()
            .zip(&self.values)
            .map(|(slice, value)| value.map(|value| [(slice.from, value), (slice.until, value)]))
            .collect();
        let groups = flats.split(Option::is_none).filter(|group| !group.is_empty());
        groups.map(|group| group.iter().flatten().copied().collect()).collect()
    }
}

/// The outlines of columns from the lower to the upper values. Neighbours are joined, so that no seam is visible.
pub(super) fn columns(slices: &[Slice<'_>], below: &[f64], above: &[f64]) -> Vec<Corners> {
    let columns: Vec<(&Slice<'_>, f64, f64)> =
        slices.iter().zip(below).zip(above).map(|((slice, below), above)| (slice, *below, *above)).collect();
    let groups = columns.split(|(_, below, above)| above <= below).filter(|group| !group.is_empty());
    let outline = |group: &[(&Slice<'_>, f64, f64)]| {
        let there = group.iter().flat_map(|(slice, _, above)| [(slice.from, *above), (slice.until, *above)]);
        let back =
            group.iter().rev().flat_map(|(slice, below, _)| [(slice.until, *below), (slice.from, *below)]);
        there.chain(back).collect()
    };
    groups.map(outline).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::page::timeline::Timeline,
        run::{Point, Series},
    };

    fn series(intervals: u32) -> Series {
        let point = |number| Point { at_s: f64::from(number), ..Point::default() };
        Series { interval_s: 1.0, points: (1..=intervals).map(point).collect() }
    }

    fn line(form: Form, values: &[Option<f64>]) -> Line {
        let (name, figure) = (String::new(), String::new());
        Line { name, figure, role: Role::Level, form, values: values.to_vec() }
    }

    #[test]
    fn an_interval_without_a_value_interrupts_a_line() {
        let series = series(4);
        let slices = Timeline::of(&series).slices;
        let values = [Some(5.0), Some(6.0), None, Some(7.0)];
        let (two, one) = ([(0.0, 5.0), (1.0, 5.0), (1.0, 6.0), (2.0, 6.0)], [(3.0, 7.0), (4.0, 7.0)]);
        assert_eq!(line(Form::Steps, &values).parts(&slices), [two.to_vec(), one.to_vec()]);
        assert_eq!(line(Form::Steps, &values).least(&slices), Some((0.5, 5.0)));
        let marks = line(Form::Marks, &values).parts(&slices);
        assert_eq!(marks, [two[..2].to_vec(), two[2..].to_vec(), one.to_vec()]);
    }

    #[test]
    fn a_mark_is_long_enough_to_be_seen() {
        let series = series(1_000);
        let mut values = vec![None; 150];
        values[100] = Some(5.0);
        let marks = line(Form::Marks, &values).parts(&Timeline::of(&series).slices);
        let [(from, _), (until, _)] = marks[0][..] else { panic!("{marks:?}") };
        assert!((until - from - 14.0).abs() < 0.1, "{from} to {until}");
    }

    #[test]
    fn columns_stand_on_those_before() {
        let series = series(3);
        let outlines = columns(&Timeline::of(&series).slices, &[1.0, 1.0, 1.0], &[3.0, 1.0, 2.0]);
        assert_eq!(outlines[0], [(0.0, 3.0), (1.0, 3.0), (1.0, 1.0), (0.0, 1.0)]);
        assert_eq!(outlines.len(), 2, "where there is none, there is none");
    }
}
