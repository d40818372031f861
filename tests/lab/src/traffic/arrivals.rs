//! The schedule of sending.

use std::f64::consts::TAU;

use rand::RngExt;

use crate::{
    clock::Ms,
    seeded_rng::{SeededRng, exponential},
    sqs::queue::Number,
};

/// How many messages are sent, over what time, and how unevenly.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) messages: Number,
    pub(crate) over: Ms,
    pub(crate) shape: Shape,
}

/// How the rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The same on average at all times.
    Steady,
    /// Most of it in a few bursts.
    Bursts,
    /// Little at night, most in the afternoon.
    Day,
}

/// The schedule: how many messages have been sent by the end of each tick.
#[derive(Debug)]
pub(crate) struct Arrivals {
    tick: Ms,
    totals: Vec<Number>,
    sent: Number,
}

/// Messages are sent in bulk, this often.
const TICK: Ms = 250;
/// A schedule has at most this many ticks.
const MOST_TICKS: Ms = 50_000;

impl Arrivals {
    pub(crate) fn new(traffic: &Traffic, seeded: SeededRng) -> Self {
        let tick = TICK.max(traffic.over / MOST_TICKS);
        let ticks = (traffic.over / tick).max(1);
        let mut rng = seeded.rng();
        let weights: Vec<f64> = (0..ticks)
            .map(|number| {
                let through = f64::from(number) / f64::from(ticks);
                let rate = match traffic.shape {
                    Shape::Steady => 1.0,
                    Shape::Bursts => {
                        if rng.random_bool(0.02) {
                            40.0
                        } else {
                            0.3
                        }
                    }
                    Shape::Day => 1.15 - (TAU * (through - 0.1)).cos(),
                };
                rate * exponential(&mut rng, 1.0)
            })
            .collect();
        let sum: f64 = weights.iter().sum();
        let mut so_far = 0.0;
        let totals = weights.iter().map(|weight| {
            so_far += weight / sum;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `messages`")]
            let total = (f64::from(traffic.messages) * so_far.min(1.0)).round() as Number;
            total
        });
        Self { tick, totals: totals.collect(), sent: 0 }
    }

    /// How many messages are to be sent by now that have not been.
    pub(crate) fn due(&mut self, now: Ms) -> Number {
        let ticks = ((now / self.tick) as usize).min(self.totals.len());
        let total = ticks.checked_sub(1).map_or(0, |last| self.totals[last]);
        let due = total - self.sent;
        self.sent = total;
        due
    }

    /// When the next message is due; none if all have been sent.
    pub(crate) fn next(&self) -> Option<Ms> {
        let tick = self.totals.partition_point(|total| *total <= self.sent);
        (tick < self.totals.len()).then(|| (Ms::try_from(tick).unwrap_or(Ms::MAX) + 1) * self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_sent_once_and_none_too_late() {
        for shape in [Shape::Steady, Shape::Bursts, Shape::Day] {
            let traffic = Traffic { messages: 1_000, over: 60_000, shape };
            let mut arrivals = Arrivals::new(&traffic, SeededRng::new(7));
            let (mut now, mut sent) = (0, 0);
            while let Some(next) = arrivals.next() {
                assert!(next > now && next <= 60_000);
                now = next;
                let due = arrivals.due(now);
                assert!(due > 0);
                sent += due;
            }
            assert_eq!(sent, 1_000);
        }
    }
}
