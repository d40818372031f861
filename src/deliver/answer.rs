//! What came of an attempt.

use std::collections::HashMap;

use reqwest::StatusCode;

use crate::{
    config::Config,
    deliver::{concurrency::signal::Signal, outstanding::Outstanding},
    perseus::{
        client::Reply,
        failure::Failure,
        reply::{Verdict, is_certificate_page, is_page, verdict},
        status::{Action, Misconfigured, action},
    },
    value::format::{Ack, BatchFormat},
};

/// The reason that is logged for a reply that is an HTML page.
pub(super) const HTML_PAGE: &str = "an HTML page";

/// What came of an attempt.
pub(super) enum Answer<'r> {
    /// Perseus accepted all records.
    Accepted,
    /// Perseus accepted all records except some.
    AcceptedExcept {
        /// The status of the reply.
        status: u16,
        /// The ids of the records that were not accepted, and whether each may be sent again.
        refused: HashMap<String, bool>,
    },
    /// A status that asks for another attempt.
    Again(u16),
    /// A status that refuses the whole batch: a record in it is bad, or the batch is too large.
    Refused(u16),
    /// The set-up is wrong: what shows it, and the reason as it is logged.
    Misconfigured(Misconfigured, String),
    /// A reply that does not show what Perseus accepted: its status, and what is wrong with it.
    Unknown(u16, &'static str),
    /// No reply.
    Failed(&'r Failure),
}

impl<'r> Answer<'r> {
    /// Reads the result of an attempt with these records.
    pub(super) fn read(
        result: &'r Result<Reply, Failure>,
        outstanding: &Outstanding<'_>,
        config: &Config,
    ) -> Self {
        let reply = match result {
            Ok(reply) => reply,
            Err(failure) => {
                let wrong = failure.misconfigured(!config.client_certificate.is_nowhere());
                return wrong.map_or(Answer::Failed(failure), |wrong| {
                    Answer::Misconfigured(wrong, failure.to_string())
                });
            }
        };
        let status = reply.status.as_u16();
        match action(reply.status) {
            Action::Again => Answer::Again(status),
            Action::Split
                if reply.status == StatusCode::BAD_REQUEST
                    && is_certificate_page(reply.is_html, &reply.body) =>
            {
                let wrong = Misconfigured::Certificate(Some(reply.status));
                Answer::Misconfigured(wrong, format!("status {status}"))
            }
            Action::Split => Answer::Refused(status),
            Action::Stop(wrong) => Answer::Misconfigured(wrong, format!("status {status}")),
            Action::Accept | Action::Read if is_page(reply.is_html, &reply.body) => {
                Answer::Unknown(status, HTML_PAGE)
            }
            Action::Accept | Action::Read => match read_body(reply, outstanding, config) {
                Verdict::Accepted => Answer::Accepted,
                Verdict::Refused(refused) => Answer::AcceptedExcept { status, refused },
                Verdict::Unknown(what) => Answer::Unknown(status, what),
            },
        }
    }

    /// Whether Perseus accepted at least one of the records.
    pub(super) fn accepts_any(&self, outstanding: &Outstanding<'_>) -> bool {
        match self {
            Answer::Accepted => true,
            Answer::AcceptedExcept { refused, .. } => outstanding.has_any_except(refused),
            _ => false,
        }
    }

    /// How many records this refuses on their own: a record that was alone in the request, or records that are named as
    /// ones that must not be sent again. None if it is no refusal.
    pub(super) fn refused_on_their_own(&self, outstanding: &Outstanding<'_>) -> Option<usize> {
        match self {
            Answer::AcceptedExcept { refused, .. } => {
                let bad = refused.values().filter(|may_retry| !**may_retry).count();
                (bad > 0).then_some(bad)
            }
            Answer::Refused(_) => Some(usize::from(outstanding.batch().records.len() == 1)),
            _ => None,
        }
    }

    /// Whether another token could help.
    pub(super) fn refuses_token(&self) -> bool {
        matches!(self, Answer::Misconfigured(wrong, _) if wrong.is_of_token())
    }

    /// Whether another client certificate could help.
    pub(super) fn refuses_certificate(&self) -> bool {
        matches!(self, Answer::Misconfigured(wrong, _) if wrong.is_of_certificate())
    }

    /// Whether this may be a refusal of the client certificate: a server may close the connection before its alert is read.
    pub(super) fn may_refuse_certificate(&self) -> bool {
        matches!(self, Answer::Failed(Failure::Lost { pooled: false, .. }))
    }

    /// What this says about Perseus' load. `had_expected_time` tells whether the attempt lasted at least as long as attempts
    /// are expected to take.
    pub(super) fn signal(&self, had_expected_time: bool) -> Signal {
        match self {
            Answer::Again(429) => Signal::Busy,
            Answer::Again(502..=504) => Signal::Overloaded,
            Answer::Again(400..500) => Signal::Answered,
            Answer::Again(_) | Answer::Unknown(..) => Signal::Failed,
            Answer::Accepted
            | Answer::AcceptedExcept { .. }
            | Answer::Refused(_)
            | Answer::Misconfigured(Misconfigured::Status(_), _) => Signal::Answered,
            Answer::Misconfigured(Misconfigured::Tunnel(_) | Misconfigured::Certificate(_), _) => {
                Signal::Unclear
            }
            Answer::Failed(failure) => match failure {
                // The cutoff came before Perseus could be expected to answer.
                Failure::Timeout if !had_expected_time => Signal::Unclear,
                Failure::Timeout | Failure::Connect(_) | Failure::Tunnel(_) => Signal::Overloaded,
                Failure::Lost { pooled: true, .. } => Signal::Unclear,
                Failure::Lost { .. } | Failure::CutShort | Failure::TooLong | Failure::Compressed => {
                    Signal::Failed
                }
            },
        }
    }
}

fn read_body(reply: &Reply, outstanding: &Outstanding<'_>, config: &Config) -> Verdict {
    let ids = match config.format {
        BatchFormat::Records => outstanding.ids(),
        // The request has no ids, so an id in the reply cannot mean one of its records.
        BatchFormat::Array | BatchFormat::Ndjson => Vec::new(),
    };
    let must_have_failures = config.ack == Ack::Body || action(reply.status) == Action::Read;
    verdict(&reply.body, &ids, must_have_failures)
}
