//! `fetch_first(url1, url2)`: whichever answers first; the other is dropped. C#: `Task.WhenAny`. In the chapter it is
//! an exercise with a solution.
//!
//! Claim: the first success wins, and says which it was; the loser's request ends at the origin. If none succeeds,
//! each has its error, in input order.
//!
//! The usual version is a `select!` between the two, as `WhenAny` is: a quick failure wins over a success.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::time::Duration;

use gannet::{Client, First};
use gannet_origin::Origin;

#[path = "plain_http.rs"]
mod plain_http;

/// For what the origin is sure to see.
const PATIENCE: Duration = Duration::from_secs(5);

mod plain {
    use std::io;

    use futures::future::select_ok;

    use super::plain_http::get_text;

    /// The first success with its index; if all fail, the error of the last to do so, and no other.
    pub(super) async fn fetch_first(urls: &[String]) -> io::Result<(usize, String)> {
        let legs = urls
            .iter()
            .enumerate()
            .map(|(index, url)| Box::pin(async move { get_text(url).await.map(|text| (index, text)) }));
        select_ok(legs).await.map(|(first, _losers)| first)
    }

    /// The usual version: the first answer, whatever it is.
    pub(super) async fn usual_fetch_first(first: &str, second: &str) -> io::Result<String> {
        tokio::select! {
            text = get_text(first) => text,
            text = get_text(second) => text,
        }
    }
}

mod with_gannet {
    use gannet::{AllFailed, Client, First};

    pub(super) async fn fetch_first(client: &Client, urls: &[String]) -> Result<First<String>, AllFailed> {
        client.fetch_first(urls).text().await
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    the_quicker_wins_and_the_loser_ends_at_the_origin().await?;
    a_quick_failure_wins_the_usual_version_only().await?;
    if_none_succeeds_gannet_gives_every_error().await
}

async fn the_quicker_wins_and_the_loser_ends_at_the_origin() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/slow?never", "/quick?text=quick&delay=100ms"].map(|path| origin.url(path));

    let (index, text) = plain::fetch_first(&urls).await?;
    assert_eq!((index, &*text), (1, "quick"));
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 1, PATIENCE).await);
    println!("plain: {} won with {text:?}", urls[index]);

    let First { index, value } = with_gannet::fetch_first(&Client::new(), &urls).await?;
    assert_eq!((index, &*value), (1, "quick"));
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 2, PATIENCE).await);
    println!("gannet: {} won with {value:?}", urls[index]);
    println!("both: the origin saw {} losers leave", origin.counts().replies_aborted_by_client);
    Ok(())
}

async fn a_quick_failure_wins_the_usual_version_only() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/?status=404", "/?text=good&delay=100ms"].map(|path| origin.url(path));

    let usual = plain::usual_fetch_first(&urls[0], &urls[1]).await;
    let error = usual.expect_err("the 404 comes first");
    assert!(error.to_string().contains("404"));
    println!("the usual version: {error} won");

    assert_eq!(plain::fetch_first(&urls).await?, (1, "good".to_owned()));
    let first = with_gannet::fetch_first(&Client::new(), &urls).await?;
    assert_eq!(first, First { index: 1, value: "good".to_owned() });
    println!("plain with select_ok, and gannet: {:?} won", first.value);
    Ok(())
}

async fn if_none_succeeds_gannet_gives_every_error() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let urls = ["/?status=404&delay=100ms", "/?status=410"].map(|path| origin.url(path));

    let error = plain::fetch_first(&urls).await.expect_err("both fail");
    assert!(error.to_string().contains("404"), "only the last failure is left: {error}");

    let failed = with_gannet::fetch_first(&Client::new(), &urls).await.expect_err("both fail");
    let statuses: Vec<_> = failed.errors.iter().filter_map(gannet::Error::status).collect();
    assert_eq!(statuses, [404, 410]);
    assert!(!failed.is_timeout() && !failed.is_cancelled());
    println!("gannet: {failed}");
    Ok(())
}
