//! The function's answer, read as Lambda reads it.

use std::collections::BTreeSet;

use lab::environment::Answer;
use serde_json::Value;

/// What becomes of the messages of an event.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// These stay in the queue, the others are deleted.
    Return(BTreeSet<String>),
    /// All stay in the queue: there is no answer, or one that Lambda makes no sense of.
    ReturnAll,
}

impl Verdict {
    /// The verdict on an event with these message ids.
    ///
    /// Lambda takes an answer that says nothing for a success, and a list with one id that it cannot place for a
    /// failure of everything.
    pub(crate) fn read(answer: &Answer, ids: &BTreeSet<&str>) -> Self {
        let Answer::Response(response) = answer else { return Self::ReturnAll };
        let failures = match response {
            Value::Null => &Value::Null,
            Value::Object(response) => response.get("batchItemFailures").unwrap_or(&Value::Null),
            _ => return Self::ReturnAll,
        };
        let failures = match failures {
            Value::Null => &[][..],
            Value::Array(failures) => failures,
            _ => return Self::ReturnAll,
        };
        let id = |failure: &Value| {
            failure["itemIdentifier"].as_str().filter(|id| ids.contains(id)).map(str::to_owned)
        };
        failures.iter().map(id).collect::<Option<_>>().map_or(Self::ReturnAll, Self::Return)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(response: Value) -> Verdict {
        Verdict::read(&Answer::Response(response), &["a", "b"].into())
    }

    fn returned(ids: &[&str]) -> Verdict {
        Verdict::Return(ids.iter().map(|&id| id.to_owned()).collect())
    }

    #[test]
    fn what_is_listed_returns_and_the_rest_is_deleted() {
        assert_eq!(verdict(json!({"batchItemFailures": [{"itemIdentifier": "b"}]})), returned(&["b"]));
        assert_eq!(verdict(json!({"batchItemFailures": []})), returned(&[]));
    }

    #[test]
    fn an_answer_that_says_nothing_is_a_success() {
        for nothing in [json!(null), json!({}), json!({"batchItemFailures": null})] {
            assert_eq!(verdict(nothing), returned(&[]));
        }
    }

    #[test]
    fn an_id_that_lambda_cannot_place_returns_everything() {
        for failure in [
            json!({"itemIdentifier": ""}),
            json!({"itemIdentifier": null}),
            json!({"itemIdentifier": "c"}),
            json!({"itemIdentifer": "a"}),
            json!("a"),
        ] {
            let listed = json!({"batchItemFailures": [{"itemIdentifier": "b"}, failure]});
            assert_eq!(verdict(listed), Verdict::ReturnAll);
        }
    }

    #[test]
    fn what_is_no_answer_returns_everything() {
        assert_eq!(verdict(json!("done")), Verdict::ReturnAll);
        assert_eq!(verdict(json!({"batchItemFailures": "a"})), Verdict::ReturnAll);
        let ids = ["a"].into();
        assert_eq!(Verdict::read(&Answer::TimedOut, &ids), Verdict::ReturnAll);
        assert_eq!(Verdict::read(&Answer::Crashed { logs: Vec::new() }, &ids), Verdict::ReturnAll);
    }
}
