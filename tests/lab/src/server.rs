//! An HTTP/1.1 server on a free loopback port.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Stops when dropped, its open connections included. `axum::serve` is not used because its connections outlive it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
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

async fn accept(listener: TcpListener, routes: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
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
    let service = TowerToHyperService::new(routes);
    // An error here is a client that hung up, which clients that keep a deadline do.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
