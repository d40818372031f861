//! What Perseus' status means.

use std::fmt;

use reqwest::StatusCode;

/// What a status asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// All accepted, unless the reply says otherwise.
    Accept,
    /// As the reply says, record by record.
    Read,
    /// Try again later.
    Again,
    /// Something in the batch is at fault: find it by halves.
    Split,
    /// The set-up is wrong: send nothing more.
    Stop(Misconfigured),
}

/// What is wrong with the set-up, told from a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misconfigured(StatusCode);

impl Misconfigured {
    /// The status that told it.
    pub fn status(self) -> u16 {
        self.0.as_u16()
    }

    /// The settings to look at; `credentials` are those with which the function shows who it is.
    pub fn look_at(self, credentials: &str) -> &str {
        match self.0.as_u16() {
            401 | 403 | 407 => credentials,
            406 | 415 => "BATCH_FORMAT and PERSEUS_COMPRESSION",
            411 | 417 | 426 | 428 | 431 | 505 => {
                "PERSEUS_URL (what answers there does not take this function's requests)"
            }
            300..=399 => "PERSEUS_URL (it redirects, and redirects are not followed)",
            _ => "PERSEUS_URL",
        }
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.0.as_u16())
    }
}

/// What `status` asks for. A status that no one defined is treated like a 500: nothing is taken for
/// acknowledged that might not be.
pub fn action(status: StatusCode) -> Action {
    match status.as_u16() {
        200 | 201 | 202 | 204 => Action::Accept,
        207 => Action::Read,
        // 409: a request with this key is still being worked on.
        408 | 409 | 425 | 429 => Action::Again,
        400 | 413 | 422 => Action::Split,
        300..=499 | 501 => Action::Stop(Misconfigured(status)),
        _ => Action::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_the_meaning_of_the_contract() {
        for status in 100..=999 {
            let status = StatusCode::from_u16(status).unwrap();
            let expected = match status.as_u16() {
                200 | 201 | 202 | 204 => Action::Accept,
                207 => Action::Read,
                400 | 413 | 422 => Action::Split,
                408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 => Action::Again,
                401 | 403 | 404 | 405 | 501 => Action::Stop(Misconfigured(status)),
                300..=399 | 402 | 406 | 407 | 410..=499 => Action::Stop(Misconfigured(status)),
                505..=599 => Action::Again,
                // Not in the contract: nothing is acknowledged.
                _ => Action::Again,
            };
            assert_eq!(action(status), expected, "{status}");
        }
    }

    #[test]
    fn a_wrong_set_up_names_the_setting() {
        for (status, setting) in [
            (401, "CREDENTIALS"),
            (403, "CREDENTIALS"),
            (404, "PERSEUS_URL"),
            (405, "PERSEUS_URL"),
            (501, "PERSEUS_URL"),
            (302, "PERSEUS_URL"),
            (406, "BATCH_FORMAT and PERSEUS_COMPRESSION"),
            (407, "CREDENTIALS"),
            (411, "does not take this function's requests"),
            (415, "BATCH_FORMAT and PERSEUS_COMPRESSION"),
            (418, "PERSEUS_URL"),
            (426, "does not take this function's requests"),
            (307, "redirects are not followed"),
        ] {
            let Action::Stop(wrong) = action(StatusCode::from_u16(status).unwrap()) else {
                panic!("{status}")
            };
            assert!(wrong.look_at("CREDENTIALS").contains(setting), "{status}");
        }
    }
}
