//! The trace context for requests to Perseus, made from the trace id that Lambda gives an invocation.

use reqwest::header::HeaderValue;

/// The headers with an invocation's trace context. Both are unset if Lambda gave no trace id.
#[derive(Debug, Default, Clone)]
pub(crate) struct TraceContext {
    /// `x-amzn-trace-id`, unchanged.
    pub amazon: Option<HeaderValue>,
    /// `traceparent`: the same trace in the W3C format (<https://www.w3.org/TR/trace-context/>).
    pub w3c: Option<HeaderValue>,
}

impl TraceContext {
    /// Reads Lambda's trace header:
    /// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
    pub(crate) fn new(header: Option<&str>) -> Self {
        let header = header.map(str::trim).filter(|header| !header.is_empty());
        TraceContext {
            amazon: header.and_then(|header| HeaderValue::from_str(header).ok()),
            w3c: header.and_then(traceparent),
        }
    }
}

fn traceparent(header: &str) -> Option<HeaderValue> {
    let field = |name| header.split(';').find_map(|field| field.trim().strip_prefix(name));
    let (epoch, unique) = field("Root=1-")?.split_once('-')?;
    let trace_id = format!("{epoch}{unique}");
    // Without a parent segment this function is the first span, with an id of its own.
    let parent = field("Parent=").map_or_else(|| format!("{:016x}", fastrand::u64(1..)), str::to_owned);
    let sampled = u8::from(field("Sampled=") == Some("1"));
    let is_id = |id: &str, len| {
        id.len() == len
            && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            && id.bytes().any(|b| b != b'0')
    };
    (is_id(&trace_id, 32) && is_id(&parent, 16))
        .then(|| HeaderValue::try_from(format!("00-{trace_id}-{parent}-{sampled:02x}")).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn an_x_ray_header_becomes_a_traceparent() {
        for (sampled, flags) in
            [(";Sampled=1", "01"), (";Sampled=0;Lineage=a:b", "00"), ("", "00"), (";Sampled=?", "00")]
        {
            let header = format!("{ROOT};Parent=53995c3f42cd8ad8{sampled}");
            let trace = TraceContext::new(Some(&header));
            assert_eq!(trace.amazon.unwrap(), header.as_str());
            let expected = format!("00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-{flags}");
            assert_eq!(trace.w3c.unwrap(), expected.as_str());
        }
    }

    #[test]
    fn a_root_without_a_parent_gets_one() {
        let w3c = TraceContext::new(Some(ROOT)).w3c.unwrap();
        let w3c = w3c.to_str().unwrap();
        assert!(w3c.starts_with("00-5759e988bd862e3fe1be46a994272793-") && w3c.ends_with("-00"), "{w3c}");
        assert_eq!(w3c.len(), 55);
    }

    #[test]
    fn an_invalid_trace_header_gives_no_traceparent() {
        for header in [
            "x",
            "Root=1-5759e988",
            "Root=1-zzzzzzzz-bd862e3fe1be46a994272793",
            "Root=1-00000000-000000000000000000000000",
        ] {
            let trace = TraceContext::new(Some(header));
            assert_eq!((trace.amazon.unwrap(), trace.w3c), (header.parse().unwrap(), None));
        }
        let odd_parent = TraceContext::new(Some(&format!("{ROOT};Parent=1"))).w3c;
        assert_eq!(odd_parent, None);
        for header in [None, Some(""), Some(" ")] {
            assert!(TraceContext::new(header).amazon.is_none());
        }
        assert!(TraceContext::new(Some("a\nb")).amazon.is_none());
    }
}
