//! The same behaviours over HTTP/2 by prior knowledge, seen through hyper's client.

use std::time::Duration;

use bytes::Bytes;
use gannet_origin::{HowEnded, Origin, OriginBuilder, body};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

const SOON: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

async fn connect(origin: &Origin) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
    let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    requests
}

pub(crate) struct Client {
    pub(crate) origin: Origin,
    requests: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn new() -> Self {
        Self::of(Origin::builder()).await
    }

    pub(crate) async fn of(builder: OriginBuilder) -> Self {
        let origin = builder.start().await.unwrap();
        let requests = connect(&origin).await;
        Self { origin, requests }
    }

    /// Goes on over another connection.
    pub(crate) async fn connect_anew(&mut self) {
        self.requests = connect(&self.origin).await;
    }

    pub(crate) async fn send(
        &mut self,
        path: &str,
        body: &'static str,
    ) -> hyper::Result<(http::response::Parts, Bytes)> {
        let request = http::Request::post(self.origin.url(path)).body(Full::from(body)).unwrap();
        let (head, body) = self.requests.send_request(request).await?.into_parts();
        Ok((head, body.collect().await?.to_bytes()))
    }

    /// Asks with these header fields.
    pub(crate) async fn ask(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> hyper::Result<(http::response::Parts, Bytes)> {
        let mut request = http::Request::get(self.origin.url(path)).body(Full::default()).unwrap();
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let (head, body) = self.requests.send_request(request).await?.into_parts();
        Ok((head, body.collect().await?.to_bytes()))
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<(http::response::Parts, Bytes)> {
        self.send(path, "").await
    }

    /// Sends a request, waits until it is in flight, and leaves it.
    async fn leave(&mut self, path: &str) {
        let request = http::Request::get(self.origin.url(path)).body(Full::default()).unwrap();
        let reply = tokio::spawn(self.requests.send_request(request));
        assert!(self.origin.wait_until(|counts| counts.in_flight == 1, PATIENCE).await, "{path}");
        reply.abort();
    }
}

#[tokio::test]
async fn a_body_comes_whole_beyond_the_window() {
    let (head, bytes) = Client::new().await.get("/?size=5m&seed=3").await.unwrap();
    assert_eq!((head.status.as_u16(), bytes), (200, body(5 << 20, 3)));
}

#[tokio::test]
async fn prior_knowledge_is_told_by_the_preface_and_an_echo_says_so() {
    let (_, told) = Client::new().await.send("/echo?a", "hi").await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(
        (&told["version"], &told["body"], &told["path"]),
        (&"HTTP/2.0".into(), &"hi".into(), &"/echo?a".into())
    );
}

#[tokio::test]
async fn statuses_headers_and_redirects_are_as_asked() {
    let mut client = Client::new().await;
    let (head, _) = client.get("/?status=503&header=Retry-After:1&delay=5").await.unwrap();
    assert_eq!((head.status.as_u16(), &head.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(client.get("/a?hops=1").await.unwrap().0.headers["location"], "/a?hops=0");
}

#[tokio::test]
async fn cuts_of_the_body_are_errors_for_the_client() {
    let mut client = Client::new().await;
    for query in [
        "size=9&reset=0",
        "size=9&reset=4",
        "size=9&reset=9",
        "size=9&truncate=4",
        "size=9&fin=4",
        "size=9&lie=+1",
        "size=9&chunked&truncate=4",
    ] {
        assert!(client.get(&format!("/?{query}")).await.is_err(), "{query} was taken for whole");
    }
    assert!(client.origin.wait_until(|counts| counts.replies_cut == 7, PATIENCE).await);
    assert_eq!(client.get("/?text=a").await.unwrap().1, "a");
}

#[tokio::test]
async fn the_bytes_before_a_reset_arrive() {
    let client = &mut Client::new().await;
    let request = http::Request::get(client.origin.url("/?size=9&reset=4")).body(Full::default()).unwrap();
    let mut body = client.requests.send_request(request).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 4);
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_that_the_client_resets_is_seen_within_50_ms() {
    for query in ["never", "delay=9s", "stall-at=0"] {
        let mut client = Client::new().await;
        client.leave(&format!("/?{query}")).await;
        assert!(client.origin.wait_until(|c| c.replies_aborted_by_client == 1, SOON).await, "{query}");
        assert_eq!(client.get("/?text=a").await.unwrap().1, "a");
    }
}

#[tokio::test]
async fn a_body_that_the_client_leaves_is_seen_within_50_ms() {
    for query in ["size=9&stall=3", "size=9&drip=1/9s", "size=9&body-delay=9s", "size=1g"] {
        let mut client = Client::new().await;
        let request = http::Request::get(client.origin.url(&format!("/?{query}"))).body(Full::default());
        drop(client.requests.send_request(request.unwrap()).await.unwrap());
        assert!(client.origin.wait_until(|c| c.replies_aborted_by_client == 1, SOON).await, "{query}");
    }
}

#[tokio::test]
async fn a_connection_that_goes_takes_its_streams_with_it() {
    let mut client = Client::new().await;
    let stream = tokio::net::TcpStream::connect(client.origin.addr()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(client.origin.url("/?never")).body(()).unwrap();
    let _reply = requests.send_request(request, true).unwrap();
    assert!(client.origin.wait_until(|counts| counts.in_flight == 1, PATIENCE).await);
    connection.abort();
    assert!(client.origin.wait_until(|c| c.replies_aborted_by_client == 1, SOON).await);
    assert!(matches!(client.origin.requests()[0].ended, Some((_, HowEnded::ClientLeft))));
    assert_eq!(client.get("/?text=a").await.unwrap().1, "a");
}

#[tokio::test]
async fn a_close_lets_the_open_stream_end_and_takes_no_other() {
    let mut client = Client::new().await;
    assert_eq!(client.get("/?close&text=a").await.unwrap().1, "a");
    assert!(client.origin.wait_until(|counts| counts.open_connections == 0, PATIENCE).await);
    assert!(client.get("/").await.is_err());
}
