use std::time::Duration;

use tokio::time::advance;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// One round of as many requests as are allowed, all of 10 ms, answered up to `capacity`.
async fn round(governor: &Governor, capacity: usize) -> usize {
    let turn = governor.turn();
    let mut permits = Vec::new();
    while governor.permits.available_permits() > 0
        && let Some(permit) = turn.acquire().await
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

async fn rounds(governor: &Governor, capacity: usize, rounds: usize) -> Vec<usize> {
    let mut sent = Vec::new();
    for _ in 0..rounds {
        sent.push(round(governor, capacity).await);
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn a_perseus_that_answers_is_not_held_back() {
    assert_eq!(rounds(&Governor::new(10), 10, 3).await, [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn it_finds_the_capacity_and_stays_near() {
    for capacity in [3, 7, 20, 45] {
        let governor = Governor::new(50);
        rounds(&governor, capacity, 40).await;
        let sent = rounds(&governor, capacity, 100).await;
        let useful: usize = sent.iter().map(|sent| sent.min(&capacity)).sum();
        assert!(useful * 10 >= capacity * 100 * 9, "{capacity}: {sent:?}");
        assert!(sent.iter().all(|sent| *sent <= capacity + capacity / 4 + 2), "{capacity}: {sent:?}");
    }
}

/// A governor that takes `signal` for an outage by now.
async fn in_outage(most: usize, signal: Signal) -> Governor {
    let governor = Governor::new(most);
    while !governor.is_outage() {
        request(&governor, signal).await;
    }
    governor
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_halves_the_limit_each_round() {
    let governor = Governor::new(10);
    assert_eq!(rounds(&governor, 0, 7).await, [10, 5, 2, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn rounds_without_a_usable_reply_for_two_seconds_are_an_outage() {
    for signal in [Signal::Overloaded, Signal::Failed] {
        let governor = Governor::new(10);
        let start = Instant::now();
        let mut requests = 0;
        while !governor.is_outage() {
            // Refused within a millisecond.
            let turn = governor.turn();
            let mut permit = turn.acquire().await.unwrap();
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
    let governor = Governor::new(10);
    let start = Instant::now();
    let mut requests = 0;
    while start.elapsed() < 500 * MS {
        let turn = governor.turn();
        let mut permit = turn.acquire().await.unwrap();
        permit.pause().await;
        advance(MS).await;
        permit.settle(Signal::Overloaded);
        requests += 1;
    }
    assert!(!governor.is_outage());
    assert!((3..=6).contains(&requests), "{requests} attempts in half a second");
}

#[tokio::test(start_paused = true)]
async fn a_usable_reply_of_any_kind_is_no_outage() {
    for usable in [Signal::Answered, Signal::Busy] {
        let governor = Governor::new(1);
        for number in 1..100 {
            request(&governor, if number % 5 == 0 { usable } else { Signal::Failed }).await;
            assert!(!governor.is_outage());
        }
    }
    let governor = Governor::new(10);
    for _ in 0..20 {
        request(&governor, Signal::Busy).await;
    }
    assert!(!governor.is_outage());
    assert!(governor.limit() < 1.0);
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_five_that_says_nothing_of_load_leaves_the_limit_alone() {
    let governor = Governor::new(10);
    for number in 0..200 {
        let signal = if number % 5 == 0 { Signal::Failed } else { Signal::Answered };
        assert_eq!(request(&governor, signal).await, Duration::ZERO, "{number}");
        assert_eq!(governor.limit(), 10.0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_learnt_from_failures_alone_lowers_the_limit_too() {
    let governor = in_outage(10, Signal::Failed).await;
    assert!(governor.limit() < 2.0);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_an_invocation_has_one_probe() {
    let governor = in_outage(10, Signal::Overloaded).await;
    for _ in 0..3 {
        let turn = governor.turn();
        let probe = turn.acquire().await.unwrap();
        assert!(turn.allows(), "it is not known yet what comes of the probe");
        probe.settle(Signal::Failed);
        assert!(!turn.allows());
        assert!(turn.acquire().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_on_a_connection_that_was_dead_already_is_none() {
    let governor = in_outage(10, Signal::Overloaded).await;
    let turn = governor.turn();
    turn.acquire().await.unwrap().settle(Signal::Unclear);
    assert!(turn.allows());
    turn.acquire().await.unwrap().settle(Signal::Overloaded);
    assert!(!turn.allows());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_quick() {
    let governor = in_outage(10, Signal::Overloaded).await;
    let turn = governor.turn();
    let probe = turn.acquire().await.unwrap();
    advance(MS).await;
    probe.settle(Signal::Answered);
    assert!(turn.allows() && turn.acquire().await.is_some());
    assert_eq!(rounds(&governor, 10, 4).await, [2, 4, 8, 10]);
}

#[tokio::test(start_paused = true)]
async fn after_a_short_failure_the_limit_comes_back() {
    let governor = Governor::new(10);
    for _ in 0..4 {
        request(&governor, Signal::Overloaded).await;
    }
    let start = Instant::now();
    while governor.limit() < 10.0 {
        rounds(&governor, 10, 1).await;
    }
    assert!(start.elapsed() < 2_000 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_every_request() {
    let governor = Governor::new(10);
    governor.retry_after(3_000 * MS);
    assert!(governor.turn().is_held());
    assert_eq!(governor.turn().pause(), 3_000 * MS);
    let pause = request(&governor, Signal::Answered).await;
    assert!((3_000 * MS..3_002 * MS).contains(&pause), "{pause:?}");
    assert!(!governor.turn().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_the_probe_of_an_outage_too() {
    let governor = in_outage(10, Signal::Overloaded).await;
    governor.retry_after(3_000 * MS);
    let pause = request(&governor, Signal::Overloaded).await;
    assert!((3_000 * MS..3_002 * MS).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_what_perseus_asked_for() {
    let governor = Governor::new(10);
    governor.retry_after(30_000 * MS);
    governor.retry_after(3_600_000 * MS);
    assert_eq!(governor.asked_for(), 3_600_000 * MS);
    let start = Instant::now();
    let waiting = async {
        governor.turn().acquire().await.unwrap().pause().await;
        start.elapsed()
    };
    let success = async {
        tokio::time::sleep(50 * MS).await;
        governor.succeeded();
    };
    let (waited, ()) = tokio::join!(waiting, success);
    assert!(waited < 60 * MS, "{waited:?}");
    assert_eq!((governor.asked_for(), governor.turn().pause()), (Duration::ZERO, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_very_long_retry_after_holds_no_other_request() {
    let governor = Governor::new(10);
    for seconds in [61, 3_600, u64::MAX] {
        governor.retry_after(Duration::from_secs(seconds));
        assert_eq!(governor.turn().pause(), Duration::ZERO, "{seconds}");
        assert!(governor.asked_for() > Duration::from_secs(60));
    }
    governor.retry_after(Duration::from_secs(60));
    assert_eq!(governor.turn().pause(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn failures_that_say_nothing_of_capacity_change_nothing() {
    let governor = Governor::new(10);
    let turn = governor.turn();
    for _ in 0..50 {
        turn.acquire().await.unwrap().settle(Signal::Unclear);
        drop(turn.acquire().await);
        advance(MS).await;
    }
    assert_eq!(round(&governor, 10).await, 10);
}

#[tokio::test(start_paused = true)]
async fn permits_in_use_when_the_limit_falls_are_taken_back_later() {
    let governor = Governor::new(4);
    let turn = governor.turn();
    let mut permits = Vec::new();
    for _ in 0..4 {
        permits.extend(turn.acquire().await);
    }
    advance(MS).await;
    permits.pop().unwrap().settle(Signal::Overloaded);
    // Two are allowed, three are out.
    assert_eq!(governor.permits.available_permits(), 0);
    drop(permits.pop());
    assert_eq!(governor.permits.available_permits(), 0);
    drop(permits);
    assert_eq!(governor.permits.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn permits_that_are_owed_when_the_limit_rises_again_are_not_given_twice() {
    let governor = Governor::new(8);
    let turn = governor.turn();
    let mut permits = Vec::new();
    for _ in 0..8 {
        permits.extend(turn.acquire().await);
    }
    advance(MS).await;
    // The limit falls to four while seven requests are in flight: three permits are owed.
    permits.pop().unwrap().settle(Signal::Busy);
    assert_eq!((governor.limit(), governor.permits.available_permits()), (4.0, 0));
    // It rises while they still are. Each request of a round of its own counts alone.
    for _ in 0..3 {
        governor.state().round = Round::new();
        governor.state().round.answered = 7;
        let began = Instant::now();
        governor.learn(began, Signal::Answered);
        assert!(governor.permits.available_permits() <= 1);
    }
    let limit = governor.limit();
    assert!(limit > 4.0);
    drop(permits);
    assert_eq!(governor.permits.available_permits().to_string(), limit.to_string());
}

#[tokio::test(start_paused = true)]
async fn rounds_that_are_refused_in_part_are_no_outage() {
    let governor = Governor::new(10);
    for _ in 0..100 {
        round(&governor, 1).await;
        advance(100 * MS).await;
        assert!(!governor.is_outage());
    }
}

#[tokio::test(start_paused = true)]
async fn few_requests_say_nothing_of_a_limit_that_they_do_not_come_near() {
    let governor = Governor::new(10);
    rounds(&governor, 4, 20).await;
    request(&governor, Signal::Answered).await;
    let limit = governor.limit();
    assert!((3.0..9.0).contains(&limit));
    for _ in 0..50 {
        request(&governor, Signal::Answered).await;
    }
    assert_eq!(governor.limit(), limit);
}

/// One request of 100 ms by itself, after the pause that this returns.
async fn request(governor: &Governor, signal: Signal) -> Duration {
    let start = Instant::now();
    let turn = governor.turn();
    let mut permit = turn.acquire().await.unwrap();
    permit.pause().await;
    let pause = start.elapsed();
    advance(100 * MS).await;
    permit.settle(signal);
    pause
}

#[tokio::test(start_paused = true)]
async fn below_one_the_limit_is_a_pause() {
    let governor = Governor::new(1);
    request(&governor, Signal::Busy).await;
    request(&governor, Signal::Busy).await;
    assert_eq!(governor.limit(), 0.25);
    let due = governor.turn().pause();
    assert!((150 * MS..450 * MS).contains(&due), "{due:?}");
    let pause = request(&governor, Signal::Answered).await;
    assert!((due..due + 2 * MS).contains(&pause), "{pause:?} of {due:?}");
    for limit in [0.5, 0.625, 0.75, 0.875, 1.0] {
        assert!(governor.turn().pause() > Duration::ZERO);
        request(&governor, Signal::Answered).await;
        assert_eq!(governor.limit(), limit);
    }
    assert_eq!(governor.turn().pause(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn pauses_are_bounded_and_spread() {
    let governor = Governor::new(1);
    let mut pauses = Vec::new();
    for _ in 0..100 {
        pauses.push(request(&governor, Signal::Busy).await);
    }
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE + MS), "{pauses:?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 20, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait() {
    let governor = in_outage(1, Signal::Overloaded).await;
    assert_eq!(request(&governor, Signal::Overloaded).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn refusals_one_by_one_are_the_edge_and_not_an_outage() {
    let governor = Governor::new(10);
    // It goes as low as 10, 5, 2, 1 ... and a success now and then does not bring it back to 10 at once.
    rounds(&governor, 0, 5).await;
    assert!(governor.limit() < 1.0);
    for _ in 0..10 {
        request(&governor, Signal::Answered).await;
        request(&governor, Signal::Overloaded).await;
        assert!(governor.limit() <= 1.0, "{}", governor.limit());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_fixed_learns_nothing() {
    let governor = Governor::fixed(10);
    assert_eq!(rounds(&governor, 0, 7).await, [10; 7]);
    governor.retry_after(10 * OUTAGE_TIME);
    assert!(!governor.is_outage() && governor.asked_for().is_zero() && governor.turn().pause().is_zero());
}
