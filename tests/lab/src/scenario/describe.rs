//! The settings of a plan, for people.

use serde::Serialize;

use super::Plan;
use crate::{clock::Ms, report::units};

/// One line of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The part it belongs to: traffic, queue, Lambda, Perseus, breaker, variables.
    pub part: &'static str,
    /// Its name.
    pub name: String,
    /// Its value, with its unit.
    pub value: String,
}

impl Plan {
    /// All settings, part by part. Faults that the scenario does not have are left out.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let mut list = List::default();
        list.part("traffic");
        list.add("messages", units::count(self.traffic.messages.into()));
        list.add("sent over", time(self.traffic.over));
        list.add("shape", format!("{:?}", self.traffic.shape).to_lowercase());
        list.share("poison", self.message.poison);
        list.part("queue");
        list.add("kind", if self.queue.fifo { "FIFO" } else { "standard" });
        list.some("groups", self.message.groups);
        list.add("visibility timeout", time(self.queue.visibility));
        list.add("maxReceiveCount", self.queue.max_receives);
        list.share("handed out twice", self.queue.duplicates);
        list.part("Lambda");
        list.add("timeout", time(self.timeout));
        list.some("memory", self.memory_mb.map(|mb| format!("{mb} MB")));
        list.add("batch size", self.mapping.batch_size);
        list.add("batching window", time(self.mapping.window));
        list.add("maximum concurrency", self.mapping.max_concurrency);
        list.share("crashes", self.fleet.crash);
        list.share("stalls", self.fleet.stall);
        list.share("connections lost frozen", self.fleet.frozen_loss);
        self.list_faults(&mut list);
        self.list_breaker(&mut list);
        list.part("variables");
        for (name, value) in &self.variables {
            list.add(name, value);
        }
        list.0
    }

    fn list_breaker(&self, list: &mut List) {
        list.part("breaker");
        let Some(breaker) = &self.breaker else { return list.add("circuit breaker", "off") };
        list.add("prober late by", time(breaker.prober.late));
        list.share("prober missing", breaker.prober.missing);
        list.share("prober crashes", breaker.prober.crash);
        for (at, step) in breaker.operator.steps() {
            list.add(step, time(at));
        }
    }

    fn list_faults(&self, list: &mut List) {
        let faults = &self.faults;
        list.part("Perseus");
        let (least, mean) = faults.latency;
        list.add("latency", format!("at least {}, {} on average", time(least), time(least + mean)));
        for (name, share) in [
            ("slow", faults.slow),
            ("hangs", faults.hang),
            ("lost before commit", faults.lost_before),
            ("lost after commit", faults.lost_after),
            ("half replies", faults.half_reply),
            ("errors", faults.error),
            ("errors after commit", faults.error_after),
            ("throttled", faults.throttle),
            ("mute 207", faults.mute_207),
            ("partial refusals", faults.refusal),
            ("409 after a cut", faults.conflict),
            ("pages with 200", faults.page),
            ("no HTTP", faults.no_http),
            ("empty 200", faults.empty_ok),
        ] {
            list.share(name, share);
        }
        if self.message.poison > 0.0 {
            list.add("poison refused", format!("{:?}", faults.poison));
        }
        list.some("capacity", faults.capacity);
        list.some("requests a second", faults.rate_limit);
        list.some("largest body", faults.largest_body);
        for (name, is_so) in [
            ("replies with batchItemFailures", faults.answers_object),
            ("refuses reused keys", faults.checks_keys),
        ] {
            list.some(name, is_so.then_some("yes"));
        }
        for (name, share) in faults.sqs.shares() {
            list.share(name, share);
        }
        for (name, share) in faults.lambda.shares() {
            list.share(name, share);
        }
        let blips = faults.outages.iter().filter(|outage| outage.is_blip()).count();
        list.some("blips", (blips > 0).then_some(blips));
        for outage in faults.outages.iter().filter(|outage| !outage.is_blip()) {
            let kind = format!("outage ({})", outage.kind.name());
            list.add(&kind, format!("{} to {}", time(outage.from), time(outage.until)));
        }
    }
}

#[derive(Default)]
struct List(Vec<Setting>, &'static str);

impl List {
    fn part(&mut self, part: &'static str) {
        self.1 = part;
    }

    fn add(&mut self, name: &str, value: impl ToString) {
        self.0.push(Setting { part: self.1, name: name.to_owned(), value: value.to_string() });
    }

    fn some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn share(&mut self, name: &str, share: f64) {
        if share > 0.0 {
            self.add(name, format!("{:.2} %", share * 100.0));
        }
    }
}

fn time(time: Ms) -> String {
    units::time(time.into())
}
