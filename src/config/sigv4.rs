//! Whether and how requests to Perseus are signed.

use std::ffi::OsString;

use percent_encoding::percent_decode_str;
use reqwest::{Url, header::HeaderValue};

use super::{
    aws::region,
    problem::Problem,
    reader::Reader,
    variables::{PERSEUS_SIGV4, PERSEUS_SIGV4_REGION, PERSEUS_TOKEN, PERSEUS_URL},
};
use crate::value::{
    aws::{SigningSettings, is_service},
    credential::Source,
};

const SERVICE_ALLOWED: &str = "the service's name in signatures, such as execute-api, lambda, vpc-lattice-svcs or osis; not \
                               beside a token";
const REGION_ALLOWED: &str = "a region, such as eu-west-1; beside PERSEUS_SIGV4 alone";
const URL_ALLOWED: &str = "with PERSEUS_SIGV4 a path of letters, digits, single slashes and ._~-, and the same \
                           characters, &= and percent-encoded UTF-8 in the query";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// How requests to this URL are signed; `Some(None)` if they are not.
    pub(super) fn signing(
        &mut self,
        url: Option<&Url>,
        token: Option<&Source<HeaderValue>>,
    ) -> Option<Option<SigningSettings>> {
        // Both are sent in the same header.
        let other = token.filter(|token| !token.is_nowhere());
        let other = other.map(|token| token.variable(PERSEUS_TOKEN.name));
        let service =
            self.read_optional_secret(&PERSEUS_SIGV4, SERVICE_ALLOWED, |value| service(value, other));
        let region = self.read_optional_secret(&PERSEUS_SIGV4_REGION, REGION_ALLOWED, region);
        let (service, region) = (service?, region?);
        let Some(service) = service else {
            if region.is_some() {
                let without = Problem::SetWithout { other: PERSEUS_SIGV4.name };
                self.note_secret(&PERSEUS_SIGV4_REGION, without, REGION_ALLOWED);
            }
            return Some(None);
        };
        if url.is_some_and(|url| !is_signable(url)) {
            self.note_secret(&PERSEUS_URL, Problem::UnsignableUrl, URL_ALLOWED);
        }
        let mut signer = self.caller()?;
        signer.region = region.unwrap_or(signer.region);
        Some(Some(SigningSettings { service, signer }))
    }
}

fn service(value: &str, other: Option<&'static str>) -> Result<String, Problem> {
    match other {
        Some(other) => Err(Problem::SetBeside { other }),
        None if is_service(value) => Ok(value.to_owned()),
        None => Err(Problem::NotAService),
    }
}

/// Whether all services build the same text to sign from this URL. They differ in how often they encode a path, and in what they make
/// of empty segments and of a plus.
fn is_signable(url: &Url) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    let query = url.query().unwrap_or_default();
    let is_escape = |text: &str| text.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    url.path().bytes().all(|b| is_plain(b) || b == b'/')
        && !url.path().contains("//")
        && query.bytes().all(|b| is_plain(b) || b"%&=".contains(&b))
        && query.split('%').skip(1).all(is_escape)
        && percent_decode_str(query).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    use crate::config::{
        Config,
        testing::{ROLE, read},
    };

    const SIGNED: (&str, &str) = ("PERSEUS_SIGV4", "execute-api");

    fn with_role(variables: &[(&str, &str)]) -> Result<Config, String> {
        read(&[&ROLE[..], variables].concat()).map_err(|error| error.to_string())
    }

    #[test]
    fn requests_are_signed_with_the_roles_keys_for_its_region_or_another() {
        let signing = with_role(&[SIGNED]).unwrap().signing.unwrap();
        assert_eq!((signing.service.as_str(), signing.signer.region.as_str()), ("execute-api", "eu-west-1"));
        assert_eq!(signing.signer.credentials.session_token.as_deref(), Some("hunter2"));
        assert!(!format!("{signing:?}").contains("hunter2"));
        let elsewhere = with_role(&[SIGNED, ("PERSEUS_SIGV4_REGION", "us-east-1")]).unwrap().signing.unwrap();
        assert_eq!(elsewhere.signer.region, "us-east-1");
    }

    #[test]
    fn without_a_service_nothing_is_signed_and_no_key_is_read() {
        assert_eq!(read(&[("PERSEUS_SIGV4", ""), ("AWS_REGION", "?")]).unwrap().signing, None);
        let error = read(&[("PERSEUS_SIGV4_REGION", "us-east-1")]).unwrap_err().to_string();
        assert!(error.contains("PERSEUS_SIGV4_REGION: is set without PERSEUS_SIGV4"), "{error}");
        let error = read(&[SIGNED]).unwrap_err().to_string();
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert!(error.contains(&format!("{name}: is required")), "{error}");
        }
    }

    #[test]
    fn a_signature_and_a_token_exclude_each_other() {
        for token in ["PERSEUS_TOKEN", "PERSEUS_TOKEN_SECRET", "PERSEUS_TOKEN_PARAMETER"] {
            let error = with_role(&[SIGNED, (token, "name")]).unwrap_err();
            assert!(error.contains(&format!("PERSEUS_SIGV4: is set beside {token}")), "{error}");
        }
    }

    #[test]
    fn a_wrong_service_or_region_is_refused_and_not_shown() {
        for (name, value, told) in [
            ("PERSEUS_SIGV4", "hunter2!", "is no service"),
            ("PERSEUS_SIGV4", "Hunter2", "is no service"),
            ("PERSEUS_SIGV4_REGION", "Hunter2", "is no region"),
        ] {
            let error = with_role(&[SIGNED, (name, value)]).unwrap_err();
            assert!(error.contains(&format!("{name}: {told}")) && !error.contains("unter2"), "{error}");
        }
    }

    #[test]
    fn a_url_that_services_sign_in_different_ways_is_refused() {
        for url in ["https://a.example/v1/records", "https://a.example", "https://a.example/x?y=z%20z&w"] {
            assert!(with_role(&[SIGNED, ("PERSEUS_URL", url)]).is_ok(), "{url}");
        }
        for url in [
            "https://a.example/a%20b",
            "https://a.example/a//b",
            "https://a.example/?a=b+c",
            "https://a.example/?a=%ff",
            "https://a.example/?a=%2",
            "https://a.example/?a=%zz",
        ] {
            let error = with_role(&[SIGNED, ("PERSEUS_URL", url)]).unwrap_err();
            assert!(
                error.contains("PERSEUS_URL: has a path or a query that requests are not signed"),
                "{error}"
            );
            assert!(read(&[("PERSEUS_URL", url)]).is_ok(), "{url}");
        }
    }
}
