//! Request bodies that come as streams, over real sockets: what goes out, that it goes out once, and who is judged
//! while it stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt as _, Stream, StreamExt as _, stream};
use gannet::{Body, Client, ErrorKind, Form, HttpVersions, Part, Phase};
use gannet_origin::Origin;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

type Piece = Result<Bytes, std::io::Error>;

const SPENT: &str = "the body was a stream and cannot be sent again";

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

fn client(versions: HttpVersions) -> Client {
    let short = Duration::from_millis(1);
    Client::builder().http_versions(versions).backoff(short, short).build().expect("the settings agree")
}

fn pieces<const N: usize>(texts: [&'static str; N]) -> impl Stream<Item = Piece> + Send + 'static {
    stream::iter(texts).map(|text| Ok(Bytes::from_static(text.as_bytes())))
}

/// Sends a body to `/echo`, and gives the body and one header field as the server read them.
async fn echoed(client: &Client, origin: &Origin, body: Body, field: &str) -> (String, Option<String>) {
    let told: Value = client.post(origin.url("/echo")).body(body).into_json().await.expect("it is echoed");
    let fields = told["headers"].as_array().expect("fields are told");
    let found = fields.iter().find(|pair| pair[0].as_str().is_some_and(|it| it.eq_ignore_ascii_case(field)));
    (
        told["body"].as_str().unwrap_or_default().to_owned(),
        found.and_then(|pair| pair[1].as_str()).map(ToOwned::to_owned),
    )
}

#[tokio::test]
async fn a_stream_goes_out_with_its_length_or_in_chunks_over_either_version() {
    let origin = origin().await;
    for versions in [HttpVersions::Http1, HttpVersions::Http2] {
        let client = client(versions);
        let known = Body::stream(pieces(["one ", "", "two"]), Some(7));
        let (body, length) = echoed(&client, &origin, known, "content-length").await;
        assert_eq!((body.as_str(), length.as_deref()), ("one two", Some("7")), "{versions:?}");
        let unknown = Body::stream(pieces(["one ", "two"]), None);
        let (body, length) = echoed(&client, &origin, unknown, "content-length").await;
        assert_eq!((body.as_str(), length), ("one two", None), "{versions:?}");
    }
    let unknown = Body::stream(pieces(["x"]), None);
    let (_, coding) = echoed(&client(HttpVersions::Http1), &origin, unknown, "transfer-encoding").await;
    assert_eq!(coding.as_deref(), Some("chunked"));
}

#[tokio::test]
async fn a_get_with_a_stream_of_unknown_length_is_sent_in_chunks() {
    let origin = origin().await;
    let body = Body::stream(pieces(["asked"]), None);
    let told: Value = Client::new().get(origin.url("/echo")).body(body).into_json().await.expect("echoed");
    assert_eq!((told["method"].as_str(), told["body"].as_str()), (Some("GET"), Some("asked")));
}

#[tokio::test]
async fn a_stream_that_does_not_keep_its_length_or_fails_fails_the_fetch_and_closes_the_connection() {
    let origin = origin().await;
    for versions in [HttpVersions::Http1, HttpVersions::Http2] {
        let client = client(versions);
        let failing = pieces(["one"]).chain(stream::iter([Err(std::io::Error::other("no more paper"))]));
        for (body, what) in [
            (Body::stream(pieces(["one"]), Some(4)), "ended 1 bytes before its length"),
            (Body::stream(pieces(["one", "two"]), Some(4)), "gave more bytes than its length"),
            (Body::stream(pieces(["four", "x"]), Some(4)), "gave more bytes than its length"),
            (Body::stream(failing, None), "no more paper"),
        ] {
            let error = client.put(origin.url("/echo")).body(body).text().await.expect_err("it fails");
            assert_eq!((error.kind(), error.phase()), (ErrorKind::BadRequest, Phase::Send), "{error}");
            assert!(error.message().contains(what), "{error}");
            assert_eq!(error.attempts().len(), 1);
        }
        if versions == HttpVersions::Http1 {
            assert_eq!(client.gauges().idle_connections, 0, "no connection serves again");
        }
        assert_eq!(client.gauges().permits, 0);
    }
}

#[tokio::test]
async fn a_stream_that_was_taken_is_not_sent_again_by_a_retry() {
    let origin = origin().await;
    let body = Body::stream(pieces(["once"]), None);
    let url = origin.url("/?script=503,200");
    let error = client(HttpVersions::Http1).put(url).body(body).text().await.expect_err("it fails");
    assert_eq!((error.status().map(|status| status.as_u16()), error.attempts().len()), (Some(503), 1));
    assert!(error.message().contains(SPENT), "{error}");
    assert_eq!(origin.requests_to("/"), 1);
}

#[tokio::test]
async fn a_stream_of_which_nothing_was_taken_goes_to_the_next_mirror_even_by_post() {
    let origin = origin().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let dead = format!("http://{}/echo", closed.local_addr().expect("it is bound"));
    drop(closed);
    let body = Body::stream(pieces(["whole"]), Some(5));
    let fetch = client(HttpVersions::Http1).post(dead).mirror(&origin.url("/echo")).body(body);
    let told: Value = fetch.into_json().await.expect("the mirror has it");
    assert_eq!(told["body"].as_str(), Some("whole"));
}

#[tokio::test]
async fn a_redirect_that_keeps_the_body_fails_and_one_that_drops_it_is_followed() {
    let origin = origin().await;
    let client = client(HttpVersions::Http1);
    let keeps = origin.url("/?status=307&redirect=/echo");
    let error = client.post(keeps).body(Body::stream(pieces(["x"]), None)).text().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::RedirectRefused, "{error}");
    assert!(error.message().contains(SPENT), "{error}");
    let drops = origin.url("/?status=303&redirect=/echo");
    let told: Value =
        client.post(drops).body(Body::stream(pieces(["x"]), None)).into_json().await.expect("followed");
    assert_eq!((told["method"].as_str(), told["body"].as_str()), (Some("GET"), Some("")));
}

#[tokio::test]
async fn clones_share_the_stream_and_the_first_taker_has_it() {
    let origin = origin().await;
    let request = gannet::Request::new(&origin.url("/echo")).expect("a URL");
    let request = request.method(http::Method::PUT).body(Body::stream(pieces(["x"]), None));
    let client = client(HttpVersions::Http1);
    client.send(&request).text().await.expect("the first has it");
    let error = client.send(&request).text().await.expect_err("it is gone");
    assert_eq!((error.kind(), error.message()), (ErrorKind::BadRequest, SPENT));
    assert_eq!(origin.requests_to("/echo"), 1);
}

#[tokio::test]
async fn a_race_over_one_stream_is_refused_and_a_hedge_of_a_stream_never_starts() {
    let origin = origin().await;
    let request = gannet::Request::new(&origin.url("/echo")).expect("a URL");
    let request = request.method(http::Method::PUT).body(Body::stream(pieces(["x"]), None));
    let client = client(HttpVersions::Http1);
    let failed = client.fetch_first([request.clone(), request]).text().await.expect_err("refused");
    assert!(failed.errors.iter().all(|error| error.message().contains("one stream")), "{failed}");
    let body = Body::stream(pieces(["x"]), None);
    let slow = client.put(origin.url("/?delay=200ms")).body(body).hedge(Duration::from_millis(10));
    assert_eq!(slow.await.expect("it is answered").attempts().len(), 1);
    assert_eq!(origin.requests_to("/"), 1);
}

/// A stream that counts what was asked of it.
fn counted(asked: &Arc<AtomicUsize>) -> impl Stream<Item = Piece> + Send + 'static {
    let asked = Arc::clone(asked);
    stream::repeat_with(move || {
        asked.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_static(&[0; 64 << 10]))
    })
}

