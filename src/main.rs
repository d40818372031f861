//! The function's binary: logs, configuration, then the runtime.

use std::{env, ffi::OsString, hint::black_box, io, process::ExitCode};

use lambda_runtime::Error;
use perseus_forwarder::{
    config::{Config, Platform, warn_of_removed},
    lambda::{
        handler::Handler,
        runtime::{report_init_error, run},
    },
    telemetry::logs,
};
use tokio::runtime::{Builder, Runtime};
use tracing::error;

/// More than any buffer there is, in bytes; glibc takes up to twice as much.
const LARGEST_BUFFER: usize = 16 << 20;

fn main() -> ExitCode {
    keep_memory();
    let platform = Platform::from_lookup(environment);
    logs::init(&platform);
    let Some(runtime_api) = &platform.runtime_api else {
        error!(
            "this is an AWS Lambda function: it runs in Lambda or an emulator of it (AWS_LAMBDA_RUNTIME_API is not set)"
        );
        return ExitCode::FAILURE;
    };
    let served = tokio_runtime(&platform).map_err(Error::from).and_then(|tokio| {
        tokio.block_on(async {
            match start() {
                Ok(handler) => run(handler).await,
                Err(reason) => {
                    report_init_error(runtime_api, "Runtime.InvalidConfiguration", &reason.to_string()).await;
                    Err(reason)
                }
            }
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            error!(reason = reason.to_string(), "the function ends");
            ExitCode::FAILURE
        }
    }
}

/// Keeps the allocator from giving the memory of an event back after each invocation only to ask for it again, page by page,
/// in the next one. With events of 1,000 records of 1 KiB that is 390 page faults each, and a tenth to a fifth of the CPU.
///
/// glibc sets the size from which it does so to that of any large allocation that is freed
/// (mallopt(3), on `M_MMAP_THRESHOLD`); to other allocators this is nothing. The pages of this one are never touched.
fn keep_memory() {
    drop(black_box(Vec::<u8>::with_capacity(LARGEST_BUFFER)));
}

fn start() -> Result<Handler, Error> {
    warn_of_removed(environment);
    Ok(Handler::new(Config::from_lookup(environment)?)?)
}

/// One thread, unless several invocations share the process: one alone is bound by the network.
fn tokio_runtime(platform: &Platform) -> io::Result<Runtime> {
    let mut builder =
        if platform.concurrent { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}

#[expect(clippy::disallowed_methods, reason = "handed to config.rs, which alone asks for variables")]
fn environment(name: &str) -> Option<OsString> {
    env::var_os(name)
}
