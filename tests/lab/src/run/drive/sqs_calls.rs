//! The function's own calls to SQS.

use super::Drive;
use crate::sqs::{
    api::{Entry, SqsRequest},
    queue::{Delivery, Refusal},
};

impl Drive {
    pub(super) fn answer(&mut self, request: SqsRequest) {
        match request {
            SqsRequest::Apply(entries, answer) => {
                let outcomes = entries.into_iter().map(|entry| self.comply(entry)).collect();
                // The call is done even if the caller no longer waits for the answer.
                let _ = answer.send(outcomes);
            }
            SqsRequest::Single(environment, call, answer) => {
                let outcome = self.answer_single(environment, call);
                let _ = answer.send(outcome);
            }
            SqsRequest::Fault(environment) => self.note_fault(environment),
            SqsRequest::Violation(violation) => self.violations.push(violation),
        }
    }

    fn comply(&mut self, entry: Entry) -> Result<(), Refusal> {
        match entry {
            Entry::Hide { receipt, timeout } => {
                let receipt = receipt.ok_or(Refusal::NoReceipt)?;
                self.queue.change_visibility(receipt, timeout, self.clock.now())
            }
            Entry::DeadLetter { id, body, group } => {
                let number = self.messages.number(&id).filter(|number| self.is_whole(*number, &body, group));
                match number {
                    Some(number) => {
                        let invocation = self.invocation_of(number);
                        let note = &mut self.notes[number as usize];
                        note.dead_lettered = true;
                        note.dead_lettered_in = note.dead_lettered_in.or(invocation);
                    }
                    None => self.violations.push(format!("the dead letter of `{id}` is not what was sent")),
                }
                Ok(())
            }
        }
    }

    /// The invocation that has the message now; the earlier one if the queue has given out a copy too.
    fn invocation_of(&self, message: u32) -> Option<u32> {
        let has_it = |batch: &[Delivery]| batch.iter().any(|delivery| delivery.receipt.message == message);
        self.batches.iter().filter(|(_, batch)| has_it(batch)).map(|(number, _)| *number).min()
    }

    fn is_whole(&self, number: u32, body: &str, group: Option<String>) -> bool {
        (number as usize) < self.notes.len()
            && self.messages.body(number) == body
            && self.messages.group_id(number) == group
    }
}
