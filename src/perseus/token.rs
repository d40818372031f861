//! Perseus' bearer token: set, or read from a store when it is first needed and again when it is refused.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::header::HeaderValue;
use tokio::{
    sync,
    time::{Instant, timeout_at},
};

use crate::{perseus::token_store::Missing, value::token::Source};

/// How long to wait for a store.
const PATIENCE: Duration = Duration::from_secs(3);

/// The token of the process.
#[derive(Debug)]
pub(crate) struct Token {
    source: Source,
    /// Held while the store is asked, so that one request is enough for all who wait.
    asking: sync::Mutex<()>,
    /// The current `authorization` header is last. The one that it replaced is before it.
    known: Mutex<Vec<HeaderValue>>,
}

impl Token {
    /// The token from this source. It does not ask a store yet.
    pub(crate) fn new(source: Source) -> Self {
        let known = match &source {
            Source::Set(header) => vec![header.clone()],
            Source::Nowhere | Source::Store(_) => Vec::new(),
        };
        Token { source, asking: sync::Mutex::default(), known: Mutex::new(known) }
    }

    /// The variable to look at if there is no token, or Perseus refuses it.
    pub(crate) fn variable(&self) -> &'static str {
        self.source.variable()
    }

    /// The current `authorization` header, if there is one. Waits while the store is asked.
    pub(crate) async fn header(&self) -> Option<HeaderValue> {
        let _guard = match self.source {
            Source::Store(_) => Some(self.asking.lock().await),
            Source::Nowhere | Source::Set(_) => None,
        };
        self.known().last().cloned()
    }

    /// Whether this is the newest `authorization` header. Unlike [`Token::header`] it does not wait.
    pub(crate) fn is_newest(&self, header: Option<&HeaderValue>) -> bool {
        self.known().last() == header
    }

    /// The current header and the one that it replaced: requests with either may be in flight.
    pub(crate) fn headers(&self) -> Vec<HeaderValue> {
        self.known().clone()
    }

    /// Asks the store if the token is not known yet. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If the store has no usable token.
    pub(crate) async fn make_known(&self, cutoff: Instant) -> Result<(), Missing> {
        self.ask_unless(|known| known.is_some(), cutoff).await
    }

    /// Asks the store again, unless the refused header was replaced in the meantime. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If the store has no token that can be sent.
    pub(crate) async fn renew(&self, refused: Option<&HeaderValue>, cutoff: Instant) -> Result<(), Missing> {
        self.ask_unless(|known| known != refused, cutoff).await
    }

    async fn ask_unless(
        &self,
        is_settled: impl Fn(Option<&HeaderValue>) -> bool,
        cutoff: Instant,
    ) -> Result<(), Missing> {
        let Source::Store(store) = &self.source else {
            return Ok(());
        };
        let until = cutoff.min(Instant::now() + PATIENCE);
        let asking = async {
            let _guard = self.asking.lock().await;
            if is_settled(self.known().last()) {
                return Ok(());
            }
            let header = store.fetch(until).await?;
            let mut known = self.known();
            if known.last() != Some(&header) {
                known.push(header);
                let surplus = known.len().saturating_sub(2);
                known.drain(..surplus);
            }
            Ok(())
        };
        timeout_at(until, asking).await.unwrap_or(Err(Missing::Timeout))
    }

    /// Ignores poisoning: no holder of the lock leaves the list half-changed.
    fn known(&self) -> MutexGuard<'_, Vec<HeaderValue>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::text::bearer;

    #[tokio::test(start_paused = true)]
    async fn a_token_from_the_configuration_asks_no_store() {
        let start = Instant::now();
        for (source, header) in [(Source::Nowhere, None), (Source::Set(bearer("x").unwrap()), bearer("x"))] {
            let token = Token::new(source);
            token.make_known(start).await.unwrap();
            token.renew(header.as_ref(), start).await.unwrap();
            assert_eq!(token.header().await, header);
            assert_eq!(token.variable(), "PERSEUS_TOKEN");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
