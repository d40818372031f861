//! The function's binary: logs, configuration, then the runtime.

use std::{env, ffi::OsString, hint::black_box, io, process::ExitCode};

use lambda_runtime::Error;
use perseus_forwarder::{
    breaker::prober::Prober,
    config::{Config, Platform, ProberConfig, has_removed},
    lambda::{
        handler::Handler,
        runtime::{Role, report_init_error, run},
    },
    telemetry::logs,
};
use tokio::runtime::{Builder, Runtime};

/// In bytes: larger than any buffer of the function. glibc accepts up to twice as much.
const LARGEST_BUFFER: usize = 16 << 20;

fn main() -> ExitCode {
    keep_memory();
    let platform = Platform::from_lookup(environment);
    logs::init(&platform);
    let Some(runtime_api) = &platform.runtime_api else {
        logs::not_in_lambda();
        return ExitCode::FAILURE;
    };
    let served = tokio_runtime(&platform)
        .map_err(Error::from)
        .and_then(|tokio| tokio.block_on(serve(&platform, runtime_api)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logs::function_ends(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Keeps glibc from returning an event's memory to the kernel after each invocation. The next invocation would fault it in
/// again page by page: with events of 1,000 records of 1 KiB that is 390 page faults each, and 10 to 20 % of the CPU time.
///
/// When a large allocation is freed, glibc raises the size from which it returns memory to that allocation's size
/// (mallopt(3), on `M_MMAP_THRESHOLD`). The pages of this allocation are never touched. Other allocators ignore it.
fn keep_memory() {
    drop(black_box(Vec::<u8>::with_capacity(LARGEST_BUFFER)));
}

async fn serve(platform: &Platform, runtime_api: &str) -> Result<(), Error> {
    let role = if platform.is_prober {
        prober().map(|prober| Role::Prober(Box::new(prober)))
    } else {
        forwarder().map(|handler| Role::Forwarder(Box::new(handler)))
    };
    match role {
        Ok(role) => run(role).await,
        Err(error) => {
            report_init_error(runtime_api, "Runtime.InvalidConfiguration", &error.to_string()).await;
            Err(error)
        }
    }
}

fn forwarder() -> Result<Handler, Error> {
    if has_removed(environment) {
        logs::batch_max_wait_is_set();
    }
    Ok(Handler::new(Config::from_lookup(environment)?)?)
}

fn prober() -> Result<Prober, Error> {
    Ok(Prober::new(ProberConfig::from_lookup(environment)?)?)
}

/// One thread: a single invocation is bound by the network. Several threads if several invocations share the process.
fn tokio_runtime(platform: &Platform) -> io::Result<Runtime> {
    let mut builder =
        if platform.concurrent { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}

#[expect(clippy::disallowed_methods, reason = "only passed to config, the one place that reads variables")]
fn environment(name: &str) -> Option<OsString> {
    env::var_os(name)
}
