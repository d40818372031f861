//! Why a proxy opens no tunnel.
//!
//! The HTTP client asks the proxy for a tunnel (CONNECT), and hides the status of a refusal. But a 403 means that the set-up
//! is wrong, and a 503 that Perseus is down. So the proxy is asked once more here.

use std::{io, sync::Arc, time::Duration};

use reqwest::{StatusCode, Url};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    http::{NAME_AND_VERSION, authority, root_cause},
    value::proxy::Proxy,
};

/// How long the proxy may take for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The length of `HTTP/1.1 403`.
const STATUS_END: usize = 12;

/// Whether an attempt failed because the proxy refused a tunnel.
pub(super) fn is_refused(error: &reqwest::Error) -> bool {
    // The error's type is private to hyper-util.
    ["tunnel error: unsuccessful", "tunnel error: proxy authorization required"]
        .contains(&root_cause(error).to_string().as_str())
}

/// The status with which the proxy refuses a tunnel to `target`. None if it refuses none now, or does not answer.
pub(super) async fn refusal(proxy: &Proxy, target: &Url, tls: ClientConfig) -> Option<StatusCode> {
    let status = timeout(PATIENCE, status(proxy, target, tls)).await.ok()?.ok()??;
    (!status.is_success()).then_some(status)
}

async fn status(proxy: &Proxy, target: &Url, tls: ClientConfig) -> io::Result<Option<StatusCode>> {
    let stream = TcpStream::connect(authority(&proxy.url)).await?;
    if proxy.url.scheme() == "http" {
        return ask(stream, proxy, target).await;
    }
    let host = proxy.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let host = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(host, stream).await?;
    ask(stream, proxy, target).await
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    proxy: &Proxy,
    target: &Url,
) -> io::Result<Option<StatusCode>> {
    let target = authority(target);
    let start = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nuser-agent: {NAME_AND_VERSION}\r\n");
    let mut request = start.into_bytes();
    if let Some(authorization) = proxy.authorization() {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut reply = [0; STATUS_END];
    stream.read_exact(&mut reply).await?;
    let status = reply.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..));
    Ok(status.and_then(|status| StatusCode::from_bytes(status).ok()))
}
