//! Servers that end and begin again while requests are on their way.

use std::time::Duration;

use lab::{environment::Environment, events::generate};

use crate::{
    origin::Kind::{Gunicorn, Uvicorn},
    proxy::{HAPROXY, NGINX},
    site::Site,
};

/// How long nginx is gone while the function works; it needs a part of that to read an event of 10,000 records.
const BLINK: Duration = Duration::from_millis(500);

/// How often there is trouble; `ROUNDS` in the environment says otherwise.
fn rounds() -> usize {
    #[expect(clippy::disallowed_methods, reason = "it configures the test, not the function")]
    std::env::var("ROUNDS").map_or(4, |rounds| rounds.parse().unwrap())
}

/// Sends one event after the other while `trouble` lasts. Gives how many records were reported.
async fn load(site: &Site, function: &Environment, trouble: impl Future<Output = ()>) -> usize {
    let mut reported = 0;
    let events = async {
        loop {
            reported += site.deliver(function, 200).await.reported;
        }
    };
    // The last event is dropped on its way, and the function goes on with it: the next one waits until it has ended.
    tokio::select! {
        () = events => {}
        () = trouble => {}
    }
    reported
}

async fn is_killed(site: Site) {
    let function = site.function(&[]).await;
    for _ in 0..rounds() {
        load(&site, &function, async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            site.front().kill();
            tokio::time::sleep(Duration::from_millis(150)).await;
            site.front().revive();
            site.front().listening().await;
        })
        .await;
        site.deliver_all_again(&function).await;
    }
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx_is_killed() {
    is_killed(Site::behind(NGINX, Uvicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy_is_killed() {
    is_killed(Site::behind(HAPROXY, Uvicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn uvicorn_is_killed() {
    is_killed(Site::direct(Uvicorn, &[]).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn gunicorn_is_killed() {
    is_killed(Site::direct(Gunicorn, &[]).await).await;
}

async fn is_reloaded(site: Site) {
    let function = site.function(&[]).await;
    let reloads = async {
        for _ in 0..rounds() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            site.proxy().reload();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(load(&site, &function, reloads).await, 0);
    site.deliver_all(&function).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx_is_reloaded() {
    is_reloaded(Site::behind(NGINX, Uvicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy_is_reloaded() {
    is_reloaded(Site::behind(HAPROXY, Gunicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_blink_is_no_outage() {
    let site = Site::behind(NGINX, Uvicorn).await;
    let function = site.function_at("ingest", Duration::from_secs(15), &[("BATCH_MAX_RECORDS", "100")]).await;
    site.deliver_all(&function).await;
    site.front().kill();
    let revival = async {
        tokio::time::sleep(BLINK).await;
        site.front().revive();
    };
    let event = generate(10_000, 50, None);
    let (delivery, ()) = tokio::join!(site.deliver_event(&function, event), revival);
    assert!(delivery.reported <= 100, "{} of 10,000 come back", delivery.reported);
}
