//! Cuts lie at exactly the byte that was asked for, and raw replies are sent as they are.

use std::time::Duration;

use gannet_origin::{Origin, RawReply};

use crate::client::{Client, End, fetch, origin};

const QUIET: Duration = Duration::from_millis(40);

/// The reply to `/?size=300`, uncut.
fn whole(origin: &Origin) -> Vec<u8> {
    let mut client = Client::of(origin);
    client.get("/?size=300");
    let (head, body) = client.reply();
    [head.into_bytes(), body].concat()
}

#[test]
fn a_fin_lies_at_any_byte_of_the_reply() {
    let origin = origin();
    let whole = whole(&origin);
    for at in 0..=whole.len() + 1 {
        let (bytes, end) = fetch(&origin, &format!("/?size=300&fin={at}"));
        assert_eq!((&bytes[..], end), (&whole[..at.min(whole.len())], End::Fin), "cut at {at}");
    }
}

#[test]
fn a_reset_lies_at_any_byte_of_the_reply() {
    let origin = origin();
    let whole = whole(&origin);
    for at in 0..=whole.len() + 1 {
        let (bytes, end) = fetch(&origin, &format!("/?size=300&reset={at}"));
        assert_eq!((&bytes[..], end), (&whole[..at.min(whole.len())], End::Reset), "cut at {at}");
    }
    assert_eq!(origin.counts().resets_sent, whole.len() as u64 + 2);
}

#[test]
fn silence_lies_at_the_byte_that_was_asked_for() {
    let origin = origin();
    let whole = whole(&origin);
    for at in [0, 1, 17, 39, 40, 41, whole.len() - 1] {
        let mut client = Client::of(&origin);
        client.get(&format!("/?size=300&stall-at={at}"));
        let (bytes, end) = client.rest(QUIET);
        assert_eq!((&bytes[..], end), (&whole[..at], End::Silence), "cut at {at}");
    }
}

#[test]
fn a_large_reply_is_cut_where_it_was_asked_for_too() {
    let origin = origin();
    for (how, end) in [("fin", End::Fin), ("reset", End::Reset)] {
        let (bytes, ended) = fetch(&origin, &format!("/?size=3m&{how}=1000000"));
        assert_eq!((bytes.len(), ended), (1_000_000, end));
    }
}

#[test]
fn stall_and_truncate_count_the_body_alone() {
    let origin = origin();
    let (bytes, end) = fetch(&origin, "/?text=abcdef&truncate=2");
    assert!(bytes.ends_with(b"content-length: 6\r\n\r\nab") && end == End::Fin);
    let (bytes, end) = fetch(&origin, "/?text=abcdef&truncate=2&chunked");
    assert!(bytes.ends_with(b"\r\n\r\n2\r\nab\r\n") && end == End::Fin);
    let mut client = Client::of(&origin);
    client.get("/?text=abcdef&stall=0");
    let (bytes, end) = client.rest(QUIET);
    assert!(bytes.ends_with(b"\r\n\r\n") && end == End::Silence);
}

#[test]
fn a_scripted_request_may_be_reset_before_its_reply() {
    let origin = origin();
    assert_eq!(fetch(&origin, "/?script=reset,fin,200&close"), (vec![], End::Reset));
    assert_eq!(fetch(&origin, "/?script=reset,fin,200&close"), (vec![], End::Fin));
    assert!(fetch(&origin, "/?script=reset,fin,200&close").0.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_raw_reply_is_sent_as_it_is() {
    let two_lengths = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
    let builder = Origin::builder()
        .raw("/fin", RawReply::new().send(two_lengths).fin())
        .raw("/reset", RawReply::new().send("HTTP/9").pause(QUIET).send(".9").reset());
    let origin = Origin::start_in_thread(builder).unwrap();
    assert_eq!(fetch(&origin, "/fin?x"), (two_lengths.into(), End::Fin));
    assert_eq!(fetch(&origin, "/reset"), (b"HTTP/9.9".to_vec(), End::Reset));
}

#[test]
fn a_raw_reply_without_an_end_leaves_the_connection_open_for_the_next_request() {
    let twice = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na".repeat(2);
    let origin = Origin::start_in_thread(Origin::builder().raw("/two", RawReply::new().send(twice))).unwrap();
    let mut client = Client::of(&origin);
    client.get("/two");
    assert_eq!((client.reply().1, client.reply().1), (b"a".to_vec(), b"a".to_vec()));
    client.get("/?text=next");
    assert_eq!(client.reply().1, b"next");
}

#[test]
fn a_raw_reply_may_go_on_until_the_client_leaves() {
    let flood = RawReply::new().repeat("HTTP/1.1 103 Early Hints\r\n\r\n", u64::MAX);
    let origin = Origin::start_in_thread(Origin::builder().raw("/103", flood)).unwrap();
    let mut client = Client::of(&origin);
    client.get("/103");
    assert_eq!(client.take(28_000).len(), 28_000);
    drop(client);
    assert!(origin.wait_until_blocking(|c| c.replies_aborted_by_client == 1, Duration::from_secs(1)));
}

#[test]
fn a_query_may_hold_the_raw_reply() {
    assert_eq!(fetch(&origin(), "/?raw=HTTP/1.1%20-1%0d%0a"), (b"HTTP/1.1 -1\r\n".to_vec(), End::Fin));
}

#[test]
fn a_connection_may_close_as_the_next_request_comes() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get("/?then-close&text=a");
    assert_eq!(client.reply().1, b"a");
    client.get("/next");
    assert_eq!(client.until_end(), (vec![], End::Fin));
    assert_eq!((origin.counts().dropped_unread, origin.counts().requests), (1, 1));
}
