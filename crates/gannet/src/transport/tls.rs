//! TLS by rustls with one explicit provider; the platform's verifier is built at the first https URL. The
//! process-wide default provider is neither read nor set.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::connect::{HttpVersions, Io};
use super::fault;
use crate::error::{Error, ErrorKind, Phase};

/// Whom a client trusts.
#[derive(Debug, Clone, Default)]
pub(crate) enum Trust {
    /// What the platform trusts.
    #[default]
    Platform,
    /// The authorities of this PEM text, and no others.
    Authorities(Arc<[u8]>),
    /// Everybody; signatures are still checked.
    Anybody,
}

/// The oldest TLS version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246) or 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];

impl TlsVersion {
    /// This version and all that are newer.
    fn onwards(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Tls12 => rustls::ALL_VERSIONS,
            Self::Tls13 => &ONLY_13,
        }
    }
}

/// Makes TLS sessions; its settings are built once, when first needed.
pub(crate) struct Tls {
    trust: Trust,
    versions: HttpVersions,
    oldest: TlsVersion,
    config: OnceLock<Result<Arc<ClientConfig>, Error>>,
}

impl Tls {
    pub(crate) fn new(trust: Trust, versions: HttpVersions, oldest: TlsVersion) -> Self {
        Self { trust, versions, oldest, config: OnceLock::new() }
    }

    /// Shakes hands over `io`.
    ///
    /// # Cancel safety
    /// Dropping it closes the stream.
    pub(crate) async fn handshake(
        &self,
        io: Io,
        host: &str,
        address: Option<SocketAddr>,
    ) -> Result<tokio_rustls::client::TlsStream<Io>, Error> {
        let build = || build(provider(), &self.trust, self.versions, self.oldest);
        let config = self.config.get_or_init(build).clone()?;
        let name = ServerName::try_from(host.to_owned()).map_err(|cause| {
            let message = format!("{host} cannot stand in a certificate");
            Error::new(ErrorKind::BadUrl, Phase::Tls, message).caused_by(cause)
        })?;
        let handshake = TlsConnector::from(config).connect(name, io).await;
        handshake.map_err(|cause| fault::handshake(cause, host, address))
    }
}

/// The cryptography that the features name; with both of them, aws-lc's.
fn provider() -> CryptoProvider {
    #[cfg(feature = "tls-aws-lc")]
    use rustls::crypto::aws_lc_rs as named;
    #[cfg(not(feature = "tls-aws-lc"))]
    use rustls::crypto::ring as named;
    named::default_provider()
}

fn build(
    provider: CryptoProvider,
    trust: &Trust,
    versions: HttpVersions,
    oldest: TlsVersion,
) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(oldest.onwards())
        .map_err(|cause| settings("the TLS versions cannot be used", cause))?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Platform => Arc::new(
            rustls_platform_verifier::Verifier::new(provider)
                .map_err(|cause| settings("the platform's certificates cannot be read (--cacert)", cause))?,
        ),
        Trust::Authorities(pem) => {
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(pem)?), provider)
                .build()
                .map_err(|cause| settings("the authorities of --cacert cannot be used", cause))?
        }
        Trust::Anybody => Arc::new(TrustAnybody(provider.signature_verification_algorithms)),
    };
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = match versions {
        HttpVersions::Auto if cfg!(feature = "http2") => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersions::Auto | HttpVersions::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersions::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(config))
}

/// The authorities in a PEM text.
pub(crate) fn authorities(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|cause| settings("the PEM text is broken", cause))?;
        roots.add(certificate).map_err(|cause| settings("a certificate in the PEM text is broken", cause))?;
    }
    if roots.is_empty() {
        return Err(Error::new(ErrorKind::TlsSettings, Phase::Tls, "the PEM text holds no certificate"));
    }
    Ok(roots)
}

fn settings(message: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = format!("{message}: {cause}");
    Error::new(ErrorKind::TlsSettings, Phase::Tls, message).caused_by(cause)
}

/// Takes any certificate, as `-k` asks for; the handshake's signatures are checked all the same.
#[derive(Debug)]
struct TrustAnybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(all(test, feature = "tls", feature = "tls-aws-lc"))]
mod tests {
    use rustls::NamedGroup::X25519MLKEM768;
    use rustls::crypto::{aws_lc_rs, ring};

    use super::*;

    #[tokio::test]
    async fn hands_are_shaken_with_the_cryptography_of_either() {
        let origin = gannet_origin::Origin::builder()
            .tls(gannet_origin::Tls::Both)
            .start()
            .await
            .expect("a port is free");
        let pem = origin.ca_pem().as_bytes();
        for (provider, is_hybrid) in
            [(ring::default_provider(), false), (aws_lc_rs::default_provider(), true)]
        {
            for (pem, is_trusted) in [(Some(pem), true), (None, false)] {
                let trust = pem.map_or(Trust::Platform, |pem| Trust::Authorities(pem.into()));
                let tls = Tls::new(trust, HttpVersions::Auto, TlsVersion::Tls12);
                let config =
                    build(provider.clone(), &tls.trust, tls.versions, tls.oldest).expect("it is built");
                tls.config.set(Ok(config)).expect("it is the first");
                let stream = tokio::net::TcpStream::connect(origin.addr()).await.expect("it listens");
                let shaken = tls.handshake(Io::Tcp(stream), "localhost", None).await;
                match shaken {
                    Ok(stream) => {
                        let (_, session) = stream.get_ref();
                        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
                        let group = session.negotiated_key_exchange_group().map(|group| group.name());
                        assert_eq!(group == Some(X25519MLKEM768), is_hybrid, "{group:?}");
                        assert!(is_trusted, "nobody signed for it");
                    }
                    Err(error) => assert_eq!((error.kind(), is_trusted), (ErrorKind::CertUntrusted, false)),
                }
            }
        }
    }

    #[test]
    fn with_both_features_the_cryptography_is_that_of_aws_lc() {
        let groups = |provider: CryptoProvider| {
            provider.kx_groups.iter().map(|group| group.name()).collect::<Vec<_>>()
        };
        assert_eq!(groups(provider()), groups(aws_lc_rs::default_provider()));
        assert_ne!(groups(provider()), groups(ring::default_provider()));
    }
}
