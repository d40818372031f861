//! A share of a core, by a control group.

use std::{fs, io, path::PathBuf, process};

/// The period of the quota, in µs.
const PERIOD_US: u32 = 20_000;

/// The memory for which Lambda gives one core.
const MB_OF_A_CORE: u32 = 1_769;

/// The mount points of control groups version 1 and 2, and the file that identifies each.
const V1: (&str, &str) = ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us");
const V2: (&str, &str) = ("/sys/fs/cgroup", "cgroup.subtree_control");

/// A control group with the share of a core that Lambda gives for a memory size. Dropping it removes it, if all its
/// processes have ended.
pub(crate) struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// The share for this memory size.
    ///
    /// # Errors
    ///
    /// If this machine has no such groups, or does not let this user make one.
    pub(crate) fn of_memory(mb: u32) -> io::Result<Self> {
        let share_us = PERIOD_US * mb / MB_OF_A_CORE;
        let name = format!("perseus-forwarder-{}-{mb}", process::id());
        let is_v1 = fs::exists(format!("{}/{}", V1.0, V1.1))?;
        let quota = Quota { folder: PathBuf::from(if is_v1 { V1.0 } else { V2.0 }).join(name) };
        if is_v1 {
            fs::create_dir(&quota.folder)?;
            quota.write("cpu.cfs_period_us", PERIOD_US)?;
            quota.write(V1.1, share_us)?;
        } else {
            fs::write(format!("{}/{}", V2.0, V2.1), "+cpu")?;
            fs::create_dir(&quota.folder)?;
            quota.write("cpu.max", format_args!("{share_us} {PERIOD_US}"))?;
        }
        Ok(quota)
    }

    /// Puts a process under the quota.
    pub(crate) fn take(&self, process_id: i32) -> io::Result<()> {
        self.write("cgroup.procs", process_id)
    }

    fn write(&self, file: &str, value: impl ToString) -> io::Result<()> {
        fs::write(self.folder.join(file), value.to_string())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // An empty group that remains does no harm.
        let _ = fs::remove_dir(&self.folder);
    }
}
