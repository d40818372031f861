//! A plan as people read it.

use super::Plan;
use crate::{
    clock::{Ms, span},
    report::Setting,
};

impl Plan {
    /// How everything is set up, part by part. What does not happen in the scenario is left out.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let mut list = List::default();
        list.part("traffic");
        list.add("messages", self.traffic.messages);
        list.add("over", time(self.traffic.over));
        list.add("shape", format!("{:?}", self.traffic.shape).to_lowercase());
        list.share("poison", self.kind.poison);
        list.part("queue");
        list.add("kind", if self.queue.fifo { "FIFO" } else { "standard" });
        list.some("groups", self.kind.groups);
        list.add("visibility timeout", time(self.queue.visibility));
        list.add("maxReceiveCount", self.queue.max_receives);
        list.share("delivered again", self.queue.duplicates);
        list.part("Lambda");
        list.add("timeout", time(self.timeout));
        list.add("batch size", self.mapping.batch_size);
        list.add("window", time(self.mapping.window));
        list.add("maximum concurrency", self.mapping.max_concurrency);
        list.share("crashes", self.fleet.crash);
        list.share("stalls", self.fleet.stall);
        list.share("connections lost frozen", self.fleet.frozen_loss);
        self.list_climate(&mut list);
        list.part("function");
        for (name, value) in &self.variables {
            list.add(name, value);
        }
        list.0
    }

    fn list_climate(&self, list: &mut List) {
        let climate = &self.climate;
        list.part("Perseus");
        list.add("latency", format!("{} + {} ms", climate.latency.0, climate.latency.1));
        for (name, share) in [
            ("slow", climate.slow),
            ("hangs", climate.hang),
            ("lost before commit", climate.lost_before),
            ("lost after commit", climate.lost_after),
            ("half replies", climate.half_reply),
            ("errors", climate.error),
            ("errors after commit", climate.error_after),
            ("throttled", climate.throttle),
            ("mute 207", climate.mute_207),
            ("partial refusals", climate.refusal),
            ("409 after a cut", climate.conflict),
            ("pages with 200", climate.page),
            ("no HTTP", climate.no_http),
            ("empty 200", climate.empty_ok),
        ] {
            list.share(name, share);
        }
        if self.kind.poison > 0.0 {
            list.add("poison refused", format!("{:?}", climate.poison));
        }
        list.some("capacity", climate.capacity);
        list.some("requests a second", climate.rate_limit);
        list.some("largest body", climate.largest_body);
        for (name, is_so) in
            [("answers with an object", climate.answers_object), ("refuses reused keys", climate.checks_keys)]
        {
            list.some(name, is_so.then_some("yes"));
        }
        for (name, share) in climate.sqs.shares() {
            list.share(name, share);
        }
        let blips = climate.outages.iter().filter(|outage| outage.is_blip()).count();
        list.some("blips", (blips > 0).then_some(blips));
        for outage in climate.outages.iter().filter(|outage| !outage.is_blip()) {
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
    humantime::format_duration(span(time)).to_string()
}
