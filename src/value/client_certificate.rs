//! A client certificate for Perseus, with its private key.

use std::{fmt, sync::Arc};

use rustls::{
    Error, InconsistentKeys,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;

/// A certificate, the certificates that lead to its authority, and its private key.
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>);

/// Why a text is no certificate with its key. Contains nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CertificateProblem {
    #[error("breaks off, or is no PEM")]
    NotPem,
    #[error("holds no certificate")]
    NoCertificate,
    #[error("holds no private key")]
    NoKey,
    #[error("holds more than one private key")]
    SeveralKeys,
    #[error("holds an encrypted private key")]
    EncryptedKey,
    #[error("holds a private key of a kind that is not supported")]
    UnsupportedKey,
    #[error("has a first certificate that is no X.509 certificate")]
    NotACertificate,
    #[error("has a first certificate that does not belong to the private key")]
    OtherKey,
}

impl ClientCertificate {
    /// Reads PEM text: the certificate, then those that lead to its authority, and the private key in any place.
    ///
    /// # Errors
    ///
    /// If something is missing, or the key cannot be used.
    pub(crate) fn of_pem(text: &str) -> Result<Self, CertificateProblem> {
        // Some .env files and consoles turn line breaks into \n.
        let pem = text.replace("\\n", "\n").replace("\\r", "");
        if pem.contains("ENCRYPTED") {
            return Err(CertificateProblem::EncryptedKey);
        }
        let chain = all::<CertificateDer<'static>>(&pem)?;
        let mut keys = all::<PrivateKeyDer<'static>>(&pem)?;
        if chain.is_empty() {
            return Err(CertificateProblem::NoCertificate);
        }
        let key = keys.pop().ok_or(CertificateProblem::NoKey)?;
        if !keys.is_empty() {
            return Err(CertificateProblem::SeveralKeys);
        }
        let certified = CertifiedKey::from_der(chain, key, &default_provider());
        certified.map(|certified| ClientCertificate(Arc::new(certified))).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateProblem::OtherKey,
            Error::InvalidCertificate(_) => CertificateProblem::NotACertificate,
            _ => CertificateProblem::UnsupportedKey,
        })
    }

    /// The certificate and its key, as TLS uses them.
    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

fn all<T: PemObject>(pem: &str) -> Result<Vec<T>, CertificateProblem> {
    T::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| CertificateProblem::NotPem)
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

// Written by hand so that no secret can be logged by accident.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate and its key, as PEM.
    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["forwarder".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_with_its_chain_and_key_is_read_in_any_form() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let whole = format!("{certificate}{other}{key}");
        for pem in [
            whole.clone(),
            format!("{key}{certificate}{other}"),
            format!("# ours\n{whole}"),
            whole.replace('\n', "\\n"),
            whole.replace('\n', "\r\n"),
            whole.replace('\n', "\\r\\n"),
        ] {
            let read = ClientCertificate::of_pem(&pem).unwrap();
            assert_eq!(read.certified().cert.len(), 2);
            assert_eq!(read, ClientCertificate::of_pem(&whole).unwrap());
            assert_eq!(format!("{read:?}"), "ClientCertificate { .. }");
        }
        assert_ne!(
            ClientCertificate::of_pem(&whole).unwrap(),
            ClientCertificate::of_pem(&{
                let (certificate, key) = pair();
                format!("{certificate}{key}")
            })
            .unwrap()
        );
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_refused_and_not_shown() {
        use CertificateProblem::*;
        let ((certificate, key), (other, other_key)) = (pair(), pair());
        let section =
            |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        for (pem, problem) in [
            (String::new(), NoCertificate),
            ("hunter2".to_owned(), NoCertificate),
            (key.clone(), NoCertificate),
            (certificate.clone(), NoKey),
            (format!("{certificate}{key}{other_key}"), SeveralKeys),
            (format!("{other}{certificate}{key}"), OtherKey),
            (format!("{certificate}{}", &key[..key.len() / 2]), NotPem),
            (format!("{certificate}{key}").replace('\n', " "), NotPem),
            (format!("{certificate}{}", section("ENCRYPTED PRIVATE KEY", "aHVudGVyMg==")), EncryptedKey),
            (
                format!(
                    "{certificate}{}",
                    section("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\naHVudGVyMg==")
                ),
                EncryptedKey,
            ),
            (format!("{certificate}{}", section("PRIVATE KEY", "aHVudGVyMg==")), UnsupportedKey),
            (format!("{}{key}", section("CERTIFICATE", "aHVudGVyMg==")), NotACertificate),
        ] {
            let error = ClientCertificate::of_pem(&pem).expect_err(&pem);
            assert_eq!(error, problem, "{pem}");
        }
    }
}
