//! The handler and everything behind it, against a Perseus in the same runtime. Time is paused, so whole retry schedules
//! run in milliseconds and every duration is exact.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

/// From an event to the function's answer.
mod invocation {
    mod answer;
    mod deadline;
    mod sample_events;
}

/// What is sent to Perseus, and how.
mod requests {
    mod certificates;
    mod client_certificate;
    mod concurrency;
    mod connections;
    mod format;
    mod proxy;
    mod signature;
    mod token;
}

/// What the function does after each kind of reply, or without one.
mod replies {
    mod bisection;
    mod not_from_perseus;
    mod outages;
    mod overload;
    mod per_record;
    mod refuses_everything;
    mod retries;
}

/// Delivery is paused while Perseus is down.
mod breaker {
    mod pause;
    mod prober;
}

/// What happens to messages of the queue: order, visibility timeouts, dead letters.
mod queue {
    mod dead_letter;
    mod fifo;
    mod visibility;
}
