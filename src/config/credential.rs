//! Where the credentials come from: the token and the client certificate. The variables of Lambda and of its extension are read
//! only if one of them is in a store.

use std::ffi::OsString;

use reqwest::{Url, header::HeaderValue};

use super::{
    aws::credential,
    problem::Problem,
    reader::Reader,
    variables::{
        AWS_SESSION_TOKEN, PARAMETERS_SECRETS_EXTENSION_HTTP_PORT, PERSEUS_CLIENT_CERT,
        PERSEUS_CLIENT_CERT_PARAMETER, PERSEUS_CLIENT_CERT_SECRET, PERSEUS_TOKEN, PERSEUS_TOKEN_PARAMETER,
        PERSEUS_TOKEN_SECRET, Variable,
    },
};
use crate::value::{
    client_certificate::ClientCertificate,
    credential::{Place, Source, Store},
    text::{bearer, sensitive},
};

/// The longest name or ARN of a secret or parameter.
const LONGEST_NAME: usize = 2_048;

const SESSION_ALLOWED: &str = "what Lambda sets, for the variables that name a secret or a parameter";

/// The three variables of a credential, each with what is allowed.
struct Variables {
    set: (&'static Variable, &'static str),
    secret: (&'static Variable, &'static str),
    parameter: (&'static Variable, &'static str),
}

const TOKEN: Variables = Variables {
    set: (&PERSEUS_TOKEN, "visible ASCII characters, 8 KiB at most"),
    secret: (
        &PERSEUS_TOKEN_SECRET,
        "the name or ARN of a secret, and #field if it is a JSON object; at most one of \
         PERSEUS_TOKEN, PERSEUS_TOKEN_SECRET and PERSEUS_TOKEN_PARAMETER",
    ),
    parameter: (
        &PERSEUS_TOKEN_PARAMETER,
        "the name or ARN of a parameter; at most one of PERSEUS_TOKEN, PERSEUS_TOKEN_SECRET and \
         PERSEUS_TOKEN_PARAMETER",
    ),
};

const CLIENT_CERTIFICATE: Variables = Variables {
    set: (
        &PERSEUS_CLIENT_CERT,
        "PEM text with the certificate, those that lead to its authority, and its private key (RSA, P-256, P-384 or \
         Ed25519, not encrypted); line breaks, or \\n in their place; for an https PERSEUS_URL",
    ),
    secret: (
        &PERSEUS_CLIENT_CERT_SECRET,
        "the name or ARN of a secret, and #field if it is a JSON object; for an https PERSEUS_URL; at most one \
         of PERSEUS_CLIENT_CERT, PERSEUS_CLIENT_CERT_SECRET and PERSEUS_CLIENT_CERT_PARAMETER",
    ),
    parameter: (
        &PERSEUS_CLIENT_CERT_PARAMETER,
        "the name or ARN of a parameter; for an https PERSEUS_URL; at most one of PERSEUS_CLIENT_CERT, \
         PERSEUS_CLIENT_CERT_SECRET and PERSEUS_CLIENT_CERT_PARAMETER",
    ),
};

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// Where the token comes from.
    pub(super) fn token(&mut self) -> Option<Source<HeaderValue>> {
        self.credential(&TOKEN, |value| bearer(value).ok_or(Problem::NotAToken))
    }

    /// Where the client certificate for this URL comes from.
    pub(super) fn client_certificate(&mut self, url: Option<&Url>) -> Option<Source<ClientCertificate>> {
        let variables = &CLIENT_CERTIFICATE;
        let source = self.credential(variables, |value| {
            ClientCertificate::of_pem(value).map_err(Problem::NotAClientCertificate)
        })?;
        if !source.is_nowhere() && url.is_some_and(|url| url.scheme() == "http") {
            let of_source = [variables.set, variables.secret, variables.parameter];
            let (variable, allowed) = of_source.into_iter().find(|(variable, _)| self.is_set(variable))?;
            self.note_secret(variable, Problem::NeedsHttps, allowed);
        }
        Some(source)
    }

    fn credential<T>(
        &mut self,
        variables: &Variables,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Source<T>> {
        let ((set, set_allowed), (secret, secret_allowed)) = (variables.set, variables.secret);
        let (parameter, parameter_allowed) = variables.parameter;
        let value = self.read_optional_secret(set, set_allowed, parse);
        // A name is not shown either: somebody may put the credential itself there.
        let beside = |this: &Self, others: &[&Variable]| {
            let other = others.iter().find(|other| this.is_set(other));
            other.map_or(Ok(()), |other| Err(Problem::SetBeside { other: other.name }))
        };
        let alone = beside(self, &[set]);
        let in_secret = self.read_optional_secret(secret, secret_allowed, |value| {
            alone.clone().and_then(|()| secret_place(value))
        });
        let alone = beside(self, &[set, secret]);
        let in_parameter = self.read_optional_secret(parameter, parameter_allowed, |value| {
            alone.clone().and_then(|()| parameter_place(value))
        });
        match (value?, in_secret?, in_parameter?) {
            (Some(value), ..) => Some(Source::Set(value)),
            (None, Some(place), _) => self.store(secret.name, place),
            (None, None, Some(place)) => self.store(parameter.name, place),
            (None, None, None) => Some(Source::Nowhere),
        }
    }

    fn store<T>(&mut self, variable: &'static str, place: Place) -> Option<Source<T>> {
        let port = self.number(&PARAMETERS_SECRETS_EXTENSION_HTTP_PORT, "1 to 65535", 1..=65_535);
        let session_token = self.read_secret(&AWS_SESSION_TOKEN, SESSION_ALLOWED, credential);
        let session_token = sensitive(&session_token?);
        Some(Source::Store(Store { variable, place, port: port?, session_token }))
    }
}

