//! The dashboard.

use std::collections::BTreeSet;

use crate::{
    METRICS,
    document::{Template, text},
    stack::{EXISTING, Stack, alarms},
};

#[test]
fn the_dashboard_shows_metrics_and_alarms_that_exist() {
    let template = Template::read();
    for (given, shown) in [
        (&[][..], 18),
        (&[("Metrics", "off")][..], 13),
        (&[("CircuitBreaker", "false")][..], 16),
        (&[("Alarms", "false")][..], 0),
        (&[("FifoQueue", "true"), ("AlarmHeadroom", "1000"), EXISTING][..], 18),
        (&[("MinimumPollers", "2")][..], 18),
    ] {
        let stack = Stack { template: &template, given };
        let dashboards = stack.resources("AWS::CloudWatch::Dashboard");
        let body: serde_json::Value =
            serde_json::from_str(&text(&dashboards[0].1["DashboardBody"])).expect("JSON");
        let mut page = Page::default();
        body["widgets"].as_array().expect("widgets").iter().for_each(|widget| page.read(widget));
        let made = alarms(&template, given).len();
        assert_eq!((page.alarms.len(), made), (shown, shown), "{given:?}");
        // `Received` is the sum of four that are, `DeadLettered` a part of one.
        let mut hidden = vec!["DeadLettered", "Received"];
        if given.contains(&("CircuitBreaker", "false")) {
            hidden.push("BreakerPaused");
        }
        let hidden: BTreeSet<_> = hidden.into_iter().map(str::to_owned).collect();
        let all: BTreeSet<_> = METRICS.into_iter().map(str::to_owned).collect();
        assert_eq!(all.difference(&page.metrics).cloned().collect::<BTreeSet<_>>(), hidden, "{given:?}");
    }
    let without = [("Dashboard", "false")];
    let stack = Stack { template: &template, given: &without };
    assert!(stack.resources("AWS::CloudWatch::Dashboard").is_empty());
}

/// What a dashboard shows.
#[derive(Default)]
struct Page {
    cells: BTreeSet<(u64, u64)>,
    metrics: BTreeSet<String>,
    alarms: BTreeSet<String>,
}

impl Page {
    fn read(&mut self, widget: &serde_json::Value) {
        self.place(widget);
        let properties = &widget["properties"];
        let list = |name: &str| properties[name].as_array().expect("a list");
        match widget["type"].as_str().expect("a type") {
            "metric" => list("metrics").iter().for_each(|metric| self.metric(metric)),
            "alarm" => self.alarms.extend(list("alarms").iter().map(ToString::to_string)),
            "log" => {
                let query = properties["query"].as_str().expect("a query");
                let known =
                    ["SOURCE 'ForwarderLogs' | filter level ", "SOURCE 'ProberLogs' | filter message = "];
                assert!(known.iter().any(|known| query.starts_with(known)), "{query}");
            }
            "text" => {}
            other => panic!("a widget of type {other}"),
        }
    }

    fn place(&mut self, widget: &serde_json::Value) {
        let side = |name: &str| widget[name].as_u64().expect("a number");
        assert!(side("x") + side("width") <= 24, "a dashboard has 24 columns");
        for column in side("x")..side("x") + side("width") {
            for row in side("y")..side("y") + side("height") {
                assert!(self.cells.insert((column, row)), "widgets overlap: {widget}");
            }
        }
    }

    fn metric(&mut self, metric: &serde_json::Value) {
        let part = |place: usize| metric[place].as_str().unwrap_or_default();
        match part(0) {
            "PerseusForwarder" => {
                assert!(METRICS.contains(&part(1)), "{metric}");
                let function = if part(1) == "BreakerPaused" { "Prober" } else { "Forwarder" };
                assert_eq!((part(2), part(3)), ("FunctionName", function));
                self.metrics.insert(part(1).to_owned());
            }
            "AWS/Lambda" => {
                assert_eq!(part(2), "FunctionName");
                assert!(["Forwarder", "Prober"].contains(&part(3)), "{metric}");
            }
            "AWS/SQS" => assert_eq!(part(2), "QueueName"),
            other => assert_eq!((other, part(1)), ("PerseusForwarder/stack", "Timeouts")),
        }
    }
}
