//! Settings of a client that rule what a reply is worth: which errors are retried, what becomes of a refused body,
//! which schemes and types are taken. Over real sockets, against the built-in origin, which counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gannet::sink::Ordered;
use gannet::{
    CancellationToken, Client, ClientBuilder, Ending, ErrorKind, Event, MediaTypes, Request, RetryErrors,
    Schemes, TlsVersion, WhyStarted,
};
use gannet_origin::Origin;
use http::StatusCode;
use http::header::{ACCEPT, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

#[tokio::test]
async fn all_errors_are_retried_when_asked_for() {
    let origin = origin().await;
    let paused = || Client::builder().retry_delay(Duration::from_millis(1));
    let refused = paused().build().expect("settings agree").get(origin.url("/a?script=404,200")).text().await;
    assert_eq!(refused.expect_err("404 lasts").attempts().len(), 1);
    let client = paused().retry_errors(RetryErrors::All).build().expect("settings agree");
    client.get(origin.url("/b?script=404,410,200")).text().await.expect("the third reply is good");
    assert_eq!(origin.counts().requests, 4);
    let bad = client.get("ftp://localhost/").text().await.expect_err("no server can change that");
    assert_eq!(bad.attempts().len(), 0);
}

#[tokio::test]
async fn retries_end_with_the_time_for_them() {
    let origin = origin().await;
    let client = Client::builder()
        .retries(None)
        .retry_budget(None)
        .retry_delay(Duration::from_millis(100))
        .retry_within(Duration::from_millis(350))
        .build()
        .expect("settings agree");
    let error = client.get(origin.url("/?status=503")).text().await.expect_err("it never succeeds");
    assert!(error.message().contains("--retry-max-time"), "{error}");
    let retries: Vec<_> =
        error.attempts().iter().filter(|attempt| attempt.why_started == WhyStarted::Retry).collect();
    assert!((1..=3).contains(&retries.len()), "{retries:?}");
    assert!(retries.iter().all(|retry| retry.began <= Duration::from_millis(350)), "{retries:?}");
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gannet-settings-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

fn keeping() -> ClientBuilder {
    Client::builder().retry_delay(Duration::from_millis(1)).keep_refused_body()
}

#[tokio::test]
async fn the_last_refused_body_goes_to_the_sink_and_the_error_stays() {
    let (origin, folder) = (origin().await, folder("kept"));
    let file = folder.join("body");
    let client = keeping().retries(1).build().expect("settings agree");
    let url = origin.url("/?status=503&size=300k");
    let error = client.get(url).save_to(&file).await.expect_err("503 is refused");
    assert_eq!((error.kind(), error.status()), (ErrorKind::Status, Some(StatusCode::SERVICE_UNAVAILABLE)));
    let kept = error.reply().and_then(|reply| reply.kept.as_ref()).expect("it was kept");
    assert_eq!((kept.path.as_deref(), kept.length), (Some(file.as_path()), 300 << 10));
    assert_eq!(std::fs::metadata(&file).expect("it is there").len(), 300 << 10);
    assert_eq!(error.attempts().iter().map(|attempt| attempt.bytes).collect::<Vec<_>>(), [0, 300 << 10]);
    let good =
        client.get(origin.url("/b?script=503,200&text=good")).save_to(&file).await.expect("it is retried");
    assert_eq!((good.length, std::fs::read(&file).ok()), (4, Some(b"good".to_vec())));
    let left = std::fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(left, 1, "nothing is left of earlier bodies");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[tokio::test]
async fn refused_bodies_of_a_job_go_to_its_sink_in_their_turn() {
    let origin = origin().await;
    let (mut reader, writer) = std::io::pipe().expect("a pipe can be made");
    let sink = Arc::new(Ordered::to(writer));
    let urls = [origin.url("/?status=404&text=one&delay=50ms"), origin.url("/?text=two")];
    let client = keeping().build().expect("settings agree");
    let mut job = client.fetch_each(urls).save_with(sink);
    let mut endings = Vec::new();
    while let Some(outcome) = job.next().await {
        endings.push((outcome.seq(), outcome.ending()));
    }
    endings.sort_by_key(|(seq, _)| *seq);
    assert_eq!(endings, [(0, Ending::Failed), (1, Ending::Ok)]);
    drop(job);
    let mut all = String::new();
    std::io::Read::read_to_string(&mut reader, &mut all).expect("the pipe is read");
    assert_eq!(all, "onetwo");
}

#[tokio::test]
async fn a_refused_body_in_memory_stands_whole_in_the_error_and_is_released() {
    let origin = origin().await;
    let client = keeping().max_memory(100_000, 150_000).build().expect("settings agree");
    let urls: Vec<String> =
        (0..5).map(|index| origin.url(&format!("/{index}?status=404&size=90000"))).collect();
    let mut job = client.fetch_each(&urls).concurrency(1);
    for _ in &urls {
        let outcome = job.next().await.expect("each has an outcome");
        let body = outcome.error().and_then(|error| error.reply()).map_or(0, |reply| reply.body.len());
        assert_eq!((outcome.status(), body), (Some(StatusCode::NOT_FOUND), 90_000), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_refused_body_that_cannot_be_kept_is_said_and_the_status_stays() {
    let (origin, folder) = (origin().await, folder("lost"));
    let file = folder.join("body");
    let client =
        keeping().max_body(1000).read_timeout(Duration::from_millis(100)).build().expect("they agree");
    let cases = [
        ("/?status=404&size=1001", "over its limit"),
        ("/?status=404&size=1001&chunked", "over its limit"),
        ("/?status=404&size=900&truncate=10", "its body was not kept"),
        ("/?status=404&size=900&stall=10", "no further byte"),
    ];
    for (path, why) in cases {
        let error = client.get(origin.url(path)).save_to(&file).await.expect_err("404 is refused");
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND), "{path}");
        assert!(error.message().contains(why), "{path}: {error}");
        assert!(error.reply().is_some_and(|reply| reply.kept.is_none()), "{path}");
    }
    let url = origin.url("/?status=404&size=900&stall=10");
    let patient = keeping().build().expect("settings agree");
    let late =
        patient.get(&url).timeout(Duration::from_millis(100)).save_to(&file).await.expect_err("it stalls");
    assert!(late.status().is_some() && late.message().contains("the deadline came"), "{late}");
    let token = CancellationToken::new();
    let stops = token.clone();
    let watched = keeping().watch(move |event| {
        if matches!(event, Event::Received { .. }) {
            stops.cancel();
        }
    });
    let fetch = watched.build().expect("settings agree").get(&url).cancel_on(&token).save_to(&file);
    let stopped = fetch.await.expect_err("404 is refused");
    assert!(stopped.status().is_some() && stopped.message().contains("stopped by the caller"), "{stopped}");
    assert_eq!(std::fs::read_dir(&folder).map_or(0, Iterator::count), 0, "no part is left");
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

#[tokio::test]
async fn a_scheme_that_is_not_taken_is_neither_sent_nor_redirected_to() {
    let origin = origin().await;
    let secure = Client::builder().schemes(Schemes::HttpsOnly).build().expect("settings agree");
    let url = origin.url("/?text=x");
    let refused = secure.get(&url).text().await.expect_err("it is http");
    assert_eq!((refused.kind(), refused.url()), (ErrorKind::BadScheme, Some(url.as_str())));
    assert!(refused.message().contains("only https is"), "{refused}");
    let mirrored =
        secure.get("https://localhost:1/").mirror(&url).text().await.expect_err("its mirror is http");
    assert_eq!((mirrored.kind(), mirrored.attempts().len()), (ErrorKind::BadScheme, 0));
    let outcomes = secure.fetch_all([&url, "https://127.0.0.1:1/"]).timeout(Duration::from_millis(200)).await;
    assert_eq!(outcomes[0].error().map(gannet::Error::kind), Some(ErrorKind::BadScheme));
    assert_ne!(outcomes[1].error().map(gannet::Error::kind), Some(ErrorKind::BadScheme));
    let failed = secure.fetch_first([&url, "ftp://x/"]).text().await.expect_err("neither is https");
    assert!(failed.errors.iter().all(|error| error.kind() == ErrorKind::BadScheme), "{failed:?}");
    assert_eq!(origin.counts().connections, 0);

    let plain = Client::builder().schemes(Schemes::HttpOnly).build().expect("settings agree");
    let to = format!("/?redirect={}", "https%3a%2f%2flocalhost%3a1%2f");
    let refused = plain.get(origin.url(&to)).text().await.expect_err("the target is https");
    assert_eq!((refused.kind(), refused.attempts().len()), (ErrorKind::RedirectRefused, 1));
    assert!(refused.message().contains("only http is"), "{refused}");
    assert_eq!(plain.get(origin.url("/?hops=2&text=y")).text().await.ok().as_deref(), Some("y"));
}

/// The first bytes that a client sends to an https URL.
async fn hello_of(client: ClientBuilder) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("https://{}/", listener.local_addr().expect("it is bound"));
    let client = client.danger_trust_anybody().retries(0).build().expect("settings agree");
    let heard = async {
        let (mut stream, _) = listener.accept().await.expect("the client comes");
        let mut hello = vec![0; 5];
        stream.read_exact(&mut hello).await.expect("a record's head");
        let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
        stream.read_exact(&mut rest).await.expect("the record");
        rest
    };
    tokio::join!(client.get(url).text(), heard).1
}

#[tokio::test]
async fn tls_13_alone_is_offered_when_it_is_the_oldest() {
    // The extension supported_versions (RFC 8446, section 4.2.1): its number, its length, a list.
    let only_13: &[u8] = &[0, 43, 0, 3, 2, 3, 4];
    let has = |hello: &[u8], part: &[u8]| hello.windows(part.len()).any(|window| window == part);
    let strict = hello_of(Client::builder().tls_min(TlsVersion::Tls13)).await;
    assert!(has(&strict, only_13), "{strict:?}");
    let usual = hello_of(Client::builder()).await;
    assert!(has(&usual, &[0, 43, 0, 5, 4]) && !has(&usual, only_13), "{usual:?}");
}

#[tokio::test]
async fn replies_of_other_types_fail_before_their_body_and_are_not_retried() {
    let origin = origin().await;
    let types: MediaTypes = "image/*, application/pdf".parse().expect("media types");
    let client = Client::builder().accept_types(types).build().expect("settings agree");
    let png = client.get(origin.url("/a?size=10&type=image%2fpng")).bytes().await.expect("an image is taken");
    assert_eq!(png.len(), 10);
    let html =
        client.get(origin.url("/b?size=1m&type=text%2fhtml;charset=x")).bytes().await.expect_err("no image");
    assert_eq!((html.kind(), html.attempts().len(), html.is_retryable()), (ErrorKind::ContentType, 1, false));
    assert_eq!(html.kind().code(), "reply.content_type");
    for part in ["text/html;charset=x", "image/*, application/pdf"] {
        assert!(html.message().contains(part), "{html}");
    }
    assert_eq!(html.attempts()[0].bytes, 0);
    let untyped = "/?raw=HTTP%2f1.1%20200%20OK%0d%0aContent-Length:%200%0d%0a%0d%0a";
    let none = client.get(origin.url(untyped)).bytes().await.expect_err("it has no type");
    assert!(none.message().contains("no Content-Type"), "{none}");
    let refused = client.get(origin.url("/c?status=404&type=text%2fhtml")).bytes().await.expect_err("404");
    assert_eq!(refused.kind(), ErrorKind::Status, "the status is judged first");
}

/// What stood in the Accept field of a request.
async fn accept_of(client: &Client, own: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let fetch = client.get(url);
    let fetch = own.into_iter().fold(fetch, |fetch, own| fetch.header(ACCEPT, HeaderValue::from_static(own)));
    let heard = async {
        let (mut stream, _) = listener.accept().await.expect("the client comes");
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.expect("a head");
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: image/png\r\n\r\n";
        stream.write_all(reply).await.expect("it listens");
        String::from_utf8_lossy(&head[..length]).to_lowercase()
    };
    let (fetched, head) = tokio::join!(fetch.bytes(), heard);
    fetched.expect("it comes");
    let mut lines = head.lines().filter_map(|line| line.strip_prefix("accept: ").map(str::to_owned));
    let first = lines.next().expect("there is an Accept field");
    assert_eq!(lines.next(), None, "there is one Accept field");
    first
}

#[tokio::test]
async fn the_accepted_types_are_sent_unless_the_caller_set_a_field() {
    let types = MediaTypes::new(["image/png", "image/webp"]).expect("media types");
    let client = Client::builder().accept_types(types).build().expect("settings agree");
    assert_eq!(accept_of(&client, None).await, "image/png, image/webp");
    assert_eq!(accept_of(&client, Some("image/png;q=0.5")).await, "image/png;q=0.5");
    assert_eq!(accept_of(&Client::new(), None).await, "*/*");
}

#[tokio::test]
async fn each_attempt_of_an_outcome_tells_where_it_went_and_how_it_ended() {
    let (origin, mirror) = (origin().await, origin().await);
    let gone = origin.url("/gone?status=404&text=no");
    let there = mirror.url("/there?hops=1&text=yes");
    let request = Request::new(&gone).and_then(|request| request.mirror(&there)).expect("two URLs");
    let outcome = Client::new().fetch_all([request]).await.remove(0);
    let [first, second] = outcome.attempts() else { panic!("{:?}", outcome.attempts()) };
    assert_eq!((outcome.url_of(first), outcome.url_of(second)), (gone.as_str(), there.as_str()));
    assert_eq!((first.why_started, second.why_started), (WhyStarted::First, WhyStarted::Retry));
    let code = first.why_stopped.error().map(|error| error.kind().code());
    assert_eq!((first.why_stopped.as_str(), code), ("failed", Some("reply.status")));
    assert_eq!((second.why_stopped.as_str(), second.why_stopped.error().is_none()), ("won", true));
    let statuses = [first, second].map(|attempt| attempt.status.map(|status| status.as_u16()));
    assert_eq!(statuses, [Some(404), Some(200)]);
    assert_eq!((second.hops.len(), second.bytes, second.mirror), (1, 3, 1));
    assert!(second.began >= first.began && second.address.is_some() && second.connection.is_some());
}
