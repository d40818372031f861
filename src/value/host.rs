//! Hosts of URLs.

use std::net::IpAddr;

use reqwest::Url;

/// Whether a URL was written with a host. The parser alone is not enough: it reads "https:///x" and "https:x" as
/// "https://x".
pub(crate) fn names_a_host(value: &str, url: &Url) -> bool {
    let rest = value.split_once("://").map(|(_, rest)| rest);
    url.host_str().is_some() && rest.is_some_and(|rest| !rest.starts_with(['/', '\\']))
}

pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
