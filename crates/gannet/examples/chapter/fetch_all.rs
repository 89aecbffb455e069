//! `fetch_all(urls)`: all of them at once, results in input order. C#: `Task.WhenAll`.
//!
//! Claim: order is kept though the first answers last; all requests are in flight together at the origin; a failure
//! stands in its own place and harms no other.
//!
//! The usual versions put `?` into a function that returns a `Vec`, which does not compile, or await all heads
//! together and then read the bodies one after another: a slow first body holds up all that follow.

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

    use futures::future::join_all;

    use super::plain_http::{get, get_text};

    pub(super) async fn fetch_all(urls: &[String]) -> Vec<io::Result<String>> {
        join_all(urls.iter().map(|url| get_text(url))).await
    }

    /// The usual version: the heads together, then one body after another.
    pub(super) async fn usual_fetch_all(urls: &[String]) -> Vec<io::Result<String>> {
        let replies = join_all(urls.iter().map(|url| get(url))).await;
        let mut texts = Vec::new();
        for reply in replies {
            texts.push(match reply {
                Ok(reply) => reply.text().await,
                Err(error) => Err(error),
            });
        }
        texts
    }
}

mod with_gannet {
    use gannet::Client;

    pub(super) async fn fetch_all(client: &Client, urls: &[String]) -> Vec<Result<String, gannet::Error>> {
        client.fetch_all(urls).text().await
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    results_come_in_order_of_requests_that_ran_together().await?;
    bodies_are_read_together_except_in_the_usual_version().await
}

async fn results_come_in_order_of_requests_that_ran_together() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let paths = ["/?text=last&delay=150ms", "/?status=404&delay=125ms", "/?text=first&delay=100ms"];
    let urls = paths.map(|path| origin.url(path));

    let results = plain::fetch_all(&urls).await;
    assert_order(&results);
    assert_eq!((origin.counts().requests, origin.counts().peak_in_flight), (3, 3));
    println!("plain: {results:?}, in flight together: 3");

    origin.reset_counts();
    let results = with_gannet::fetch_all(&Client::new(), &urls).await;
    assert_order(&results);
    let error = results[1].as_ref().expect_err("the second is not there");
    assert_eq!((error.status().map(|status| status.as_u16()), error.url()), (Some(404), Some(&*urls[1])));
    assert_eq!((origin.counts().requests, origin.counts().peak_in_flight), (3, 3));
    println!("gannet: {:?}, {error}, {:?}, in flight together: 3", results[0], results[2]);
    Ok(())
}

fn assert_order<E>(results: &[Result<String, E>]) {
    let texts: Vec<_> = results.iter().map(|result| result.as_deref().ok()).collect();
    assert_eq!(texts, [Some("last"), None, Some("first")]);
}

/// The large body does not fit into the sockets' buffers: the origin is done with it only when somebody reads it.
async fn bodies_are_read_together_except_in_the_usual_version() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/slow?size=8&drip=1/20ms", "/large?size=8m"].map(|path| origin.url(path));
    for result in plain::usual_fetch_all(&urls).await {
        result?;
    }
    assert_eq!(order_of_ends(&origin).await, ["/slow", "/large"]);
    println!("the usual version: the large body waited for the slow one");

    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/endless?size=8&stall=4", "/large?size=8m"].map(|path| origin.url(path));
    let client = Client::new();
    tokio::select! {
        texts = plain::fetch_all(&urls) => unreachable!("one body never ends, but all came: {}", texts.len()),
        is_seen = origin.wait_until(|seen| seen.replies_complete == 1, PATIENCE) => assert!(is_seen),
    }
    tokio::select! {
        texts = with_gannet::fetch_all(&client, &urls) => unreachable!("one body never ends: {}", texts.len()),
        is_seen = origin.wait_until(|seen| seen.replies_complete == 2, PATIENCE) => assert!(is_seen),
    }
    println!("plain and gannet: the large body came, though the first one never ends");
    Ok(())
}

/// The paths of both requests, in the order in which the origin was done with them.
async fn order_of_ends(origin: &Origin) -> Vec<String> {
    assert!(origin.wait_until(|seen| seen.replies_complete == 2, PATIENCE).await);
    let mut requests = origin.requests();
    requests.sort_by_key(|request| request.ended.map(|(at, _)| at));
    let path = |target: &str| target.split('?').next().unwrap_or(target).to_owned();
    requests.iter().map(|request| path(&request.path_and_query)).collect()
}
