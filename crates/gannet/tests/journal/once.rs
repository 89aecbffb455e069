//! Requests that may not be sent twice, and a job that was stopped while they were under way.

use std::sync::Arc;
use std::time::Duration;

use gannet::sink::Files;
use gannet::{Client, Ending, ErrorKind, Repeat, Request};
use gannet_origin::Origin;
use http::Method;

use crate::fixture::{Folder, origin, run_requests};

fn post(url: &str) -> Request {
    Request::new(url).expect("a URL").method(Method::POST).body("x")
}

/// Begins the job, and stops it when the origin has seen so many requests.
async fn stopped_after(seen: u64, folder: &Folder, origin: &Origin, list: &[Request]) -> Vec<Ending> {
    let client = Client::builder().retries(0).build().expect("it fits together");
    let sink = Arc::new(Files::in_directory(folder.path().join("out")));
    let job = client.fetch_each(list.to_vec()).save_with(sink).concurrency(1).journal(folder.open());
    let mut job = std::pin::pin!(job);
    let mut endings = Vec::new();
    loop {
        tokio::select! {
            outcome = job.next() => match outcome {
                Some(outcome) => endings.push(outcome.ending()),
                None => return endings,
            },
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        if origin.counts().requests >= seen {
            job.cancel();
        }
    }
}

#[tokio::test]
async fn what_may_not_be_sent_twice_is_not_sent_again_when_its_job_goes_on() {
    let (folder, origin) = (Folder::new(), origin().await);
    let get = |path: &str| Request::new(&origin.url(path)).expect("a URL");
    let list = [get("/a?size=10"), post(&origin.url("/b?never")), post(&origin.url("/c?size=5"))];
    let endings = stopped_after(2, &folder, &origin, &list).await;
    assert_eq!(endings, [Ending::Ok, Ending::Cancelled, Ending::Cancelled], "this run tells what it did");
    // What was not begun is sent, and what was is not.
    let again = run_requests(&folder.open(), &folder, &origin, list.to_vec(), u64::MAX).await;
    assert_eq!((&*again.endings(), again.sent), ("ok+ failed+ ok", 1));
    let error = again.outcomes[1].error().expect("it has failed");
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unanswered, false), "{error}");
    assert_eq!(again.outcomes[1].attempts().len(), 1);
    assert!(folder.open().resumed().is_finished);
    // Whoever asks for it has it sent.
    let journal = folder.open();
    journal.reopen_failed();
    let list = [list[0].clone(), post(&origin.url("/b?never")), list[2].clone()];
    let client = Client::builder().retries(0).timeout(Duration::from_millis(200)).build();
    let sink = Arc::new(Files::in_directory(folder.path().join("out")));
    let client = client.expect("it fits together");
    let mut job = client.fetch_each(list.to_vec()).save_with(sink).journal(journal);
    while job.next().await.is_some() {}
    assert_eq!(origin.counts().requests, 4);
}

#[tokio::test]
async fn what_may_be_sent_twice_is_whatever_its_method() {
    for (method, repeat, sent) in [
        (Method::PUT, None, 1),
        (Method::POST, Some(Repeat::Allowed), 1),
        (Method::GET, Some(Repeat::Forbidden), 0),
        (Method::POST, None, 0),
    ] {
        let origin =
            Origin::builder().script("/b", ["never", "size=20"]).start().await.expect("a port is free");
        let folder = Folder::new();
        let request = Request::new(&origin.url("/b")).expect("a URL").method(method.clone());
        let request = repeat.map_or(request.clone(), |repeat| request.repeatable(repeat));
        let list = [request];
        assert_eq!(stopped_after(1, &folder, &origin, &list).await, [Ending::Cancelled]);
        let again = run_requests(&folder.open(), &folder, &origin, list.to_vec(), u64::MAX).await;
        assert_eq!(again.sent, sent, "{method} {repeat:?}: {}", again.endings());
    }
}

#[tokio::test]
async fn what_never_left_this_machine_is_sent_when_its_job_goes_on() {
    let hole = gannet_origin::Blackhole::open().expect("a full queue");
    let folder = Folder::new();
    let list = [post(&format!("http://{}/", hole.addr()))];
    let client = Client::builder().retries(0).build().expect("it fits together");
    let sink = Arc::new(Files::in_directory(folder.path().join("out")));
    let mut job = client.fetch_each(list.to_vec()).save_with(sink).journal(folder.open());
    let waited = tokio::time::timeout(Duration::from_millis(100), job.next()).await;
    assert!(waited.is_err(), "nobody answers");
    job.cancel();
    assert_eq!(job.next().await.map(|outcome| outcome.ending()), Some(Ending::Cancelled));
    drop(job);
    assert_eq!(folder.open().resumed().failed, 0);
}
