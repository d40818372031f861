//! Why the event's JSON is walked by hand: the same work by serde_json and by sonic-rs.
//!
//! The work is that of the decoder: find the fields of each record, unescape its body, check that the body is one JSON
//! value, and append both to what is posted. All three make the same bytes.
//!
//! `cargo bench --bench json`

mod event;

use std::borrow::Cow;

use divan::{Bencher, black_box, counter::ItemsCount};
use perseus_forwarder::{
    decode::{event::Event, record::encode},
    value::format::BatchFormat,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::event::{CASES, Case};

fn main() {
    let payload = CASES[0].event();
    assert_eq!(by_function(&payload), by_serde_json(&payload));
    assert_eq!(by_function(&payload), by_sonic_rs(&payload));
    divan::main();
}

#[divan::bench(args = CASES)]
fn function(bencher: Bencher<'_, '_>, case: Case) {
    run(bencher, case, by_function);
}

#[divan::bench(args = CASES)]
fn serde_json(bencher: Bencher<'_, '_>, case: Case) {
    run(bencher, case, by_serde_json);
}

#[divan::bench(args = CASES)]
fn sonic_rs(bencher: Bencher<'_, '_>, case: Case) {
    run(bencher, case, by_sonic_rs);
}

fn run(bencher: Bencher<'_, '_>, case: Case, decode: fn(&[u8]) -> Vec<Vec<u8>>) {
    let payload = case.event();
    bencher.counter(ItemsCount::new(case.records)).bench(|| decode(black_box(&payload)));
}

fn by_function(payload: &[u8]) -> Vec<Vec<u8>> {
    let event = Event::parse(payload).expect("it is an event of SQS");
    let wire = |envelope| encode(envelope, BatchFormat::Records).expect("it can be read").wire;
    event.envelopes.iter().map(wire).collect()
}

fn by_serde_json(payload: &[u8]) -> Vec<Vec<u8>> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<Record<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Record<'a> {
        message_id: Cow<'a, str>,
        // As raw JSON, so that one bad record fails alone.
        #[serde(borrow)]
        body: &'a RawValue,
        #[serde(borrow)]
        attributes: &'a RawValue,
    }
    let event: Event<'_> = serde_json::from_slice(payload).expect("it is an event of SQS");
    let wire = |record: Record<'_>| {
        let attributes: Attributes<'_> = serde_json::from_str(record.attributes.get()).expect("attributes");
        let body: Cow<'_, str> = serde_json::from_str::<String>(record.body.get()).expect("text").into();
        let is_json = serde_json::from_str::<&RawValue>(&body).is_ok();
        wire(&record.message_id, &attributes, if is_json { &body } else { record.body.get() })
    };
    event.records.into_iter().map(wire).collect()
}

fn by_sonic_rs(payload: &[u8]) -> Vec<Vec<u8>> {
    use sonic_rs::LazyValue;

    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<Record<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Record<'a> {
        #[serde(borrow)]
        message_id: Cow<'a, str>,
        #[serde(borrow)]
        body: LazyValue<'a>,
        #[serde(borrow)]
        attributes: LazyValue<'a>,
    }
    let event: Event<'_> = sonic_rs::from_slice(payload).expect("it is an event of SQS");
    let wire = |record: Record<'_>| {
        let attributes: Attributes<'_> =
            sonic_rs::from_str(record.attributes.as_raw_str()).expect("attributes");
        let body: String = sonic_rs::from_str(record.body.as_raw_str()).expect("text");
        let is_json = sonic_rs::from_str::<LazyValue<'_>>(&body).is_ok();
        wire(&record.message_id, &attributes, if is_json { &body } else { record.body.as_raw_str() })
    };
    event.records.into_iter().map(wire).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes<'a> {
    #[serde(borrow)]
    sent_timestamp: Cow<'a, str>,
    #[serde(borrow)]
    approximate_receive_count: Cow<'a, str>,
}

fn wire(id: &str, attributes: &Attributes<'_>, body: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() + 160);
    wire.extend_from_slice(br#"{"messageId":"#);
    serde_json::to_writer(&mut wire, id).expect("text always encodes");
    for (name, value) in [
        (r#","sentTimestamp":"#, &attributes.sent_timestamp),
        (r#","receiveCount":"#, &attributes.approximate_receive_count),
        (r#","body":"#, &Cow::Borrowed(body)),
    ] {
        wire.extend_from_slice(name.as_bytes());
        wire.extend_from_slice(value.as_bytes());
    }
    wire.push(b'}');
    wire
}
