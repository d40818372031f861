//! A Perseus that is down: whether that is noticed.

use super::{Finding, finding, streaks::requests_after_streak};
use crate::{
    clock::Ms,
    run::history::{History, ReplyKind},
};

/// With so many failures in a row, over so long, the function has seen what it takes: whole rounds of them, and nothing
/// else for two seconds.
const NOTICED: u32 = 60;
const NOTICED_AFTER: Ms = 5_000;

/// A probe is one request, or two if the first only finds a dead connection in the pool.
const LONGEST_PROBE: u32 = 2;

/// Once an environment has heard nothing but failures for a while, it sends a probe in each invocation.
pub fn outages_noticed(history: &History) -> Finding {
    let probes = requests_after_streak(history, ReplyKind::Unusable, NOTICED, NOTICED_AFTER);
    let mut loud: Vec<_> = probes.iter().filter(|(_, requests)| **requests > LONGEST_PROBE).collect();
    // Of a map nobody knows the order.
    loud.sort_unstable();
    let told = |(invocation, requests): (&u32, &u32)| {
        format!("invocation {invocation} sent {requests} requests to a Perseus that is down")
    };
    finding(
        "outages are noticed",
        "after 60 failures in a row an environment sends one probe in each invocation",
        format!("{} invocations that probed", probes.len()),
        loud.into_iter().map(told).collect(),
    )
}
