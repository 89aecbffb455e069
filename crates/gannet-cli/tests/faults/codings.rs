//! Bodies in a content coding (`--compressed`): wrong, cut, nested without measure, or bombs. Whatever is behind a
//! coding, an error leaves nothing under a final name, and a bomb is stopped in bounded memory.

use std::io::Write as _;
use std::process::Stdio;

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, FlushCompress, Status};
use gannet_origin::{Counts, Origin, RawReply, body};
use rustix::process::Signal;

use crate::fixture::{End, LONG, Server, Speech};

/// What a bomb may cost, in bytes.
const MOST: u64 = 64 << 20;

/// The length of the body that is sent encoded.
const BODY: usize = 5000;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes any bytes");
    encoder.finish().expect("a vector takes any bytes")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes any bytes");
    encoder.finish().expect("a vector takes any bytes")
}

/// A whole reply, by its length, in this coding.
fn encoded(coding: &str, bytes: &[u8]) -> RawReply {
    let length = bytes.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
    RawReply::new().send([head.as_bytes(), bytes].concat())
}

fn raws(replies: impl IntoIterator<Item = RawReply>) -> Server {
    let of = |origin: gannet_origin::OriginBuilder, (n, reply)| origin.raw(format!("/{n}"), reply);
    Speech::Http1.serve((0..).zip(replies).fold(Origin::builder(), of))
}

/// Fetches that many of the replies, and a sound one in no coding.
fn fetched(server: &Server, count: usize) -> End {
    let paths = (0..count).map(|n| format!("/{n}")).chain(["/sound?size=10".to_owned()]);
    server.trial(paths).with("--compressed --retry 0 --read-timeout 2s").run()
}

/// Holds each reply to be an error of the body, while the sound one after them is fetched.
fn are_refused(replies: Vec<RawReply>) {
    let count = replies.len();
    let end = fetched(&raws(replies), count);
    assert_eq!((end.code, end.codes()[count]), (1, "ok"), "{end:?}");
    assert!(end.codes()[..count].iter().all(|code| code.starts_with("body.")), "{:?}", end.codes());
    assert_eq!(end.folder.files_below("out"), ["out/sound_size=10"]);
}

#[test]
fn row_24_a_coding_that_is_right_is_taken_off() {
    let plain = body(BODY, 0);
    let replies = [("gzip", gzip(&plain)), ("x-gzip", gzip(&plain)), ("deflate", deflate(&plain))];
    let server = raws(replies.map(|(coding, bytes)| encoded(coding, &bytes)));
    let end = fetched(&server, 3);
    assert_eq!((end.code, end.codes()), (0, vec!["ok"; 4]), "{end:?}");
    assert!((0..3).all(|seq| end.body(seq) == plain));
}

#[test]
fn row_24_a_coding_that_is_cut_is_an_error_wherever_it_is_cut() {
    let whole = gzip(&body(BODY, 0));
    let places = (1..whole.len()).step_by(97).chain(whole.len() - 9..whole.len());
    are_refused(places.map(|at| encoded("gzip", &whole[..at])).collect());
}

#[test]
fn row_24_a_coding_that_is_wrong_is_an_error() {
    let plain = body(BODY, 0);
    let whole = gzip(&plain);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let end = whole.len();
    are_refused(vec![
        encoded("gzip", &plain),
        encoded("gzip", b"<html>not gzip</html>"),
        encoded("br", &whole),
        encoded("zstd", &whole),
        encoded("deflate", &whole),
        // The method, the data, the digest, the length.
        encoded("gzip", &flipped(2)),
        encoded("gzip", &flipped(end / 2)),
        encoded("gzip", &flipped(end - 8)),
        encoded("gzip", &flipped(end - 1)),
        encoded("gzip", &[&whole, b"behind the end".as_slice()].concat()),
        encoded("no-such-coding", &plain),
        encoded("gzip, no-such-coding", &whole),
    ]);
}

#[test]
fn row_24_one_that_fails_alone_leaves_nothing_and_ends_with_3() {
    for bytes in [b"not gzip".to_vec(), gzip(&body(BODY, 0))[..1000].to_vec()] {
        let server = raws([encoded("gzip", &bytes)]);
        let end = server.trial(["/0"]).with("--compressed --retry 0").run();
        assert!(end.code == 3 && end.codes()[0].starts_with("body."), "{end:?}");
        assert!(end.folder.files_below("out").is_empty());
    }
}

#[test]
fn row_24_a_coded_body_whose_transfer_is_cut_is_truncated() {
    let whole = gzip(&body(BODY, 0));
    let length = whole.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
    let cut = RawReply::new().send([head.as_bytes(), &whole[..length / 2]].concat()).fin();
    let end = fetched(&raws([cut]), 1);
    assert_eq!((end.code, end.codes()), (1, vec!["body.truncated", "ok"]), "{end:?}");
}

/// What a piece of a bomb unpacks to, in bytes; of a long one deflate makes a 1,030th.
const PIECE: usize = 8 << 20;

/// How many pieces make 10 GiB.
const PIECES: u64 = (10 << 30) / PIECE as u64;

