//! The mock for users' tests: scripts, delays in virtual time, faults, and the record of what was asked.

use std::time::Duration;

use futures::StreamExt as _;
use gannet::sim::{Answer, Replies};
use gannet::{CancellationToken, Client, Ending, ErrorKind, Repeat};
use tokio::time::Instant;

const URL: &str = "https://a.example/x";

#[tokio::test(start_paused = true)]
async fn a_script_is_followed_in_order_and_its_last_answer_stays() {
    let replies = Replies::new().on_status(URL, 503).then("first").then("then always");
    let client = replies.client();
    for text in ["first", "then always", "then always"] {
        assert_eq!(client.get(URL).text().await.expect("it is served"), text);
    }
    assert_eq!(replies.requests().len(), 4, "the 503 was retried");
}

#[tokio::test(start_paused = true)]
async fn delays_pass_in_virtual_time_and_a_deadline_cuts_them() {
    let hour = Duration::from_secs(3600);
    let replies = Replies::new().on(URL, Answer::ok("slow").after(hour));
    let client = Client::builder().transport(replies).read_timeout(2 * hour).build().expect("they agree");
    let began = Instant::now();
    assert_eq!(client.get(URL).text().await.expect("it comes"), "slow");
    assert_eq!(began.elapsed(), hour);
    let error = client.get(URL).text().timeout(Duration::from_secs(1)).await.expect_err("too late");
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::ItemDeadline, hour + Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn connects_that_fail_and_bodies_that_break_are_retried_by_the_real_engine() {
    let replies = Replies::new()
        .on(URL, Answer::refused())
        .then(Answer::reset())
        .then(Answer::chunks(["hal", "f"]).cut())
        .then(Answer::chunks(["who", "le"]));
    let client = replies.client();
    assert_eq!(client.get(URL).text().await.expect("the fourth serves"), "whole");
    assert_eq!(replies.requests().len(), 4);
    let post = client.post(URL).body("once").repeatable(Repeat::Forbidden).await.expect("served").into_http();
    assert!(!post.headers().contains_key("content-length"));
}

#[tokio::test(start_paused = true)]
async fn silence_is_the_servers_and_a_race_goes_to_who_answers() {
    let replies = Replies::new().on("http://silent.example/", Answer::silence()).on(URL, "won");
    let first = replies.client().fetch_first(["http://silent.example/", URL]).text().await.expect("one wins");
    assert_eq!((first.index, first.value.as_str()), (1, "won"));
    let error = replies.client().get("http://silent.example").retry(0).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::FirstByteTimeout);
}

#[tokio::test]
async fn a_url_of_which_nothing_was_said_is_an_error_that_names_it_and_is_not_retried() {
    let replies = Replies::new().on(URL, "here");
    let error = replies.client().get("https://a.example/y").text().await.expect_err("nothing was said");
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::BadRequest, 1));
    assert!(error.message().contains("no reply for https://a.example/y, only for [https://a.example/x]"));
}

#[tokio::test]
async fn requests_are_recorded_with_method_fields_and_body() {
    let moved = Answer::status(307).header("location", "/moved").body("gone");
    let replies = Replies::new().on(URL, moved).on("https://a.example/moved", "done");
    let fetch = replies.client().put(URL).header("x-mine", "yes").body("hello");
    assert_eq!(fetch.text().await.expect("it is followed"), "done");
    let asked = replies.requests();
    let urls: Vec<String> = asked.iter().map(|request| request.uri().to_string()).collect();
    assert_eq!(urls, [URL, "https://a.example/moved"]);
    for request in &asked {
        assert_eq!((request.method().as_str(), &request.body()[..]), ("PUT", &b"hello"[..]));
        assert_eq!(request.headers()["x-mine"], "yes");
    }
}

#[tokio::test]
async fn a_streamed_body_is_recorded_whole() {
    let replies = Replies::new().on(URL, "got it");
    let pieces = futures::stream::iter(["in ", "pieces"]).map(|text| Ok::<_, std::io::Error>(text.into()));
    let fetch = replies.client().post(URL).body(gannet::Body::stream(pieces, None));
    assert_eq!(fetch.text().await.expect("it is served"), "got it");
    assert_eq!(&replies.requests()[0].body()[..], b"in pieces");
}

#[tokio::test]
async fn a_token_that_was_cancelled_before_opens_nothing() {
    let replies = Replies::new().on(URL, "here");
    let token = CancellationToken::new();
    token.cancel();
    let error = replies.client().get(URL).text().cancel_on(&token).await.expect_err("it was cancelled");
    assert!(error.is_cancelled() && replies.requests().is_empty(), "{error}");
    let outcomes = replies.client().fetch_all([URL, URL]).cancel_on(&token).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == Ending::Cancelled));
    assert!(replies.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_leg_of_a_race_is_retried_while_another_lives() {
    let silent = "http://silent.example/";
    let replies = Replies::new().on(silent, Answer::silence()).on_status(URL, 503).then("won");
    let first = replies.client().fetch_first([silent, URL]).text().await.expect("one wins");
    assert_eq!((first.index, first.value.as_str(), replies.requests().len()), (1, "won", 3));
}
