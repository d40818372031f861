//! Reads a configuration in tests.

use super::{Config, ConfigError};

/// A configuration of these variables, with a good `PERSEUS_URL` unless they have one.
pub(super) fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let url = [("PERSEUS_URL", "https://perseus.example/ingest")];
    let last = |name: &str| url.iter().chain(variables).rev().find(|(known, _)| *known == name);
    Config::from_lookup(|name| last(name).map(|(_, value)| value.into()))
}

/// What Lambda sets for the function's role.
pub(super) const ROLE: [(&str, &str); 4] = [
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ("AWS_SESSION_TOKEN", "hunter2"),
];

/// What is wrong with one value.
pub(super) fn problem(name: &str, value: &str) -> String {
    read(&[(name, value)]).expect_err(&format!("{name}={value} was taken")).to_string()
}
