//! An HTTP/1.1 server on a free loopback port.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tower::ServiceExt;

/// Stops when dropped, its open connections included. `axum::serve` is not used because its connections outlive it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// One connection, for the handlers of its requests: they find it among a request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Line(watch::Sender<Option<Cut>>);

/// An end of a connection other than HTTP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A reset.
    Reset,
    /// An orderly end, in the middle of whatever is being said.
    Close,
    /// No end: what arrives is not answered any more, as if the network had forgotten the connection.
    Silence,
}

impl Server {
    pub(crate) async fn start(routes: Router) -> io::Result<Self> {
        Self::start_on(0, routes).await
    }

    /// Starts on this port of the loopback interface; 0 is a free one.
    pub(crate) async fn start_on(port: u16, routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self { address: listener.local_addr()?, accepting: tokio::spawn(accept(listener, routes)) })
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

impl Line {
    pub(crate) fn cut(&self, how: Cut) {
        self.0.send_replace(Some(how));
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_closed()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

async fn accept(listener: TcpListener, routes: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, routes.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, routes: Router) {
    // Without it small replies wait for the client's delayed acknowledgement, and every measurement is 40 ms off.
    let _ = stream.set_nodelay(true);
    let (line, mut cut) = watch::channel(None);
    let line = Line(line);
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(line.clone());
        routes.clone().oneshot(request)
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let how = tokio::select! {
        biased;
        how = cut.wait_for(Option::is_some) => how.ok().and_then(|how| *how),
        // An error here is a client that hung up, which clients that keep a deadline do.
        _ = &mut connection => return,
    };
    let mut stream = connection.into_parts().io.into_inner();
    match how {
        Some(Cut::Reset) => _ = stream.set_zero_linger(),
        Some(Cut::Silence) => {
            let mut unheard = [0; 4096];
            while stream.read(&mut unheard).await.is_ok_and(|read| read > 0) {}
        }
        Some(Cut::Close) | None => {}
    }
}
