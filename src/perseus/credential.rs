//! A credential for Perseus: set, or read from a store when it is first needed and again when it is refused.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync,
    time::{Instant, timeout_at},
};

use crate::{perseus::store::Missing, value::credential::Source};

/// How long to wait for a store.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a store need not be asked again if it is only possible that the credential was refused.
const ASKED_LATELY: Duration = Duration::from_secs(60);

/// A credential of the process.
#[derive(Debug)]
pub(crate) struct Credential<T> {
    source: Source<T>,
    /// The variable that sets it, if it is in no store.
    variable: &'static str,
    /// Reads it from a text of the store.
    read: fn(&str) -> Result<T, Missing>,
    /// Held while the store is asked, so that one request is enough for all who wait.
    asking: sync::Mutex<()>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// When the store was asked last.
    asked: Option<Instant>,
    /// The current one is last. The one that it replaced is before it.
    known: Vec<T>,
}

impl<T: Clone + PartialEq> Credential<T> {
    /// The credential from this source. It does not ask a store yet.
    pub(crate) fn new(
        source: Source<T>,
        variable: &'static str,
        read: fn(&str) -> Result<T, Missing>,
    ) -> Self {
        let known = match &source {
            Source::Set(set) => vec![set.clone()],
            Source::Nowhere | Source::Store(_) => Vec::new(),
        };
        let state = Mutex::new(State { asked: None, known });
        Credential { source, variable, read, asking: sync::Mutex::default(), state }
    }

    /// The variable to look at if it is missing, or Perseus refuses it.
    pub(crate) fn variable(&self) -> &'static str {
        self.source.variable(self.variable)
    }

    /// Whether it is in a store.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.source, Source::Store(_))
    }

    /// Whether the store was asked within [`ASKED_LATELY`].
    pub(crate) fn was_asked_lately(&self) -> bool {
        self.lock().asked.is_some_and(|asked| asked.elapsed() < ASKED_LATELY)
    }

    /// The current one, if there is any. Waits while the store is asked.
    pub(crate) async fn current(&self) -> Option<T> {
        let _guard = match self.source {
            Source::Store(_) => Some(self.asking.lock().await),
            Source::Nowhere | Source::Set(_) => None,
        };
        self.lock().known.last().cloned()
    }

    /// Whether this is the newest one. Unlike [`Credential::current`] it does not wait.
    pub(crate) fn is_newest(&self, used: Option<&T>) -> bool {
        self.lock().known.last() == used
    }

    /// The current one and the one that it replaced: requests with either may be in flight.
    pub(crate) fn known(&self) -> Vec<T> {
        self.lock().known.clone()
    }

    /// Asks the store if it is not known yet. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If the store has no usable one.
    pub(crate) async fn make_known(&self, cutoff: Instant) -> Result<(), Missing> {
        self.ask_unless(|known| known.is_some(), cutoff).await
    }

    /// Asks the store again, unless the refused one was replaced in the meantime. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If the store has no usable one.
    pub(crate) async fn renew(&self, refused: Option<&T>, cutoff: Instant) -> Result<(), Missing> {
        self.ask_unless(|known| known != refused, cutoff).await
    }

    async fn ask_unless(
        &self,
        is_settled: impl Fn(Option<&T>) -> bool,
        cutoff: Instant,
    ) -> Result<(), Missing> {
        let Source::Store(store) = &self.source else {
            return Ok(());
        };
        let until = cutoff.min(Instant::now() + PATIENCE);
        let asking = async {
            let _guard = self.asking.lock().await;
            if is_settled(self.lock().known.last()) {
                return Ok(());
            }
            self.lock().asked = Some(Instant::now());
            let fetched = (self.read)(&store.fetch(until).await?)?;
            let known = &mut self.lock().known;
            if known.last() != Some(&fetched) {
                known.push(fetched);
                let surplus = known.len().saturating_sub(2);
                known.drain(..surplus);
            }
            Ok(())
        };
        timeout_at(until, asking).await.unwrap_or(Err(Missing::Timeout))
    }

    /// Ignores poisoning: no holder of the lock leaves the state half-changed.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{perseus::store::read_token, value::text::bearer};

    #[tokio::test(start_paused = true)]
    async fn a_token_from_the_configuration_asks_no_store() {
        let start = Instant::now();
        for (source, header) in [(Source::Nowhere, None), (Source::Set(bearer("x").unwrap()), bearer("x"))] {
            let token = Credential::new(source, "PERSEUS_TOKEN", read_token);
            token.make_known(start).await.unwrap();
            token.renew(header.as_ref(), start).await.unwrap();
            assert_eq!(token.current().await, header);
            assert_eq!(token.variable(), "PERSEUS_TOKEN");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
