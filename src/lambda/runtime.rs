//! The adapter to `lambda_runtime`.

use std::{
    fmt::Display,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use bytes::Bytes;
use futures_util::{FutureExt, TryFutureExt};
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use serde::de::IgnoredAny;
use tokio::task_local;
use tower::{Service, layer::layer_fn};

use crate::{
    breaker::prober::Prober,
    http::{client_builder, root_cause},
    lambda::handler::Handler,
    telemetry::messages::{self, log_line},
};

/// How long the runtime API may take to accept the report that the function does not start. Lambda ends an
/// initialisation after 10 s.
const REPORT_TIMEOUT: Duration = Duration::from_secs(3);

task_local! {
    /// The payload of this invocation. The runtime crate does not see it: see [`TakePayload`].
    static PAYLOAD: Bytes;
}

/// What the function is for.
#[derive(Debug)]
pub enum Role {
    /// It delivers the messages of an event.
    Forwarder(Box<Handler>),
    /// It tries a message while delivery is paused. Its payload is not read.
    Prober(Box<Prober>),
}

impl Role {
    /// The answer to an invocation; a prober answers nothing.
    async fn answer(
        &self,
        payload: &[u8],
        context: &Context,
    ) -> Result<Option<SqsBatchResponse>, Diagnostic> {
        match self {
            Role::Forwarder(handler) => {
                contained("EventError", handler.handle(payload, context).map_ok(Some)).await
            }
            Role::Prober(prober) => contained("ProbeError", prober.run(context).map_ok(|()| None)).await,
        }
    }
}

/// Serves invocations until Lambda ends the process. One service for both roles: the runtime crate's code is in the binary
/// once for each service.
///
/// # Errors
///
/// If the runtime API cannot be reached.
///
/// # Panics
///
/// If Lambda's own variables are missing.
pub async fn run(role: Role) -> Result<(), Error> {
    let role = Arc::new(role);
    let service = service_fn(move |event: LambdaEvent<IgnoredAny>| {
        let payload = PAYLOAD.get();
        let role = Arc::clone(&role);
        // Boxed: the compiler gives up on futures that are nested as deep as this one would be.
        async move { role.answer(&payload, &event.context).boxed().await }
    });
    Runtime::new(service).layer(layer_fn(TakePayload)).run_concurrent().await
}

/// The answer of an invocation. The runtime crate would report the message of a panic, which can contain a part of the
/// event.
async fn contained<T, E: Display>(
    error_type: &str,
    invocation: impl Future<Output = Result<T, E>>,
) -> Result<T, Diagnostic> {
    AssertUnwindSafe(invocation).catch_unwind().await.map_or_else(
        |_panic| Err(diagnostic("Panic", "the invocation panicked")),
        |answer| answer.map_err(|error| diagnostic(error_type, &error.to_string())),
    )
}

fn diagnostic(error_type: &str, error_message: &str) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message: error_message.to_owned() }
}

/// Tells Lambda why the function does not start, so that the reason appears beside the failure
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror>).
///
/// `runtime_api` is the value of `AWS_LAMBDA_RUNTIME_API`. The runtime crate offers this only for SnapStart. If the report
/// fails, only the log has the reason.
pub async fn report_init_error(runtime_api: &str, error_type: &str, error_message: &str) {
    let body = serde_json::json!({
        "errorType": error_type, "errorMessage": error_message, "stackTrace": []
    });
    let report = async {
        client_builder()
            .build()?
            .post(init_error_url(runtime_api))
            .header("lambda-runtime-function-error-type", error_type)
            .timeout(REPORT_TIMEOUT)
            .body(body.to_string())
            .send()
            .await
    };
    if let Err(failure) = report.await {
        log_line!(messages::LAMBDA_NOT_TOLD, reason = root_cause(&failure).to_string());
    }
}

/// Lambda gives `host:port`; `cargo lambda watch` gives a URL with a path.
fn init_error_url(runtime_api: &str) -> String {
    let address = runtime_api.strip_prefix("http://").unwrap_or(runtime_api).trim_end_matches('/');
    format!("http://{address}/2018-06-01/runtime/init/error")
}

/// Takes the payload out of an invocation before the runtime crate sees it. The crate would scan the payload a second time,
/// log it at TRACE, and quote it in an error.
#[derive(Clone)]
struct TakePayload<S>(S);

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for TakePayload<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> S::Future {
        let payload = std::mem::replace(&mut invocation.body, Bytes::from_static(b"null"));
        // `sync_scope` is enough: the runtime crate calls the handler's service before it returns its future.
        PAYLOAD.sync_scope(payload, || self.0.call(invocation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_init_error_url_is_right_in_lambda_and_under_local_tools() {
        for (given, url) in [
            ("127.0.0.1:9001", "http://127.0.0.1:9001/2018-06-01/runtime/init/error"),
            ("http://127.0.0.1:9000/name", "http://127.0.0.1:9000/name/2018-06-01/runtime/init/error"),
            ("http://[::1]:9000/", "http://[::1]:9000/2018-06-01/runtime/init/error"),
        ] {
            assert_eq!(init_error_url(given), url);
        }
    }
}
