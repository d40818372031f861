//! The floor: moves the bytes of an invocation and does nothing else. It takes the payload, posts the given number of
//! requests and bytes, ten at once, and reports success. No runtime, no parsing, one thread.

use std::{
    collections::VecDeque,
    env,
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

const IN_FLIGHT: usize = 10;
const INVOCATION: &str = "/2018-06-01/runtime/invocation";
const ANSWER: &[u8] = br#"{"batchItemFailures":[]}"#;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A kept connection to one server.
struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

/// A reply, with the headers that are needed.
struct Reply {
    request_id: String,
    body: Vec<u8>,
}

fn main() -> Outcome<()> {
    let (api, url) = (variable("AWS_LAMBDA_RUNTIME_API")?, variable("PERSEUS_URL")?);
    let (requests, bytes) = (variable("FLOOR_REQUESTS")?.parse()?, variable("FLOOR_BYTES")?.parse()?);
    let (host, path) =
        url.strip_prefix("http://").and_then(|url| url.split_once('/')).ok_or("no plain URL")?;
    let mut api = Connection::open(&api)?;
    let mut perseus = VecDeque::new();
    loop {
        api.send("GET", &format!("{INVOCATION}/next"), b"")?;
        let invocation = api.receive()?;
        let end = invocation.body.len().min(bytes);
        let body = |number: usize| &invocation.body[end * number / requests..end * (number + 1) / requests];
        post(&mut perseus, host, path, (0..requests).map(body))?;
        api.send("POST", &format!("{INVOCATION}/{}/response", invocation.request_id), ANSWER)?;
        api.receive()?;
    }
}

/// Posts these bodies, the next one as soon as the oldest one is answered.
fn post<'a>(
    connections: &mut VecDeque<Connection>,
    host: &str,
    path: &str,
    bodies: impl Iterator<Item = &'a [u8]>,
) -> Outcome<()> {
    let mut in_flight = VecDeque::new();
    for body in bodies {
        let mut connection = if in_flight.len() == IN_FLIGHT {
            answered(&mut in_flight)?.ok_or("no connection")?
        } else {
            connections.pop_front().map_or_else(|| Connection::open(host), Ok)?
        };
        connection.send("POST", &format!("/{path}"), body)?;
        in_flight.push_back(connection);
    }
    while let Some(connection) = answered(&mut in_flight)? {
        connections.push_back(connection);
    }
    Ok(())
}

fn answered(in_flight: &mut VecDeque<Connection>) -> Outcome<Option<Connection>> {
    let Some(mut connection) = in_flight.pop_front() else { return Ok(None) };
    connection.receive()?;
    Ok(Some(connection))
}

impl Connection {
    fn open(host: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Connection { host: host.to_owned(), stream: BufReader::new(stream) })
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        Ok(self.stream.get_mut().write_all(body)?)
    }

    fn receive(&mut self) -> Outcome<Reply> {
        let (mut length, mut request_id, mut line) = (0, String::new(), String::new());
        while self.stream.read_line(&mut line)? > 2 {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("lambda-runtime-aws-request-id") {
                value.trim().clone_into(&mut request_id);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Reply { request_id, body })
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, without a configuration")]
fn variable(name: &str) -> Outcome<String> {
    env::var(name).map_err(|_| format!("{name} is not set").into())
}
