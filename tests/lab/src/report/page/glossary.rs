//! The words of the page, for a reader who knows nothing of the project.

use maud::{Markup, html};

const WORDS: [(&str, &str); 17] = [
    (
        "Perseus",
        "The HTTP server that the messages are for. In these runs it is a stand-in that fails on purpose.",
    ),
    ("Outage", "A time in which Perseus accepts nothing."),
    (
        "Invocation, environment",
        "Lambda calls the function with a batch of messages: an invocation. It does so in several processes \
         side by side: the environments. MAX_IN_FLIGHT holds for each of them.",
    ),
    ("Delivered", "Perseus has accepted the message. Duplicate: it has accepted the message once more."),
    (
        "Returned",
        "The function tells Lambda that a message was not delivered. The queue hands it out again when its visibility \
         timeout has ended.",
    ),
    (
        "In flight",
        "Of a message: received, not deleted, and hidden by the queue until its visibility timeout ends. A returned message \
         is in flight until then. Of a request: Perseus has not replied yet.",
    ),
    ("Poison", "A message that Perseus never accepts. All others are good."),
    (
        "Dead letter",
        "A message in the dead-letter queue. SQS moved it there because it was received maxReceiveCount times, or the \
         function sent it because Perseus refused it.",
    ),
    ("Headroom", "The time that was left before Lambda's timeout when an invocation ended."),
    (
        "Retry",
        "A request with the messages of an earlier one of the same invocation. A message that the queue hands out again is \
         none.",
    ),
    (
        "Probe",
        "The request that an invocation sends in an outage, to find out whether Perseus is up again. It returns the other \
         messages untried. If Perseus refuses everything, a probe is a few requests: its batch is halved down to one \
         message. Each environment notices an outage by itself: after six rounds of failures in a row, over two seconds, \
         or 50 refusals in a row.",
    ),
    (
        "Refusal",
        "Perseus says that it does not accept a request (400, 422), or that it does not accept a message, by its id.",
    ),
    (
        "Unclear",
        "A reply with a status of success that does not say which messages were accepted: a sign-in page, or \
         a reply cut short. A clear 2xx says it.",
    ),
    (
        "Connection lost, hung up",
        "Ends of a request without a reply: Perseus closed the connection, or the function did.",
    ),
    (
        "Pause, mark",
        "The event source mapping is the part of Lambda that receives messages and invokes the function. With \
         CIRCUIT_BREAKER=on the function disables it in a long outage: a pause. A tag on the mapping, the mark, says why. An \
         operator's pause has none.",
    ),
    (
        "Prober",
        "A second Lambda function. Once a minute in a pause it receives a message or a few and posts them. It ends the pause \
         when Perseus is up again.",
    ),
    ("Invariant", "What must be true in every run. Not exercised: the run had nothing to check it with."),
];

/// The words and what they mean.
pub(super) fn words() -> Markup {
    html! {
        section #words {
            h2 { "Words" }
            dl.words {
                @for (word, meaning) in WORDS {
                    div { dt { (word) } dd { (meaning) } }
                }
            }
        }
    }
}
