//! Deadline, retries, hedges and one budget over another client's calls: reqwest against the built-in origin. The
//! first call fails twice and is retried, the second is slow for once and hedged, the third comes too late.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::time::Duration;

use gannet::{AttemptsError, Calls, WhyGaveUp};
use gannet_origin::Origin;

/// Whether another attempt may cure it: no connection, no answer, or a status that passes.
fn may_pass(error: &reqwest::Error) -> bool {
    error.status().is_none_or(|status| status.is_server_error() || status.as_u16() == 429)
}

async fn get(http: reqwest::Client, url: String) -> Result<String, reqwest::Error> {
    http.get(url).send().await?.error_for_status()?.text().await
}

/// One call of the service: within `limit`, at most 3 retries and 2 hedges, within the budget that all its calls share.
async fn ask(
    service: &Calls,
    http: &reqwest::Client,
    limit: Duration,
    urls: impl Fn(u32) -> String,
) -> Result<String, AttemptsError<reqwest::Error>> {
    service
        .attempts(|number| get(http.clone(), urls(number)))
        .timeout(limit)
        .retry(3)
        .backoff(Duration::from_millis(10), Duration::from_millis(100))
        .retry_if(may_pass)
        .hedge(Duration::from_millis(200))
        .await
}

/// What the example claims.
pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let origin = Origin::builder().start().await?;
    let service = Calls::new();
    let http = reqwest::Client::builder().no_proxy().build()?;

    let limit = Duration::from_secs(10);
    let url = origin.url("/retried?script=503,503,200");
    let body = ask(&service, &http, limit, |_| url.clone()).await?;
    println!("retried: {} bytes after {} requests", body.len(), origin.requests_to("/retried"));
    assert!(!body.is_empty());
    assert!(origin.requests_to("/retried") >= 3);

    // The number of the attempt is at hand: the hedge asks for what is not slow.
    let urls = |number| origin.url(if number == 0 { "/slow?delay=60s" } else { "/quick" });
    let body = ask(&service, &http, limit, urls).await?;
    println!("hedged: {} bytes from where it is quick", body.len());
    assert!(!body.is_empty() && origin.requests_to("/quick") == 1);
    assert!(service.budget().hedge_left < Some(10));

    let url = origin.url("/never?delay=60s");
    let limit = Duration::from_millis(300);
    let late = ask(&service, &http, limit, |_| url.clone()).await.expect_err("it takes a minute");
    println!("too late: {late}");
    assert_eq!(late.why(), WhyGaveUp::Deadline);
    println!("{:?}", service.budget());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await
}
