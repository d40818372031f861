//! The end of all sending in an invocation, once it has turned out that the set-up is wrong.

use tokio::sync::watch;

/// Whether and why sending has ended, and a way to wait for that.
#[derive(Debug, Default)]
pub struct StopSignal(watch::Sender<Option<&'static str>>);

impl StopSignal {
    /// Ends all sending for this reason, if it has not ended for another. True the first time.
    pub fn set(&self, reason: &'static str) -> bool {
        self.0.send_if_modified(|set| {
            let is_first = set.is_none();
            set.get_or_insert(reason);
            is_first
        })
    }

    /// Whether sending has ended.
    pub fn is_set(&self) -> bool {
        self.reason().is_some()
    }

    /// Why sending has ended, if it has.
    pub fn reason(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Waits for the end.
    pub async fn wait(&self) {
        // An error says that the sender is gone; it is borrowed here.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}
