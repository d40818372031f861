//! The proxy on the way to Perseus. The proxy variables that other programs read are ignored.

use std::ffi::OsString;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::{
    problem::Problem,
    reader::Reader,
    variables::{PERSEUS_PROXY, PERSEUS_URL},
};
use crate::value::{
    host::{is_loopback, names_a_host},
    proxy::Proxy,
};

const PROXY_ALLOWED: &str =
    "http://host:port or https://host:port, and user:password@ before the host, percent-encoded";

const HOST_ALLOWED: &str = "beside PERSEUS_PROXY a host name or an IPv4 address";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The proxy on the way to Perseus; `Some(None)` if there is none. Plain http to a loopback host would leave this host
    /// through a proxy elsewhere.
    pub(super) fn proxy(&mut self, perseus: Option<&Url>) -> Option<Option<Proxy>> {
        let allow_http = self.allow_http();
        let proxy = self.read_optional_secret(&PERSEUS_PROXY, PROXY_ALLOWED, proxy);
        let (Some(perseus), Some(Some(via))) = (perseus, &proxy) else { return proxy };
        let [to, by] = [perseus, &via.url].map(|url| url.host_str().unwrap_or_default());
        match perseus.scheme() {
            "http" if allow_http == Some(false) && !is_loopback(by) => {
                self.note_secret(&PERSEUS_PROXY, Problem::PlainHttp, PROXY_ALLOWED);
            }
            // Behind a tunnel the client takes the brackets for a part of the server's name.
            "https" if to.starts_with('[') => {
                self.note_secret(&PERSEUS_URL, Problem::Ipv6BehindProxy, HOST_ALLOWED);
            }
            _ => {}
        }
        proxy
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
    // Other characters pass this parser, and not the client's: it would then connect without the proxy.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    if !url.host_str().unwrap_or_default().bytes().all(is_plain) {
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
    fn plain_http_to_this_host_does_not_leave_it_through_a_proxy() {
        let with = |proxy: &str, allow: &str| {
            read(&[
                ("PERSEUS_URL", "http://localhost:8080/"),
                ("PERSEUS_PROXY", proxy),
                ("PERSEUS_ALLOW_HTTP", allow),
            ])
        };
        let error = with("http://proxy:3128", "").unwrap_err().to_string();
        assert!(error.contains("PERSEUS_PROXY: is plain http"), "{error}");
        assert!(with("http://proxy:3128", "true").is_ok() && with("http://127.0.0.1:3128", "").is_ok());
    }

    #[test]
    fn a_tunnel_to_an_ipv6_address_is_refused() {
        let with = |url: &str| read(&[("PERSEUS_URL", url), ("PERSEUS_PROXY", "http://proxy:3128")]);
        let error = with("https://[2001:db8::1]/records").unwrap_err().to_string();
        assert!(error.contains("PERSEUS_URL: has an IPv6 address") && !error.contains("2001"), "{error}");
        assert!(with("https://192.0.2.1/records").is_ok() && with("https://perseus.example/").is_ok());
        assert!(read(&[("PERSEUS_URL", "https://[2001:db8::1]/records")]).is_ok());
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
            ("http://${hunter2}:3128", "has no host"),
            ("http://a\"hunter2:3128", "has no host"),
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
