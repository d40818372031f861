//! A report as an HTML page: one file without network access, scripts or fonts.

mod axis;
mod chart;
mod figures;
mod line;
mod palette;
mod panels;
mod plot;
mod tables;
mod timeline;
mod verdict;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::{timeline::Timeline, verdict::Verdict};
use crate::report::{Mode, Report};

const STYLE: &str = include_str!("style.css");

/// Even if escaping failed, nothing could run or load.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Renders a report as HTML. The same report gives the same bytes.
pub fn render(report: &Report) -> String {
    let verdict = Verdict::of(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (report.scenario) ", seed " (report.seed) ": " (verdict.headline) }
                style { (PreEscaped(palette::style())) (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(report, &verdict))
                    (figures::grid(&report.totals))
                    (charts(report))
                    div.results {
                        (tables::invariants(&report.invariants))
                        (tables::outcomes(&report.totals))
                    }
                    (tables::configuration(&report.configuration))
                }
            }
        }
    };
    page.into_string()
}

fn header(report: &Report, verdict: &Verdict) -> Markup {
    let mode = match report.mode {
        Mode::Simulated => "simulated, on a paused clock",
        Mode::Real => "real, on the wall clock",
    };
    html! {
        header {
            p.run { b { (report.scenario) } ": " (report.about) }
            h1 class=(verdict.role.name()) { (verdict.headline) }
            p.lede { (verdict.account) }
            @for broken in report.invariants.iter().filter(|invariant| !invariant.holds) {
                div.broken {
                    p { b { (broken.name) } " is broken: " (broken.promise) }
                    (tables::breaches(broken))
                }
            }
            dl.again {
                div { dt { "Run" } dd { (mode) } }
                div { dt { "Seed" } dd { (report.seed) } }
                div { dt { "To see it again" } dd { code { (report.replay) } } }
            }
        }
    }
}

fn charts(report: &Report) -> Markup {
    let timeline = Timeline::of(&report.series);
    html! {
        section {
            h2 { "Over time" }
            p.note { (timeline.note()) }
            div.charts {
                @for (number, chart) in panels::all(&timeline, &report.totals).iter().enumerate() {
                    (chart.figure(&timeline, number))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
