//! Text on lines of 80 columns.

use textwrap::Options;

/// What a terminal shows on one line if nobody has widened it.
pub(crate) const COLUMNS: usize = 80;

/// Breaks a text into lines. `used` columns of the first line are taken; the others begin with `indent` blanks.
pub(crate) fn wrapped(text: &str, used: usize, indent: usize) -> String {
    let (first, next) = (" ".repeat(used), " ".repeat(indent));
    let options = Options::new(COLUMNS).initial_indent(&first).subsequent_indent(&next);
    textwrap::fill(text, options.break_words(false)).get(used..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_goes_on_below_its_beginning() {
        let text = "word ".repeat(30);
        let wrapped = wrapped(&text, 30, 4);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert_eq!(lines[0], "word ".repeat(10).trim_end(), "30 columns are taken");
        assert!(lines[1].starts_with("    word") && lines[1].len() <= COLUMNS);
        assert_eq!(wrapped.matches("word").count(), 30);
    }

    #[test]
    fn a_text_without_blanks_stays_whole() {
        let command = "x".repeat(100);
        assert!(wrapped(&format!("to repeat: {command}"), 2, 4).contains(&command));
        assert_eq!(wrapped("", 7, 4), "");
    }
}
