//! What a page must be.

use super::*;
use crate::{
    report::Setting,
    scenario::{Options, Scenario},
    simulation::simulate,
};

/// The charts of a run without dead letters.
const CHARTS: [&str; 8] = [
    "Queue depth",
    "Deliveries",
    "Age at delivery",
    "Requests in flight",
    "Requests",
    "Retries",
    "Headroom",
    "Duplicates",
];

const HOSTILE: &str = "<script>alert(\"1\")</script>&'";
const ESCAPED: &str = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;";

fn report() -> Report {
    let options = Options { messages: Some(200), ..Options::default() };
    simulate(Scenario::Flaky, 1, &options).expect("the function starts").report
}

/// The page, with common blanks.
fn plain(report: &Report) -> String {
    render(report).replace('\u{a0}', " ")
}

/// The report of a run that lost messages. No seed should produce one.
fn broken() -> Report {
    let mut report = report();
    report.totals.lost = 3;
    report.invariants[0].status = Status::Broken;
    report.invariants[0].breaches = vec!["message 7 was deleted and never delivered".to_owned()];
    report
}

#[test]
fn every_text_is_escaped() {
    let mut report = broken();
    report.replay = format!("replay {HOSTILE}");
    report.configuration.push(Setting {
        part: HOSTILE,
        name: format!("name {HOSTILE}"),
        value: format!("value {HOSTILE}"),
    });
    report.invariants[0].evidence = format!("evidence {HOSTILE}");
    report.invariants[0].breaches = vec![format!("breach {HOSTILE}")];
    // Both are also names of lines in charts.
    report.totals.requests_by_end.insert(format!("end {HOSTILE}"), 1);
    report.totals.retries_by_end.insert(format!("retry {HOSTILE}"), 1_000_000);
    let page = render(&report);
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    for told in ["replay", "name", "value", "evidence", "breach", "end", "retry"] {
        assert!(page.contains(&format!("{told} {ESCAPED}")), "{told}");
    }
}

#[test]
fn nothing_is_loaded_and_only_the_pages_own_script_runs() {
    // A namespace is a name that no browser loads.
    let page = render(&report()).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    let page = page.replace("href=\"#words\"", "");
    for reference in ["http://", "https://", " src=", "href=", "<link", "url(", "@import", "onload"] {
        assert!(!page.contains(reference), "{reference}");
    }
    let (_, rest) = page.split_once("<script>").expect("a script");
    let (script, rest) = rest.split_once("</script>").expect("its end");
    assert!(!rest.contains("<script"));
    let hash = BASE64_STANDARD.encode(Sha256::digest(script));
    assert!(page.contains(&format!("script-src 'sha256-{hash}'\">")), "{hash}");
}

#[test]
fn every_invariant_is_named_with_its_evidence() {
    let report = report();
    let page = render(&report);
    for invariant in &report.invariants {
        for text in [invariant.name, invariant.promise, &invariant.evidence] {
            assert!(page.contains(text), "{text}");
        }
    }
    for (status, word) in
        [(Status::Holds, "holds"), (Status::NotExercised, "not exercised"), (Status::Broken, "broken")]
    {
        let expected = report.invariants.iter().filter(|invariant| invariant.status == status).count();
        assert_eq!(page.matches(&format!(">{word}</b>")).count(), expected, "{word}");
    }
}

#[test]
fn what_was_not_exercised_does_not_count_as_holding() {
    let mut report = report();
    report.invariants.iter_mut().for_each(|invariant| invariant.status = Status::Holds);
    let all = report.invariants.len();
    assert!(plain(&report).contains(&format!("All {all} invariants hold.")));
    report.invariants[4].status = Status::NotExercised;
    let one_idle = format!("No invariant is broken: {} of {all} hold, 1 was not exercised.", all - 1);
    assert!(plain(&report).contains(&one_idle));
    report.invariants[5].status = Status::Broken;
    let one_broken = format!("1 of {all} invariants is broken, {} hold, 1 was not exercised.", all - 2);
    assert!(plain(&report).contains(&one_broken));
    let page = render(&report);
    let place = |index: usize| page.rfind(&format!("<b>{}</b>", report.invariants[index].name));
    assert!(place(4) > place(all - 1) && place(5) < place(all - 1), "what was not exercised is the last");
}

#[test]
fn a_run_without_messages_has_no_charts() {
    let options = Options { messages: Some(0), ..Options::default() };
    let report = simulate(Scenario::Calm, 1, &options).expect("the function starts").report;
    let page = render(&report);
    assert!(page.contains(">Nothing was sent<") && page.contains("No invariant was exercised."));
    assert!(!page.contains("<svg") && !page.contains("NaN") && !page.contains("inf"));
}

#[test]
fn a_chart_has_a_value_of_each_line_for_each_interval() {
    let report = report();
    let page = render(&report);
    let intervals = Timeline::of(&report.series).slices.len();
    let lists: Vec<&str> =
        page.split(" data-values=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(lists.len() >= CHARTS.len());
    for list in lists {
        assert_eq!(list.split('|').count(), intervals, "{list}");
    }
}

#[test]
fn the_three_ages_differ_in_form_and_colour() {
    let page = render(&report());
    for key in ["key bar delivered", "key mark second", "key reach level"] {
        assert_eq!(page.matches(&format!("class=\"{key}\"")).count(), 1, "{key}");
    }
}

#[test]
fn every_setting_is_shown() {
    let report = report();
    let page = render(&report);
    for Setting { part, name, value } in &report.configuration {
        assert!(page.contains(part) && page.contains(name) && page.contains(value), "{part} {name}");
    }
}

#[test]
fn a_clean_run_says_so() {
    let report = report();
    let page = render(&report);
    assert!(report.is_clean() && page.contains(">Nothing lost<") && !page.contains(">broken<"));
    assert!(page.contains(&report.replay));
}

#[test]
fn a_lost_message_is_the_headline() {
    let page = render(&broken());
    assert!(
        page.contains("<h1 class=\"failure\">3\u{a0}messages lost</h1>") && !page.contains("Nothing lost")
    );
    assert!(page.contains(">broken<") && page.contains("message 7 was deleted and never delivered"));
}

#[test]
fn a_broken_invariant_is_the_headline_when_nothing_is_lost() {
    let mut report = broken();
    report.totals.lost = 0;
    let page = render(&report);
    assert!(page.contains("<h1 class=\"failure\">Broken: deleted is delivered</h1>"));
}

#[test]
fn every_chart_has_a_description_in_words() {
    let page = render(&report());
    for title in CHARTS {
        assert!(page.contains(&format!("<h3>{title}</h3>")), "{title}");
    }
    assert_eq!(page.matches("role=\"img\"").count(), CHARTS.len());
    assert_eq!(page.matches("<desc ").count(), CHARTS.len());
    assert!(page.contains("Nothing to show, so no chart: Dead letters moved by SQS"));
}

#[test]
fn the_same_report_is_the_same_page() {
    let report = report();
    assert_eq!(render(&report), render(&report));
}

#[test]
fn a_run_without_intervals_has_a_page() {
    let mut report = report();
    report.series.points.clear();
    assert!(render(&report).ends_with("</html>"));
}

#[test]
fn a_day_with_an_interval_for_every_second_stays_small() {
    let mut report = report();
    let points = report.series.points.iter().cycle().take(86_400).cloned().enumerate();
    let points = points.map(|(number, point)| crate::run::Point { at_s: number as f64 + 1.0, ..point });
    report.series.points = points.collect();
    report.series.interval_s = 1.0;
    let size = render(&report).len();
    assert!(size < 1_500_000, "{size} bytes");
}
