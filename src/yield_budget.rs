//! How many bytes all deliveries of an invocation may work on before the task yields.
//!
//! All deliveries run in one task, and each poll of that task polls every delivery that is ready. So many short pieces of
//! work can add up to a long one, during which no connection is served and the cutoff is not noticed. 24 requests that are
//! compressed again at the same time take 25 ms. With 128 MB of memory a function has a fourteenth of a core, and they take
//! 14 times as long.

use tokio::{sync::Mutex, task::yield_now};

/// The bytes of one piece of work: about a millisecond.
pub const AT_A_TIME: usize = 256 << 10;

/// Counts the bytes that all deliveries of an invocation have worked on since the task last yielded.
#[derive(Debug, Default)]
pub struct YieldBudget(Mutex<usize>);

impl YieldBudget {
    /// Call this before work on `bytes` bytes. If the budget is used up, it yields: connections and the cutoff have their turn
    /// first.
    pub async fn spend(&self, bytes: usize) {
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
    async fn work_within_the_budget_does_not_yield() {
        let budget = YieldBudget::default();
        let work = || budget.spend(AT_A_TIME / 4);
        assert!(join_all([work(), work(), work(), work()]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn work_beyond_the_budget_yields_before_each_piece() {
        let budget = YieldBudget::default();
        for bytes in [AT_A_TIME, 4 * AT_A_TIME] {
            let mut works = pin!(join_all((0..5).map(|_| budget.spend(bytes))));
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
