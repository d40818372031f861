//! The function as a process, from the Runtime API to Perseus, beside programs that do the same job or less.
//!
//! `cargo bench --bench end_to_end` prints the README's tables. All programs take turns, each on one core, so other
//! load on the machine hits all of them. CPU is user and kernel time of the process.

#![allow(clippy::print_stdout, reason = "the tables")]

#[path = "../event.rs"]
mod event;
mod perseus;
mod process;
mod program;
mod sample;
mod table;

use std::{env, error::Error, time::Duration};

use bytes::Bytes;

use self::{
    event::{CASES, Case},
    perseus::Perseus,
    program::{Program, Programs},
    sample::{Sample, sample, start},
};

const ROUNDS: usize = 5;
const STARTS: usize = 60;
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];
/// The invocations of a sample deliver about this many bytes together. Also the most invocations of a sample.
const BYTES_PER_SAMPLE: usize = 24 << 20;
const MOST_INVOCATIONS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let programs = Programs::build().await?;
    print!("{}", table::STARTS);
    for (program, wall, cpu) in starts(&programs).await? {
        table::print_start(program, wall, cpu);
    }
    let wanted = filter();
    for latency in LATENCIES {
        print!("\n{}", table::header(latency));
        for case in CASES.into_iter().filter(|case| wanted.as_ref().is_none_or(|w| case.name.contains(w))) {
            table::print_case(case, &compare(&programs, case, latency).await?);
        }
    }
    Ok(())
}

/// Words of a case's name, to measure it alone.
fn filter() -> Option<String> {
    // Cargo adds `--bench`.
    env::args().skip(1).find(|argument| !argument.starts_with('-'))
}

/// The median wall and CPU time of each program's starts.
async fn starts(programs: &Programs) -> Result<Vec<(&'static str, Duration, Duration)>, Box<dyn Error>> {
    let perseus = Perseus::start(Duration::ZERO).await?;
    let programs = [&programs.function, &programs.reference, &programs.hello];
    let mut starts = programs.map(|_| Vec::new());
    for round in 0..STARTS {
        for turn in 0..programs.len() {
            // Every order occurs, because a program profits from the caches of the one before.
            let number = (round + turn) % programs.len();
            starts[number].push(start(programs[number], &perseus).await?);
        }
    }
    let medians = programs.iter().zip(&starts).map(|(program, starts)| {
        (program.name, median(starts.iter().map(|s| s.wall)), median(starts.iter().map(|s| s.cpu)))
    });
    Ok(medians.collect())
}

/// What an event costs the function, the reference and the floor.
async fn compare(
    programs: &Programs,
    case: Case,
    latency: Duration,
) -> Result<[(&'static str, Sample); 3], Box<dyn Error>> {
    let perseus = Perseus::start(latency).await?;
    let event = Bytes::from(case.event());
    let invocations = u32::try_from((BYTES_PER_SAMPLE / event.len()).clamp(2, MOST_INVOCATIONS))?;
    let compared: [&Program; 3] = [&programs.function, &programs.reference, &programs.floor];
    let mut samples = compared.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (number, program) in compared.iter().enumerate() {
            // The floor posts as much as the function has just posted.
            let floor = samples[0].last().map(|sample: &Sample| sample.counts);
            samples[number].push(sample(program, &perseus, floor, &event, invocations).await?);
        }
    }
    Ok([0, 1, 2].map(|number| (compared[number].name, undisturbed(&samples[number]))))
}

/// The least time of each kind: other load on the machine only adds to it.
fn undisturbed(samples: &[Sample]) -> Sample {
    let all = samples.iter().copied();
    let least = all.reduce(|one, other| Sample {
        wall: one.wall.min(other.wall),
        cpu: one.cpu.min(other.cpu),
        peak_rss: one.peak_rss.max(other.peak_rss),
        counts: perseus::Counts { busy: one.counts.busy.min(other.counts.busy), ..one.counts },
    });
    least.expect("there is more than one round")
}

fn median<T: Ord + Copy>(figures: impl Iterator<Item = T>) -> T {
    let mut figures: Vec<T> = figures.collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}
