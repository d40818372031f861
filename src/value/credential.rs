//! Where a credential for Perseus comes from: the token, or the client certificate.

use reqwest::header::HeaderValue;

/// Where a credential comes from.
#[derive(Debug, Clone)]
pub enum Source<T> {
    /// There is none.
    Nowhere,
    /// The configuration.
    Set(T),
    /// A store.
    Store(Store),
}

impl<T> Source<T> {
    /// The variable to look at if Perseus refuses the credential: `set`, unless it is in a store.
    pub(crate) fn variable(&self, set: &'static str) -> &'static str {
        match self {
            Source::Nowhere | Source::Set(_) => set,
            Source::Store(store) => store.variable,
        }
    }

    /// Whether there is none.
    pub(crate) fn is_nowhere(&self) -> bool {
        matches!(self, Source::Nowhere)
    }
}

/// A place in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A secret of Secrets Manager.
    Secret {
        /// Its name or ARN.
        id: String,
        /// The field with the credential, if the secret is a JSON object; otherwise the whole secret is the credential.
        field: Option<String>,
    },
    /// A parameter of Parameter Store.
    Parameter {
        /// Its name or ARN.
        name: String,
    },
}

/// A place in a store, and how to read it through the AWS Parameters and Secrets Lambda Extension.
#[derive(Debug, Clone)]
pub struct Store {
    /// The variable that names the place.
    pub(crate) variable: &'static str,
    /// Where the credential is.
    pub(crate) place: Place,
    /// The extension's port.
    pub(crate) port: u16,
    /// The header that authenticates the function to the extension; marked as sensitive.
    pub(crate) session_token: HeaderValue,
}
