//! Whether the invariants catch defects: the function with planted defects, simulated.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod defects;
mod workspace;

use std::{collections::BTreeSet, ops::Range};

use rayon::prelude::*;

use crate::{
    defects::{DEFECTS, Defect},
    workspace::Workspace,
};

/// Seeds that are tried until a defect shows. Not every run triggers every defect.
const SEEDS: Range<u64> = 1..9;

#[test]
#[ignore = "builds the project once more: run by .ci/run"]
fn each_defect_breaks_an_invariant_and_without_it_the_same_run_breaks_none() {
    let workspace = Workspace::build();
    let seeds: Vec<_> = DEFECTS.par_iter().map(|defect| catch(&workspace, defect)).collect();
    let mut runs = BTreeSet::new();
    let mut uncaught = Vec::new();
    for (defect, seed) in DEFECTS.iter().zip(seeds) {
        let Some(seed) = seed else {
            uncaught.push(defect.name);
            continue;
        };
        println!("{:55} {}, seed {seed}: {}", defect.name, defect.scenario, defect.breaks);
        runs.insert((defect.scenario, seed));
    }
    assert!(uncaught.is_empty(), "not caught: {uncaught:#?}");
    runs.par_iter().for_each(|(scenario, seed)| {
        let run = workspace.simulate(scenario, *seed, None);
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{scenario}, seed {seed}: {said}");
    });
}

/// The first seed with which the invariant that a defect should break is broken.
fn catch(workspace: &Workspace, defect: &Defect) -> Option<u64> {
    SEEDS.into_iter().find(|&seed| {
        let run = workspace.simulate(defect.scenario, seed, Some(defect));
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        let is_caught = |line: &str| line.contains("BROKEN") && line.contains(defect.breaks);
        !run.status.success() && said.lines().any(is_caught)
    })
}
