//! Advice for TLS and HTTP errors whose own text does not say what to do.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError};

const CA_AS_SERVER: &str = "the server's certificate is that of an authority, which is not allowed (`openssl req -x509` makes \
                            such ones): make it with basicConstraints=CA:FALSE";
const ALGORITHM: &str = "its signature is of a kind that is not supported: use RSA, P-256, P-384 or Ed25519";
const HANDSHAKE: &str = "the server may have a key of a kind that is not supported (P-521: use RSA, P-256, P-384 or Ed25519), \
                         support no current cipher suite of TLS 1.2 or 1.3, or demand another client certificate or one at all";
const CLIENT_CERTIFICATE: &str = "the server demands a client certificate: PERSEUS_CLIENT_CERT_SECRET or \
                                  PERSEUS_CLIENT_CERT_PARAMETER";
const OTHER_CERTIFICATE: &str = "the server refuses the client certificate, if one is set";
const VERSION: &str = "the server knows neither TLS 1.2 nor TLS 1.3";
const HTTP2: &str = "what answers speaks no HTTP/1.1: perhaps HTTP/2 alone, or no HTTP at all";

/// The advice for an error, if there is any.
pub(crate) fn hint(error: &reqwest::Error) -> Option<&'static str> {
    causes(error).find_map(|error| {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        // hyper has no error kind for this; only the text tells it from other parse errors.
        (error.to_string() == "invalid HTTP version parsed").then_some(HTTP2)
    })
}

/// Whether the peer refused the client certificate, or demands one. `sends_certificate` tells whether there is one.
pub(crate) fn is_certificate_refused(error: &reqwest::Error, sends_certificate: bool) -> bool {
    let tls = causes(error).find_map(|error| error.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = tls else { return false };
    *alert == AlertDescription::CertificateRequired || sends_certificate && is_of_certificate(*alert)
}

/// Whether an alert is about the client certificate, if there is one.
fn is_of_certificate(alert: AlertDescription) -> bool {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, DecryptError, UnknownCA, UnsupportedCertificate,
    };

    match alert {
        AccessDenied | BadCertificate | CertificateExpired | CertificateRequired | CertificateRevoked => true,
        CertificateUnknown | UnknownCA | UnsupportedCertificate => true,
        // The signature of the certificate, or one that was made with its key, is not valid.
        DecryptError => true,
        _ => false,
    }
}

/// The error, and all errors inside it.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| cause(*error))
}

/// The inner error. `source()` of an I/O error skips the error it wraps and returns that error's source.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.map(|inner| inner as _).or_else(|| error.source())
}

fn of_tls(error: &rustls::Error) -> Option<&'static str> {
    use AlertDescription::{CertificateRequired, HandshakeFailure, ProtocolVersion};
    use rustls::Error::{AlertReceived, InvalidCertificate};

    match error {
        InvalidCertificate(CertificateError::Other(other)) => match other.to_string() {
            text if text.contains("CaUsedAsEndEntity") => Some(CA_AS_SERVER),
            text if text.contains("UnsupportedSignatureAlgorithm") => Some(ALGORITHM),
            _ => None,
        },
        InvalidCertificate(error) if format!("{error:?}").starts_with("UnsupportedSignatureAlgorithm") => {
            Some(ALGORITHM)
        }
        AlertReceived(HandshakeFailure) => Some(HANDSHAKE),
        AlertReceived(ProtocolVersion) => Some(VERSION),
        AlertReceived(CertificateRequired) => Some(CLIENT_CERTIFICATE),
        AlertReceived(alert) if is_of_certificate(*alert) => Some(OTHER_CERTIFICATE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustls::Error::AlertReceived;

    use super::*;

    // tests/binary/tls.rs has the errors that a server with this TLS library can cause.
    #[test]
    fn errors_that_only_other_tls_libraries_cause_have_advice_too() {
        let p521 = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: Vec::new(),
            public_key_algorithm_id: Vec::new(),
        };
        for (error, advice) in [
            (rustls::Error::InvalidCertificate(p521), Some(ALGORITHM)),
            (AlertReceived(AlertDescription::ProtocolVersion), Some(VERSION)),
            (AlertReceived(AlertDescription::CertificateRequired), Some(CLIENT_CERTIFICATE)),
            (AlertReceived(AlertDescription::BadCertificate), Some(OTHER_CERTIFICATE)),
            (AlertReceived(AlertDescription::UnknownCA), Some(OTHER_CERTIFICATE)),
            (AlertReceived(AlertDescription::InternalError), None),
            (rustls::Error::InvalidCertificate(CertificateError::Expired), None),
            (rustls::Error::General(String::new()), None),
        ] {
            assert_eq!(of_tls(&error), advice, "{error}");
        }
    }
}
