//! The lines of the act `cancel`.

use gannet::{Client, Error, Outcome};

// Whichever comes first; a job that is dropped takes every request under it along.
pub(crate) async fn unless(urls: &[String], stop: impl Future) -> Result<Option<Vec<Outcome>>, Error> {
    let client = Client::builder().per_host(100).build()?;
    tokio::select! {
        outcomes = client.fetch_all(urls).concurrency(100) => Ok(Some(outcomes)),
        _ = stop => Ok(None),
    }
}
