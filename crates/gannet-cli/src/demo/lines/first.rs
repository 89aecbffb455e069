//! The lines of the act `first`.

use gannet::{AllFailed, Client, First};

// `First` says which URL won; the others' requests end when it does.
pub(crate) async fn first_of(client: &Client, mirrors: &[String]) -> Result<First<String>, AllFailed> {
    client.fetch_first(mirrors).text().await
}
