//! Runs of requests of one environment to which Perseus has said nothing but the same.

use std::collections::HashMap;

use crate::{
    clock::Ms,
    history::{History, Said},
};

/// What an environment has heard since Perseus last said anything else.
#[derive(Debug, Default)]
struct Run {
    count: u32,
    began: Ms,
    /// When it had enough.
    enough: Option<Ms>,
}

/// The requests of each invocation that its environment sent although it had heard the same to so many requests in a row,
/// for so long.
pub(super) fn requests_in_spite_of(
    history: &History,
    said: Said,
    count: u32,
    after: Ms,
) -> HashMap<u32, u32> {
    let mut events: Vec<(Ms, bool, usize)> = Vec::with_capacity(2 * history.exchanges.len());
    for (place, exchange) in history.exchanges.iter().enumerate() {
        events.push((exchange.arrived, true, place));
        events.push((exchange.ended, false, place));
    }
    // In the same millisecond a reply comes first: the requests that arrive then were sent because of it.
    events.sort_unstable();
    let mut runs: HashMap<u32, Run> = HashMap::new();
    let mut in_spite = HashMap::new();
    for (now, is_arrival, place) in events {
        let exchange = &history.exchanges[place];
        let Some(invocation) = history.invocations.get(exchange.invocation as usize) else { continue };
        let run = runs.entry(invocation.environment).or_default();
        if is_arrival {
            if run.enough.is_some_and(|enough| now > enough + history.rules.slack) {
                *in_spite.entry(exchange.invocation).or_default() += 1;
            }
        } else if exchange.said == said {
            run.add(now, count, after);
        } else {
            *run = Run::default();
        }
    }
    in_spite
}

impl Run {
    fn add(&mut self, now: Ms, count: u32, after: Ms) {
        if self.count == 0 {
            self.began = now;
        }
        self.count += 1;
        if self.count >= count && now >= self.began + after {
            self.enough.get_or_insert(now);
        }
    }
}
