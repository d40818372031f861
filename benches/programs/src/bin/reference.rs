//! The reference: the official example, extended in an afternoon. Owned events, structs serialised in batches of 100, ten
//! requests at once, a partial batch response. No deadline, no retries, no splits.

use std::env;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use reqwest::{Client, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::Value;

const BATCH_SIZE: usize = 100;
const IN_FLIGHT: usize = 10;

#[derive(Serialize)]
struct Batch<'a> {
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    sent_timestamp: Option<u64>,
    receive_count: Option<u64>,
    body: Value,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a program of its own, without a configuration")]
    let url = &env::var("PERSEUS_URL")?;
    let client = &Client::new();
    run(service_fn(async |event| handle(client, url, event).await)).await
}

async fn handle(client: &Client, url: &str, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let records = event.payload.records;
    let failed: Vec<_> = stream::iter(records.chunks(BATCH_SIZE))
        .map(async |batch| post(client, url, batch).await.err().map(|_| batch))
        .buffer_unordered(IN_FLIGHT)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    for id in failed.into_iter().flatten().filter_map(|message| message.message_id.clone()) {
        response.add_failure(id);
    }
    Ok(response)
}

async fn post(client: &Client, url: &str, messages: &[SqsMessage]) -> Result<(), Error> {
    let batch = Batch { records: messages.iter().map(record).collect() };
    let body = serde_json::to_vec(&batch)?;
    let response = client.post(url).header(CONTENT_TYPE, "application/json").body(body).send().await?;
    response.error_for_status()?.bytes().await?;
    Ok(())
}

fn record(message: &SqsMessage) -> Record<'_> {
    let body = message.body.as_deref().unwrap_or_default();
    let number = |name: &str| message.attributes.get(name)?.parse().ok();
    Record {
        message_id: message.message_id.as_deref().unwrap_or_default(),
        sent_timestamp: number("SentTimestamp"),
        receive_count: number("ApproximateReceiveCount"),
        body: serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())),
    }
}
