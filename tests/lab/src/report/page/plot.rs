//! Draws a chart with plotters.

use plotters::prelude::SVGBackend;
use plotters::{
    chart::{ChartBuilder, ChartContext, LabelAreaPosition},
    coord::{Shift, cartesian::Cartesian2d},
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::{Circle, PathElement, Polygon, Rectangle},
    style::{Color, IntoFont, TRANSPARENT, TextStyle},
};

use super::{
    axis::Axis,
    chart::Chart,
    line::{self, Form, Line},
    palette::Role,
    timeline::Timeline,
};

/// Plotters draws on whole units. Ten units are a pixel, so that lines are smooth.
pub(super) const SIZE: (u32, u32) = (4_200, 1_900);

pub(super) const TOP: u32 = 120;
/// Wide enough for `100,000` and `10 min`.
pub(super) const LEFT: u32 = 620;
pub(super) const BOTTOM: u32 = 260;
pub(super) const RIGHT: u32 = 240;
/// The size of the letters; the style sheet has another for wide charts.
const LETTERS: f64 = 130.0 * 1.24;
const STROKE: u32 = 18;
const BAR: u32 = 36;
const HAIRLINE: u32 = 9;
/// The radius of the dot at the least value.
const DOT: u32 = 50;
/// The opacity of areas, so that the grid stays visible.
const WASH: f64 = 0.14;
/// The opacity of columns behind other lines.
const REACH: f64 = 0.28;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as plotters::backend::DrawingBackend>::ErrorType>;

/// Draws a chart, as an SVG element.
pub(super) fn draw(chart: &Chart, timeline: &Timeline<'_>) -> String {
    let mut svg = String::new();
    draw_on(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), chart, timeline)
        .expect("writing to a string cannot fail");
    svg
}

fn draw_on<'a>(area: &Area<'a>, chart: &Chart, timeline: &Timeline<'_>) -> Result<(), Failure<'a>> {
    let mut context = ChartBuilder::on(area)
        .margin_top(TOP)
        .margin_right(RIGHT)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, BOTTOM)
        .build_cartesian_2d(timeline.axis.clone(), chart.axis.clone())?;
    let band = |(from, until): &(f64, f64)| {
        Rectangle::new(
            [(*from, chart.axis.start()), (*until, chart.axis.end())],
            Role::Failure.colour().mix(WASH).filled(),
        )
    };
    context.draw_series(timeline.outages.iter().map(band))?;
    mesh(&mut context)?;
    columns(&mut context, chart, timeline)?;
    reaches(&mut context, chart, timeline)?;
    // The first line is drawn last, on top.
    for line in chart.lines.iter().rev() {
        draw_line(&mut context, line, timeline)?;
    }
    area.present()
}

fn mesh<'a>(context: &mut Context<'_, 'a>) -> Result<(), Failure<'a>> {
    let rule = Role::Grid.colour().stroke_width(HAIRLINE);
    context
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(rule)
        .light_line_style(TRANSPARENT)
        .axis_style(rule)
        .label_style(letters(Role::Muted))
        .set_tick_mark_size(LabelAreaPosition::Left, 60)
        .set_tick_mark_size(LabelAreaPosition::Bottom, 60)
        .draw()
}

/// Draws what is in columns, from the bottom up.
fn columns<'a>(
    context: &mut Context<'_, 'a>,
    chart: &Chart,
    timeline: &Timeline<'_>,
) -> Result<(), Failure<'a>> {
    let mut below = vec![0.0; timeline.slices.len()];
    for line in chart.lines.iter().filter(|line| line.form == Form::Columns) {
        let style = line.role.colour().filled();
        let above = below.iter().zip(&line.values).map(|(below, value)| below + value.unwrap_or_default());
        let above: Vec<f64> = above.collect();
        let outlines = line::columns(&timeline.slices, &below, &above);
        context.draw_series(outlines.into_iter().map(|outline| Polygon::new(outline, style)))?;
        below = above;
    }
    Ok(())
}

/// Draws the columns that begin at the values of the first line. The edge is drawn with the lines.
fn reaches<'a>(
    context: &mut Context<'_, 'a>,
    chart: &Chart,
    timeline: &Timeline<'_>,
) -> Result<(), Failure<'a>> {
    let values = |line: &Line| line.values.iter().map(|value| value.unwrap_or_default()).collect::<Vec<_>>();
    for line in chart.lines.iter().filter(|line| line.form == Form::Reach) {
        let outlines = line::columns(&timeline.slices, &values(&chart.lines[0]), &values(line));
        let style = line.role.colour().mix(REACH).filled();
        context.draw_series(outlines.into_iter().map(|outline| Polygon::new(outline, style)))?;
    }
    Ok(())
}

fn draw_line<'a>(
    context: &mut Context<'_, 'a>,
    line: &Line,
    timeline: &Timeline<'_>,
) -> Result<(), Failure<'a>> {
    let colour = line.role.colour();
    for part in line.parts(&timeline.slices) {
        if line.form == Form::Level {
            let (first, last) = (part[0].0, part[part.len() - 1].0);
            let area = part.iter().copied().chain([(last, 0.0), (first, 0.0)]).collect::<Vec<_>>();
            context.draw_series(std::iter::once(Polygon::new(area, colour.mix(WASH).filled())))?;
        }
        let width = match line.form {
            Form::Reach => HAIRLINE,
            Form::Bars => BAR,
            _ => STROKE,
        };
        let style = colour.stroke_width(width);
        context.draw_series(std::iter::once(PathElement::new(part, style)))?;
    }
    let least = line.least(&timeline.slices).filter(|_| line.form == Form::Steps);
    context.draw_series(least.map(|least| Circle::new(least, DOT, colour.filled())))?;
    Ok(())
}

fn letters(role: Role) -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&role.colour())
}
