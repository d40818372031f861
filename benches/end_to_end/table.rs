//! The figures as Markdown.

use std::time::Duration;

use crate::{event::Case, sample::Sample};

const IN_FLIGHT: usize = 10;
const MIB: f64 = 1_048_576.0;

/// The head of the table of starts.
pub(crate) const STARTS: &str = "\
| start | spawn to first `next` | CPU until then |
|---|--:|--:|
";

/// The head of the table of invocations at this latency of Perseus.
pub(crate) fn header(latency: Duration) -> String {
    format!(
        "\
| Perseus takes {} ms | | CPU per record | to the reference | to the floor | records/s | event MB/s | wall | wall to ideal | event | peak memory |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
",
        latency.as_millis()
    )
}

/// A line of the table of starts.
pub(crate) fn print_start(program: &str, wall: Duration, cpu: Duration) {
    println!("| {program} | {:.1} ms | {:.1} ms |", ms(wall), ms(cpu));
}

/// The lines of a case: of the function, the reference and the floor.
pub(crate) fn print_case(case: Case, samples: &[(&str, Sample); 3]) {
    let event = case.event().len();
    let [_, (_, reference), (_, floor)] = samples;
    for (program, sample) in samples {
        println!(
            "| {} | {program} | {:.2} µs | {:.2} | {:.1} | {:.0} | {:.0} | {:.1} ms | {:.2} | {:.1} MiB | {:.1} MiB |",
            case.name,
            sample.cpu.as_secs_f64() * 1e6 / case.records as f64,
            ratio(sample.cpu, reference.cpu),
            ratio(sample.cpu, floor.cpu),
            case.records as f64 / sample.wall.as_secs_f64(),
            event as f64 / 1e6 / sample.wall.as_secs_f64(),
            ms(sample.wall),
            ratio(sample.wall, ideal(sample)),
            event as f64 / MIB,
            sample.peak_rss as f64 / MIB,
        );
    }
}

/// The CPU time plus the latency of all requests at full concurrency. The latency is the measured one: a timer is up to a
/// millisecond late.
fn ideal(sample: &Sample) -> Duration {
    let rounds = sample.counts.requests.div_ceil(IN_FLIGHT);
    sample.cpu + sample.counts.busy * u32::try_from(rounds).unwrap_or(u32::MAX)
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
