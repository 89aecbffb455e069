//! Certificates of the origin's own making, and the TLS settings that use them.
//! The provider of the cryptography is named; no default of the process is read or set.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Which versions of HTTP the origin offers by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// HTTP/2 before HTTP/1.1.
    Both,
    /// HTTP/1.1 alone.
    Http1Only,
    /// HTTP/2 alone.
    Http2Only,
}

/// Which certificate the origin shows; each is signed by the CA of this origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Certificate {
    /// In force, for `localhost`, `127.0.0.1` and `::1`.
    #[default]
    Good,
    /// Its time ended in 2020.
    Expired,
    /// In force, for `wrong.invalid` alone.
    WrongHost,
}

/// A CA, a certificate that it signed and the key to it, all in PEM, for another server to show.
#[derive(Clone)]
pub struct Credentials {
    /// What a client is to trust.
    pub ca_pem: String,
    /// What the server shows.
    pub certificate_pem: String,
    /// What the server proves it by.
    pub key_pem: String,
}

impl Credentials {
    /// Makes new ones, with a CA of their own.
    ///
    /// # Errors
    ///
    /// If the system gives no randomness.
    pub fn make(certificate: Certificate) -> io::Result<Self> {
        let Made { ca_pem, leaf, key } = make(certificate).map_err(io::Error::other)?;
        Ok(Self { ca_pem, certificate_pem: leaf.pem(), key_pem: key.serialize_pem() })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Makes a CA and a certificate; yields what accepts connections, and the CA in PEM.
pub(crate) fn acceptor(tls: Tls, certificate: Certificate) -> io::Result<(TlsAcceptor, String)> {
    let Made { ca_pem, leaf, key } = make(certificate).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = match tls {
        Tls::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Tls::Http1Only => vec![b"http/1.1".to_vec()],
        Tls::Http2Only => vec![b"h2".to_vec()],
    };
    Ok((TlsAcceptor::from(Arc::new(config)), ca_pem))
}

struct Made {
    ca_pem: String,
    leaf: rcgen::Certificate,
    key: KeyPair,
}

fn make(certificate: Certificate) -> Result<Made, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "gannet-origin test CA");
    let ca_pem = ca.self_signed(&ca_key)?.pem();

    let names: &[&str] = match certificate {
        Certificate::Good | Certificate::Expired => &["localhost", "127.0.0.1", "::1"],
        Certificate::WrongHost => &["wrong.invalid"],
    };
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    leaf.distinguished_name.push(DnType::CommonName, "gannet-origin");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    if certificate == Certificate::Expired {
        leaf.not_before = rcgen::date_time_ymd(2019, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;
    Ok(Made { ca_pem, leaf, key })
}
