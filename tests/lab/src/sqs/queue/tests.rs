use super::*;

fn queue(fifo: bool, duplicates: f64) -> Queue {
    let settings = Settings {
        visibility: 30,
        max_receives: 2,
        fifo,
        oldest_first: false,
        duplicates,
        most_in_flight: 4,
    };
    Queue::new(settings, SeededRng::new(7))
}

fn numbers(batch: &[Delivery]) -> Vec<Number> {
    batch.iter().map(|delivery| delivery.receipt.message).collect()
}

fn received(queue: &mut Queue, most: usize, now: Ms) -> Vec<Number> {
    queue.release(now);
    numbers(&queue.receive(most, now))
}

#[test]
fn a_message_that_is_not_deleted_comes_back_after_the_visibility_timeout() {
    let mut queue = queue(false, 0.0);
    (0..3).for_each(|_| _ = queue.send(None, 0));
    let batch = queue.receive(2, 0);
    assert_eq!(numbers(&batch), [0, 1]);
    assert!(queue.delete(batch[0].receipt));
    assert_eq!(received(&mut queue, 9, 29), [2]);
    assert_eq!(queue.next_visible(), Some(30));
    assert_eq!(received(&mut queue, 9, 30), [1]);
    assert_eq!(queue.counts(), Counts { in_flight: 2, deleted: 1, ..Counts::default() });
}

#[test]
fn a_receipt_is_void_once_the_message_was_received_again() {
    let mut queue = queue(false, 0.0);
    queue.send(None, 0);
    let first = queue.receive(1, 0)[0];
    queue.release(30);
    let second = queue.receive(1, 30)[0];
    assert_ne!(first.receipt.handle(), second.receipt.handle());
    assert!(!queue.delete(first.receipt));
    assert!(queue.delete(second.receipt));
    assert!(!queue.delete(second.receipt));
    assert!(queue.is_empty());
}

#[test]
fn a_message_received_too_often_is_dead() {
    let mut queue = queue(false, 0.0);
    queue.send(None, 0);
    assert_eq!(received(&mut queue, 1, 0), [0]);
    assert_eq!(received(&mut queue, 1, 30), [0]);
    assert_eq!(received(&mut queue, 1, 60), [0; 0]);
    assert_eq!(queue.counts().dead, 1);
    assert_eq!(queue.states().next(), Some((MessageState::Dead, 2, 0)));
}

#[test]
fn a_standard_queue_may_deliver_what_is_deleted_or_in_flight() {
    let mut queue = queue(false, 1.0);
    queue.send(None, 0);
    let first = queue.receive(1, 0)[0];
    assert!(!first.is_copy);
    assert!(queue.delete(first.receipt));
    queue.release(60);
    let copy = queue.receive(1, 60)[0];
    assert!(copy.is_copy);
    assert_eq!(copy.receipt.message, 0);
    assert!(!queue.delete(copy.receipt), "it is gone already");
    assert!(queue.is_empty());
}

#[test]
fn a_group_with_messages_in_flight_is_blocked_and_keeps_its_order() {
    let mut queue = queue(true, 1.0);
    for group in [1, 1, 2, 1] {
        queue.send(Some(group), 0);
    }
    let batch = queue.receive(2, 0);
    assert_eq!(numbers(&batch), [0, 1]);
    assert_eq!(queue.receivable(), 1);
    assert_eq!(received(&mut queue, 9, 1), [2]);
    assert!(queue.delete(batch[0].receipt));
    assert_eq!(received(&mut queue, 9, 2), [0; 0], "1 is in flight");
    assert_eq!(received(&mut queue, 9, 30), [1, 3], "1 is back, before what came after it");
}

#[test]
fn a_group_goes_on_without_its_dead() {
    let mut queue = queue(true, 0.0);
    queue.send(Some(0), 0);
    for now in [0, 30] {
        assert_eq!(received(&mut queue, 1, now), [0]);
    }
    queue.send(Some(0), 40);
    assert_eq!(received(&mut queue, 9, 60), [1]);
    assert_eq!(queue.counts().dead, 1);
}

#[test]
fn a_message_in_flight_comes_back_when_it_is_told_to() {
    let mut queue = queue(false, 0.0);
    (0..3).for_each(|_| _ = queue.send(None, 0));
    let batch = queue.receive(3, 0);
    assert_eq!(queue.change_visibility(batch[0].receipt, 0, 5), Ok(()));
    assert_eq!(received(&mut queue, 9, 5), [0], "at once");
    assert_eq!(queue.change_visibility(batch[1].receipt, 100, 5), Ok(()));
    assert_eq!(queue.change_visibility(batch[2].receipt, 10, 5), Ok(()));
    assert_eq!(queue.next_visible(), Some(15));
    assert_eq!(received(&mut queue, 9, 15), [2], "sooner");
    assert_eq!(received(&mut queue, 9, 104), [0; 0], "0 is dead, and 1 is still hidden");
    assert_eq!(received(&mut queue, 9, 105), [1], "later");
    assert_eq!(queue.counts(), Counts { in_flight: 1, dead: 2, changes: 3, ..Counts::default() });
}

