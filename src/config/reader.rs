//! Reads variables and gathers everything that is wrong with them.

use std::{ffi::OsString, ops::RangeInclusive, time::Duration};

use super::{
    problem::{ConfigError, Problem, WrongValue},
    quantity::{duration, number, size},
    variables::Variable,
};

/// The most characters of a wrong value that are shown.
const EXCERPT: usize = 40;

/// Reads variables and gathers everything that is wrong with them.
///
/// Each method returns `None` after it has noted a problem.
pub(super) struct Reader<F> {
    lookup: F,
    wrong: Vec<WrongValue>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    pub(super) fn new(lookup: F) -> Self {
        Reader { lookup, wrong: Vec::new() }
    }

    /// The configuration, or everything that is wrong with it.
    pub(super) fn finish<T>(self, config: Option<T>) -> Result<T, ConfigError> {
        config.filter(|_| self.wrong.is_empty()).ok_or(ConfigError(self.wrong))
    }

    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        (self.lookup)(variable.name).is_some_and(|value| !value.is_empty())
    }

    /// Reads one of a few words.
    pub(super) fn choice<T: Clone>(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.read(variable, allowed, |value| choice(value, choices))
    }

    /// Reads a whole number.
    pub(super) fn number<T: TryFrom<u64>>(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        self.read(variable, allowed, |value| number(value, &range))
    }

    /// Reads a size in bytes.
    pub(super) fn size(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<usize> {
        self.read(variable, allowed, |value| size(value, &range))
    }

    /// Reads a duration; the range is in milliseconds.
    pub(super) fn duration(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<Duration> {
        self.read(variable, allowed, |value| duration(value, &range))
    }

    /// Reads a variable whose value is shown if it is wrong.
    fn read<T>(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.required(variable, allowed)?;
        let excerpt = || Some(value.chars().take(EXCERPT).collect());
        parse(&value).map_err(|problem| self.note(variable, excerpt(), problem, allowed)).ok()
    }

    /// Reads a variable whose value is never shown.
    pub(super) fn read_secret<T>(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.required(variable, allowed)?;
        parse(&value).map_err(|problem| self.note_secret(variable, problem, allowed)).ok()
    }

    /// Reads a variable that may be unset and whose value is never shown.
    pub(super) fn read_optional_secret<T>(
        &mut self,
        variable: &Variable,
        allowed: &'static str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        let parsed = self.text(variable).and_then(|value| value.as_deref().map(parse).transpose());
        parsed.map_err(|problem| self.note_secret(variable, problem, allowed)).ok()
    }

    fn required(&mut self, variable: &Variable, allowed: &'static str) -> Option<String> {
        let value = self.text(variable).and_then(|value| value.ok_or(Problem::Missing));
        value.map_err(|problem| self.note_secret(variable, problem, allowed)).ok()
    }

    /// The variable's value. Unset and empty are the same, because a template passes an optional parameter that was
    /// left out as an empty string.
    fn text(&self, variable: &Variable) -> Result<Option<String>, Problem> {
        match (self.lookup)(variable.name).filter(|value| !value.is_empty()) {
            Some(value) => value.into_string().map(Some).map_err(|_| Problem::NotUtf8),
            None => Ok(variable.default.map(str::to_owned)),
        }
    }

    /// Notes a problem without the value.
    pub(super) fn note_secret(&mut self, variable: &Variable, problem: Problem, allowed: &'static str) {
        self.note(variable, None, problem, allowed);
    }

    /// Once for each variable: several settings may need the same.
    fn note(&mut self, variable: &Variable, value: Option<String>, problem: Problem, allowed: &'static str) {
        if self.wrong.iter().any(|wrong| wrong.variable == variable.name) {
            return;
        }
        self.wrong.push(WrongValue { variable: variable.name, value, problem, allowed });
    }
}

pub(super) fn choice<T: Clone>(value: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
    let chosen = choices.iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
    chosen.map(|(_, choice)| choice.clone()).ok_or(Problem::NotAChoice)
}

#[cfg(test)]
mod tests {
    use crate::{
        config::{Config, testing::read},
        value::credential::Source,
    };

    #[test]
    fn an_empty_variable_is_unset() {
        let config = read(&[("PERSEUS_TOKEN", ""), ("BATCH_MAX_RECORDS", "")]).unwrap();
        assert!(matches!(config.token, Source::Nowhere));
        assert_eq!(config.batch.max_records, 100);
        assert!(read(&[("PERSEUS_URL", "")]).is_err());
    }

    #[test]
    fn only_the_beginning_of_a_wrong_value_is_shown() {
        let error = read(&[("BATCH_FORMAT", &"x".repeat(100))]).unwrap_err().to_string();
        assert!(
            error.contains(&format!("BATCH_FORMAT: \"{}\" is none of the choices", "x".repeat(40))),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_reported() {
        use std::{ffi::OsString, os::unix::ffi::OsStringExt};
        let error = Config::from_lookup(|_| Some(OsString::from_vec(vec![0xff]))).unwrap_err();
        assert_eq!(error.0.len(), crate::config::VARIABLES.len());
    }
}
