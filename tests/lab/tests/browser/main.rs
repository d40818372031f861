//! The pages of reports in a real browser. Without Chromium these tests are skipped, and say so.

mod chromium;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use lab::{
    report::{Report, page},
    run::invariants::Status,
    scenario::{Options, Scenario},
    simulation::simulate,
};
use serde_json::Value;

use self::chromium::Chromium;

/// A phone, a laptop, a large screen.
const WIDTHS: [u32; 3] = [400, 1280, 1920];
const SCHEMES: [&str; 2] = ["light", "dark"];
const HEIGHT: u32 = 1000;

const CHECKS: &str = include_str!("checks.js");

/// The browser, or a line that says why there is none.
fn browser(test: &str) -> Option<Chromium> {
    let Some(program) = chromium::installed() else {
        // Not by `println!`: the output of a test that passes is not shown.
        _ = writeln!(io::stderr(), "{test}: skipped, Chromium is not installed (apt-get install chromium)");
        return None;
    };
    Some(Chromium::start(&program, test))
}

fn report(scenario: Scenario, messages: u32) -> Report {
    let options = Options { messages: Some(messages), ..Options::default() };
    simulate(scenario, 1, &options).expect("the function starts").report
}

/// A report of a run that lost messages. No seed should produce one.
fn broken() -> Report {
    let mut report = report(Scenario::Fifo, 100);
    report.totals.lost = 1_234_567;
    report.invariants[0].status = Status::Broken;
    report.invariants[0].breaches = vec!["message 7 was deleted and never delivered".repeat(5)];
    report
}

fn write(name: &str, report: &Report) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    fs::write(&file, page::render(report)).expect("the page is written");
    file
}

#[test]
fn pages_are_readable_on_every_screen_and_in_both_colour_schemes() {
    let Some(mut browser) = browser("readable") else { return };
    for (name, report) in [
        ("flaky", report(Scenario::Flaky, 300)),
        ("outage", report(Scenario::Outage, 300)),
        ("one-message", report(Scenario::Calm, 1)),
        ("nothing-sent", report(Scenario::Calm, 0)),
        ("broken", broken()),
    ] {
        let file = write(name, &report);
        for width in WIDTHS {
            for scheme in SCHEMES {
                browser.open(&file, width, HEIGHT, scheme);
                let place = format!("{name}, {width} px, {scheme}");
                assert_eq!(browser.take_complaints(), [""; 0], "{place}");
                assert_eq!(browser.evaluate(CHECKS), Value::Array(Vec::new()), "{place}");
            }
        }
    }
}

#[test]
fn charts_are_larger_on_a_larger_screen() {
    let Some(mut browser) = browser("larger") else { return };
    let file = write("larger", &report(Scenario::Calm, 100));
    let [laptop, large] = [1280, 1920].map(|width| {
        browser.open(&file, width, HEIGHT, "light");
        browser.evaluate("document.querySelector('.plot').clientWidth").as_f64().expect("a width")
    });
    assert!(large > 1.3 * laptop, "{large} px instead of {laptop} px");
}

/// The texts of the visible readouts.
const READOUTS: &str =
    "[...document.querySelectorAll('.readout')].filter(one => !one.hidden).map(one => one.innerText)";
/// How many charts mark an interval.
const CURSORS: &str =
    "[...document.querySelectorAll('.cursor')].filter(one => one.getBBox().width > 0).length";

#[test]
fn a_chart_shows_its_values_under_the_pointer_and_by_key() {
    let Some(mut browser) = browser("pointer") else { return };
    let report = report(Scenario::Outage, 300);
    browser.open(&write("pointer", &report), 1280, HEIGHT, "light");
    browser.evaluate("document.querySelector('.charts').scrollIntoView()");
    let place = browser.evaluate(
        "(({left, top, width, height}) => [left + width / 2, top + height / 2])\
         (document.querySelector('.plot').getBoundingClientRect())",
    );
    browser.point_at(place[0].as_f64().expect("x"), place[1].as_f64().expect("y"));
    let readouts = browser.evaluate(READOUTS);
    let text = readouts[0].as_str().unwrap_or_default().replace('\u{a0}', " ");
    assert_eq!(readouts.as_array().map(Vec::len), Some(1), "{readouts}");
    assert!(
        text.contains(" to ") && text.contains("waiting ") && text.contains("in flight (hidden) "),
        "{text}"
    );
    let charts = browser.evaluate("document.querySelectorAll('.plot').length");
    assert!(
        charts.as_u64() > Some(5) && browser.evaluate(CURSORS) == charts,
        "the same interval is marked in all"
    );

    browser.point_at(1.0, 1.0);
    assert_eq!((browser.evaluate(READOUTS), browser.evaluate(CURSORS)), (Value::Array(vec![]), 0.into()));

    browser.evaluate("document.querySelector('.plot svg').focus()");
    browser.press("ArrowRight");
    let first = browser.evaluate(READOUTS)[0].as_str().unwrap_or_default().replace('\u{a0}', " ");
    assert!(first.starts_with("0 to "), "{first}");
    let depth = report.series.points[0].queue_depth;
    assert!(first.contains(&format!("waiting {depth}\n")), "{first}, and not {depth}");
    assert_eq!(browser.take_complaints(), [""; 0]);
}
