//! The `Future` trait with its `Pin<&mut Self>`, and `make_future()`, which returns a boxed, pinned future that is
//! `Send`. C# has no counterpart to the first, and hides the second: every `Task` is a reference.
//!
//! Claim: a future written by hand is polled as a compiled one is; boxed futures of several kinds stand in one list,
//! and behind a trait: a `Transport` of one's own serves a gannet client, which retries over it and drops its future
//! when time is up; a pinned future in a `select!` loop goes on from turn to turn.
//!
//! The usual loop makes its future anew in each turn: each turn drops the request and sends another one.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use gannet::Client;
use gannet_origin::Origin;
use tokio::time::interval;

#[path = "plain_http.rs"]
mod plain_http;

/// For what the origin is sure to see.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two turns of the loops.
const TURN: Duration = Duration::from_millis(20);

/// Counts how often a future is polled. A future that is `Unpin`, as a `Fetch` is, may be polled through a plain
/// reference.
struct Counted<F> {
    future: F,
    polls: u32,
}

impl<F: Future + Unpin> Future for Counted<F> {
    type Output = (F::Output, u32);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls += 1;
        let polls = self.polls;
        Pin::new(&mut self.future).poll(cx).map(|value| (value, polls))
    }
}

fn counted<F>(future: F) -> Counted<F> {
    Counted { future, polls: 0 }
}

mod plain {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::plain_http::get_text;

    /// The state machine that [`compiled_countdown`] is compiled to, written by hand.
    pub(super) struct Countdown {
        pub(super) left: u32,
    }

    impl Future for Countdown {
        type Output = &'static str;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
            if self.left == 0 {
                return Poll::Ready("lift-off");
            }
            self.left -= 1;
            // Who returns Pending has to see to it that somebody wakes the task.
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    pub(super) async fn compiled_countdown(mut left: u32) -> &'static str {
        while left > 0 {
            left -= 1;
            tokio::task::yield_now().await;
        }
        "lift-off"
    }

    pub(super) fn make_future(url: String) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send>> {
        Box::pin(async move { get_text(&url).await })
    }

    /// An `async fn` here would make `dyn Fetcher` impossible; a boxed future does not.
    pub(super) trait Fetcher {
        fn fetch(&self, url: String) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;
    }

    pub(super) struct OverHttp;

    impl Fetcher for OverHttp {
        fn fetch(&self, url: String) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send>> {
            make_future(url)
        }
    }

    pub(super) struct Canned;

    impl Fetcher for Canned {
        fn fetch(&self, url: String) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send>> {
            Box::pin(std::future::ready(Ok(format!("canned {url}"))))
        }
    }
}

mod with_gannet {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use gannet::{BoxFuture, Client, Error, Reply, Transport, WireRequest};

    use super::plain_http::get_text;

    pub(super) fn make_future(client: &Client, url: &str) -> BoxFuture<'static, Result<String, Error>> {
        Box::pin(client.get(url).text())
    }

    /// A transport of one's own: this folder's plain GET, whose first request is lost.
    pub(super) struct OverPlainHttp {
        pub(super) sent: Arc<AtomicU32>,
    }

    impl Transport for OverPlainHttp {
        fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
            Box::pin(async move {
                if self.sent.fetch_add(1, Ordering::Relaxed) == 0 {
                    return Err(Error::transport("the first request is lost"));
                }
                let text = get_text(&request.uri().to_string()).await;
                text.map(|text| Reply::new(http::Response::new(text)))
                    .map_err(|error| Error::transport(error.to_string()))
            })
        }
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    a_future_by_hand_is_polled_as_a_compiled_one().await;
    futures_of_several_kinds_stand_in_one_list(&origin).await?;
    a_trait_gives_boxed_futures(&origin).await?;
    a_transport_of_ones_own_serves_a_client(&origin).await?;
    a_pinned_future_goes_on_from_turn_to_turn().await
}

async fn a_future_by_hand_is_polled_as_a_compiled_one() {
    let by_hand = counted(plain::Countdown { left: 3 }).await;
    let compiled = counted(Box::pin(plain::compiled_countdown(3))).await;
    assert_eq!((by_hand, compiled), (("lift-off", 4), ("lift-off", 4)));
    println!("plain: by hand and compiled, each was polled 4 times");
}