#[test]
fn the_last_change_counts() {
    let mut queue = queue(false, 0.0);
    queue.send(None, 0);
    let receipt = queue.receive(1, 0)[0].receipt;
    for timeout in [10, 500, 50] {
        assert_eq!(queue.change_visibility(receipt, timeout, 1), Ok(()));
    }
    assert_eq!(received(&mut queue, 1, 50), [0; 0]);
    assert_eq!(received(&mut queue, 1, 51), [0]);
    assert_eq!(queue.counts().in_flight, 1);
}

#[test]
fn only_a_live_receipt_of_a_message_in_flight_changes_anything() {
    let mut queue = queue(false, 0.0);
    queue.send(None, 0);
    let unknown = Receipt { message: 7, receive: 1 };
    assert_eq!(queue.change_visibility(unknown, 0, 0), Err(Refusal::NoReceipt));
    let first = queue.receive(1, 0)[0].receipt;
    queue.release(30);
    assert_eq!(queue.change_visibility(first, 9, 30), Err(Refusal::NotInFlight), "it is visible");
    let second = queue.receive(1, 30)[0].receipt;
    assert_eq!(queue.change_visibility(first, 9, 30), Err(Refusal::Expired));
    assert!(queue.delete(second));
    assert_eq!(queue.change_visibility(second, 9, 30), Err(Refusal::NotInFlight), "it is deleted");
}

#[test]
fn nothing_is_hidden_for_more_than_twelve_hours_since_its_receipt() {
    let mut queue = queue(false, 0.0);
    queue.send(None, 0);
    let receipt = queue.receive(1, 0)[0].receipt;
    let twelve_hours = 43_200_000;
    assert_eq!(queue.change_visibility(receipt, twelve_hours - 20, 20), Ok(()));
    assert_eq!(queue.change_visibility(receipt, twelve_hours - 19, 20), Err(Refusal::TooLong));
    assert_eq!(queue.next_visible(), Some(30), "the first timeout, which no longer counts");
    assert_eq!(received(&mut queue, 1, twelve_hours - 1), [0; 0]);
    assert_eq!(received(&mut queue, 1, twelve_hours), [0]);
}

#[test]
fn a_group_stays_blocked_until_the_last_of_it_is_visible() {
    let mut queue = queue(true, 0.0);
    (0..3).for_each(|_| _ = queue.send(Some(1), 0));
    let batch = queue.receive(2, 0);
    assert_eq!(queue.change_visibility(batch[0].receipt, 0, 1), Ok(()));
    assert_eq!(received(&mut queue, 9, 1), [0; 0], "1 is in flight");
    assert_eq!(queue.change_visibility(batch[1].receipt, 10, 1), Ok(()));
    assert_eq!(received(&mut queue, 9, 11), [0, 1, 2]);
}

#[test]
fn nothing_is_received_while_too_much_is_in_flight() {
    for fifo in [false, true] {
        let mut queue = queue(fifo, 0.0);
        (0..6).for_each(|group| _ = queue.send(fifo.then_some(group), 0));
        assert_eq!(queue.receivable(), 4);
        let batch = queue.receive(9, 0);
        assert_eq!(numbers(&batch), [0, 1, 2, 3]);
        assert_eq!((queue.receivable(), queue.receive(9, 1).len()), (0, 0));
        assert!(queue.delete(batch[0].receipt));
        assert_eq!(received(&mut queue, 9, 2), [4]);
    }
}

#[test]
fn a_handle_tells_its_receipt() {
    let receipt = Receipt { message: 77_000_000, receive: 12 };
    assert_eq!(Receipt::of_handle(&receipt.handle()), Some(receipt));
    for handle in ["", "AQEB", "AQEB00000000000", "AQEBzzzzzzzzzzzz", "000000000000AQEB"] {
        assert_eq!(Receipt::of_handle(handle), None, "{handle}");
    }
}

#[test]
fn a_receive_may_have_a_visibility_timeout_of_its_own() {
    let mut queue = queue(false, 0.0);
    queue.send(None, 0);
    assert_eq!(queue.receive_for(1, 100, 0).len(), 1);
    assert_eq!(received(&mut queue, 1, 99), [0; 0]);
    assert_eq!(received(&mut queue, 1, 100), [0]);
}

#[test]
fn what_comes_back_is_received_last_or_if_the_oldest_are_first_again() {
    for (oldest_first, next) in [(false, 1), (true, 0)] {
        let settings = Settings { oldest_first, ..queue(false, 0.0).settings };
        let mut queue = Queue::new(settings, SeededRng::new(7));
        (0..3).for_each(|_| _ = queue.send(None, 0));
        let receipt = queue.receive(1, 0)[0].receipt;
        assert_eq!(queue.change_visibility(receipt, 0, 1), Ok(()));
        assert_eq!(received(&mut queue, 1, 1), [next]);
    }
}
