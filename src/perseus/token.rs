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

/// How long a store is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The token of the process.
#[derive(Debug)]
pub struct Token {
    source: Source,
    /// RevocablePermit by who asks the store: all others wait for what comes of it.
    asking: sync::Mutex<()>,
    /// The `authorization` header, behind the one that it took the place of.
    known: Mutex<Vec<HeaderValue>>,
}

impl Token {
    /// The token from this source. No store is asked yet.
    pub fn new(source: Source) -> Self {
        let known = match &source {
            Source::Set(header) => vec![header.clone()],
            Source::Nowhere | Source::Store(_) => Vec::new(),
        };
        Token { source, asking: sync::Mutex::default(), known: Mutex::new(known) }
    }

    /// The variable to look at if there is no token, or Perseus refuses it.
    pub fn variable(&self) -> &'static str {
        self.source.variable()
    }

    /// The `authorization` header that requests carry, if any; once it is known, if the store is being asked.
    pub async fn header(&self) -> Option<HeaderValue> {
        let _answered = match self.source {
            Source::Store(_) => Some(self.asking.lock().await),
            Source::Nowhere | Source::Set(_) => None,
        };
        self.known().last().cloned()
    }

    /// Whether this is the newest `authorization` header. Unlike [`Token::header`] it does not wait.
    pub fn is_newest(&self, header: Option<&HeaderValue>) -> bool {
        self.known().last() == header
    }

    /// Every header that requests carry or carried lately.
    pub fn headers(&self) -> Vec<HeaderValue> {
        self.known().clone()
    }

    /// Asks the store if it was not asked before. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If there should be a token and is none.
    pub async fn make_known(&self, cutoff: Instant) -> Result<(), Missing> {
        self.ask_unless(|known| known.is_some(), cutoff).await
    }

    /// Asks the store again, unless another header has taken the place of the refused one meanwhile. Ends at
    /// `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If the store has no token.
    pub async fn renew(&self, refused: Option<&HeaderValue>, cutoff: Instant) -> Result<(), Missing> {
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
            let _asking = self.asking.lock().await;
            if is_settled(self.known().last()) {
                return Ok(());
            }
            let header = store.fetch(until).await?;
            let mut known = self.known();
            if known.last() != Some(&header) {
                known.push(header);
                let superfluous = known.len().saturating_sub(2);
                known.drain(..superfluous);
            }
            Ok(())
        };
        timeout_at(until, asking).await.unwrap_or(Err(Missing::Timeout))
    }

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn known(&self) -> MutexGuard<'_, Vec<HeaderValue>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::text::bearer;

    #[tokio::test(start_paused = true)]
    async fn what_is_set_is_never_asked_for() {
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
