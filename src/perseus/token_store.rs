//! Where a token is kept, and how it is read there: through the AWS Parameters and Secrets Lambda Extension
//! (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_lambda.html>,
//! <https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-integration-lambda-extensions.html>),
//! which listens inside the function's own environment.

use std::{fmt, time::Duration};

use reqwest::{
    Client, StatusCode, Url,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    decode::json::scan::read_object,
    http::{client_builder, read_at_most, root_cause},
    perseus::redact::occurs,
    value::{
        text::bearer,
        token::{Place, Store},
    },
};

/// The longest reply that is read: a secret has up to 64 KiB, and JSON inside of JSON takes more.
const LONGEST_REPLY: usize = 512 << 10;

const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-aws-parameters-secrets-token");

/// What the extension says, with status 400, until it has heard of the first invocation itself.
const NOT_READY: &[u8] = b"not ready";
const NOT_READY_PAUSE: Duration = Duration::from_millis(50);

/// Why there is no token. Holds nothing of what was read.
#[derive(Debug)]
pub enum Missing {
    /// The extension did not answer in time.
    Timeout,
    /// The extension is not there, or went away.
    Unreachable(reqwest::Error),
    /// It is not ready to answer.
    NotReady,
    /// It answered with this status.
    Refused(StatusCode),
    /// Its reply is longer than any that makes sense.
    TooLong,
    /// Its reply is not what it should be.
    Unreadable,
    /// The secret is binary, or the reply names no value.
    NoText,
    /// The secret is not a JSON object with this field, as text.
    NoField,
    /// There is a value, but it cannot be a token.
    NoToken,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Timeout => f.write_str("the extension gave no answer in time"),
            Missing::Unreachable(error) => {
                write!(f, "the extension cannot be reached ({})", root_cause(error))
            }
            Missing::NotReady => f.write_str("the extension is not ready"),
            Missing::Refused(status) => write!(f, "the extension answered with status {}", status.as_u16()),
            Missing::TooLong => f.write_str("the extension's reply is too long"),
            Missing::Unreadable => f.write_str("the extension's reply cannot be read"),
            Missing::NoText => f.write_str("there is no text (a binary secret?)"),
            Missing::NoField => f.write_str("the secret is no JSON object with that field as text"),
            Missing::NoToken => {
                f.write_str("the value is empty, too long or has a character that no token has")
            }
        }
    }
}

impl std::error::Error for Missing {}

impl Store {
    /// Reads the token, as an `authorization` header. An extension that is not ready is asked until it is, or until
    /// then.
    ///
    /// # Errors
    ///
    /// If there is none that could be sent.
    pub async fn fetch(&self, until: Instant) -> Result<HeaderValue, Missing> {
        // Made anew each time, which is once in most processes. Nothing is kept of it.
        let client = client_builder().pool_max_idle_per_host(0).build().map_err(Missing::Unreachable)?;
        let mut why_not = Missing::Timeout;
        while let Ok(answer) = timeout_at(until, self.ask(&client)).await {
            let Err(Missing::NotReady) = answer else { return answer };
            why_not = Missing::NotReady;
            sleep_until(until.min(Instant::now() + NOT_READY_PAUSE)).await;
        }
        Err(why_not)
    }

    async fn ask(&self, client: &Client) -> Result<HeaderValue, Missing> {
        let get = client.get(self.url()).header(SESSION_TOKEN, self.session_token.clone());
        let response = get.send().await.map_err(Missing::Unreachable)?;
        let status = response.status();
        let reply = read_at_most(response, LONGEST_REPLY).await.map_err(Missing::Unreachable)?;
        let reply = reply.ok_or(Missing::TooLong)?;
        match status {
            StatusCode::OK => self.place.token(&reply),
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
    /// The token in the extension's reply.
    fn token(&self, reply: &[u8]) -> Result<HeaderValue, Missing> {
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
        let mut text = text.ok_or(Missing::NoText)?;
        if let Some(field) = field {
            let mut fields: Map<String, Value> = read_object(text.trim_start()).ok_or(Missing::NoField)?;
            text = match fields.remove(field) {
                Some(Value::String(text)) => text,
                _ => return Err(Missing::NoField),
            };
        }
        // Editors, `echo` and files end in a line break, which is nobody's token.
        bearer(text.trim_end()).ok_or(Missing::NoToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::text::LONGEST_TOKEN;

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
    fn the_extension_is_asked_as_it_is_documented() {
        let url = |place| {
            let session_token = HeaderValue::from_static("session");
            Store { place, port: 2773, session_token }.url().to_string()
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
    fn a_token_is_found_where_it_is_kept() {
        assert_eq!(secret(None).token(&reply("hunter2")).unwrap(), "Bearer hunter2");
        assert_eq!(secret(None).token(&reply("hunter2\r\n \t")).unwrap(), "Bearer hunter2");
        let fields = r#"{"user":"x","token":"hunter2\n","other":7}"#;
        assert_eq!(secret(Some("token")).token(&reply(fields)).unwrap(), "Bearer hunter2");
        let value = br#"{"Parameter":{"Name":"x","Value":"hunter2","Version":3},"ResultMetadata":{}}"#;
        let header = parameter().token(value).unwrap();
        assert_eq!(header, "Bearer hunter2");
        assert!(header.is_sensitive());
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
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
            let missing = place.token(&reply).unwrap_err();
            assert!(
                missing.to_string().contains(reason),
                "{missing} for {}",
                String::from_utf8_lossy(&reply)
            );
            assert!(!format!("{missing} {missing:?}").contains("nter2"), "{missing:?}");
        }
    }
}
