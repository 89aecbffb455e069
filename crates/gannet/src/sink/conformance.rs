//! What every sink must do, as plain functions to call from a sink's own tests. Each takes a fresh sink and a way to
//! read back what it keeps, and panics with a sentence if a promise is broken. Nothing here knows any one sink.
//!
//! # Examples
//! ```
//! use gannet::sink::{Memory, conformance};
//!
//! let kept = |_: u64, receipt: Option<&gannet::Receipt>| Some(receipt?.body.as_ref()?.to_vec());
//! conformance::a_committed_body_is_whole(&Memory::default(), &kept);
//! conformance::a_dropped_part_leaves_nothing(&Memory::default(), &kept);
//! ```

use std::io::Read as _;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;

use super::{Admission, Part, Room, Sink};
use crate::error::Error;
use crate::outcome::{Receipt, ReplyHead};
use crate::part::Part as Told;
use crate::request::Request;

/// Reads back what a sink keeps of the request of this number, whose receipt it is if it was committed. `None` if
/// nothing is kept.
pub type ReadBack<'a> = &'a dyn Fn(u64, Option<&Receipt>) -> Option<Vec<u8>>;

/// A body comes back byte for byte.
pub fn a_committed_body_is_whole(sink: &dyn Sink, kept: ReadBack<'_>) {
    let receipt = put(sink, 0, &[b"hello, ", b"world"]);
    assert_eq!(receipt.length, 12, "the receipt says another length than was written");
    expect(kept(0, Some(&receipt)), b"hello, world");
}

/// An empty body is a body.
pub fn an_empty_body_is_kept(sink: &dyn Sink, kept: ReadBack<'_>) {
    let receipt = put(sink, 0, &[]);
    assert_eq!(receipt.length, 0, "the receipt of an empty body has a length");
    let body = kept(0, Some(&receipt)).unwrap_or_default();
    assert!(body.is_empty(), "an empty body came back with {} bytes", body.len());
}

/// Many small chunks come back in order.
pub fn many_chunks_come_back_in_order(sink: &dyn Sink, kept: ReadBack<'_>) {
    let body = pattern(50_000, 1);
    let receipt = put(sink, 0, &body.chunks(7).collect::<Vec<_>>());
    expect(kept(0, Some(&receipt)), &body);
}

/// A body of over a megabyte, in chunks of mixed lengths, comes back byte for byte.
pub fn a_large_body_is_whole(sink: &dyn Sink, kept: ReadBack<'_>) {
    let body = pattern(3_000_001, 2);
    let (head, rest) = body.split_at(1_000_000);
    let chunks: Vec<&[u8]> = head.chunks(333).chain(rest.chunks(100_000)).collect();
    let receipt = put(sink, 0, &chunks);
    assert_eq!(receipt.length, body.len() as u64, "the receipt says another length than was written");
    expect(kept(0, Some(&receipt)), &body);
}

/// Nothing is kept of a small part that was dropped before its commit.
pub fn a_dropped_part_leaves_nothing(sink: &dyn Sink, kept: ReadBack<'_>) {
    let request = admit(sink, 1);
    let mut part = begin(sink, 1, &request);
    write(part.as_mut(), b"unfinished");
    drop(part);
    sink.settled(1);
    assert!(kept(1, None).is_none(), "bytes of a dropped part were kept");
}

/// Nothing is kept of a large part that was dropped before its commit, if it was not at its turn.
pub fn a_large_dropped_part_leaves_nothing(sink: &dyn Sink, kept: ReadBack<'_>) {
    let request = admit(sink, 1);
    let mut part = begin(sink, 1, &request);
    for chunk in pattern(2_000_000, 3).chunks(65_536) {
        write(part.as_mut(), chunk);
    }
    assert!(part.restartable(), "a part that is not at its turn cannot be begun anew");
    drop(part);
    sink.settled(1);
    assert!(kept(1, None).is_none(), "bytes of a large dropped part were kept");
}

/// A part that is dropped while it can be begun anew is followed by another, of which alone the bytes are kept.
pub fn a_part_can_be_begun_anew(sink: &dyn Sink, kept: ReadBack<'_>) {
    let request = admit(sink, 0);
    let first = begin(sink, 0, &request);
    assert!(first.restartable(), "a part without a byte cannot be begun anew");
    drop(first);
    let mut second = begin(sink, 0, &request);
    write(second.as_mut(), b"second");
    let receipt = finish(second);
    sink.settled(0);
    expect(kept(0, Some(&receipt)), b"second");
}

