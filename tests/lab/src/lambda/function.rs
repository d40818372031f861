//! The function's executable: given by the caller, or built.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use serde_json::Value;
use tokio::process::Command;

const BINARY: &str = "perseus-forwarder";
/// Names an executable to use instead of building one.
const VARIABLE: &str = "LAB_FUNCTION";

/// Why there is no executable.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// The given file does not exist.
    #[error("there is no file {} to run as the function", .0.display())]
    Missing(PathBuf),
    /// Cargo could not be run.
    #[error("cargo cannot be run to build the function: {0}")]
    Cargo(#[from] io::Error),
    /// The build failed; Cargo has said why on standard error.
    #[error("the function does not build ({0})")]
    Build(ExitStatus),
    /// The build succeeded without making the executable.
    #[error("the build made no executable {BINARY}")]
    NoExecutable,
}

/// The executable at `path`, else the one `$LAB_FUNCTION` names, else the workspace's own, built now. Cargo shows its
/// progress on standard error.
///
/// # Errors
///
/// When the named file is missing or the build fails.
pub async fn locate(path: Option<PathBuf>, release: bool) -> Result<PathBuf, FunctionError> {
    match path.or_else(|| env::var_os(VARIABLE).map(PathBuf::from)) {
        // A bare file name would be looked up in PATH.
        Some(path) if path.is_file() => Ok(std::path::absolute(path)?),
        Some(path) => Err(FunctionError::Missing(path)),
        None => build(release).await,
    }
}

/// The folder of the workspace this was built from.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

async fn build(release: bool) -> Result<PathBuf, FunctionError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--bin", BINARY, "--message-format=json-render-diagnostics"])
        .args(release.then_some("--release"))
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(FunctionError::Build(output.status));
    }
    executable(&String::from_utf8_lossy(&output.stdout)).ok_or(FunctionError::NoExecutable)
}

/// The executable named in Cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == BINARY)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = [
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"perseus-forwarder"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"perseus-forwarder"},"executable":"/t/debug/perseus-forwarder"}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        assert_eq!(executable(&messages.join("\n")), Some("/t/debug/perseus-forwarder".into()));
        assert_eq!(executable(messages[0]), None);
    }

    #[tokio::test]
    async fn a_named_file_that_is_missing_is_said_to_be() {
        let error = locate(Some("/no/such/file".into()), false).await.expect_err("there is no such file");
        assert_eq!(error.to_string(), "there is no file /no/such/file to run as the function");
    }
}
