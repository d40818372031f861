//! Reads a credential from Secrets Manager or Parameter Store, through the AWS Parameters and Secrets Lambda Extension
//! (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html>,
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-integration-lambda-extensions.html>),
//! which listens on localhost in the function's environment.

use std::time::Duration;

use reqwest::{
    Client, StatusCode, Url,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    decode::json::scan::read_object,
    http::{client_builder, read_at_most, root_cause},
    perseus::redact::occurs,
    value::{
        client_certificate::{CertificateProblem, ClientCertificate},
        credential::{Place, Store},
        text::bearer,
    },
};

/// The longest reply that is read. A secret has up to 64 KiB, and JSON within JSON takes more.
const LONGEST_REPLY: usize = 512 << 10;

const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-aws-parameters-secrets-token");

/// The extension answers this with status 400 until Lambda has told it of the first invocation.
const NOT_READY: &[u8] = b"not ready";
const NOT_READY_PAUSE: Duration = Duration::from_millis(50);

/// Why there is no credential. Contains nothing that was read from the store.
#[derive(Debug, Error)]
pub(crate) enum Missing {
    /// The extension did not answer in time.
    #[error("the extension gave no answer in time")]
    Timeout,
    /// The extension cannot be reached, or the connection was lost.
    #[error("the extension cannot be reached ({})", root_cause(.0))]
    Unreachable(#[source] reqwest::Error),
    /// The extension has not started yet.
    #[error("the extension is not ready")]
    NotReady,
    /// The extension answered with this status.
    #[error("the extension answered with status {}", .0.as_u16())]
    Refused(StatusCode),
    /// The reply is longer than [`LONGEST_REPLY`].
    #[error("the extension's reply is too long")]
    TooLong,
    /// The reply is not the documented JSON.
    #[error("the extension's reply cannot be read")]
    Unreadable,
    /// The secret is binary, or the reply has no value.
    #[error("there is no text (a binary secret?)")]
    NoText,
    /// The secret is not a JSON object that has this field as text.
    #[error("the secret is no JSON object with that field as text")]
    NoField,
    /// The value cannot be a token.
    #[error("the value is empty, too long or has a character that no token has")]
    NoToken,
    /// The value cannot be a client certificate.
    #[error("the value {0}")]
    NoCertificate(#[source] CertificateProblem),
}

impl Store {
    /// Reads the text of the credential. Asks again while the extension is not ready, at most until `until`.
    ///
    /// # Errors
    ///
    /// If there is no text.
    pub(super) async fn fetch(&self, until: Instant) -> Result<String, Missing> {
        // Most processes read a credential once, so no client is kept.
        let client = client_builder().pool_max_idle_per_host(0).build().map_err(Missing::Unreachable)?;
        let mut missing = Missing::Timeout;
        while let Ok(answer) = timeout_at(until, self.ask(&client)).await {
            let Err(Missing::NotReady) = answer else { return answer };
            missing = Missing::NotReady;
            sleep_until(until.min(Instant::now() + NOT_READY_PAUSE)).await;
        }
        Err(missing)
    }

    async fn ask(&self, client: &Client) -> Result<String, Missing> {
        let get = client.get(self.url()).header(SESSION_TOKEN, self.session_token.clone());
        let response = get.send().await.map_err(Missing::Unreachable)?;
        let status = response.status();
        let reply = read_at_most(response, LONGEST_REPLY).await.map_err(Missing::Unreachable)?;
        let reply = reply.ok_or(Missing::TooLong)?;
        match status {
            StatusCode::OK => self.place.text(&reply),
            StatusCode::BAD_REQUEST if occurs(NOT_READY, &reply) => Err(Missing::NotReady),
            _ => Err(Missing::Refused(status)),
        }
    }

    fn url(&self) -> Url {
        let (path, name, value) = match &self.place {
            Place::Secret { id, .. } => ("secretsmanager/get", "secretId", id),
            Place::Parameter { name } => ("systemsmanager/parameters/get", "name", name),
        };
        let url = format!("http://localhost:{}/{path}", self.port);
        let mut url = Url::parse(&url).expect("a host, a port and a plain path are a URL");
        url.query_pairs_mut().append_pair(name, value);
        if matches!(self.place, Place::Parameter { .. }) {
            url.query_pairs_mut().append_pair("withDecryption", "true");
        }
        url
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    secret_string: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: Option<String>,
}

impl Place {
    /// The text of the credential in the extension's reply.
    fn text(&self, reply: &[u8]) -> Result<String, Missing> {
        let reply = std::str::from_utf8(reply).map_err(|_| Missing::Unreadable)?.trim_start();
        let (text, field) = match self {
            Place::Secret { field, .. } => {
                let secret: Secret = read_object(reply).ok_or(Missing::Unreadable)?;
                (secret.secret_string, field.as_ref())
            }
            Place::Parameter { .. } => {
                let reply: Reply = read_object(reply).ok_or(Missing::Unreadable)?;
                (reply.parameter.value, None)
            }
        };
        let text = text.ok_or(Missing::NoText)?;
        let Some(field) = field else { return Ok(text) };
        let mut fields: Map<String, Value> = read_object(text.trim_start()).ok_or(Missing::NoField)?;
        match fields.remove(field) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(Missing::NoField),
        }
    }
}

/// The `authorization` header for a token from a store.
pub(super) fn read_token(text: &str) -> Result<HeaderValue, Missing> {
    // Editors and `echo` add a line break that is not part of the token.
    bearer(text.trim_end()).ok_or(Missing::NoToken)
}

/// The client certificate in a text from a store.
pub(super) fn read_certificate(text: &str) -> Result<ClientCertificate, Missing> {
    ClientCertificate::of_pem(text).map_err(Missing::NoCertificate)
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, iter::successors};

    use super::*;
    use crate::value::text::LONGEST_TOKEN;

    fn token(place: &Place, reply: &[u8]) -> Result<HeaderValue, Missing> {
        place.text(reply).and_then(|text| read_token(&text))
    }

    fn secret(field: Option<&str>) -> Place {
        Place::Secret { id: "perseus/token".to_owned(), field: field.map(str::to_owned) }
    }

    fn parameter() -> Place {
        Place::Parameter { name: "/perseus/token".to_owned() }
    }

    fn reply(text: &str) -> Vec<u8> {
        serde_json::json!({"ARN": "arn", "Name": "perseus/token", "SecretString": text}).to_string().into()
    }

    #[test]
    fn requests_to_the_extension_are_as_aws_documents_them() {
        let url = |place| {
            let session_token = HeaderValue::from_static("session");
            Store { variable: "PERSEUS_TOKEN_SECRET", place, port: 2773, session_token }.url().to_string()
        };
        assert_eq!(url(secret(None)), "http://localhost:2773/secretsmanager/get?secretId=perseus%2Ftoken");
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a+b@c=d-AbCdEf".to_owned();
        assert_eq!(
            url(Place::Secret { id: arn, field: Some("token".to_owned()) }),
            "http://localhost:2773/secretsmanager/get\
             ?secretId=arn%3Aaws%3Asecretsmanager%3Aeu-west-1%3A123456789012%3Asecret%3Aa%2Bb%40c%3Dd-AbCdEf"
        );
        assert_eq!(
            url(parameter()),
            "http://localhost:2773/systemsmanager/parameters/get?name=%2Fperseus%2Ftoken&withDecryption=true"
        );
    }

    #[test]
    fn a_token_is_read_from_a_secret_a_json_field_or_a_parameter() {
        assert_eq!(token(&secret(None), &reply("hunter2")).unwrap(), "Bearer hunter2");
        assert_eq!(token(&secret(None), &reply("hunter2\r\n \t")).unwrap(), "Bearer hunter2");
        let fields = r#"{"user":"x","token":"hunter2\n","other":7}"#;
        assert_eq!(token(&secret(Some("token")), &reply(fields)).unwrap(), "Bearer hunter2");
        let value = br#"{"Parameter":{"Name":"x","Value":"hunter2","Version":3},"ResultMetadata":{}}"#;
        let header = token(&parameter(), value).unwrap();
        assert_eq!(header, "Bearer hunter2");
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_value_that_is_no_token_is_refused_and_not_shown() {
        let long = "x".repeat(LONGEST_TOKEN + 1);
        let bad: [(Place, Vec<u8>, &str); 17] = [
            (secret(None), b"hunter2".to_vec(), "cannot be read"),
            (secret(None), b"\xffhunter2".to_vec(), "cannot be read"),
            (secret(None), b"[\"hunter2\"]".to_vec(), "cannot be read"),
            (secret(None), br#"{"SecretString":7}"#.to_vec(), "cannot be read"),
            (secret(None), br#"{"SecretBinary":"aHVudGVyMg=="}"#.to_vec(), "no text"),
            (secret(None), br#"{"SecretString":null}"#.to_vec(), "no text"),
            (secret(None), reply(""), "no token has"),
            (secret(None), reply("\n"), "no token has"),
            (secret(None), reply("hunter2\nx"), "no token has"),
            (secret(None), reply(" hunter2"), "no token has"),
            (secret(None), reply("hünter2"), "no token has"),
            (secret(None), reply(&long), "no token has"),
            (secret(Some("token")), reply("hunter2"), "that field"),
            (secret(Some("token")), reply(r#"{"Token":"hunter2"}"#), "that field"),
            (secret(Some("token")), reply(r#"{"token":{"hunter2":1}}"#), "that field"),
            (parameter(), br#"{"Value":"hunter2"}"#.to_vec(), "cannot be read"),
            (parameter(), br#"{"Parameter":{"Name":"hunter2"}}"#.to_vec(), "no text"),
        ];
        for (place, reply, reason) in bad {
            let missing = token(&place, &reply).unwrap_err();
            assert!(
                missing.to_string().contains(reason),
                "{missing} for {}",
                String::from_utf8_lossy(&reply)
            );
            assert!(!format!("{missing} {missing:?}").contains("nter2"), "{missing:?}");
        }
    }

    fn reqwest_error() -> reqwest::Error {
        client_builder().build().unwrap().get("no URL").build().unwrap_err()
    }

    /// One reason of each kind: the compiler asks for new ones.
    fn each() -> impl Iterator<Item = Missing> {
        successors(Some(Missing::Timeout), |missing| match missing {
            Missing::Timeout => Some(Missing::Unreachable(reqwest_error())),
            Missing::Unreachable(_) => Some(Missing::NotReady),
            Missing::NotReady => Some(Missing::Refused(StatusCode::NOT_FOUND)),
            Missing::Refused(_) => Some(Missing::TooLong),
            Missing::TooLong => Some(Missing::Unreadable),
            Missing::Unreadable => Some(Missing::NoText),
            Missing::NoText => Some(Missing::NoField),
            Missing::NoField => Some(Missing::NoToken),
            Missing::NoToken => Some(Missing::NoCertificate(CertificateProblem::NoKey)),
            Missing::NoCertificate(_) => None,
        })
    }

    #[test]
    fn each_reason_is_explained_in_the_documents() {
        let pages = concat!(include_str!("../../docs/token.md"), include_str!("../../docs/reach-perseus.md"));
        for missing in each() {
            let reason = missing.to_string();
            let reason = reason.replace(&root_cause(&reqwest_error()).to_string(), "…").replace("404", "…");
            assert!(pages.contains(&format!("`{reason}`")), "the documents do not have `{reason}`");
            let has_source = matches!(missing, Missing::Unreachable(_) | Missing::NoCertificate(_));
            assert_eq!(missing.source().is_some(), has_source);
        }
    }
}
