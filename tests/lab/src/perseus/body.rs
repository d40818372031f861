//! The body of a request: decompressed, and its format and records read.

use std::io::Read;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value};

use super::document;

/// The shape of a request's body: what the function's `BATCH_FORMAT` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `{"records":[…]}`, each record with its id.
    Records,
    /// A JSON array of the bodies alone.
    Array,
    /// One body a line.
    Ndjson,
}

/// A request's body, read.
pub(crate) struct Content {
    pub(crate) plain: Bytes,
    pub(crate) format: Option<Format>,
    pub(crate) message_ids: Vec<String>,
    pub(crate) records: Vec<Value>,
    /// What is wrong with the body, in words.
    pub(crate) findings: Vec<String>,
}

impl Content {
    pub(crate) fn read(headers: &HeaderMap, body: &Bytes) -> Self {
        let mut content = Self {
            plain: body.clone(),
            format: None,
            message_ids: Vec::new(),
            records: Vec::new(),
            findings: Vec::new(),
        };
        match decoded(headers, body) {
            Ok(plain) => content.plain = plain,
            Err(finding) => {
                content.findings.push(finding);
                return content;
            }
        }
        match headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()) {
            Some(b"application/x-ndjson") => content.read_lines(),
            Some(b"application/json") => content.read_json(),
            other => content.findings.push(format!(
                "content-type is {}, not application/json or application/x-ndjson",
                other.map_or("missing".into(), String::from_utf8_lossy)
            )),
        }
        if content.format.is_some() && content.records.is_empty() {
            content.findings.push("a batch without records".to_owned());
        }
        content
    }

    fn read_json(&mut self) {
        let body = serde_json::from_slice(&self.plain);
        let unlike_the_document =
            body.as_ref().map(|body| document::body("application/json", body)).unwrap_or_default();
        match body {
            Ok(Value::Object(envelope)) => {
                self.format = Some(Format::Records);
                self.read_envelope(envelope);
            }
            Ok(Value::Array(bodies)) => {
                self.format = Some(Format::Array);
                self.records = bodies;
            }
            Ok(_) => self.findings.push("the body is neither an object nor an array".to_owned()),
            Err(error) => self.findings.push(format!("the body is not JSON: {error}")),
        }
        // The findings above have better words than those of the schema.
        if self.findings.is_empty() && !self.records.is_empty() {
            self.findings = unlike_the_document;
        }
    }

    fn read_lines(&mut self) {
        self.format = Some(Format::Ndjson);
        let text = self.plain.strip_suffix(b"\n").unwrap_or(&self.plain);
        if text.is_empty() {
            return;
        }
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            match serde_json::from_slice(line) {
                Ok(body) => self.records.push(body),
                Err(error) => {
                    self.findings.push(format!("line {} is not one JSON value: {error}", number + 1))
                }
            }
        }
    }

    fn read_envelope(&mut self, mut envelope: Map<String, Value>) {
        match envelope.remove("records") {
            Some(Value::Array(records)) => self.records = records,
            Some(_) => self.findings.push("`records` is not an array".to_owned()),
            None => self.findings.push("the body has no `records`".to_owned()),
        }
        for key in envelope.keys() {
            self.findings.push(format!("unexpected key `{key}` beside `records`"));
        }
        for (index, record) in self.records.iter().enumerate() {
            let id = record.get("messageId").and_then(Value::as_str).unwrap_or_default();
            // One id per record, even an empty one, because the two lists are zipped.
            self.message_ids.push(id.to_owned());
            let findings = record_findings(record);
            self.findings.extend(findings.into_iter().map(|finding| format!("record {index}: {finding}")));
        }
    }
}

fn decoded(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, String> {
    let mut plain = Vec::new();
    let outcome = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None => return Ok(body.clone()),
        Some(b"gzip") => {
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).map_err(|error| error.to_string())
        }
        Some(b"zstd") => ruzstd::decoding::StreamingDecoder::new(&body[..])
            .map_err(|error| error.to_string())
            .and_then(|mut decoder| decoder.read_to_end(&mut plain).map_err(|error| error.to_string())),
        Some(other) => Err(format!("`{}` is neither gzip nor zstd", String::from_utf8_lossy(other))),
    };
    match outcome {
        Ok(_) => Ok(plain.into()),
        Err(error) => Err(format!("the body does not match its content-encoding: {error}")),
    }
}

fn record_findings(record: &Value) -> Vec<String> {
    let Some(record) = record.as_object() else {
        return vec!["not an object".to_owned()];
    };
    let mut findings = Vec::new();
    for required in ["messageId", "body"] {
        if !record.contains_key(required) {
            findings.push(format!("no `{required}`"));
        }
    }
    for (key, value) in record {
        match (key.as_str(), value) {
            ("messageId", Value::String(id)) if id.is_empty() => {
                findings.push("an empty `messageId`".to_owned())
            }
            ("body", _)
            | (
                "messageId" | "groupId" | "sequenceNumber" | "deduplicationId" | "traceHeader",
                Value::String(_),
            ) => {}
            ("sentTimestamp" | "receiveCount", Value::Number(number)) if number.is_u64() => {}
            ("attributes", Value::Object(attributes)) => {
                findings.extend(attributes.iter().flat_map(attribute_findings))
            }
            (
                "messageId" | "groupId" | "sequenceNumber" | "deduplicationId" | "traceHeader"
                | "sentTimestamp" | "receiveCount" | "attributes",
                _,
            ) => findings.push(format!("`{key}` has the wrong type")),
            _ => findings.push(format!("unexpected key `{key}`")),
        }
    }
    findings
}

fn attribute_findings((name, attribute): (&String, &Value)) -> Vec<String> {
    let Some(attribute) = attribute.as_object() else {
        return vec![format!("attribute `{name}` is not an object")];
    };
    let mut findings = Vec::new();
    for (key, value) in attribute {
        let right = match key.as_str() {
            "dataType" | "stringValue" | "binaryValue" => value.is_string(),
            "stringListValues" | "binaryListValues" => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
            }
            _ => {
                findings.push(format!("attribute `{name}` has an unexpected key `{key}`"));
                continue;
            }
        };
        if !right {
            findings.push(format!("attribute `{name}`: `{key}` has the wrong type"));
        }
    }
    findings
}
