//! `compute()`: calling an async function does nothing until it is awaited. In C# the call itself runs the method up
//! to its first await, and prints at once.
//!
//! Claim: the prints come in that order; a fetch that is not awaited does not reach the origin, and its timeout does
//! not run.
//!
//! The usual mistake is to forget `.await`. The compiler warns of it; who drops the value on purpose is not warned,
//! and nothing was done.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use gannet::Client;
use gannet_origin::Origin;

#[path = "plain_http.rs"]
mod plain_http;

/// What was printed, in order.
#[derive(Default)]
struct Prints(Mutex<Vec<&'static str>>);

impl Prints {
    fn print(&self, line: &'static str) {
        println!("    {line}");
        self.0.lock().expect("nobody panics while printing").push(line);
    }

    fn all(self) -> Vec<&'static str> {
        self.0.into_inner().expect("nobody panics while printing")
    }
}

mod plain {
    use super::Prints;

    pub(super) async fn compute(prints: &Prints) -> u32 {
        prints.print("computing");
        42
    }

    /// What C# makes of an async method: its beginning runs within the call.
    pub(super) fn compute_at_once(prints: &Prints) -> impl Future<Output = u32> {
        prints.print("computing");
        async { 42 }
    }
}

mod with_gannet {
    use std::time::Duration;

    use gannet::{Client, Fetch};

    /// No `async` is needed: a `Fetch` is a lazy future itself.
    pub(super) fn compute(client: &Client, url: &str, limit: Duration) -> Fetch<String> {
        client.get(url).text().timeout(limit)
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    a_future_prints_when_awaited().await;
    a_task_of_csharp_prints_when_called().await;
    let origin = Origin::start_in_thread(Origin::builder())?;
    what_is_not_awaited_never_reaches_the_origin(&origin).await?;
    the_time_of_a_lazy_fetch_does_not_run(&origin).await
}

async fn a_future_prints_when_awaited() {
    println!("Rust:");
    let prints = Prints::default();
    let future = plain::compute(&prints);
    prints.print("called");
    assert_eq!(future.await, 42);
    prints.print("awaited");
    assert_eq!(prints.all(), ["called", "computing", "awaited"]);
}

async fn a_task_of_csharp_prints_when_called() {
    println!("as C# does it:");
    let prints = Prints::default();
    let future = plain::compute_at_once(&prints);
    prints.print("called");
    assert_eq!(future.await, 42);
    prints.print("awaited");
    assert_eq!(prints.all(), ["computing", "called", "awaited"]);
}

/// A later request that is answered proves that an earlier one would have been seen.
async fn what_is_not_awaited_never_reaches_the_origin(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let client = Client::new();
    let url = origin.url("/forgotten");
    drop(plain_http::get_text(&url));
    drop(with_gannet::compute(&client, &url, Duration::from_secs(1)));
    assert_eq!((client.gauges().connections, client.gauges().tasks), (0, 0));

    plain_http::get_text(&origin.url("/awaited")).await?;
    with_gannet::compute(&client, &origin.url("/awaited"), Duration::from_secs(1)).await?;
    let (forgotten, awaited) = (origin.requests_to("/forgotten"), origin.requests_to("/awaited"));
    assert_eq!((forgotten, awaited, origin.counts().connections), (0, 2, 2));
    println!("requests that were awaited: {awaited} reached the origin; forgotten: {forgotten}");
    Ok(())
}

/// It waits for longer than its limit before it is awaited, and still has all of its time.
async fn the_time_of_a_lazy_fetch_does_not_run(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let client = Client::new();
    let lazy = with_gannet::compute(&client, &origin.url("/lazy?text=late"), Duration::from_millis(250));
    client.get(origin.url("/before?delay=300ms")).text().await?;
    assert_eq!(origin.requests_to("/lazy"), 0);
    assert_eq!(lazy.await?, "late");
    println!("a fetch with 250 ms was awaited 300 ms after it was made, and had its 250 ms");
    Ok(())
}
