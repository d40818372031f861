//! The function as a process.

use lab::{environment::Environment, perseus::Perseus};

/// A function that posts to `perseus`: a few records a request, so that an event takes several, and each request
/// once, so that it is the queue that repeats what failed.
pub(crate) async fn start(perseus: &Perseus) -> Environment {
    start_with(perseus, &[]).await
}

/// The same with more settings.
pub(crate) async fn start_with(perseus: &Perseus, settings: &[(&str, &str)]) -> Environment {
    let mut builder = Environment::builder(env!("CARGO_BIN_EXE_perseus-forwarder"))
        .env("PERSEUS_URL", perseus.url())
        .env("BATCH_MAX_RECORDS", "4")
        .env("MAX_ATTEMPTS", "1");
    for (name, value) in settings {
        builder = builder.env(*name, *value);
    }
    builder.start().await.unwrap()
}
