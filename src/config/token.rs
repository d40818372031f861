//! Where the token comes from. The variables of Lambda and of its extension are read only if the token is in a store.

use std::ffi::OsString;

use super::{
    aws::credential,
    problem::Problem,
    reader::Reader,
    variables::{
        AWS_SESSION_TOKEN, PARAMETERS_SECRETS_EXTENSION_HTTP_PORT, PERSEUS_TOKEN, PERSEUS_TOKEN_PARAMETER,
        PERSEUS_TOKEN_SECRET,
    },
};
use crate::value::{
    text::{bearer, sensitive},
    token::{Place, Source, Store},
};

/// The longest name or ARN of a secret or parameter.
const LONGEST_NAME: usize = 2_048;

const TOKEN_ALLOWED: &str = "visible ASCII characters, 8 KiB at most";
const SECRET_ALLOWED: &str = "the name or ARN of a secret, and #field if it is a JSON object; at most one of \
                              PERSEUS_TOKEN, PERSEUS_TOKEN_SECRET and PERSEUS_TOKEN_PARAMETER";
const PARAMETER_ALLOWED: &str = "the name or ARN of a parameter; at most one of PERSEUS_TOKEN, \
                                 PERSEUS_TOKEN_SECRET and PERSEUS_TOKEN_PARAMETER";
const SESSION_ALLOWED: &str = "what Lambda sets, for PERSEUS_TOKEN_SECRET and PERSEUS_TOKEN_PARAMETER";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// Where the token comes from.
    pub(super) fn token(&mut self) -> Option<Source> {
        let has_token = self.is_set(&PERSEUS_TOKEN);
        let token = self.read_optional_secret(&PERSEUS_TOKEN, TOKEN_ALLOWED, |value| {
            bearer(value).ok_or(Problem::NotAToken)
        });
        // A name is not shown either: somebody may put the token itself there.
        let secret = self.read_optional_secret(&PERSEUS_TOKEN_SECRET, SECRET_ALLOWED, |value| {
            if has_token { Err(Problem::SetBeside { other: PERSEUS_TOKEN.name }) } else { secret(value) }
        });
        let others = [&PERSEUS_TOKEN, &PERSEUS_TOKEN_SECRET];
        let other = others.into_iter().find(|other| self.is_set(other));
        let parameter =
            self.read_optional_secret(&PERSEUS_TOKEN_PARAMETER, PARAMETER_ALLOWED, |value| match other {
                Some(other) => Err(Problem::SetBeside { other: other.name }),
                None => parameter(value),
            });
        let (token, place) = (token?, secret?.or(parameter?));
        match (token, place) {
            (Some(header), _) => Some(Source::Set(header)),
            (None, Some(place)) => self.store(place),
            (None, None) => Some(Source::Nowhere),
        }
    }

    fn store(&mut self, place: Place) -> Option<Source> {
        let port = self.number(&PARAMETERS_SECRETS_EXTENSION_HTTP_PORT, "1 to 65535", 1..=65_535);
        let session_token = self.read_secret(&AWS_SESSION_TOKEN, SESSION_ALLOWED, credential);
        let session_token = sensitive(&session_token?);
        Some(Source::Store(Store { place, port: port?, session_token }))
    }
}

fn secret(value: &str) -> Result<Place, Problem> {
    let (id, field) = match value.split_once('#') {
        Some((_, "")) => return Err(Problem::NoField),
        Some((id, field)) => (id, Some(field.to_owned())),
        None => (value, None),
    };
    Ok(Place::Secret { id: name(id)?, field })
}

fn parameter(value: &str) -> Result<Place, Problem> {
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
}
