//! The progress line of a simulation.

use std::fmt::Write;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

const STYLE: &str = "{bar:30} {percent:>3} %, {left}";

/// A bar whose length is not known yet.
pub(crate) fn bar() -> anyhow::Result<ProgressBar> {
    let left = |state: &ProgressState, line: &mut dyn Write| {
        // What was not written is drawn the next time.
        _ = match state.pos() {
            0 => line.write_str("estimating"),
            _ => write!(line, "about {} left", HumanDuration(state.eta())),
        };
    };
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template(STYLE)?.with_key("left", left)))
}
