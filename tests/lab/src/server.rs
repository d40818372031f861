//! An HTTP/1.1 server on a free loopback port.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tower::ServiceExt;

/// The first bytes of a server that does not speak HTTP.
const NO_HTTP: &[u8] = b"SSH-2.0-OpenSSH_9.6\r\n\x00\x00\x01\x14\x07\x14";

/// Stops when dropped, its open connections included. `axum::serve` is not used because its connections outlive it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
    port_switch: PortSwitch,
}

/// Opens and closes a server's port. While the port is closed, connections are refused at once.
#[derive(Clone, Debug)]
pub(crate) struct PortSwitch(watch::Sender<bool>);

/// A handle to one connection, which handlers find among a request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionHandle(watch::Sender<Option<Cut>>);

/// A way to break a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A reset.
    Reset,
    /// An orderly close, possibly in the middle of a reply.
    Close,
    /// The connection stays open and nothing is answered, as if the network had forgotten it.
    Silence,
    /// Bytes that are not HTTP, then an orderly close.
    NoHttp,
}

impl Server {
    pub(crate) async fn start(routes: Router) -> io::Result<Self> {
        Self::start_on(0, routes).await
    }

    /// Starts on this port of the loopback interface; 0 is a free one.
    pub(crate) async fn start_on(port: u16, routes: Router) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Never listens. It reserves the port while it is closed.
        let keeper = bound(address)?;
        let address = keeper.local_addr()?;
        let listener = listen(address)?;
        let (port_switch, is_open) = watch::channel(true);
        let accepting = tokio::spawn(async move {
            let _keeper = keeper;
            accept(listener, address, is_open, routes).await;
        });
        Ok(Self { address, accepting, port_switch: PortSwitch(port_switch) })
    }

    pub(crate) fn port_switch(&self) -> PortSwitch {
        self.port_switch.clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl PortSwitch {
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Refuses new connections from now on, and resets the open ones.
    pub(crate) fn close(&self) {
        self.0.send_replace(false);
    }
}

impl ConnectionHandle {
    pub(crate) fn cut(&self, how: Cut) {
        self.0.send_replace(Some(how));
    }

    /// Whether the server has cut it.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

/// A socket with this address. Several may have it as long as one of them listens at most.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address)?.listen(1_024)
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    mut is_open: watch::Receiver<bool>,
    routes: Router,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut handles: Vec<ConnectionHandle> = Vec::new();
    loop {
        tokio::select! {
            biased;
            Ok(()) = is_open.changed() => {
                if *is_open.borrow_and_update() {
                    listener = listener.or_else(|| listen(address).ok());
                } else {
                    listener = None;
                    handles.drain(..).for_each(|handle| handle.cut(Cut::Reset));
                }
            }
            Some(accepted) = next(listener.as_ref()) => {
                if let Ok((stream, _)) = accepted {
                    let (handle, cut) = watch::channel(None);
                    handles.retain(|handle| !handle.is_over());
                    handles.push(ConnectionHandle(handle.clone()));
                    connections.spawn(serve(stream, ConnectionHandle(handle), cut, routes.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next connection. Pending while the port is closed.
async fn next(listener: Option<&TcpListener>) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    match listener {
        Some(listener) => Some(listener.accept().await),
        None => std::future::pending().await,
    }
}

async fn serve(
    stream: TcpStream,
    handle: ConnectionHandle,
    mut cut: watch::Receiver<Option<Cut>>,
    routes: Router,
) {
    // Without it small replies wait for the client's delayed acknowledgement, and every measurement is 40 ms off.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(handle.clone());
        routes.clone().oneshot(request)
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let how = tokio::select! {
        biased;
        how = cut.wait_for(Option::is_some) => how.ok().and_then(|how| *how),
        // An error means that the client hung up, as clients with a deadline do.
        _ = &mut connection => return,
    };
    let mut stream = connection.into_parts().io.into_inner();
    match how {
        Some(Cut::Reset) => _ = stream.set_zero_linger(),
        Some(Cut::Silence) => {
            let mut unheard = [0; 4096];
            while stream.read(&mut unheard).await.is_ok_and(|read| read > 0) {}
        }
        // It fails only if the client has hung up.
        Some(Cut::NoHttp) => _ = stream.write_all(NO_HTTP).await,
        Some(Cut::Close) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::{Extension, http::StatusCode, routing::get};
    use tokio::io::AsyncWriteExt;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn server() -> Server {
        let cut = |Extension(handle): Extension<ConnectionHandle>| async move {
            handle.cut(Cut::NoHttp);
            std::future::pending::<StatusCode>().await
        };
        let routes = Router::new().route("/", get(|| async { "well" })).route("/cut", get(cut));
        Server::start(routes).await.expect("a loopback port")
    }

    /// What is said to these bytes until the connection ends.
    async fn answer(server: &Server, request: &[u8]) -> io::Result<String> {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(request).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_port_refuses_connections_and_opens_again() {
        let server = server().await;
        assert!(answer(&server, REQUEST).await.is_ok_and(|answer| answer.ends_with("well")));
        let mut open = TcpStream::connect(server.address()).await.expect("an open port_switch");
        for _ in 0..3 {
            server.port_switch().close();
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let refused = answer(&server, REQUEST).await.expect_err("a closed port_switch");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            server.port_switch().open();
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            assert!(answer(&server, REQUEST).await.is_ok_and(|answer| answer.ends_with("well")));
        }
        let gone = open.read(&mut [0; 9]).await;
        assert!(gone.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_can_answer_with_bytes_that_are_not_http() {
        let server = server().await;
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(b"GET /cut HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an orderly end");
        assert_eq!(answer, NO_HTTP);
    }
}
