//! Certificates for a server on the loopback interface, as good and as bad as they come.
//!
//! Each of these functions writes `certificate.pem`, `key.pem`, `bundle.pem` (both) and `authority.pem` to a folder, and
//! gives what `PERSEUS_CA_CERT` is to be.

use std::{fs, path::Path, process::Command};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd,
};

pub(crate) type Write = fn(&Path) -> String;

const HOST: &str = "127.0.0.1";

/// As it should be, with a key on the curve P-256.
pub(crate) fn good(folder: &Path) -> String {
    signed(folder, &authority("root"), &KeyPair::generate().unwrap(), server(HOST))
}

pub(crate) fn p384(folder: &Path) -> String {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    signed(folder, &authority("root"), &key, server(HOST))
}

pub(crate) fn ed25519(folder: &Path) -> String {
    by_openssl(folder, &["-algorithm", "ED25519"])
}

pub(crate) fn rsa_2048(folder: &Path) -> String {
    by_openssl(folder, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
}

pub(crate) fn rsa_4096(folder: &Path) -> String {
    by_openssl(folder, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"])
}

pub(crate) fn p521(folder: &Path) -> String {
    by_openssl(folder, &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"])
}

pub(crate) fn expired(folder: &Path) -> String {
    let mut params = server(HOST);
    params.not_after = date_time_ymd(2020, 1, 1);
    signed(folder, &authority("root"), &KeyPair::generate().unwrap(), params)
}

pub(crate) fn of_another_host(folder: &Path) -> String {
    signed(folder, &authority("root"), &KeyPair::generate().unwrap(), server("perseus.example"))
}

pub(crate) fn of_an_unknown_authority(folder: &Path) -> String {
    good(folder);
    authority("another").pem
}

/// The authority has kept its name, and has another key.
pub(crate) fn of_an_authority_with_a_new_key(folder: &Path) -> String {
    good(folder);
    authority("root").pem
}

/// From an authority between the server and the one that is trusted; the server does not send that one's certificate.
pub(crate) fn without_the_one_between(folder: &Path) -> String {
    let (root, key) = (authority("root"), KeyPair::generate().unwrap());
    let params = authority_params("between");
    let pem = params.signed_by(&key, &root.issuer).unwrap().pem();
    let between = Authority { pem, key: key.serialize_pem(), issuer: Issuer::new(params, key) };
    signed(folder, &between, &KeyPair::generate().unwrap(), server(HOST));
    root.pem
}

/// What `openssl req -x509` makes: an authority that is its own server.
pub(crate) fn its_own_authority(folder: &Path) -> String {
    let mut params = server(HOST);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    write(folder, &pem, &key.serialize_pem(), &pem);
    pem
}

struct Authority {
    pem: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let pem = authority_params(name).self_signed(&key).unwrap().pem();
    Authority { pem, key: key.serialize_pem(), issuer: Issuer::new(authority_params(name), key) }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn server(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).unwrap()
}

fn signed(folder: &Path, authority: &Authority, key: &KeyPair, params: CertificateParams) -> String {
    let certificate = params.signed_by(key, &authority.issuer).unwrap().pem();
    write(folder, &certificate, &key.serialize_pem(), &authority.pem);
    authority.pem.clone()
}

/// With a key that the TLS library of these tests cannot make.
fn by_openssl(folder: &Path, key: &[&str]) -> String {
    let authority = authority("root");
    fs::write(folder.join("authority.pem"), &authority.pem).unwrap();
    fs::write(folder.join("authority-key.pem"), &authority.key).unwrap();
    fs::write(folder.join("names"), format!("subjectAltName=IP:{HOST}")).unwrap();
    openssl(folder, &[&["genpkey", "-out", "key.pem"], key].concat());
    openssl(folder, &["req", "-new", "-key", "key.pem", "-subj", "/CN=perseus", "-out", "request.pem"]);
    let sign = "x509 -req -in request.pem -CA authority.pem -CAkey authority-key.pem -CAcreateserial -days 1 \
                -extfile names -out certificate.pem";
    openssl(folder, &sign.split_whitespace().collect::<Vec<_>>());
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    write(folder, &read("certificate.pem"), &read("key.pem"), &authority.pem);
    authority.pem
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn write(folder: &Path, certificate: &str, key: &str, authority: &str) {
    let bundle = format!("{certificate}{key}");
    for (name, text) in [
        ("certificate.pem", certificate),
        ("key.pem", key),
        ("bundle.pem", &bundle),
        ("authority.pem", authority),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}
