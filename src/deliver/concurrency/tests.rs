use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{
    controller::{MAX_PAUSE, OUTAGE_TIME},
    limit::ConcurrencyLimit,
    signal::Signal,
};

const MS: Duration = Duration::from_millis(1);

/// One round: as many requests as the limit allows, 10 ms each. Perseus answers `capacity` of them.
/// Returns how many were sent.
async fn round(limit: &ConcurrencyLimit, capacity: usize) -> usize {
    let invocation = limit.invocation_limit();
    let mut permits = Vec::new();
    while limit.semaphore.available() > 0
        && let Some(permit) = invocation.acquire().await
    {
        permits.push(permit);
    }
    advance(10 * MS).await;
    let sent = permits.len();
    for (place, permit) in permits.into_iter().enumerate() {
        permit.settle(if place < capacity { Signal::Answered } else { Signal::Overloaded });
        // No two requests begin or end at the same instant.
        advance(MS / 1_000).await;
    }
    sent
}

async fn rounds(limit: &ConcurrencyLimit, capacity: usize, rounds: usize) -> Vec<usize> {
    let mut sent = Vec::new();
    for _ in 0..rounds {
        sent.push(round(limit, capacity).await);
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn the_limit_stays_at_its_highest_while_every_request_is_answered() {
    assert_eq!(rounds(&ConcurrencyLimit::new(10), 10, 3).await, [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_finds_the_capacity_and_stays_near_it() {
    for capacity in [3, 7, 20, 45] {
        let limit = ConcurrencyLimit::new(50);
        rounds(&limit, capacity, 40).await;
        let sent = rounds(&limit, capacity, 100).await;
        let useful: usize = sent.iter().map(|sent| sent.min(&capacity)).sum();
        assert!(useful * 10 >= capacity * 100 * 9, "{capacity}: {sent:?}");
        assert!(sent.iter().all(|sent| *sent <= capacity + capacity / 4 + 2), "{capacity}: {sent:?}");
    }
}

/// A limit that has seen `signal` until it was an outage.
async fn in_outage(most: usize, signal: Signal) -> ConcurrencyLimit {
    let limit = ConcurrencyLimit::new(most);
    while !limit.is_outage() {
        request(&limit, signal).await;
    }
    limit
}

#[tokio::test(start_paused = true)]
async fn rounds_of_overload_halve_the_limit() {
    let limit = ConcurrencyLimit::new(10);
    assert_eq!(rounds(&limit, 0, 7).await, [10, 5, 2, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn rounds_without_a_usable_reply_for_two_seconds_are_an_outage() {
    for signal in [Signal::Overloaded, Signal::Failed] {
        let limit = ConcurrencyLimit::new(10);
        let start = Instant::now();
        let mut requests = 0;
        while !limit.is_outage() {
            // Refused within a millisecond.
            let invocation = limit.invocation_limit();
            let mut permit = invocation.acquire().await.unwrap();
            permit.pause().await;
            permit.begin();
            advance(MS).await;
            permit.settle(signal);
            requests += 1;
        }
        assert!(start.elapsed() >= OUTAGE_TIME, "{signal:?}: {:?}", start.elapsed());
        assert!((6..=9).contains(&requests), "{signal:?}: {requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_second_of_failures_is_not_an_outage_however_fast_requests_fail() {
    let limit = ConcurrencyLimit::new(10);
    let start = Instant::now();
    let mut requests = 0;
    while start.elapsed() < 500 * MS {
        let invocation = limit.invocation_limit();
        let mut permit = invocation.acquire().await.unwrap();
        permit.pause().await;
        permit.begin();
        advance(MS).await;
        permit.settle(Signal::Overloaded);
        requests += 1;
    }
    assert!(!limit.is_outage());
    assert!((3..=6).contains(&requests), "{requests} attempts in half a second");
}

#[tokio::test(start_paused = true)]
async fn while_any_reply_is_usable_there_is_no_outage() {
    for usable in [Signal::Answered, Signal::Busy] {
        let limit = ConcurrencyLimit::new(1);
        for number in 1..100 {
            request(&limit, if number % 5 == 0 { usable } else { Signal::Failed }).await;
            assert!(!limit.is_outage());
        }
    }
    let limit = ConcurrencyLimit::new(10);
    for _ in 0..20 {
        request(&limit, Signal::Busy).await;
    }
    assert!(!limit.is_outage());
    assert!(limit.current() < 1.0);
}

#[tokio::test(start_paused = true)]
async fn one_500_in_five_does_not_lower_the_limit() {
    let limit = ConcurrencyLimit::new(10);
    for number in 0..200 {
        let signal = if number % 5 == 0 { Signal::Failed } else { Signal::Answered };
        assert_eq!(request(&limit, signal).await, Duration::ZERO, "{number}");
        assert_eq!(limit.current(), 10.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_500s_alone_lowers_the_limit_too() {
    let limit = in_outage(10, Signal::Failed).await;
    assert!(limit.current() < 2.0);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_each_invocation_sends_one_probe() {
    let limit = in_outage(10, Signal::Overloaded).await;
    for _ in 0..3 {
        let invocation = limit.invocation_limit();
        let probe = invocation.acquire().await.unwrap();
        assert!(invocation.allows(), "the probe may still end the outage");
        probe.settle(Signal::Failed);
        assert!(!invocation.allows());
        assert!(invocation.acquire().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_admitted_until_it_is_sent() {
    let limit = in_outage(10, Signal::Overloaded).await;
    let invocation = limit.invocation_limit();
    let mut probe = invocation.acquire().await.unwrap();
    // Its pause may be repeated.
    assert!(invocation.admits(&mut probe) && invocation.admits(&mut probe));
}

#[tokio::test(start_paused = true)]
async fn an_invocation_is_told_of_an_outage() {
    assert!(!ConcurrencyLimit::new(10).invocation_limit().is_outage());
    assert!(in_outage(10, Signal::Overloaded).await.invocation_limit().is_outage());
}

#[tokio::test(start_paused = true)]
async fn a_probe_on_a_dead_connection_may_be_sent_again() {
    let limit = in_outage(10, Signal::Overloaded).await;
    let invocation = limit.invocation_limit();
    invocation.acquire().await.unwrap().settle(Signal::Unclear);
    assert!(invocation.allows());
    invocation.acquire().await.unwrap().settle(Signal::Overloaded);
    assert!(!invocation.allows());
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_the_limit_doubles_each_round() {
    let limit = in_outage(10, Signal::Overloaded).await;
    let invocation = limit.invocation_limit();
    let probe = invocation.acquire().await.unwrap();
    advance(MS).await;
    probe.settle(Signal::Answered);
    assert!(invocation.allows() && invocation.acquire().await.is_some());
    assert_eq!(rounds(&limit, 10, 4).await, [2, 4, 8, 10]);
}

#[tokio::test(start_paused = true)]
async fn after_a_short_failure_the_limit_is_back_within_two_seconds() {
    let limit = ConcurrencyLimit::new(10);
    for _ in 0..4 {
        request(&limit, Signal::Overloaded).await;
    }
    let start = Instant::now();
    while limit.current() < 10.0 {
        rounds(&limit, 10, 1).await;
    }
    assert!(start.elapsed() < 2_000 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_wait_doubles_with_each_failed_round_and_has_jitter() {
    let mut waits = [vec![], vec![], vec![]];
    for _ in 0..50 {
        let limit = ConcurrencyLimit::new(10);
        for waits in &mut waits {
            request(&limit, Signal::Overloaded).await;
            waits.push(limit.invocation_limit().pause());
        }
    }
    for (waits, middle) in waits.iter().zip([100 * MS, 200 * MS, 400 * MS]) {
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!((middle / 2..middle).contains(least), "{middle:?}: {least:?}");
        assert!((middle..middle * 3 / 2).contains(most), "{middle:?}: {most:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_wait_after_a_failed_round() {
    let limit = ConcurrencyLimit::new(2);
    let invocation = limit.invocation_limit();
    let (failed, answered) = (invocation.acquire().await.unwrap(), invocation.acquire().await.unwrap());
    advance(MS).await;
    failed.settle(Signal::Overloaded);
    assert!(invocation.pause() > Duration::ZERO);
    answered.settle(Signal::Answered);
    assert_eq!(invocation.pause(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_third_failed_round_in_a_row_lowers_the_limit() {
    let limit = ConcurrencyLimit::new(10);
    for lowered in [10.0, 10.0, 5.0] {
        request(&limit, Signal::Failed).await;
        assert_eq!(limit.current(), lowered);
    }
}

#[tokio::test(start_paused = true)]
async fn after_failed_rounds_the_limit_does_not_double() {
    let limit = ConcurrencyLimit::new(32);
    for _ in 0..2 {
        request(&limit, Signal::Overloaded).await;
    }
    for raised in [9.0, 10.0] {
        limit.state().controller.begin_round(31);
        limit.record(Instant::now(), Signal::Answered);
        assert_eq!(limit.current(), raised);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_begins_when_a_permit_is_free() {
    let limit = ConcurrencyLimit::new(1);
    let invocation = limit.invocation_limit();
    let permit = invocation.acquire().await;
    let mut ready = std::pin::pin!(invocation.ready());
    assert!(futures_util::poll!(&mut ready).is_pending());
    drop(permit);
    ready.await;
    assert_eq!(limit.semaphore.available(), 1, "it is left there");
}

#[tokio::test(start_paused = true)]
async fn every_request_waits_for_a_retry_after() {
    let limit = ConcurrencyLimit::new(10);
    limit.invocation_limit().retry_after(3_000 * MS);
    assert!(limit.invocation_limit().is_held());
    assert_eq!(limit.invocation_limit().pause(), 3_000 * MS);
    let pause = request(&limit, Signal::Answered).await;
    assert!((3_000 * MS..3_002 * MS).contains(&pause), "{pause:?}");
    assert!(!limit.invocation_limit().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_ends_on_time() {
    let limit = ConcurrencyLimit::new(10);
    limit.retry_after(3_000 * MS);
    advance(3_000 * MS).await;
    assert!(!limit.invocation_limit().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_may_end_a_retry_after() {
    let limit = ConcurrencyLimit::new(10);
    let invocation = limit.invocation_limit();
    limit.retry_after(3_000 * MS);
    assert_eq!(invocation.least_pause(), 3_000 * MS);
    let mut permit = invocation.acquire().await.unwrap();
    permit.begin();
    assert_eq!(invocation.least_pause(), Duration::ZERO);
    drop(permit);
    assert_eq!(invocation.least_pause(), 3_000 * MS, "no request is in flight any more");
}

#[tokio::test(start_paused = true)]
async fn the_probe_of_an_outage_waits_for_a_retry_after_too() {
    let limit = in_outage(10, Signal::Overloaded).await;
    limit.retry_after(3_000 * MS);
    let pause = request(&limit, Signal::Overloaded).await;
    assert!((3_000 * MS..3_002 * MS).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_every_retry_after() {
    let limit = ConcurrencyLimit::new(10);
    limit.retry_after(30_000 * MS);
    limit.retry_after(3_600_000 * MS);
    assert_eq!(limit.invocation_limit().retry_after_left(), 3_600_000 * MS);
    let start = Instant::now();
    let waiting = async {
        limit.invocation_limit().acquire().await.unwrap().pause().await;
        start.elapsed()
    };
    let success = async {
        tokio::time::sleep(50 * MS).await;
        limit.invocation_limit().end_retry_after();
    };
    let (waited, ()) = tokio::join!(waiting, success);
    assert!(waited < 60 * MS, "{waited:?}");
    assert_eq!(
        (limit.retry_after_left(), limit.invocation_limit().pause()),
        (Duration::ZERO, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn no_other_request_waits_for_a_retry_after_over_a_minute() {
    let limit = ConcurrencyLimit::new(10);
    for seconds in [61, 3_600, u64::MAX] {
        limit.retry_after(Duration::from_secs(seconds));
        assert_eq!(limit.invocation_limit().pause(), Duration::ZERO, "{seconds}");
        assert!(limit.retry_after_left() > Duration::from_secs(60));
    }
    limit.retry_after(Duration::from_secs(60));
    assert_eq!(limit.invocation_limit().pause(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn unclear_and_dropped_attempts_do_not_change_the_limit() {
    let limit = ConcurrencyLimit::new(10);
    let invocation = limit.invocation_limit();
    for _ in 0..50 {
        invocation.acquire().await.unwrap().settle(Signal::Unclear);
        drop(invocation.acquire().await);
        advance(MS).await;
    }
    assert_eq!(round(&limit, 10).await, 10);
}

#[tokio::test(start_paused = true)]
async fn when_the_limit_falls_permits_in_use_are_taken_back_later() {
    let limit = ConcurrencyLimit::new(4);
    let invocation = limit.invocation_limit();
    let mut permits = Vec::new();
    for _ in 0..4 {
        permits.extend(invocation.acquire().await);
    }
    advance(MS).await;
    permits.pop().unwrap().settle(Signal::Overloaded);
    // Two are allowed, three are in use.
    assert_eq!(limit.semaphore.available(), 0);
    drop(permits.pop());
    assert_eq!(limit.semaphore.available(), 0);
    drop(permits);
    assert_eq!(limit.semaphore.available(), 2);
}

#[tokio::test(start_paused = true)]
async fn when_the_limit_rises_again_owed_permits_are_not_added_twice() {
    let limit = ConcurrencyLimit::new(8);
    let invocation = limit.invocation_limit();
    let mut permits = Vec::new();
    for _ in 0..8 {
        permits.extend(invocation.acquire().await);
    }
    advance(MS).await;
    // The limit falls to four while seven requests are in flight: three permits are owed.
    permits.pop().unwrap().settle(Signal::Busy);
    assert_eq!((limit.current(), limit.semaphore.available()), (4.0, 0));
    // The limit rises while they are still in flight.
    for _ in 0..3 {
        limit.state().controller.begin_round(7);
        let began = Instant::now();
        limit.record(began, Signal::Answered);
        assert!(limit.semaphore.available() <= 1);
    }
    let allowed = limit.current();
    assert!(allowed > 4.0);
    drop(permits);
    assert_eq!(limit.semaphore.available().to_string(), allowed.to_string());
}

#[tokio::test(start_paused = true)]
async fn rounds_with_some_answers_are_not_an_outage() {
    let limit = ConcurrencyLimit::new(10);
    for _ in 0..100 {
        round(&limit, 1).await;
        advance(100 * MS).await;
        assert!(!limit.is_outage());
    }
}

#[tokio::test(start_paused = true)]
async fn requests_far_below_the_limit_do_not_raise_it() {
    let limit = ConcurrencyLimit::new(10);
    rounds(&limit, 4, 20).await;
    request(&limit, Signal::Answered).await;
    let allowed = limit.current();
    assert!((3.0..9.0).contains(&allowed));
    for _ in 0..50 {
        request(&limit, Signal::Answered).await;
    }
    assert_eq!(limit.current(), allowed);
}

/// A single request of 100 ms. Returns the pause before it.
async fn request(limit: &ConcurrencyLimit, signal: Signal) -> Duration {
    let start = Instant::now();
    let invocation = limit.invocation_limit();
    let mut permit = invocation.acquire().await.unwrap();
    permit.pause().await;
    permit.begin();
    let pause = start.elapsed();
    advance(100 * MS).await;
    permit.settle(signal);
    pause
}

#[tokio::test(start_paused = true)]
async fn a_limit_below_one_is_a_pause_between_requests() {
    let limit = ConcurrencyLimit::new(1);
    request(&limit, Signal::Busy).await;
    request(&limit, Signal::Busy).await;
    assert_eq!(limit.current(), 0.25);
    let due = limit.invocation_limit().pause();
    let pause = request(&limit, Signal::Answered).await;
    assert!((due..due + 2 * MS).contains(&pause), "{pause:?} of {due:?}");
    for allowed in [0.5, 0.625, 0.75, 0.875, 1.0] {
        assert!(limit.invocation_limit().pause() > Duration::ZERO);
        request(&limit, Signal::Answered).await;
        assert_eq!(limit.current(), allowed);
    }
    assert_eq!(limit.invocation_limit().pause(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_a_quarter_is_a_pause_of_three_requests_with_jitter() {
    let mut pauses = Vec::new();
    for _ in 0..50 {
        let limit = ConcurrencyLimit::new(1);
        request(&limit, Signal::Busy).await;
        request(&limit, Signal::Busy).await;
        pauses.push(limit.invocation_limit().pause());
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*least >= 150 * MS, "{least:?}");
    assert!((300 * MS..450 * MS).contains(most), "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn pauses_are_at_most_five_seconds_and_have_jitter() {
    let limit = ConcurrencyLimit::new(1);
    let mut pauses = Vec::new();
    for _ in 0..100 {
        pauses.push(request(&limit, Signal::Busy).await);
    }
    assert!(pauses.iter().all(|pause| *pause <= MAX_PAUSE + MS), "{pauses:?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 20, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_probe_of_an_outage_does_not_pause() {
    let limit = in_outage(1, Signal::Overloaded).await;
    assert_eq!(request(&limit, Signal::Overloaded).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_every_success_keeps_the_limit_at_one_or_below() {
    let limit = ConcurrencyLimit::new(10);
    // The limit falls from 10 to below one. A success now and then must not double it back to 10.
    rounds(&limit, 0, 5).await;
    assert!(limit.current() < 1.0);
    for _ in 0..10 {
        request(&limit, Signal::Answered).await;
        request(&limit, Signal::Overloaded).await;
        assert!(limit.current() <= 1.0, "{}", limit.current());
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_limit_never_changes() {
    let limit = ConcurrencyLimit::fixed(10);
    assert_eq!(rounds(&limit, 0, 7).await, [10; 7]);
    limit.retry_after(10 * OUTAGE_TIME);
    assert!(
        !limit.is_outage()
            && limit.retry_after_left().is_zero()
            && limit.invocation_limit().pause().is_zero()
    );
}
