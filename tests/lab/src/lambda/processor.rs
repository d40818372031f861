//! The processors of the environments: on the paused clock computing takes no time, so its cost is charged to them.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::ready,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The memory for which Lambda gives one core, in MB.
const MB_OF_A_CORE: u32 = 1_769;

/// The processor of each environment, by its number. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Processors {
    /// None if nothing is charged: on the wall clock computing takes its own time.
    memory_mb: Option<u32>,
    busy_until: Arc<Mutex<HashMap<u32, Instant>>>,
}

impl Processors {
    /// Processors with the share of a core that Lambda gives for this memory.
    pub(crate) fn new(memory_mb: Option<u32>) -> Self {
        Self { memory_mb, busy_until: Arc::default() }
    }

    /// Charges an environment with work that takes this long on a full core. It begins when the work before it has ended.
    pub(crate) fn charge(&self, environment: u32, on_a_core: Duration) {
        let Some(memory_mb) = self.memory_mb else { return };
        // Up to this memory there is one core, or less. Above it there are more, but the function's work is one task.
        let took = on_a_core * MB_OF_A_CORE / memory_mb.min(MB_OF_A_CORE);
        let now = Instant::now();
        let mut all = self.all();
        let busy_until = all.entry(environment).or_insert(now);
        *busy_until = now.max(*busy_until) + took;
    }

    /// Runs the function's work in an environment. The work waits until the processor has done all that was charged so far.
    pub(crate) async fn run<F: Future>(&self, environment: u32, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut busy = pin!(sleep_until(Instant::now()));
        poll_fn(|context| {
            while let Some(until) = self.busy_until(environment) {
                busy.as_mut().reset(until);
                ready!(busy.as_mut().poll(context));
            }
            work.as_mut().poll(context)
        })
        .await
    }

    /// Waits until all that was charged to an environment is done.
    pub(crate) async fn finish(&self, environment: u32) {
        self.run(environment, async {}).await;
    }

    /// Forgets an environment that is gone.
    pub(crate) fn forget(&self, environment: u32) {
        self.all().remove(&environment);
    }

    /// Until when the environment is busy. None if it is not.
    fn busy_until(&self, environment: u32) -> Option<Instant> {
        self.all().get(&environment).copied().filter(|until| *until > Instant::now())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u32, Instant>> {
        self.busy_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;
    use tokio::time::sleep;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    async fn time_of(memory_mb: Option<u32>, charge: Duration) -> Duration {
        let processors = Processors::new(memory_mb);
        let start = Instant::now();
        processors.charge(0, charge);
        processors.finish(0).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn work_takes_longer_with_less_memory() {
        assert_eq!(time_of(Some(1_769), 10 * MS).await, 10 * MS);
        assert_eq!(time_of(Some(10_240), 10 * MS).await, 10 * MS);
        // 138.2 ms, and Tokio's clock counts whole milliseconds.
        assert_eq!(time_of(Some(128), 10 * MS).await, 139 * MS);
        assert_eq!(time_of(None, 10 * MS).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn charges_add_up_and_environments_do_not_wait_for_each_other() {
        let processors = Processors::new(Some(1_769));
        let start = Instant::now();
        processors.charge(0, 10 * MS);
        processors.charge(0, 10 * MS);
        processors.charge(1, 15 * MS);
        let finished = async |environment| {
            processors.finish(environment).await;
            start.elapsed()
        };
        assert_eq!(join(finished(0), finished(1)).await, (20 * MS, 15 * MS));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_is_not_saved_up() {
        let processors = Processors::new(Some(1_769));
        processors.charge(0, 10 * MS);
        sleep(50 * MS).await;
        let start = Instant::now();
        processors.charge(0, 10 * MS);
        processors.finish(0).await;
        assert_eq!(start.elapsed(), 10 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_environment_does_not_notice_the_time() {
        let processors = Processors::new(Some(1_769));
        let start = Instant::now();
        let work = async {
            sleep(10 * MS).await;
            start.elapsed()
        };
        let charge = async {
            sleep(5 * MS).await;
            processors.charge(0, 20 * MS);
            sleep(5 * MS).await;
            processors.charge(0, 20 * MS);
        };
        let (noticed, ()) = join(processors.run(0, work), charge).await;
        assert_eq!(noticed, 45 * MS);
    }
}
