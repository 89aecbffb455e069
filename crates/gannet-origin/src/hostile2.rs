//! Speaks HTTP/2 wrongly, frame by frame, where a library would not. A request is heeded once its stream
//! ends; its head is not decoded.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Buf;
use http::{Method, Version};

use crate::count::{Arrival, HowEnded, Ticket};
use crate::fault2::{AfterGoAway, BadFrame, Flood, Http2Fault, ResetAt};
use crate::frame2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, NONE, PADDED, PING, PUSH_PROMISE,
    RST_STREAM, SETTINGS, TooLong, WINDOW_UPDATE, frame, go_away, ok_head, reset, settings,
};
use crate::link::{ClientLeft, Link, Pause, Wire};
use crate::serve::{PREFACE, Shared};

const BODY: &[u8] = b"ok\n";

/// How long answers wait where the number of streams is limited.
const HOLD: Duration = Duration::from_millis(20);

/// How long a flood rests after each burst, to read what the client has to say to it.
const FLOOD_REST: Duration = Duration::from_millis(1);

/// Frames of one burst.
const BURST: usize = 200;

/// Bytes of each CONTINUATION of a flood.
const CONTINUED: usize = 1 << 10;

/// The longest frame that a client takes that said nothing else (RFC 9113, section 4.2), and some more.
const OVERSIZE: usize = (16 << 10) + 1;

const SETTING_MAX_CONCURRENT_STREAMS: u16 = 3;
const SETTING_INITIAL_WINDOW_SIZE: u16 = 4;

const REFUSED_STREAM: u32 = 7;
const HTTP_1_1_REQUIRED: u32 = 13;

/// A fault, and the connections that it befalls.
#[derive(Debug)]
pub(crate) struct Hostility {
    pub(crate) fault: Http2Fault,
    /// Connections of the origin, HTTP/1 among them, that it befalls: the first so many.
    pub(crate) connections: u64,
    /// Streams that were refused so far.
    pub(crate) refused: AtomicU64,
}

impl Hostility {
    /// A fault that befalls so many connections.
    pub(crate) fn new(fault: Http2Fault, connections: u64) -> Self {
        Self { fault, connections, refused: AtomicU64::new(0) }
    }
}

/// What follows a request.
enum Then {
    GoOn,
    Close,
}

/// Serves one connection as the fault has it.
///
/// # Cancel safety
///
/// Dropping it closes the connection; requests in flight are recorded as cut by the origin.
pub(crate) async fn serve<W: Wire>(link: Link<W>, shared: &Shared, hostility: &Hostility, connection: u64) {
    let mut talk =
        Talk { link, shared, hostility, connection, open: BTreeMap::new(), ended: Vec::new(), requests: 0 };
    let left = talk.converse().await.is_err();
    if left {
        std::mem::take(&mut talk.open).into_values().for_each(|ticket| ticket.end(HowEnded::ClientLeft, 0));
    }
    drop(talk.open);
    talk.link.close().await;
}

struct Talk<'a, W> {
    link: Link<W>,
    shared: &'a Shared,
    hostility: &'a Hostility,
    connection: u64,
    /// Requests that are not yet answered, by stream.
    open: BTreeMap<u32, Ticket>,
    /// Streams that the client has ended and that wait for their answer, in the order of their ends.
    ended: Vec<u32>,
    /// Requests of this connection.
    requests: u64,
}

