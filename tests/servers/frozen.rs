//! Servers that stop in their tracks: connections are taken by the kernel, and nobody answers.

use std::time::Duration;

use crate::{
    origin::Kind::{Gunicorn, Uvicorn},
    proxy::{HAPROXY, NGINX},
    site::{Site, assert_says},
};

const BLINK: Duration = Duration::from_secs(2);

async fn freezes(site: Site) {
    let function = site.function(&[]).await;
    site.deliver_all(&function).await;

    // For a moment: the requests wait, and arrive.
    site.front().freeze();
    let thaw = async {
        tokio::time::sleep(BLINK).await;
        site.front().thaw();
    };
    tokio::join!(site.deliver_all(&function), thaw);

    // For good: all come back, in time.
    site.front().freeze();
    let delivery = site.deliver(&function, 500).await;
    site.front().thaw();
    assert_eq!(delivery.acknowledged, 0);
    assert_says(&function, &["batch failed", "timed out"]);
    site.deliver_all_again(&function).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx() {
    freezes(Site::behind(NGINX, Uvicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy() {
    freezes(Site::behind(HAPROXY, Gunicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn uvicorn() {
    freezes(Site::direct(Uvicorn, &[]).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn gunicorn() {
    freezes(Site::direct(Gunicorn, &[]).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn an_origin_behind_its_proxy() {
    let site = Site::behind(NGINX, Uvicorn).await;
    let function = site.function(&[]).await;
    site.origin.program.freeze();
    let delivery = site.deliver(&function, 500).await;
    site.origin.program.thaw();
    assert_eq!(delivery.acknowledged, 0);
    site.deliver_all_again(&function).await;
}
