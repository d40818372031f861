//! Perseus and SQS as servers with a thread for each connection, so that their work is not measured.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use memchr::memmem;
use serde_json::json;

/// What a server answers to a body: a status and a body of its own.
pub(crate) type Answer = Arc<dyn Fn(&[u8]) -> (u16, Vec<u8>) + Send + Sync>;

/// Starts a server on a free loopback port, which lives as long as the process. Returns its URL.
pub(crate) fn start(answer: Answer) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            // An error means that the client is gone.
            thread::spawn(move || serve(stream, &answer));
        }
    });
    Ok(url)
}

fn serve(stream: TcpStream, answer: &Answer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writing = stream.try_clone()?;
    let mut reading = BufReader::with_capacity(1 << 16, stream);
    loop {
        let mut body = vec![0; body_len(&mut reading)?];
        reading.read_exact(&mut body)?;
        let (status, body) = answer(&body);
        let mut reply = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        reply.extend(body);
        writing.write_all(&reply)?;
    }
}

/// Reads a request's head; returns the length of its body.
fn body_len(stream: &mut impl BufRead) -> io::Result<usize> {
    let (mut line, mut length) = (String::new(), None);
    while stream.read_line(&mut line)? > 2 {
        let header = line.split_once(':');
        let value = header.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        length = value.and_then(|(_, length)| length.trim().parse().ok()).or(length);
        line.clear();
    }
    length.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The same answer to every request.
pub(crate) fn always(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    Arc::new(move |_| (status, body.clone()))
}

/// Refuses each record of a request by name.
pub(crate) fn refuse_by_name(retryable: bool) -> Answer {
    Arc::new(move |body| {
        let refuse = |id: &str| json!({"itemIdentifier": id, "retryable": retryable});
        let failures: Vec<_> = strings_behind(br#""messageId":""#, body).into_iter().map(refuse).collect();
        (207, json!({"batchItemFailures": failures}).to_string().into_bytes())
    })
}

/// Confirms each entry of a batch call, as SQS does.
pub(crate) fn confirm() -> Answer {
    Arc::new(|body| {
        let confirm = |id: &str| json!({"Id": id, "MessageId": "m"});
        let entries: Vec<_> = strings_behind(br#""Id":""#, body).into_iter().map(confirm).collect();
        (200, json!({"Successful": entries}).to_string().into_bytes())
    })
}

/// The strings that follow these bytes, each up to its closing quote.
fn strings_behind<'a>(name: &[u8], text: &'a [u8]) -> Vec<&'a str> {
    memmem::find_iter(text, name)
        .filter_map(|at| {
            let rest = &text[at + name.len()..];
            std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
        })
        .collect()
}
