//! A server that is busy, and begins to read a large body late.

use std::time::Duration;

use lab::events::generate;

use crate::{
    origin::Kind::{self, Gunicorn, Uvicorn},
    site::{Site, settled, told},
};

async fn reads_late(kind: Kind) {
    let site = Site::direct(kind, &[]).await;
    let function = site.function_at("ingest?read_after=5", Duration::from_secs(15), &[]).await;
    // The first attempt may find out that the server is slow. Nothing is found out twice.
    for most_retries in [1, 0] {
        let delivery = site.deliver_event(&function, generate(1, 300_000, None)).await;
        let retries = settled(&function, "retries");
        assert!(delivery.reported == 0 && retries <= most_retries, "{retries}: {:#?}", told(&function));
    }
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
