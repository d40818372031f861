//! How many requests may be in flight, in the whole process: on Lambda Managed Instances several
//! invocations share it.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The in-flight limit.
#[derive(Debug)]
pub struct Limit {
    permits: Semaphore,
}

impl Limit {
    /// A limit of `most` requests.
    pub fn new(most: usize) -> Self {
        Limit { permits: Semaphore::new(most) }
    }

    /// Waits until a request could be sent at once.
    pub async fn ready(&self) {
        drop(self.acquire().await);
    }

    /// Waits for its turn; the request may be in flight for as long as the permit lives.
    pub async fn acquire(&self) -> SemaphorePermit<'_> {
        self.permits.acquire().await.expect("no one closes the semaphore")
    }
}
