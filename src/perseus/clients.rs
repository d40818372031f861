//! The HTTP clients for Perseus.

use std::{
    cell::Cell,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{Client, ClientBuilder, header::HeaderMap};
use rustls::{ClientConfig, pki_types::TrustAnchor};
use tokio::task_local;
use tower::util::MapRequestLayer;

use crate::{
    http::{POOL_IDLE, tls, with_tls},
    value::{client_certificate::ClientCertificate, proxy::Proxy},
};

/// How long sent data may stay unacknowledged by the peer's kernel before the connection is given up.
///
/// A peer can vanish silently, for example behind a gateway that forgot the connection. This limit notices it before
/// `REQUEST_TIMEOUT` ends, while there is time for a retry.
///
/// Linux applies the same limit to a full receive window (tcp(7), `TCP_USER_TIMEOUT`), but a full window only means that
/// the server is slow to read. So the limit is switched off for the process when it ends a new connection although the
/// server still accepts connections. It is switched on again after a `REQUEST_TIMEOUT` or a failed connection.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// Which connection an attempt uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    /// One from the pool, or a new one if there is none.
    Any,
    /// A new one. Pooled connections may have died while the environment was frozen.
    New,
}

/// How all HTTP clients for Perseus are built.
#[derive(Debug)]
pub(super) struct ClientSettings {
    pub(super) headers: HeaderMap,
    pub(super) authorities: Vec<TrustAnchor<'static>>,
    pub(super) proxy: Option<Proxy>,
    pub(super) max_in_flight: usize,
}

/// The HTTP clients with one client certificate, or without one. Each is built on first use.
#[derive(Debug)]
pub(super) struct Clients {
    settings: Arc<ClientSettings>,
    certificate: Option<ClientCertificate>,
    /// First index: [`Connection`]. Second index: whether the limit [`UNACKNOWLEDGED`] is off.
    made: [[OnceLock<Client>; 2]; 2],
}

task_local! {
    /// Whether the current attempt opened a new connection. The client connects inside the attempt's own future, so a
    /// task-local value sees it.
    pub(super) static CONNECTS: Cell<bool>;
}

impl Clients {
    pub(super) fn new(settings: Arc<ClientSettings>, certificate: Option<ClientCertificate>) -> Self {
        Clients { settings, certificate, made: Default::default() }
    }

    /// Whether they send this client certificate.
    pub(super) fn send(&self, certificate: Option<&ClientCertificate>) -> bool {
        self.certificate.as_ref() == certificate
    }

    /// Their settings for TLS.
    pub(super) fn tls(&self) -> ClientConfig {
        tls(&self.settings.authorities, self.certificate.as_ref())
    }

    /// The client for this kind of connection. A patient client has no limit [`UNACKNOWLEDGED`].
    pub(super) fn get(&self, connection: Connection, is_patient: bool) -> Result<&Client, reqwest::Error> {
        let made = &self.made[usize::from(connection == Connection::New)][usize::from(is_patient)];
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = self.make(connection, is_patient)?;
        Ok(made.get_or_init(|| client))
    }

    fn make(&self, connection: Connection, is_patient: bool) -> Result<Client, reqwest::Error> {
        let most_idle = match connection {
            Connection::Any => self.settings.max_in_flight,
            Connection::New => 0,
        };
        let builder = with_proxy(with_tls(self.tls()), self.settings.proxy.as_ref())?
            .default_headers(self.settings.headers.clone())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(most_idle)
            .connector_layer(MapRequestLayer::new(|destination| {
                // Fails when the connection outlives the attempt that opened it.
                let _ = CONNECTS.try_with(|connects| connects.set(true));
                destination
            }));
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout((!is_patient).then_some(UNACKNOWLEDGED));
        builder.build()
    }
}

fn with_proxy(builder: ClientBuilder, proxy: Option<&Proxy>) -> Result<ClientBuilder, reqwest::Error> {
    let Some(proxy) = proxy else { return Ok(builder) };
    let via = reqwest::Proxy::all(proxy.url.clone())?;
    Ok(builder.proxy(match proxy.authorization() {
        Some(authorization) => via.custom_http_auth(authorization),
        None => via,
    }))
}
