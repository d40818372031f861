use std::time::Duration;

use tokio::time::advance;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// One round of as many requests as are allowed, all of 10 ms, answered up to `capacity`.
async fn round(limit: &ConcurrencyLimit, capacity: usize) -> usize {
    let invocation = limit.for_invocation();
    let mut permits = Vec::new();
    while limit.permits.available_permits() > 0
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
async fn a_perseus_that_answers_is_not_held_back() {
    assert_eq!(rounds(&ConcurrencyLimit::new(10), 10, 3).await, [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn it_finds_the_capacity_and_stays_near() {
    for capacity in [3, 7, 20, 45] {
        let limit = ConcurrencyLimit::new(50);
        rounds(&limit, capacity, 40).await;
        let sent = rounds(&limit, capacity, 100).await;
        let useful: usize = sent.iter().map(|sent| sent.min(&capacity)).sum();
        assert!(useful * 10 >= capacity * 100 * 9, "{capacity}: {sent:?}");
        assert!(sent.iter().all(|sent| *sent <= capacity + capacity / 4 + 2), "{capacity}: {sent:?}");
    }
}

/// A limit that takes `signal` for an outage by now.
async fn in_outage(most: usize, signal: Signal) -> ConcurrencyLimit {
    let limit = ConcurrencyLimit::new(most);
    while !limit.is_outage() {
        request(&limit, signal).await;
    }
    limit
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_halves_the_limit_each_round() {
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
            let invocation = limit.for_invocation();
            let mut permit = invocation.acquire().await.unwrap();
            permit.pause().await;
            advance(MS).await;
            permit.settle(signal);
            requests += 1;
        }
        assert!(start.elapsed() >= OUTAGE_TIME, "{signal:?}: {:?}", start.elapsed());
        assert!((6..=9).contains(&requests), "{signal:?}: {requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_is_no_outage_however_fast_requests_fail() {
    let limit = ConcurrencyLimit::new(10);
    let start = Instant::now();
    let mut requests = 0;
    while start.elapsed() < 500 * MS {
        let invocation = limit.for_invocation();
        let mut permit = invocation.acquire().await.unwrap();
        permit.pause().await;
        advance(MS).await;
        permit.settle(Signal::Overloaded);
        requests += 1;
    }
    assert!(!limit.is_outage());
    assert!((3..=6).contains(&requests), "{requests} attempts in half a second");
}

#[tokio::test(start_paused = true)]
async fn a_usable_reply_of_any_kind_is_no_outage() {
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
    assert!(limit.allowed() < 1.0);
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_five_that_says_nothing_of_load_leaves_the_limit_alone() {
    let limit = ConcurrencyLimit::new(10);
    for number in 0..200 {
        let signal = if number % 5 == 0 { Signal::Failed } else { Signal::Answered };
        assert_eq!(request(&limit, signal).await, Duration::ZERO, "{number}");
        assert_eq!(limit.allowed(), 10.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_learnt_from_failures_alone_lowers_the_limit_too() {
    let limit = in_outage(10, Signal::Failed).await;
    assert!(limit.allowed() < 2.0);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_an_invocation_has_one_probe() {
    let limit = in_outage(10, Signal::Overloaded).await;
    for _ in 0..3 {
        let invocation = limit.for_invocation();
        let probe = invocation.acquire().await.unwrap();
        assert!(invocation.allows(), "it is not known yet what comes of the probe");
        probe.settle(Signal::Failed);
        assert!(!invocation.allows());
        assert!(invocation.acquire().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_on_a_connection_that_was_dead_already_is_none() {
    let limit = in_outage(10, Signal::Overloaded).await;
    let invocation = limit.for_invocation();
    invocation.acquire().await.unwrap().settle(Signal::Unclear);
    assert!(invocation.allows());
    invocation.acquire().await.unwrap().settle(Signal::Overloaded);
    assert!(!invocation.allows());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_quick() {
    let limit = in_outage(10, Signal::Overloaded).await;
    let invocation = limit.for_invocation();
    let probe = invocation.acquire().await.unwrap();
    advance(MS).await;
    probe.settle(Signal::Answered);
    assert!(invocation.allows() && invocation.acquire().await.is_some());
    assert_eq!(rounds(&limit, 10, 4).await, [2, 4, 8, 10]);
}

#[tokio::test(start_paused = true)]
async fn after_a_short_failure_the_limit_comes_back() {
    let limit = ConcurrencyLimit::new(10);
    for _ in 0..4 {
        request(&limit, Signal::Overloaded).await;
    }
    let start = Instant::now();
    while limit.allowed() < 10.0 {
        rounds(&limit, 10, 1).await;
    }
    assert!(start.elapsed() < 2_000 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_every_request() {
    let limit = ConcurrencyLimit::new(10);
    limit.retry_after(3_000 * MS);
    assert!(limit.for_invocation().is_held());
    assert_eq!(limit.for_invocation().pause(), 3_000 * MS);
    let pause = request(&limit, Signal::Answered).await;
    assert!((3_000 * MS..3_002 * MS).contains(&pause), "{pause:?}");
    assert!(!limit.for_invocation().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_the_probe_of_an_outage_too() {
    let limit = in_outage(10, Signal::Overloaded).await;
    limit.retry_after(3_000 * MS);
    let pause = request(&limit, Signal::Overloaded).await;
    assert!((3_000 * MS..3_002 * MS).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_what_perseus_asked_for() {
    let limit = ConcurrencyLimit::new(10);
    limit.retry_after(30_000 * MS);
    limit.retry_after(3_600_000 * MS);
    assert_eq!(limit.asked_for(), 3_600_000 * MS);
    let start = Instant::now();
    let waiting = async {
        limit.for_invocation().acquire().await.unwrap().pause().await;
        start.elapsed()
    };
    let success = async {
        tokio::time::sleep(50 * MS).await;
        limit.succeeded();
    };
    let (waited, ()) = tokio::join!(waiting, success);
    assert!(waited < 60 * MS, "{waited:?}");
    assert_eq!((limit.asked_for(), limit.for_invocation().pause()), (Duration::ZERO, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_very_long_retry_after_holds_no_other_request() {
    let limit = ConcurrencyLimit::new(10);
    for seconds in [61, 3_600, u64::MAX] {
        limit.retry_after(Duration::from_secs(seconds));
        assert_eq!(limit.for_invocation().pause(), Duration::ZERO, "{seconds}");
        assert!(limit.asked_for() > Duration::from_secs(60));
    }
    limit.retry_after(Duration::from_secs(60));
    assert_eq!(limit.for_invocation().pause(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn failures_that_say_nothing_of_capacity_change_nothing() {
    let limit = ConcurrencyLimit::new(10);
    let invocation = limit.for_invocation();
    for _ in 0..50 {
        invocation.acquire().await.unwrap().settle(Signal::Unclear);
        drop(invocation.acquire().await);
        advance(MS).await;
    }
    assert_eq!(round(&limit, 10).await, 10);
}

#[tokio::test(start_paused = true)]
async fn permits_in_use_when_the_limit_falls_are_taken_back_later() {
    let limit = ConcurrencyLimit::new(4);
    let invocation = limit.for_invocation();
    let mut permits = Vec::new();
    for _ in 0..4 {
        permits.extend(invocation.acquire().await);
    }
    advance(MS).await;
    permits.pop().unwrap().settle(Signal::Overloaded);
    // Two are allowed, three are out.
    assert_eq!(limit.permits.available_permits(), 0);
    drop(permits.pop());
    assert_eq!(limit.permits.available_permits(), 0);
    drop(permits);
    assert_eq!(limit.permits.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn permits_that_are_owed_when_the_limit_rises_again_are_not_given_twice() {
    let limit = ConcurrencyLimit::new(8);
    let invocation = limit.for_invocation();
    let mut permits = Vec::new();
    for _ in 0..8 {
        permits.extend(invocation.acquire().await);
    }
    advance(MS).await;
    // The limit falls to four while seven requests are in flight: three permits are owed.
    permits.pop().unwrap().settle(Signal::Busy);
    assert_eq!((limit.allowed(), limit.permits.available_permits()), (4.0, 0));
    // It rises while they still are. Each request of a round of its own counts alone.
    for _ in 0..3 {
        limit.state().round = Round::new();
        limit.state().round.answered = 7;
        let began = Instant::now();
        limit.learn(began, Signal::Answered);
        assert!(limit.permits.available_permits() <= 1);
    }
    let allowed = limit.allowed();
    assert!(allowed > 4.0);
    drop(permits);
    assert_eq!(limit.permits.available_permits().to_string(), allowed.to_string());
}

#[tokio::test(start_paused = true)]
async fn rounds_that_are_refused_in_part_are_no_outage() {
    let limit = ConcurrencyLimit::new(10);
    for _ in 0..100 {
        round(&limit, 1).await;
        advance(100 * MS).await;
        assert!(!limit.is_outage());
    }
}

#[tokio::test(start_paused = true)]
async fn few_requests_say_nothing_of_a_limit_that_they_do_not_come_near() {
    let limit = ConcurrencyLimit::new(10);
    rounds(&limit, 4, 20).await;
    request(&limit, Signal::Answered).await;
    let allowed = limit.allowed();
    assert!((3.0..9.0).contains(&allowed));
    for _ in 0..50 {
        request(&limit, Signal::Answered).await;
    }
    assert_eq!(limit.allowed(), allowed);
}

/// One request of 100 ms by itself, after the pause that this returns.
async fn request(limit: &ConcurrencyLimit, signal: Signal) -> Duration {
    let start = Instant::now();
    let invocation = limit.for_invocation();
    let mut permit = invocation.acquire().await.unwrap();
    permit.pause().await;
    let pause = start.elapsed();
    advance(100 * MS).await;
    permit.settle(signal);
    pause
}

#[tokio::test(start_paused = true)]
async fn below_one_the_limit_is_a_pause() {
    let limit = ConcurrencyLimit::new(1);
    request(&limit, Signal::Busy).await;
    request(&limit, Signal::Busy).await;
    assert_eq!(limit.allowed(), 0.25);
    let due = limit.for_invocation().pause();
    assert!((150 * MS..450 * MS).contains(&due), "{due:?}");
    let pause = request(&limit, Signal::Answered).await;
    assert!((due..due + 2 * MS).contains(&pause), "{pause:?} of {due:?}");
    for allowed in [0.5, 0.625, 0.75, 0.875, 1.0] {
        assert!(limit.for_invocation().pause() > Duration::ZERO);
        request(&limit, Signal::Answered).await;
        assert_eq!(limit.allowed(), allowed);
    }
    assert_eq!(limit.for_invocation().pause(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn pauses_are_bounded_and_spread() {
    let limit = ConcurrencyLimit::new(1);
    let mut pauses = Vec::new();
    for _ in 0..100 {
        pauses.push(request(&limit, Signal::Busy).await);
    }
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE + MS), "{pauses:?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 20, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait() {
    let limit = in_outage(1, Signal::Overloaded).await;
    assert_eq!(request(&limit, Signal::Overloaded).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn refusals_one_by_one_are_the_edge_and_not_an_outage() {
    let limit = ConcurrencyLimit::new(10);
    // It goes as low as 10, 5, 2, 1 ... and a success now and then does not bring it back to 10 at once.
    rounds(&limit, 0, 5).await;
    assert!(limit.allowed() < 1.0);
    for _ in 0..10 {
        request(&limit, Signal::Answered).await;
        request(&limit, Signal::Overloaded).await;
        assert!(limit.allowed() <= 1.0, "{}", limit.allowed());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_fixed_learns_nothing() {
    let limit = ConcurrencyLimit::fixed(10);
    assert_eq!(rounds(&limit, 0, 7).await, [10; 7]);
    limit.retry_after(10 * OUTAGE_TIME);
    assert!(!limit.is_outage() && limit.asked_for().is_zero() && limit.for_invocation().pause().is_zero());
}
