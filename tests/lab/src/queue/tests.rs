use super::*;

fn queue(fifo: bool, duplicates: f64) -> Queue {
    Queue::new(Settings { visibility: 30, max_receives: 2, fifo, duplicates }, Dice::new(7))
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
    assert_eq!(queue.counts(), Counts { visible: 0, in_flight: 2, deleted: 1, dead: 0 });
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
    assert_eq!(queue.places().next(), Some((Place::Dead, 2, 0)));
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
