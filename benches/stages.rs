//! Each stage alone: time, records per second, and what it allocates for one event.
//!
//! `cargo bench --bench stages`

mod batches;
mod event;

use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use futures_util::FutureExt;
use perseus_forwarder::{
    batch::{batcher::Batch, request::Request},
    decode::{event::Event, record::Record},
    deliver::decoder::Decoder,
    perseus::reply::verdict,
    settle::ledger::Ledger,
    value::format::Compression,
    yield_budget::YieldBudget,
};

use self::{
    batches::{FORMAT, batches},
    event::{CASES, Case},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const REPLY: &[u8] = br#"{"batchItemFailures":[]}"#;

fn main() {
    divan::main();
}

/// The payload to envelopes.
#[divan::bench(args = CASES)]
fn decode(bencher: Bencher<'_, '_>, case: Case) {
    let payload = case.event();
    bencher.counter(ItemsCount::new(case.records)).bench(|| Event::parse(black_box(&payload)));
}

/// Envelopes to records as they are posted.
#[divan::bench(args = CASES)]
fn encode(bencher: Bencher<'_, '_>, case: Case) {
    let payload = case.event();
    let event = parsed(&payload);
    let ledger = Ledger::open(&event);
    bencher.counter(ItemsCount::new(case.records)).bench(|| records(&event, &ledger));
}

/// Records to batches.
#[divan::bench(args = CASES)]
fn batch(bencher: Bencher<'_, '_>, case: Case) {
    let payload = case.event();
    let event = parsed(&payload);
    let records = records(&event, &Ledger::open(&event));
    bencher.counter(ItemsCount::new(case.records)).with_inputs(|| records.clone()).bench_values(batches);
}

/// Batches to requests.
#[divan::bench(args = CASES)]
fn request(bencher: Bencher<'_, '_>, case: Case) {
    let payload = case.event();
    let event = parsed(&payload);
    let ledger = Ledger::open(&event);
    let batches = batches(records(&event, &ledger));
    let budget = YieldBudget::default();
    bencher.counter(ItemsCount::new(case.records)).bench(|| {
        for batch in &batches {
            let ids = ids(&ledger, batch);
            let request = Request::new(batch, &ids, FORMAT, Compression::None, &budget);
            black_box(request.now_or_never().expect("nothing is waited for without compression"));
        }
    });
}

/// Replies to outcomes, and these to the answer.
#[divan::bench(args = CASES)]
fn settle(bencher: Bencher<'_, '_>, case: Case) {
    let payload = case.event();
    let event = parsed(&payload);
    let batches = batches(records(&event, &Ledger::open(&event)));
    bencher.counter(ItemsCount::new(case.records)).bench(|| {
        let ledger = Ledger::open(&event);
        for batch in &batches {
            black_box(verdict(REPLY, &ids(&ledger, batch), false));
            for record in &batch.records {
                ledger.attempt(record.slot);
                ledger.acknowledge(record.slot);
            }
        }
        (ledger.counts(), ledger.outstanding().len())
    });
}

fn parsed(payload: &[u8]) -> Event<'_> {
    Event::parse(payload).expect("it is an event of SQS")
}

fn records(event: &Event<'_>, ledger: &Ledger<'_>) -> Vec<Record> {
    Decoder::new(event, ledger, FORMAT, "").collect()
}

fn ids<'a>(ledger: &'a Ledger<'_>, batch: &Batch) -> Vec<&'a str> {
    batch.records.iter().map(|record| ledger.id(record.slot)).collect()
}
