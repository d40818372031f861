//! The output for people.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use anstream::AutoStream;
use lab::{
    environment::Answer,
    events, function,
    perseus::{Format, Received},
    report::units,
};
use owo_colors::OwoColorize;

use crate::{
    event::Event,
    figures::{count, ids, size, span},
    text::wrapped,
    verdict::{Run, Verdict},
};

/// An event with more requests than this is summed up after the first ones.
const MOST_REQUESTS: usize = 10;
const MOST_IDS: usize = 4;
/// As many as fit on the line of a request.
const MOST_IDS_OF_REQUEST: usize = 3;
const MOST_VIOLATIONS: usize = 5;
const MOST_LAST_LINES: usize = 5;

/// Prints the result of each event, and the totals.
pub(crate) struct Report {
    out: AutoStream<io::Stdout>,
    verbose: bool,
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    events: usize,
    messages: usize,
    committed: usize,
    returned: usize,
    requests: usize,
    violations: usize,
    lost: usize,
    late: usize,
}

impl Report {
    pub(crate) fn new(verbose: bool) -> Self {
        Self { out: anstream::stdout(), verbose, totals: Totals::default() }
    }

    pub(crate) fn start(&mut self, binary: &Path, timeout: Duration, url: &str) -> io::Result<()> {
        let binary = binary.strip_prefix(function::workspace()).unwrap_or(binary).display();
        let timeout = humantime::format_duration(timeout);
        writeln!(self.out, "Function  {} (in an emulated Lambda, timeout {timeout})", binary.bold())?;
        writeln!(self.out, "Perseus   {} (a stand-in)", url.bold())
    }

    pub(crate) fn event(&mut self, event: &Event, run: &Run, verdict: &Verdict) -> io::Result<()> {
        self.totals.add(event, run, verdict);
        let messages = match &event.messages {
            Some(messages) => count(messages.len(), "message"),
            None => "not an SQS event".to_owned(),
        };
        let about = format!("{messages}, {}", size(event.text.len()));
        writeln!(self.out, "\n{}  {}", event.name.bold(), about.dimmed())?;
        if let Some(reason) = events::oversize(&event.text) {
            self.remark("beyond the real limits:".yellow(), &reason.to_string())?;
        }
        self.requests(&run.seen.requests)?;
        self.outcome(run, verdict)?;
        self.violations(&[&run.seen.violations[..], &verdict.violations].concat())?;
        if !verdict.lost.is_empty() {
            let lost = ids(&verdict.lost, self.most(MOST_IDS));
            self.remark("lost, neither committed nor returned:".red().bold(), &lost)?;
        }
        Ok(())
    }

    pub(crate) fn logs(&mut self, lines: &[String]) -> io::Result<()> {
        lines.iter().try_for_each(|line| writeln!(self.out, "  {} {line}", "log".dimmed()))
    }

