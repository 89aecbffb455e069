//! Each fault of HTTP/2, frame by frame, and that it ends where it should.

use std::time::Duration;

use gannet_origin::{AfterGoAway, BadFrame, Flood, Http2Fault, Origin, ResetAt};

use crate::client::{Client, End};
use crate::http2;

const PATIENCE: Duration = Duration::from_secs(5);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// A frame: its type, flags and stream, and its payload.
type Frame = (u8, u8, u32, Vec<u8>);

/// A client that sends and reads frames.
struct Frames {
    client: Client,
}

impl Frames {
    fn of(origin: &Origin) -> Self {
        let mut client = Client::of(origin);
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self { client };
        frames.send(SETTINGS, 0, 0, b"");
        frames
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let head = [0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        self.client.send([&head[..], payload].concat());
    }

    /// Asks for `/` on that stream.
    fn get(&mut self, stream: u8) {
        self.send(HEADERS, 5, stream, b"\x82\x86\x84\x41\x01x");
    }

    fn next(&mut self) -> Frame {
        let head = self.client.take(9);
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        (head[3], head[4], stream, self.client.take(len))
    }

    /// The next frame that is neither the first SETTINGS nor an acknowledgement.
    fn telling(&mut self) -> Frame {
        loop {
            let frame = self.next();
            if frame.0 != SETTINGS || frame.3 == [0, 3, 0, 0, 0, 100] {
                return frame;
            }
        }
    }
}

fn hostile(fault: Http2Fault) -> Origin {
    Origin::start_in_thread(Origin::builder().http2_fault(fault)).unwrap()
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

#[test]
fn a_goaway_comes_amid_the_requests_and_names_a_lower_stream() {
    let fault = Http2Fault::GoAway { after_requests: 3, last_stream: 3, then: AfterGoAway::Answer };
    let origin = hostile(fault);
    let mut frames = Frames::of(&origin);
    [1, 3, 5].iter().for_each(|stream| frames.get(*stream));
    let (kind, _, _, payload) = frames.telling();
    assert_eq!((kind, number(&payload), number(&payload[4..])), (GOAWAY, 3, 0));
    let answered = [(); 4].map(|()| frames.next()).map(|(kind, _, stream, _)| (kind, stream));
    assert_eq!(answered, [(HEADERS, 1), (DATA, 1), (HEADERS, 3), (DATA, 3)]);
    assert_eq!(frames.client.until_end(), (vec![], End::Fin));
    assert_eq!((origin.counts().replies_complete, origin.counts().replies_cut), (2, 1));
}

#[test]
fn a_goaway_may_leave_what_was_heeded_without_an_answer() {
    let fault = Http2Fault::GoAway { after_requests: 1, last_stream: 1, then: AfterGoAway::Close };
    let mut frames = Frames::of(hostile_forever(fault));
    frames.get(1);
    assert_eq!(frames.telling().0, GOAWAY);
    assert_eq!(frames.client.until_end(), (vec![], End::Fin));
}

/// An origin that outlives its test, for tests that only look at bytes.
fn hostile_forever(fault: Http2Fault) -> &'static Origin {
    Box::leak(Box::new(hostile(fault)))
}

#[test]
fn a_reset_lies_where_it_was_asked_for() {
    for (at, before) in [
        (ResetAt::Start, &[][..]),
        (ResetAt::AfterHeaders, &[(HEADERS, 5)]),
        (ResetAt::DuringData, &[(HEADERS, 5), (DATA, 1)]),
        (ResetAt::AfterData, &[(HEADERS, 5), (DATA, 3)]),
    ] {
        let origin = hostile(Http2Fault::Reset { at, code: 2 });
        let mut frames = Frames::of(&origin);
        frames.get(1);
        for expected in before {
            let (kind, flags, _, payload) = frames.telling();
            assert_eq!((kind, payload.len(), flags & 1), (expected.0, expected.1, 0), "{at:?}");
        }
        let (kind, _, stream, payload) = frames.telling();
        assert_eq!((kind, stream, number(&payload)), (RST_STREAM, 1, 2), "{at:?}");
        assert!(origin.wait_until_blocking(|counts| counts.resets_sent == 1, PATIENCE));
    }
}

#[test]
fn so_many_streams_are_refused_over_all_connections() {
    let origin = hostile(Http2Fault::RefuseStream { times: 2 });
    let kinds = [(); 3].map(|()| {
        let mut frames = Frames::of(&origin);
        frames.get(1);
        let (kind, _, _, payload) = frames.telling();
        (kind, if kind == RST_STREAM { number(&payload) } else { 0 })
    });
    assert_eq!(kinds, [(RST_STREAM, 7), (RST_STREAM, 7), (HEADERS, 0)]);
}

#[test]
fn http_1_1_is_required_over_http2_and_served_beside_it() {
    let origin = hostile(Http2Fault::Http11Required);
    let mut frames = Frames::of(&origin);
    frames.get(1);
    let (kind, _, _, payload) = frames.telling();
    assert_eq!((kind, number(&payload)), (RST_STREAM, 13));
    assert_eq!(crate::client::reply(&origin, "/?text=a").1, b"a");
}

#[test]
fn a_flood_goes_on_until_the_client_leaves() {
    for (fault, kind, len) in [
        (Http2Fault::Flood(Flood::Settings), SETTINGS, 6),
        (Http2Fault::Flood(Flood::Ping), PING, 8),
        (Http2Fault::Flood(Flood::EmptyData), DATA, 0),
        (Http2Fault::Flood(Flood::Continuation), CONTINUATION, 1020),
        (Http2Fault::Flood(Flood::Reset), RST_STREAM, 4),
        (Http2Fault::GoAwayStorm, GOAWAY, 8),
    ] {
        let origin = hostile(fault);
        let mut frames = Frames::of(&origin);
        frames.get(1);
        while frames.telling().0 != kind {}
        for _ in 0..1_000 {
            let (next, flags, _, payload) = frames.next();
            assert_eq!((next, flags, payload.len()), (kind, 0, len), "{fault:?}");
        }
        drop(frames);
        assert!(origin.wait_until_blocking(|c| c.replies_aborted_by_client == 1, PATIENCE), "{fault:?}");
    }
}

#[test]
fn the_number_of_streams_is_told_first_and_after_an_answer() {
    let origin = hostile(Http2Fault::MaxStreams { first: 2, then: Some(1) });
    let mut frames = Frames::of(&origin);
    let first = frames.next();
    assert_eq!((first.0, &first.3[..]), (SETTINGS, &[0, 3, 0, 0, 0, 2][..]));
    frames.get(1);
    frames.get(3);
    while frames.next().0 != DATA {}
    assert_eq!(frames.next(), (SETTINGS, 0, 0, vec![0, 3, 0, 0, 0, 1]));
    // The first may be answered before the second is read.
    assert!((1..=2).contains(&origin.counts().peak_in_flight));
}

#[test]
fn a_zero_window_takes_no_body_but_answers_without_one() {
    let origin = hostile(Http2Fault::ZeroWindow);
    let mut frames = Frames::of(&origin);
    assert_eq!(frames.next(), (SETTINGS, 0, 0, vec![0, 4, 0, 0, 0, 0]));
    frames.get(1);
    assert_eq!(frames.telling().0, HEADERS);
}

#[test]
fn each_bad_frame_is_bad_in_its_own_way() {
    for (bad, kind, stream, len) in [
        (BadFrame::DataOnStreamZero, DATA, 0, 3),
        (BadFrame::UnopenedStream, HEADERS, 1001, 5),
        (BadFrame::ShortPing, PING, 0, 7),
        (BadFrame::WindowUpdateByZero, WINDOW_UPDATE, 0, 4),
        (BadFrame::DataFirst, DATA, 1, 3),
        (BadFrame::BadHpack, HEADERS, 1, 3),
        (BadFrame::LoneContinuation, CONTINUATION, 1, 1),
        (BadFrame::PushPromise, PUSH_PROMISE, 1, 5),
    ] {
        let mut frames = Frames::of(hostile_forever(Http2Fault::Bad(bad)));
        frames.get(1);
        let frame = frames.telling();
        assert_eq!((frame.0, frame.2, frame.3.len()), (kind, stream, len), "{bad:?}");
    }
    for (bad, flags, len) in [(BadFrame::TooLarge, 1, 16_385), (BadFrame::BadPadding, 9, 4)] {
        let mut frames = Frames::of(hostile_forever(Http2Fault::Bad(bad)));
        frames.get(1);
        assert_eq!(frames.telling().0, HEADERS, "{bad:?}");
        let frame = frames.next();
        assert_eq!((frame.0, frame.1, frame.3.len()), (DATA, flags, len), "{bad:?}");
    }
}

#[tokio::test]
async fn every_fault_but_the_quiet_ones_is_an_error_for_a_client() {
    let bad = [
        BadFrame::DataOnStreamZero,
        BadFrame::UnopenedStream,
        BadFrame::TooLarge,
        BadFrame::ShortPing,
        BadFrame::WindowUpdateByZero,
        BadFrame::DataFirst,
        BadFrame::BadPadding,
        BadFrame::BadHpack,
        BadFrame::LoneContinuation,
        BadFrame::PushPromise,
    ];
    let places = [ResetAt::Start, ResetAt::AfterHeaders, ResetAt::DuringData, ResetAt::AfterData];
    let resets = places.map(|at| Http2Fault::Reset { at, code: 8 });
    let others = [
        Http2Fault::Http11Required,
        Http2Fault::RefuseStream { times: u64::MAX },
        Http2Fault::GoAway { after_requests: 1, last_stream: 0, then: AfterGoAway::Answer },
        Http2Fault::GoAway { after_requests: 1, last_stream: 1, then: AfterGoAway::Close },
        Http2Fault::Flood(Flood::Continuation),
    ];
    for fault in bad.map(Http2Fault::Bad).into_iter().chain(resets).chain(others) {
        let mut client = http2::Client::of(Origin::builder().http2_fault(fault)).await;
        let asked = tokio::time::timeout(PATIENCE, client.get("/")).await;
        assert!(asked.expect("the client gives up by itself").is_err(), "{fault:?} was taken for an answer");
    }
}

#[tokio::test]
async fn a_fault_befalls_the_first_connections_alone() {
    let builder = Origin::builder().http2_fault_first(1, Http2Fault::Http11Required);
    let mut client = http2::Client::of(builder).await;
    assert!(client.get("/").await.is_err());
    client.connect_anew().await;
    assert_eq!(client.get("/?text=a").await.unwrap().1, "a");
}

#[tokio::test]
async fn a_client_that_honours_one_stream_has_one_in_flight() {
    let fault = Http2Fault::MaxStreams { first: 1, then: None };
    let mut client = http2::Client::of(Origin::builder().http2_fault(fault)).await;
    assert_eq!(client.get("/").await.unwrap().1, "ok\n");
    assert_eq!((client.get("/").await.unwrap().1, client.origin.counts().peak_in_flight), ("ok\n".into(), 1));
}

#[tokio::test]
async fn a_body_stalls_at_a_zero_window_and_passes_beside_any_other_fault() {
    let body = "x".repeat(200_000).leak();
    let mut client = http2::Client::of(Origin::builder().http2_fault(Http2Fault::ZeroWindow)).await;
    let sent = tokio::time::timeout(Duration::from_millis(100), client.send("/", body)).await;
    assert!(sent.is_err(), "a body went through a window of nothing");
    let willing = Http2Fault::RefuseStream { times: 0 };
    let mut client = http2::Client::of(Origin::builder().http2_fault(willing)).await;
    assert_eq!(client.send("/", body).await.unwrap().1, "ok\n");
}
