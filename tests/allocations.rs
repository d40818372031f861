//! Bounds what an invocation allocates, so that an additional copy of an event or a record fails here. Allocations are
//! counted, not timed. This test has its own binary, because it replaces the allocator of the process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../benches/event.rs"]
mod event;
#[path = "../benches/end_to_end/perseus.rs"]
#[allow(dead_code, reason = "the bench asks for more")]
mod perseus;

use std::{ffi::OsString, sync::mpsc, thread, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use lambda_runtime::Context;
use perseus_forwarder::{config::Config, lambda::handler::Handler};
use tokio::runtime::{Builder, Runtime};

use self::{
    event::{CASES, Case},
    perseus::Perseus,
};

/// The most allocations and allocated bytes per record of each case, including all requests: the measured values plus a
/// tenth.
const BOUNDS: [(&str, u64, u64); 4] = [
    ("10 × 1 KiB", 11, 9_820),
    ("1,000 × 1 KiB", 2, 3_770),
    ("10,000 × 300 B", 2, 1_770),
    ("5 × 1 MiB", 109, 2_540_000),
];

#[test]
fn an_invocation_allocates_no_more_than_it_needs() {
    let url = start_perseus();
    for (case, (name, most, most_bytes)) in CASES.into_iter().zip(BOUNDS) {
        assert_eq!(case.name, name);
        let payload = case.event();
        let info = measured(&url, case, &payload);
        let records = case.records as u64;
        let (each, bytes_each) = (info.count_total / records, info.bytes_total / records);
        println!(
            "{case}: {each} allocations and {bytes_each} bytes a record, at most {} at once",
            info.bytes_max
        );
        assert!(each <= most, "{case}: {each} allocations a record");
        assert!(bytes_each <= most_bytes, "{case}: {bytes_each} bytes allocated a record");
        // The bound for the whole process is 2.5 × the event + 8 MiB. Without the event and memory outside the heap:
        let bound = payload.len() as u64 * 3 / 2 + (4 << 20);
        assert!(info.bytes_max <= bound, "{case}: {} bytes at once, and {bound} may be", info.bytes_max);
    }
}

/// Starts Perseus on a thread of its own, so that its allocations are not counted.
fn start_perseus() -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let perseus = Perseus::start(Duration::ZERO).await.unwrap();
            tell.send(perseus.url()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

/// What the second invocation of an environment allocates. The first one is small and opens one connection; opening the
/// other connections is measured too.
fn measured(url: &str, case: Case, payload: &[u8]) -> AllocationInfo {
    let config = Config::from_lookup(|name| (name == "PERSEUS_URL").then(|| OsString::from(url)));
    let handler = Handler::new(config.unwrap()).unwrap();
    let mut context = Context::default();
    context.deadline = 60_000;
    let runtime = runtime();
    let invoke = |payload: &[u8]| {
        let answer = runtime.block_on(handler.handle(payload, &context)).unwrap();
        assert!(answer.batch_item_failures.is_empty(), "{case}");
    };
    invoke(&CASES[0].event());
    measure(|| invoke(payload))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