fn secret_place(value: &str) -> Result<Place, Problem> {
    let (id, field) = match value.split_once('#') {
        Some((_, "")) => return Err(Problem::NoField),
        Some((id, field)) => (id, Some(field.to_owned())),
        None => (value, None),
    };
    Ok(Place::Secret { id: name(id)?, field })
}

fn parameter_place(value: &str) -> Result<Place, Problem> {
    name(value).map(|name| Place::Parameter { name })
}

fn name(value: &str) -> Result<String, Problem> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&b);
    let is_name = (1..=LONGEST_NAME).contains(&value.len()) && value.bytes().all(is_plain);
    is_name.then(|| value.to_owned()).ok_or(Problem::NotANameOrArn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, testing};

    const SESSION: (&str, &str) = ("AWS_SESSION_TOKEN", "hunter2");

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        testing::read(variables).map_err(|error| error.to_string())
    }

    fn store(variables: &[(&str, &str)]) -> Result<Store, String> {
        match read(&[&[SESSION], variables].concat())?.token {
            Source::Store(store) => Ok(store),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let config = read(&[("PERSEUS_TOKEN", "hunter2")]).unwrap();
        assert!(matches!(&config.token, Source::Set(header) if header == "Bearer hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
        for token in ["hunter2\n", "hunter2 x", "hünter2"] {
            let error = read(&[("PERSEUS_TOKEN", token)]).unwrap_err();
            assert!(error.contains("PERSEUS_TOKEN: ") && !error.contains("nter2"), "{error}");
        }
    }

    #[test]
    fn the_variables_of_lambda_and_the_extension_are_read_only_for_a_store() {
        let wrong = [("AWS_SESSION_TOKEN", "?\n"), ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "?")];
        for token in ["", "hunter2"] {
            assert!(read(&[&wrong[..], &[("PERSEUS_TOKEN", token)]].concat()).is_ok());
        }
        for variable in ["PERSEUS_TOKEN_SECRET", "PERSEUS_TOKEN_PARAMETER"] {
            let error = read(&[&wrong[..], &[(variable, "name")]].concat()).unwrap_err();
            for (name, _) in wrong {
                assert!(error.contains(&format!("{name}: ")), "{error}");
            }
            let error = read(&[(variable, "name")]).unwrap_err();
            assert!(error.contains("AWS_SESSION_TOKEN: is required"), "{error}");
        }
    }

    #[test]
    fn a_secret_may_name_one_of_its_fields() {
        let place = |value: &str| store(&[("PERSEUS_TOKEN_SECRET", value)]).unwrap().place;
        let secret = |id: &str, field: Option<&str>| Place::Secret {
            id: id.to_owned(),
            field: field.map(str::to_owned),
        };
        assert_eq!(place("perseus/token"), secret("perseus/token", None));
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:perseus-AbCdEf";
        assert_eq!(place(arn), secret(arn, None));
        assert_eq!(place(&format!("{arn}#to.ken")), secret(arn, Some("to.ken")));
        assert_eq!(place("a#b#c"), secret("a", Some("b#c")));
        for wrong in ["#field", "name#", "two words", "hünter2", "a?b", &"x".repeat(2_049)] {
            let error = store(&[("PERSEUS_TOKEN_SECRET", wrong)]).unwrap_err();
            assert!(error.starts_with("1 problem") && error.contains("PERSEUS_TOKEN_SECRET: "), "{error}");
            assert!(!error.contains("nter2"), "{error}");
        }
    }

    #[test]
    fn a_parameter_has_a_name_and_no_field() {
        let settings =
            [("PERSEUS_TOKEN_PARAMETER", "/a/b"), ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "4000")];
        let found = store(&settings).unwrap();
        assert_eq!((found.place.clone(), found.port), (Place::Parameter { name: "/a/b".to_owned() }, 4_000));
        assert!(!format!("{found:?}").contains("hunter2"));
        assert_eq!(store(&settings[..1]).unwrap().port, 2_773);
        for wrong in ["/a#b", " "] {
            let error = store(&[("PERSEUS_TOKEN_PARAMETER", wrong)]).unwrap_err();
            assert!(error.contains("PERSEUS_TOKEN_PARAMETER: "), "{error}");
        }
    }

    #[test]
    fn only_one_source_may_be_set() {
        let all = [
            ("PERSEUS_TOKEN", "hunter2"),
            ("PERSEUS_TOKEN_SECRET", "name"),
            ("PERSEUS_TOKEN_PARAMETER", "name"),
            SESSION,
        ];
        let error = read(&all).unwrap_err();
        assert!(error.starts_with("2 problems") && !error.contains("hunter2"), "{error}");
        let error = read(&all[1..]).unwrap_err();
        assert!(error.contains("PERSEUS_TOKEN_PARAMETER: is set beside PERSEUS_TOKEN_SECRET"), "{error}");
        assert!(read(&[all[0], all[2]]).is_err() && read(&all[..2]).is_err());
        assert!(read(&[&all[1..], &[("PERSEUS_TOKEN_PARAMETER", "")]].concat()).is_ok());
    }

    /// A certificate and its key, as PEM.
    fn certificate() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["forwarder".to_owned()]).unwrap();
        format!("{}{}", params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_client_certificate_is_read_and_never_shown() {
        let pem = certificate();
        let config = read(&[("PERSEUS_CLIENT_CERT", &pem.replace('\n', "\\n"))]).unwrap();
        assert_eq!(config.certificate(), "PERSEUS_CLIENT_CERT");
        let shown = format!("{config:?}");
        assert!(pem.lines().all(|line| !shown.contains(line)), "{shown}");
        assert!(config.credentials().contains("PERSEUS_CLIENT_CERT"));
        for (wrong, told) in [
            ("hunter2", "holds no certificate"),
            (&pem[..pem.len() - 60], "breaks off, or is no PEM"),
            (pem.split_inclusive("-----END CERTIFICATE-----").next().unwrap(), "holds no private key"),
            (&pem.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE"), "holds an encrypted private key"),
        ] {
            let error = read(&[("PERSEUS_CLIENT_CERT", wrong)]).unwrap_err();
            assert!(error.contains(&format!("PERSEUS_CLIENT_CERT: {told} (allowed: PEM text")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_client_certificate_in_a_store_has_variables_of_its_own() {
        let settings =
            [SESSION, ("PERSEUS_CLIENT_CERT_SECRET", "perseus/client#pem"), ("PERSEUS_TOKEN_SECRET", "t")];
        let config = read(&settings).unwrap();
        let Source::Store(found) = &config.client_certificate else { panic!("{config:?}") };
        assert_eq!(found.variable, "PERSEUS_CLIENT_CERT_SECRET");
        assert_eq!(config.credentials(), "PERSEUS_TOKEN_SECRET and PERSEUS_CLIENT_CERT_SECRET");
        let error = read(&[&settings[..], &[("PERSEUS_CLIENT_CERT_PARAMETER", "/a")]].concat()).unwrap_err();
        assert!(
            error.contains("PERSEUS_CLIENT_CERT_PARAMETER: is set beside PERSEUS_CLIENT_CERT_SECRET"),
            "{error}"
        );
        let error = read(&[("PERSEUS_CLIENT_CERT_PARAMETER", "/a")]).unwrap_err();
        assert!(error.contains("AWS_SESSION_TOKEN: is required"), "{error}");
    }

    #[test]
    fn a_client_certificate_needs_https() {
        let url = ("PERSEUS_URL", "http://localhost/");
        for (variable, value) in
            [("PERSEUS_CLIENT_CERT", certificate()), ("PERSEUS_CLIENT_CERT_SECRET", "a".to_owned())]
        {
            let error = read(&[url, SESSION, (variable, &value)]).unwrap_err();
            assert!(error.contains(&format!("{variable}: is set, but PERSEUS_URL is not https")), "{error}");
        }
    }
}
