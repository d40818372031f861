//! A request against the contract, and against the requests before it.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Format, Received, document,
    headers::{self, IDEMPOTENCY_KEY},
};

/// Remembers which idempotency key came with which records. Of the records it keeps a digest: a long run has many.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    batch_of_key: HashMap<String, u64>,
    key_of_batch: HashMap<u64, String>,
}

impl Checker {
    /// What is wrong with the request, its body aside, in words.
    pub(crate) fn check(&mut self, received: &Received) -> Vec<String> {
        let mut findings = headers::findings(&received.headers, received.body.len());
        if findings.is_empty() {
            findings = document::headers(&received.headers);
        }
        if let Some(key) = headers::text(&received.headers, &IDEMPOTENCY_KEY) {
            findings.extend(self.check_key(key, received));
        }
        findings
    }

    fn check_key(&mut self, key: String, received: &Received) -> Option<String> {
        let by_id = received.format == Some(Format::Records);
        let mut digest = DefaultHasher::new();
        match by_id {
            true => received.message_ids.hash(&mut digest),
            false => received.records.iter().for_each(|record| record.to_string().hash(&mut digest)),
        }
        let batch = digest.finish();
        let known = *self.batch_of_key.entry(key.clone()).or_insert(batch);
        if known != batch {
            return Some(format!("idempotency-key `{key}` was used for other records before"));
        }
        // Two messages may have equal bodies: without ids, the same content does not make the same records.
        let known = by_id.then(|| self.key_of_batch.entry(batch).or_insert_with(|| key.clone()))?;
        (*known != key)
            .then(|| format!("idempotency-key `{key}` for records that came with `{known}` before"))
    }
}
