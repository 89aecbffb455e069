//! The client under tower's own layers, over real sockets.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use gannet::{Body, Client, Error, ErrorKind};
use gannet_origin::Origin;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

fn get(url: String) -> http::Request<&'static str> {
    http::Request::get(url).body("").expect("a request")
}

async fn text(response: http::Response<gannet::Chunks>) -> String {
    let pieces: Vec<Bytes> = response.into_body().map(|piece| piece.expect("it comes")).collect().await;
    String::from_utf8(pieces.concat()).expect("it is text")
}

#[tokio::test]
async fn a_client_serves_under_a_buffer_and_a_timeout() {
    let origin = origin().await;
    let limit = Duration::from_millis(200);
    let mut service = ServiceBuilder::new().buffer(8).timeout(limit).service(Client::new());
    let served = service.ready().await.expect("it is ready").call(get(origin.url("/?text=hi"))).await;
    assert_eq!(text(served.expect("it is served")).await, "hi");
    let late = service.ready().await.expect("it is ready").call(get(origin.url("/?never"))).await;
    assert!(late.expect_err("tower cuts it").is::<tower::timeout::error::Elapsed>());
    let gone = origin.wait_until(|counts| counts.in_flight == 0, Duration::from_secs(5)).await;
    assert!(gone, "the request ended with its future");
}

#[tokio::test]
async fn a_response_of_any_status_is_ok_and_a_failure_is_an_error_of_ours() {
    let origin = origin().await;
    let response = Client::new().oneshot(get(origin.url("/?status=503&text=busy"))).await;
    let response = response.expect("a reply is a reply");
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (503, "busy"));
    assert_eq!(origin.requests_to("/"), 1);
    let error: Error =
        Client::new().oneshot(get("ftp://host/".to_owned())).await.expect_err("no such scheme");
    assert_eq!(error.kind(), ErrorKind::BadScheme);
}

#[tokio::test]
async fn bodies_of_other_libraries_go_in_by_a_layer() {
    let origin = origin().await;
    let client = Client::new();
    let service = ServiceBuilder::new()
        .map_request(|request: http::Request<String>| request.map(Body::wrap))
        .service(&client);
    let request = http::Request::put(origin.url("/echo")).body("wrapped".to_owned()).expect("a request");
    assert!(text(service.oneshot(request).await.expect("it is echoed")).await.contains("wrapped"));
}
