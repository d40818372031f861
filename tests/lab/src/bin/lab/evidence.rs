//! `lab evidence`.

use std::process::ExitCode;

use lab::evidence::outages;

/// Simulates bad days and prints what they cost.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let m: u32 = std::env::var("M").unwrap_or("5".into()).parse()?;
    let r: u32 = std::env::var("R").unwrap_or("100".into()).parse()?;
    let table = outages(&[m*60_000], r)?;
    anstream::println!("{table}\n{:?}", table.violations);
    Ok(ExitCode::SUCCESS)
}
