//! What each status of a reply asks the function to do.

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

/// What shows that the set-up is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misconfigured {
    /// Perseus answered with this status.
    Status(StatusCode),
    /// The proxy answered with this status to the request for a tunnel.
    Tunnel(StatusCode),
    /// Perseus refused the client certificate, or demands one: with an alert of TLS, or with this status.
    Certificate(Option<StatusCode>),
}

impl Misconfigured {
    /// What is wrong if the proxy refuses a tunnel with this status. None if waiting may help: Perseus is down, or the proxy
    /// is.
    pub(crate) fn of_tunnel(status: StatusCode) -> Option<Self> {
        let is_final = matches!(action(status), Action::Split | Action::Stop(_));
        is_final.then_some(Misconfigured::Tunnel(status))
    }

    /// The status code, if there is one.
    pub(crate) fn status(self) -> Option<u16> {
        let status = match self {
            Misconfigured::Status(status) | Misconfigured::Tunnel(status) => Some(status),
            Misconfigured::Certificate(status) => status,
        };
        status.map(|status| status.as_u16())
    }

    /// Whether another token could help.
    pub(crate) fn is_of_token(self) -> bool {
        // A proxy's 401 is not about the token.
        matches!(self, Misconfigured::Status(status) if status.as_u16() == 401)
    }

    /// Whether another client certificate could help.
    pub(crate) fn is_of_certificate(self) -> bool {
        matches!(self, Misconfigured::Certificate(_))
            || matches!(self, Misconfigured::Status(status) if matches!(status.as_u16(), 401 | 403))
    }

    /// The settings to look at. `credentials` names the settings of all credentials, `certificate` that of the client
    /// certificate.
    pub(crate) fn look_at<'a>(self, credentials: &'a str, certificate: &'a str) -> &'a str {
        match self {
            Misconfigured::Certificate(_) => certificate,
            Misconfigured::Status(status) => look_at(status, credentials),
            Misconfigured::Tunnel(status) => look_at_proxy(status),
        }
    }
}

fn look_at(status: StatusCode, credentials: &str) -> &str {
    match status.as_u16() {
        401 | 403 => credentials,
        407 => USER_OF_PROXY,
        406 | 415 => "BATCH_FORMAT and PERSEUS_COMPRESSION",
        411 | 417 | 426 | 428 | 431 | 505 => {
            "PERSEUS_URL (what answers there does not take this function's requests)"
        }
        300..=399 => "PERSEUS_URL (it redirects, and redirects are not followed)",
        _ => "PERSEUS_URL",
    }
}

fn look_at_proxy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        407 => USER_OF_PROXY,
        401 | 403 => "PERSEUS_PROXY (the proxy does not allow the host and port of PERSEUS_URL)",
        _ => "PERSEUS_PROXY (what answers there opens no tunnel to the host and port of PERSEUS_URL)",
    }
}

/// The advice for a proxy that wants to know who asks, whether it was asked for a tunnel or for a page.
const USER_OF_PROXY: &str = "PERSEUS_PROXY (the proxy demands a user and a password, or other ones)";

/// What `status` asks for. An undefined status is treated like a 500, so that it acknowledges nothing.
pub(crate) fn action(status: StatusCode) -> Action {
    match u16::from(status) {
        200 | 201 | 202 | 204 => Action::Accept,
        207 => Action::Read,
        // 409: a request with this key is still being worked on.
        408 | 409 | 425 | 429 => Action::Again,
        400 | 413 | 422 => Action::Split,
        // nginx and others: the client certificate is refused, or there is none.
        495 | 496 => Action::Stop(Misconfigured::Certificate(Some(status))),
        300..=499 | 501 => Action::Stop(Misconfigured::Status(status)),
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
            (Some("WrongSetUp"), _) if matches!(status.as_u16(), 495 | 496) => {
                Action::Stop(Misconfigured::Certificate(Some(status)))
            }
            (Some("WrongSetUp"), _) => Action::Stop(Misconfigured::Status(status)),
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
            (407, "PERSEUS_PROXY"),
            (411, "does not take this function's requests"),
            (415, "BATCH_FORMAT and PERSEUS_COMPRESSION"),
            (418, "PERSEUS_URL"),
            (426, "does not take this function's requests"),
            (307, "redirects are not followed"),
            (495, "CERTIFICATE"),
            (496, "CERTIFICATE"),
        ] {
            let Action::Stop(wrong) = action(StatusCode::from_u16(status).unwrap()) else {
                panic!("{status}")
            };
            assert!(wrong.look_at("CREDENTIALS", "CERTIFICATE").contains(setting), "{status}");
        }
    }

    #[test]
    fn a_proxy_that_refuses_a_tunnel_is_named_and_one_that_cannot_reach_perseus_is_not() {
        for (status, told) in [
            (400, "opens no tunnel"),
            (401, "does not allow"),
            (403, "does not allow"),
            (405, "opens no tunnel"),
            (407, "a user and a password"),
            (501, "opens no tunnel"),
        ] {
            let wrong = Misconfigured::of_tunnel(StatusCode::from_u16(status).unwrap()).unwrap();
            let look_at = wrong.look_at("CREDENTIALS", "CERTIFICATE");
            assert!(look_at.starts_with("PERSEUS_PROXY") && look_at.contains(told), "{status}: {look_at}");
        }
        for status in [200, 201, 408, 429, 500, 502, 503, 504] {
            assert_eq!(Misconfigured::of_tunnel(StatusCode::from_u16(status).unwrap()), None, "{status}");
        }
    }
}
