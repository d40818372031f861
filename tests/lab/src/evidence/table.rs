//! A table of figures, in Markdown.

use std::fmt;

use crate::clock::Ms;

/// A table with its heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What was simulated.
    pub about: String,
    /// The names of the columns.
    pub head: Vec<&'static str>,
    /// The rows, of as many cells.
    pub rows: Vec<Vec<String>>,
    /// What broke an invariant in these runs, in words.
    pub violations: Vec<String>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\n| {} |", self.about, self.head.join(" | "))?;
        writeln!(f, "|---|{}", "--:|".repeat(self.head.len() - 1))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// The quantile of sorted values. 0 if there are none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a index in a list"
)]
pub(super) fn quantile(sorted: &[Ms], share: f64) -> f64 {
    let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or_default().into()
}

/// A time in a readable unit.
pub(super) fn time(ms: f64) -> String {
    match ms {
        ..1_000.0 => format!("{ms:.0} ms"),
        ..60_000.0 => format!("{:.1} s", ms / 1_000.0),
        ..7_200_000.0 => format!("{:.1} min", ms / 60_000.0),
        _ => format!("{:.1} h", ms / 3_600_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::units::count;

    #[test]
    fn a_table_is_markdown() {
        let table = Table {
            about: "Figures:".to_owned(),
            head: vec!["run", "messages"],
            rows: vec![vec!["one".to_owned(), count(1_234_567)]],
            violations: Vec::new(),
        };
        assert_eq!(table.to_string(), "Figures:\n\n| run | messages |\n|---|--:|\n| one | 1,234,567 |\n");
    }

    #[test]
    fn a_time_has_a_readable_unit() {
        let times = [9.0, 1_500.0, 90_000.0, 8_000_000.0].map(time);
        assert_eq!(times, ["9 ms", "1.5 s", "1.5 min", "2.2 h"]);
    }
}
