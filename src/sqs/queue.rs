//! An SQS queue: its URL, its endpoint and its region.

use reqwest::Url;

use crate::value::aws::{SqsSettings, domain, is_account, is_queue_name, is_region, partition};

/// An SQS queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Queue {
    /// Where calls are sent.
    pub(super) endpoint: Url,
    /// The queue's URL, as calls name it.
    pub(super) url: String,
    /// The region that calls are signed for.
    pub(super) region: String,
}

impl Queue {
    /// The queue with this ARN: `arn:aws:sqs:eu-west-1:123456789012:orders.fifo`.
    ///
    /// None if the ARN is malformed or its partition is unknown. The host name that follows from the ARN receives
    /// credentials, so it is never guessed.
    pub fn of_arn(arn: &str, settings: &SqsSettings) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sqs", region, account, name] = parts[..] else { return None };
        if !is_region(region) || !is_account(account) || !is_queue_name(name) {
            return None;
        }
        let endpoint = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Url::parse(&format!("https://sqs.{region}.{}/", domain(partition)?)).ok()?,
        };
        let url = format!("{}/{account}/{name}", endpoint.as_str().trim_end_matches('/'));
        Some(Queue { endpoint, url, region: region.to_owned() })
    }

    /// The queue with this URL. The caller has checked it with [`is_queue_url`](crate::value::aws::is_queue_url).
    pub fn of_url(url: &Url, settings: &SqsSettings) -> Self {
        let mut root = url.clone();
        root.set_path("/");
        Queue {
            endpoint: settings.endpoint.clone().unwrap_or(root),
            url: url.as_str().to_owned(),
            region: region_of(url).unwrap_or(&settings.caller.region).to_owned(),
        }
    }

    /// Its ARN.
    pub(crate) fn arn(&self) -> String {
        let (account, name) = account_and_name(&self.url, '/');
        format!("arn:{}:sqs:{}:{account}:{name}", partition(&self.region), self.region)
    }

    /// Whether this is its ARN, as far as account and name tell.
    pub(crate) fn has_arn(&self, arn: &str) -> bool {
        account_and_name(arn, ':') == account_and_name(&self.url, '/')
    }

    /// Whether it is a FIFO queue.
    pub fn is_fifo(&self) -> bool {
        self.url.ends_with(".fifo")
    }

    /// Whether both are the same queue. Compares region, account and name, because an endpoint has several host names.
    pub fn is(&self, other: &Queue) -> bool {
        self.region == other.region && account_and_name(&self.url, '/') == account_and_name(&other.url, '/')
    }
}

/// The account and the name at the end of a queue's URL or ARN.
fn account_and_name(text: &str, separator: char) -> (&str, &str) {
    let (rest, name) = text.rsplit_once(separator).unwrap_or_default();
    (rest.rsplit(separator).next().unwrap_or_default(), name)
}

