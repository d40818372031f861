//! Whether the function notices an outage.

use super::{Finding, finding, streaks::requests_after_streak};
use crate::{
    clock::Ms,
    report::units::counted,
    run::history::{History, ReplyKind},
};

/// After this many failures in a row, over this time, the function must have noticed: whole rounds of failures, and
/// nothing else for two seconds.
const NOTICED: u32 = 60;
const NOTICED_AFTER: Ms = 5_000;

/// A probe is one request, or two if the first meets a dead pooled connection.
const LONGEST_PROBE: u32 = 2;

/// After nothing but failures for a while, an environment sends one probe per invocation.
pub fn outages_noticed(history: &History) -> Finding {
    let (probes, longest) = requests_after_streak(history, ReplyKind::Unusable, NOTICED, NOTICED_AFTER);
    let mut loud: Vec<_> = probes.iter().filter(|(_, requests)| **requests > LONGEST_PROBE).collect();
    // The order of a map is random.
    loud.sort_unstable();
    let told = |(invocation, requests): (&u32, &u32)| {
        format!("invocation {invocation} sent {requests} requests to a Perseus that is down")
    };
    finding(
        "outages are noticed",
        "after 60 failures in a row, over 5 s, at the latest, an environment sends one probe in each invocation",
        format!(
            "at most {} in a row in an environment, {} after 60 of them",
            counted(longest.into(), "failure"),
            counted(probes.len() as u64, "invocation")
        ),
        loud.into_iter().map(told).collect(),
    )
    .exercised_by(probes.len())
}
