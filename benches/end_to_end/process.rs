//! What the kernel knows about a running program.

use std::{fs, io, time::Duration};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// A running program, by its id.
pub(crate) struct Process(pub(crate) i32);

impl Process {
    /// Keeps it to one core, as Lambda does up to 1,769 MB.
    pub(crate) fn pin(&self) -> io::Result<()> {
        let mut core = CpuSet::new();
        core.set(0)?;
        for thread in self.threads()? {
            sched_setaffinity(Pid::from_raw(thread), &core)?;
        }
        Ok(())
    }

    /// Its user and kernel CPU time.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        self.threads()?.into_iter().map(|thread| self.cpu_of(thread)).sum()
    }

    /// The most memory it had, in bytes.
    pub(crate) fn peak_rss(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        kib.and_then(|kib| kib.trim().parse::<u64>().ok())
            .map(|kib| kib << 10)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    // Its first field is in nanoseconds, where `stat` counts ticks of 10 ms.
    fn cpu_of(&self, thread: i32) -> io::Result<Duration> {
        let schedstat = fs::read_to_string(format!("/proc/{}/task/{thread}/schedstat", self.0))?;
        let nanoseconds = schedstat.split(' ').next().and_then(|first| first.parse().ok());
        nanoseconds.map(Duration::from_nanos).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn threads(&self) -> io::Result<Vec<i32>> {
        let entries = fs::read_dir(format!("/proc/{}/task", self.0))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }
}
