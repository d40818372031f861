//! The words of the page, for a reader who knows nothing of the project.

use maud::{Markup, html};

const WORDS: [(&str, &str); 14] = [
    (
        "Perseus",
        "The HTTP server that the messages are for. In these runs it is a stand-in that fails on purpose.",
    ),
    ("Outage", "A time in which Perseus accepts nothing."),
    (
        "Invocation, environment",
        "Lambda calls the function with a batch of messages: an invocation. It does so in several processes \
         side by side: the environments.",
    ),
    ("Delivered, committed", "Perseus has accepted the message."),
    (
        "Delivered again",
        "Perseus has accepted a message more than once. Reply lost: the first acceptance was not heard of. \
         Cut off: the function had stopped waiting, or its environment died. Redelivered: the queue handed \
         out a message that was deleted or in flight.",
    ),
    (
        "Returned, reported",
        "The function tells the queue that a message was not delivered. It comes again later.",
    ),
    (
        "In flight",
        "Of a message: handed to the function, and neither deleted nor returned. Of a request: not answered.",
    ),
    ("Poison", "A message that Perseus never accepts. All others are good, or healthy."),
    (
        "Dead letter",
        "A message that is no longer tried: it was received too often, or Perseus refused it. It is kept in a \
         queue of its own.",
    ),
    ("Headroom", "The time that was left when the function answered, before Lambda would have stopped it."),
    ("Probe", "The single request by which the function finds out whether Perseus is up again."),
    (
        "Unclear",
        "A reply with a status of success that does not say which messages were accepted: a sign-in page, or \
         a reply cut short.",
    ),
    (
        "Connection lost, hung up",
        "Ends of a request without a reply: Perseus closed the connection, or the function did.",
    ),
    (
        "Invariant",
        "What must be true in every run. Not exercised: nothing happened in this run that could have broken it.",
    ),
];

/// The words and what they mean.
pub(super) fn words() -> Markup {
    html! {
        section {
            h2 { "Words" }
            dl.words {
                @for (word, meaning) in WORDS {
                    div { dt { (word) } dd { (meaning) } }
                }
            }
        }
    }
}
