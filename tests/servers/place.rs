//! Where a server runs: a folder and ports of its own.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed},
};

/// Below the ports that the kernel gives to outgoing connections: else one of them could take a server's port while
/// that is being restarted.
const FIRST_PORT: u16 = 12_000;
const LAST_PORT: u16 = 32_000;

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
static NEXT_FOLDER: AtomicUsize = AtomicUsize::new(0);

/// A loopback port that nothing listens on, and that no other test is given.
pub(crate) fn free_port() -> u16 {
    let begin = u16::try_from(process::id() % 100).unwrap() * 200;
    loop {
        let port = FIRST_PORT + (begin + NEXT_PORT.fetch_add(1, Relaxed)) % (LAST_PORT - FIRST_PORT);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A new folder, which stays for whoever wants to know what the servers said.
pub(crate) fn new_folder() -> PathBuf {
    let number = NEXT_FOLDER.fetch_add(1, Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("servers/{number}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
