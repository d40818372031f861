//! Certificate authorities that Perseus' certificate may come from, besides the public ones.

use std::ffi::OsString;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, pem::PemObject},
};

use super::{PERSEUS_CA_CERT, Reader};

const AUTHORITIES_ALLOWED: &str = "certificates as PEM text, with line breaks or \\n in their place";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The authorities that are trusted besides the public ones.
    pub(super) fn authorities(&mut self) -> Option<Vec<TrustAnchor<'static>>> {
        let read = self.read_optional_secret(&PERSEUS_CA_CERT, AUTHORITIES_ALLOWED, authorities);
        read.map(Option::unwrap_or_default)
    }
}

fn authorities(value: &str) -> Result<Vec<TrustAnchor<'static>>, String> {
    // What a .env file or a console makes of line breaks.
    let pem = value.replace("\\n", "\n").replace("\\r", "");
    if pem.contains("PRIVATE KEY-----") {
        return Err("holds a private key, which has no business here".to_owned());
    }
    let mut roots = RootCertStore::empty();
    for (place, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem.as_bytes())) {
        let certificate =
            certificate.map_err(|_| format!("breaks off, or is no PEM, in certificate {place}"))?;
        roots.add(certificate).map_err(|_| format!("is no X.509 certificate in certificate {place}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate".to_owned());
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
    fn certificates_are_taken_however_their_lines_are_broken() {
        let two = format!("# ours\n{}\n{}", certificate(), certificate());
        for pem in
            [two.clone(), two.replace('\n', "\\n"), two.replace('\n', "\r\n"), two.replace('\n', "\\r\\n")]
        {
            assert_eq!(authorities(&pem).unwrap().len(), 2);
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_and_not_shown() {
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
            let error = authorities(pem).expect_err(pem);
            assert!(error.contains(problem), "{error} for {pem}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
