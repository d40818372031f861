//! How long a future keeps its thread each time that it is polled.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

/// The cost of a future.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stretches {
    /// The longest single poll: the work between two await points.
    pub(crate) longest: Duration,
    /// How many there were.
    pub(crate) polls: u32,
}

/// A future whose polls are measured. It returns the future's output and its cost.
pub(crate) struct Watched<F> {
    future: Pin<Box<F>>,
    stretches: Stretches,
}

impl<F: Future> Watched<F> {
    pub(crate) fn new(future: F) -> Self {
        Watched { future: Box::pin(future), stretches: Stretches::default() }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = (F::Output, Stretches);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_cpu();
        let poll = self.future.as_mut().poll(context);
        let took = thread_cpu() - before;
        let stretches = &mut self.stretches;
        stretches.longest = stretches.longest.max(took);
        stretches.polls += 1;
        poll.map(|output| (output, self.stretches))
    }
}

/// The CPU time of this thread, which other load on the machine does not change.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}
