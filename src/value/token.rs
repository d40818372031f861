//! Where Perseus' bearer token comes from.

use reqwest::header::HeaderValue;

/// Where the token comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// There is none.
    Nowhere,
    /// The configuration; this is the `authorization` header.
    Set(HeaderValue),
    /// A store.
    Store(Store),
}

impl Source {
    /// The variable to look at if Perseus refuses the token.
    pub fn variable(&self) -> &'static str {
        match self {
            Source::Nowhere | Source::Set(_) => "PERSEUS_TOKEN",
            Source::Store(store) => store.variable(),
        }
    }
}

/// A place in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A secret of Secrets Manager.
    Secret {
        /// Its name or ARN.
        id: String,
        /// The field with the token, if the secret is a JSON object; otherwise the whole secret is the token.
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
    /// Where the token is.
    pub place: Place,
    /// The extension's port.
    pub port: u16,
    /// The header that authenticates the function to the extension; marked as sensitive.
    pub session_token: HeaderValue,
}

impl Store {
    /// The variable that names the place.
    pub fn variable(&self) -> &'static str {
        match self.place {
            Place::Secret { .. } => "PERSEUS_TOKEN_SECRET",
            Place::Parameter { .. } => "PERSEUS_TOKEN_PARAMETER",
        }
    }
}
