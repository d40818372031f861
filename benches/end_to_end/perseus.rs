//! A Perseus that accepts everything without reading it, so that its own work is not measured.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_buf, sink},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep},
};

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server on a free loopback port. Ends when dropped.
pub(crate) struct Perseus {
    address: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    _accepting: JoinSet<()>,
}

/// What it received so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Requests.
    pub(crate) requests: usize,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    /// The sum of the times from the last byte of a request to its reply: the latency with the timer's error.
    pub(crate) busy: Duration,
}

impl Perseus {
    /// Starts one that takes this long to reply.
    pub(crate) async fn start(latency: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counts = Arc::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, latency, Arc::clone(&counts)));
        Ok(Perseus { address, counts, _accepting: accepting })
    }

    /// Where to post.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/ingest", self.address)
    }

    /// What it received since the last call.
    pub(crate) async fn take_counts(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock().await)
    }
}

async fn accept(listener: TcpListener, latency: Duration, counts: Arc<Mutex<Counts>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // An error means that the client is gone.
        connections.spawn(serve(stream, latency, Arc::clone(&counts)));
    }
}

async fn serve(stream: TcpStream, latency: Duration, counts: Arc<Mutex<Counts>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    loop {
        let bytes = body_len(&mut stream).await?;
        copy_buf(&mut (&mut stream).take(bytes), &mut sink()).await?;
        let arrived = Instant::now();
        if latency > Duration::ZERO {
            sleep(latency).await;
        }
        stream.write_all(REPLY).await?;
        let mut counts = counts.lock().await;
        counts.requests += 1;
        counts.bytes += bytes;
        counts.busy += arrived.elapsed();
    }
}

/// Reads a request's head; returns the length of its body.
async fn body_len(stream: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let (mut line, mut length) = (String::new(), None);
    while stream.read_line(&mut line).await? > 2 {
        let header = line.split_once(':');
        let value = header.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        length = value.and_then(|(_, length)| length.trim().parse().ok()).or(length);
        line.clear();
    }
    length.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
