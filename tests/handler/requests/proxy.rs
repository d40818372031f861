//! A proxy on the way to Perseus (`PERSEUS_PROXY`).

use lab::perseus::{Perseus, Reply};

use crate::support::{
    proxy::Proxy,
    tls::{TlsPerseus, acceptor, authority},
    *,
};

/// `me:p@ss` in base64.
const AUTHORIZATION: &str = "proxy-authorization: basic bwu6cebzcw==";

#[tokio::test(start_paused = true)]
async fn requests_to_https_go_through_a_tunnel_and_the_proxy_sees_nothing_of_them() {
    let (pem, issuer) = authority();
    let perseus = TlsPerseus::start(acceptor(&issuer, "127.0.0.1")).await;
    for (scheme, tls) in [("http", None), ("https", Some(acceptor(&issuer, "127.0.0.1")))] {
        let proxy = Proxy::start(tls, |_| 200).await;
        let url = proxy.url(scheme, "me:p%40ss@");
        let settings =
            [("PERSEUS_PROXY", url.as_str()), ("PERSEUS_CA_CERT", &pem), ("PERSEUS_TOKEN", "secret")];
        let handler = handler(&perseus.url, &settings);
        for _ in 0..2 {
            assert_eq!(report(&handler, &event("a")).await, [""; 0], "{scheme}");
        }
        let [connect] = &proxy.heads()[..] else { panic!("one tunnel for both requests") };
        let target = perseus.url.trim_start_matches("https://").trim_end_matches('/');
        assert!(connect.starts_with(&format!("connect {target} http/1.1\r\nhost: {target}")), "{connect}");
        assert!(connect.contains(AUTHORIZATION) && !connect.contains("secret"), "{connect}");
    }
    assert_eq!(perseus.heads().len(), 4);
    for head in perseus.heads() {
        assert!(head.contains("authorization: bearer secret") && !head.contains("proxy-"), "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_to_plain_http_are_sent_to_the_proxy() {
    let proxy = Proxy::start(None, |_| 204).await;
    let url = proxy.url("http", "me:p%40ss@");
    let settings = [("PERSEUS_PROXY", url.as_str()), ("PERSEUS_ALLOW_HTTP", "true")];
    let handler = handler("http://perseus.internal:81/records", &settings);
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    let [head] = &proxy.heads()[..] else { panic!("one request") };
    assert!(head.starts_with("post http://perseus.internal:81/records http/1.1"), "{head}");
    assert!(head.contains("host: perseus.internal:81") && head.contains(AUTHORIZATION), "{head}");
}

/// The reported ids of three records that are sent one by one, and how often the proxy was asked for a tunnel.
async fn refused(status: u16) -> (Vec<String>, usize) {
    let (pem, issuer) = authority();
    let perseus = TlsPerseus::start(acceptor(&issuer, "127.0.0.1")).await;
    let proxy = Proxy::start(None, move |_| status).await;
    let url = proxy.url("http", "");
    let handler = handler(
        &perseus.url,
        &[
            ("PERSEUS_PROXY", url.as_str()),
            ("PERSEUS_CA_CERT", &pem),
            ("BATCH_MAX_RECORDS", "1"),
            ("MAX_IN_FLIGHT", "1"),
            ("MAX_ATTEMPTS", "3"),
        ],
    );
    let reported = report(&handler, &event("a b c")).await;
    assert!(perseus.heads().is_empty());
    (reported, proxy.heads().len())
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_refuses_a_tunnel_ends_all_sending() {
    for status in [400, 403, 405, 407] {
        let (reported, asked) = refused(status).await;
        assert_eq!(reported, ["a", "b", "c"], "{status}");
        assert_eq!(asked, 2, "{status}: one attempt, and one question for the status");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_cannot_reach_perseus_is_asked_again_like_a_perseus_that_is_down() {
    for status in [502, 503, 504] {
        let (reported, asked) = refused(status).await;
        assert_eq!(reported, ["a", "b", "c"], "{status}");
        assert!(asked >= 6, "{status}: three attempts of the first record, with a question each: {asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_opens_after_a_while_delivers() {
    let (pem, issuer) = authority();
    let perseus = TlsPerseus::start(acceptor(&issuer, "127.0.0.1")).await;
    let proxy = Proxy::start(None, |request| if request < 4 { 503 } else { 200 }).await;
    let url = proxy.url("http", "");
    let handler = handler(&perseus.url, &[("PERSEUS_PROXY", &url), ("PERSEUS_CA_CERT", &pem)]);
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    assert_eq!(perseus.heads().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_down_is_tried_again() {
    let proxy = RawServer::start(|_, connection| async { connection.reset() }).await;
    let settings = [("PERSEUS_PROXY", proxy.url.as_str()), ("MAX_ATTEMPTS", "3")];
    let handler = handler("https://perseus.example/", &settings);
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
    drop(proxy);
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_refuses_a_plain_request_ends_all_sending() {
    let proxy = Proxy::start(None, |_| 407).await;
    let url = proxy.url("http", "");
    let settings = [("PERSEUS_PROXY", url.as_str()), ("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "1")];
    let handler = handler("http://127.0.0.1:1/", &settings);
    assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_there_is_no_proxy() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let handler = handler(&perseus.url(), &[("PERSEUS_PROXY", "")]);
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
}
