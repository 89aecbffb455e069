//! Ranges and conditions are answered as the standard says, and wrong in each way that was asked for.

use gannet_origin::{Origin, body};

use crate::client::{field, origin, reply, reply_to};
use crate::http2;

/// Asks for bytes 4 to 7 of ten.
fn part(origin: &Origin, fault: &str) -> (String, Vec<u8>) {
    reply_to(origin, &format!("/?text=0123456789&etag=strong&range={fault}"), "range: bytes=4-7\r\n")
}

#[test]
fn a_range_is_answered_with_its_part() {
    let origin = origin();
    for (range, said, part) in [
        ("bytes=4-7", "bytes 4-7/10", "4567"),
        ("bytes=8-", "bytes 8-9/10", "89"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=0-99", "bytes 0-9/10", "0123456789"),
    ] {
        let (head, body) = reply_to(&origin, "/?text=0123456789&etag=strong", &format!("range: {range}\r\n"));
        assert!(head.starts_with("HTTP/1.1 206 "), "{range}");
        assert_eq!((field(&head, "content-range"), &body[..]), (Some(said), part.as_bytes()));
    }
}

#[test]
fn without_a_key_for_it_a_range_is_not_heeded() {
    let (head, body) = reply_to(&origin(), "/?text=0123456789", "range: bytes=4-7\r\n");
    assert!(head.contains(" 200 ") && body.len() == 10 && field(&head, "accept-ranges").is_none());
}

#[test]
fn any_part_of_a_large_body_follows_from_its_seed() {
    let (_, part) = reply_to(&origin(), "/?size=5m&seed=3&range=ok", "range: bytes=4000001-4000100\r\n");
    assert_eq!(part, &body(5 << 20, 3)[4_000_001..=4_000_100]);
}

#[test]
fn what_cannot_be_had_gets_416_and_what_is_no_range_the_whole() {
    let origin = origin();
    let (head, _) = reply_to(&origin, "/?text=abc&etag=strong", "range: bytes=3-\r\n");
    assert!(head.contains(" 416 ") && field(&head, "content-range") == Some("bytes */3"));
    for nonsense in ["bytes=2-1", "lines=0-1", "bytes=x"] {
        let (head, body) = reply_to(&origin, "/?text=abc&etag=strong", &format!("range: {nonsense}\r\n"));
        assert!(head.contains(" 200 ") && body == b"abc", "{nonsense}");
    }
}

#[test]
fn many_ranges_come_in_many_parts() {
    let (head, body) =
        reply_to(&origin(), "/?text=0123456789&range=ok&type=text/x", "range: bytes=0-1,-2\r\n");
    assert_eq!(field(&head, "content-type"), Some("multipart/byteranges; boundary=gannet-origin-part"));
    assert!(!head.contains("text/x"));
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("content-range: bytes 0-1/10\r\n\r\n01\r\n"));
    assert!(text.ends_with("content-range: bytes 8-9/10\r\n\r\n89\r\n--gannet-origin-part--\r\n"));
}