    pub(crate) fn summary(&mut self, in_flight_peak: usize) -> io::Result<()> {
        let totals = &self.totals;
        writeln!(self.out, "\n{}", "Summary".bold())?;
        let figures = [
            ("events", totals.events),
            ("messages", totals.messages),
            ("committed", totals.committed),
            ("returned", totals.returned),
            ("requests", totals.requests),
            ("at once", in_flight_peak),
        ];
        for (name, figure) in figures {
            writeln!(self.out, "  {name:<12}{:>9}", units::count(figure as u64))?;
        }
        for (name, figure) in
            [("violations", totals.violations), ("lost", totals.lost), ("late", totals.late)]
        {
            match figure {
                0 => writeln!(self.out, "  {name:<12}{:>9}", "none".green())?,
                _ => {
                    let figure = format!("{:>9}", units::count(figure as u64));
                    writeln!(self.out, "  {name:<12}{}", figure.red().bold())?;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing was lost, late or against the contract.
    pub(crate) fn is_clean(&self) -> bool {
        self.totals.violations + self.totals.lost + self.totals.late == 0
    }

    /// Writes a text behind its heading, on as many lines as it needs.
    fn remark(&mut self, heading: impl Display, text: &str) -> io::Result<()> {
        let used =
            "  ".len() + anstream::adapter::strip_str(&heading.to_string()).to_string().len() + " ".len();
        writeln!(self.out, "  {heading} {}", wrapped(text, used, 4))
    }

    fn most(&self, most: usize) -> usize {
        if self.verbose { usize::MAX } else { most }
    }

    fn requests(&mut self, requests: &[(Received, Option<u16>)]) -> io::Result<()> {
        let shown = requests.len().min(self.most(MOST_REQUESTS));
        for (received, status) in &requests[..shown] {
            let what = match received.format {
                Some(Format::Records) => ids(&received.message_ids, self.most(MOST_IDS_OF_REQUEST)),
                _ => String::new(),
            };
            let number = format!("#{}", received.number);
            let records = count(received.records.len(), "record");
            let bytes = size(received.body.len());
            writeln!(
                self.out,
                "  {number:<6}{records:>12}{bytes:>11}   {}  {}",
                painted(*status),
                what.dimmed()
            )?;
            if self.verbose {
                writeln!(self.out, "        {}", String::from_utf8_lossy(&received.plain).trim_end())?;
            }
        }
        let mut left: BTreeMap<Option<u16>, usize> = BTreeMap::new();
        requests[shown..].iter().for_each(|(_, status)| *left.entry(*status).or_default() += 1);
        if !left.is_empty() {
            let left: Vec<String> =
                left.iter().map(|(status, times)| format!("{times} x {}", painted(*status))).collect();
            let more = units::count((requests.len() - shown) as u64);
            writeln!(self.out, "  and {more} more: {}", left.join(", "))?;
        }
        Ok(())
    }

    fn violations(&mut self, violations: &[String]) -> io::Result<()> {
        let shown = violations.len().min(self.most(MOST_VIOLATIONS));
        for violation in &violations[..shown] {
            self.remark("contract broken:".red().bold(), violation)?;
        }
        match violations.len() - shown {
            0 => Ok(()),
            left => {
                writeln!(self.out, "  {}", format!("and {} more findings", units::count(left as u64)).red())
            }
        }
    }

    fn outcome(&mut self, run: &Run, verdict: &Verdict) -> io::Result<()> {
        let invocation = &run.invocation;
        let returned = match verdict.returned.len() {
            0 => "none returned to the queue".to_owned(),
            some => format!("{} returned to the queue", units::count(some as u64)).yellow().to_string(),
        };
        let left = match invocation.time_left {
            Duration::ZERO => "no time".to_owned(),
            left => span(left),
        };
        let times = format!("in {}, {left} left", span(invocation.took));
        let answer = match &invocation.answer {
            Answer::Response(_) => {
                format!("{} acknowledged, {returned}", units::count(verdict.acknowledged as u64))
            }
            Answer::Error { .. } => {
                format!("{}; the whole batch returns to the queue", "invocation error".yellow())
            }
            Answer::TimedOut | Answer::Crashed { .. } => "the whole batch returns to the queue".to_owned(),
        };
        writeln!(self.out, "  {answer}  {}", times.dimmed())?;
        match &invocation.answer {
            Answer::Response(_) if !verdict.returned.is_empty() => {
                self.remark("returned:".yellow(), &ids(&verdict.returned, self.most(MOST_IDS)))?;
            }
            Answer::Error { kind, message } => self.remark(format!("{kind}:").yellow(), message)?,
            _ => {}
        }
        if let Some(reason) = verdict.late {
            self.remark("no answer in time:".red().bold(), reason)?;
        }
        match &invocation.answer {
            // The last lines usually explain a crash.
            Answer::Crashed { logs } => self.logs(&logs[logs.len().saturating_sub(MOST_LAST_LINES)..]),
            _ => Ok(()),
        }
    }
}

impl Totals {
    fn add(&mut self, event: &Event, run: &Run, verdict: &Verdict) {
        self.events += 1;
        self.messages += event.messages.as_ref().map_or(0, Vec::len);
        self.committed += verdict.committed;
        self.returned += verdict.returned.len();
        self.requests += run.seen.requests.len();
        self.violations += run.seen.violations.len() + verdict.violations.len();
        self.lost += verdict.lost.len();
        self.late += usize::from(verdict.late.is_some());
    }
}

/// A status in the colour of what it means for the sender: done, try again, give up.
fn painted(status: Option<u16>) -> String {
    match status {
        Some(status @ 200..300) => status.green().to_string(),
        Some(status @ (408 | 425 | 429 | 500 | 502..600)) => status.yellow().to_string(),
        Some(status) => status.red().to_string(),
        None => "---".red().to_string(),
    }
}
