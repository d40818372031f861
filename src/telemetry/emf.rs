//! Metrics of an invocation in CloudWatch's embedded metric format: a JSON document on standard output, which CloudWatch
//! Logs turns into metrics without a call or an agent
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Our own code serialises this one structure, because AWS' crate for it (`metrique-writer-format-emf`) would increase the
//! number of crates by half. Like that crate, it writes a histogram as `Values` and `Counts`.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use crate::{
    settle::ledger::Counts,
    telemetry::{
        VERSION,
        counters::{Counters, Stats},
        histogram::Histogram,
        stdout::STDOUT,
    },
};

const NAMESPACE: &str = "PerseusForwarder";

/// The only dimension of most metrics. A second one would multiply them, and CloudWatch bills each metric.
const DIMENSION: &str = "FunctionName";

/// The second dimension of the metrics by which a deployment sees that its new version goes wrong.
const VERSION_DIMENSION: &str = "FunctionVersion";
const OF_A_VERSION: [&str; 2] = ["SetUpErrors", "RefusesAll"];

/// The most values of one metric that CloudWatch accepts in a document.
const MOST_VALUES: usize = 100;

/// The result of an invocation.
#[derive(Debug)]
pub(crate) struct Metrics<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The function's version: a number, or `$LATEST`.
    pub function_version: &'a str,
    /// The invocation's id.
    pub request_id: &'a str,
    /// The outcomes of its records.
    pub counts: &'a Counts,
    /// What the deliveries took.
    pub counters: &'a Counters,
    /// Whether the set-up turned out to be wrong.
    pub is_misconfigured: bool,
    /// The limit on requests in flight. Below one, it is the share of the time during which one may be in flight.
    pub limit: f64,
    /// Whether Perseus fails every request (outage).
    pub is_outage: bool,
    /// Whether Perseus refuses everything.
    pub refuses_all: bool,
    /// The time left before the deadline, in milliseconds.
    pub headroom_ms: u64,
}

/// A metric and its value.
#[derive(Debug)]
pub(crate) struct Metric {
    name: &'static str,
    unit: &'static str,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Number(u64),
    Fraction(f64),
    Histogram(Vec<(u64, u64)>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Number(number) => serializer.serialize_u64(*number),
            Value::Fraction(number) => serializer.serialize_f64(*number),
            Value::Histogram(values) => {
                let (values, counts): (Vec<_>, Vec<_>) = values.iter().copied().unzip();
                json!({ "Values": values, "Counts": counts }).serialize(serializer)
            }
        }
    }
}

impl Metric {
    /// A number of something.
    pub(crate) fn count(name: &'static str, value: usize) -> Self {
        Metric { name, unit: "Count", value: Value::Number(value as u64) }
    }
}

/// Writes a document with these metrics to standard output, as a line of its own. It cannot be part of a log line, because
/// `_aws` must be at the root of the JSON. `now` is in milliseconds since 1970.
///
/// # Errors
///
/// If standard output is full or broken.
pub(crate) fn publish(function: &str, request_id: &str, now: u64, metrics: &[Metric]) -> io::Result<()> {
    put(document(function, None, request_id, now, metrics))
}

fn put(mut document: Vec<u8>) -> io::Result<()> {
    document.push(b'\n');
    STDOUT.put(&document)
}

