//! The `--set` option: a variable of the function, and its value.

use perseus_forwarder::config::{PROBER_VARIABLES, VARIABLES};

/// What the function reads beside its own variables: Lambda sets these.
const PLATFORM: [&str; 13] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
    "RUST_LOG",
];

/// Names less alike than this are not what was meant.
const ALIKE: f64 = 0.8;

/// Reads `NAME=VALUE`. The name must be one that the function reads.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("expected NAME=VALUE".to_owned());
    };
    if known().any(|known| known == name) {
        return Ok((name.to_owned(), value.to_owned()));
    }
    Err(match nearest(name) {
        Some(nearest) => format!("the function has no variable `{name}`; did you mean `{nearest}`?"),
        None => format!("the function has no variable `{name}`: see docs/configuration.md"),
    })
}

fn known() -> impl Iterator<Item = &'static str> {
    let own = VARIABLES.iter().chain(PROBER_VARIABLES).map(|variable| variable.name);
    own.chain(PLATFORM)
}

fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_uppercase();
    let likeness = |known: &&str| strsim::jaro_winkler(known, &name);
    known()
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .filter(|nearest| likeness(nearest) >= ALIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_the_equals_signs_of_its_value() {
        let read = |text| variable(text).map(|(_, value)| value);
        assert_eq!(read("PERSEUS_TOKEN=b=c"), Ok("b=c".to_owned()));
        assert_eq!(read("PERSEUS_TOKEN="), Ok(String::new()));
        assert!(read("PERSEUS_TOKEN").is_err() && read("=b").is_err());
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_right_one() {
        for (misspelt, right) in [
            ("MAX_INFLIGHT", "MAX_IN_FLIGHT"),
            ("max_attempts", "MAX_ATTEMPTS"),
            ("BATCH_MAX_RECORD", "BATCH_MAX_RECORDS"),
            ("AWS_LAMBDA_LOG_LEVL", "AWS_LAMBDA_LOG_LEVEL"),
        ] {
            let refusal = variable(&format!("{misspelt}=1")).unwrap_err();
            assert!(refusal.ends_with(&format!("did you mean `{right}`?")), "{refusal}");
        }
        let refusal = variable("COLOUR=red").unwrap_err();
        assert!(refusal.contains("`COLOUR`") && !refusal.contains("did you mean"), "{refusal}");
    }
}
