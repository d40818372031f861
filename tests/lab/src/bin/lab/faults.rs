//! The `--fail` option: which answers of Perseus fail.

use std::str::FromStr;

use lab::perseus::Reply;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// A status, and the share of the requests that are answered with it: 1 is all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    status: u16,
    share: f64,
}

/// A sequence of answers that is the same for the same seed.
pub(crate) struct Faults {
    faults: Vec<Fault>,
    random: ChaCha8Rng,
}

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>, seed: u64) -> anyhow::Result<Self> {
        let sum: f64 = faults.iter().map(|fault| fault.share).sum();
        // A little more than 1, because shares like 0.7 and 0.3 are not exact.
        anyhow::ensure!(sum <= 1.0 + 1e-9, "the shares of --fail add up to {sum}, more than 1");
        Ok(Self { faults, random: ChaCha8Rng::seed_from_u64(seed) })
    }

    pub(crate) fn next_reply(&mut self) -> Reply {
        let mut roll = self.random.random_range(0.0..1.0);
        for fault in &self.faults {
            if roll < fault.share {
                return Reply::status(fault.status);
            }
            roll -= fault.share;
        }
        Reply::ok()
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (status, share) = text.split_once(':').unwrap_or((text, "1"));
        let status = status.parse().ok().filter(|status| (200..600).contains(status));
        Ok(Self {
            status: status.ok_or("the status is a number from 200 to 599, as in 503 or 503:20%")?,
            share: self::share(share).ok_or("the share is 0 to 1 or 0% to 100%, as in 503:0.2 or 503:20%")?,
        })
    }
}

fn share(text: &str) -> Option<f64> {
    let share: f64 = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(faults: &[&str], seed: u64) -> Vec<String> {
        let faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
        let mut faults = Faults::new(faults, seed).expect("at most all");
        (0..1_000).map(|_| format!("{:?}", faults.next_reply())).collect()
    }

    #[test]
    fn a_fault_is_a_status_and_a_share() {
        assert_eq!("503".parse(), Ok(Fault { status: 503, share: 1.0 }));
        assert_eq!("400:0.5".parse(), Ok(Fault { status: 400, share: 0.5 }));
        assert_eq!("400:0.5%".parse(), Ok(Fault { status: 400, share: 0.005 }));
        assert_eq!("400:100%".parse(), Ok(Fault { status: 400, share: 1.0 }));
        // A percentage without its sign is not taken for a share.
        for wrong in ["", "x", "99", "600", "503:", "503:-1", "503:20", "503:101%", "503:%", "503:NaN"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_same_seed_fails_the_same_requests() {
        assert_eq!(statuses(&["503:20%", "400:5%"], 7), statuses(&["503:20%", "400:5%"], 7));
        assert_ne!(statuses(&["503:0.2"], 7), statuses(&["503:0.2"], 8));
    }

    #[test]
    fn about_as_many_requests_fail_as_asked_for() {
        let failed = statuses(&["503:20%"], 7).iter().filter(|reply| reply.contains("503")).count();
        assert!((150..250).contains(&failed), "{failed}");
        assert!(statuses(&["503"], 7).iter().all(|reply| reply.contains("503")));
    }

    #[test]
    fn more_than_all_requests_cannot_fail() {
        let faults = ["503:60%", "400:41%"].map(|fault| fault.parse().expect("a fault"));
        assert!(Faults::new(faults.to_vec(), 1).is_err());
    }
}
