//! Rejected records that the function has sent to the dead-letter queue itself.

use std::collections::BTreeMap;

use aws_sdk_sqs::{
    primitives::Blob,
    types::{Message, MessageAttributeValue},
};
use lab::perseus::{Perseus, Received, Reply};

use crate::{
    function,
    mapping::Mapping,
    queue::{Kind, Queue},
    server::Server,
};

const POISON: &str = " {\"poison\" : 1.0}\n\u{2603}";

fn picky(request: &Received) -> Reply {
    let is_bad = request.records.iter().any(|record| record["body"].to_string().contains("poison"));
    if is_bad { Reply::status(400).body("no time field") } else { Reply::ok() }
}

fn attributes(message: &Message) -> BTreeMap<&str, &str> {
    let attributes = message.message_attributes.iter().flatten();
    attributes.filter_map(|(name, value)| Some((name.as_str(), value.string_value()?))).collect()
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn poison_is_in_the_dead_letter_queue_after_one_delivery_with_the_reason() {
    let (server, perseus) = (Server::start().await, Perseus::start(picky).await);
    let queue = Queue::create(&server, Kind::Standard, 10).await;
    let text = MessageAttributeValue::builder().data_type("String").string_value("west").build().unwrap();
    let bytes =
        MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([0, 255])).build();
    let poison = queue
        .send(|message| {
            let message = message.message_body(POISON).message_attributes("site", text);
            message.message_attributes("checksum", bytes.unwrap())
        })
        .await;
    for number in 0..30 {
        queue.send(|message| message.message_body(format!("{{\"reading\":{number}}}"))).await;
    }
    let to = ("REJECTED_QUEUE_URL", queue.dead_letter_url.as_str());
    let environment = function::start_with(&perseus, &[&server.settings()[..], &[to]].concat()).await;
    let mut mapping = Mapping::new(&queue, &environment, 100);
    let (delivered, reported) = mapping.invoke().await;
    assert_eq!((delivered.len(), reported.len()), (31, 0));
    assert_eq!(perseus.committed().len(), 30);
    assert_eq!(queue.depth().await, 0);

    let dead = queue.receive_dead_letters().await;
    let [dead] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!(dead.body(), Some(POISON));
    let id = poison.message_id.unwrap();
    let expected = [
        ("Rejected.MessageId", id.as_str()),
        ("Rejected.Reason", "status 400: no time field"),
        ("Rejected.ReceiveCount", "1"),
        ("Rejected.SourceQueue", queue.arn.as_str()),
        ("Rejected.Status", "400"),
        ("site", "west"),
    ];
    assert_eq!(attributes(dead), expected.into());
    let checksum = dead.message_attributes().unwrap()["checksum"].binary_value().unwrap();
    assert_eq!(checksum.as_ref(), [0, 255]);
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn poison_leaves_its_group_and_the_group_goes_on_in_order() {
    let (server, perseus) = (Server::start().await, Perseus::start(picky).await);
    let queue = Queue::create(&server, Kind::Fifo, 10).await;
    let mut sent = Vec::new();
    for number in 0..12 {
        let body = if number % 4 == 2 { POISON.to_owned() } else { format!("{{\"reading\":{number}}}") };
        let message = queue.send(|message| {
            message.message_body(body).message_group_id("group").message_deduplication_id(number.to_string())
        });
        sent.push(message.await.message_id.unwrap());
    }
    let to = ("REJECTED_QUEUE_URL", queue.dead_letter_url.as_str());
    let environment = function::start_with(&perseus, &[&server.settings()[..], &[to]].concat()).await;
    Mapping::new(&queue, &environment, 10).drain().await;

    let (poison, good): (Vec<_>, Vec<_>) = (0..12).partition(|number| number % 4 == 2);
    let ids =
        |numbers: Vec<usize>| numbers.into_iter().map(|number| sent[number].clone()).collect::<Vec<_>>();
    assert_eq!(perseus.committed(), ids(good));
    let dead = queue.receive_dead_letters().await;
    let from: Vec<_> =
        dead.iter().map(|message| attributes(message)["Rejected.MessageId"].to_owned()).collect();
    assert_eq!(from, ids(poison));
    assert_eq!(perseus.violations(), [""; 0]);
}
