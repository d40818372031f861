//! Checks a request against docs/perseus.openapi.yaml, the document that the receiving team has.

use std::sync::LazyLock;

use http::HeaderMap;
use jsonschema::Validator;
use serde_json::{Value, json};

const TEXT: &str = include_str!("../../../../docs/perseus.openapi.yaml");

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::read(TEXT));

/// The part of the document that says what a request looks like.
struct Document {
    headers: Vec<Header>,
    /// What a body looks like, by its content type.
    bodies: Vec<(String, Validator)>,
}

struct Header {
    name: String,
    required: bool,
    schema: Validator,
}

/// Where the headers differ from the document, in words. The content-encoding is checked with the body.
pub(super) fn headers(headers: &HeaderMap) -> Vec<String> {
    let others = DOCUMENT.headers.iter().filter(|header| header.name != "content-encoding");
    others.filter_map(|header| header.finding(headers)).collect()
}

/// Where a body of this content type differs from the document, in words.
pub(super) fn body(content_type: &str, body: &Value) -> Vec<String> {
    let Some((_, schema)) = DOCUMENT.bodies.iter().find(|(known, _)| known == content_type) else {
        return vec![format!("the document knows no body of type {content_type}")];
    };
    against(schema, body)
        .map(|finding| format!("the document says of the body: {finding}"))
        .into_iter()
        .collect()
}

impl Document {
    fn read(text: &str) -> Self {
        let document: Value = yaml_serde::from_str(text).expect("YAML");
        let post = &document["paths"]["/records"]["post"];
        let compiled = |schema: &Value| {
            // Its references lead into the components.
            let schema = json!({ "allOf": [schema], "components": document["components"] });
            jsonschema::draft202012::new(&schema).expect("a schema")
        };
        let header = |parameter: &Value| {
            let reference = parameter["$ref"].as_str().expect("a reference");
            let parameter = document.pointer(&reference[1..]).expect("a parameter");
            Header {
                name: parameter["name"].as_str().expect("a name").to_owned(),
                required: parameter["required"].as_bool().expect("true or false"),
                schema: compiled(&parameter["schema"]),
            }
        };
        let bodies = post["requestBody"]["content"].as_object().expect("content types");
        Self {
            headers: post["parameters"].as_array().expect("parameters").iter().map(header).collect(),
            bodies: bodies.iter().map(|(kind, body)| (kind.clone(), compiled(&body["schema"]))).collect(),
        }
    }
}

impl Header {
    fn finding(&self, headers: &HeaderMap) -> Option<String> {
        let name = &self.name;
        match headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes())) {
            None => self.required.then(|| format!("the document wants the header {name}")),
            Some(value) => against(&self.schema, &Value::from(value))
                .map(|finding| format!("the document says of the header {name}: {finding}")),
        }
    }
}

/// The first difference. `is_valid` is faster, and most requests are valid.
fn against(schema: &Validator, value: &Value) -> Option<String> {
    if schema.is_valid(value) {
        return None;
    }
    let error = schema.iter_errors(value).next()?;
    Some(format!("{} at `{}`", error, error.instance_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";

    #[test]
    fn the_documents_own_examples_are_as_it_says() {
        let document: Value = yaml_serde::from_str(TEXT).expect("YAML");
        let content = &document["paths"]["/records"]["post"]["requestBody"]["content"];
        let mut seen = 0;
        for (content_type, media) in content.as_object().expect("content types") {
            for example in media["examples"].as_object().expect("examples").values() {
                assert_eq!(body(content_type, &example["value"]), [""; 0]);
                seen += 1;
            }
        }
        assert_eq!(seen, 3, "each format");
        let mut headers = HeaderMap::new();
        for (name, parameter) in document["components"]["parameters"].as_object().expect("parameters") {
            let example =
                parameter["example"].as_str().unwrap_or(if name == "content-length" { "1" } else { "gzip" });
            let name = http::HeaderName::try_from(name).expect("a name");
            headers.insert(name, example.parse().expect("a value"));
        }
        assert_eq!(super::headers(&headers), [""; 0]);
    }

    #[test]
    fn the_document_alone_finds_what_is_wrong_with_a_body() {
        let record = |record: Value| json!({ "records": [record] });
        let attribute = |attribute: Value| {
            record(json!({ "messageId": "a", "body": 1, "attributes": { "n": attribute } }))
        };
        for wrong in [
            json!(1),
            json!({}),
            json!([]),
            json!({ "records": 1 }),
            json!({ "records": [] }),
            json!({ "records": [1] }),
            json!({ "records": [{ "messageId": "a", "body": 1 }], "more": 1 }),
            record(json!({ "body": 1 })),
            record(json!({ "messageId": "a" })),
            record(json!({ "messageId": "", "body": 1 })),
            record(json!({ "messageId": 1, "body": 1 })),
            record(json!({ "messageId": "a", "body": 1, "sentTimestamp": "1" })),
            record(json!({ "messageId": "a", "body": 1, "receiveCount": 1.5 })),
            record(json!({ "messageId": "a", "body": 1, "groupId": null })),
            record(json!({ "messageId": "a", "body": 1, "traceHeader": 1 })),
            record(json!({ "messageId": "a", "body": 1, "receiptHandle": "r" })),
            record(json!({ "messageId": "a", "body": 1, "md5OfBody": "m" })),
            record(json!({ "messageId": "a", "body": 1, "attributes": [] })),
            attribute(json!(1)),
            attribute(json!({ "dataType": "String", "stringValue": null })),
            attribute(json!({ "dataType": "Binary", "binaryValue": 1 })),
            attribute(json!({ "dataType": "String", "stringListValues": [1] })),
            attribute(json!({ "dataType": "String", "md5": "m" })),
        ] {
            assert_eq!(body(JSON, &wrong).len(), 1, "{wrong}");
        }
        assert_eq!(body("text/plain", &json!("x")).len(), 1);
        for right in [record(json!({ "messageId": "a", "body": null })), json!([null, {}])] {
            assert_eq!(body(JSON, &right), [""; 0]);
        }
    }

    #[test]
    fn the_document_alone_finds_what_is_wrong_with_the_headers() {
        let right = [("content-length", "1"), ("user-agent", "a/1"), ("idempotency-key", "k")];
        let with = |name: &'static str, value: &'static str| {
            let mut all: HeaderMap = right
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a value")))
                .collect();
            match value {
                "" => all.remove(name),
                _ => all.insert(name, value.parse().expect("a value")),
            };
            headers(&all)
        };
        for (name, value) in [
            ("content-length", ""),
            ("user-agent", ""),
            ("user-agent", "curl"),
            ("idempotency-key", ""),
            ("traceparent", "00-1-2-01"),
            ("traceparent", "00-00000000000000000000000000000000-53995c3f42cd8ad8-01"),
        ] {
            let found = with(name, value);
            assert!(matches!(&found[..], [one] if one.contains(name)), "{name} {value}: {found:?}");
        }
        assert_eq!(with("x-api-key", "anything"), [""; 0]);
    }
}
