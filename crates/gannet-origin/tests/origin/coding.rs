//! Bodies are coded as they say, or lie as they were asked to; bombs are streamed.

use std::io::Read;

use gannet_origin::{Origin, body};

use crate::client::{Client, End, fetch, field, origin, reply, reply_to};
use crate::http2;

/// Takes off one coding.
fn decode(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match name {
        "gzip" | "x-gzip" => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain),
        "deflate" => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut plain),
        "raw-deflate" => flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut plain),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain),
        "zstd" => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut plain),
        _ => panic!("{name} is no coding"),
    }
    .unwrap();
    plain
}

#[test]
fn each_coding_is_what_it_says() {
    let origin = origin();
    for coding in ["gzip", "x-gzip", "br", "zstd", "deflate", "raw-deflate"] {
        let (head, coded) = reply(&origin, &format!("/?size=100k&seed=5&coding={coding}"));
        assert_eq!(field(&head, "content-encoding"), Some(coding.trim_start_matches("raw-")));
        assert_eq!(decode(coding, &coded), body(100 << 10, 5), "{coding}");
    }
}

#[test]
fn a_chain_is_applied_in_its_order_however_long() {
    let origin = origin();
    let (head, coded) = reply(&origin, "/?text=hello&coding=gzip,br");
    assert_eq!(field(&head, "content-encoding"), Some("gzip, br"));
    assert_eq!(decode("gzip", &decode("br", &coded)), b"hello");
    let hundred = ["gzip"; 100];
    let (head, coded) = reply(&origin, &format!("/?text=hello&coding={}", hundred.join(",")));
    assert_eq!(field(&head, "content-encoding").unwrap().split(", ").count(), 100);
    assert_eq!(hundred.iter().fold(coded, |coded, name| decode(name, &coded)), b"hello");
    assert!(reply(&origin, &format!("/?coding={}", ["br"; 129].join(","))).0.contains(" 400 "));
}

#[test]
fn a_coding_may_be_named_that_the_body_has_not() {
    let (head, body) = reply(&origin(), "/?text=hello&coding-lie=br");
    assert_eq!((field(&head, "content-encoding"), &body[..]), (Some("br"), &b"hello"[..]));
    let (head, body) = reply(&origin(), "/?text=hello&coding=gzip&coding-lie=br");
    assert_eq!((field(&head, "content-encoding"), decode("gzip", &body)), (Some("br"), b"hello".to_vec()));
}

#[test]
fn a_coded_body_is_cut_with_an_honest_length_or_with_the_connection() {
    let origin = origin();
    let (_, whole) = reply(&origin, "/?size=1k&coding=gzip");
    let (head, cut) = reply(&origin, "/?size=1k&coding=gzip&coding-cut=20");
    assert_eq!((field(&head, "content-length"), &cut[..]), (Some("20"), &whole[..20]));
    let (bytes, end) = fetch(&origin, "/?size=1k&coding=gzip&truncate=20");
    assert!(bytes.ends_with(&whole[..20]) && end == End::Fin);
    let declared = format!("content-length: {}\r\n", whole.len());
    assert!(String::from_utf8_lossy(&bytes).contains(&declared));
}

#[test]
fn a_negotiating_origin_codes_only_what_the_client_takes() {
    let origin = origin();
    for (lines, coding) in [
        ("", None),
        ("accept-encoding: br, gzip;q=0.5\r\n", Some("gzip")),
        ("accept-encoding: gzip;q=0, *\r\n", None),
    ] {
        let (head, _) = reply_to(&origin, "/?text=hello&coding=gzip&negotiate", lines);
        assert_eq!(field(&head, "content-encoding"), coding, "{lines}");
        assert_eq!(field(&head, "vary"), Some("accept-encoding"));
    }
}

#[test]
fn a_bomb_decodes_to_so_many_zeros() {
    let origin = origin();
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let mut client = Client::of(&origin);
        client.get(&format!("/?bomb=20m&coding={coding}"));
        let head = client.head();
        assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"));
        let chunks = std::iter::from_fn(|| Some(client.chunk()).filter(|chunk| !chunk.is_empty()));
        let coded: Vec<u8> = chunks.flatten().collect();
        assert!(coded.len() < 100_000, "{coding}: {} bytes", coded.len());
        let plain = decode(coding, &coded);
        assert!(plain.len() == 20 << 20 && plain.iter().all(|byte| *byte == 0), "{coding}");
    }
}

#[test]
fn a_bomb_of_a_terabyte_begins_at_once_and_holds_up_nobody() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.get("/?bomb=1t&coding=gzip");
    assert!(client.head().starts_with("HTTP/1.1 200 ") && !client.chunk().is_empty());
    assert_eq!(reply(&origin, "/?text=other").1, b"other");
    drop(client);
    assert!(origin.wait_until_blocking(|c| c.in_flight == 0, std::time::Duration::from_secs(5)));
}

#[test]
fn a_bomb_may_lie_in_a_redirect_or_an_error() {
    let origin = origin();
    for (query, status) in [("redirect=/x", "302"), ("status=404", "404"), ("status=503", "503")] {
        let mut client = Client::of(&origin);
        client.get(&format!("/?bomb=9m&coding=gzip&{query}"));
        let head = client.head();
        assert!(head[9..].starts_with(status) && head.contains("content-encoding: gzip\r\n"));
        assert!(!client.chunk().is_empty());
    }
    let (head, coded) = reply(&origin, "/?redirect=/x&text=hello&coding=br");
    assert!(head.contains(" 302 ") && decode("br", &coded) == b"hello");
}

#[test]
fn a_streamed_body_may_be_cut_and_stays_cut() {
    let (bytes, end) = fetch(&origin(), "/?bomb=20m&coding=gzip&truncate=100");
    assert!(bytes.ends_with(b"\r\n") && end == End::Fin && bytes.len() < 400, "{} bytes", bytes.len());
    let (bytes, end) = fetch(&origin(), "/?bomb=20m&coding=gzip&reset=300");
    assert_eq!((bytes.len(), end), (300, End::Reset));
}

#[tokio::test]
async fn codings_and_bombs_come_over_http2_too() {
    let mut client = http2::Client::of(Origin::builder().file("/f", "text/plain", "hello")).await;
    let (head, coded) = client.get("/f?coding=zstd").await.unwrap();
    assert_eq!(
        (&head.headers["content-encoding"], decode("zstd", &coded)),
        (&"zstd".parse().unwrap(), b"hello".to_vec())
    );
    let (head, coded) = client.get("/?bomb=20m&coding=gzip,gzip&status=404").await.unwrap();
    assert_eq!((head.status.as_u16(), head.headers.contains_key("content-length")), (404, false));
    assert_eq!(decode("gzip", &decode("gzip", &coded)).len(), 20 << 20);
    assert!(client.get("/?bomb=20m&coding=gzip&truncate=100").await.is_err());
    let negotiated = client.ask("/f?coding=br&negotiate", &[("accept-encoding", "br")]).await.unwrap();
    assert_eq!(decode("br", &negotiated.1), b"hello");
}
