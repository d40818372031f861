//! The answer to an invocation, or its absence.

use std::time::Duration;

use serde_json::Value;

/// One invocation, from the offer to the answer.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// How it ended.
    pub answer: Answer,
    /// From the offer to the arrival of the answer.
    pub took: Duration,
    /// The deadline minus the arrival of the answer; zero when it was late.
    pub time_left: Duration,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The function answered.
    Response(Value),
    /// The function reported an error: the whole batch returns to the queue.
    Error {
        /// The error's type, as the function names it.
        kind: String,
        /// The error's message.
        message: String,
    },
    /// No answer in time.
    TimedOut,
    /// The process ended instead of answering.
    Crashed {
        /// All its lines.
        logs: Vec<String>,
    },
}

impl Answer {
    /// The ids in `batchItemFailures`, as they are: in order, repeats and empty ones included. `None` when this is
    /// not a batch response.
    pub fn batch_item_failures(&self) -> Option<Vec<String>> {
        let Self::Response(response) = self else {
            return None;
        };
        let id = |failure: &Value| failure["itemIdentifier"].as_str().map(str::to_owned);
        response["batchItemFailures"].as_array()?.iter().map(id).collect()
    }

    /// The ids in `batchItemFailures`.
    ///
    /// # Panics
    ///
    /// When this is not a batch response.
    pub fn failed_ids(&self) -> Vec<String> {
        self.batch_item_failures().unwrap_or_else(|| panic!("not a batch response but {self:?}"))
    }
}
