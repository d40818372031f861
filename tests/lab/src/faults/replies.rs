//! Replies whose body says nothing about the records.

use rand::{RngExt, rngs::ChaCha8Rng};

use crate::perseus::Reply;

/// A gateway's sign-in page. A client that trusts its status loses what it sent.
pub(super) fn sign_in() -> Reply {
    const PAGE: &str =
        "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form></form></body></html>\n";
    html(200, PAGE)
}

/// A refusal of the whole request, by Perseus or by the proxy in front of it.
pub(super) fn refusal(status: u16, rng: &mut ChaCha8Rng) -> Reply {
    match rng.random_range(0..3) {
        0 => Reply::status(status),
        1 => Reply::status(status)
            .header("content-type", "application/json")
            .body(r#"{"error":"the request is not as the schema says"}"#),
        _ => html(
            status,
            "<html>\r\n<head><title>Bad Request</title></head>\r\n<body><center><h1>Bad Request</h1></center>\r\n\
             <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
        ),
    }
}

/// A success whose body is cut short, in the middle of it or before its first byte.
pub(super) fn cut_short(says_something: bool) -> Reply {
    let body = if says_something { r#"{"batchItemFailures":[{"itemIdent"# } else { "" };
    Reply::ok().body(body).cut_short()
}

fn html(status: u16, page: &'static str) -> Reply {
    Reply::status(status).header("content-type", "text/html; charset=utf-8").body(page)
}
