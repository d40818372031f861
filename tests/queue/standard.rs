//! A standard queue.

use std::collections::BTreeSet;

use lab::perseus::Perseus;

use crate::{
    flaky::{self, POISON},
    function,
    mapping::Mapping,
    queue::{Kind, Queue},
    server::Server,
};

const SEED: u64 = 7;
/// A record's delivery fails three times in ten at the most: this often in a row, once in 10^10.
const MAX_RECEIVE_COUNT: u32 = 20;

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn nothing_is_lost_and_poison_alone_is_dead_lettered() {
    let server = Server::start().await;
    let perseus = flaky::start(SEED).await;
    let queue = Queue::create(&server, Kind::Standard, MAX_RECEIVE_COUNT).await;
    let environment = function::start(&perseus).await;
    let (sent, poison) = send(&queue).await;

    let mut mapping = Mapping::new(&queue, &environment, 25);
    mapping.drain().await;

    let committed: BTreeSet<String> = perseus.committed().into_iter().collect();
    assert!(mapping.deleted.is_subset(&committed), "deleted and not delivered");
    assert_eq!(queue.take_dead_letters().await, poison);
    assert_eq!(committed, &sent - &poison);
    assert_eq!(perseus.violations(), [""; 0]);
    assert!(redelivered(&perseus) > 0, "nothing went wrong, and nothing is shown");
}

/// Fills the queue with text and JSON, one in 25 of it poison. Gives all ids and those of the poison.
async fn send(queue: &Queue) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut sent, mut poison) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..100 {
        let kind = if number % 25 == 13 { POISON } else { "reading" };
        let body =
            if number % 2 == 0 { format!("{kind} {number}") } else { format!("{{\"{kind}\":{number}}}") };
        let id = queue.send(|message| message.message_body(body)).await.message_id.unwrap();
        if kind == POISON {
            poison.insert(id.clone());
        }
        sent.insert(id);
    }
    (sent, poison)
}

/// How many records Perseus took from a redelivery.
fn redelivered(perseus: &Perseus) -> usize {
    let records = perseus.committed_records();
    records.iter().filter(|record| record["receiveCount"].as_u64().unwrap() > 1).count()
}
