//! What held a fetch up, or let it run on, though it had no right to: bodies that wait for their turn, streams that
//! stand still, readers that are slow, refused replies that are kept, codings that nobody asked for.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use gannet::sim::{Answer, Replies};
use gannet::sink::Ordered;
use gannet::{Body, Client, ClientBuilder, Decoding, Ending, ErrorKind, HttpVersions, Outcome};
use gannet_origin::Origin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// Counts what is written.
#[derive(Clone, Default)]
struct Scale(Arc<Mutex<u64>>);

impl Scale {
    fn bytes(&self) -> u64 {
        *self.0.lock().expect("nobody panics with it")
    }
}

impl Write for Scale {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        *self.0.lock().expect("nobody panics with it") += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn origin() -> Origin {
    Origin::start_in_thread(Origin::builder()).expect("a port is free")
}

fn client(with: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    with(Client::builder()).build().expect("settings agree")
}

async fn all(client: &Client, urls: Vec<String>, sink: &Ordered) -> Vec<Outcome> {
    let each = client.fetch_each(urls).concurrency(20).save_with(Arc::new(sink.clone()));
    timeout(LONG, each.collect()).await.expect("it does not hang")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_wait_for_their_turn_do_not_starve_it_on_one_connection() {
    let (origin, scale) = (origin(), Scale::default());
    let client = client(|builder| {
        builder.http_versions(HttpVersions::Http2).read_timeout(Duration::from_secs(3)).retries(0)
    });
    let sink = Ordered::to(scale.clone()).hold(1).spill(0);
    let size = |index| if index == 0 { "30m" } else { "2m" };
    let urls = (0..20).map(|index| origin.url(&format!("/{index}?size={}", size(index)))).collect();
    let outcomes = all(&client, urls, &sink).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == Ending::Ok), "{outcomes:?}");
    timeout(LONG, sink.finish()).await.expect("it does not hang").expect("all is written");
    assert_eq!(scale.bytes(), (30 << 20) + 19 * (2 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_wait_for_their_turn_leave_it_a_connection() {
    let (origin, scale) = (origin(), Scale::default());
    let client = client(|builder| builder.http_versions(HttpVersions::Http1).max_connections(2));
    let sink = Ordered::to(scale.clone()).hold(1).spill(0);
    let paths = ["/0?script=503,200&size=10", "/1?size=2m", "/2?size=2m", "/3?size=2m"];
    let outcomes = all(&client, paths.map(|path| origin.url(path)).into(), &sink).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == Ending::Ok), "{outcomes:?}");
    timeout(LONG, sink.finish()).await.expect("it does not hang").expect("all is written");
    assert!(scale.bytes() > 3 * (2 << 20));
}

#[tokio::test]
async fn an_ordered_output_that_has_served_a_job_says_so_to_the_next() {
    let client = Replies::new().on("http://a/x", "hello").client();
    let sink = Ordered::to(Scale::default());
    let first = all(&client, vec!["http://a/x".into()], &sink).await;
    let second = all(&client, vec!["http://a/x".into()], &sink).await;
    assert_eq!(first[0].ending(), Ending::Ok);
    let error = second[0].error().expect("it is refused");
    assert!(error.kind() == ErrorKind::SinkFailed && error.message().contains("another job"), "{error}");
}

/// Answers each connection with this as soon as its first bytes have come, and keeps it open.
async fn hasty(reply: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(reply.as_bytes()).await;
            kept.push(socket);
        }
    });
    url
}

#[tokio::test]
async fn a_stream_that_stands_still_does_not_excuse_the_next_hop() {
    let origin = origin();
    let to = origin.url("/?never");
    let url = hasty(format!("HTTP/1.1 303 See Other\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")).await;
    let client = client(|builder| builder.http_versions(HttpVersions::Http1).read_timeout(SHORT).retries(0));
    let piece = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"one"))]);
    let body = Body::stream(piece.chain(futures::stream::pending()), None);
    let fetch = client.post(&url).body(body).text();
    let error = timeout(LONG, fetch).await.expect("it does not hang").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::FirstByteTimeout, "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_a_slow_reader_too() {
    let pieces = vec![Bytes::from_static(b"0123456789"); 50];
    let client = Replies::new().on("http://a/x", Answer::chunks(pieces)).client();
    let begun = Instant::now();
    let mut response = client.get("http://a/x").timeout(Duration::from_millis(200)).await.expect("a reply");
    let error = loop {
        match response.chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "the body ended before its time"),
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(error.is_timeout() && begun.elapsed() < SHORT, "{error} after {:?}", begun.elapsed());
}

#[tokio::test]
async fn the_first_piece_counts_for_the_largest_body() {
    let replies = Replies::new().on("http://a/x", Answer::chunks(["0123456789"]));
    let client = client(|builder| builder.transport(replies).max_body(4));
    let response = client.get("http://a/x").await.expect("a head");
    let error = response.text().await.expect_err("10 bytes are over 4");
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn a_refused_reply_holds_no_place_while_a_retry_is_planned() {
    let origin = origin();
    let client = client(|builder| {
        let builder = builder.http_versions(HttpVersions::Http1).per_host(1);
        builder.retry_delay(LONG).keep_refused_body()
    });
    let bad = client.fetch_all([origin.url("/bad?status=503&size=100k")]).spawn();
    assert!(origin.wait_until(|counts| counts.requests == 1 && counts.in_flight == 0, LONG).await);
    let good = timeout(LONG / 2, client.get(origin.url("/good?text=x")).text()).await;
    assert!(good.expect("its place is free").is_ok());
    bad.cancel();
}

#[tokio::test]
async fn a_coding_that_nobody_asked_for_is_taken_off_by_those_who_read() {
    let (origin, client) = (origin(), Client::new());
    let url = origin.url("/?text=hello&coding=gzip");
    let text = client.get(&url).await.expect("a reply").text().await;
    assert_eq!(text.expect("text"), "hello");
    let fetch = client.get(&url).header("accept-encoding", "gzip");
    let raw = fetch.await.expect("a reply").bytes().await.expect("bytes");
    assert_eq!(raw[..2], [0x1f, 0x8b], "who asks by himself gets what he asked for");
    let odd = client.get(origin.url("/?text=hello&coding-lie=utf-8")).await.expect("a reply").text().await;
    assert_eq!(odd.expect("what is no coding is left alone"), "hello");
}

#[tokio::test]
async fn a_decoded_reply_does_not_tell_other_libraries_of_its_coding() {
    let origin = origin();
    let client = client(|builder| builder.decode(Decoding::Always));
    let url = origin.url("/?size=100k&coding=gzip");
    let response = client.get(&url).await.expect("a reply").into_http();
    let outcome = client.fetch_all([&url]).await.remove(0).into_http().expect("a body");
    assert_eq!(outcome.body().len(), 100 << 10);
    for headers in [response.headers(), outcome.headers()] {
        assert!(!headers.contains_key("content-encoding") && !headers.contains_key("content-length"));
    }
}
