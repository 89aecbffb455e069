//! Settings of a client that rule what a reply is worth: which errors are retried, what becomes of a refused body,
//! which schemes and types are taken. Over real sockets, against the built-in origin, which counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gannet::sink::Ordered;
use gannet::{CancellationToken, Client, ClientBuilder, Ending, ErrorKind, Event, RetryErrors, WhyStarted};
use gannet_origin::Origin;
use http::StatusCode;

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
