//! When messages come back that the function has given a visibility timeout.

use lab::{
    environment::Invoke,
    perseus::{Perseus, Reply},
};

use crate::{
    event::event,
    function,
    queue::{Kind, Queue},
    server::Server,
};

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn what_was_not_sent_comes_back_before_the_queues_own_timeout_ends() {
    let (server, perseus) = (Server::start().await, Perseus::start(|_| Reply::ok()).await);
    for kind in [Kind::Standard, Kind::Fifo] {
        let queue = Queue::create(&server, kind, 10).await;
        queue.hide_for(600).await;
        let group = (kind == Kind::Fifo).then(|| "group".to_owned());
        for number in 0..12 {
            let id = group.as_ref().map(|_| number.to_string());
            queue
                .send(|message| {
                    let message = message.message_body("reading").set_message_group_id(group.clone());
                    message.set_message_deduplication_id(id)
                })
                .await;
        }
        let settings = [&server.settings()[..], &[("SQS_VISIBILITY", "on")]].concat();
        let environment = function::start_with(&perseus, &settings).await;
        // A deadline within the reserve: there is no time for Perseus, and half of it is SQS'.
        let event = event(&queue.arn, &queue.receive(10).await).to_string().into();
        let invoke =
            Invoke { event, deadline_ms: 950, wait: std::time::Duration::from_secs(5), trace_id: None };
        assert_eq!(environment.invoke_with(invoke).await.answer.failed_ids().len(), 10);
        assert!(environment.logs().iter().all(|line| !line.contains("visibility timeouts")));
        // Not in what order they are given out then: moto frees a group by its last message, and gives out that first.
        queue.wait_until_visible(20).await;
    }
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn what_failed_stays_away_after_the_queues_own_timeout_has_ended() {
    let (server, perseus) = (Server::start().await, Perseus::start(|_| Reply::status(500)).await);
    let queue = Queue::create(&server, Kind::Standard, 10).await;
    queue.hide_for(1).await;
    for _ in 0..25 {
        queue.send(|message| message.message_body("reading")).await;
    }
    let settings = [&server.settings()[..], &[("SQS_VISIBILITY", "on")]].concat();
    let environment = function::start_with(&perseus, &settings).await;
    let event = event(&queue.arn, &queue.receive(25).await).to_string();
    assert_eq!(environment.invoke(event).await.answer.failed_ids().len(), 25);
    assert!(environment.logs().iter().all(|line| !line.contains("visibility timeouts")));
    assert_eq!(queue.receive_within(3).await, []);
    assert_eq!(queue.depth().await, 25);
}
