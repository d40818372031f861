//! A server on a raw socket, which may do what HTTP does not allow.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// A server on a raw socket. `serve` handles each connection; they are numbered from 0.
pub(crate) struct RawServer {
    pub(crate) url: String,
    requests: mpsc::UnboundedReceiver<()>,
    server: tokio::task::JoinHandle<()>,
}

impl RawServer {
    pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(usize, Connection) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (counter, requests) = mpsc::unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "a server has to run beside the handler")]
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                // Otherwise small writes wait for an acknowledgement, in real time.
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(number, Connection { stream, counter: counter.clone() }));
            }
        });
        RawServer { url, requests, server }
    }

    /// How many whole requests have come since the last call.
    pub(crate) fn requests(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A connection of a [`RawServer`].
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    counter: mpsc::UnboundedSender<()>,
}

impl Connection {
    /// A connection whose requests are not counted.
    pub(crate) fn of(stream: TcpStream) -> Self {
        Connection { stream, counter: mpsc::unbounded_channel().0 }
    }

    /// Reads one whole request. False if the client closed the connection instead.
    pub(crate) async fn request(&mut self) -> bool {
        self.receive().await.is_some()
    }

    /// Reads one whole request: its head and its body. None if the client closed the connection instead.
    pub(crate) async fn receive(&mut self) -> Option<(String, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
                let lower = text.to_lowercase();
                let length =
                    lower.split("content-length:").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
                if bytes.len() >= head + 4 + length.trim().parse::<usize>().unwrap() {
                    let _ = self.counter.send(());
                    return Some((text, bytes.split_off(head + 4)));
                }
            }
            if self.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may have closed the connection. The test sees what follows from that.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Leaves the connection open and silent.
    pub(crate) async fn hang(self) {
        std::future::pending().await
    }
}
