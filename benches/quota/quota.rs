//! A share of a core, by a control group of the kernel's.

use std::{fs, io, path::PathBuf, process};

/// How often the kernel gives a process its share anew, in µs.
const PERIOD_US: u32 = 20_000;

/// What Lambda gives one core for.
const MB_OF_A_CORE: u32 = 1_769;

/// Where version 1 and version 2 of control groups are, and the file that says so.
const V1: (&str, &str) = ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us");
const V2: (&str, &str) = ("/sys/fs/cgroup", "cgroup.subtree_control");

/// A control group that has as much of a core as Lambda gives for a memory size. Removed when dropped, which needs
/// all processes in it to have ended.
pub(crate) struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// The share that belongs to so much memory.
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

    /// Holds a process to it.
    pub(crate) fn take(&self, process_id: i32) -> io::Result<()> {
        self.write("cgroup.procs", process_id)
    }

    fn write(&self, file: &str, value: impl ToString) -> io::Result<()> {
        fs::write(self.folder.join(file), value.to_string())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // An empty group that remains is in nobody's way.
        let _ = fs::remove_dir(&self.folder);
    }
}
