//! What the function asks of the queue itself.

use super::Drive;
use crate::{
    endpoint::{Entry, Question},
    queue::Refusal,
};

impl Drive {
    pub(super) fn answer(&mut self, question: Question) {
        match question {
            Question::Do(entries, answer) => {
                let outcomes = entries.into_iter().map(|entry| self.comply(entry)).collect();
                // Who does not wait for the answer has its wish all the same.
                let _ = answer.send(outcomes);
            }
            Question::Note(violation) => self.violations.push(violation),
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
                    Some(number) => self.notes[number as usize].dead_lettered = true,
                    None => self.violations.push(format!("the dead letter of `{id}` is not what was sent")),
                }
                Ok(())
            }
        }
    }

    fn is_whole(&self, number: u32, body: &str, group: Option<String>) -> bool {
        (number as usize) < self.notes.len()
            && self.messages.body(number) == body
            && self.messages.group_id(number) == group
    }
}
