//! Starting an environment: what Lambda sets, what the caller adds, and when the function counts as started.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::{
    Environment,
    process::Process,
    runtime_api::{FUNCTION_NAME, RuntimeApi, Start},
};

/// Lambda gives a function this long until its first `next`.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a function that has reported an initialisation error has to exit by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// An environment to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    binary: PathBuf,
    env: Vec<(OsString, OsString)>,
    timeout: Duration,
    init_timeout: Duration,
    memory_mb: u32,
}

/// Why a function did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The function reported it to the Runtime API.
    #[error("the function refused to start: {kind}: {message}")]
    Init {
        /// The error's type, as the function names it.
        kind: String,
        /// The error's message.
        message: String,
        /// The exit code, when it exited right after and by itself.
        exit: Option<i32>,
    },
    /// The process ended before it had asked for work.
    #[error("the function ended before it asked for work ({status}):\n{}", logs.join("\n"))]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// All its lines.
        logs: Vec<String>,
    },
    /// It could not be run at all.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its initialisation took longer than Lambda allows.
    #[error("the function has not asked for work in time")]
    NeverAskedForWork,
}

impl Builder {
    pub(super) fn new(binary: PathBuf) -> Self {
        Self {
            binary,
            env: Vec::new(),
            timeout: Duration::from_secs(30),
            init_timeout: INIT_TIMEOUT,
            memory_mb: 128,
        }
    }

    /// Sets an environment variable of the function; it also overrides what Lambda sets.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The function's timeout, from which the deadlines follow; 30 s unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long the function has until its first `next`; 10 s unless set, as on Lambda.
    #[must_use]
    pub fn init_timeout(self, init_timeout: Duration) -> Self {
        Self { init_timeout, ..self }
    }

    /// What the function is told its memory is; 128 MB unless set. It is not enforced.
    #[must_use]
    pub fn memory_mb(self, memory_mb: u32) -> Self {
        Self { memory_mb, ..self }
    }

    /// Starts the Runtime API and the function, and waits until it has asked for its first event.
    ///
    /// # Errors
    ///
    /// When the function reports an initialisation error, exits, does not ask for work in time or cannot be run.
    pub async fn start(self) -> Result<Environment, StartError> {
        let api = RuntimeApi::start().await?;
        let process = Process::spawn(self.command(&api))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.binary.display())))?;
        let start = tokio::select! {
            biased;
            start = api.started() => start,
            status = process.exited() => {
                // The error report and the exit can arrive in either order.
                api.start_so_far().ok_or_else(|| StartError::Exited { status, logs: process.logs() })?
            }
            () = tokio::time::sleep(self.init_timeout) => return Err(StartError::NeverAskedForWork),
        };
        match start {
            Start::AskedForWork => {
                let managed = self.env.iter().any(|(name, _)| name == "AWS_LAMBDA_MAX_CONCURRENCY");
                Ok(Environment { api, process, timeout: self.timeout, managed })
            }
            Start::Failed { kind, message } => {
                let exit = tokio::time::timeout(EXIT_TIMEOUT, process.exited()).await;
                Err(StartError::Init { kind, message, exit: exit.ok().and_then(|status| status.code()) })
            }
        }
    }

    fn command(&self, api: &RuntimeApi) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .stdin(Stdio::null())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.address().as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION_NAME),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mb.to_string().as_str()),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/perseus-forwarder"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]5f2e0cbe01f44d2ba1d8e5fd45a0cd94"),
                ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
                ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
                ("AWS_REGION", "eu-central-1"),
                ("TZ", ":UTC"),
            ])
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}
