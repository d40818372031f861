//! The event source mapping that Lambda's API knows. Nothing polls for it.

use serde_json::{Value, json};

use crate::{queue::Queue, server::Server};

/// The ARN of the function, as it is told when it is invoked.
const FUNCTION: &str = "perseus-forwarder";
const ROLE: &str = "arn:aws:iam::123456789012:role/forwarder";

/// A mapping from a queue to the function.
pub(crate) struct EventSourceMapping<'a> {
    server: &'a Server,
    pub(crate) uuid: String,
    arn: String,
}

impl<'a> EventSourceMapping<'a> {
    /// Creates the function and the mapping.
    pub(crate) async fn create(server: &'a Server, queue: &Queue) -> Self {
        let role = "Action=CreateRole&Version=2010-05-08&RoleName=forwarder&AssumeRolePolicyDocument=%7B%7D";
        server.post("/", "iam", "application/x-www-form-urlencoded", role).await;
        let function = json!({
            "FunctionName": FUNCTION, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": ROLE,
            // An empty archive.
            "Code": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="},
        });
        call(server, "POST", "/2015-03-31/functions", &function).await;
        let mapping = json!({"EventSourceArn": queue.arn, "FunctionName": FUNCTION});
        let created = call(server, "POST", "/2015-03-31/event-source-mappings/", &mapping).await;
        let text = |key: &str| created[key].as_str().unwrap().to_owned();
        EventSourceMapping { server, uuid: text("UUID"), arn: text("EventSourceMappingArn") }
    }

    pub(crate) async fn state(&self) -> String {
        let path = format!("/2015-03-31/event-source-mappings/{}", self.uuid);
        call(self.server, "GET", &path, &Value::Null).await["State"].as_str().unwrap().to_owned()
    }

    /// Why the breaker has paused it; none if it has not.
    pub(crate) async fn paused_for(&self) -> Option<String> {
        let path = format!("/2017-03-31/tags/{}", self.arn.replace(':', "%3A"));
        let tags = call(self.server, "GET", &path, &Value::Null).await["Tags"].take();
        assert_eq!(
            tags.get("perseus-forwarder:paused-for").is_some(),
            tags.get("perseus-forwarder:paused-since").is_some()
        );
        Some(tags.get("perseus-forwarder:paused-for")?.as_str().unwrap().to_owned())
    }

    /// An operator enables or disables it.
    pub(crate) async fn set_enabled(&self, enabled: bool) {
        let path = format!("/2015-03-31/event-source-mappings/{}", self.uuid);
        call(self.server, "PUT", &path, &json!({ "Enabled": enabled })).await;
    }
}

async fn call(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = server.request(method, path, "lambda", "application/json", &body).await;
    serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
}
