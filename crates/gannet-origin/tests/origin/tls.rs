//! TLS: the certificate, what is offered by ALPN, and cuts below it.

use std::sync::Arc;

use gannet_origin::{Certificate, Origin, Tls};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Connected = std::io::Result<TlsStream<tokio::net::TcpStream>>;

async fn connect(origin: &Origin, name: &'static str, protocols: &[&str]) -> Connected {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(origin.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
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
    for (certificate, complaint) in
        [(Certificate::Expired, "Expired"), (Certificate::WrongHost, "NotValidForName")]
    {
        let origin = Origin::builder().tls(Tls::Both).certificate(certificate).start().await.unwrap();
        let error = connect(&origin, "localhost", &[]).await.unwrap_err();
        assert!(format!("{error:?}").contains(complaint), "{error:?}");
        assert!(
            origin.wait_until(|counts| counts.tls_failures == 1, std::time::Duration::from_secs(5)).await
        );
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
