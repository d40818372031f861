//! Connections that the server closes, which it may do at any moment.

use std::time::Duration;

use crate::{
    origin::Kind::{Gunicorn, Uvicorn},
    proxy::{HAPROXY, Haproxy, NGINX, Nginx},
    site::Site,
};

async fn few_requests_a_connection(site: Site) {
    let function = site.function(&[]).await;
    for _ in 0..3 {
        site.deliver_all(&function).await;
    }
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx_takes_two_requests_a_connection() {
    few_requests_a_connection(
        Site::behind(Nginx { server: "keepalive_requests 2;", ..NGINX }, Uvicorn).await,
    )
    .await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy_takes_one_request_a_connection() {
    let proxy = Haproxy { defaults: "option httpclose", ..HAPROXY };
    few_requests_a_connection(Site::behind(proxy, Uvicorn).await).await;
}

/// Two workers. Each ends after about this many requests, and another one takes its place.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn gunicorn_takes_twenty_requests_a_process() {
    few_requests_a_connection(Site::direct(Gunicorn, &["--max-requests", "20"]).await).await;
}

/// The connections have been closed while the environment was frozen, and nobody has read the news.
async fn closed_while_frozen(site: Site) {
    let function = site.function(&[]).await;
    for _ in 0..3 {
        site.deliver_all(&function).await;
        function.freeze();
        tokio::time::sleep(Duration::from_secs(2)).await;
        function.thaw();
    }
    site.deliver_all(&function).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx_closes_what_idles() {
    closed_while_frozen(Site::behind(Nginx { server: "keepalive_timeout 1s;", ..NGINX }, Gunicorn).await)
        .await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy_closes_what_idles() {
    let proxy = Haproxy { defaults: "timeout http-keep-alive 1s", ..HAPROXY };
    closed_while_frozen(Site::behind(proxy, Gunicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn uvicorn_closes_what_idles() {
    closed_while_frozen(Site::direct(Uvicorn, &["--timeout-keep-alive", "1"]).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn gunicorn_closes_what_idles() {
    closed_while_frozen(Site::direct(Gunicorn, &["--keep-alive", "1"]).await).await;
}
