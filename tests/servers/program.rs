//! A server that others wrote, as a process.

use std::{
    fs::{self, File},
    io::ErrorKind,
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// Python on a busy machine; it takes half a second on an idle one.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A server that listens on a loopback port. All its processes are killed when this is dropped.
pub(crate) struct Program {
    name: &'static str,
    arguments: Vec<String>,
    settings: Vec<(&'static str, String)>,
    port: u16,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Program {
    /// Starts `name` from the PATH, and waits until it listens on `port`. What it prints goes to a file in `folder`.
    pub(crate) async fn start(
        name: &'static str,
        arguments: Vec<String>,
        settings: Vec<(&'static str, String)>,
        port: u16,
        folder: &Path,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        let child = Mutex::new(spawn(name, &arguments, &settings, &log));
        let program = Self { name, arguments, settings, port, log, child };
        program.listening().await;
        program
    }

    /// Stops all its processes in their tracks.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    /// Kills them, and returns when nothing listens any more.
    pub(crate) fn kill(&self) {
        self.signal_all(Signal::SIGKILL);
        let _ = self.child.lock().unwrap().wait();
    }

    /// Starts it again, without waiting until it listens.
    pub(crate) fn revive(&self) {
        *self.child.lock().unwrap() = spawn(self.name, &self.arguments, &self.settings, &self.log);
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The processes that its first process has started itself.
    pub(crate) fn children(&self) -> Vec<Pid> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.group())).unwrap();
        let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap();
        let children: Vec<String> = threads.map(|thread| children(thread.unwrap())).collect();
        let ids = children.iter().flat_map(|children| children.split_whitespace());
        ids.map(|id| Pid::from_raw(id.parse().unwrap())).collect()
    }

    /// Sends a signal to its first process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.group(), signal).unwrap();
    }

    /// Returns when it listens.
    pub(crate) async fn listening(&self) {
        let listens = async {
            while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                assert!(self.child.lock().unwrap().try_wait().unwrap().is_none(), "{}", self.said());
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, listens).await.unwrap_or_else(|_| panic!("{}", self.said()));
    }

    fn said(&self) -> String {
        format!("{} does not listen:\n{}", self.name, self.printed())
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.lock().unwrap().id()).unwrap())
    }

    fn signal_all(&self, signal: Signal) {
        // The only failure is a group without members, which has no use for a signal.
        let _ = killpg(self.group(), signal);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(name: &str, arguments: &[String], settings: &[(&str, String)], log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(find(name));
    command
        .args(arguments)
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0);
    command.spawn().unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("{name} is not installed: see tests/servers/main.rs"),
        _ => panic!("{name}: {error}"),
    })
}

/// Debian's servers are in a folder that is on the PATH of root alone.
fn find(name: &str) -> PathBuf {
    let of_root = Path::new("/usr/sbin").join(name);
    if of_root.exists() { of_root } else { name.into() }
}
