//! Checks a request against the contract and against earlier requests.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Format, Received, document,
    headers::{self, IDEMPOTENCY_KEY},
};

/// Remembers which idempotency key came with which body. It keeps digests, because a long run has many bodies.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    body_of_key: HashMap<String, u64>,
    key_of_body: HashMap<u64, String>,
}

/// An idempotency key that came with two bodies, or a body that came with two keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFault {
    #[error("idempotency-key `{0}` came with another body before")]
    OtherBody(String),
    #[error("idempotency-key `{0}` for a body that came with `{1}` before")]
    OtherKey(String, String),
}

impl Checker {
    /// What is wrong with the headers, in words. The body and the key are checked elsewhere.
    pub(crate) fn check(&self, received: &Received) -> Vec<String> {
        let findings = headers::findings(&received.headers, received.body.len());
        if findings.is_empty() { document::headers(&received.headers) } else { findings }
    }

    /// What is wrong with the request's idempotency key.
    pub(crate) fn check_key(&mut self, received: &Received) -> Option<KeyFault> {
        let key = headers::text(&received.headers, &IDEMPOTENCY_KEY)?;
        let mut digest = DefaultHasher::new();
        received.plain.hash(&mut digest);
        let body = digest.finish();
        if *self.body_of_key.entry(key.clone()).or_insert(body) != body {
            return Some(KeyFault::OtherBody(key));
        }
        // Two messages may have equal bodies: without ids, the same content does not make the same records.
        let has_ids = received.format == Some(Format::Records);
        let known = has_ids.then(|| self.key_of_body.entry(body).or_insert_with(|| key.clone()))?;
        (*known != key).then(|| KeyFault::OtherKey(key, known.clone()))
    }
}