/// The region in a queue's URL: in the host (`sqs.eu-west-1.amazonaws.com`, also behind a VPC endpoint), or in the path
/// (`/queue/eu-west-1/…`, as LocalStack has it).
fn region_of(url: &Url) -> Option<&str> {
    if let Some(path) = url.path().strip_prefix("/queue/") {
        return path.split('/').next();
    }
    let mut labels = url.host_str()?.split('.');
    labels.find(|label| matches!(*label, "sqs" | "sqs-fips"))?;
    labels.next().filter(|label| is_region(label) && label.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::aws::{Caller, Credentials, is_localstack, is_queue_url};

    fn settings(endpoint: Option<&str>) -> SqsSettings {
        let credentials = Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
        };
        SqsSettings {
            visibility: true,
            rejected_queue: None,
            endpoint: endpoint.map(|url| url.parse().unwrap()),
            caller: Caller { region: "eu-west-1".to_owned(), credentials },
        }
    }

    fn of_arn(arn: &str, endpoint: Option<&str>) -> Option<(String, String, String)> {
        let queue = Queue::of_arn(arn, &settings(endpoint))?;
        Some((queue.endpoint.to_string(), queue.url, queue.region))
    }

    #[test]
    fn an_arn_gives_the_endpoint_the_url_and_the_region() {
        for (arn, endpoint, url) in [
            (
                "arn:aws:sqs:eu-west-1:123456789012:orders",
                "https://sqs.eu-west-1.amazonaws.com/",
                "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
            ),
            (
                "arn:aws-cn:sqs:cn-north-1:123456789012:a-B_9.fifo",
                "https://sqs.cn-north-1.amazonaws.com.cn/",
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a-B_9.fifo",
            ),
            (
                "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:q",
                "https://sqs.us-gov-west-1.amazonaws.com/",
                "https://sqs.us-gov-west-1.amazonaws.com/123456789012/q",
            ),
        ] {
            let region = arn.split(':').nth(3).unwrap();
            let expected = (endpoint.to_owned(), url.to_owned(), region.to_owned());
            assert_eq!(of_arn(arn, None), Some(expected), "{arn}");
        }
    }

    #[test]
    fn a_configured_endpoint_replaces_the_one_of_aws() {
        for (endpoint, url) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/123456789012/q"),
            ("http://127.0.0.1:5000/sub/path", "http://127.0.0.1:5000/sub/path/123456789012/q"),
        ] {
            let (reached_at, called, region) =
                of_arn("arn:aws:sqs:us-east-1:123456789012:q", Some(endpoint)).unwrap();
            assert_eq!(reached_at.trim_end_matches('/'), endpoint);
            assert_eq!((called.as_str(), region.as_str()), (url, "us-east-1"));
        }
    }

    #[test]
    fn an_invalid_arn_does_not_become_a_host_name() {
        for arn in [
            "",
            "arn:aws:sqs:eu-west-1:123456789012",
            "arn:aws:sqs:eu-west-1:123456789012:q:more",
            "arn:aws:sns:eu-west-1:123456789012:q",
            "arn:evil:sqs:eu-west-1:123456789012:q",
            "arn:aws:sqs::123456789012:q",
            "arn:aws:sqs:evil.example/:123456789012:q",
            "arn:aws:sqs:eu-west-1:1:q",
            "arn:aws:sqs:eu-west-1:123456789012:",
            "arn:aws:sqs:eu-west-1:123456789012:.fifo",
            "arn:aws:sqs:eu-west-1:123456789012:a/b",
        ] {
            assert_eq!(of_arn(arn, None), None, "{arn}");
        }
    }

    #[test]
    fn a_url_gives_the_region_for_signatures() {
        for (host, region) in [
            ("sqs.us-east-2.amazonaws.com", "us-east-2"),
            ("sqs-fips.us-east-2.amazonaws.com", "us-east-2"),
            ("vpce-1-2.sqs.us-east-2.vpce.amazonaws.com", "us-east-2"),
            ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("us-east-2.queue.amazonaws.com", "eu-west-1"),
            ("sqs.localhost", "eu-west-1"),
            ("queue.example", "eu-west-1"),
        ] {
            let url: Url = format!("https://{host}/123456789012/q").parse().unwrap();
            let queue = Queue::of_url(&url, &settings(None));
            assert_eq!((queue.region.as_str(), queue.url.as_str()), (region, url.as_str()));
            assert_eq!(queue.endpoint.as_str(), format!("https://{host}/"));
            let elsewhere = Queue::of_url(&url, &settings(Some("http://127.0.0.1:1/")));
            assert_eq!(elsewhere.endpoint.as_str(), "http://127.0.0.1:1/");
        }
    }

    #[test]
    fn queue_urls_of_localstack_are_accepted() {
        for (url, region) in [
            ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q", "us-east-1"),
            ("http://localhost.localstack.cloud:4566/000000000000/q.fifo", "eu-west-1"),
            ("http://localhost:4566/000000000000/q", "eu-west-1"),
            ("http://localhost:4566/queue/us-east-1/000000000000/q.fifo", "us-east-1"),
        ] {
            let url: Url = url.parse().unwrap();
            assert!(is_queue_url(&url), "{url}");
            let queue = Queue::of_url(&url, &settings(None));
            assert_eq!((queue.region.as_str(), queue.url.as_str()), (region, url.as_str()));
            assert_eq!(queue.endpoint.path(), "/");
        }
        for path in
            ["/queue/000000000000/q", "/queue/EVIL/000000000000/q", "/queue/us-east-1/000000000000/q/x"]
        {
            assert!(!is_queue_url(&format!("http://localhost:4566{path}").parse().unwrap()), "{path}");
        }
        assert!(is_localstack("sqs.eu-west-1.localhost.localstack.cloud"));
        assert!(!is_localstack("evil-localhost.localstack.cloud") && !is_localstack("localstack.cloud"));
    }

    #[test]
    fn a_queue_equals_itself_under_another_host_name() {
        let of_url = |url: &str| Queue::of_url(&url.parse().unwrap(), &settings(None));
        let queue = Queue::of_arn("arn:aws:sqs:eu-west-1:123456789012:q", &settings(None)).unwrap();
        for same in
            ["https://sqs.eu-west-1.amazonaws.com/123456789012/q", "https://queue.example/123456789012/q"]
        {
            assert!(queue.is(&of_url(same)), "{same}");
        }
        for other in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo",
            "https://sqs.eu-west-1.amazonaws.com/210987654321/q",
            "https://sqs.eu-west-2.amazonaws.com/123456789012/q",
        ] {
            assert!(!queue.is(&of_url(other)), "{other}");
        }
    }
}
