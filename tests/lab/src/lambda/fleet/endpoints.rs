//! The servers that an environment talks to, and the keys that it signs with.

use http::{HeaderMap, header};

use crate::sqs::names::REGION;

/// The access key of an environment is this and its number, so that AWS' APIs know who calls.
const KEY: &str = "AKIDSIMULATED";

/// The URLs of these servers, and the environment's access key.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    /// Perseus.
    pub(crate) perseus: String,
    /// SQS.
    pub(crate) sqs: String,
    /// Lambda.
    pub(crate) lambda: String,
    /// The access key, see [`key`].
    pub(crate) key: String,
}

impl Endpoints {
    /// The variables with these URLs, and those that Lambda sets.
    pub(crate) fn variables(&self) -> [(&str, &str); 6] {
        [
            ("PERSEUS_URL", &self.perseus),
            ("AWS_ENDPOINT_URL_SQS", &self.sqs),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.lambda),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", &self.key),
            ("AWS_SECRET_ACCESS_KEY", "simulated"),
        ]
    }
}

/// The access key of this environment.
pub(crate) fn key(environment: u32) -> String {
    format!("{KEY}{environment}")
}

/// The environment that signed a request for this service.
pub(crate) fn signer(headers: &HeaderMap, service: &str) -> Result<u32, String> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope = value(header::AUTHORIZATION.as_str()).strip_prefix("AWS4-HMAC-SHA256 Credential=");
    let scope = scope.and_then(|scope| scope.split(',').next()).ok_or("no signature")?;
    let parts: Vec<&str> = scope.split('/').collect();
    match parts[..] {
        [key, _day, REGION, signed_for, "aws4_request"] if signed_for == service => {
            if value("x-amz-date").is_empty() {
                return Err("no date".to_owned());
            }
            let number = key.strip_prefix(KEY).and_then(|number| number.parse().ok());
            number.ok_or_else(|| "an unknown key".to_owned())
        }
        _ => Err(format!("a signature for {scope}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_says_which_environment_calls_which_service() {
        let signed = |scope: &str| {
            let authorization =
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
            let headers = HeaderMap::from_iter([
                (header::AUTHORIZATION, authorization.parse().expect("a value")),
                (http::HeaderName::from_static("x-amz-date"), http::HeaderValue::from_static("2026")),
            ]);
            signer(&headers, "lambda")
        };
        assert_eq!(signed(&format!("{}/20260101/{REGION}/lambda/aws4_request", key(7))), Ok(7));
        assert!(signed(&format!("{}/20260101/{REGION}/sqs/aws4_request", key(7))).is_err());
        assert!(signed(&format!("AKIDOTHER/20260101/{REGION}/lambda/aws4_request")).is_err());
        assert!(signer(&HeaderMap::new(), "lambda").is_err());
    }
}
