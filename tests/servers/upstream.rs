//! A proxy that is well, and an origin that is not.

use std::time::Duration;

use crate::{
    origin::Kind::{Gunicorn, Uvicorn},
    proxy::{HAPROXY, Haproxy, NGINX, Nginx},
    site::{Site, assert_says},
};

const TIMEOUT: Duration = Duration::from_secs(8);

async fn is_down(site: Site, status: &str) {
    let function = site.function(&[]).await;
    site.origin.program.kill();
    assert_eq!(site.deliver(&function, 500).await.acknowledged, 0);
    assert_says(&function, &["batch failed", status]);
    site.origin.program.revive();
    site.origin.program.listening().await;
    site.deliver_all_again(&function).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx_without_it() {
    is_down(Site::behind(NGINX, Uvicorn).await, "status 502").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy_without_it() {
    is_down(Site::behind(HAPROXY, Gunicorn).await, "status 503").await;
}

/// The proxy says 504, and the origin takes the records all the same.
async fn takes_too_long(site: Site) {
    let function = site.function_at("ingest?answer_after=2", TIMEOUT, &[]).await;
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    assert_says(&function, &["batch failed", "status 504"]);
    assert!(!site.origin.taken().is_empty(), "the origin has taken nothing, and nothing is shown");
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx_loses_patience() {
    takes_too_long(Site::behind(Nginx { server: "proxy_read_timeout 1s;", ..NGINX }, Uvicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy_loses_patience() {
    let proxy = Haproxy { defaults: "timeout server 1s", ..HAPROXY };
    takes_too_long(Site::behind(proxy, Gunicorn).await).await;
}

/// The proxy makes an empty 200 of an origin that ends without an answer.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn an_empty_200_of_a_proxy_is_no_acknowledgement_if_the_body_is_asked_for() {
    let server = "error_page 502 =200 /empty; location = /empty { return 200; }";
    let site = Site::behind(Nginx { server, ..NGINX }, Gunicorn).await;
    let strict = [("PERSEUS_ACK", "body")];
    let function = site.function_at("ingest?die", TIMEOUT, &strict).await;
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    let function = site.function_at("ingest?verdicts", TIMEOUT, &strict).await;
    site.deliver_all(&function).await;
}
