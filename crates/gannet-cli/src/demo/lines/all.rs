//! The lines of the act `all`.

use std::time::Duration;

use gannet::{Client, Error, Outcome};

// One outcome for each URL, in input order; those that the deadline cut are `Ending::Unfinished`.
pub(crate) async fn all_by(urls: &[String], deadline: Duration) -> Result<Vec<Outcome>, Error> {
    // By default a host is asked for 6 at once, and here 6 will be silent.
    let client = Client::builder().per_host(64).build()?;
    Ok(client.fetch_all(urls).timeout(deadline).await)
}
