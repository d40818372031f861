//! The built binary and servers that others wrote: nginx and HAProxy, uvicorn and gunicorn, with an application behind
//! them that writes down what it has taken. Whatever the servers do, nothing is acknowledged that is not written there,
//! and every answer is in time. In the place of Lambda is the lab, and in emulator.rs AWS' own Runtime Interface Emulator.
//!
//! The tests that need these servers are ignored by `cargo test`. On Debian, as root, and with the programs of
//! .ci/requirements.txt on the PATH:
//!
//! ```sh
//! apt-get install nginx-light haproxy nftables iproute2 openssl
//! cargo test --test servers -- --ignored --test-threads 8
//! ```
//!
//! With `ROUNDS=50` servers are killed and reloaded under load so many times, not four times each.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod black_hole;
mod certificate;
mod emulator;
mod foreign;
mod frozen;
mod keep_alive;
mod network;
mod origin;
mod place;
mod program;
mod proxy;
mod restart;
mod site;
mod slow;
mod tls;
mod too_large;
mod upstream;
