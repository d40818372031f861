//! The circuit breaker of the built binary: pause, probe, resume, and an operator's pause in between.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering::Relaxed},
};

use lab::{
    environment::{Answer, Environment},
    perseus::{Perseus, Reply},
};

use crate::{
    event_source_mapping::EventSourceMapping,
    function,
    mapping::Mapping,
    queue::{Kind, Queue},
    server::Server,
};

/// A Perseus whose status the test sets.
async fn perseus(status: &Arc<AtomicU16>) -> Perseus {
    let status = Arc::clone(status);
    Perseus::start(move |_| Reply::status(status.load(Relaxed))).await
}

async fn send(queue: &Queue, kind: Kind, body: &str) {
    queue
        .send(|message| {
            let message = message.message_body(body);
            match kind {
                Kind::Standard => message,
                Kind::Fifo => message.message_group_id("group").message_deduplication_id(body),
            }
        })
        .await;
}

/// A run of the prober. Its event is not read.
async fn probe(prober: &Environment) {
    let answer = prober.invoke("{}").await.answer;
    assert!(matches!(answer, Answer::Response { .. }), "{answer:?}");
}

async fn pause_probe_and_resume(kind: Kind) {
    let server = Server::start().await;
    let queue = Queue::create(&server, kind, 10).await;
    let mapping = EventSourceMapping::create(&server, &queue).await;
    let status = Arc::new(AtomicU16::new(401));
    let perseus = perseus(&status).await;
    let breaker = [("CIRCUIT_BREAKER", "on"), ("CIRCUIT_BREAKER_AFTER", "0s")];
    let forwarder = function::start_with(&perseus, &[&server.settings()[..], &breaker].concat()).await;
    let prober = [("_HANDLER", "prober"), ("PROBE_MAPPING", &mapping.uuid), ("PROBE_QUEUE_URL", &queue.url)];
    let prober = function::start_with(&perseus, &[&server.settings()[..], &prober].concat()).await;

    // Delivery: the prober changes nothing.
    send(&queue, kind, "1").await;
    probe(&prober).await;
    assert_eq!((mapping.state().await.as_str(), perseus.received().len()), ("Enabled", 0));

    // The set-up turns out to be wrong: the forwarder pauses delivery.
    let (_, reported) = Mapping::new(&queue, &forwarder, 10).invoke().await;
    assert_eq!(reported.len(), 1);
    assert_eq!(
        (mapping.state().await, mapping.paused_for().await),
        ("Disabled".into(), Some("set-up".into()))
    );

    // A probe that is not acknowledged leaves everything as it is, and its message is visible.
    probe(&prober).await;
    assert_eq!(
        (mapping.state().await, mapping.paused_for().await),
        ("Disabled".into(), Some("set-up".into()))
    );
    assert_eq!(perseus.received().len(), 2);
    let visible = queue.receive(10).await;
    assert_eq!(visible.len(), 1);
    queue.make_visible_in(0, &visible.iter().collect::<Vec<_>>()).await;

    // The first message that is acknowledged is deleted, and delivery resumes.
    status.store(200, Relaxed);
    send(&queue, kind, "2").await;
    probe(&prober).await;
    assert_eq!((mapping.state().await, mapping.paused_for().await), ("Enabled".into(), None));
    assert_eq!(queue.depth().await, 1);
    assert_eq!(perseus.committed_records()[0]["body"], 1);

    // An operator's pause is not the breaker's.
    mapping.set_enabled(false).await;
    probe(&prober).await;
    assert_eq!((mapping.state().await, queue.depth().await), ("Disabled".into(), 1));
    status.store(401, Relaxed);
    Mapping::new(&queue, &forwarder, 10).invoke().await;
    assert_eq!((mapping.state().await, mapping.paused_for().await), ("Disabled".into(), None));

    // The operator ends it.
    mapping.set_enabled(true).await;
    status.store(200, Relaxed);
    Mapping::new(&queue, &forwarder, 10).drain().await;
    assert_eq!(perseus.committed().len(), 2);
    assert_eq!(perseus.violations(), [""; 0]);
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn delivery_from_a_standard_queue_is_paused_and_resumed() {
    pause_probe_and_resume(Kind::Standard).await;
}

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn delivery_from_a_fifo_queue_is_paused_and_resumed() {
    pause_probe_and_resume(Kind::Fifo).await;
}