/// The parts of a bomb: what begins it, and a piece that is all zeros and may stand there again and again.
fn bombs() -> [(&'static str, Vec<u8>, Vec<u8>); 3] {
    let zeros = vec![0; PIECE];
    let mut deflater = flate2::Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(64 << 10);
    let status = deflater.compress_vec(&zeros, &mut block, FlushCompress::Full);
    assert!(matches!(status, Ok(Status::Ok)) && deflater.total_in() == PIECE as u64);
    assert!(PIECE / block.len() > 1000, "{} bytes", block.len());
    let header = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    // A frame of zstd with a window of 1 MiB, and blocks that repeat one byte 128 Ki times (RFC 8878).
    let (frame, run) = (b"\x28\xb5\x2f\xfd\x00\x50".to_vec(), b"\x02\x00\x10\0".repeat(PIECE >> 17));
    [("gzip", header, block.clone()), ("deflate", Vec::new(), block), ("zstd", frame, run)]
}

/// A reply of this status that unpacks to 10 GiB.
fn bomb(status: &str, (coding, begin, piece): &(&str, Vec<u8>, Vec<u8>)) -> RawReply {
    let length = begin.len() + PIECES as usize * piece.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
    RawReply::new().send([head.as_bytes(), begin].concat()).repeat(piece.clone(), PIECES)
}

/// Fetches a reply and then one that never ends, which is the last of so many requests; gives the most memory held until then, and the end.
fn weighed(reply: RawReply, requests: u64, options: &str) -> (u64, Server, End) {
    let server = raws([reply]);
    let trial = server.trial(["/0", "/last?never"]).weighed().with("-P out --compressed --retry 0 -j 1");
    let running = trial.with(options).start(Stdio::null());
    let is_last = |counts: &Counts| counts.requests == requests && counts.in_flight == 1;
    assert!(server.origin.wait_until_blocking(is_last, LONG), "the bomb does not end");
    let peak = running.peak_memory();
    running.kill(Signal::INT);
    let end = running.end();
    (peak, server, end)
}

#[test]
fn row_25_a_bomb_is_stopped_by_its_ratio_in_bounded_memory() {
    for parts in bombs() {
        let (peak, server, end) = weighed(bomb("200 OK", &parts), 2, "");
        assert_eq!(end.codes(), ["body.bomb", "cancelled"], "{}: {end:?}", parts.0);
        assert!(end.folder.files_below("out").is_empty());
        assert!(peak < MOST, "{}: {peak} bytes", parts.0);
        // Of 10 MiB the client takes a part only; the rest lies in sockets.
        assert!(server.origin.counts().replies_complete == 0 || parts.0 == "zstd", "it was read to its end");
    }
}

#[test]
fn row_25_a_bomb_is_stopped_by_the_largest_size_before_its_ratio() {
    for parts in bombs() {
        let (peak, _, end) = weighed(bomb("200 OK", &parts), 2, "--max-size 512K");
        assert!(["body.too_large", "body.bomb"].contains(&end.codes()[0]), "{}: {end:?}", parts.0);
        assert!(end.folder.files_below("out").is_empty());
        assert!(peak < MOST, "{}: {peak} bytes", parts.0);
    }
}

#[test]
fn row_26_a_chain_of_a_hundred_codings_is_an_error() {
    let deep = (0..100).fold(body(100, 0).to_vec(), |inner, _| gzip(&inner));
    let chain = ["gzip"; 100].join(", ");
    let fields = ["content-encoding: gzip"; 100].join("\r\n");
    let length = deep.len();
    let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n");
    are_refused(vec![
        encoded(&chain, &deep),
        encoded(&["identity", &chain].join(", "), &deep),
        RawReply::new().send([head.as_bytes(), &deep].concat()),
    ]);
    let twice = raws([encoded("gzip, gzip", &gzip(&gzip(&body(BODY, 0))))]);
    let end = fetched(&twice, 1);
    assert!(end.code == 0 && end.body(0) == body(BODY, 0), "{end:?}");
}

#[test]
fn row_27_a_bomb_in_an_error_is_neither_decoded_nor_read_out() {
    for parts in bombs() {
        let (peak, server, end) = weighed(bomb("404 Not Found", &parts), 2, "");
        assert_eq!(end.codes(), ["reply.status", "cancelled"], "{}: {end:?}", parts.0);
        assert!(peak < MOST, "{}: {peak} bytes", parts.0);
        assert!(server.origin.counts().replies_complete == 0 || parts.0 == "zstd", "it was read to its end");
    }
}

#[test]
fn row_27_a_bomb_in_a_redirect_is_neither_decoded_nor_read_out() {
    for parts in bombs() {
        let (peak, server, end) = weighed(bomb("302 Found\r\nlocation: /next?size=9", &parts), 3, "");
        assert_eq!(
            (end.codes(), end.body(0)),
            (vec!["ok", "cancelled"], body(9, 0).to_vec()),
            "{}: {end:?}",
            parts.0
        );
        assert!(peak < MOST, "{}: {peak} bytes", parts.0);
        // The one reply that ends is that of the redirect's target.
        assert!(server.origin.counts().replies_complete <= 1 || parts.0 == "zstd", "it was read to its end");
    }
}