/// A flush between chunks changes nothing, nor does a second one.
pub fn a_flush_changes_nothing(sink: &dyn Sink, kept: ReadBack<'_>) {
    let request = admit(sink, 0);
    let mut part = begin(sink, 0, &request);
    write(part.as_mut(), b"one ");
    flush(part.as_mut());
    write(part.as_mut(), b"two");
    flush(part.as_mut());
    let receipt = finish(part);
    sink.settled(0);
    expect(kept(0, Some(&receipt)), b"one two");
}

/// Bodies that are written in turns and committed in another order come back each by itself.
pub fn bodies_do_not_mix(sink: &dyn Sink, kept: ReadBack<'_>) {
    const COUNT: u64 = 5;
    let requests: Vec<Request> = (0..COUNT).map(|seq| admit(sink, seq)).collect();
    let mut parts: Vec<_> = (0..).zip(&requests).map(|(seq, request)| begin(sink, seq, request)).collect();
    for round in 0..10 {
        for (seq, part) in (0..).zip(&mut parts) {
            write(part.as_mut(), &piece(seq, round));
        }
    }
    let receipts: Vec<Receipt> = parts.into_iter().rev().map(finish).collect();
    (0..COUNT).for_each(|seq| sink.settled(seq));
    for (seq, receipt) in (0..COUNT).rev().zip(&receipts) {
        let body: Vec<u8> = (0..10).flat_map(|round| piece(seq, round)).collect();
        expect(kept(seq, Some(receipt)), &body);
    }
}

/// A part that can be read back gives what it took, whether it is short or long, and takes more after that.
pub fn what_is_read_back_is_what_was_taken(sink: &dyn Sink, kept: ReadBack<'_>) {
    let (request, body) = (admit(sink, 0), pattern(1_000_000, 4));
    let mut part = begin(sink, 0, &request);
    for length in [0, 10, 70_000, 900_000] {
        body[part.length() as usize..length].chunks(100_000).for_each(|chunk| write(part.as_mut(), chunk));
        flush(part.as_mut());
        let Some(mut bytes) = passed(part.read_back(), "read back what it took") else {
            assert!(!part.reads_back(), "it cannot be read back, and says that it can");
            continue;
        };
        assert!(part.reads_back(), "it is read back, and says that it cannot be");
        let mut found = Vec::new();
        bytes.read_to_end(&mut found).expect("what was taken can be read");
        assert!(found == body[..length], "{} other bytes than the {length} taken", found.len());
    }
    body[900_000..].chunks(100_000).for_each(|chunk| write(part.as_mut(), chunk));
    let receipt = finish(part);
    sink.settled(0);
    expect(kept(0, Some(&receipt)), &body);
}

/// A part that is spared either leaves what it told of, and that alone is there when it is opened again; or it tells of
/// nothing, and leaves nothing.
pub fn a_spared_part_is_opened_again_with_what_it_told(sink: &dyn Sink, kept: ReadBack<'_>) {
    let (request, body) = (admit(sink, 1), pattern(2_000_000, 5));
    let Some(told) = leave(sink, &request, &body[..1_500_000]) else {
        assert!(
            reopen(sink, &request, &Told::new(request.url())).is_none(),
            "nothing was left, and it opens"
        );
        sink.settled(1);
        return assert!(kept(1, None).is_none(), "a spared part that told of nothing left something");
    };
    assert!((1..=1_500_000).contains(&told.good), "{} good bytes are told of", told.good);
    let mut part = reopen(sink, &request, &told).expect("what was left does not open");
    assert_eq!(part.length(), told.good, "another length is there than was told");
    let on_disk = part.on_disk().map(|(good, on_disk)| (good, on_disk.path.clone()));
    assert_eq!(
        on_disk,
        told.on_disk.map(|told| (part.length(), told.path)),
        "it tells of something else now"
    );
    for chunk in body[part.length() as usize..].chunks(100_000) {
        write(part.as_mut(), chunk);
    }
    let receipt = finish(part);
    sink.settled(1);
    assert_eq!(receipt.length, body.len() as u64, "the receipt says another length than the whole");
    expect(kept(1, Some(&receipt)), &body);
}

