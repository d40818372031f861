//! The function as a process.

use lab::{environment::Environment, perseus::Perseus};

/// A function that posts to `perseus`: a few records a request, so that an event takes several, and each request
/// once, so that it is the queue that repeats what failed.
pub(crate) async fn start(perseus: &Perseus) -> Environment {
    Environment::builder(env!("CARGO_BIN_EXE_perseus-forwarder"))
        .env("PERSEUS_URL", perseus.url())
        .env("BATCH_MAX_RECORDS", "4")
        .env("MAX_ATTEMPTS", "1")
        .start()
        .await
        .unwrap()
}
