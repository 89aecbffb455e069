//! Outcomes of real fetches from an origin on the loopback, for the tests of what is written about them.

use gannet::{Client, Outcome, Request};
use gannet_origin::{Origin, refusing_addr};

/// What is fetched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample<'a> {
    /// This path of the origin.
    Answered(&'a str),
    /// What nobody listens at.
    Refused,
    /// The same, over HTTP/2.
    Http2(&'a str),
}

/// Fetches it with one retry at most, and keeps the body in memory.
pub(super) fn outcome(sample: Sample<'_>) -> Outcome {
    let origin = Origin::start_in_thread(Origin::builder()).expect("an origin starts on the loopback");
    let versions = match sample {
        Sample::Http2(_) => gannet::HttpVersions::Http2,
        _ => gannet::HttpVersions::Auto,
    };
    let url = match sample {
        Sample::Answered(path) | Sample::Http2(path) => origin.url(path),
        Sample::Refused => format!("http://{}/", refusing_addr().expect("a free port")),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request = Request::new(&url).expect("a URL");
    runtime.block_on(async {
        let client = Client::builder().http_versions(versions).retries(1).build().expect("it fits together");
        client.fetch_each([request]).next().await.expect("one request has one outcome")
    })
}
