//! Whole numbers, sizes and durations.

use std::{ops::RangeInclusive, time::Duration};

use super::problem::Problem;

pub(super) const KIB: u64 = 1024;
pub(super) const MIB: u64 = 1024 * KIB;

/// A whole number without a unit.
pub(super) fn number<T: TryFrom<u64>>(value: &str, range: &RangeInclusive<u64>) -> Result<T, Problem> {
    in_range(quantity(value, &[("", 1)])?, range)
}

/// A size in bytes.
pub(super) fn size(value: &str, range: &RangeInclusive<u64>) -> Result<usize, Problem> {
    in_range(quantity(value, &[("", 1), ("KiB", KIB), ("MiB", MIB)])?, range)
}

/// A duration; the range is in milliseconds.
pub(super) fn duration(value: &str, range: &RangeInclusive<u64>) -> Result<Duration, Problem> {
    in_range(quantity(value, &[("ms", 1), ("s", 1_000)])?, range).map(Duration::from_millis)
}

fn in_range<T: TryFrom<u64>>(quantity: u64, range: &RangeInclusive<u64>) -> Result<T, Problem> {
    let quantity = Some(quantity).filter(|quantity| range.contains(quantity));
    quantity.and_then(|quantity| T::try_from(quantity).ok()).ok_or(Problem::OutOfRange)
}

/// A whole number with one of these units, in the smallest of them.
fn quantity(value: &str, units: &[(&str, u64)]) -> Result<u64, Problem> {
    let (digits, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| factor);
    let Some(factor) = factor.filter(|_| !digits.is_empty()) else {
        let names: Vec<_> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        return Err(match names[..] {
            [] => Problem::NotANumber,
            _ => Problem::NotAQuantity { units: names.join(", ") },
        });
    };
    // Too many digits for a u64 are a number out of range, not a malformed one.
    let number = digits.parse::<u64>().ok();
    number.and_then(|number| number.checked_mul(*factor)).ok_or(Problem::OutOfRange)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::testing::{problem, read};

    #[test]
    fn limits_are_inclusive() {
        for (name, least, most, beyond) in [
            ("BATCH_MAX_RECORDS", "1", "10000", ["0", "10001"]),
            ("BATCH_MAX_BYTES", "1KiB", "6MiB", ["1023", "6291457"]),
            ("MAX_IN_FLIGHT", "1", "1000", ["0", "1001"]),
            ("MAX_ATTEMPTS", "1", "100", ["0", "101"]),
            ("REQUEST_TIMEOUT", "10ms", "900s", ["9ms", "99999999999999999999s"]),
            ("CUTOFF_RESERVE", "50ms", "300s", ["0s", "18446744073709551615s"]),
        ] {
            for good in [least, most] {
                assert!(read(&[(name, good)]).is_ok(), "{name}={good}");
            }
            for bad in beyond {
                assert!(problem(name, bad).contains("is out of range (allowed: "), "{name}={bad}");
            }
        }
    }

    #[test]
    fn sizes_may_and_durations_must_have_units() {
        let config = read(&[("BATCH_MAX_BYTES", "2048"), ("REQUEST_TIMEOUT", "2 s")]).unwrap();
        assert_eq!((config.batch.max_bytes, config.request_timeout), (2048, Duration::from_secs(2)));
        let config = read(&[("BATCH_MAX_BYTES", "512KiB"), ("RETRY_BASE", "10ms")]).unwrap();
        assert_eq!((config.batch.max_bytes, config.retry_base), (512 << 10, Duration::from_millis(10)));
        for (name, value) in [("BATCH_MAX_BYTES", "1MB"), ("BATCH_MAX_BYTES", "MiB"), ("RETRY_BASE", "5")] {
            assert!(problem(name, value).contains("is not a whole number with a unit"), "{name}={value}");
        }
    }
}
