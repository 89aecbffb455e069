//! TLS: the certificate, what is offered by ALPN, and cuts below it.

use std::sync::Arc;

use gannet_origin::{Certificate, Http2Fault, Origin, Tls, TlsFault, TlsVersions};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Connected = std::io::Result<TlsStream<tokio::net::TcpStream>>;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

async fn connect(origin: &Origin, name: &'static str, protocols: &[&str]) -> Connected {
    connect_trusting(origin, origin.ca_pem(), name, protocols).await
}

fn config(trusted_pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

async fn connect_trusting(
    origin: &Origin,
    trusted_pem: &str,
    name: &'static str,
    protocols: &[&str],
) -> Connected {
    let mut config = config(trusted_pem);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
}

async fn chosen(tls: Tls, protocols: &[&str]) -> Option<Vec<u8>> {
    let origin = Origin::builder().tls(tls).start().await.unwrap();
    let stream = connect(&origin, "localhost", protocols).await.ok()?;
    stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
}

#[tokio::test]
async fn alpn_chooses_what_both_sides_speak() {
    let both = ["http/1.1", "h2"];
    assert_eq!(chosen(Tls::Both, &both).await.unwrap(), b"h2");
    assert_eq!(chosen(Tls::Http1Only, &both).await.unwrap(), b"http/1.1");
    assert_eq!(chosen(Tls::Http2Only, &both).await.unwrap(), b"h2");
    assert_eq!(chosen(Tls::Http2Only, &["http/1.1"]).await, None);
}

#[tokio::test]
async fn a_good_certificate_holds_for_the_name_and_the_address() {
    let origin = Origin::builder().tls(Tls::Both).start().await.unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let mut stream = connect(&origin, name, &[]).await.unwrap();
        stream.write_all(b"GET /?text=hi&close HTTP/1.1\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.ends_with("\r\n\r\nhi"));
    }
}

#[tokio::test]
async fn bad_certificates_are_bad_in_the_way_that_was_asked_for() {
    for (certificate, complaint) in [
        (Certificate::Expired, "Expired"),
        (Certificate::NotYetValid, "NotValidYet"),
        (Certificate::WrongHost, "NotValidForName"),
        (Certificate::CommonNameOnly, "NotValidForName"),
        (Certificate::UnknownRoot, "UnknownIssuer"),
        (Certificate::SelfSigned, "UnknownIssuer"),
        (Certificate::SelfSignedCa, "CaUsedAsEndEntity"),
    ] {
        let origin = Origin::builder().tls(Tls::Both).certificate(certificate).start().await.unwrap();
        let error = connect(&origin, "localhost", &[]).await.unwrap_err();
        assert!(format!("{error:?}").contains(complaint), "{certificate:?}: {error:?}");
        assert!(origin.wait_until(|counts| counts.tls_failures == 1, PATIENCE).await);
    }
}

#[tokio::test]
async fn a_self_signed_leaf_holds_for_who_trusts_it_and_no_ca_made_it() {
    let origin = Origin::builder().tls(Tls::Both).certificate(Certificate::SelfSigned);
    let origin = origin.start().await.unwrap();
    assert_ne!(origin.certificate_pem(), origin.ca_pem());
    assert!(connect_trusting(&origin, origin.certificate_pem(), "localhost", &[]).await.is_ok());
}

#[tokio::test]
async fn the_versions_of_tls_are_those_that_were_asked_for() {
    for (versions, spoken) in [
        (TlsVersions::Both, rustls::ProtocolVersion::TLSv1_3),
        (TlsVersions::Only12, rustls::ProtocolVersion::TLSv1_2),
        (TlsVersions::Only13, rustls::ProtocolVersion::TLSv1_3),
    ] {
        let origin = Origin::builder().tls(Tls::Both).tls_versions(versions).start().await.unwrap();
        let stream = connect(&origin, "localhost", &[]).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
    }
}

async fn faulty(fault: TlsFault) -> Origin {
    Origin::builder().tls(Tls::Http1Only).tls_fault(fault).start().await.unwrap()
}

#[tokio::test]
async fn a_handshake_is_cut_at_the_byte_that_was_asked_for() {
    for cut in [0, 1, 5, 100, 500] {
        let origin = faulty(TlsFault::CutAfter(cut)).await;
        let error = connect(&origin, "localhost", &[]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{cut}: {error:?}");
        assert!(origin.wait_until(|counts| counts.tls_failures == 1, PATIENCE).await);
    }
}

#[tokio::test]
async fn exactly_the_bytes_before_a_cut_go_out() {
    let recorded = |cut| async move {
        let origin = faulty(TlsFault::CutAfter(cut)).await;
        let mut config = config(origin.ca_pem());
        config.alpn_protocols.clear();
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let (mut hello, mut heard) = (Vec::new(), Vec::new());
        session.write_tls(&mut hello).unwrap();
        let mut stream = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        stream.read_to_end(&mut heard).await.unwrap();
        heard.len()
    };
    assert_eq!((recorded(0).await, recorded(77).await, recorded(300).await), (0, 77, 300));
}

#[tokio::test]
async fn a_cut_beyond_the_handshake_lies_in_the_reply() {
    let origin = faulty(TlsFault::CutAfter(50_000)).await;
    let mut stream = connect(&origin, "localhost", &[]).await.unwrap();
    stream.write_all(b"GET /?size=90k HTTP/1.1\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    assert!(stream.read_to_end(&mut reply).await.is_err());
    assert!((30_000..50_000).contains(&reply.len()), "{} bytes", reply.len());
}

#[tokio::test]
async fn a_hello_may_get_an_alert() {
    let origin = faulty(TlsFault::Alert).await;
    let error = connect(&origin, "localhost", &[]).await.unwrap_err();
    assert!(format!("{error:?}").contains("AlertReceived(HandshakeFailure)"), "{error:?}");
    assert!(origin.wait_until(|counts| counts.tls_failures == 1, PATIENCE).await);
}

#[tokio::test]
async fn a_hello_may_get_silence_until_the_client_leaves() {
    let origin = faulty(TlsFault::Silence).await;
    let connecting = connect(&origin, "localhost", &[]);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), connecting).await.is_err());
    assert!(origin.wait_until(|counts| counts.open_connections == 0, PATIENCE).await);
}

