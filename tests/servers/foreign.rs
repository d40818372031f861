//! Replies that are not Perseus': a server's own pages.

use std::time::Duration;

use lab::environment::Environment;

use crate::{
    origin::Kind::Uvicorn,
    proxy::{NGINX, Nginx},
    site::{Site, assert_says, settled},
};

const TIMEOUT: Duration = Duration::from_secs(8);

/// A server that knows nothing of Perseus, and is asked for another path.
async fn elsewhere(server: &'static str) -> (Site, Environment) {
    let site = Site::behind(Nginx { server, ..NGINX }, Uvicorn).await;
    let function = site.function_at("elsewhere", TIMEOUT, &[]).await;
    (site, function)
}

/// As nginx is delivered: files, which take no POST.
#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_page_that_takes_no_post_is_a_wrong_url() {
    let (site, function) = elsewhere("location /elsewhere { alias /proc/version; }").await;
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    assert_says(&function, &["\"ERROR\"", "405", "lookAt", "PERSEUS_URL"]);
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_page_with_status_200_acknowledges_nothing() {
    let page = "location /elsewhere { alias /proc/version; error_page 405 =200 /welcome; }
                location = /welcome { default_type text/html; return 200 '<html>Welcome!</html>'; }";
    let (site, function) = elsewhere(page).await;
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    assert_says(&function, &["\"ERROR\"", "PERSEUS_URL"]);
}

/// 1,000 good records to a server that refuses each request for what is wrong with the set-up.
async fn few_are_rejected(nginx: Nginx, settings: &[(&str, &str)], excerpt: &str) {
    let site = Site::behind(nginx, Uvicorn).await;
    let queue = ("REJECTED_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/rejected");
    // Nobody is there, so that what is rejected comes back as well.
    let endpoint = ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1");
    let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
    let settings = [settings, &[queue, endpoint], &keys].concat();
    let function = site.function_at("ingest", TIMEOUT, &settings).await;
    assert_eq!(site.deliver(&function, 1_000).await.acknowledged, 0);
    let rejected = settled(&function, "rejected");
    assert!(rejected <= 60, "{rejected} good records rejected");
    assert_says(&function, &["\"ERROR\"", "400", excerpt]);
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_header_that_is_too_large_rejects_few() {
    let nginx = Nginx { server: "large_client_header_buffers 1 1k;", ..NGINX };
    let headers = format!(r#"{{"x-large":"{}"}}"#, "a".repeat(2_000));
    few_are_rejected(nginx, &[("PERSEUS_HEADERS", &headers)], "Too Large").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn plain_http_to_an_https_port_rejects_few() {
    few_are_rejected(Nginx { listen: "ssl", ..NGINX }, &[], "HTTPS port").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_client_certificate_that_is_missing_is_a_wrong_set_up() {
    let server = "ssl_client_certificate authority.pem; ssl_verify_client on;";
    let site = Site::behind(Nginx { listen: "ssl", server }, Uvicorn).await;
    let function = site.function_at("https://ingest", TIMEOUT, &[]).await;
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    assert_eq!(settled(&function, "rejected"), 0);
    assert_says(&function, &["\"ERROR\"", "400", "SSL certificate", "PERSEUS_CLIENT_CERT_SECRET"]);
}
