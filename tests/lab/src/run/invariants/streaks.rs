//! Streaks: requests of one environment in a row that all got the same kind of reply.

use std::collections::HashMap;

use crate::{
    clock::Ms,
    run::history::{History, ReplyKind},
};

/// The replies of one kind since the last reply of another kind.
#[derive(Debug, Default)]
struct Streak {
    count: u32,
    began: Ms,
    /// When the streak was long enough to be noticed.
    enough: Option<Ms>,
}

/// The requests of each invocation that were sent after a streak of `count` replies of this kind over `after`. And the
/// longest streak of such replies.
pub(super) fn requests_after_streak(
    history: &History,
    reply_kind: ReplyKind,
    count: u32,
    after: Ms,
) -> (HashMap<u32, u32>, u32) {
    let mut events: Vec<(Ms, bool, usize)> = Vec::with_capacity(2 * history.exchanges.len());
    for (index, exchange) in history.exchanges.iter().enumerate() {
        events.push((exchange.arrived, true, index));
        events.push((exchange.ended, false, index));
    }
    // In the same millisecond a reply comes first: the requests that arrive then were sent because of it.
    events.sort_unstable();
    let mut runs: HashMap<u32, Streak> = HashMap::new();
    let (mut in_spite, mut longest) = (HashMap::new(), 0);
    for (now, is_arrival, index) in events {
        let exchange = &history.exchanges[index];
        let Some(invocation) = history.invocations.get(exchange.invocation as usize) else { continue };
        let run = runs.entry(invocation.environment).or_default();
        if is_arrival {
            if run.enough.is_some_and(|enough| now > enough + history.rules.slack) {
                *in_spite.entry(exchange.invocation).or_default() += 1;
            }
        } else if exchange.reply_kind == reply_kind {
            run.add(now, count, after);
            longest = longest.max(run.count);
        } else {
            *run = Streak::default();
        }
    }
    (in_spite, longest)
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