/// Of a part that is discarded nothing stays, whether it was spared, and whether it was opened again.
pub fn a_discarded_part_leaves_nothing(sink: &dyn Sink, kept: ReadBack<'_>) {
    let (request, body) = (admit(sink, 1), pattern(1_000_000, 6));
    let mut part = begin(sink, 1, &request);
    part.spare();
    body.chunks(100_000).for_each(|chunk| write(part.as_mut(), chunk));
    flush(part.as_mut());
    part.discard();
    assert!(kept(1, None).is_none(), "bytes of a discarded part were kept");
    if let Some(told) = leave(sink, &request, &body) {
        reopen(sink, &request, &told).expect("what was left does not open").discard();
        assert!(kept(1, None).is_none(), "bytes of a part that was opened again and discarded were kept");
        assert!(reopen(sink, &request, &told).is_none(), "what was discarded opens");
    }
    sink.settled(1);
}

/// What is not as it was told is not opened again, nothing of it stays, and the body is begun anew.
pub fn what_is_not_as_it_was_told_is_not_opened_again(sink: &dyn Sink, kept: ReadBack<'_>) {
    let (request, body) = (admit(sink, 1), pattern(1_000_000, 7));
    let wrongs: [fn(&mut Told); 2] = [
        |told| told.good += 1_000_000,
        |told| {
            let on_disk = told.on_disk.as_mut().expect("it lies there");
            on_disk.tail = crate::part::Tail::of(b"something else");
        },
    ];
    for wrong in wrongs {
        let Some(mut told) = leave(sink, &request, &body) else { return sink.settled(1) };
        wrong(&mut told);
        assert!(reopen(sink, &request, &told).is_none(), "what is not as it was told opens");
        assert!(kept(1, None).is_none(), "something stays of what is not as it was told");
    }
    let mut part = begin(sink, 1, &request);
    write(part.as_mut(), b"anew");
    let receipt = finish(part);
    sink.settled(1);
    expect(kept(1, Some(&receipt)), b"anew");
}

/// A part that was opened again and is dropped stays as it was; one that became a body is gone.
pub fn a_part_that_was_opened_again_stays_until_it_is_a_body(sink: &dyn Sink, kept: ReadBack<'_>) {
    let (request, body) = (admit(sink, 1), pattern(1_000_000, 8));
    if let Some(told) = leave(sink, &request, &body) {
        for _ in 0..2 {
            drop(reopen(sink, &request, &told).expect("what was left does not open"));
        }
        let receipt = finish(reopen(sink, &request, &told).expect("what was left does not open"));
        expect(kept(1, Some(&receipt)), &body[..told.good as usize]);
        assert!(reopen(sink, &request, &told).is_none(), "what has become a body opens as a part");
        expect(kept(1, Some(&receipt)), &body[..told.good as usize]);
    }
    sink.settled(1);
}

/// A part's length is that of what it took, before it is flushed and after.
pub fn length_counts_what_was_taken(sink: &dyn Sink) {
    let request = admit(sink, 0);
    let mut part = begin(sink, 0, &request);
    assert_eq!(part.length(), 0, "a new part has a length");
    for taken in 1..=3_u64 {
        write(part.as_mut(), &[7; 100_000]);
        assert_eq!(part.length(), taken * 100_000, "the length is not that of what was taken");
    }
    flush(part.as_mut());
    assert_eq!(part.length(), 300_000, "a flush changed the length");
    assert_eq!(finish(part).length, 300_000, "the receipt says another length than the part");
    sink.settled(0);
}

/// A sink that holds nothing has room for every request.
pub fn a_fresh_sink_has_room(sink: &dyn Sink) {
    let room = sink.room(&mut Context::from_waker(Waker::noop()));
    assert_eq!(room, Room::Any, "a sink that holds nothing has no room");
}

