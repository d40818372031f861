//! Which certificates of Perseus are trusted (`PERSEUS_CA_CERT`).

use rcgen::{CertificateParams, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    tls::{TlsPerseus, acceptor, acceptor_with, authority, authority_of},
    *,
};

/// The reported ids of an event with record "a", and how many requests arrived, with this `PERSEUS_CA_CERT`.
async fn outcome(acceptor: TlsAcceptor, trusted: &str) -> (Vec<String>, usize) {
    let perseus = TlsPerseus::start(acceptor).await;
    let handler = handler(&perseus.url, &[("PERSEUS_CA_CERT", trusted), ("MAX_ATTEMPTS", "2")]);
    let reported = report(&handler, &event("a")).await;
    (reported, perseus.heads().len())
}

#[tokio::test(start_paused = true)]
async fn a_configured_authority_is_trusted() {
    let (pem, issuer) = authority();
    let (other, _) = authority();
    let acceptor = acceptor(&issuer, "127.0.0.1");
    let delivered = (Vec::<String>::new(), 1);
    assert_eq!(outcome(acceptor.clone(), &pem).await, delivered);
    assert_eq!(outcome(acceptor.clone(), &format!("{other}{}", pem.replace('\n', "\\n"))).await, delivered);
    let refused = (vec!["a".to_owned()], 0);
    assert_eq!(outcome(acceptor.clone(), "").await, refused);
    assert_eq!(outcome(acceptor, &other).await, refused);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_valid_only_for_its_host() {
    let (pem, issuer) = authority();
    let refused = (vec!["a".to_owned()], 0);
    assert_eq!(outcome(acceptor(&issuer, "perseus.example"), &pem).await, refused);
}

#[tokio::test(start_paused = true)]
async fn the_servers_certificate_must_be_valid_and_the_authority_may_have_expired() {
    let expired = |names: &[&str]| {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_after = date_time_ymd(2020, 1, 1);
        params
    };
    let (pem, issuer) = authority_of(expired(&[]));
    assert_eq!(outcome(acceptor(&issuer, "127.0.0.1"), &pem).await, (vec![], 1));
    let refused = (vec!["a".to_owned()], 0);
    assert_eq!(outcome(acceptor_with(&issuer, &expired(&["127.0.0.1"])), &pem).await, refused);
}

#[tokio::test(start_paused = true)]
async fn a_retry_on_a_new_connection_trusts_the_same_authorities() {
    let (pem, issuer) = authority();
    let acceptor = acceptor(&issuer, "127.0.0.1");
    let server = RawServer::start(move |_, connection| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(connection.stream).await else { return };
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains("\"messageId\":") {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            // The next request is lost on this connection.
            let _ = stream.read_buf(&mut bytes).await;
        }
    })
    .await;
    let url = server.url.replace("http:", "https:");
    let handler = handler(&url, &[("PERSEUS_CA_CERT", &pem), ("MAX_ATTEMPTS", "1")]);
    for _ in 0..2 {
        assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    }
}
