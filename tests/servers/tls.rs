//! TLS as servers speak it, by OpenSSL: it works, or the log says what is wrong.

use std::time::Duration;

use lab::environment::Environment;
use tokio::net::TcpListener;

use crate::{
    certificate::{
        self, ed25519, expired, good, its_own_authority, of_an_authority_with_a_new_key,
        of_an_unknown_authority, of_another_host, p384, p521, rsa_2048, rsa_4096, without_the_one_between,
    },
    origin::Kind::Uvicorn,
    proxy::{HAPROXY, Haproxy, Kind, NGINX, Nginx},
    site::{Site, assert_says},
};

const TIMEOUT: Duration = Duration::from_secs(8);
const TLS: Nginx = Nginx { listen: "ssl", ..NGINX };

async fn behind(proxy: impl Into<Kind>, certificate: certificate::Write) -> (Site, Environment) {
    let site = Site::behind_with(proxy, Uvicorn, certificate).await;
    let function = site.function_at("https://ingest", TIMEOUT, &[("MAX_ATTEMPTS", "2")]).await;
    (site, function)
}

async fn works(certificate: certificate::Write) {
    for server in ["", "ssl_protocols TLSv1.2;", "ssl_protocols TLSv1.3;"] {
        let (site, function) = behind(Nginx { server, ..TLS }, certificate).await;
        site.deliver_all(&function).await;
    }
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn keys_on_the_curve_p_256_work() {
    works(good).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn keys_on_the_curve_p_384_work() {
    works(p384).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn ed25519_keys_work() {
    works(ed25519).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn rsa_keys_of_2048_bits_work() {
    works(rsa_2048).await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn rsa_keys_of_4096_bits_work() {
    works(rsa_4096).await;
}

/// Nothing is delivered, and a failed batch has this for its reason.
async fn fails(proxy: impl Into<Kind>, certificate: certificate::Write, reason: &str) {
    let (site, function) = behind(proxy, certificate).await;
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    assert_says(&function, &["batch failed", reason]);
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn an_expired_certificate_is_named() {
    fails(TLS, expired, "no connection (invalid peer certificate: certificate expired").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_certificate_of_another_host_is_named() {
    fails(TLS, of_another_host, "no connection (invalid peer certificate: certificate not valid for name")
        .await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn an_unknown_authority_is_named() {
    fails(TLS, of_an_unknown_authority, "no connection (invalid peer certificate: UnknownIssuer").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn an_authority_with_a_new_key_is_named() {
    fails(TLS, of_an_authority_with_a_new_key, "no connection (invalid peer certificate: BadSignature").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_certificate_that_is_missing_in_between_is_named() {
    fails(TLS, without_the_one_between, "no connection (invalid peer certificate: UnknownIssuer").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn an_authority_that_is_its_own_server_is_named() {
    fails(TLS, its_own_authority, "CaUsedAsEndEntity").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_key_on_the_curve_p_521_is_named() {
    fails(TLS, p521, "no connection (received fatal alert: HandshakeFailure").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_client_certificate_that_is_demanded_is_named() {
    let proxy = Haproxy { bind: "ssl crt bundle.pem ca-file authority.pem verify required", ..HAPROXY };
    fails(proxy, good, "connection lost (received fatal alert: CertificateRequired").await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_server_that_speaks_http_2_alone_is_named() {
    fails(Haproxy { bind: "ssl crt bundle.pem alpn h2 proto h2", ..HAPROXY }, good, "connection lost (")
        .await;
}

#[tokio::test]
#[ignore = "needs servers: run by .ci/run"]
async fn a_handshake_that_stalls_is_in_time() {
    let site = Site::direct(Uvicorn, &[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let function = Environment::builder(env!("CARGO_BIN_EXE_perseus-forwarder"))
        .timeout(TIMEOUT)
        .env("PERSEUS_URL", format!("https://{}/ingest", silent.local_addr().unwrap()))
        .start()
        .await
        .unwrap();
    assert_eq!(site.deliver(&function, 100).await.acknowledged, 0);
    assert_says(&function, &["batch failed", "timed out"]);
}
