//! A chart with its heading and its legend.

use maud::{Markup, PreEscaped, html};

use super::{
    axis::Axis,
    line::{Form, Line},
    plot,
    timeline::Timeline,
};

/// A chart of one or more lines.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What its vertical axis counts.
    pub(super) unit: String,
    pub(super) axis: Axis,
    pub(super) lines: Vec<Line>,
}

impl Chart {
    /// Whether there is nothing to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(Line::is_empty)
    }

    /// Renders it. The number makes its element ids unique on the page.
    pub(super) fn figure(&self, timeline: &Timeline<'_>, number: usize) -> Markup {
        let (width, height) = plot::SIZE;
        let (title, about) = (format!("chart-{number}"), format!("about-{number}"));
        html! {
            figure {
                figcaption {
                    h3 { (self.title) }
                    p.unit { (self.unit) }
                    (self.legend())
                }
                div.plot {
                    svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-labelledby=(title) aria-describedby=(about) {
                        title id=(title) { (self.title) ", " (self.unit) }
                        desc id=(about) { (self.about()) }
                        // Plotters' own, nested: it escapes what it writes.
                        (PreEscaped(plot::draw(self, timeline)))
                    }
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for line in &self.lines {
                    li {
                        span.key.area[line.form == Form::Columns].(line.role.name()) style={ "opacity:" (line.opacity) } {}
                        (line.name) " " b { (line.figure) }
                    }
                }
            }
        }
    }

    fn about(&self) -> String {
        let lines: Vec<String> =
            self.lines.iter().map(|line| format!("{}: {}", line.name, line.figure)).collect();
        match lines.is_empty() {
            true => "There were none.".to_owned(),
            false => format!("{}.", lines.join("; ")),
        }
    }
}
