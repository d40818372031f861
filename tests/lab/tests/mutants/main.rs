//! Whether the invariants catch defects: the function with planted defects, simulated.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod defects;
mod workspace;

use std::{collections::BTreeSet, ops::Range, sync::LazyLock};

use crate::{defects::DEFECTS, workspace::Workspace};

/// Seeds that are tried until a defect shows. Not every run triggers every defect.
const SEEDS: Range<u64> = 1..6;

static WORKSPACE: LazyLock<Workspace> = LazyLock::new(Workspace::build);

#[test]
#[ignore = "builds the project once more: run by .ci/run"]
fn each_defect_breaks_an_invariant() {
    let mut uncaught = Vec::new();
    for defect in DEFECTS {
        let caught = SEEDS.into_iter().find(|&seed| {
            let run = WORKSPACE.simulate(defect.scenario, seed, Some(defect));
            let said =
                String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
            let is_caught = |line: &str| line.contains("BROKEN") && line.contains(defect.breaks);
            !run.status.success() && said.lines().any(is_caught)
        });
        match caught {
            Some(seed) => println!("{:55} {}, seed {seed}: {}", defect.name, defect.scenario, defect.breaks),
            None => uncaught.push(defect.name),
        }
    }
    assert!(uncaught.is_empty(), "not caught: {uncaught:#?}");
}

#[test]
#[ignore = "builds the project once more: run by .ci/run"]
fn the_function_without_a_defect_breaks_none() {
    let scenarios: BTreeSet<_> = DEFECTS.iter().map(|defect| defect.scenario).collect();
    for scenario in scenarios {
        for seed in SEEDS {
            let run = WORKSPACE.simulate(scenario, seed, None);
            assert!(
                run.status.success(),
                "{scenario}, seed {seed}: {}",
                String::from_utf8_lossy(&run.stdout)
            );
        }
    }
}