#[tokio::test]
async fn a_server_that_reads_nothing_holds_the_stream_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let asked = Arc::new(AtomicUsize::new(0));
    let client = Client::builder().read_timeout(Duration::from_millis(300)).retries(0).build();
    let client = client.expect("the settings agree");
    let fetch = client.post(url).body(Body::stream(counted(&asked), None)).text();
    let error = fetch.await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::FirstByteTimeout, "{error}");
    let taken = asked.load(Ordering::Relaxed) * (64 << 10);
    assert!(taken < 64 << 20, "{taken} bytes were read ahead of a server that reads nothing");
    drop(listener);
}

#[tokio::test]
async fn a_stream_that_stands_still_is_not_the_servers_silence_and_the_deadline_still_rules() {
    let origin = origin().await;
    let client = Client::builder().read_timeout(Duration::from_millis(50)).build().expect("they agree");
    let (mut give, take) = mpsc::channel::<Piece>(0);
    let url = origin.url("/echo");
    let fetch = client.post(&url).body(Body::stream(take, None)).text().spawn();
    give.send(Ok(Bytes::from_static(b"late "))).await.expect("it is taken");
    // Far beyond the limit that a server has.
    tokio::time::sleep(Duration::from_millis(400)).await;
    give.send(Ok(Bytes::from_static(b"but whole"))).await.expect("it is taken");
    drop(give);
    assert!(fetch.await.expect("nobody is judged").contains("late but whole"));

    let (give, take) = mpsc::channel::<Piece>(0);
    let stuck = client.post(&url).body(Body::stream(take, None)).text().timeout(Duration::from_millis(200));
    assert_eq!(stuck.await.expect_err("its time is over").kind(), ErrorKind::ItemDeadline);
    drop(give);
}

