//! What takes the records in the end: record.py in a server for Python.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{place, program::Program};

const APPLICATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One process and one loop for all connections.
    Uvicorn,
    /// Two processes with a few threads each.
    Gunicorn,
}

/// A server that writes down what it has taken.
pub(crate) struct Origin {
    pub(crate) port: u16,
    pub(crate) program: Program,
    record: PathBuf,
}

impl Origin {
    /// Starts it with more arguments than it needs.
    pub(crate) async fn start(kind: Kind, more: &[&str], folder: &Path) -> Self {
        let (port, record) = (place::free_port(), folder.join("record"));
        let (name, arguments) = match kind {
            Kind::Uvicorn => ("uvicorn", uvicorn(port)),
            Kind::Gunicorn => ("gunicorn", gunicorn(port)),
        };
        let arguments = arguments.into_iter().chain(more.iter().map(ToString::to_string)).collect();
        let settings =
            vec![("RECORD", record.display().to_string()), ("PYTHONDONTWRITEBYTECODE", "1".to_owned())];
        let program = Program::start(name, arguments, settings, port, folder).await;
        Self { port, program, record }
    }

    /// The ids of all records that it has taken.
    pub(crate) fn taken(&self) -> BTreeSet<String> {
        let record = fs::read_to_string(&self.record).unwrap_or_default();
        record.lines().map(str::to_owned).collect()
    }
}

fn uvicorn(port: u16) -> Vec<String> {
    let port = port.to_string();
    ["record:asgi", "--app-dir", APPLICATION, "--port", &port, "--no-access-log", "--lifespan", "off"]
        .map(str::to_owned)
        .to_vec()
}

fn gunicorn(port: u16) -> Vec<String> {
    let address = format!("127.0.0.1:{port}");
    ["record:wsgi", "--chdir", APPLICATION, "--bind", &address, "--workers", "2", "--threads", "8"]
        .map(str::to_owned)
        .to_vec()
}
