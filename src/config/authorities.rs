//! Certificate authorities that are trusted besides the public ones.

use std::ffi::OsString;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, pem::PemObject},
};

use super::{problem::Problem, reader::Reader, variables::PERSEUS_CA_CERT};

const AUTHORITIES_ALLOWED: &str = "certificates as PEM text, with line breaks or \\n in their place";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The authorities that are trusted besides the public ones.
    pub(super) fn authorities(&mut self) -> Option<Vec<TrustAnchor<'static>>> {
        let read = self.read_optional_secret(&PERSEUS_CA_CERT, AUTHORITIES_ALLOWED, authorities);
        read.map(Option::unwrap_or_default)
    }
}

fn authorities(value: &str) -> Result<Vec<TrustAnchor<'static>>, Problem> {
    // Some .env files and consoles turn line breaks into \n.
    let pem = value.replace("\\n", "\n").replace("\\r", "");
    if pem.contains("PRIVATE KEY-----") {
        return Err(Problem::PrivateKey);
    }
    let mut roots = RootCertStore::empty();
    for (place, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem.as_bytes())) {
        let certificate = certificate.map_err(|_| Problem::NotPem { place })?;
        roots.add(certificate).map_err(|_| Problem::NotACertificate { place })?;
    }
    if roots.is_empty() {
        return Err(Problem::NoCertificate);
    }
    Ok(roots.roots)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn every_form_of_line_break_is_accepted() {
        let two = format!("# ours\n{}\n{}", certificate(), certificate());
        for pem in
            [two.clone(), two.replace('\n', "\\n"), two.replace('\n', "\r\n"), two.replace('\n', "\\r\\n")]
        {
            assert_eq!(authorities(&pem).unwrap().len(), 2);
        }
    }

    #[test]
    fn a_malformed_certificate_is_refused_and_not_shown() {
        let good = certificate();
        let key = KeyPair::generate().unwrap().serialize_pem();
        for (pem, problem) in [
            ("hunter2", "holds no certificate"),
            (&good.replace('\n', " "), "PEM"),
            (&good[..good.len() / 2], "in certificate 1"),
            (&format!("{good}{}", &good[..200]), "in certificate 2"),
            (&good.replacen("\nM", "\n?", 1), "in certificate 1"),
            ("-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n", "is no X.509"),
            (&format!("{good}{key}"), "private key"),
        ] {
            let error = authorities(pem).expect_err(pem).to_string();
            assert!(error.contains(problem), "{error} for {pem}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
