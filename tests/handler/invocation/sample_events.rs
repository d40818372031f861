//! The handler delivers each file of events/.

use lab::perseus::{Perseus, Reply};
use serde_json::Value;

use crate::support::*;

async fn deliver(payload: &[u8]) -> (Perseus, Vec<String>) {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    let reported = try_report(&handler, payload, 30 * SECOND).await.unwrap();
    assert_eq!(perseus.violations(), [""; 0]);
    (perseus, reported)
}

fn records(payload: &[u8]) -> Vec<Value> {
    serde_json::from_slice::<Value>(payload).unwrap()["Records"].as_array().unwrap().clone()
}

fn ids(payload: &[u8]) -> Vec<String> {
    records(payload).iter().map(|record| record["messageId"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn standard_queue() {
    let payload = include_bytes!("../../../events/standard.json");
    let (perseus, reported) = deliver(payload).await;
    assert_eq!(reported, [""; 0]);
    assert_eq!(perseus.committed(), ids(payload));
    let request = &perseus.received()[0];
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert!(
        body.contains(r#""body":{"type":"order.created","id":10000000000000000001,"total":19.90,"#),
        "{body}"
    );
    assert_eq!(request.records[1]["body"], "temperature=21.5;unit=C;sensor=roof-3");
    assert_eq!(request.records[2]["receiveCount"], 3);
}

#[tokio::test(start_paused = true)]
async fn fifo_two_groups() {
    let payload = include_bytes!("../../../events/fifo-two-groups.json");
    let (perseus, reported) = deliver(payload).await;
    assert_eq!(reported, [""; 0]);
    assert_eq!(perseus.received().len(), 1);
    let order_of = |group: &str| -> Vec<i64> {
        let records = perseus.received()[0].records.clone();
        records.iter().filter(|r| r["groupId"] == group).map(|r| r["body"]["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(order_of("ada"), [1, 2, 3]);
    assert_eq!(order_of("bob"), [1, 2]);
    assert!(perseus.received()[0].records.iter().all(|record| record["sequenceNumber"].is_string()));
    assert!(perseus.received()[0].records.iter().all(|record| record["deduplicationId"].is_string()));
}

#[tokio::test(start_paused = true)]
async fn many_records() {
    let payload = include_bytes!("../../../events/many-records.json");
    let (perseus, reported) = deliver(payload).await;
    assert_eq!(reported, [""; 0]);
    let batches: Vec<_> = perseus.received().iter().map(|request| request.records.len()).collect();
    assert_eq!(batches, [100, 100, 50]);
    assert_eq!(perseus.committed(), ids(payload));
}

#[tokio::test(start_paused = true)]
async fn attributes() {
    let payload = include_bytes!("../../../events/attributes.json");
    let (perseus, reported) = deliver(payload).await;
    assert_eq!(reported, [""; 0]);
    let posted = &perseus.received()[0].records;
    for (sent, posted) in records(payload).iter().zip(posted) {
        for (name, attribute) in sent["messageAttributes"].as_object().unwrap() {
            for field in ["dataType", "stringValue", "binaryValue"] {
                assert_eq!(posted["attributes"][name][field], attribute[field], "{name} {field}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_record() {
    let payload = include_bytes!("../../../events/one-bad-record.json");
    let (perseus, reported) = deliver(payload).await;
    let ids = ids(payload);
    assert_eq!(reported, [ids[1].as_str()]);
    assert_eq!(perseus.committed(), [ids[0].as_str(), &ids[2]]);
}

#[tokio::test(start_paused = true)]
async fn empty() {
    let (perseus, reported) = deliver(include_bytes!("../../../events/empty.json")).await;
    assert_eq!(reported, [""; 0]);
    assert!(perseus.received().is_empty());
}