/// A stream that never gives anything, and tells when it is dropped.
fn stuck() -> (mpsc::Sender<Piece>, Body) {
    let (give, take) = mpsc::channel::<Piece>(0);
    (give, Body::stream(take, None))
}

#[tokio::test]
async fn a_dropped_fetch_drops_its_stream_over_either_version() {
    let origin = origin().await;
    for versions in [HttpVersions::Http1, HttpVersions::Http2] {
        let client = client(versions);
        let (mut give, body) = stuck();
        let fetch = client.post(origin.url("/echo")).body(body).text().spawn().cancel_on_drop();
        give.send(Ok(Bytes::from_static(b"begun"))).await.expect("it is taken");
        drop(fetch);
        let gone = std::future::poll_fn(|cx| match give.poll_ready(cx) {
            std::task::Poll::Ready(Err(_)) => std::task::Poll::Ready(()),
            std::task::Poll::Ready(Ok(())) => {
                let _ = give.try_send(Ok(Bytes::new()));
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
            std::task::Poll::Pending => std::task::Poll::Pending,
        });
        timeout(Duration::from_secs(5), gone).await.expect("the stream is dropped");
    }
}

#[tokio::test]
async fn a_reply_that_is_over_before_the_stream_ends_the_stream_and_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody connects");
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        // Until the other side closes.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let (mut give, body) = stuck();
    let client = client(HttpVersions::Http1);
    assert_eq!(client.post(url).body(body).text().await.expect("it is answered"), "ok");
    timeout(Duration::from_secs(5), server).await.expect("it is closed").expect("it runs");
    assert!(give.send(Ok(Bytes::new())).await.is_err(), "the stream is gone");
    assert_eq!(client.gauges().idle_connections, 0);
}

#[tokio::test]
async fn a_file_is_sent_in_pieces_and_one_that_changed_is_an_error() {
    let origin = origin().await;
    let path = std::env::temp_dir().join(format!("gannet-body-{}", std::process::id()));
    std::fs::write(&path, "x".repeat(200_000)).expect("it can be written");
    let client = client(HttpVersions::Http1);
    let (body, length) =
        echoed(&client, &origin, Body::file(&path).expect("it is there"), "content-length").await;
    assert_eq!((body.len(), length.as_deref()), (200_000, Some("200000")));
    for (now, how) in [(100_000, "shorter"), (300_000, "longer")] {
        std::fs::write(&path, "x".repeat(200_000)).expect("it can be written");
        let body = Body::file(&path).expect("it is there");
        std::fs::write(&path, "x".repeat(now)).expect("it can be written");
        let error = client.put(origin.url("/echo")).body(body).text().await.expect_err("it changed");
        assert!(error.message().contains(how) && error.kind() == ErrorKind::BadRequest, "{error}");
    }
    std::fs::remove_file(&path).expect("it is ours");
    let error = Body::file(&path).expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::BadRequest);
}

