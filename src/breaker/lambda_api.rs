//! The calls to Lambda's API: event source mappings and their tags
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>).

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use percent_encoding::utf8_percent_encode;
use reqwest::{Method, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    aws::{
        client::{AwsClient, Call},
        failure::{CallError, Failure, PATIENCE, object, read_success},
        sigv4::QUERY,
    },
    breaker::{
        mapping::{Described, Mapping},
        mark::{Mark, PAUSED_FOR, PAUSED_SINCE},
    },
    value::aws::{LambdaSettings, domain, partition},
};

/// The longest reply that is read, in bytes. The description of a mapping takes about 2 kB.
const LONGEST_REPLY: usize = 256 << 10;

/// The wait before a call is repeated.
const PAUSE: Duration = Duration::from_millis(200);

const UPDATE: &str = "UpdateEventSourceMapping";

/// Lambda's API.
#[derive(Debug)]
pub(super) struct LambdaApi {
    settings: LambdaSettings,
    /// How often a call is made until it succeeds. At least once.
    attempts: u32,
    aws: AwsClient,
}

impl LambdaApi {
    /// A client with these settings. It does not connect yet.
    pub(super) fn new(settings: LambdaSettings, attempts: u32) -> Self {
        LambdaApi { aws: AwsClient::new(settings.caller.clone()), attempts, settings }
    }

    /// The mappings that read this queue. A filter by function would depend on how the mapping was created: emulators compare
    /// the function's name or ARN as a text.
    pub(super) async fn mappings(&self, queue: &str) -> Result<Vec<Mapping>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct List {
            event_source_mappings: Vec<Described>,
        }
        let path = format!("2015-03-31/event-source-mappings/?EventSourceArn={}", encoded(queue));
        self.get("ListEventSourceMappings", &path, |list: List| {
            list.event_source_mappings.into_iter().map(Described::mapping).collect()
        })
        .await
    }

    /// The mapping with this UUID.
    pub(super) async fn mapping(&self, uuid: &str) -> Result<Mapping, CallError> {
        self.get("GetEventSourceMapping", &mapping_path(uuid), |described: Described| {
            let mapping = described.mapping()?;
            if mapping.uuid.eq_ignore_ascii_case(uuid) { Ok(mapping) } else { Err(Failure::OtherMapping) }
        })
        .await
    }

    /// Disables a mapping. Lambda takes up to 90 s for it.
    pub(super) async fn disable(&self, mapping: &Mapping) -> Result<(), CallError> {
        let (path, body) = (mapping_path(&mapping.uuid), json!({ "Enabled": false }));
        self.write(UPDATE, Method::PUT, &path, body.to_string()).await
    }

    /// Enables a mapping. Lambda takes up to 90 s for it.
    ///
    /// The mark is taken off after this, and without the mark nobody enables the mapping again. So the reply has to say
    /// that Lambda does it.
    pub(super) async fn enable(&self, mapping: &Mapping) -> Result<(), CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Changed {
            #[serde(rename = "UUID")]
            uuid: String,
            state: String,
        }
        let (path, body) = (mapping_path(&mapping.uuid), json!({ "Enabled": true }));
        self.read(UPDATE, Method::PUT, &path, body.to_string(), |Changed { uuid, state }| {
            let is_ours = uuid.eq_ignore_ascii_case(&mapping.uuid);
            let is_enabled = is_ours && matches!(state.as_str(), "Enabled" | "Enabling" | "Updating");
            is_enabled.then_some(()).ok_or(Failure::NotConfirmed)
        })
        .await
    }

    /// The mark of a mapping, if it has one.
    pub(super) async fn mark(&self, mapping: &Mapping) -> Result<Option<Mark>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Tags {
            tags: Option<BTreeMap<String, String>>,
        }
        let path = tags_path(mapping);
        let mark = |Tags { tags }| Ok(Mark::of_tags(tags.unwrap_or_default()));
        self.get("ListTags", &path, mark).await
    }

    /// Puts a mark on a mapping.
    pub(super) async fn put_mark(&self, mapping: &Mapping, mark: &Mark) -> Result<(), CallError> {
        let body = json!({ "Tags": BTreeMap::from(mark.tags()) });
        self.write("TagResource", Method::POST, &tags_path(mapping), body.to_string()).await
    }

    /// Takes the mark off a mapping.
    pub(super) async fn remove_mark(&self, mapping: &Mapping) -> Result<(), CallError> {
        let [since, cause] = [PAUSED_SINCE, PAUSED_FOR].map(encoded);
        let path = format!("{}?tagKeys={since}&tagKeys={cause}", tags_path(mapping));
        self.write("UntagResource", Method::DELETE, &path, String::new()).await
    }

    async fn get<R: DeserializeOwned, T>(
        &self,
        action: &'static str,
        path: &str,
        read: impl FnOnce(R) -> Result<T, Failure>,
    ) -> Result<T, CallError> {
        self.read(action, Method::GET, path, String::new(), read).await
    }

    /// Makes a call whose reply is read.
    async fn read<R: DeserializeOwned, T>(
        &self,
        action: &'static str,
        method: Method,
        path: &str,
        body: String,
        read: impl FnOnce(R) -> Result<T, Failure>,
    ) -> Result<T, CallError> {
        let reply = self.call(method, path, body).await.and_then(|body| {
            let reply = object(&body)?;
            read(reply)
        });
        reply.map_err(|failure| CallError { action, failure })
    }

    /// Makes a call of whose reply only the status counts.
    async fn write(
        &self,
        action: &'static str,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(), CallError> {
        let done = self.call(method, path, body).await;
        done.map(drop).map_err(|failure| CallError { action, failure })
    }

    /// Makes a call. A call that fails is made again: none of them does harm if Lambda gets it twice. Returns the reply's body.
    async fn call(&self, method: Method, path: &str, body: String) -> Result<Vec<u8>, Failure> {
        for _ in 1..self.attempts {
            match self.attempt(method.clone(), path, body.clone()).await {
                Err(failure) if failure.may_pass() => sleep(PAUSE).await,
                result => return result,
            }
        }
        self.attempt(method, path, body).await
    }

    async fn attempt(&self, method: Method, path: &str, body: String) -> Result<Vec<u8>, Failure> {
        let region = &self.settings.caller.region;
        let headers: &[_] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
        let call =
            Call { service: "lambda", region, method, url: self.url(path), headers, body: Bytes::from(body) };
        let reply = async {
            let response = self.aws.send(&call).await?;
            read_success(response, LONGEST_REPLY, |status| status.is_success()).await
        };
        timeout(PATIENCE, reply).await.unwrap_or(Err(Failure::Timeout))
    }

    fn url(&self, path: &str) -> Url {
        let region = &self.settings.caller.region;
        let url = match &self.settings.endpoint {
            Some(endpoint) => format!("{}/{path}", endpoint.as_str().trim_end_matches('/')),
            None => {
                let domain = domain(partition(region)).expect("each partition has a domain");
                format!("https://lambda.{region}.{domain}/{path}")
            }
        };
        Url::parse(&url).expect("a checked region and encoded paths make a URL")
    }
}

fn mapping_path(uuid: &str) -> String {
    format!("2015-03-31/event-source-mappings/{uuid}")
}

fn tags_path(mapping: &Mapping) -> String {
    format!("2017-03-31/tags/{}", encoded(&mapping.arn))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}