impl<W: Wire> Talk<'_, W> {
    async fn converse(&mut self) -> Result<(), ClientLeft> {
        self.link.inbox.advance(PREFACE.len());
        self.link.write(&self.first_settings()).await?;
        loop {
            self.take_frames().await?;
            if self.ended.is_empty() {
                self.link.fill().await?;
                continue;
            }
            if let Http2Fault::MaxStreams { .. } = self.hostility.fault {
                self.link.wait(Pause::lasting(HOLD)).await?;
                self.take_frames().await?;
            }
            let stream = self.ended.remove(0);
            if !self.open.contains_key(&stream) {
                continue;
            }
            match self.deal_with(stream).await? {
                Then::GoOn => {}
                Then::Close => return Ok(()),
            }
        }
    }

    fn first_settings(&self) -> Vec<u8> {
        match self.hostility.fault {
            Http2Fault::MaxStreams { first, .. } => settings(&[(SETTING_MAX_CONCURRENT_STREAMS, first)]),
            Http2Fault::ZeroWindow => settings(&[(SETTING_INITIAL_WINDOW_SIZE, 0)]),
            _ => settings(&[]),
        }
    }

    /// Takes in every frame that is there; a client that sends one beyond all bounds is left alone.
    async fn take_frames(&mut self) -> Result<(), ClientLeft> {
        while let Some(frame) = Frame::take(&mut self.link.inbox).map_err(|TooLong| ClientLeft)? {
            self.heed(&frame).await?;
        }
        Ok(())
    }

    async fn heed(&mut self, taken: &Frame) -> Result<(), ClientLeft> {
        match taken.kind {
            SETTINGS if taken.flags & ACK == 0 => self.link.write(&frame(SETTINGS, ACK, 0, &[])).await?,
            PING if taken.flags & ACK == 0 => self.link.write(&frame(PING, ACK, 0, &taken.payload)).await?,
            HEADERS => self.begin(taken.stream),
            RST_STREAM => {
                if let Some(ticket) = self.open.remove(&taken.stream) {
                    ticket.end(HowEnded::ClientLeft, 0);
                }
            }
            _ => {}
        }
        if taken.kind == DATA && !taken.payload.is_empty() {
            self.widen(taken).await?;
        }
        if matches!(taken.kind, HEADERS | DATA) && taken.flags & END_STREAM != 0 {
            self.ended.push(taken.stream);
        }
        Ok(())
    }

    /// Gives back what a body took of the windows; without that every upload would stall.
    async fn widen(&mut self, taken: &Frame) -> Result<(), ClientLeft> {
        let by = (taken.payload.len() as u32).to_be_bytes();
        let windows = [0, taken.stream].map(|stream| frame(WINDOW_UPDATE, NONE, stream, &by));
        self.link.write(&windows.concat()).await
    }

    /// Takes down a request; trailers come in HEADERS too, and are none.
    fn begin(&mut self, stream: u32) {
        let (shared, connection) = (self.shared, self.connection);
        self.open.entry(stream).or_insert_with(|| {
            self.requests += 1;
            shared.ledger.begin(&Arrival {
                path_and_query: "(http2)",
                range: None,
                method: &Method::GET,
                http_version: Version::HTTP_2,
                connection,
            })
        });
    }

    async fn deal_with(&mut self, stream: u32) -> Result<Then, ClientLeft> {
        match self.hostility.fault {
            Http2Fault::GoAway { after_requests, last_stream, then } => {
                return self.go_away(after_requests, last_stream, then).await;
            }
            Http2Fault::GoAwayStorm => return self.flood(&go_away(stream, 0)).await,
            Http2Fault::Reset { at, code } => self.reset(stream, at, code).await?,
            Http2Fault::RefuseStream { times } => {
                if self.hostility.refused.fetch_add(1, Ordering::Relaxed) < times {
                    self.reset(stream, ResetAt::Start, REFUSED_STREAM).await?;
                } else {
                    self.answer(stream).await?;
                }
            }
            Http2Fault::Http11Required => self.reset(stream, ResetAt::Start, HTTP_1_1_REQUIRED).await?,
            Http2Fault::Flood(flood) => return self.play(flood, stream).await,
            Http2Fault::MaxStreams { then, .. } => {
                self.answer(stream).await?;
                if let Some(then) = then {
                    self.link.write(&settings(&[(SETTING_MAX_CONCURRENT_STREAMS, then)])).await?;
                }
            }
            Http2Fault::ZeroWindow => self.answer(stream).await?,
            Http2Fault::Bad(bad) => {
                self.link.write(&bad_frames(bad, stream)).await?;
                self.end(stream, HowEnded::WeCut, 0);
            }
        }
        Ok(Then::GoOn)
    }

    fn end(&mut self, stream: u32, how: HowEnded, sent: usize) {
        if let Some(ticket) = self.open.remove(&stream) {
            ticket.end(how, sent as u64);
        }
    }

    async fn answer(&mut self, stream: u32) -> Result<(), ClientLeft> {
        let answer = [ok_head(stream, BODY.len()), frame(DATA, END_STREAM, stream, BODY)].concat();
        self.link.write(&answer).await?;
        self.end(stream, HowEnded::Complete, BODY.len());
        Ok(())
    }

    async fn reset(&mut self, stream: u32, at: ResetAt, code: u32) -> Result<(), ClientLeft> {
        let sent: &[u8] = match at {
            ResetAt::Start | ResetAt::AfterHeaders => b"",
            ResetAt::DuringData => &BODY[..1],
            ResetAt::AfterData => BODY,
        };
        let mut frames = Vec::new();
        if at != ResetAt::Start {
            frames.extend(ok_head(stream, BODY.len()));
        }
        if !sent.is_empty() {
            frames.extend(frame(DATA, NONE, stream, sent));
        }
        frames.extend(reset(stream, code));
        self.link.write(&frames).await?;
        self.shared.ledger.count(|counts| counts.resets_sent += 1);
        self.end(stream, HowEnded::WeCut, sent.len());
        Ok(())
    }

    async fn go_away(
        &mut self,
        after_requests: u64,
        last_stream: u32,
        then: AfterGoAway,
    ) -> Result<Then, ClientLeft> {
        if self.requests < after_requests {
            // The streams so far stay open; the GOAWAY is to come amid them.
            return Ok(Then::GoOn);
        }
        self.link.write(&go_away(last_stream, 0)).await?;
        if then == AfterGoAway::Answer {
            let heeded: Vec<_> = self.open.range(..=last_stream).map(|(stream, _)| *stream).collect();
            for stream in heeded {
                self.answer(stream).await?;
            }
        }
        Ok(Then::Close)
    }

    async fn play(&mut self, flood: Flood, stream: u32) -> Result<Then, ClientLeft> {
        match flood {
            Flood::Settings => self.flood(&settings(&[(SETTING_MAX_CONCURRENT_STREAMS, 100)])).await,
            Flood::Ping => self.flood(&frame(PING, NONE, 0, b"gannetgo")).await,
            Flood::EmptyData => {
                self.link.write(&ok_head(stream, BODY.len())).await?;
                self.flood(&frame(DATA, NONE, stream, &[])).await
            }
            Flood::Continuation => {
                self.link.write(&frame(HEADERS, NONE, stream, &[0x88])).await?;
                self.flood(&frame(CONTINUATION, NONE, stream, &continued())).await
            }
            Flood::Reset => self.flood(&reset(stream, REFUSED_STREAM)).await,
        }
    }

    /// Sends a frame again and again; what the client says to it is read and forgotten.
    async fn flood(&mut self, frame: &[u8]) -> Result<Then, ClientLeft> {
        let burst = frame.repeat(BURST);
        loop {
            self.link.write(&burst).await?;
            self.link.wait(Pause::lasting(FLOOD_REST)).await?;
            self.link.inbox.clear();
        }
    }
}

