//! The end of all sending in an invocation, once Perseus has shown that the set-up is wrong.

use tokio::sync::watch;

/// Whether sending has ended, and a way to wait for that.
#[derive(Debug, Default)]
pub struct Halt(watch::Sender<bool>);

impl Halt {
    /// Ends all sending. True the first time.
    pub fn set(&self) -> bool {
        !self.0.send_replace(true)
    }

    /// Whether sending has ended.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the end.
    pub async fn wait(&self) {
        // An error says that the sender is gone; it is borrowed here.
        let _ = self.0.subscribe().wait_for(|set| *set).await;
    }
}
