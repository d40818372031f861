//! What the stand-in answers, and what it commits by answering it.

use std::{
    collections::BTreeSet,
    io, mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::Frame;
use serde_json::{Map, Value, json};

/// The statuses that commit a whole request by themselves.
const ACCEPTED: [u16; 4] = [200, 201, 202, 204];
/// The status that commits only what its body does not name.
const MULTI_STATUS: u16 = 207;

/// One answer of the stand-in, and what it commits.
#[derive(Clone, Debug)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    delay: Duration,
    hangs: bool,
    cut_short: bool,
    takes: Takes,
}

/// Which records an answer commits.
#[derive(Clone, Debug)]
pub(crate) enum Takes {
    Everything,
    AllBut(BTreeSet<String>),
    Nothing,
}

impl Reply {
    /// 200 with an empty body: everything is committed.
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// Any status with an empty body. 200, 201, 202 and 204 commit everything, the others nothing.
    ///
    /// # Panics
    ///
    /// When `status` is not between 200 and 999.
    pub fn status(status: u16) -> Self {
        assert!((200..1000).contains(&status), "{status} cannot be the status of an answer");
        let takes = if ACCEPTED.contains(&status) { Takes::Everything } else { Takes::Nothing };
        Self {
            status: StatusCode::from_u16(status).expect("between 200 and 999 is a status"),
            headers: Vec::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            hangs: false,
            cut_short: false,
            takes,
        }
    }

    /// A refusal by record, with its `retryable` flag where one is given. The records not named are committed when
    /// `status` is 200, 201, 202, 204 or 207; any other status commits nothing.
    ///
    /// # Panics
    ///
    /// As [`status`](Self::status).
    pub fn refuse(status: u16, ids: &[(&str, Option<bool>)]) -> Self {
        let failures: Vec<Value> = ids.iter().map(|&(id, retryable)| failure(id, retryable)).collect();
        let named = ids.iter().map(|&(id, _)| id.to_owned()).collect();
        let accepts = status == MULTI_STATUS || ACCEPTED.contains(&status);
        Self::status(status)
            .header("content-type", "application/json")
            .body(json!({ "batchItemFailures": failures }).to_string())
            .taking(if accepts { Takes::AllBut(named) } else { Takes::Nothing })
    }

    /// Never answers, and commits nothing.
    pub fn hang() -> Self {
        Self { hangs: true, ..Self::status(504) }
    }

    /// Waits before answering. What is committed is committed when the answer leaves.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Adds a header. For a `content-length` that the body does not keep, see [`cut_short`](Self::cut_short).
    ///
    /// # Panics
    ///
    /// When the name or the value cannot be sent in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name =
            HeaderName::try_from(name).unwrap_or_else(|_| panic!("`{name}` cannot be a header's name"));
        let value =
            HeaderValue::try_from(value).unwrap_or_else(|_| panic!("`{value}` cannot be a header's value"));
        self.headers.push((name, value));
        self
    }

    /// Replaces the body's bytes, and nothing else: what is committed stays as the constructor says.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Promises one byte more than the body has, and closes the connection after the body.
    #[must_use]
    pub fn cut_short(self) -> Self {
        Self { cut_short: true, ..self }
    }

    pub(crate) fn taking(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// Its status.
    pub fn status_code(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// Whether the record with this id, or a record that carries none, is accepted.
    pub(crate) fn commits(&self, id: Option<&str>) -> bool {
        match &self.takes {
            Takes::Everything => true,
            Takes::AllBut(refused) => id.is_none_or(|id| !refused.contains(id)),
            Takes::Nothing => false,
        }
    }

    pub(super) async fn wait(&self) {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        // Even a sleep of zero waits for the clock's next millisecond.
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let promised = self.body.len() + 1;
        let body = match self.cut_short {
            true => Body::new(CutShort::Whole(self.body)),
            false => Body::from(self.body),
        };
        let mut response = Response::new(body);
        if self.cut_short {
            response.headers_mut().insert(header::CONTENT_LENGTH, promised.into());
        }
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

fn failure(id: &str, retryable: Option<bool>) -> Value {
    let mut failure = Map::from_iter([("itemIdentifier".to_owned(), json!(id))]);
    failure.extend(retryable.map(|retryable| ("retryable".to_owned(), json!(retryable))));
    Value::Object(failure)
}

/// A body that fails once its bytes are on the wire.
enum CutShort {
    Whole(Bytes),
    Flushing,
    Cut,
}

impl HttpBody for CutShort {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match mem::replace(&mut *self, Self::Cut) {
            Self::Whole(bytes) => {
                *self = Self::Flushing;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            // A pause in which the server flushes the bytes. An error right away would discard them.
            Self::Flushing => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }
}
