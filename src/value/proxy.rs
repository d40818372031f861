//! The proxy on the way to Perseus.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{Url, header::HeaderValue};

use super::text::sensitive;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its URL, without user info.
    pub(crate) url: Url,
    /// User and password with a colon between them. It is a secret.
    pub(crate) user_info: Option<String>,
}

impl Proxy {
    /// The `proxy-authorization` header, if there is user info.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let encoded = BASE64_STANDARD.encode(self.user_info.as_ref()?);
        Some(sensitive(&format!("Basic {encoded}")))
    }
}

// Written by hand so that no secret can be logged by accident.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").finish_non_exhaustive()
    }
}
