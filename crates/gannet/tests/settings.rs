//! Settings of a client that rule what a reply is worth: which errors are retried, what becomes of a refused body,
//! which schemes and types are taken. Over real sockets, against the built-in origin, which counts.

use std::time::Duration;

use gannet::{Client, RetryErrors, WhyStarted};
use gannet_origin::Origin;

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
