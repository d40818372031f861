//! A report as an HTML page: one file that loads nothing.

mod axis;
mod chart;
mod figures;
mod glossary;
mod line;
mod palette;
mod panels;
mod plot;
mod tables;
mod timeline;
mod verdict;

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use self::{chart::Chart, timeline::Timeline, verdict::Verdict};
use crate::{
    report::{Mode, Report},
    run::invariants::Status,
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

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
                meta http-equiv="Content-Security-Policy" content=(policy());
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
                    (glossary::words())
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Even if escaping failed, nothing but the page's own script could run, and nothing could load.
fn policy() -> String {
    let script = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'")
}

fn header(report: &Report, verdict: &Verdict) -> Markup {
    let mode = match report.mode {
        Mode::Simulated => "simulated, without AWS, on a clock that skips the waiting",
        Mode::Real => "real processes, in real time",
    };
    html! {
        header {
            p.run {
                "A test run of perseus-forwarder, an AWS Lambda function that posts the messages of an SQS queue to an \
                 HTTP server, Perseus"
            }
            p.run {
                "Scenario " b { (report.scenario) } ": " (report.about) ". " a href="#words" { "What the words mean" }
            }
            h1 class=(verdict.role.name()) { (verdict.headline) }
            p.lede { (verdict.account) }
            @for broken in report.invariants.iter().filter(|invariant| invariant.status == Status::Broken) {
                div.broken {
                    p { b { (broken.name) } " is broken: " (broken.promise) }
                    (tables::breaches(broken))
                }
            }
            dl.again {
                div { dt { "Run" } dd { (mode) } }
                div { dt { "Seed" } dd { (report.seed) } }
                div { dt { "To repeat it" } dd { code { (report.replay) } } }
            }
        }
    }
}

fn charts(report: &Report) -> Markup {
    if report.totals.messages == 0 {
        return html! {};
    }
    let timeline = Timeline::of(&report.series);
    let (empty, charts): (Vec<Chart>, Vec<Chart>) =
        panels::all(&timeline, &report.totals).into_iter().partition(Chart::is_empty);
    let empty: Vec<&str> = empty.iter().map(|chart| chart.title).collect();
    html! {
        section {
            h2 { "Over time" }
            p.note {
                (timeline.note())
                span data-needs-script hidden { " Point at a chart, or tap it, to read its values." }
            }
            div.charts data-ends=(timeline.ends()) data-times=(timeline.times()) {
                @for (number, chart) in charts.iter().enumerate() { (chart.figure(&timeline, number)) }
            }
            @if !empty.is_empty() { p.none { "Nothing to show, so no chart: " (empty.join(", ")) } }
        }
    }
}

#[cfg(test)]
mod tests;
