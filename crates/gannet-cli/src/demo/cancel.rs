//! Act 4: dropping a job ends its requests at the server.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gannet_origin::{Counts, Origin};

use super::lines::cancel as lines;
use super::naive::fetch;
use super::scene::{Scene, Verdict, count, millis};
use super::{Act, stage};

pub(super) const ACT: Act = Act {
    name: "cancel",
    what: "100 requests are in flight when their caller loses interest",
    lines: include_str!("lines/cancel.rs"),
    play,
};

/// Both ends of each connection are in this process, which may have 256 descriptors only.
const REQUESTS: u32 = 100;
/// By when the requests have ended at the origin.
const ENDED: Duration = Duration::from_millis(50);
/// How much later one looks at what the naive side left.
const LATER: Duration = Duration::from_millis(500);
/// By when all requests are in flight.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// What came of gannet's side.
struct Came {
    in_flight: u64,
    ended: Duration,
    counts: Counts,
}

fn play() -> io::Result<Scene> {
    let left = stage::side(Origin::builder(), spawned)?;
    let came = stage::side(Origin::builder(), dropped)??;
    let (later, ended) = (millis(LATER), millis(came.ended));
    Ok(Scene {
        naive: format!("spawned tasks, their join_all dropped: {} go on {later} later", count(left)),
        gannet: format!("fetch_all dropped: {} in flight {ended} later", count(came.counts.in_flight)),
        origin: format!(
            "{} requests in flight, then {} left by the client, {} answered, {} connections open",
            count(came.in_flight),
            count(came.counts.replies_aborted_by_client),
            count(came.counts.replies_complete),
            count(came.counts.open_connections),
        ),
        promise: format!("what is dropped ends at the origin within {}", millis(ENDED)),
        verdict: Verdict::of(verdict(&came)).within(ENDED, came.ended),
    })
}

fn verdict(came: &Came) -> Result<(), String> {
    if came.in_flight != u64::from(REQUESTS) {
        return Err(format!("{} requests were in flight, {REQUESTS} were wanted", came.in_flight));
    }
    match came.counts.in_flight {
        0 => Ok(()),
        on => Err(format!("{on} requests went on")),
    }
}

/// The requests that go on at the origin though nobody waits for them.
async fn spawned(origin: &Origin) -> u64 {
    let tasks = urls(origin).into_iter().map(|url| tokio::spawn(async move { fetch(&url).await }));
    tokio::select! {
        _ = join_all(tasks) => {}
        _ = all_in_flight(origin) => {}
    }
    tokio::time::sleep(LATER).await;
    origin.counts().in_flight
}

async fn dropped(origin: &Origin) -> io::Result<Came> {
    let (stopped, in_flight) = (Cell::new(Instant::now()), Cell::new(0));
    let stop = async {
        in_flight.set(all_in_flight(origin).await);
        stopped.set(Instant::now());
    };
    if let Some(outcomes) = lines::unless(&urls(origin), stop).await.map_err(io::Error::other)? {
        return Err(io::Error::other(format!("{} silent requests have ended", outcomes.len())));
    }
    let (ended, counts) = stage::quiet(origin, stopped.get()).await;
    Ok(Came { in_flight: in_flight.get(), ended, counts })
}

/// How many requests are in flight once all are, or after a while.
async fn all_in_flight(origin: &Origin) -> u64 {
    origin.wait_until(|counts| counts.in_flight == u64::from(REQUESTS), UNDER_WAY).await;
    origin.counts().in_flight
}

fn urls(origin: &Origin) -> Vec<String> {
    (0..REQUESTS).map(|number| origin.url(&format!("/cancel/{number}?never"))).collect()
}
