//! A server that is busy, and begins to read a large body late.

use std::time::Duration;

use lab::events::generate;

use crate::{
    origin::Kind::{self, Gunicorn, Uvicorn},
    site::{Site, told},
};

async fn reads_late(kind: Kind) {
    let site = Site::direct(kind, &[]).await;
    let function = site.function_at("ingest?read_after=5", Duration::from_secs(15), &[]).await;
    let delivery = site.deliver_event(&function, generate(1, 300_000, None)).await;
    assert_eq!(delivery.reported, 0, "{:#?}", told(&function));
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn uvicorn() {
    reads_late(Uvicorn).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn gunicorn() {
    reads_late(Gunicorn).await;
}
