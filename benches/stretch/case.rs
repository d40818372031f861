//! The worst cases of each stage.

use std::{error::Error, ffi::OsString, fmt::Write};

use fastrand::Rng;
use perseus_forwarder::config::Config;

use crate::{
    event::{Shape, brackets},
    server::{self, Answer, always, refuse_by_name},
};

type Settings = &'static [(&'static str, &'static str)];

/// An event, settings and servers.
pub(crate) struct Case {
    /// Its name.
    pub(crate) name: &'static str,
    /// What Lambda delivers.
    pub(crate) payload: Payload,
    settings: Vec<(&'static str, &'static str)>,
    perseus: Answer,
}

/// What Lambda delivers in a case. It is made only when needed, because all together take much memory.
pub(crate) enum Payload {
    /// An event of SQS.
    Event(Shape),
    /// Brackets, behind this key.
    Brackets(&'static str),
}

impl Payload {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Payload::Event(shape) => shape.event(),
            Payload::Brackets(key) => brackets(key),
        }
    }
}

/// The longest reply that is read.
const LONGEST_REPLY: usize = 1 << 20;

/// All records in one request.
const ONE: Settings = &[("BATCH_MAX_RECORDS", "10000"), ("BATCH_MAX_BYTES", "6MiB")];
/// As many requests as there can be, all at once.
const SINGLE: Settings = &[("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "1000")];
const GZIP: Settings = &[("PERSEUS_COMPRESSION", "gzip")];
const ZSTD: Settings = &[("PERSEUS_COMPRESSION", "zstd")];
const ARRAY: Settings = &[("BATCH_FORMAT", "array")];
const NDJSON: Settings = &[("BATCH_FORMAT", "ndjson")];
const ONCE: Settings = &[("MAX_ATTEMPTS", "1")];
const AGAIN: Settings = &[("MAX_ATTEMPTS", "2"), ("RETRY_BASE", "10ms"), ("RETRY_CAP", "10ms")];
/// Many at once, and all retried at the same time.
const PARTS: Settings = &[
    ("BATCH_MAX_BYTES", "256KiB"),
    ("MAX_IN_FLIGHT", "1000"),
    ("MAX_ATTEMPTS", "2"),
    ("RETRY_BASE", "10ms"),
    ("RETRY_CAP", "10ms"),
];
const VISIBILITY: Settings = &[("SQS_VISIBILITY", "on")];
const DEAD: Settings = &[
    ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/dead"),
    ("SQS_VISIBILITY", "on"),
];
/// Nearly all of the 4 KB that Lambda allows for all variables.
const SECRETS: Settings =
    &[("PERSEUS_TOKEN", "a1-b2-c3-d4-e5-f6-g7-h8-i9-j0-k1-l2-m3-n4-o5-p6-q7-r8-s9-t0-u1")];

/// Text that compresses like natural text.
fn prose(bytes: usize) -> &'static str {
    let mut rng = Rng::with_seed(1);
    let words: Vec<_> = WORDS.split(' ').collect();
    let mut text = String::new();
    while text.len() < bytes {
        write!(text, "{}{} ", words[rng.usize(..words.len())], rng.u16(..)).expect("a string takes any text");
    }
    text.truncate(bytes);
    text.leak()
}

/// Words. The redaction searches the whole request for each of them.
const WORDS: &str = "1 2 3 4 5 6 7 8 9 0 abc def ghi jkl mno pqr stu vwx yz0 10 20 30 40 50 60 70 80 90 ";

impl Case {
    fn new(name: &'static str, shape: &Shape, settings: &[Settings], perseus: Answer) -> Self {
        Case { name, payload: Payload::Event(*shape), settings: settings.concat(), perseus }
    }

    /// Starts the servers of this case; the configuration of a function that posts to them.
    pub(crate) fn start(&self) -> Result<Config, Box<dyn Error>> {
        let perseus = server::start(self.perseus.clone())?;
        let sqs = server::start(server::confirm())?;
        let surroundings = [
            ("PERSEUS_URL", perseus.as_str()),
            ("AWS_ENDPOINT_URL_SQS", &sqs),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        Ok(Config::from_lookup(|name| {
            let mut all = self.settings.iter().chain(&surroundings);
            all.find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })?)
    }
}

/// All of them, in the order of the stages.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = decoding();
    cases.extend(requests());
    cases.extend(replies());
    cases.extend(settling());
    cases
}

fn decoding() -> Vec<Case> {
    let large = |name, body, bytes_each, around| {
        let shape = Shape { body, bytes_each, around, ..Shape::LARGE };
        Case::new(name, &shape, &[ONE], always(200, ""))
    };
    let fifo = |name, body, bytes_each, around| {
        let shape = Shape { body, bytes_each, around, fifo: true, ..Shape::LARGE };
        Case::new(name, &shape, &[ONE], always(200, ""))
    };
    let many = |name, shape: &Shape, settings| Case::new(name, shape, &[settings], always(200, ""));
    let no_event = |name, key| Case { payload: Payload::Brackets(key), ..many(name, &Shape::MANY, ONE) };
    vec![
        many("decode: 10,000 records in one request", &Shape::MANY, ONE),
        many("decode: 10,000 records, a request each", &Shape::MANY, SINGLE),
        many(
            "decode: 10,000 records with 2 attributes",
            &Shape { attributes: 2, body: "1", ..Shape::MANY },
            ONE,
        ),
        many(
            "decode: 10 records with 100 attributes",
            &Shape { records: 10, attributes: 100, ..Shape::MANY },
            ONE,
        ),
        many("decode: 10 records of a FIFO queue", &Shape { records: 10, fifo: true, ..Shape::MANY }, ONE),
        fifo("decode: of a FIFO queue, \\u escapes", r"\u00e9", 2, ("", "")),
        fifo("decode: of a FIFO queue, open brackets", "[", 1, ("", "")),
        large("decode: 6 × 1 MiB of text", "x", 1, ("", "")),
        large("decode: of 1 MiB of quotes", r#"\""#, 1, ("", "")),
        large("decode: of 1 MiB of JSON full of quotes", r#"\\\""#, 2, (r#"\""#, r#"\""#)),
        large("decode: of 1 MiB of \\u escapes", r"\u00e9", 2, ("", "")),
        large("decode: of 1 MiB of open brackets", "[", 1, ("", "")),
        large("decode: of 1 MiB of brackets", "[],", 3, ("[", "0]")),
        large("decode: of 1 MiB of objects", r#"{\"\":0},"#, 7, ("[", "0]")),
        no_event("decode: 6 MiB of brackets beside no records", "other"),
        no_event("decode: 6 MiB of brackets for records", "Records"),
    ]
}

fn requests() -> Vec<Case> {
    let case =
        |name, shape: &Shape, settings: &[Settings], perseus| Case::new(name, shape, settings, perseus);
    let text = Shape { body: prose(1_000_000), bytes_each: 1_000_000, ..Shape::LARGE };
    let parts = Shape { records: 24, body: prose(250_000), bytes_each: 1_000_000, ..Shape::LARGE };
    vec![
        case("compress: 24 × 256 KiB by gzip, again at once", &parts, &[PARTS, GZIP], always(500, "")),
        case("compress: 24 × 256 KiB by zstd, again at once", &parts, &[PARTS, ZSTD], always(500, "")),
        case("compress: 6 MiB by gzip", &text, &[ONE, GZIP], always(200, "")),
        case("compress: 6 MiB by zstd", &text, &[ONE, ZSTD], always(200, "")),
        case(
            "compress: 10,000 records, a request each, by gzip",
            &Shape::MANY,
            &[SINGLE, GZIP],
            always(200, ""),
        ),
        case(
            "compress: 10,000 records, a request each, by zstd",
            &Shape::MANY,
            &[SINGLE, ZSTD],
            always(200, ""),
        ),
        case("compress: 10,000 records by gzip", &Shape::MANY, &[ONE, GZIP], always(200, "")),
        case("compress: 10,000 records by zstd", &Shape::MANY, &[ONE, ZSTD], always(200, "")),
    ]
}

fn replies() -> Vec<Case> {
    let many = |name, settings: &[Settings], answer| Case::new(name, &Shape::MANY, settings, answer);
    let reply = |name, before: &str, repeated: &str, behind: &str| {
        let room = LONGEST_REPLY - before.len() - behind.len();
        let body = format!("{before}{}{behind}", repeated.repeat(room / repeated.len()));
        many(name, &[ONE, ONCE], always(200, body))
    };
    let named = r#"{"itemIdentifier":"00000000-87a3-44ab-83d2-661975830a7d"},"#;
    vec![
        Case::new(
            "read: 24 × 1 MiB of open brackets at once",
            &Shape { records: 24, body: prose(250_000), bytes_each: 1_000_000, ..Shape::LARGE },
            &[PARTS],
            always(200, format!(r#"{{"note":{}"#, "[".repeat(LONGEST_REPLY - 10))),
        ),
        many("read: 10,000 records named, retryable", &[ONE, AGAIN], refuse_by_name(true)),
        many("read: 10,000 records named, for good", &[ONE], refuse_by_name(false)),
        reply("read: a record named for 1 MiB", r#"{"batchItemFailures":["#, named, "{}]}"),
        reply("read: 1 MiB of open brackets", r#"{"note":"#, "[", ""),
        reply("read: 1 MiB of brackets", r#"{"note":["#, "[],", "0]}"),
        reply("read: 1 MiB of names", r#"{"batchItemFailures":["#, r#"{"itemIdentifier":"x"},"#, "{}]}"),
        reply("read: 1 MiB of escapes", r#"{"note":""#, r"\u00e9", r#""}"#),
        reply("read: 1 MiB of text", "", "batchItemFailure ", ""),
    ]
}

fn settling() -> Vec<Case> {
    let case = |name, shape: &Shape, settings: &[Settings], answer| Case::new(name, shape, settings, answer);
    // None that is repeated fits in.
    let small = Shape { bytes_each: usize::MAX, ..Shape::MANY };
    let few = Shape { records: 3_000, ..small };
    let two = Shape { records: 2, body: "1 abc ", bytes_each: 6, ..Shape::MANY };
    let ten = Shape { records: 10, ..two };
    vec![
        case("settle: array", &Shape::MANY, &[ONE, ARRAY], always(200, "")),
        case("settle: ndjson", &Shape::MANY, &[ONE, NDJSON], always(200, "")),
        case("settle: 10,000 errored in one request", &Shape::MANY, &[ONE, AGAIN], always(500, "")),
        case("settle: 10,000 errored, a request each", &Shape::MANY, &[SINGLE, ONCE], always(500, "")),
        case("refuse: 6 MiB with 400", &Shape::LARGE, &[ONE], always(400, WORDS)),
        case("refuse: 10,000 records with 400", &Shape::MANY, &[ONE], always(400, WORDS)),
        case("refuse: 10,000 requests with 400", &Shape::MANY, &[SINGLE], always(400, WORDS)),
        case("refuse: 2 × 1 MiB with 422, one by one", &two, &[SINGLE], always(422, WORDS)),
        case("stop: 2 × 1 MiB with 401", &two, &[ONE, SECRETS], always(401, WORDS.repeat(40))),
        case("stop: 10 × 200 KB, a request each, with 401", &ten, &[SINGLE, SECRETS], always(401, WORDS)),
        case("stop: 10,000 small records with 401", &small, &[ONE, SECRETS], always(401, WORDS)),
        case("stop: 3,000 small records with 401", &few, &[ONE, SECRETS], always(401, WORDS)),
        case("visibility: 10,000 records", &Shape::MANY, &[ONE, ONCE, VISIBILITY], always(500, "")),
        case("visibility: 6 × 1 MiB", &Shape::LARGE, &[ONE, ONCE, VISIBILITY], always(500, "")),
        case("dead letter: 10,000 records", &Shape::MANY, &[ONE, DEAD], refuse_by_name(false)),
        case("dead letter: 6 × 1 MiB", &Shape::LARGE, &[ONE, DEAD], refuse_by_name(false)),
        case(
            "dead letter: of 1 MiB of \\u escapes",
            &Shape { body: r"\u00e9", bytes_each: 2, ..Shape::LARGE },
            &[ONE, DEAD],
            refuse_by_name(false),
        ),
    ]
}
