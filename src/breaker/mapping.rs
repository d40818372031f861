//! An event source mapping, as Lambda describes it.

use serde::Deserialize;

use crate::{aws::failure::Failure, value::aws::is_uuid};

/// An event source mapping
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Its name in calls.
    pub(super) uuid: String,
    /// Its name in calls about tags.
    pub(super) arn: String,
    pub(super) state: State,
    /// The queue that it reads.
    pub(super) queue: Option<String>,
    /// The function that it invokes, perhaps with an alias or a version.
    pub(super) function: Option<String>,
}

/// What a mapping does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It receives messages.
    Enabled,
    /// It receives none.
    Disabled,
    /// It is about to be in another state.
    Changing,
}

impl State {
    /// The word for it in the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Enabled => "enabled",
            State::Disabled => "disabled",
            State::Changing => "changing",
        }
    }
}

/// A mapping in a reply.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    #[serde(rename = "UUID")]
    uuid: String,
    state: String,
    event_source_mapping_arn: Option<String>,
    event_source_arn: Option<String>,
    function_arn: Option<String>,
}

impl Described {
    /// The mapping.
    ///
    /// # Errors
    ///
    /// If the description cannot be one of Lambda's.
    pub(super) fn mapping(self) -> Result<Mapping, Failure> {
        if !is_uuid(&self.uuid) {
            return Err(Failure::Unreadable);
        }
        let state = match self.state.as_str() {
            "Enabled" => State::Enabled,
            "Disabled" => State::Disabled,
            "Creating" | "Enabling" | "Disabling" | "Updating" | "Deleting" => State::Changing,
            _ => return Err(Failure::Unreadable),
        };
        // Lambda's emulators may leave it out.
        let arn = match self.event_source_mapping_arn {
            Some(arn) => arn,
            None => mapping_arn(self.function_arn.as_deref(), &self.uuid).ok_or(Failure::Unreadable)?,
        };
        let (queue, function) = (self.event_source_arn, self.function_arn);
        Ok(Mapping { uuid: self.uuid, arn, state, queue, function })
    }
}

/// The ARN of the mapping with this UUID, in the account and region of its function.
fn mapping_arn(function: Option<&str>, uuid: &str) -> Option<String> {
    let (account, _) = function?.split_once(":function:")?;
    Some(format!("{account}:event-source-mapping:{uuid}"))
}

impl Mapping {
    /// Whether it leads from this queue to a function of one of these names. What Lambda does not tell is not compared.
    pub(super) fn connects(&self, queue: &str, functions: &[&str]) -> bool {
        self.queue.as_deref().is_none_or(|read| read == queue)
            && self.function.as_deref().is_none_or(|invoked| functions.contains(&function_name(invoked)))
    }
}

/// A function's name in its ARN, which may end in an alias or a version. Of a text that is no ARN: the text.
pub(super) fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
    const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:forwarder:live";
    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:orders";

    fn described(uuid: &str, state: &str) -> Result<Mapping, Failure> {
        let (uuid, state) = (uuid.to_owned(), state.to_owned());
        let (event_source_arn, function_arn) = (Some(QUEUE.to_owned()), Some(FUNCTION.to_owned()));
        Described { uuid, state, event_source_mapping_arn: None, event_source_arn, function_arn }.mapping()
    }

    #[test]
    fn each_state_of_lambda_is_known_and_no_other() {
        for (state, expected) in [
            ("Enabled", State::Enabled),
            ("Disabled", State::Disabled),
            ("Creating", State::Changing),
            ("Enabling", State::Changing),
            ("Disabling", State::Changing),
            ("Updating", State::Changing),
            ("Deleting", State::Changing),
        ] {
            assert_eq!(described(UUID, state).unwrap().state, expected, "{state}");
        }
        assert!(matches!(described(UUID, "Enabled?"), Err(Failure::Unreadable)));
    }

    #[test]
    fn a_uuid_becomes_a_part_of_a_path_so_it_has_to_be_one() {
        assert!(matches!(described("../functions/orders", "Enabled"), Err(Failure::Unreadable)));
    }

    #[test]
    fn a_missing_arn_follows_from_the_function() {
        let arn = format!("arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:{UUID}");
        assert_eq!(described(UUID, "Enabled").unwrap().arn, arn);
    }

    #[test]
    fn a_mapping_of_another_queue_or_function_is_told_apart() {
        let mapping = described(UUID, "Enabled").unwrap();
        assert!(mapping.connects(QUEUE, &["other", "forwarder"]));
        assert!(!mapping.connects(QUEUE, &["other", "live"]));
        assert!(!mapping.connects("arn:aws:sqs:eu-west-1:123456789012:other", &["forwarder"]));
    }
}
