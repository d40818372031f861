//! Texts that become header values.

use reqwest::header::HeaderValue;

/// Whether all characters are visible ASCII.
pub(crate) fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// The most bytes of a token. Servers accept about this much for all headers together.
pub(crate) const LONGEST_TOKEN: usize = 8 << 10;

/// The `authorization` header for a token, marked as sensitive so that it is never printed. `None` if the token is empty,
/// too long or not visible ASCII.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let is_token = (1..=LONGEST_TOKEN).contains(&token.len()) && is_visible(token);
    let mut header = is_token.then(|| HeaderValue::try_from(format!("Bearer {token}")).ok())??;
    header.set_sensitive(true);
    Some(header)
}

/// A header value that is never printed.
///
/// # Panics
///
/// If it is not visible ASCII. The configuration accepts nothing else.
pub(crate) fn sensitive(value: &str) -> HeaderValue {
    let mut header = HeaderValue::try_from(value).expect("visible ASCII is a header value");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_header_is_sensitive() {
        let header = bearer("hunter2").unwrap();
        assert_eq!(header, "Bearer hunter2");
        assert!(header.is_sensitive());
        assert!(!format!("{header:?}").contains("hunter2"));
        for no_token in ["", " ", "a b", "a\n", "é", &"x".repeat(LONGEST_TOKEN + 1)] {
            assert_eq!(bearer(no_token), None, "{no_token:?}");
        }
    }
}
