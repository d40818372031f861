//! No configuration makes the function panic or show a secret.

use std::{cell::RefCell, ffi::OsString};

use perseus_forwarder::config::Config;

/// A placeholder in the input.
const PLACEHOLDER: char = '$';

/// What replaces it in a secret.
const SECRET: &str = "hunter2";

/// What replaces it in a value that is never shown, because it may be a misplaced secret.
const PRIVATE: &str = "hunter3";

const SECRETS: [&str; 7] = [
    "PERSEUS_TOKEN",
    "PERSEUS_HEADERS",
    "PERSEUS_CA_CERT",
    "PERSEUS_CLIENT_CERT",
    "PERSEUS_PROXY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

const PRIVATE_VARIABLES: [&str; 14] = [
    "PERSEUS_URL",
    "PERSEUS_TOKEN_SECRET",
    "PERSEUS_TOKEN_PARAMETER",
    "PERSEUS_CLIENT_CERT_SECRET",
    "PERSEUS_CLIENT_CERT_PARAMETER",
    "PERSEUS_SIGV4",
    "PERSEUS_SIGV4_REGION",
    "REJECTED_QUEUE_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

/// Uses each line of the input as a variable: `NAME=value`.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.contains(SECRET) || text.contains(PRIVATE) {
        return;
    }
    let asked = RefCell::new(Vec::new());
    let lookup = |name: &str| {
        asked.borrow_mut().push(format!("{name}: "));
        value(text, name).map(OsString::from)
    };
    match Config::from_lookup(lookup) {
        Ok(config) => {
            let names = config.headers.keys().any(|name| name.as_str().contains(SECRET));
            assert!(names || !format!("{config:?}").contains(SECRET));
        }
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains(SECRET) && !error.contains(PRIVATE), "{error}");
            assert!(asked.take().iter().any(|name| error.contains(name)), "names no variable: {error}");
        }
    }
}

fn value(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(if SECRETS.contains(&name) {
        value.replace(PLACEHOLDER, SECRET)
    } else if PRIVATE_VARIABLES.contains(&name) {
        value.replace(PLACEHOLDER, PRIVATE)
    } else {
        value.to_owned()
    })
}
