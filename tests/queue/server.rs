//! An SQS server as a process.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Stdio,
    time::Duration,
};

use aws_sdk_sqs::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
};

/// Python on a busy machine; it takes half a second on an idle one.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// What is started unless `SQS_SERVER` names another.
const MOTO: &str = "moto_server";
/// Stands before the address in the line that says that the server listens.
const LISTENING: &str = "Running on ";

/// A server with no queues. It is killed when this is dropped.
pub(crate) struct Server {
    address: String,
    _process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let program = program();
        let mut process = command(&program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; .ci/requirements.txt has the servers and their versions",
                    program.display()
                )
            });
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = tokio::time::timeout(START_TIMEOUT, address(&mut lines)).await;
        drain(lines);
        Self { address: address.expect("the SQS server does not come up"), _process: process }
    }

    /// Settings with which the function speaks to this server.
    pub(crate) fn settings(&self) -> [(&str, &str); 3] {
        [
            ("AWS_ENDPOINT_URL", &self.address),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    /// Posts a body of this type, with a header that says which service it is for, and gives the reply.
    pub(crate) async fn post(&self, path: &str, service: &str, kind: &str, body: &str) -> String {
        self.request("POST", path, service, kind, body).await
    }

    /// The same with any method.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        service: &str,
        kind: &str,
        body: &str,
    ) -> String {
        let host = self.address.trim_start_matches("http://");
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/{service}/aws4_request\r\n\r\n{body}",
            body.len()
        );
        let mut connection = TcpStream::connect(host).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).await.unwrap();
        assert!(reply.lines().next().is_some_and(|status| status.contains(" 20")), "{reply}");
        reply
    }

    /// A client of this server, with the API's own defaults.
    pub(crate) fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(&self.address)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new("eu-central-1"));
        Client::from_conf(config.build())
    }
}

fn program() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "it configures the test, not the function")]
    std::env::var_os("SQS_SERVER").unwrap_or_else(|| MOTO.into())
}

/// Starts the server on a loopback port of its own choice: one that was found free here could be taken before it gets
/// there.
fn command(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    match Path::new(program).file_name() {
        Some(name) if name == MOTO => command.args(["--host", "127.0.0.1", "--port", "0"]),
        _ => command.envs([
            ("BIND_HOST", "127.0.0.1"),
            ("GATEWAY_PORT", "0"),
            ("MINISTACK_ACCOUNT_ID", "123456789012"),
            ("MINISTACK_REGION", "eu-central-1"),
            ("SERVICES", "sqs"),
        ]),
    };
    command
}

/// Where the server says it listens.
async fn address(lines: &mut Lines<BufReader<ChildStderr>>) -> String {
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, address)) = line.split_once(LISTENING) {
            return address.split_whitespace().next().unwrap().to_owned();
        }
        said.push(line);
    }
    panic!("the SQS server ended instead of listening:\n{}", said.join("\n"))
}

/// Reads on for as long as the server lives, which writes a line per request and would stop at a full pipe.
fn drain(mut lines: Lines<BufReader<ChildStderr>>) {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}
