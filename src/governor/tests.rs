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

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_halves_the_limit_each_round() {
    let governor = Governor::new(10);
    assert_eq!(rounds(&governor, 0, 7).await, [10, 5, 2, 1, 1, 1, 1]);
    assert!(!governor.is_outage());
    round(&governor, 0).await;
    assert!(governor.is_outage());
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_an_invocation_has_one_probe() {
    let governor = Governor::new(10);
    rounds(&governor, 0, 6).await;
    for _ in 0..3 {
        let turn = governor.turn();
        let probe = turn.acquire().await.unwrap();
        assert!(turn.allows(), "it is not known yet what comes of the probe");
        probe.settle(Signal::Overloaded);
        assert!(!turn.allows());
        assert!(turn.acquire().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_quick() {
    let governor = Governor::new(10);
    rounds(&governor, 0, 6).await;
    let turn = governor.turn();
    let probe = turn.acquire().await.unwrap();
    advance(MS).await;
    probe.settle(Signal::Answered);
    assert!(turn.allows() && turn.acquire().await.is_some());
    assert_eq!(rounds(&governor, 10, 4).await, [2, 4, 8, 10]);
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
    request(&governor, Signal::Overloaded).await;
    request(&governor, Signal::Overloaded).await;
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
        pauses.push(request(&governor, Signal::Overloaded).await);
    }
    assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE + MS), "{pauses:?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 20, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait() {
    let governor = Governor::new(1);
    for _ in 0..3 {
        request(&governor, Signal::Overloaded).await;
    }
    assert!(governor.is_outage());
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
