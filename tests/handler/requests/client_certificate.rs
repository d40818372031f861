//! A client certificate for Perseus (`PERSEUS_CLIENT_CERT…`): sent, refused, and renewed from its store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use lab::perseus::{Received, Reply};
use perseus_forwarder::lambda::handler::Handler;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use serde_json::json;
use tokio::{io::AsyncReadExt, time::sleep};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    extension::{Answer, Extension},
    tls::{TlsPerseus, acceptor, authority, authority_of, receive, server_certificate},
    *,
};

/// Another authority, with this name. Those of `authority` all have the same one.
fn named_authority(name: &str) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    authority_of(params).1
}

/// A certificate of a client with its key, as PEM. It is valid until the end of this year.
fn client(issuer: &Issuer<'_, KeyPair>, name: &str, until: i32) -> String {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(until, 12, 31);
    let key = KeyPair::generate().unwrap();
    format!("{}{}", params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

fn certificate_of(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

/// Demands a client certificate of this authority. It has a certificate of the same one.
fn demanding(
    pem: &str,
    issuer: &Issuer<'_, KeyPair>,
    version: &'static SupportedProtocolVersion,
) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = server_certificate(issuer, &params);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The settings of a handler that sends three records one by one.
fn one_by_one(authority: &str) -> [(&str, &str); 4] {
    [
        ("PERSEUS_CA_CERT", authority),
        ("BATCH_MAX_RECORDS", "1"),
        ("MAX_IN_FLIGHT", "1"),
        ("MAX_ATTEMPTS", "3"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_server_that_demands_a_client_certificate_gets_it() {
    let (pem, issuer) = authority();
    for version in [&TLS12, &TLS13] {
        let perseus = TlsPerseus::start(demanding(&pem, &issuer, version)).await;
        let certificate = client(&issuer, "forwarder", 2199);
        let settings = [&one_by_one(&pem)[..], &[("PERSEUS_CLIENT_CERT", certificate.as_str())]].concat();
        let handler = handler(&perseus.url, &settings);
        assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
        assert_eq!(perseus.heads().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_missing_wrong_or_expired_ends_all_sending() {
    let ((pem, issuer), (_, stranger)) = (authority(), authority());
    for version in [&TLS12, &TLS13] {
        for certificate in [
            String::new(),
            client(&stranger, "forwarder", 2199),
            client(&named_authority("other"), "forwarder", 2199),
            client(&issuer, "forwarder", 2020),
        ] {
            let mut perseus = TlsPerseus::start(demanding(&pem, &issuer, version)).await;
            let settings = [&one_by_one(&pem)[..], &[("PERSEUS_CLIENT_CERT", certificate.as_str())]].concat();
            let handler = handler(&perseus.url, &settings);
            assert_eq!(report(&handler, &event("a b c")).await, ["a", "b", "c"]);
            assert!(perseus.heads().is_empty());
            assert_eq!(perseus.connections(), 1, "no other attempt");
        }
    }
}

/// A handler that posts here, with a client certificate from this store.
fn stored(url: &str, authority: &str, extension: &Extension, attempts: &str) -> Handler {
    let settings = [
        ("PERSEUS_CA_CERT", authority),
        ("PERSEUS_CLIENT_CERT_SECRET", "perseus/certificate#pem"),
        ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", extension.port()),
        ("AWS_SESSION_TOKEN", "session"),
        ("BATCH_MAX_RECORDS", "1"),
        ("MAX_IN_FLIGHT", "1"),
        ("MAX_ATTEMPTS", attempts),
    ];
    handler(url, &settings)
}

/// A store that has each of these in turn, and then the last one.
async fn store(texts: Vec<String>) -> Extension {
    Extension::start(MS, move |call| {
        let secret = json!({ "pem": texts[call.min(texts.len() - 1)] }).to_string();
        Answer::Status(200, json!({ "SecretString": secret }).to_string())
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn the_certificate_is_read_at_first_need_and_kept() {
    let (pem, issuer) = authority();
    let perseus = TlsPerseus::start(demanding(&pem, &issuer, &TLS13)).await;
    let extension = store(vec![client(&issuer, "forwarder", 2199)]).await;
    let handler = stored(&perseus.url, &pem, &extension, "3");
    assert_eq!(report(&handler, &event("")).await, [""; 0]);
    assert!(extension.calls().is_empty(), "nothing to send yet");
    for _ in 0..2 {
        assert_eq!(report(&handler, &event("a b")).await, [""; 0]);
    }
    assert_eq!((perseus.heads().len(), extension.calls().len()), (4, 1));
    assert!(extension.calls()[0].starts_with("GET /secretsmanager/get?secretId=perseus%2Fcertificate "));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_tls_refuses_is_renewed_and_that_costs_no_attempt() {
    let ((pem, issuer), (_, stranger)) = (authority(), authority());
    for version in [&TLS12, &TLS13] {
        for old in [
            client(&stranger, "forwarder", 2199),
            client(&named_authority("other"), "forwarder", 2199),
            client(&issuer, "forwarder", 2020),
        ] {
            let perseus = TlsPerseus::start(demanding(&pem, &issuer, version)).await;
            let extension = store(vec![old, client(&issuer, "forwarder", 2199)]).await;
            let handler = stored(&perseus.url, &pem, &extension, "1");
            assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
            assert_eq!((perseus.heads().len(), extension.calls().len()), (3, 2));
        }
    }
}

const NGINX: &str = "<html>\r\n<head><title>400 The SSL certificate error</title></head>\r\n</html>";

/// A reply without a body, or with nginx' page.
fn reply(status: u16, page: &str) -> String {
    let length = page.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n{page}")
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_perseus_refuses_is_renewed_and_sent_on_new_connections() {
    let (pem, issuer) = authority();
    for refusal in [reply(401, ""), reply(403, ""), reply(495, ""), reply(400, NGINX)] {
        let [old, new] = ["old", "new"].map(|name| client(&issuer, name, 2199));
        let accepted = certificate_of(&new);
        let perseus = TlsPerseus::answering(demanding(&pem, &issuer, &TLS13), move |certificate| {
            if certificate == Some(&accepted[..]) { reply(204, "") } else { refusal.clone() }
        })
        .await;
        let extension = store(vec![old, new]).await;
        let handler = stored(&perseus.url, &pem, &extension, "1");
        assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
        assert_eq!((perseus.heads().len(), extension.calls().len()), (4, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_store_has_no_other_certificate_the_set_up_is_wrong() {
    let ((pem, issuer), (_, stranger)) = (authority(), authority());
    let mut perseus = TlsPerseus::start(demanding(&pem, &issuer, &TLS13)).await;
    let extension = store(vec![client(&stranger, "forwarder", 2199)]).await;
    let handler = stored(&perseus.url, &pem, &extension, "3");
    for invocation in 1..=3 {
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
        assert_eq!(perseus.connections(), 1, "one attempt in each invocation");
        assert_eq!(extension.calls().len(), 1 + invocation);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_certificate_nothing_is_sent_and_the_next_invocation_tries_again() {
    let (pem, issuer) = authority();
    for wrong in ["", "rubbish", &pem] {
        let mut perseus = TlsPerseus::start(demanding(&pem, &issuer, &TLS13)).await;
        let extension = store(vec![wrong.to_owned(), client(&issuer, "forwarder", 2199)]).await;
        let handler = stored(&perseus.url, &pem, &extension, "3");
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
        assert_eq!(perseus.connections(), 0);
        assert_eq!(report(&handler, &event("a b")).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_nginx_about_certificates_rejects_no_record() {
    let quoted = "<title>400 The SSL certificate error</title>";
    for (status, title, text, requests) in [
        (400, "400 No required SSL certificate was sent", "", 1),
        (400, "400 The SSL certificate error", "", 1),
        (400, "400 Bad Request", "", 3),
        (400, "400 Bad Request", quoted, 3),
        (422, "400 The SSL certificate error", "", 3),
    ] {
        let page = format!("<html><head><title>{title}</title></head>{text}</html>");
        let received = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&received);
        let answer = move |_: &Received| {
            counter.fetch_add(1, Relaxed);
            Reply::status(status).body(page.clone()).header("content-type", "text/html")
        };
        let (_perseus, handler) = forwarder(&[], answer).await;
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
        assert_eq!(received.load(Relaxed), requests, "{status}: {title}");
    }
}

/// A server that answers the beginning of a handshake with this fatal alert of TLS.
async fn alerting(description: u8) -> (RawServer, Arc<AtomicUsize>) {
    let connections = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&connections);
    let server = RawServer::start(move |_, mut connection| {
        counter.fetch_add(1, Relaxed);
        async move {
            connection.write([21, 3, 3, 0, 2, 2, description]).await;
            // Closing a socket with unread bytes resets the connection, and the client may lose the alert.
            let _ = connection.stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    (server, connections)
}

#[tokio::test(start_paused = true)]
async fn an_alert_about_a_certificate_that_was_not_set_ends_no_sending() {
    let (pem, issuer) = authority();
    let certificate = client(&issuer, "forwarder", 2199);
    for (description, set, attempts) in [
        // bad_certificate, access_denied, decrypt_error: other faults of a handshake have the last two as well.
        (42, "", 3),
        (49, "", 3),
        (51, "", 3),
        // certificate_required, handshake_failure.
        (116, "", 1),
        (40, "", 3),
        (42, &*certificate, 1),
        (49, &certificate, 1),
        (51, &certificate, 1),
        (116, &certificate, 1),
        (40, &certificate, 3),
    ] {
        let (server, connections) = alerting(description).await;
        let url = server.url.replace("http:", "https:");
        let settings = [&one_by_one(&pem)[..], &[("PERSEUS_CLIENT_CERT", set)]].concat();
        assert_eq!(report(&handler(&url, &settings), &event("a")).await, ["a"]);
        assert_eq!(
            connections.load(Relaxed),
            attempts,
            "alert {description}, certificate set: {}",
            !set.is_empty()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_lost_ask_the_store_once_a_minute() {
    let (pem, issuer) = authority();
    let acceptor = acceptor(&issuer, "127.0.0.1");
    let server = RawServer::start(move |_, connection| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(connection.stream).await {
                receive(&mut stream).await;
            }
        }
    })
    .await;
    let extension = store(vec![client(&issuer, "forwarder", 2199)]).await;
    let handler = stored(&server.url.replace("http:", "https:"), &pem, &extension, "3");
    for (wait, calls) in [(0, 1), (0, 1), (60, 2), (59, 2), (2, 3)] {
        sleep(Duration::from_secs(wait)).await;
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
        assert_eq!(extension.calls().len(), calls);
    }
}
