//! Why an attempt has no readable reply.

use std::io;

use reqwest::StatusCode;
use thiserror::Error;

use crate::{
    http::root_cause,
    perseus::{
        hint::{hint, is_certificate_refused},
        status::Misconfigured,
    },
};

/// The longest reply of a success that is read. A reply that names 10,000 records takes about 800 kB.
pub(super) const LONGEST_REPLY: usize = 1 << 20;

/// Why an attempt has no readable reply. It is unknown whether Perseus took the records.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// No reply came in time.
    #[error("timed out")]
    Timeout,
    /// No connection could be made.
    #[error("no connection ({})", Advised(.0))]
    Connect(#[source] reqwest::Error),
    /// The proxy answered with this status to the request for a tunnel.
    #[error("no connection (the proxy answered with status {})", .0.as_u16())]
    Tunnel(StatusCode),
    /// The connection was lost before a reply came.
    #[error("connection lost ({})", Advised(.error))]
    Lost {
        /// Whether the connection came from the pool. It may have been dead for a long time.
        pooled: bool,
        /// How it was lost.
        #[source]
        error: reqwest::Error,
    },
    /// The connection ended before the reply did.
    #[error("a reply cut short")]
    CutShort,
    /// The reply is longer than [`LONGEST_REPLY`].
    #[error("a reply over 1 MiB")]
    TooLong,
    /// The reply is compressed, although the request did not allow it.
    #[error("a compressed reply")]
    Compressed,
}

impl Failure {
    /// What is wrong with the set-up, if that is why the attempt failed. `sends_certificate` tells whether there is a client
    /// certificate.
    pub(crate) fn misconfigured(&self, sends_certificate: bool) -> Option<Misconfigured> {
        match self {
            Failure::Tunnel(status) => Misconfigured::of_tunnel(*status),
            Failure::Connect(error) | Failure::Lost { error, .. } => {
                is_certificate_refused(error, sends_certificate).then_some(Misconfigured::Certificate(None))
            }
            _ => None,
        }
    }
}

/// Displays the root cause of an error, with a [`hint`] if there is one.
struct Advised<'a>(&'a reqwest::Error);

impl std::fmt::Display for Advised<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", root_cause(self.0))?;
        hint(self.0).map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Whether a connection was given up because sent data stayed unacknowledged.
pub(super) fn is_unacknowledged(error: &reqwest::Error) -> bool {
    let cause = root_cause(error).downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, iter::successors};

    use super::*;
    use crate::http::client_builder;

    fn reqwest_error() -> reqwest::Error {
        client_builder().build().unwrap().get("no URL").build().unwrap_err()
    }

    /// One failure of each kind: the compiler asks for new ones.
    fn each() -> impl Iterator<Item = Failure> {
        successors(Some(Failure::Timeout), |failure| match failure {
            Failure::Timeout => Some(Failure::Connect(reqwest_error())),
            Failure::Connect(_) => Some(Failure::Tunnel(StatusCode::FORBIDDEN)),
            Failure::Tunnel(_) => Some(Failure::Lost { pooled: false, error: reqwest_error() }),
            Failure::Lost { .. } => Some(Failure::CutShort),
            Failure::CutShort => Some(Failure::TooLong),
            Failure::TooLong => Some(Failure::Compressed),
            Failure::Compressed => None,
        })
    }

    #[test]
    fn each_failure_is_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for failure in each() {
            let reason = failure.to_string().replace(&root_cause(&reqwest_error()).to_string(), "…");
            let reason = reason.replace("403", "…");
            assert!(page.contains(&format!("`{reason}`")), "docs/log-lines.md does not have `{reason}`");
        }
    }

    #[test]
    fn a_failure_of_the_connection_has_its_source() {
        for failure in each() {
            let is_of_the_connection = matches!(failure, Failure::Connect(_) | Failure::Lost { .. });
            assert_eq!(failure.source().is_some(), is_of_the_connection, "{failure}");
        }
    }
}