#[tokio::test]
async fn a_form_with_a_file_goes_out_with_its_length_and_one_with_an_endless_part_in_chunks() {
    let origin = origin().await;
    let path = std::env::temp_dir().join(format!("gannet-form-{}.txt", std::process::id()));
    std::fs::write(&path, "of a file").expect("it can be written");
    let client = client(HttpVersions::Http1);
    let form = Form::new().text("a", "of a text").file("b", &path).expect("it is there");
    let fields = form.content_type().to_str().expect("it is text").to_owned();
    let told: Value = client.post(origin.url("/echo")).multipart(form).into_json().await.expect("echoed");
    let boundary = fields.rsplit_once('=').expect("it has a boundary").1;
    let name = path.file_name().expect("it has a name").to_string_lossy();
    let whole = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nof a text\r\n--{boundary}\r\n\
         Content-Disposition: form-data; name=\"b\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\nof a file\r\n--{boundary}--\r\n"
    );
    assert_eq!(told["body"].as_str(), Some(whole.as_str()));
    assert!(told["headers"].to_string().contains(&fields), "{told}");
    assert!(told["headers"].to_string().contains(&format!("\"{}\"", whole.len())), "{told}");
    std::fs::remove_file(&path).expect("it is ours");

    let endless = Part::new(Body::stream(pieces(["of a ", "stream"]), None));
    let (body, coding) =
        echoed(&client, &origin, Form::new().part("c", endless).into_body(), "transfer-encoding").await;
    assert!(body.contains("\r\n\r\nof a stream\r\n--"), "{body}");
    assert_eq!(coding.as_deref(), Some("chunked"));
}

#[tokio::test]
async fn a_file_and_a_form_with_one_go_out_again_by_retries_redirects_hedges_and_clones() {
    let origin = origin().await;
    let path = std::env::temp_dir().join(format!("gannet-again-{}", std::process::id()));
    std::fs::write(&path, "x".repeat(200_000)).expect("it can be written");
    // A host that has just refused is not hedged.
    let unhurt = client(HttpVersions::Http1);
    let client = client(HttpVersions::Http1);
    let file = Body::file(&path).expect("it is there");
    let form = Form::new().file("f", &path).expect("it is there").text("t", "1").into_body();
    for (body, name) in [(file, "file"), (form, "form")] {
        let length = body.length().expect("it is known");
        let put = |query: String| client.put(origin.url(&query)).body(body.clone());
        let retried = put(format!("/{name}?script=503,200")).await.expect("the second serves");
        assert_eq!(retried.attempts().len(), 2);
        let kept = put("/r?status=307&redirect=/echo".to_owned());
        let told: Value = kept.into_json().await.expect("it is sent on");
        assert_eq!(told["body"].as_str().map(|text| text.len() as u64), Some(length));
        let slow = unhurt.put(origin.url(&format!("/{name}?delay=200ms"))).body(body.clone());
        let slow = slow.hedge(Duration::from_millis(10));
        assert_eq!(slow.await.expect("it is answered").attempts().len(), 2);
        let legs = [1, 2].map(|leg| {
            let request = gannet::Request::new(&origin.url(&format!("/echo/{leg}"))).expect("a URL");
            request.method(http::Method::PUT).body(body.clone())
        });
        client.fetch_first(legs).text().await.expect("each leg has it");
    }
    let changed = Body::file(&path).expect("it is there");
    std::fs::write(&path, "shorter").expect("it can be written");
    let error =
        client.put(origin.url("/?script=503,200")).body(changed).text().await.expect_err("it changed");
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::BadRequest, 1), "{error}");
    std::fs::remove_file(&path).expect("it is ours");
}

#[tokio::test]
async fn a_form_of_texts_is_retried_and_a_part_that_lies_about_its_length_is_told() {
    let origin = origin().await;
    let client = client(HttpVersions::Http1);
    let fetch = client.put(origin.url("/?script=503,200")).multipart(Form::new().text("a", "b"));
    assert_eq!(fetch.await.expect("the second serves").attempts().len(), 2);
    let short = Part::new(Body::stream(pieces(["x"]), Some(2)));
    let form = Form::new().part("a", short).text("b", "c");
    let error = client.post(origin.url("/echo")).multipart(form).text().await.expect_err("it lies");
    assert!(error.message().contains("a part of the form ended 1 bytes before its length"), "{error}");
}
