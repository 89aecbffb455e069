//! The lines of the act `lazy`.

use gannet::{Client, Error, Fetch};

// Nothing is looked up, opened or timed here.
pub(crate) fn build(client: &Client, urls: &[String]) -> Vec<Fetch<String>> {
    urls.iter().map(|url| client.get(url).text()).collect()
}

// The await is what starts a fetch.
pub(crate) async fn start_one(fetch: Fetch<String>) -> Result<String, Error> {
    fetch.await
}
