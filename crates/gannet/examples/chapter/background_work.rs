//! `background_work()`: spawned work runs on though its caller is dropped, and its handle, awaited, gives the value.
//! C#: `Task.Run`.
//!
//! Claim: the value comes after the caller was dropped; cancelling stops the work at the origin, and gannet keeps
//! what had finished; a dropped handle lets the work run on, unless it was tied to it; a panic resumes at the await.
//!
//! The usual version drops its handle: a panic is heard by nobody, and an aborted task gives nothing back.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::any::Any;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use gannet::{Client, Ending};
use gannet_origin::Origin;
use tokio::sync::oneshot;

#[path = "plain_http.rs"]
mod plain_http;

/// For what is sure to come.
const PATIENCE: Duration = Duration::from_secs(5);

mod plain {
    use std::io;

    use tokio::task::JoinHandle;

    use super::plain_http::get_text;

    pub(super) fn background_work(url: String) -> JoinHandle<io::Result<String>> {
        tokio::spawn(async move { get_text(&url).await })
    }
}

mod with_gannet {
    use gannet::{Client, JobHandle, Outcome};

    pub(super) fn background_work(client: &Client, urls: &[String]) -> JobHandle<Vec<Outcome>> {
        client.fetch_all(urls.to_vec()).spawn()
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    it_runs_though_its_caller_is_dropped().await?;
    a_dropped_handle_lets_it_run_on_unless_tied_to_it().await?;
    cancelling_stops_it_and_gannet_keeps_what_had_finished().await?;
    a_panic_resumes_at_the_await().await
}

async fn it_runs_though_its_caller_is_dropped() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let url = origin.url("/?text=done&delay=100ms");

    let handle = handle_of_a_dropped_caller(|| plain::background_work(url.clone())).await?;
    assert!(!handle.is_finished(), "it still runs when its caller is gone");
    assert_eq!(handle.await??, "done");

    let client = Client::new();
    let urls = [url];
    let job = handle_of_a_dropped_caller(|| with_gannet::background_work(&client, &urls)).await?;
    assert!(!job.is_finished(), "it still runs when its caller is gone");
    let outcomes = job.await;
    assert_eq!(outcomes[0].body().map(|body| &body[..]), Some(&b"done"[..]));
    assert_eq!(origin.counts().replies_aborted_by_client, 0);
    println!("both: the caller was dropped, the value came");
    Ok(())
}

/// Lets a caller begin its work in the background, and drops the caller amid its own wait.
async fn handle_of_a_dropped_caller<H>(begin: impl FnOnce() -> H) -> Result<H, oneshot::error::RecvError> {
    let (give, given) = oneshot::channel();
    let mut caller = Box::pin(async {
        drop(give.send(begin()));
        std::future::pending::<()>().await;
    });
    assert!(futures::poll!(caller.as_mut()).is_pending());
    drop(caller);
    given.await
}

async fn a_dropped_handle_lets_it_run_on_unless_tied_to_it() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let client = Client::new();
    let urls = [origin.url("/?delay=50ms")];
    drop(plain::background_work(urls[0].clone()));
    drop(with_gannet::background_work(&client, &urls));
    assert!(origin.wait_until(|seen| seen.replies_complete == 2, PATIENCE).await);

    let tied = with_gannet::background_work(&client, &[origin.url("/?never")]).cancel_on_drop();
    assert!(origin.wait_until(|seen| seen.in_flight == 1, PATIENCE).await);
    drop(tied);
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 1, PATIENCE).await);
    println!("both: a dropped handle let the work run on; gannet's cancel_on_drop stopped it");
    Ok(())
}

async fn cancelling_stops_it_and_gannet_keeps_what_had_finished() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let handle = plain::background_work(origin.url("/?never"));
    assert!(origin.wait_until(|seen| seen.in_flight == 1, PATIENCE).await);
    handle.abort();
    let error = handle.await.expect_err("it was aborted");
    assert!(error.is_cancelled());
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 1, PATIENCE).await);
    println!("plain: {error}");

    let urls = ["/?text=quick", "/?never"].map(|path| origin.url(path));
    let job = with_gannet::background_work(&Client::new(), &urls);
    assert!(origin.wait_until(|seen| (seen.replies_complete, seen.in_flight) == (1, 1), PATIENCE).await);
    // The whole reply may be on its way to the client still.
    let one_has_settled = async {
        while job.progress().settled < 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, one_has_settled).await?;
    job.cancel();
    let endings: Vec<_> = job.await.iter().map(gannet::Outcome::ending).collect();
    assert_eq!(endings, [Ending::Ok, Ending::Cancelled]);
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 2, PATIENCE).await);
    println!("gannet: cancelled, with {endings:?}");
    Ok(())
}

async fn a_panic_resumes_at_the_await() -> Result<(), Box<dyn Error>> {
    println!("two panics follow on standard error");
    let handle = tokio::spawn(async { panic!("the work broke") });
    let error = handle.await.expect_err("it panicked");
    assert!(error.is_panic(), "tokio gives a panic as a value, which a dropped handle hides");

    let list = ["http://localhost/"].into_iter().map(|_| -> String { panic!("the list broke") });
    let job = Client::new().fetch_all(list).spawn();
    let panic = AssertUnwindSafe(job).catch_unwind().await.expect_err("it panicked");
    assert_eq!(said(&*panic), Some("the list broke"));
    println!("plain: {error}; gannet: the await panicked with it");
    Ok(())
}

/// The message of a panic that was no format.
fn said(panic: &(dyn Any + Send)) -> Option<&'static str> {
    panic.downcast_ref::<&'static str>().copied()
}