/// Calls every function of this module, each with a fresh sink; `fresh` gives a sink and a way to read back.
pub fn all<S: Sink, R: Fn(u64, Option<&Receipt>) -> Option<Vec<u8>>>(fresh: impl Fn() -> (S, R)) {
    for check in [
        a_committed_body_is_whole,
        an_empty_body_is_kept,
        many_chunks_come_back_in_order,
        a_large_body_is_whole,
        a_dropped_part_leaves_nothing,
        a_large_dropped_part_leaves_nothing,
        a_part_can_be_begun_anew,
        a_flush_changes_nothing,
        bodies_do_not_mix,
        what_is_read_back_is_what_was_taken,
        a_spared_part_is_opened_again_with_what_it_told,
        a_discarded_part_leaves_nothing,
        what_is_not_as_it_was_told_is_not_opened_again,
        a_part_that_was_opened_again_stays_until_it_is_a_body,
    ] {
        let (sink, kept) = fresh();
        check(&sink, &kept);
    }
    for check in [length_counts_what_was_taken, a_fresh_sink_has_room] {
        check(&fresh().0);
    }
}

/// Admits a request for a number, begins it, writes the chunks and commits.
fn put(sink: &dyn Sink, seq: u64, chunks: &[&[u8]]) -> Receipt {
    let request = admit(sink, seq);
    let mut part = begin(sink, seq, &request);
    for chunk in chunks {
        write(part.as_mut(), chunk);
    }
    let receipt = finish(part);
    sink.settled(seq);
    receipt
}

fn admit(sink: &dyn Sink, seq: u64) -> Request {
    let url = format!("http://sink.test/body-{seq}.bin");
    let mut request = Request::new(&url).expect("the URL is a good one");
    let admission = sink.admit(seq, &mut request);
    assert_eq!(
        passed(admission, "admit a request"),
        Admission::Fetch,
        "a fresh sink wants to skip a request"
    );
    request
}

fn begin(sink: &dyn Sink, seq: u64, request: &Request) -> Box<dyn Part> {
    let head = ReplyHead {
        status: http::StatusCode::OK,
        version: http::Version::HTTP_11,
        headers: http::HeaderMap::new(),
        url: request.url().into(),
        is_decoded: false,
    };
    passed(sink.begin(seq, request, &head), "begin a body")
}

/// Leaves a part of these bytes for a later run; what it told of, if anything.
fn leave(sink: &dyn Sink, request: &Request, body: &[u8]) -> Option<Told> {
    let mut part = begin(sink, 1, request);
    part.spare();
    body.chunks(100_000).for_each(|chunk| write(part.as_mut(), chunk));
    flush(part.as_mut());
    let (good, on_disk) = part.on_disk()?;
    Some(Told { good, on_disk: Some(on_disk.clone()), ..Told::new(request.url()) })
}

fn reopen(sink: &dyn Sink, request: &Request, told: &Told) -> Option<Box<dyn Part>> {
    passed(sink.reopen(1, request, told), "open what was left of a body")
}

fn write(part: &mut dyn Part, chunk: &[u8]) {
    passed(wait(|context| part.poll_ready(context)), "be ready for a chunk");
    passed(part.write(Bytes::copy_from_slice(chunk)), "take a chunk");
}

fn flush(part: &mut dyn Part) {
    passed(wait(|context| part.poll_flush(context)), "flush a body");
}

fn finish(mut part: Box<dyn Part>) -> Receipt {
    flush(part.as_mut());
    passed(part.commit(), "commit a body")
}

fn passed<T>(result: Result<T, Error>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("the sink could not {what}: {error}"))
}

fn expect(body: Option<Vec<u8>>, wanted: &[u8]) {
    let body = body.expect("nothing was kept of a committed body");
    assert!(body == wanted, "{} bytes came back that are not the {} written", body.len(), wanted.len());
}

fn pattern(length: usize, salt: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(salt);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

fn piece(seq: u64, round: u64) -> Vec<u8> {
    format!("<{seq}:{round}>").into_bytes()
}

/// Polls on this thread until ready, parked in between.
fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Discard, Memory};

    #[test]
    fn memory_keeps_every_promise() {
        all(|| {
            (Memory::default(), |_: u64, receipt: Option<&Receipt>| Some(receipt?.body.as_ref()?.to_vec()))
        });
    }

    #[test]
    fn discard_counts_what_it_takes() {
        length_counts_what_was_taken(&Discard);
        a_fresh_sink_has_room(&Discard);
    }

    #[test]
    #[should_panic(expected = "nothing was kept of a committed body")]
    fn a_sink_that_keeps_nothing_is_found_out() {
        a_committed_body_is_whole(&Discard, &|_, _| None);
    }
}
