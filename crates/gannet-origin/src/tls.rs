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

/// Which versions of TLS the origin speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone (RFC 5246).
    Only12,
    /// 1.3 alone (RFC 8446).
    Only13,
}

impl TlsVersions {
    fn supported(self) -> Vec<&'static rustls::SupportedProtocolVersion> {
        match self {
            Self::Both => rustls::ALL_VERSIONS.to_vec(),
            Self::Only12 => vec![&rustls::version::TLS12],
            Self::Only13 => vec![&rustls::version::TLS13],
        }
    }
}

/// Which certificate the origin shows; unless it says otherwise, it is in force, for `localhost`,
/// `127.0.0.1` and `::1`, and signed by the CA of this origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// Nothing is wrong with it.
    #[default]
    Good,
    /// Its time ended in 2020.
    Expired,
    /// Its time begins in 2090.
    NotYetValid,
    /// For `wrong.invalid` alone.
    WrongHost,
    /// The common name is `localhost`, and no alternative name is there (RFC 6125, section 6.4.4).
    CommonNameOnly,
    /// Signed by a CA that is not the one of this origin.
    UnknownRoot,
    /// Signed by itself.
    SelfSigned,
    /// Signed by itself, and says that it is a CA: what a plain `openssl req -x509` makes.
    SelfSignedCa,
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

/// What accepts connections, and what clients may be told of it.
pub(crate) struct Accepting {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) ca_pem: String,
    pub(crate) certificate_pem: String,
}

/// Makes a CA and a certificate, and what accepts connections with it.
pub(crate) fn acceptor(tls: Tls, versions: TlsVersions, certificate: Certificate) -> io::Result<Accepting> {
    let Made { ca_pem, leaf, key } = make(certificate).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions.supported())
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = match tls {
        Tls::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Tls::Http1Only => vec![b"http/1.1".to_vec()],
        Tls::Http2Only => vec![b"h2".to_vec()],
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Ok(Accepting { acceptor, ca_pem, certificate_pem: leaf.pem() })
}

struct Made {
    ca_pem: String,
    leaf: rcgen::Certificate,
    key: KeyPair,
}

fn make(certificate: Certificate) -> Result<Made, rcgen::Error> {
    let (ca, ca_key) = ca("gannet-origin test CA")?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let params = leaf(certificate)?;
    let leaf = match certificate {
        Certificate::SelfSigned | Certificate::SelfSignedCa => params.self_signed(&key)?,
        Certificate::UnknownRoot => {
            let (other, other_key) = self::ca("gannet-origin other CA")?;
            params.signed_by(&key, &Issuer::new(other, other_key))?
        }
        _ => params.signed_by(&key, &Issuer::new(ca, ca_key))?,
    };
    Ok(Made { ca_pem, leaf, key })
}

fn ca(name: &str) -> Result<(CertificateParams, KeyPair), rcgen::Error> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, name);
    Ok((ca, KeyPair::generate()?))
}

fn leaf(certificate: Certificate) -> Result<CertificateParams, rcgen::Error> {
    let names: &[&str] = match certificate {
        Certificate::WrongHost => &["wrong.invalid"],
        Certificate::CommonNameOnly => &[],
        _ => &["localhost", "127.0.0.1", "::1"],
    };
    let mut leaf = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    let common_name = if certificate == Certificate::CommonNameOnly { "localhost" } else { "gannet-origin" };
    leaf.distinguished_name.push(DnType::CommonName, common_name);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    match certificate {
        Certificate::Expired => {
            leaf.not_before = rcgen::date_time_ymd(2019, 1, 1);
            leaf.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        Certificate::NotYetValid => {
            leaf.not_before = rcgen::date_time_ymd(2090, 1, 1);
            leaf.not_after = rcgen::date_time_ymd(2091, 1, 1);
        }
        Certificate::SelfSignedCa => {
            leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            leaf.extended_key_usages = Vec::new();
        }
        _ => {}
    }
    Ok(leaf)
}
