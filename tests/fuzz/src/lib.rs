//! Checks that must hold for any input.
//!
//! Each module has one check, and `src/bin` one program for each of them. Built by `tests/fuzz/run`, a program is
//! libFuzzer with its check. Built otherwise, it checks the files named on its command line. `cargo test -p fuzz` checks the
//! corpus.

pub mod body;
pub mod configuration;
mod entries;
pub mod event;
mod record;
pub mod reply;
pub mod sqs_reply;

use std::{env, fs};

/// A check of an input.
pub type Check = fn(&[u8]);

/// All checks, with the names of their programs.
pub const CHECKS: [(&str, Check); 5] = [
    ("body", body::check),
    ("configuration", configuration::check),
    ("event", event::check),
    ("reply", reply::check),
    ("sqs_reply", sqs_reply::check),
];

/// Checks the files that are named on the command line.
///
/// # Panics
///
/// If a check fails, or a file cannot be read.
pub fn check_files(check: Check) {
    for path in env::args().skip(1) {
        check(&fs::read(&path).expect(&path));
    }
}

/// The program of a check.
#[macro_export]
macro_rules! program {
    ($check:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $check(input));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::check_files($check);
        }
    };
}
