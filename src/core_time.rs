//! The one core that all deliveries of an invocation share.
//!
//! They run in one task, and each poll of it polls all that are ready. So pieces of work that are short each can be one
//! long stretch together, in which no connection is served and the cutoff cannot be seen: 24 requests that are
//! compressed again at the same time take 25 ms, and on the fourteenth of a core that 128 MB of memory come with 14 times that.

use tokio::{sync::Mutex, task::yield_now};

/// So many bytes are worked on at a time, in about a millisecond.
pub const AT_A_TIME: usize = 256 << 10;

/// What all deliveries of an invocation share. It counts the bytes that were worked on since one of them last waited.
#[derive(Debug, Default)]
pub struct CoreTime(Mutex<usize>);

impl CoreTime {
    /// Waits until there is time for work on so many bytes, which has to follow at once. If others have taken the time,
    /// connections, the cutoff and all else have their turn first.
    pub async fn for_bytes(&self, bytes: usize) {
        let mut done = self.0.lock().await;
        if *done > 0 && *done + bytes > AT_A_TIME {
            yield_now().await;
            *done = 0;
        }
        *done += bytes;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use futures_util::{FutureExt, future::join_all};

    use super::*;

    #[tokio::test]
    async fn what_is_little_together_is_done_at_once() {
        let core = CoreTime::default();
        let work = || core.for_bytes(AT_A_TIME / 4);
        assert!(join_all([work(), work(), work(), work()]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_much_together_is_done_in_as_many_turns() {
        let core = CoreTime::default();
        for bytes in [AT_A_TIME, 4 * AT_A_TIME] {
            let mut works = pin!(join_all((0..5).map(|_| core.for_bytes(bytes))));
            let mut turns = 0;
            poll_fn(|context| {
                turns += 1;
                works.as_mut().poll(context)
            })
            .await;
            assert!(turns >= 5, "{turns}");
        }
    }
}
