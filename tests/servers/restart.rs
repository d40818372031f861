//! Servers that end and begin again while requests are on their way.

use std::time::Duration;

use lab::{environment::Environment, events::generate};

use crate::{
    origin::Kind::{Gunicorn, Uvicorn},
    proxy::{HAPROXY, NGINX},
    site::{Site, settled, told},
};

/// How long nginx is gone.
const BLINK: Duration = Duration::from_millis(100);

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

/// A hundred requests while nginx is gone for a moment; it may be that a few of them fail.
async fn blinks(site: &Site, records: usize, batch: &str, trouble: impl Future<Output = ()>) -> Environment {
    let settings = [("BATCH_MAX_RECORDS", batch)];
    let function = site.function_at("ingest?answer_after=0.05", Duration::from_secs(15), &settings).await;
    let event = generate(records, 50, None);
    let (delivery, ()) = tokio::join!(site.deliver_event(&function, event), trouble);
    assert!(delivery.reported <= records / 20, "{} come back: {:#?}", delivery.reported, told(&function));
    function
}

async fn revive_later(site: &Site) {
    tokio::time::sleep(BLINK).await;
    site.front().revive();
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_blink_at_the_beginning_is_no_outage() {
    let site = Site::behind(NGINX, Uvicorn).await;
    site.front().kill();
    // Few records, so that they are read, and refused, before nginx is there again.
    blinks(&site, 200, "2", revive_later(&site)).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_blink_in_the_middle_is_no_outage() {
    let site = Site::behind(NGINX, Uvicorn).await;
    let function = blinks(&site, 10_000, "100", async {
        while site.origin.taken().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        site.front().kill();
        revive_later(&site).await;
    })
    .await;
    assert!(settled(&function, "retries") > 0, "nothing was on its way, and nothing is shown");
}
