//! The programs that are compared, built in the release profile.

use std::{
    env,
    error::Error,
    path::PathBuf,
    process::{Command, Stdio},
};

use lab::function::{locate, workspace};
use serde_json::Value;

/// An executable and what it is called in the tables.
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// All of them.
pub(crate) struct Programs {
    /// The function as it is deployed.
    pub(crate) function: Program,
    /// The reference: the official example, extended.
    pub(crate) reference: Program,
    /// The floor: it only moves the same bytes.
    pub(crate) floor: Program,
    /// The official example itself.
    pub(crate) hello: Program,
}

impl Programs {
    /// Builds them. The function is built alone: together with the others, Cargo would unify features of shared
    /// dependencies.
    pub(crate) async fn build() -> Result<Self, Box<dyn Error>> {
        let function = Program { name: "function", path: locate(None, true).await? };
        let messages = build_others()?;
        let program = |name: &'static str| {
            let path = executable(&messages, name).ok_or_else(|| format!("the build made no {name}"))?;
            Ok::<_, Box<dyn Error>>(Program { name, path })
        };
        let (reference, floor, hello) = (program("reference")?, program("floor")?, program("hello")?);
        Ok(Programs { function, reference, floor, hello })
    }
}

fn build_others() -> Result<String, Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "Cargo's own variable")]
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "programs", "--message-format=json-render-diagnostics"])
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the programs do not build ({})", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_target = messages.filter(|message| message["target"]["name"] == name);
    of_target.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}
