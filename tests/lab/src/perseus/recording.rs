//! What the stand-in has recorded.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;

use super::{Received, Reply, body::Content, check::Checker};

#[derive(Debug, Default)]
pub(super) struct Recording {
    checker: Checker,
    pub(super) received: Vec<Received>,
    pub(super) statuses: Vec<Option<u16>>,
    pub(super) committed: Vec<String>,
    pub(super) committed_records: Vec<Value>,
    pub(super) violations: Vec<String>,
    pub(super) in_flight: usize,
    pub(super) in_flight_peak: usize,
}

/// A place in what the stand-in has recorded.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    requests: usize,
    committed: usize,
    committed_records: usize,
    violations: usize,
}

/// What the stand-in has recorded from some place on.
#[derive(Clone, Debug, Default)]
pub struct Excerpt {
    /// The requests in order of arrival, each with the status it was answered.
    pub requests: Vec<(Received, Option<u16>)>,
    /// The message ids accepted, in order of commit, repeats included.
    pub committed: Vec<String>,
    /// The records accepted, in order of commit, repeats included.
    pub committed_records: Vec<Value>,
    /// What broke the contract, in words.
    pub violations: Vec<String>,
}

impl Recording {
    /// Records and checks a request. A misdirected one counts as a single violation.
    pub(super) fn record(
        &mut self,
        headers: HeaderMap,
        body: Bytes,
        misdirected: Option<String>,
    ) -> Received {
        let number = self.received.len();
        let Content { plain, format, message_ids, records, findings } = Content::read(&headers, &body);
        let at = Instant::now();
        let received = Received { number, at, headers, body, plain, format, message_ids, records };
        let findings = match misdirected {
            Some(misdirected) => vec![misdirected],
            None => {
                let key = self.checker.check_key(&received).map(|fault| fault.to_string());
                [self.checker.check(&received), findings, key.into_iter().collect()].concat()
            }
        };
        let findings = findings.into_iter().map(|finding| format!("request {number}: {finding}"));
        self.violations.extend(findings);
        self.statuses.push(None);
        self.received.push(received.clone());
        received
    }

    /// Commits what the reply accepts.
    pub(super) fn settle(&mut self, received: &Received, reply: &Reply) {
        self.statuses[received.number] = Some(reply.status_code());
        for (index, record) in received.records.iter().enumerate() {
            let id = received.message_ids.get(index);
            if reply.commits(id.map(String::as_str)) {
                self.committed.extend(id.cloned());
                self.committed_records.push(record.clone());
            }
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            requests: self.received.len(),
            committed: self.committed.len(),
            committed_records: self.committed_records.len(),
            violations: self.violations.len(),
        }
    }

    pub(super) fn since(&self, mark: Mark) -> Excerpt {
        let received = self.received[mark.requests..].iter().cloned();
        let statuses = self.statuses[mark.requests..].iter().copied();
        Excerpt {
            requests: received.zip(statuses).collect(),
            committed: self.committed[mark.committed..].to_vec(),
            committed_records: self.committed_records[mark.committed_records..].to_vec(),
            violations: self.violations[mark.violations..].to_vec(),
        }
    }
}
