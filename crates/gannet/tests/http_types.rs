//! The `http` crate's requests go in and its responses come out, over real sockets.

use bytes::Bytes;
use gannet::{Body, Client, ErrorKind};
use gannet_origin::Origin;
use http_body::Body as _;
use serde_json::Value;

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

#[tokio::test]
async fn a_request_of_the_http_crate_is_sent_as_it_is() {
    let origin = origin().await;
    let request = http::Request::put(origin.url("/echo?a=b")).header("x-mine", "yes").body("hello");
    let told: Value =
        Client::new().send(request.expect("a request")).into_json().await.expect("it is echoed");
    assert_eq!((told["method"].as_str(), told["path"].as_str()), (Some("PUT"), Some("/echo?a=b")));
    assert_eq!(told["body"].as_str(), Some("hello"));
    assert!(told["headers"].to_string().contains("\"x-mine\",\"yes\""), "{told}");

    let nothing = http::Request::get(origin.url("/echo")).body(()).expect("a request");
    let told: Value = Client::new().send(nothing).into_json().await.expect("it is echoed");
    assert_eq!((told["method"].as_str(), told["body"].as_str()), (Some("GET"), Some("")));
}

#[tokio::test]
async fn a_request_without_an_absolute_url_is_an_error_on_await() {
    let request = http::Request::get("/only/a/path").body(()).expect("a request");
    let error = Client::new().send(request).await.expect_err("nobody knows the host");
    assert_eq!(error.kind(), ErrorKind::BadUrl);
}

#[tokio::test]
async fn a_secret_field_of_such_a_request_is_not_shown() {
    let request = http::Request::get("http://host/").header("authorization", "Bearer secret").body(());
    let request = gannet::IntoRequest::into_request(request.expect("a request")).expect("a URL");
    assert!(!format!("{request:?}").contains("secret"));
}

#[tokio::test]
async fn a_response_of_the_http_crate_has_the_body_on_its_way() {
    let origin = origin().await;
    let response = Client::new().get(origin.url("/?size=100000")).await.expect("it is there").into_http();
    assert_eq!(
        (response.status(), response.headers()["content-length"].as_bytes()),
        (http::StatusCode::OK, &b"100000"[..])
    );
    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(100_000));
    let first = body.next().await.expect("there is more").expect("it comes").len() as u64;
    assert_eq!(body.size_hint().exact(), Some(100_000 - first));
    let mut rest = 0;
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        rest += frame.expect("it comes").into_data().expect("it is data").len() as u64;
    }
    assert_eq!((first + rest, body.is_end_stream()), (100_000, true));

    let chunked = Client::new().get(origin.url("/?size=10&chunked")).await.expect("there").into_http();
    assert_eq!(chunked.body().size_hint().exact(), None);
}

#[tokio::test]
async fn the_body_of_a_response_can_be_that_of_another_request() {
    let origin = origin().await;
    let client = Client::new();
    let download = client.get(origin.url("/?text=passed+on")).await.expect("it is there").into_http();
    let upload = client.post(origin.url("/echo")).body(Body::wrap(download.into_body()));
    let told: Value = upload.into_json().await.expect("it is echoed");
    assert_eq!(told["body"].as_str().map(str::len), Some("passed on".len()), "{told}");
    assert!(told["headers"].to_string().contains("content-length"), "{told}");
}

#[tokio::test]
async fn an_outcome_becomes_a_response() {
    let origin = origin().await;
    let urls = [origin.url("/?text=hi"), origin.url("/?status=404")];
    let mut outcomes = Client::new().fetch_all(urls).await.into_iter();
    let response = outcomes.next().expect("two").into_http().expect("it was obtained");
    assert_eq!((response.status(), response.body()), (http::StatusCode::OK, &Bytes::from_static(b"hi")));
    let error = outcomes.next().expect("two").into_http().expect_err("it is gone");
    assert_eq!(error.status(), Some(http::StatusCode::NOT_FOUND));
}
