//! Perseus' URL.

use std::ffi::OsString;

use reqwest::Url;

use super::{
    problem::Problem,
    reader::Reader,
    variables::{PERSEUS_ALLOW_HTTP, PERSEUS_URL},
};
use crate::value::host::{is_loopback, names_a_host};

const URL_ALLOWED: &str = "an https URL without user info and fragment; plain http to a loopback host alone, \
                           unless PERSEUS_ALLOW_HTTP=true";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// Where batches are posted.
    pub(super) fn perseus_url(&mut self) -> Option<Url> {
        let allow_http = self.allow_http();
        let url = self
            .read_secret(&PERSEUS_URL, URL_ALLOWED, |value| perseus_url(value, allow_http.unwrap_or(false)));
        allow_http.and(url)
    }

    /// Whether plain http is allowed to any host.
    pub(super) fn allow_http(&mut self) -> Option<bool> {
        self.choice(&PERSEUS_ALLOW_HTTP, "true or false", &[("true", true), ("false", false)])
    }
}

fn perseus_url(value: &str, allow_http: bool) -> Result<Url, Problem> {
    let url = Url::parse(value).map_err(Problem::NotAUrl)?;
    let host = url.host_str().unwrap_or_default();
    if !names_a_host(value, &url) {
        return Err(Problem::NoHost);
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(host) => {}
        "http" => return Err(Problem::PlainHttp),
        _ => return Err(Problem::NotHttp),
    }
    if has_user_info(&url) {
        return Err(Problem::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(Problem::Fragment);
    }
    Ok(url)
}

pub(super) fn has_user_info(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use crate::config::testing::read;

    #[test]
    fn plain_http_is_for_loopback_hosts_unless_allowed() {
        for url in ["http://localhost:1/", "http://127.9.9.9/", "http://[::1]:8080/x?y=z"] {
            assert!(read(&[("PERSEUS_URL", url)]).is_ok(), "{url}");
        }
        for url in ["http://perseus.internal/", "http://10.0.0.1/", "http://localhost.evil.example/"] {
            assert!(read(&[("PERSEUS_URL", url)]).is_err(), "{url}");
            assert!(read(&[("PERSEUS_URL", url), ("PERSEUS_ALLOW_HTTP", "true")]).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_never_shown() {
        for url in [
            "https://user:hunter2@perseus.example/",
            "https://hunter2@perseus.example/",
            "https://perseus.example/?key=hunter2#fragment",
            "hunter2",
            "https://",
            "https:///hunter2",
            "https:hunter2.example",
            "https:\\\\hunter2.example",
            "ftp://hunter2.example/",
            "http://hunter2.example/",
        ] {
            let error = read(&[("PERSEUS_URL", url)]).expect_err(url).to_string();
            assert!(error.contains("PERSEUS_URL: ") && !error.contains("hunter2"), "{error}");
        }
    }
}
