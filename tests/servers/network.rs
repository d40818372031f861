//! A network of the test's own, in which packets can get lost.

use std::{fs, process::Command};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
};

/// Where outgoing connections get their ports.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Moves this thread to a network that has only a loopback interface. Threads and programs that it starts later are there too.
/// `None` for anyone but root, after saying so.
#[expect(clippy::print_stderr, reason = "a test that does not run has to say so")]
pub(crate) fn isolate() -> Option<Network> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => {
            eprintln!("NOT RUN: only root may make a network namespace");
            return None;
        }
        made => made.unwrap(),
    }
    run("ip", "link set lo up");
    run("nft", "add table ip test");
    run("nft", "add chain ip test input { type filter hook input priority 0; }");
    Some(Network)
}

pub(crate) struct Network;

impl Network {
    /// Connections that are begun from now on come from these ports.
    pub(crate) fn connect_from(&self, first: u16, last: u16) {
        fs::write(PORT_RANGE, format!("{first} {last}")).unwrap();
    }

    /// Loses every packet to this port, without a word, that comes from these ports.
    pub(crate) fn lose(&self, port: u16, from: &str) {
        run("nft", &format!("add rule ip test input tcp dport {port} tcp sport {from} drop"));
        run("nft", &format!("add rule ip test input tcp sport {port} tcp dport {from} drop"));
    }
}

fn run(program: &str, arguments: &str) {
    let status = Command::new(program).args(arguments.split(' ')).status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}; see tests/servers/main.rs"));
    assert!(status.success(), "{program} {arguments}");
}
