//! An HTTP proxy in the test's own process.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{RawServer, tls::receive};

/// A proxy that opens each tunnel, or answers with a status instead. It keeps the head of each request.
pub(crate) struct Proxy {
    pub(crate) server: RawServer,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy that answers each request, numbered from 0, with this status. It opens a tunnel if that is 200.
    pub(crate) async fn start(
        tls: Option<TlsAcceptor>,
        status: impl Fn(usize) -> u16 + Send + Sync + 'static,
    ) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (noted, status) = (Arc::clone(&heads), Arc::new(status));
        let server = RawServer::start(move |_, connection| {
            let (tls, noted, status) = (tls.clone(), Arc::clone(&noted), Arc::clone(&status));
            async move {
                match tls {
                    Some(tls) => {
                        let Ok(stream) = tls.accept(connection.stream).await else { return };
                        serve(stream, &noted, &*status).await;
                    }
                    None => serve(connection.stream, &noted, &*status).await,
                }
            }
        })
        .await;
        Proxy { server, heads }
    }

    /// Its URL, with this user info.
    pub(crate) fn url(&self, scheme: &str, user_info: &str) -> String {
        let address = self.server.url.strip_prefix("http://").unwrap();
        format!("{scheme}://{user_info}{address}")
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    heads: &Mutex<Vec<String>>,
    status: &(dyn Fn(usize) -> u16 + Send + Sync),
) {
    let Some(head) = receive(&mut stream).await else { return };
    let target = head.strip_prefix("connect ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    let number = {
        let mut heads = heads.lock().unwrap();
        heads.push(head);
        heads.len() - 1
    };
    match (target, status(number)) {
        (Some(target), 200) => {
            let mut perseus = TcpStream::connect(target).await.unwrap();
            perseus.set_nodelay(true).unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await;
            let _ = copy_bidirectional(&mut stream, &mut perseus).await;
        }
        (_, status) => {
            let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    }
}
