//! The signal that ends all sending of an invocation, once its set-up is known to be wrong.

use tokio::sync::watch;

/// The signal that ends all sending of an invocation. Every delivery can wait for it.
#[derive(Debug, Default)]
pub(crate) struct StopSignal(watch::Sender<Option<&'static str>>);

impl StopSignal {
    /// Ends all sending, for this reason unless it was set before. True the first time.
    pub(crate) fn set(&self, reason: &'static str) -> bool {
        self.0.send_if_modified(|set| {
            let is_first = set.is_none();
            set.get_or_insert(reason);
            is_first
        })
    }

    /// Whether sending has ended.
    pub(crate) fn is_set(&self) -> bool {
        self.reason().is_some()
    }

    /// Why sending has ended, if it has.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Waits until sending has ended.
    pub(crate) async fn wait(&self) {
        // Fails only if the sender is dropped, and `self` is the sender.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}
