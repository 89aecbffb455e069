//! The counts and the log tell what happened, and soon.

use std::time::{Duration, Instant};

use gannet_origin::{HowEnded, Origin};

use crate::client::{Client, origin};

const SOON: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, waits until it is in flight, leaves, and says whether that was counted soon.
fn is_seen_to_leave(path: &str) -> bool {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get(path);
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 1, PATIENCE), "{path}");
    drop(client);
    let is_seen = origin.wait_until_blocking(|c| c.replies_aborted_by_client == 1, SOON);
    is_seen && matches!(origin.requests()[0].ended, Some((_, HowEnded::ClientLeft)))
}

#[test]
fn a_client_that_leaves_is_seen_within_50_ms_whatever_it_waits_for() {
    for query in ["never", "delay=9s", "body-delay=9s", "drip=1/9s&size=9", "stall=1&size=9", "stall-at=9"] {
        assert!(is_seen_to_leave(&format!("/?{query}")), "leaving {query} was not seen");
    }
}

#[test]
fn a_client_that_leaves_a_large_body_is_seen_too() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get("/?size=1g");
    client.take(1000);
    drop(client);
    assert!(origin.wait_until_blocking(|c| c.replies_aborted_by_client == 1, SOON));
}

#[test]
fn a_request_is_logged_with_its_beginning_and_its_end() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get("/a?delay=30ms");
    client.reply();
    assert!(origin.wait_until_blocking(|counts| counts.replies_complete == 1, PATIENCE));
    let record = &origin.requests()[0];
    let (ended, how) = record.ended.unwrap();
    assert_eq!((record.path_and_query.as_str(), record.seq, how), ("/a?delay=30ms", 0, HowEnded::Complete));
    assert!(ended - record.started >= Duration::from_millis(30));
}

#[test]
fn what_we_cut_is_told_apart_from_what_the_client_left() {
    let origin = origin();
    crate::client::fetch(&origin, "/?size=9&reset=3");
    crate::client::fetch(&origin, "/?size=9&truncate=3");
    assert!(origin.wait_until_blocking(|counts| counts.replies_cut == 2, PATIENCE));
    assert_eq!((origin.counts().resets_sent, origin.counts().replies_aborted_by_client), (1, 0));
}

#[test]
fn peaks_stay_when_the_clients_are_gone() {
    let origin = origin();
    let mut clients = [0; 3].map(|_| Client::of(&origin));
    clients.iter_mut().for_each(|client| client.get("/?never"));
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 3, PATIENCE));
    drop(clients);
    assert!(origin.wait_until_blocking(|c| (c.in_flight, c.open_connections) == (0, 0), PATIENCE));
    assert_eq!((origin.counts().peak_in_flight, origin.counts().peak_open_connections), (3, 3));
}

#[test]
fn requests_are_counted_by_prefix_and_anew_after_a_reset() {
    let origin = origin();
    ["/a/1", "/a/2?x", "/b"].iter().for_each(|path| drop(crate::client::reply(&origin, path)));
    assert_eq!((origin.requests_to("/a"), origin.requests_to("/")), (2, 3));
    origin.reset_counts();
    assert_eq!((origin.requests_to("/"), origin.requests().len(), origin.counts().requests), (0, 0, 0));
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let start = Instant::now();
    assert!(!origin().wait_until_blocking(|counts| counts.requests > 0, Duration::from_millis(20)));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn dropping_the_origin_closes_every_socket() {
    let origin = origin();
    let (mut client, addr) = (Client::of(&origin), origin.addr());
    client.get("/?never");
    assert!(origin.wait_until_blocking(|counts| counts.in_flight == 1, PATIENCE));
    drop(origin);
    assert!(client.until_end().0.is_empty());
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[tokio::test]
async fn an_origin_runs_on_the_runtime_of_its_caller_and_ends_with_it() {
    let origin = Origin::builder().start().await.unwrap();
    let client = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
    assert!(origin.wait_until(|counts| counts.open_connections == 1, PATIENCE).await);
    drop(origin);
    client.readable().await.unwrap();
    assert_eq!(client.try_read(&mut [0]).unwrap(), 0);
}
