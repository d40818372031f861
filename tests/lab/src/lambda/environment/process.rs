//! The function as a process: its output, its exit, and no child left behind.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};

/// How long to wait for the last lines of a dead process. Only a descendant in another process group can keep the pipe open.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A child process that leads its own group: a Ctrl-C in the terminal does not reach it, and one signal reaches all
/// that it started.
#[derive(Debug)]
pub(super) struct Process {
    group: Pid,
    lines: Lines,
    exit: watch::Receiver<Option<ExitStatus>>,
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Process {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let id = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| io::Error::other("no process id"))?;
        let group = Pid::from_raw(id);
        let lines = Lines::default();
        let mut readers = JoinSet::new();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            readers.spawn(read_lines(stdout, lines.clone()));
            readers.spawn(read_lines(stderr, lines.clone()));
        }
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            // A child that cannot be waited for counts as running.
            if let Ok(status) = reap(child, group, readers).await {
                ended.send_replace(Some(status));
            }
        });
        Ok(Self { group, lines, exit })
    }

    pub(super) fn id(&self) -> i32 {
        self.group.as_raw()
    }

    pub(super) fn logs(&self) -> Vec<String> {
        self.lines.get().clone()
    }

    pub(super) fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Returns once the process has ended and its last line is in the logs.
    pub(super) async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        match ended {
            Some(status) => status,
            None => std::future::pending().await,
        }
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    pub(super) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(super) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Signals the whole group, unless its leader is gone: by then the number may belong to another group.
    fn signal(&self, signal: Signal) {
        if self.is_running() {
            // It fails only if the group has no members.
            let _ = killpg(self.group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lines {
    fn get(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn reap(mut child: Child, group: Pid, mut readers: JoinSet<()>) -> io::Result<ExitStatus> {
    let status = child.wait().await?;
    // Kills its children. It fails only if there are none.
    let _ = killpg(group, Signal::SIGKILL);
    let drained = async { while readers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_LINES, drained).await;
    Ok(status)
}

async fn read_lines(output: impl AsyncRead + Unpin, lines: Lines) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        lines.get().push(text.trim_end_matches(['\r', '\n']).to_owned());
        line.clear();
    }
}