/// Header fields for one frame of an endless head: literals, never indexed, so that no table grows.
fn continued() -> Vec<u8> {
    b"\x10\x01a\x01b".iter().copied().cycle().take(CONTINUED - CONTINUED % 5).collect()
}

fn bad_frames(bad: BadFrame, stream: u32) -> Vec<u8> {
    match bad {
        BadFrame::DataOnStreamZero => frame(DATA, NONE, 0, BODY),
        BadFrame::UnopenedStream => ok_head(stream + 1_000, BODY.len()),
        BadFrame::TooLarge => {
            [ok_head(stream, OVERSIZE), frame(DATA, END_STREAM, stream, &[0; OVERSIZE])].concat()
        }
        BadFrame::ShortPing => frame(PING, NONE, 0, b"7 bytes"),
        BadFrame::WindowUpdateByZero => frame(WINDOW_UPDATE, NONE, 0, &[0; 4]),
        BadFrame::DataFirst => frame(DATA, END_STREAM, stream, BODY),
        BadFrame::BadPadding => {
            [ok_head(stream, BODY.len()), frame(DATA, END_STREAM | PADDED, stream, b"\xffok\n")].concat()
        }
        BadFrame::BadHpack => frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xff, 0xff, 0x7f]),
        BadFrame::LoneContinuation => frame(CONTINUATION, END_HEADERS, stream, &[0x88]),
        BadFrame::PushPromise => frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2, 0x82]),
    }
}
