//! A FIFO queue.

use std::collections::{BTreeMap, BTreeSet};

use lab::perseus::{Perseus, Reply};

use crate::{
    flaky::{self, POISON},
    function,
    mapping::Mapping,
    queue::{Kind, Queue},
    server::Server,
};

/// One with which a reply is lost early.
const SEED: u64 = 11;
/// A record waits for those before it in its group, and half the time in vain at the most: this often in a row, once
/// in 10^9.
const MAX_RECEIVE_COUNT: u32 = 30;
/// The most that Lambda takes from a FIFO queue.
const BATCH_SIZE: usize = 10;
/// In the order in which they are sent to each group.
type Groups = BTreeMap<&'static str, Vec<String>>;

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn each_group_arrives_in_order_and_poison_alone_is_dead_lettered() {
    let server = Server::start().await;
    let perseus = flaky::start(SEED).await;
    let queue = Queue::create(&server, Kind::Fifo, MAX_RECEIVE_COUNT).await;
    let environment = function::start(&perseus).await;
    let mut sent = Groups::new();
    for number in 0..40 {
        let group = ["a", "b", "c", "d"][number % 4];
        sent.entry(group).or_default().push(send(&queue, group, &format!("reading {number}")).await);
    }
    // Last in its group: SQS would count the receptions of what waits behind it, and dead-letter that as well.
    let poison = send(&queue, "c", POISON).await;

    let mut mapping = Mapping::new(&queue, &environment, BATCH_SIZE);
    mapping.drain().await;

    let committed = perseus.committed();
    assert!(mapping.deleted.iter().all(|id| committed.contains(id)), "deleted and not delivered");
    assert_eq!(queue.take_dead_letters().await, BTreeSet::from([poison]));
    assert_eq!(first_commits(&perseus), sent);
    assert_eq!(perseus.violations(), [""; 0]);
    assert!(committed.len() > 40, "no reply was lost, and nothing is shown of what happens then");
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn a_group_waits_behind_its_poison_and_goes_on_once_that_is_dead_lettered() {
    let server = Server::start().await;
    let perseus = Perseus::start(|request| {
        let poisoned = request.records.iter().any(|record| record["body"] == POISON);
        Reply::status(if poisoned { 422 } else { 200 })
    })
    .await;
    let queue = Queue::create(&server, Kind::Fifo, 3).await;
    let environment = function::start(&perseus).await;
    let mut mapping = Mapping::new(&queue, &environment, BATCH_SIZE);
    let poison = send(&queue, "a", POISON).await;
    let other = send(&queue, "b", "other").await;
    let ids = |ids: &[&String]| -> Vec<String> { ids.iter().map(|&id| id.clone()).collect() };
    assert_eq!(mapping.invoke().await, (ids(&[&poison, &other]), ids(&[&poison])));

    // Sent after the poison was received, it has been received once less when the poison goes.
    let behind = send(&queue, "a", "behind").await;
    for _ in 0..2 {
        assert_eq!(mapping.invoke().await, (ids(&[&poison, &behind]), ids(&[&poison, &behind])));
        assert_eq!(perseus.committed(), ids(&[&other]));
    }
    assert_eq!(mapping.invoke().await, (ids(&[&behind]), ids(&[])));
    assert_eq!(perseus.committed(), ids(&[&other, &behind]));
    assert_eq!(queue.take_dead_letters().await, BTreeSet::from([poison]));
    assert_eq!(queue.depth().await, 0);
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn what_is_behind_a_refused_record_returns_with_it_even_if_perseus_took_it() {
    let server = Server::start().await;
    let perseus = Perseus::start(|request| match request.number {
        0 => Reply::refuse(207, &[(&request.message_ids[0], Some(false))]),
        _ => Reply::ok(),
    })
    .await;
    let queue = Queue::create(&server, Kind::Fifo, 3).await;
    let environment = function::start(&perseus).await;
    let mut mapping = Mapping::new(&queue, &environment, BATCH_SIZE);
    let refused = send(&queue, "a", "refused").await;
    let behind = send(&queue, "a", "behind").await;
    let other = send(&queue, "b", "other").await;
    let group = vec![refused.clone(), behind.clone()];
    assert_eq!(mapping.invoke().await, (vec![refused.clone(), behind.clone(), other.clone()], group.clone()));
    assert_eq!(mapping.invoke().await, (group, Vec::new()));
    assert_eq!(perseus.committed(), [behind.clone(), other, refused, behind]);
}

async fn send(queue: &Queue, group: &str, body: &str) -> String {
    let send = queue.send(|message| {
        message.message_group_id(group).message_deduplication_id(format!("{group} {body}")).message_body(body)
    });
    send.await.message_id.unwrap()
}

/// The ids by group, in the order in which Perseus first took them.
fn first_commits(perseus: &Perseus) -> Groups {
    let mut seen = BTreeSet::new();
    let mut groups = Groups::new();
    for record in perseus.committed_records() {
        let id = record["messageId"].as_str().unwrap().to_owned();
        let group = ["a", "b", "c", "d"].into_iter().find(|&group| record["groupId"] == group).unwrap();
        if seen.insert(id.clone()) {
            groups.entry(group).or_default().push(id);
        }
    }
    groups
}
