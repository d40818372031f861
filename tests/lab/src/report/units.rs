//! Figures in readable units.

/// Keeps a number and its unit on one line.
const SPACE: char = '\u{a0}';

const SECOND: f64 = 1_000.0;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// A count with thousands separators.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count with its noun, whose plural ends in s.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{}{SPACE}{noun}{plural}", count(number))
}

/// A number that need not be whole, with two digits or more.
pub fn number(value: f64) -> String {
    match value {
        _ if value >= 10.0 || value.fract() == 0.0 => count(value.round() as u64),
        _ if value >= 1.0 => trimmed(format!("{value:.1}")),
        // Two significant digits.
        _ => trimmed(format!("{value:.0$}", (1.0 - value.log10().floor()) as usize)),
    }
}

/// A time in milliseconds, in its two largest units.
pub fn time(millis: f64) -> String {
    match millis {
        // A value that rounds up to the next unit is shown in that unit.
        _ if millis < 999.5 => format!("{}{SPACE}ms", number(millis)),
        _ if millis < MINUTE - 50.0 => format!("{}{SPACE}s", trimmed(format!("{:.1}", millis / SECOND))),
        _ if millis < HOUR - 500.0 => both((millis / SECOND).round() * SECOND, MINUTE, "min", SECOND, "s"),
        _ if millis < DAY - 0.5 * MINUTE => {
            both((millis / MINUTE).round() * MINUTE, HOUR, "h", MINUTE, "min")
        }
        _ => both((millis / HOUR).round() * HOUR, DAY, "d", HOUR, "h"),
    }
}

/// A time in seconds, as the clock of a run counts.
pub fn seconds(seconds: f64) -> String {
    time(seconds * SECOND)
}

/// A text whose numbers stay on the line of their nouns.
pub fn unbroken(text: &str) -> String {
    let mut last = ' ';
    let keep = |letter: char| {
        let is_behind_number = letter == ' ' && last.is_ascii_digit();
        last = letter;
        if is_behind_number { SPACE } else { letter }
    };
    text.chars().map(keep).collect()
}

fn both(millis: f64, large: f64, large_unit: &str, small: f64, small_unit: &str) -> String {
    let whole = (millis / large).floor();
    match ((millis - whole * large) / small).round() {
        0.0 => format!("{whole}{SPACE}{large_unit}"),
        rest => format!("{whole}{SPACE}{large_unit}{SPACE}{rest}{SPACE}{small_unit}"),
    }
}

fn trimmed(number: String) -> String {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace(SPACE, " ")
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        for (millis, expected) in [
            (0.0, "0 ms"),
            (0.25, "0.25 ms"),
            (999.4, "999 ms"),
            (999.6, "1 s"),
            (3_158.0, "3.2 s"),
            (16_548.0, "16.5 s"),
            (59_960.0, "1 min"),
            (84_990.0, "1 min 25 s"),
            (3_599_800.0, "1 h"),
            (7_800_000.0, "2 h 10 min"),
            (86_399_000.0, "1 d"),
            (93_600_000.0, "1 d 2 h"),
        ] {
            assert_eq!(plain(&time(millis)), expected);
        }
    }

    #[test]
    fn thousands_have_separators() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_number_is_no_longer_than_it_needs_to_be() {
        assert_eq!(
            [0.0, 0.004, 0.123, 0.5, 1.26, 3.0, 12.6].map(number),
            ["0", "0.004", "0.12", "0.5", "1.3", "3", "13"]
        );
    }

    #[test]
    fn a_number_stays_on_the_line_of_its_noun() {
        assert_eq!(unbroken("at most 2 of 10 messages"), "at most 2\u{a0}of 10\u{a0}messages");
    }

    #[test]
    fn the_noun_is_singular_for_one_only() {
        assert_eq!(plain(&counted(1, "message")), "1 message");
        assert_eq!(plain(&counted(0, "message")), "0 messages");
    }
}
