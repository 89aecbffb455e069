//! Act 1: a fetch that was built and not awaited has cost its server nothing.

use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use gannet::Client;
use gannet_origin::Origin;

use super::lines::lazy as lines;
use super::naive::Window;
use super::scene::{Scene, Verdict, count};
use super::{Act, stage};

pub(super) const ACT: Act = Act {
    name: "lazy",
    what: "1,000 fetches are built, and for a while nobody awaits them",
    lines: include_str!("lines/lazy.rs"),
    play,
};

/// Fetches that are built.
const BUILT: usize = 1_000;
/// How long nobody awaits them.
const WHILE: Duration = Duration::from_millis(300);
/// What the spawned tasks may have under way at once.
const WINDOW: usize = 64;

/// What the origin saw of gannet.
struct Seen {
    connections_before: u64,
    requests_before: u64,
    requests_after: u64,
    awaited: Result<String, gannet::Error>,
}

fn play() -> io::Result<Scene> {
    let eager = stage::side(Origin::builder(), spawned)?;
    let seen = stage::side(Origin::builder(), built)?;
    let Seen { connections_before, requests_before, requests_after, .. } = seen;
    Ok(Scene {
        naive: format!("tokio::spawn starts at once: {} requests sent", count(eager)),
        gannet: format!(
            "{} connections and {} requests before the first poll; one is awaited: {} request",
            count(connections_before),
            count(requests_before),
            count(requests_after),
        ),
        origin: format!("{} requests, then {}", count(eager), count(requests_after)),
        promise: "nothing is sent before the first poll".to_owned(),
        verdict: Verdict::of(verdict(&seen)),
    })
}

fn verdict(seen: &Seen) -> Result<(), String> {
    if let Err(error) = &seen.awaited {
        return Err(error.to_string());
    }
    match (seen.connections_before, seen.requests_before, seen.requests_after) {
        (0, 0, 1) => Ok(()),
        (connections, before, after) => {
            Err(format!("{connections} connections and {before} requests before it, {after} requests after"))
        }
    }
}

/// The requests that were sent though none of the tasks was awaited.
async fn spawned(origin: &Origin) -> u64 {
    let window = std::sync::Arc::new(Window::new(WINDOW));
    let tasks = urls(origin).into_iter().map(|url| {
        let window = std::sync::Arc::clone(&window);
        tokio::spawn(async move { window.fetch(&url).await })
    });
    let tasks: Vec<_> = tasks.collect();
    tokio::time::sleep(WHILE).await;
    let sent = origin.counts().requests;
    // From here on it is no matter of the act; a failed task shows in the count.
    join_all(tasks).await;
    sent
}

async fn built(origin: &Origin) -> Seen {
    let client = Client::new();
    let mut fetches = lines::build(&client, &urls(origin));
    tokio::time::sleep(WHILE).await;
    let before = origin.counts();
    let fetch = fetches.swap_remove(BUILT / 2);
    let awaited = lines::start_one(fetch).await;
    Seen {
        connections_before: before.connections,
        requests_before: before.requests,
        requests_after: origin.counts().requests,
        awaited,
    }
}

fn urls(origin: &Origin) -> Vec<String> {
    (0..BUILT).map(|number| origin.url(&format!("/lazy/{number}?text=hello"))).collect()
}
