//! What compression costs and saves, at the function's levels, on the bodies that it posts.
//!
//! `cargo bench --bench compression` prints a table. The prices are those of us-east-1 in 2026, and assumptions: x86 at
//! $0.0000166667 per GB-second, where 1,769 MB are one vCPU.

#![allow(clippy::print_stdout, reason = "the table")]

mod batches;
mod event;

use std::{error::Error, hint::black_box, time::Duration};

use nix::time::{ClockId, clock_gettime};
use perseus_forwarder::{
    batch::{batcher::Batch, request::Request},
    decode::event::Event,
    deliver::decoder::Decoder,
    settle::ledger::Ledger,
    value::format::Compression,
    yield_budget::YieldBudget,
};
use tokio::runtime::Builder;

use self::{
    batches::{FORMAT, batches},
    event::{CASES, Case},
};

const ROUNDS: usize = 15;
const MB: f64 = 1e6;
const DOLLARS_PER_CPU_SECOND: f64 = 0.000_016_666_7 * 1769.0 / 1024.0;

const HEADER: &str = "\
| event | compression | CPU per MB | bytes out / in | CPU of 1 GB | pays from a transfer price of | faster below |
|---|---|--:|--:|--:|--:|--:|
";

fn main() -> Result<(), Box<dyn Error>> {
    print!("{HEADER}");
    for case in CASES {
        print_case(case)?;
    }
    Ok(())
}

fn print_case(case: Case) -> Result<(), Box<dyn Error>> {
    let payload = case.event();
    let event = Event::parse(&payload)?;
    let ledger = Ledger::open(&event);
    let batches = batches(Decoder::new(&event, &ledger, FORMAT, ""));
    let mut figures = Compression::ALL.map(|_| (Duration::MAX, 0));
    for _ in 0..ROUNDS {
        for (compression, (least, bytes)) in Compression::ALL.into_iter().zip(&mut figures) {
            let (cpu, out) = requests(&batches, compression)?;
            (*least, *bytes) = (cpu.min(*least), out);
        }
    }
    // Without compression only the requests are built.
    let (building, plain) = figures[0];
    for (compression, (cpu, bytes)) in Compression::ALL.into_iter().zip(figures).skip(1) {
        let cpu_per_mb = (cpu - building).as_secs_f64() / (plain as f64 / MB);
        print_line(case, compression, cpu_per_mb, bytes as f64 / plain as f64);
    }
    Ok(())
}

fn print_line(case: Case, compression: Compression, cpu_per_mb: f64, left: f64) {
    let dollars_per_gb = cpu_per_mb * 1e3 * DOLLARS_PER_CPU_SECOND;
    println!(
        "| {case} | {} | {:.1} ms | {left:.2} | ${dollars_per_gb:.5} | ${:.5} per GB | {:.0} MB/s |",
        compression.name(),
        cpu_per_mb * 1e3,
        dollars_per_gb / (1.0 - left),
        (1.0 - left) / cpu_per_mb,
    );
}

/// The CPU time to build the requests, and the bytes of their bodies.
fn requests(batches: &[Batch], compression: Compression) -> Result<(Duration, usize), Box<dyn Error>> {
    let tokio = Builder::new_current_thread().build()?;
    let began = cpu()?;
    let bytes = batches.iter().map(|batch| {
        let request = tokio.block_on(Request::new(batch, &[], FORMAT, compression, &YieldBudget::default()));
        black_box(request.body).len()
    });
    let bytes = bytes.sum();
    Ok((cpu()? - began, bytes))
}

fn cpu() -> nix::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
