//! `lab evidence`.

use std::process::ExitCode;

use lab::evidence::*;

/// Simulates bad days and prints what they cost.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let w = std::env::var("W").unwrap();
    let n: Vec<usize> = std::env::var("N").unwrap_or("5".into()).split(',').map(|n| n.parse().unwrap()).collect();
    let l: Vec<usize> = std::env::var("L").unwrap_or("1,2,3,4,5,6,8,10".into()).split(',').map(|n| n.parse().unwrap()).collect();
    let m: u32 = std::env::var("M").unwrap_or("5".into()).parse()?;
    let r: u32 = std::env::var("R").unwrap_or("100".into()).parse()?;
    let table = match w.as_str() {
        "slow" => slow()?, "poison" => poison()?, "capacity" => capacity(&n, &l)?, _ => outages(&[m*60_000], r)? };
    anstream::println!("{table}\n{:?}", table.violations);
    Ok(ExitCode::SUCCESS)
}
