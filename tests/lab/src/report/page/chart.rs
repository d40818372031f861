//! A chart with its heading and its legend.

use maud::{Markup, PreEscaped, html};
use plotters::coord::ranged1d::ValueFormatter;

use super::{axis::Axis, line::Line, plot, timeline::Timeline};

/// A chart of one or more lines.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What its vertical axis counts.
    pub(super) unit: String,
    pub(super) axis: Axis,
    pub(super) lines: Vec<Line>,
}

/// What separates the values of a line for the page's script.
const SEPARATOR: &str = "|";

impl Chart {
    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(Line::is_empty)
    }

    /// Renders it. The number makes its element ids unique on the page.
    pub(super) fn figure(&self, timeline: &Timeline<'_>, number: usize) -> Markup {
        let (width, height) = plot::SIZE;
        let about = format!("about-{number}");
        html! {
            figure {
                figcaption {
                    h3 { (self.title) }
                    p.unit { (self.unit) }
                    (self.legend())
                }
                div.plot {
                    svg viewBox={ "0 0 " (width) " " (height) } role="img" tabindex="0"
                        data-left=(plot::LEFT) data-right=(width - plot::RIGHT)
                        // Not by a `title` element: browsers would show it over the values.
                        aria-label={ (self.title) ", " (self.unit) } aria-describedby=(about) {
                        desc id=(about) { (self.about()) }
                        // Plotters' own, nested: it escapes what it writes.
                        (PreEscaped(plot::draw(self, timeline)))
                        rect.cursor width="0" y=(plot::TOP) height=(height - plot::TOP - plot::BOTTOM) {}
                    }
                    div.readout hidden {}
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for line in &self.lines {
                    li data-name=(line.name) data-values=(self.values(line)) {
                        span.key.(line.form.key()).(line.role.name()) {}
                        (line.name) " " b { (line.figure) }
                    }
                }
            }
        }
    }

    /// The values of a line in words, slice by slice.
    fn values(&self, line: &Line) -> String {
        let value =
            |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), |value| self.axis.format_ext(&value));
        line.values.iter().map(value).collect::<Vec<_>>().join(SEPARATOR)
    }

    fn about(&self) -> String {
        let lines: Vec<String> =
            self.lines.iter().map(|line| format!("{}: {}", line.name, line.figure)).collect();
        format!("{}.", lines.join("; "))
    }
}