#[tokio::test]
async fn a_body_without_length_may_end_without_close_notify() {
    for (fault, is_clean) in [(TlsFault::NoCloseNotify, false), (TlsFault::CutAfter(u64::MAX), true)] {
        let origin = faulty(fault).await;
        let mut stream = connect(&origin, "localhost", &[]).await.unwrap();
        stream.write_all(b"GET /?text=whole&no-length HTTP/1.1\r\n\r\n").await.unwrap();
        let mut reply = Vec::new();
        assert_eq!(stream.read_to_end(&mut reply).await.is_ok(), is_clean, "{fault:?}");
        assert!(reply.ends_with(b"whole"));
    }
}

#[tokio::test]
async fn a_fin_under_tls_comes_without_close_notify_and_a_truncation_with_it() {
    let origin = Origin::builder().tls(Tls::Both).start().await.unwrap();
    for (cut, is_clean) in [("fin=50", false), ("truncate=50", true), ("reset=50", false)] {
        let mut stream = connect(&origin, "localhost", &[]).await.unwrap();
        stream.write_all(format!("GET /?size=99&{cut} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        assert_eq!(stream.read_to_end(&mut reply).await.is_ok(), is_clean, "{cut}");
        assert!(reply.len() >= 50, "{cut}");
    }
}

#[tokio::test]
async fn http2_runs_over_tls() {
    let origin = Origin::builder().tls(Tls::Http2Only).start().await.unwrap();
    let stream = connect(&origin, "localhost", &["h2"]).await.unwrap();
    let (mut requests, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(origin.url("/?text=hi")).body(String::new()).unwrap();
    assert_eq!(requests.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_fault_of_http2_comes_over_tls_and_http1_is_served_beside_it() {
    let builder = Origin::builder().tls(Tls::Both).http2_fault(Http2Fault::Http11Required);
    let origin = builder.start().await.unwrap();
    let stream = connect(&origin, "localhost", &["h2", "http/1.1"]).await.unwrap();
    let (mut requests, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(origin.url("/")).body(String::new()).unwrap();
    let error = requests.send_request(request).await.unwrap_err();
    assert!(format!("{error:?}").contains("HTTP_1_1_REQUIRED"), "{error:?}");
    let mut stream = connect(&origin, "localhost", &["http/1.1"]).await.unwrap();
    stream.write_all(b"GET /?text=hi&close HTTP/1.1\r\n\r\n").await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert!(reply.ends_with(b"\r\n\r\nhi"));
}
