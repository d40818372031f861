//! A fake AWS Parameters and Secrets Lambda Extension that answers as the test says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lab::perseus::{Perseus, Received, Reply};
use perseus_forwarder::lambda::handler::Handler;
use serde_json::json;
use tokio::time::sleep;

use crate::support::*;

/// What the extension does with a call.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Returns this secret.
    Secret(&'static str),
    /// Answers with this status and body.
    Status(u16, String),
    /// Starts an answer and never ends it.
    Begin,
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

/// A fake extension. It keeps the head of each call.
pub(crate) struct Extension {
    server: RawServer,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Extension {
    /// Answers each call, numbered from 0, after `pause`.
    pub(crate) async fn start(
        pause: Duration,
        answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let (noted, answer) = (Arc::clone(&calls), Arc::new(answer));
        let server = RawServer::start(move |_, mut connection| {
            let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
            async move {
                let Some((head, _)) = connection.receive().await else { return };
                let number = {
                    let mut noted = noted.lock().unwrap();
                    noted.push(head);
                    noted.len() - 1
                };
                sleep(pause).await;
                let (status, body) = match answer(number) {
                    Answer::Secret(secret) => (200, json!({"SecretString": secret}).to_string()),
                    Answer::Status(status, body) => (status, body),
                    Answer::Begin => {
                        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"Secret").await;
                        return connection.hang().await;
                    }
                    Answer::Hang => return connection.hang().await,
                    Answer::Close => return,
                };
                let length = body.len();
                connection
                    .write(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}"))
                    .await;
            }
        })
        .await;
        Extension { server, calls }
    }

    pub(crate) fn port(&self) -> &str {
        self.server.url.trim_end_matches('/').rsplit(':').next().unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// A Perseus that answers like this, and a handler that reads its token here.
    pub(crate) async fn forwarder(
        &self,
        settings: &[(&str, &str)],
        answer: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> (Perseus, Handler) {
        let store = [
            ("PERSEUS_TOKEN_SECRET", "perseus/token"),
            ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", self.port()),
            ("AWS_SESSION_TOKEN", "session"),
        ];
        forwarder(&[&store[..], settings].concat(), answer).await
    }
}
