//! TLS handshakes that fail, and the reason in the log.

use std::sync::Arc;

use lab::environment::Environment;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::{CertifiedKey, Signer, SigningKey},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::support::*;

/// A self-signed certificate.
fn self_signed(is_ca: IsCa) -> (Certificate, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn server(config: impl FnOnce() -> ServerConfig) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(config()))
}

fn config_of(certificate: &Certificate, key: PrivateKeyDer<'static>) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.clone())], key)
        .unwrap()
}

/// The logged reason after posting to this server, which sends `greeting` first. None if the batch did not fail.
async fn reason(acceptor: TlsAcceptor, trusted: &str, greeting: &'static [u8]) -> Option<String> {
    let environment = posted(acceptor, trusted, greeting, &[]).await;
    lines(&environment, "batch failed").pop().map(|line| line["reason"].as_str().unwrap().to_owned())
}

/// A function with these settings, after it has posted to this server.
async fn posted(
    acceptor: TlsAcceptor,
    trusted: &str,
    greeting: &'static [u8],
    settings: &[(&str, &str)],
) -> Environment {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => stream,
                Err((_, mut stream)) => {
                    // Closing a socket with unread bytes resets the connection, and the client may lose the alert.
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    continue;
                }
            };
            stream.write_all(greeting).await.unwrap();
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains("\"messageId\":\"a\"") {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let mut builder = Environment::builder(BINARY)
        .env("PERSEUS_URL", url)
        .env("PERSEUS_CA_CERT", trusted)
        .env("MAX_ATTEMPTS", "1");
    for (name, value) in settings {
        builder = builder.env(*name, *value);
    }
    let environment = builder.start().await.unwrap();
    environment.invoke(event("a").to_string()).await;
    environment
}

/// Asserts that a reason starts with this and ends with advice that contains these words.
fn assert_advice(reason: Option<String>, error: &str, advice: &str) {
    let reason = reason.expect("it was delivered");
    let (told, advised) = reason.split_once("; ").expect(&reason);
    assert!(told.contains(error) && advised.contains(advice), "{reason}");
}

#[tokio::test]
async fn a_self_signed_certificate_must_be_one_of_a_server() {
    let (certificate, key) = self_signed(IsCa::Ca(BasicConstraints::Unconstrained));
    let acceptor = server(|| config_of(&certificate, key));
    assert_advice(reason(acceptor, &certificate.pem(), b"").await, "CaUsedAsEndEntity", "CA:FALSE");
    let (certificate, key) = self_signed(IsCa::ExplicitNoCa);
    let acceptor = server(|| config_of(&certificate, key));
    assert_eq!(reason(acceptor, &certificate.pem(), b"").await, None, "what the advice says works");
}

/// A key of a kind that the function's TLS library does not support.
#[derive(Debug)]
struct UnknownKey(CertificateDer<'static>);

impl SigningKey for UnknownKey {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        None
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl ResolvesServerCert for UnknownKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = Arc::new(UnknownKey(self.0.clone()));
        Some(Arc::new(CertifiedKey::new(vec![self.0.clone()], key)))
    }
}

#[tokio::test]
async fn an_unsupported_key_is_named_in_the_reason() {
    let (certificate, _) = self_signed(IsCa::ExplicitNoCa);
    let key = UnknownKey(CertificateDer::from(certificate.clone()));
    let acceptor = server(|| {
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(key))
    });
    assert_advice(reason(acceptor, &certificate.pem(), b"").await, "HandshakeFailure", "P-521");
}

#[tokio::test]
async fn a_server_that_demands_a_client_certificate_is_named_in_the_reason() {
    for version in [&TLS12, &TLS13] {
        let reason = demanding(version).await;
        assert_advice(reason, "CertificateRequired", "client certificate");
    }
}

async fn demanding(version: &'static SupportedProtocolVersion) -> Option<String> {
    let (acceptor, trusted) = demanding_acceptor(version);
    reason(acceptor, &trusted, b"").await
}

/// Demands a client certificate. Also returns its own certificate.
fn demanding_acceptor(version: &'static SupportedProtocolVersion) -> (TlsAcceptor, String) {
    let (certificate, key) = self_signed(IsCa::ExplicitNoCa);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.clone())).unwrap();
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let acceptor = server(|| {
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![CertificateDer::from(certificate.clone())], key)
            .unwrap()
    });
    (acceptor, certificate.pem())
}

/// A certificate with its key that no server of these tests accepts, as PEM.
fn client_certificate() -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["forwarder".to_owned()]).unwrap().self_signed(&key).unwrap();
    format!("{}{}", certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_client_certificate_that_is_refused_is_named_and_its_key_is_never_shown() {
    let certificate = client_certificate();
    for (certificate, look_at) in
        [(certificate.as_str(), "PERSEUS_CLIENT_CERT"), ("", "PERSEUS_CLIENT_CERT_SECRET and")]
    {
        let (acceptor, trusted) = demanding_acceptor(&TLS13);
        let settings = [("PERSEUS_CLIENT_CERT", certificate), ("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
        let environment = posted(acceptor, &trusted, b"", &settings).await;
        let told = "Perseus does not take what this set-up sends; nothing more is sent in this invocation";
        let [line] = &lines(&environment, told)[..] else { panic!("{:#?}", environment.logs()) };
        assert!(line["lookAt"].as_str().unwrap().starts_with(look_at), "{line}");
        assert_eq!(line.get("status"), None, "{line}");
        let logs = environment.logs().concat();
        assert!(certificate.lines().all(|secret| !logs.contains(secret)), "{logs}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_http_2_alone_is_known_by_that() {
    // The first frame of HTTP/2: empty SETTINGS.
    const SETTINGS: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let (certificate, key) = self_signed(IsCa::ExplicitNoCa);
    let acceptor = server(|| {
        let mut config = config_of(&certificate, key);
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    });
    assert_advice(reason(acceptor, &certificate.pem(), SETTINGS).await, "HTTP version", "HTTP/2");
}