async fn futures_of_several_kinds_stand_in_one_list(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let url = origin.url("/?text=hello");
    let client = Client::new();
    let (fetched, polls) = counted(client.get(format!("{url}&delay=20ms")).text()).await;
    assert_eq!(fetched?, "hello");
    assert!(polls >= 2, "the first poll starts it, and a later one ends it");

    let plain = [plain::make_future(url.clone()), Box::pin(std::future::ready(Ok("ready".to_owned())))];
    let texts: Vec<_> = join_all(plain).await.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(texts, ["hello", "ready"]);
    let gannet = [with_gannet::make_future(&client, &url), Box::pin(async { Ok("ready".to_owned()) })];
    let texts: Vec<_> = join_all(gannet).await.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(texts, ["hello", "ready"]);
    println!("both: boxed futures of two kinds in one list; a counted fetch took {polls} polls");
    Ok(())
}

async fn a_trait_gives_boxed_futures(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let url = origin.url("/?text=hello");
    let fetchers: [Box<dyn plain::Fetcher>; 2] = [Box::new(plain::OverHttp), Box::new(plain::Canned)];
    let texts = join_all(fetchers.iter().map(|fetcher| fetcher.fetch(url.clone()))).await;
    let texts: Vec<_> = texts.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(texts, ["hello".to_owned(), format!("canned {url}")]);
    println!("plain: two fetchers behind one trait");
    Ok(())
}

async fn a_transport_of_ones_own_serves_a_client(origin: &Origin) -> Result<(), Box<dyn Error>> {
    origin.reset_counts();
    let sent = Arc::new(AtomicU32::new(0));
    let transport = with_gannet::OverPlainHttp { sent: Arc::clone(&sent) };
    let quickly = Duration::from_millis(1);
    let client = Client::builder().transport(transport).backoff(quickly, quickly).build()?;

    assert_eq!(client.get(origin.url("/?text=hello")).text().await?, "hello");
    assert_eq!((sent.load(Ordering::Relaxed), origin.counts().requests), (2, 1));

    let fetch = client.get(origin.url("/?never")).text();
    tokio::select! {
        fetched = fetch => unreachable!("the origin never answers, but gave {fetched:?}"),
        is_seen = origin.wait_until(|seen| seen.in_flight == 1, PATIENCE) => assert!(is_seen),
    }
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 1, PATIENCE).await);
    println!("gannet: over a transport of our own, it retried a lost request, and a drop reached the origin");
    Ok(())
}

async fn a_pinned_future_goes_on_from_turn_to_turn() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let url = origin.url("/?text=hello&delay=200ms");
    let mut turns = interval(TURN);
    while origin.counts().requests < 3 {
        tokio::select! {
            text = plain_http::get_text(&url) => unreachable!("200 ms passed in a turn of 20 ms: {text:?}"),
            _ = turns.tick() => {}
        }
    }
    assert!(origin.wait_until(|seen| seen.in_flight == 0, PATIENCE).await);
    assert_eq!(
        origin.counts().replies_complete,
        0,
        "the usual loop sends request after request, and ends none"
    );

    origin.reset_counts();
    let mut future = pin!(plain_http::get_text(&url));
    let (text, waited) = turns_until(&mut future).await;
    assert_eq!((text?.as_str(), origin.counts().requests), ("hello", 1));
    println!("plain: a pinned future came in after {waited} turns, with 1 request");

    // A Fetch is Unpin: no `pin!` is needed.
    let mut fetch = Client::new().get(&url).text();
    let (text, waited) = turns_until(&mut fetch).await;
    assert_eq!((text?.as_str(), origin.counts().requests), ("hello", 2));
    println!("gannet: a fetch came in after {waited} turns, with 1 request");
    Ok(())
}

/// Looks after something else in each turn, until the future is ready; gives the number of turns.
async fn turns_until<F: Future + Unpin>(future: &mut F) -> (F::Output, u32) {
    let (mut turns, mut waited) = (interval(TURN), 0);
    loop {
        tokio::select! {
            value = &mut *future => {
                assert!(waited > 0, "there was time for a turn");
                return (value, waited);
            }
            _ = turns.tick() => waited += 1,
        }
    }
}
