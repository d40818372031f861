//! Trace ids that say which invocation a request belongs to.

use http::HeaderMap;

const HEADER: &str = "x-amzn-trace-id";

/// The trace id that an invocation is given, in Lambda's form.
pub(crate) fn id(invocation: u32) -> String {
    format!("Root=1-69561f00-{:024x};Parent=53995c3f42cd8ad8;Sampled=0", invocation)
}

/// The invocation whose trace a request belongs to.
pub(crate) fn invocation(headers: &HeaderMap) -> Option<u32> {
    let root = headers.get(HEADER)?.to_str().ok()?.strip_prefix("Root=1-69561f00-")?;
    u32::from_str_radix(root.get(..24)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_id_says_which_invocation_a_request_belongs_to() {
        let header = |value: &str| {
            HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), value.parse().expect("a value"))])
        };
        assert_eq!(invocation(&header(&id(77))), Some(77));
        assert_eq!(invocation(&header("Root=1-5759e988-bd862e3fe1be46a994272793")), None);
        assert_eq!(invocation(&HeaderMap::new()), None);
    }
}
