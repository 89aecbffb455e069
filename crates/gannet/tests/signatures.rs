//! Holds the public signatures: each of them compiles inside `tokio::spawn`, `join_all`, `select!` and `try_join!`,
//! with borrowed slices, vectors, arrays and a lazy `map`. What is checked is that this file compiles; the few runs
//! check what the types cannot say.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt as _;
use gannet::{
    AllFailed, CancellationToken, Client, Error, ErrorKind, Fetch, First, JobError, JobHandle, JobReport,
    Outcome, Request, Response,
};
use gannet_origin::Origin;
use tokio::time::Instant;

fn is_send_static_unpin<T: Send + Unpin + 'static>(_: &T) {}
fn is_send<T: Send>(_: &T) {}
fn gives<T>(_: &impl Future<Output = T>) {}

#[test]
fn types_are_what_they_promise() {
    fn shareable<T: Clone + Send + Sync + 'static>() {}
    shareable::<Error>();
    shareable::<Client>();
    shareable::<Outcome>();
    assert_eq!(size_of::<Error>(), size_of::<usize>(), "an error is one pointer wide");
    assert!(size_of::<Fetch>() <= 4096 && size_of::<Fetch<String>>() <= 4096, "a fetch is at most 4 KiB");
}

#[test]
fn fetches_are_send_static_and_unpin_futures() {
    let client = Client::new();
    let fetch = client.get("http://localhost/");
    is_send_static_unpin(&fetch);
    gives::<Result<Response, Error>>(&fetch);
    gives::<Result<String, Error>>(&client.get("http://localhost/").text());
    gives::<Result<Vec<u32>, Error>>(&client.get("http://localhost/").into_json::<Vec<u32>>());
    let urls = vec!["http://localhost/".to_owned()];
    gives::<Vec<Outcome>>(&client.fetch_all(&urls));
    gives::<Vec<Result<String, Error>>>(&client.fetch_all(&urls).text());
    gives::<Vec<Result<u32, Error>>>(&client.fetch_all(&urls).into_json::<u32>());
    gives::<Result<Vec<String>, JobError>>(
        &client.fetch_all(&urls).text().timeout(Duration::ZERO).fail_fast(),
    );
    gives::<Result<JobReport, Error>>(&client.fetch_all(urls.iter().cloned()).save_into("out"));
    gives::<Result<First<String>, AllFailed>>(&client.fetch_first([&urls[0], &urls[0]]).text());
    let borrowed: &[&str] = &["http://localhost/"];
    is_send(&client.fetch_all(borrowed));
    is_send(&client.fetch_all(borrowed.iter().map(|url| format!("{url}x"))));
    is_send(&client.fetch_each(borrowed));
}

async fn origin() -> (Client, Origin) {
    (Client::new(), Origin::builder().start().await.expect("a port is free"))
}

#[tokio::test]
async fn everything_runs_in_a_spawned_task() {
    let (client, origin) = origin().await;
    let (url, inner) = (origin.url("/x?text=hello"), client.clone());
    let text = tokio::spawn(async move {
        let urls = [url.clone(), url.clone()];
        let borrowed: Vec<&str> = urls.iter().map(String::as_str).collect();
        let all = inner.fetch_all(&borrowed[..]).text().await;
        assert_eq!(all.len(), 2);
        let lazy = inner.fetch_all(borrowed.iter().map(|url| format!("{url}&n=1"))).text().fail_fast().await;
        assert_eq!(lazy.expect("both come"), ["hello", "hello"]);
        let First { index: _, value } = inner.fetch_first(urls).text().await.expect("one comes");
        value
    });
    assert_eq!(text.await.expect("the task ends"), "hello");
    let handle: JobHandle<Vec<Outcome>> = client.fetch_all(vec![origin.url("/y?text=y")]).spawn();
    assert_eq!(handle.await.len(), 1);
    let handle: JobHandle<Result<String, Error>> = client.get(origin.url("/y?text=y")).text().spawn();
    assert_eq!(handle.await.expect("it comes"), "y");
    let handle = client.fetch_first([origin.url("/y?text=y")]).text().spawn();
    assert_eq!(handle.await.expect("it comes").value, "y");
    let handle = client.fetch_each([origin.url("/y?text=y")]).spawn();
    assert_eq!(handle.await.len(), 1);
}

#[tokio::test]
async fn everything_joins_and_selects() {
    let (client, origin) = origin().await;
    let urls: Vec<String> = (0..4).map(|index| origin.url(&format!("/{index}?text={index}"))).collect();
    let joined = futures::future::join_all(urls.iter().map(|url| client.get(url).text())).await;
    assert_eq!(joined.into_iter().collect::<Result<Vec<_>, _>>().expect("all come"), ["0", "1", "2", "3"]);
    let (a, b) =
        tokio::try_join!(client.get(&urls[0]).text(), client.get(&urls[1]).bytes()).expect("both come");
    assert_eq!((a.as_str(), &b[..]), ("0", &b"1"[..]));
    let silent = origin.url("/?never");
    tokio::select! {
        answer = client.get(&silent).text() => panic!("it never answers: {answer:?}"),
        answer = client.get(&urls[2]).text() => assert_eq!(answer.expect("it comes"), "2"),
    }
    let mut each = client.fetch_each(&urls).concurrency(2);
    let mut seen = Vec::new();
    while let Some(outcome) = each.next().await {
        seen.push(outcome.seq());
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
    let by_stream: Vec<Outcome> = client.fetch_each(urls.clone()).collect().await;
    assert_eq!(by_stream.len(), 4);
}

#[tokio::test]
async fn a_scope_hands_its_deadline_and_token_down() {
    let (client, origin) = origin().await;
    let silent = origin.url("/?never");
    let scope = client.scope().deadline(Instant::now() + Duration::from_millis(50));
    let error = scope.get(&silent).text().await.expect_err("it never answers");
    assert!(error.is_timeout() && !error.is_cancelled());
    let token = CancellationToken::new();
    let scope = client.scope().cancel_on(&token);
    token.cancel();
    let error = scope.get(&silent).text().await.expect_err("it was cancelled");
    assert!(error.is_cancelled() && !error.is_timeout());
    let child = token.child_token();
    let error = client.get(&silent).cancel_on(&child).await.expect_err("its parent was cancelled");
    assert!(error.is_cancelled());
}

#[tokio::test]
async fn a_bad_url_and_an_empty_race_are_errors_on_await() {
    let client = Client::new();
    let error = client.get("not a url").await.expect_err("no URL");
    assert_eq!((error.kind(), error.url()), (ErrorKind::BadUrl, Some("not a url")));
    let nobody = client.fetch_first(Vec::<Request>::new()).text().await.expect_err("nobody to race");
    assert!(nobody.errors.is_empty());
    let outcomes = client.fetch_all(["ftp://host/x"]).await;
    assert_eq!(outcomes[0].error().map(Error::kind), Some(ErrorKind::BadScheme));
}

#[test]
fn outside_of_a_runtime_a_fetch_is_an_error_that_says_so() {
    let error = futures::executor::block_on(gannet::get("http://localhost/").text()).expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert!(error.message().contains("tokio runtime"));
}

#[test]
fn one_client_serves_several_runtimes_in_turn() {
    let client = Client::new();
    let origin = Origin::start_in_thread(Origin::builder()).expect("a port is free");
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(client.get(origin.url("/?text=x")).text());
        assert_eq!(text.expect("it comes"), "x");
    }
    assert_eq!(origin.counts().connections, 3, "connections of a runtime that has ended are not used");
}
