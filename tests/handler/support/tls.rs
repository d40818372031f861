//! Certificates, and a Perseus that speaks TLS.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::RawServer;

/// A certificate authority: its certificate as PEM, and its issuer.
pub(crate) fn authority() -> (String, Issuer<'static, KeyPair>) {
    authority_of(CertificateParams::new([]).unwrap())
}

pub(crate) fn authority_of(mut params: CertificateParams) -> (String, Issuer<'static, KeyPair>) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// Accepts TLS connections with a certificate that this authority issued for this host.
pub(crate) fn acceptor(issuer: &Issuer<'_, KeyPair>, host: &str) -> TlsAcceptor {
    acceptor_with(issuer, &CertificateParams::new([host.to_owned()]).unwrap())
}

pub(crate) fn acceptor_with(issuer: &Issuer<'_, KeyPair>, params: &CertificateParams) -> TlsAcceptor {
    let (certificate, key) = server_certificate(issuer, params);
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn server_certificate(
    issuer: &Issuer<'_, KeyPair>,
    params: &CertificateParams,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (CertificateDer::from(certificate), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// A Perseus that speaks TLS. It keeps the head of each request.
pub(crate) struct TlsPerseus {
    _server: RawServer,
    pub(crate) url: String,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl TlsPerseus {
    /// A Perseus that accepts everything.
    pub(crate) async fn start(acceptor: TlsAcceptor) -> Self {
        Self::answering(acceptor, |_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await
    }

    /// A Perseus whose answer depends on the client's certificate.
    pub(crate) async fn answering(
        acceptor: TlsAcceptor,
        answer: impl Fn(Option<&[u8]>) -> String + Send + Sync + 'static,
    ) -> Self {
        let (heads, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (noted, counter, answer) = (Arc::clone(&heads), Arc::clone(&connections), Arc::new(answer));
        let server = RawServer::start(move |_, connection| {
            counter.fetch_add(1, Relaxed);
            let (acceptor, noted, answer) = (acceptor.clone(), Arc::clone(&noted), Arc::clone(&answer));
            async move {
                let mut stream = match acceptor.accept(connection.stream).into_fallible().await {
                    Ok(stream) => stream,
                    Err((_, mut stream)) => {
                        // Closing a socket with unread bytes resets the connection, and the client may lose the alert.
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                        return;
                    }
                };
                let certificates = stream.get_ref().1.peer_certificates();
                let certificate = certificates.and_then(|chain| chain.first()).map(|first| first.to_vec());
                while let Some(head) = receive(&mut stream).await {
                    noted.lock().unwrap().push(head);
                    let _ = stream.write_all(answer(certificate.as_deref()).as_bytes()).await;
                }
            }
        })
        .await;
        let url = server.url.replace("http:", "https:");
        TlsPerseus { _server: server, url, heads, connections }
    }

    /// How many connections have come since the last call.
    pub(crate) fn connections(&mut self) -> usize {
        self.connections.swap(0, Relaxed)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Reads one whole request, and returns its head in lower case. None if the client closed the connection instead.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if bytes.len() >= end + 4 + length.unwrap_or("0").parse::<usize>().unwrap() {
                return Some(head);
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