#[test]
fn validators_are_as_asked_and_strong_ones_follow_from_the_bytes() {
    let origin = origin();
    let tag = |query: &str| field(&reply(&origin, query).0, "etag").map(str::to_owned);
    assert_eq!(tag("/?text=a&etag=v1"), Some("\"v1\"".to_owned()));
    assert_eq!(tag("/?text=a&etag=W/%22v1%22"), Some("W/\"v1\"".to_owned()));
    assert_eq!(tag("/?text=a&etag=none"), None);
    assert_eq!(tag("/x?text=a&etag=strong"), tag("/y?text=a&etag=strong"));
    assert_ne!(tag("/?text=a&etag=strong"), tag("/?text=b&etag=strong"));
    assert_ne!(tag("/?text=a&etag=strong"), tag("/?text=a&etag=strong&coding=gzip"));
    assert!(tag("/?text=a&etag=weak").unwrap().starts_with("W/\""));
    let (head, _) = reply(&origin, "/?last-modified=784111777");
    assert_eq!(field(&head, "last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_eq!(field(&head, "accept-ranges"), Some("bytes"));
}

#[test]
fn if_range_is_heeded_strongly_for_tags_and_to_the_letter_for_dates() {
    let origin = origin();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (query, condition, status) in [
        ("etag=v1", "\"v1\"", " 206 "),
        ("etag=v1", "\"v2\"", " 200 "),
        ("etag=W/%22v1%22", "W/\"v1\"", " 200 "),
        ("last-modified=784111777", date, " 206 "),
        ("last-modified=784111778", date, " 200 "),
        ("etag=v1&range=ignore-if-range", "\"v2\"", " 206 "),
    ] {
        let lines = format!("range: bytes=1-\r\nif-range: {condition}\r\n");
        let (head, _) = reply_to(&origin, &format!("/?text=abc&{query}"), &lines);
        assert!(head.contains(status), "{query}, {condition}: {head}");
    }
}

#[test]
fn what_the_client_has_already_gets_304() {
    let origin = origin();
    for (query, line, status) in [
        ("etag=v1", "if-none-match: \"v0\", W/\"v1\"", " 304 "),
        ("etag=v1", "if-none-match: *", " 304 "),
        ("etag=v1", "if-none-match: \"v0\"", " 200 "),
        ("last-modified=784111777", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", " 304 "),
        ("last-modified=784111778", "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", " 200 "),
    ] {
        let mut client = crate::client::Client::of(&origin);
        client.ask(&format!("/?{query}"), &format!("{line}\r\n"));
        assert!(client.head().contains(status), "{query}, {line}");
    }
}

#[test]
fn each_wrong_answer_is_wrong_in_its_own_way() {
    let origin = origin();
    for (fault, status, said, sent) in [
        ("ok", 206, Some("bytes 4-7/10"), "4567"),
        ("ignore", 200, None, "0123456789"),
        ("wrong-start", 206, Some("bytes 3-7/10"), "34567"),
        ("wrong-total", 206, Some("bytes 4-7/11"), "4567"),
        ("wrong-length", 206, Some("bytes 4-7/10"), "456"),
        ("no-content-range", 206, None, "4567"),
        ("short", 206, Some("bytes 4-5/10"), "45"),
        ("416", 416, None, ""),
        ("416-here", 416, Some("bytes */4"), ""),
        ("404", 404, None, "<html><h1>404</h1></html>\n"),
        ("503", 503, None, "<html><h1>503</h1></html>\n"),
    ] {
        let (head, body) = part(&origin, fault);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{fault}: {head}");
        assert_eq!((field(&head, "content-range"), String::from_utf8(body).unwrap().as_str()), (said, sent));
    }
    let (head, body) = part(&origin, "multipart");
    assert!(head.contains("content-type: multipart/byteranges; ") && body.len() > 4);
}

#[test]
fn the_tag_of_a_part_may_differ_from_that_of_the_whole() {
    let origin = origin();
    let tag = |fault: &str| field(&part(&origin, fault).0, "etag").unwrap().to_owned();
    let honest = tag("ok");
    assert_eq!(tag("weak-etag"), format!("W/{honest}"));
    assert_eq!(tag("changed-etag"), format!("{}-changed\"", honest.trim_end_matches('"')));
    let whole = reply(&origin, "/?text=0123456789&etag=strong&range=changed-etag").0;
    assert_eq!(field(&whole, "etag"), Some(honest.as_str()));
}

#[test]
fn the_content_changes_after_so_many_requests_with_its_validators() {
    let origin = origin();
    let ask = || reply(&origin, "/c?size=9&etag=strong&last-modified=784111777&change-after=2");
    let [one, two, three, four] = [ask(), ask(), ask(), ask()];
    assert!(one == two && three == four && one.1 != three.1 && one.1.len() == three.1.len());
    for name in ["etag", "last-modified"] {
        assert_ne!(field(&one.0, name).unwrap(), field(&three.0, name).unwrap());
    }
    let tags = [0; 2].map(|_| reply(&origin, "/d?text=ab&etag=v1&change-after=1"));
    assert_eq!(tags.each_ref().map(|(_, body)| &body[..]), [b"ab", b"bc"]);
    assert_eq!(field(&tags[1].0, "etag"), Some("\"v1-changed\""));
}

#[test]
fn a_head_is_answered_without_its_range() {
    let origin = origin();
    let mut client = crate::client::Client::of(&origin);
    client.send("HEAD /?text=abcde&etag=v1 HTTP/1.1\r\nrange: bytes=1-2\r\n\r\n");
    let head = client.head();
    assert!(head.contains(" 200 ") && field(&head, "content-length") == Some("5"));
    assert_eq!(field(&head, "accept-ranges"), Some("bytes"));
}

#[tokio::test]
async fn ranges_come_over_http2_too() {
    let mut client = http2::Client::of(Origin::builder().file("/f", "a/b", "0123456789")).await;
    let (head, body) =
        client.ask("/f?etag=v1", &[("range", "bytes=4-7"), ("if-range", "\"v1\"")]).await.unwrap();
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-range"], &body[..]),
        (206, &"bytes 4-7/10".parse().unwrap(), &b"4567"[..])
    );
    assert_eq!(head.headers["content-length"], "4");
    let (head, body) = client.ask("/f?range=ignore", &[("range", "bytes=4-7")]).await.unwrap();
    assert_eq!((head.status.as_u16(), body.len()), (200, 10));
    assert_eq!(client.ask("/f?etag=v1", &[("if-none-match", "\"v1\"")]).await.unwrap().0.status, 304);
}