fn document(
    function: &str,
    function_version: Option<&str>,
    request_id: &str,
    now: u64,
    metrics: &[Metric],
) -> Vec<u8> {
    let directive = |dimensions: &[&str], is_in: &dyn Fn(&str) -> bool| {
        let metrics = metrics.iter().filter(|metric| is_in(metric.name));
        let definitions: Vec<_> =
            metrics.map(|metric| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
        json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": definitions })
    };
    let mut directives = vec![directive(&[DIMENSION], &|_| true)];
    if function_version.is_some() {
        directives.push(directive(&[DIMENSION, VERSION_DIMENSION], &|name| OF_A_VERSION.contains(&name)));
    }
    let directive = json!({ "Timestamp": now, "CloudWatchMetrics": directives });
    // CloudWatch accepts no empty dimension. Only local tools give the function no name.
    let function = if function.is_empty() { "local" } else { function };
    let mut document = Vec::with_capacity(2_048);
    let mut serializer = serde_json::Serializer::new(&mut document);
    let written = (|| {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("_aws", &directive)?;
        map.serialize_entry(DIMENSION, function)?;
        if let Some(version) = function_version {
            map.serialize_entry(VERSION_DIMENSION, version)?;
        }
        map.serialize_entry("version", VERSION)?;
        map.serialize_entry("requestId", request_id)?;
        metrics.iter().try_for_each(|metric| map.serialize_entry(metric.name, &metric.value))?;
        map.end()
    })();
    written.expect("strings and numbers always encode");
    document
}

impl Metrics<'_> {
    /// Writes the metrics of the invocation. See [`publish`].
    ///
    /// # Errors
    ///
    /// As [`publish`].
    pub(crate) fn publish(&self, stats: &Stats) -> io::Result<()> {
        put(self.document(stats))
    }

    fn document(&self, stats: &Stats) -> Vec<u8> {
        // CloudWatch accepts no empty dimension, and only local tools give the function no version.
        let version = Some(self.function_version).filter(|version| !version.is_empty());
        document(self.function, version, self.request_id, stats.now(), &self.list(stats))
    }

    fn list(&self, stats: &Stats) -> Vec<Metric> {
        let count = Metric::count;
        let counter = |name, counter: &AtomicUsize| count(name, counter.load(Relaxed));
        let histogram = |name, histogram: &Histogram| {
            let values = histogram.values(MOST_VALUES);
            let is_measured = !values.is_empty();
            let metric = Metric { name, unit: "Milliseconds", value: Value::Histogram(values) };
            is_measured.then_some(metric)
        };
        let Metrics { counts, counters, .. } = self;
        let mut metrics = vec![
            count("Received", counts.received),
            count("Acknowledged", counts.acknowledged),
            count("Rejected", counts.rejected),
            count("DeadLettered", counts.dead_lettered),
            count("Errored", counts.errored),
            count("Unattempted", counts.unattempted),
            counter("Requests", &counters.requests),
            counter("Retries", &counters.retries),
            counter("Splits", &counters.splits),
            Metric { unit: "Bytes", ..counter("BytesSent", &counters.bytes) },
            Metric { name: "Headroom", unit: "Milliseconds", value: Value::Number(self.headroom_ms) },
            Metric { name: "InFlightLimit", unit: "Count", value: Value::Fraction(self.limit) },
            count("Outage", self.is_outage.into()),
            count("RefusesAll", self.refuses_all.into()),
            count("SetUpErrors", self.is_misconfigured.into()),
        ];
        metrics.extend(histogram("PerseusLatency", &stats.latency));
        metrics.extend(histogram("MessageAge", &stats.age));
        metrics
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::Value as Json;

    use super::*;

    fn document(function: &str, ages: impl Iterator<Item = u64>) -> Json {
        let stats = Stats::new(UNIX_EPOCH);
        ages.for_each(|age| stats.age.add(age));
        let metrics = Metrics {
            function,
            function_version: if function.is_empty() { "" } else { "7" },
            request_id: "request",
            counts: &Counts { received: 3, acknowledged: 2, errored: 1, ..Counts::default() },
            counters: &Counters::default(),
            is_misconfigured: true,
            limit: 10.0,
            is_outage: false,
            refuses_all: false,
            headroom_ms: 900,
        };
        serde_json::from_slice(&metrics.document(&stats)).unwrap()
    }

    #[test]
    fn the_document_has_exactly_the_declared_metrics() {
        let document = document("forwarder", [1, 1, 5].into_iter());
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
        assert_eq!(document["FunctionName"], "forwarder");
        let declared = directive["Metrics"].as_array().unwrap();
        assert!(declared.iter().all(|metric| !document[metric["Name"].as_str().unwrap()].is_null()));
        assert_eq!(document.as_object().unwrap().len(), declared.len() + 5);
        assert_eq!(document["version"], VERSION);
        assert_eq!((&document["Received"], &document["SetUpErrors"]), (&json!(3), &json!(1)));
        assert_eq!(document["MessageAge"], json!({ "Values": [1, 5], "Counts": [2, 1] }));
        // A metric without values is not declared, because CloudWatch refuses an empty array.
        assert!(document.get("PerseusLatency").is_none());
    }

    #[test]
    fn a_version_has_the_metrics_that_stop_its_deployment() {
        let with_version = document("forwarder", [].into_iter());
        let directive = &with_version["_aws"]["CloudWatchMetrics"][1];
        assert_eq!(directive["Dimensions"], json!([["FunctionName", "FunctionVersion"]]));
        let names = directive["Metrics"].as_array().unwrap().iter().map(|metric| &metric["Name"]);
        assert_eq!(names.collect::<Vec<_>>(), ["RefusesAll", "SetUpErrors"]);
        assert_eq!(with_version["FunctionVersion"], "7");
        let local = document("", [].into_iter());
        assert_eq!(local["_aws"]["CloudWatchMetrics"].as_array().unwrap().len(), 1);
        assert!(local.get("FunctionVersion").is_none());
    }

    #[test]
    fn a_document_is_within_the_limits_of_the_format() {
        let document = document("", (0..30).map(|power| 1 << power).chain(0..10_000));
        assert_eq!(document["FunctionName"], "local");
        let values = document["MessageAge"]["Values"].as_array().unwrap().len();
        assert!(values <= MOST_VALUES && document.to_string().len() < 256 << 10, "{values}");
    }
}
