//! The proxy on the way to Perseus. The proxy variables that other programs read are ignored.

use std::ffi::OsString;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::{problem::Problem, reader::Reader, variables::PERSEUS_PROXY};
use crate::value::{host::names_a_host, proxy::Proxy};

const PROXY_ALLOWED: &str =
    "http://host:port or https://host:port, and user:password@ before the host, percent-encoded";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The proxy on the way to Perseus; `Some(None)` if there is none.
    pub(super) fn proxy(&mut self) -> Option<Option<Proxy>> {
        self.read_optional_secret(&PERSEUS_PROXY, PROXY_ALLOWED, proxy)
    }
}

fn proxy(value: &str) -> Result<Proxy, Problem> {
    let mut url = Url::parse(value).map_err(Problem::NotAUrl)?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Problem::NotHttp);
    }
    if !names_a_host(value, &url) {
        return Err(Problem::NoHost);
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::MoreThanAHost);
    }
    let user_info = user_info(&url)?;
    let is_cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
    debug_assert!(is_cleared, "a URL with a host may have user info");
    Ok(Proxy { url, user_info })
}

/// User and password with a colon between them, decoded. A user cannot contain a colon (RFC 7617).
fn user_info(url: &Url) -> Result<Option<String>, Problem> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| Problem::UnusableUserInfo);
    let (user, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
    let is_usable = !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control);
    if is_usable { Ok(Some(format!("{user}:{password}"))) } else { Err(Problem::UnusableUserInfo) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{problem, read};

    fn read_proxy(value: &str) -> Proxy {
        read(&[("PERSEUS_PROXY", value)]).unwrap().proxy.expect(value)
    }

    #[test]
    fn a_proxy_has_a_host_a_port_and_perhaps_user_info() {
        assert_eq!(read(&[]).unwrap().proxy, None);
        for (value, url, user_info) in [
            ("http://proxy.internal:3128", "http://proxy.internal:3128/", None),
            ("https://proxy.internal/", "https://proxy.internal/", None),
            ("http://[::1]:8080", "http://[::1]:8080/", None),
            ("http://me:p%40ss%3A@proxy:3128", "http://proxy:3128/", Some("me:p@ss:")),
            ("http://me@proxy:3128", "http://proxy:3128/", Some("me:")),
        ] {
            let proxy = read_proxy(value);
            assert_eq!((proxy.url.as_str(), proxy.user_info.as_deref()), (url, user_info));
        }
    }

    #[test]
    fn user_info_becomes_a_header_that_is_never_shown() {
        let proxy = read_proxy("http://Aladdin:open%20sesame@proxy:3128");
        let header = proxy.authorization().unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
        assert!(!format!("{proxy:?} {header:?}").contains("sesame"));
        assert_eq!(read_proxy("http://proxy:3128").authorization(), None);
    }

    #[test]
    fn a_wrong_proxy_is_refused_with_the_allowed_form_and_not_shown() {
        for (value, told) in [
            ("hunter2", "is not a URL"),
            ("hunter2:3128", "is neither https nor http"),
            ("socks5://hunter2:1080", "is neither https nor http"),
            ("http:///hunter2", "has no host"),
            ("http://proxy:3128/hunter2", "has more than user info, a host and a port"),
            ("http://proxy:3128?hunter2", "has more than user info, a host and a port"),
            ("http://proxy:3128#hunter2", "has more than user info, a host and a port"),
            ("http://hunter2:%ff@proxy:3128", "has user info that cannot be sent"),
            ("http://hunter2%3A:x@proxy:3128", "has user info that cannot be sent"),
            ("http://hunter2:%0A@proxy:3128", "has user info that cannot be sent"),
        ] {
            let error = problem("PERSEUS_PROXY", value);
            assert!(error.contains(&format!("PERSEUS_PROXY: {told}")), "{error}");
            assert!(error.contains("(allowed: http://host:port") && !error.contains("hunter2"), "{error}");
        }
    }
}
