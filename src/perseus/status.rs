//! What each status of a reply asks the function to do.

use std::fmt;

use reqwest::StatusCode;

/// What a status asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// All records are accepted, unless the body names failures.
    Accept,
    /// The body must say which records failed.
    Read,
    /// Try again later.
    Again,
    /// Something in the batch is bad: bisect it.
    Split,
    /// The set-up is wrong: send nothing more in this invocation.
    Stop(Misconfigured),
}

/// A status that means that the set-up is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misconfigured(StatusCode);

impl Misconfigured {
    /// The status code.
    pub(crate) fn status(self) -> u16 {
        self.0.as_u16()
    }

    /// The settings to look at. `credentials` names the setting that holds the token.
    pub(crate) fn look_at(self, credentials: &str) -> &str {
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

/// What `status` asks for. An undefined status is treated like a 500, so that it acknowledges nothing.
pub(crate) fn action(status: StatusCode) -> Action {
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
    use yaml_serde::Value as Yaml;

    use super::*;

    /// The responses that docs/perseus.openapi.yaml defines, by status (`207`) or class (`5XX`).
    fn contract() -> Yaml {
        let document: Yaml = yaml_serde::from_str(include_str!("../../docs/perseus.openapi.yaml")).unwrap();
        document["paths"]["/records"]["post"]["responses"].clone()
    }

    /// What the contract says that the function does after this response.
    fn documented(response: &Yaml, status: StatusCode) -> Action {
        let name = response["$ref"].as_str().and_then(|path| path.rsplit('/').next());
        match (name, response["description"].as_str()) {
            (Some("Accepted"), _) => Action::Accept,
            (Some("Partial"), _) => Action::Read,
            (Some("BadData"), _) => Action::Split,
            (Some("Busy" | "TryAgain"), _) => Action::Again,
            (Some("WrongSetUp"), _) => Action::Stop(Misconfigured(status)),
            (None, Some(text)) if text.contains("All records are stored") => Action::Accept,
            (None, Some(text)) if text.contains("in halves") => Action::Split,
            (None, Some(text)) if text.contains("same request") => Action::Again,
            _ => panic!("status {status}: {response:?}"),
        }
    }

    #[test]
    fn each_status_is_handled_as_the_contract_documents_it() {
        let contract = contract();
        for code in 100..=999_u16 {
            let status = StatusCode::from_u16(code).unwrap();
            let response =
                contract.get(code.to_string()).or_else(|| contract.get(format!("{}XX", code / 100)));
            // A status that is not in the contract acknowledges nothing.
            let expected = response.map_or(Action::Again, |response| documented(response, status));
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
