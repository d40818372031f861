//! A 413 that comes before the body has been read.

use lab::events::generate;
use serde_json::Value;

use crate::{
    origin::Kind::{Gunicorn, Uvicorn},
    proxy::{HAPROXY, Haproxy, NGINX, Nginx},
    site::{Site, assert_says, told},
};

/// A hundred records of 5 kB and one of 50 kB, for a proxy that takes 20 kB.
fn event() -> String {
    let mut event: Value = serde_json::from_str(&generate(101, 5_000, None)).unwrap();
    let large: Value = serde_json::from_str(&generate(1, 50_000, None)).unwrap();
    event["Records"][50] = large["Records"][0].clone();
    event.to_string()
}

async fn halves_until_it_fits(site: Site) {
    let function = site.function(&[]).await;
    let delivery = site.deliver_event(&function, event()).await;
    assert_eq!((delivery.acknowledged, delivery.reported), (100, 1), "{:#?}", told(&function));
    assert_says(&function, &["batch failed", "\"rejected\"", "status 413"]);
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn nginx() {
    let proxy = Nginx { server: "client_max_body_size 20k;", ..NGINX };
    halves_until_it_fits(Site::behind(proxy, Uvicorn).await).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn haproxy() {
    let frontend = "http-request deny deny_status 413 if { req.hdr_val(content-length) gt 20480 }";
    halves_until_it_fits(Site::behind(Haproxy { frontend, ..HAPROXY }, Gunicorn).await).await;
}
