//! The algorithm: moves the limit once a round. See the [module](super) for how.

use std::time::Duration;

use tokio::time::Instant;

use crate::deliver::concurrency::signal::Signal;

/// The least limit: pauses are 63 times as long as the request before them.
const MIN_LIMIT: f64 = 1.0 / 64.0;

/// What a round without overload adds to a limit below one.
const STEP_BELOW_ONE: f64 = 1.0 / 8.0;

/// The limit after the first success in an outage.
const LIMIT_AFTER_OUTAGE: f64 = 1.0;

/// The longest pause. Longer ones would be billed without sparing Perseus much: each environment sends one request per
/// pause.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A pause of a limit below one is a multiple of the time that the last request took. A request that is refused faster
/// than this counts as having taken this long.
const MIN_REQUEST_TIME: Duration = Duration::from_millis(25);

/// The wait after the first failed round.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// This many failed rounds in a row are an outage, if they lasted at least [`OUTAGE_TIME`].
const OUTAGE_ROUNDS: u32 = 6;
pub(super) const OUTAGE_TIME: Duration = Duration::from_secs(2);

/// From this many failed rounds in a row on, a reply such as a 500 lowers the limit too. A Perseus that answers 500 to one
/// request in five has fewer of them in a row, by chance.
const ROUNDS_BEYOND_CHANCE: u32 = 3;

/// The adaptive limit, and what it has learnt.
#[derive(Debug)]
pub(super) struct Controller {
    /// `MAX_IN_FLIGHT`.
    max_limit: f64,
    /// The limit. From one on, its whole part counts.
    limit: f64,
    /// Below this limit, a round without overload doubles it (TCP's `ssthresh`).
    slow_start_threshold: f64,
    /// The end of the pause after the last request, if the limit is below one.
    paused_until: Instant,
    /// The end of the wait after a failed round.
    backoff_until: Option<Instant>,
    /// Rounds in a row without any usable reply.
    failed_rounds: u32,
    /// When replies began to be unusable; none if the last one was usable.
    failing_since: Option<Instant>,
    round: Round,
}

/// The signals of the requests that ended in this round.
#[derive(Debug)]
struct Round {
    began: Instant,
    answered: u32,
    busy: u32,
    overloaded: u32,
}

impl Controller {
    pub(super) fn new(max_limit: f64) -> Self {
        Controller {
            max_limit,
            limit: max_limit,
            slow_start_threshold: max_limit,
            paused_until: Instant::now(),
            backoff_until: None,
            failed_rounds: 0,
            failing_since: None,
            round: Round::new(),
        }
    }

    /// How many requests may be in flight. Below one: for which share of the time one may be.
    pub(super) fn limit(&self) -> f64 {
        if self.limit < 1.0 { self.limit } else { self.limit.floor() }
    }

    /// How many permits there are.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1,000")]
    pub(super) fn permits(&self) -> usize {
        self.limit.max(1.0) as usize
    }

    /// Whether this is an outage.
    pub(super) fn is_outage(&self) -> bool {
        self.failed_rounds >= OUTAGE_ROUNDS
            && self.failing_since.is_some_and(|since| since.elapsed() >= OUTAGE_TIME)
    }

    /// How long this outage has lasted; none if there is none.
    pub(super) fn outage(&self) -> Option<Duration> {
        self.failing_since.filter(|_| self.is_outage()).map(|since| since.elapsed())
    }

    /// Until when the next request has to wait. In an outage it does not: the time between invocations is pause enough, and
    /// a probe that waits would be billed for nothing.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        let waits = self.backoff_until.map_or(self.paused_until, |end| end.max(self.paused_until));
        (!self.is_outage()).then_some(waits)
    }

    /// Ends the wait after a failed round. True if there was one.
    pub(super) fn end_backoff(&mut self) -> bool {
        self.backoff_until.take().is_some()
    }

    /// Learns from a request that began at `began` and ended now.
    pub(super) fn record(&mut self, began: Instant, signal: Signal) {
        let was_outage = self.is_outage();
        match signal {
            Signal::Answered => self.round.answered += 1,
            Signal::Busy => self.round.busy += 1,
            Signal::Overloaded => self.round.overloaded += 1,
            Signal::Failed => {}
            Signal::Unclear => return,
        }
        if signal.is_usable() {
            self.failing_since = None;
        } else {
            self.failing_since.get_or_insert_with(Instant::now);
        }
        if began >= self.round.began {
            self.end_round(was_outage);
            self.paused_until = self.round.began + self.pause(began.elapsed());
        }
    }

    fn end_round(&mut self, was_outage: bool) {
        let Round { answered, busy, overloaded, .. } = self.round;
        if answered + busy == 0 {
            self.round_failed();
        } else if busy + overloaded > 0 {
            let seen = f64::from(answered + busy + overloaded);
            self.decrease(f64::from(busy + overloaded) / seen);
            // Perseus answered some requests, so this limit is near its capacity.
            self.slow_start_threshold = self.limit;
            self.failed_rounds = 0;
        } else {
            self.increase(f64::from(answered), was_outage);
        }
        self.round = Round::new();
    }

    /// The pause after a request. It has jitter: environments that were refused together must not come back together.
    fn pause(&self, took: Duration) -> Duration {
        let share = (1.0 / self.limit - 1.0).max(0.0) * (0.5 + fastrand::f64());
        took.max(MIN_REQUEST_TIME).mul_f64(share).min(MAX_PAUSE)
    }

    /// The whole round brought no usable reply.
    fn round_failed(&mut self) {
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        if self.round.overloaded == 0 && self.failed_rounds < ROUNDS_BEYOND_CHANCE {
            return;
        }
        self.decrease(1.0);
        let doubled = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(self.failed_rounds - 1));
        let wait = doubled.min(MAX_PAUSE).mul_f64(0.5 + fastrand::f64()).min(MAX_PAUSE);
        self.backoff_until = Some(Instant::now() + wait);
    }

    /// `overloaded` is the share of the round's requests that met overload.
    fn decrease(&mut self, overloaded: f64) {
        self.limit = (self.limit * (1.0 - overloaded / 2.0)).max(MIN_LIMIT);
    }

    fn increase(&mut self, answered: f64, was_outage: bool) {
        if was_outage {
            self.limit = self.limit.max(LIMIT_AFTER_OUTAGE);
        } else if self.failed_rounds > 0 {
            // Perseus was full for a moment, with requests of other environments too: this limit is near its capacity.
            self.slow_start_threshold = self.limit;
        }
        self.failed_rounds = 0;
        // Fewer requests than half the limit do not show that Perseus could take more than the limit.
        if answered * 2.0 >= self.limit {
            self.limit = if self.limit < 1.0 {
                self.limit + STEP_BELOW_ONE
            } else if self.limit < self.slow_start_threshold {
                (self.limit * 2.0).min(self.slow_start_threshold)
            } else {
                self.limit + 1.0
            };
        }
        self.limit = self.limit.min(self.max_limit);
    }

    /// Begins a round in which this many requests were answered already.
    #[cfg(test)]
    pub(super) fn begin_round(&mut self, answered: u32) {
        self.round = Round { answered, ..Round::new() };
    }
}

impl Round {
    fn new() -> Self {
        Round { began: Instant::now(), answered: 0, busy: 0, overloaded: 0 }
    }
}
