//! Runs of requests of one environment to which Perseus has said nothing but the same.

use std::collections::HashMap;

use crate::{
    clock::Ms,
    run::history::{History, ReplyKind},
};

/// What an environment has heard since Perseus last said anything else.
#[derive(Debug, Default)]
struct Streak {
    count: u32,
    began: Ms,
    /// When it had enough.
    enough: Option<Ms>,
}

/// The requests of each invocation that its environment sent although it had heard the same to so many requests in a row,
/// for so long.
pub(super) fn requests_after_streak(
    history: &History,
    reply_kind: ReplyKind,
    count: u32,
    after: Ms,
) -> HashMap<u32, u32> {
    let mut events: Vec<(Ms, bool, usize)> = Vec::with_capacity(2 * history.exchanges.len());
    for (index, exchange) in history.exchanges.iter().enumerate() {
        events.push((exchange.arrived, false, index));
        events.push((exchange.ended, true, index));
    }
    events.sort_unstable();
    let mut runs: HashMap<u32, Streak> = HashMap::new();
    let mut in_spite = HashMap::new();
    for (now, is_end, index) in events {
        let exchange = &history.exchanges[index];
        let Some(invocation) = history.invocations.get(exchange.invocation as usize) else { continue };
        let run = runs.entry(invocation.environment).or_default();
        if !is_end {
            if run.enough.is_some_and(|enough| now > enough + history.rules.slack) {
                *in_spite.entry(exchange.invocation).or_default() += 1;
            }
        } else if exchange.reply_kind == reply_kind {
            run.add(now, count, after);
        } else {
            *run = Streak::default();
        }
    }
    in_spite
}

impl Streak {
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
