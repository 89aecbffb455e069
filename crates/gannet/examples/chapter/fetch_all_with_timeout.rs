//! `fetch_all_with_timeout(urls)`: everything within a limit, else "Request timed out" or "Request failed". C# waits
//! for `Task.WhenAll` with a token of `CancelAfter`, and gets a `TaskCanceledException` for either.
//!
//! Claim: the two are told apart, and what was under way ends at the origin; with gannet, what had finished is kept.
//!
//! The usual version is a timeout around the whole: it throws away all that was done.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::time::Duration;

use gannet::{Client, Ending};
use gannet_origin::Origin;

#[path = "plain_http.rs"]
mod plain_http;

/// The chapter's ten seconds, made short.
const LIMIT: Duration = Duration::from_millis(200);
/// For what is sure to come.
const PATIENCE: Duration = Duration::from_secs(5);

mod plain {
    use std::sync::Mutex;
    use std::time::Duration;

    use futures::future::{join_all, try_join_all};
    use tokio::time::timeout;

    use super::plain_http::get_text;

    /// The usual version: told apart, but all or nothing.
    pub(super) async fn fetch_all_with_timeout(
        urls: &[String],
        limit: Duration,
    ) -> Result<Vec<String>, &'static str> {
        match timeout(limit, try_join_all(urls.iter().map(|url| get_text(url)))).await {
            Ok(Ok(texts)) => Ok(texts),
            Ok(Err(_)) => Err("Request failed"),
            Err(_) => Err("Request timed out"),
        }
    }

    /// What it takes to keep what had finished: each puts its text in a place that outlives the timeout.
    pub(super) async fn fetch_what_comes(urls: &[String], limit: Duration) -> Vec<Option<String>> {
        let texts = Mutex::new(vec![None; urls.len()]);
        let all = join_all(urls.iter().enumerate().map(|(place, url)| {
            let texts = &texts;
            async move {
                let text = get_text(url).await.ok();
                texts.lock().expect("nobody panics with the lock")[place] = text;
            }
        }));
        // Whether time ran out or not, the places tell.
        let _ = timeout(limit, all).await;
        texts.into_inner().expect("nobody panics with the lock")
    }
}

mod with_gannet {
    use std::time::Duration;

    use gannet::{Client, JobError, Outcome};

    pub(super) async fn fetch_all_with_timeout(
        client: &Client,
        urls: &[String],
        limit: Duration,
    ) -> Result<Vec<String>, JobError> {
        client.fetch_all(urls).text().timeout(limit).fail_fast().await
    }

    /// Without `fail_fast` each URL has its outcome, whenever the job ends.
    pub(super) async fn fetch_what_comes(client: &Client, urls: &[String], limit: Duration) -> Vec<Outcome> {
        client.fetch_all(urls).timeout(limit).await
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    in_time_both_give_all_texts().await?;
    the_usual_timeout_throws_away_what_was_done().await?;
    gannet_keeps_what_was_done().await?;
    a_failure_is_no_timeout().await
}

/// Two that answer at once, and one that never does.
fn urls(origin: &Origin) -> [String; 3] {
    ["/?text=one", "/?never", "/?text=three"].map(|path| origin.url(path))
}

async fn in_time_both_give_all_texts() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/?text=one", "/?text=two"].map(|path| origin.url(path));
    assert_eq!(plain::fetch_all_with_timeout(&urls, PATIENCE).await?, ["one", "two"]);
    assert_eq!(with_gannet::fetch_all_with_timeout(&Client::new(), &urls, PATIENCE).await?, ["one", "two"]);
    println!("both: in time, all texts come");
    Ok(())
}

async fn the_usual_timeout_throws_away_what_was_done() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    assert_eq!(plain::fetch_all_with_timeout(&urls(&origin), LIMIT).await, Err("Request timed out"));
    assert!(
        origin
            .wait_until(|seen| (seen.replies_complete, seen.replies_aborted_by_client) == (2, 1), PATIENCE)
            .await
    );
    println!("plain: Request timed out; the origin had sent 2 whole replies, of which nothing is left");

    let kept = plain::fetch_what_comes(&urls(&origin), LIMIT).await;
    assert_eq!(kept, [Some("one".to_owned()), None, Some("three".to_owned())]);
    println!("plain, with places that outlive the timeout: {kept:?}, but no word on why one is missing");
    Ok(())
}

async fn gannet_keeps_what_was_done() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let client = Client::new();
    let error = with_gannet::fetch_all_with_timeout(&client, &urls(&origin), LIMIT)
        .await
        .expect_err("one of them never answers");
    assert!(error.is_timeout() && !error.is_cancelled());
    assert_eq!(endings(&error.outcomes), [Ending::Ok, Ending::Unfinished, Ending::Ok]);
    assert_eq!(error.outcomes[2].body().map(|body| &body[..]), Some(&b"three"[..]));
    assert!(
        origin
            .wait_until(|seen| (seen.replies_complete, seen.replies_aborted_by_client) == (2, 1), PATIENCE)
            .await
    );
    println!("gannet: Request timed out ({error}), with {:?}", endings(&error.outcomes));

    let outcomes = with_gannet::fetch_what_comes(&client, &urls(&origin), LIMIT).await;
    assert_eq!(endings(&outcomes), [Ending::Ok, Ending::Unfinished, Ending::Ok]);
    assert!(outcomes[1].error().is_some_and(gannet::Error::is_timeout));
    println!("gannet, without fail_fast: {:?}", endings(&outcomes));
    Ok(())
}

async fn a_failure_is_no_timeout() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/?status=404", "/?never"].map(|path| origin.url(path));
    assert_eq!(plain::fetch_all_with_timeout(&urls, PATIENCE).await, Err("Request failed"));

    let error = with_gannet::fetch_all_with_timeout(&Client::new(), &urls, PATIENCE)
        .await
        .expect_err("one of them is not there");
    assert!(!error.is_timeout() && !error.is_cancelled());
    assert_eq!(error.cause.status().map(|status| status.as_u16()), Some(404));
    assert_eq!(endings(&error.outcomes), [Ending::Failed, Ending::Cancelled]);
    println!("both: Request failed; gannet says which: {error}");
    Ok(())
}

fn endings(outcomes: &[gannet::Outcome]) -> Vec<Ending> {
    outcomes.iter().map(gannet::Outcome::ending).collect()
}
