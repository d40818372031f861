//! An environment that ends in the middle of an invocation.

use std::sync::Arc;

use lab::perseus::{Perseus, Reply};
use tokio::sync::Notify;

use crate::{
    event::event,
    function,
    mapping::Mapping,
    queue::{Kind, Queue},
    server::Server,
};

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn what_a_crash_leaves_behind_comes_back_when_its_visibility_timeout_ends() {
    let server = Server::start().await;
    let queue = Queue::create(&server, Kind::Standard, 3).await;
    let posted = Arc::new(Notify::new());
    let perseus = Perseus::start({
        let posted = Arc::clone(&posted);
        move |request| match request.number {
            0 => {
                posted.notify_one();
                Reply::hang()
            }
            _ => Reply::ok(),
        }
    })
    .await;
    let id = queue.send(|message| message.message_body("reading")).await.message_id.unwrap();

    let environment = function::start(&perseus).await;
    let received = queue.receive(10).await;
    tokio::select! {
        invocation = environment.invoke(event(&queue.arn, &received).to_string()) => panic!("{invocation:?}"),
        () = posted.notified() => {}
    }
    environment.shutdown().await;
    assert_eq!(queue.receive(10).await, [], "it is visible too early");
    queue.make_visible_in(1, &received.iter().collect::<Vec<_>>()).await;

    let returned = queue.receive_later().await;
    queue.make_visible_in(0, &returned.iter().collect::<Vec<_>>()).await;
    let environment = function::start(&perseus).await;
    let mut mapping = Mapping::new(&queue, &environment, 10);
    mapping.drain().await;
    assert_eq!(perseus.committed(), [id]);
    assert_eq!(perseus.committed_records()[0]["receiveCount"], 3);
    assert!(queue.take_dead_letters().await.is_empty());
}
