//! An async block is lazy, a spawned task starts at once. C#'s `Task` is always of the second kind.
//!
//! Claim: the origin sees nothing of an async block or a `Fetch` before it is awaited, and sees what is spawned
//! though nobody awaits it.
//!
//! The usual mistake is to make two futures, await one and then the other, and believe that they ran together, as
//! two Tasks would: the origin never has both in flight.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::time::Duration;

use gannet::Client;
use gannet_origin::Origin;

#[path = "plain_http.rs"]
mod plain_http;

/// For what the origin is sure to see.
const PATIENCE: Duration = Duration::from_secs(5);

mod plain {
    use std::io;

    use tokio::task::JoinHandle;

    use super::plain_http::get_text;

    pub(super) fn spawned(url: String) -> JoinHandle<io::Result<String>> {
        tokio::spawn(async move { get_text(&url).await })
    }

    /// The usual mistake: the second is not begun before the first has ended.
    pub(super) async fn in_turn(url: &str) -> io::Result<[usize; 2]> {
        let first = async { get_text(url).await.map(|text| text.len()) };
        let second = async { get_text(url).await.map(|text| text.len()) };
        Ok([first.await?, second.await?])
    }

    pub(super) async fn together(url: &str) -> io::Result<[usize; 2]> {
        let (first, second) = (spawned(url.to_owned()), spawned(url.to_owned()));
        Ok([first.await??.len(), second.await??.len()])
    }
}

mod with_gannet {
    use gannet::{Client, Error, Fetch, JobHandle};

    pub(super) fn lazy(client: &Client, url: &str) -> Fetch<String> {
        client.get(url).text()
    }

    pub(super) fn spawned(client: &Client, url: &str) -> JobHandle<Result<String, Error>> {
        lazy(client, url).spawn()
    }

    /// The same mistake: a `Fetch` is no more begun than an async block.
    pub(super) async fn in_turn(client: &Client, url: &str) -> Result<[usize; 2], Error> {
        let (first, second) = (lazy(client, url), lazy(client, url));
        Ok([first.await?.len(), second.await?.len()])
    }

    pub(super) async fn together(client: &Client, url: &str) -> Result<[usize; 2], Error> {
        let (first, second) = (spawned(client, url), spawned(client, url));
        Ok([first.await?.len(), second.await?.len()])
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    what_is_lazy_reaches_the_origin_when_awaited().await?;
    what_is_spawned_reaches_the_origin_unawaited().await?;
    two_lazy_ones_awaited_in_turn_never_run_together().await
}

/// A later request that is answered proves that an earlier one would have been seen.
async fn what_is_lazy_reaches_the_origin_when_awaited() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let client = Client::new();
    let url = origin.url("/lazy?text=awaited");
    let plain = async {
        println!("the async block runs");
        plain_http::get_text(&url).await
    };
    let gannet = with_gannet::lazy(&client, &url);

    with_gannet::lazy(&client, &origin.url("/later")).await?;
    assert_eq!((origin.requests_to("/lazy"), origin.counts().connections), (0, 1));
    assert_eq!((plain.await?, gannet.await?), ("awaited".to_owned(), "awaited".to_owned()));
    assert_eq!(origin.requests_to("/lazy"), 2);
    println!("lazy: 0 requests before the await, 2 after");
    Ok(())
}

async fn what_is_spawned_reaches_the_origin_unawaited() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let url = origin.url("/?text=spawned");
    let (plain, gannet) = (plain::spawned(url.clone()), with_gannet::spawned(&Client::new(), &url));

    assert!(origin.wait_until(|seen| seen.replies_complete == 2, PATIENCE).await);
    println!("spawned: 2 requests before any await");
    assert_eq!((plain.await??, gannet.await?), ("spawned".to_owned(), "spawned".to_owned()));
    Ok(())
}

async fn two_lazy_ones_awaited_in_turn_never_run_together() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let url = origin.url("/?delay=100ms");
    let client = Client::new();

    assert_eq!(plain::in_turn(&url).await?, [3, 3]);
    assert_eq!(with_gannet::in_turn(&client, &url).await?, [3, 3]);
    assert_eq!(origin.counts().peak_in_flight, 1, "the usual mistake: they ran one after the other");

    assert_eq!(plain::together(&url).await?, [3, 3]);
    assert_eq!(origin.counts().peak_in_flight, 2);
    assert!(origin.wait_until(|seen| seen.in_flight == 0, PATIENCE).await);
    origin.reset_counts();
    assert_eq!(with_gannet::together(&client, &url).await?, [3, 3]);
    assert_eq!(origin.counts().peak_in_flight, 2);
    println!("awaited in turn: 1 in flight at most; spawned: 2");
    Ok(())
}
