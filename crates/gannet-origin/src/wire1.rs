//! Speaks HTTP/1 on a connection, byte for byte: every cut lies where it was asked for.
//! A plain reply is one write. What to answer is decided elsewhere.

use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{StatusCode, Version};
use tokio::time::Instant;

use crate::behave::{Afterwards, Cut, CutAt, Ending, Framing};
use crate::coding::{Encoder, More};
use crate::count::{Arrival, HowEnded};
use crate::echo;
use crate::link::{ClientLeft, Link, Pause, Wire};
use crate::raw::{RawReply, Step};
use crate::reply::{Answer, Content, Question, Reply};
use crate::request1::{NoRequest, RequestHead};
use crate::serve::Shared;

/// Bytes of a body that are gathered before a write.
const PIECE: usize = 64 << 10;

/// Bytes that surely are with the client as soon as they are written, whether it reads or not.
const SURE_TO_ARRIVE: u64 = 32 << 10;

/// How long a reset after more bytes than those waits for the client to read them: a reset throws away
/// what the kernel still holds.
const SETTLE: Duration = Duration::from_millis(20);

const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves one connection until it ends.
///
/// # Cancel safety
///
/// Dropping it closes the connection; a request in flight is recorded as cut by the origin.
pub(crate) async fn serve<W: Wire>(link: Link<W>, shared: &Shared, connection: u64) {
    let mut talk = Talk { link, shared, connection, out: Vec::new(), sent: 0, cut: None };
    let ending = talk.converse().await;
    let mut link = talk.link;
    match ending {
        Ok(Ending::Reset) => {
            if talk.sent > SURE_TO_ARRIVE && link.wait(Pause::lasting(SETTLE)).await.is_err() {
                return;
            }
            shared.ledger.count(|counts| counts.resets_sent += 1);
            link.reset();
        }
        Ok(Ending::Fin) => link.fin().await,
        Ok(Ending::Close | Ending::Silence) => link.close().await,
        Err(ClientLeft) => {}
    }
}

/// Why no more of a reply is sent.
#[derive(Debug, Clone, Copy)]
enum Stop {
    ClientLeft,
    Cut(Ending),
}

impl From<ClientLeft> for Stop {
    fn from(ClientLeft: ClientLeft) -> Self {
        Self::ClientLeft
    }
}

/// What becomes of the connection after a request.
#[derive(Debug, Clone, Copy)]
enum Then {
    NextRequest,
    CloseOnNext,
    End(Ending),
    Gone,
}

struct Talk<'a, W> {
    link: Link<W>,
    shared: &'a Shared,
    connection: u64,
    /// What is gathered for the next write.
    out: Vec<u8>,
    /// Bytes of this reply that are written.
    sent: u64,
    /// Where this reply is cut, counted in written bytes.
    cut: Option<(u64, Ending)>,
}

impl<W: Wire> Talk<'_, W> {
    /// Answers request after request; yields how to end the connection.
    async fn converse(&mut self) -> Result<Ending, ClientLeft> {
        loop {
            let head = match RequestHead::read(&mut self.link).await {
                Ok(head) => head,
                Err(NoRequest::ClientLeft) => return Err(ClientLeft),
                Err(NoRequest::Malformed) => return self.refuse().await,
            };
            match self.deal_with(&head).await {
                Then::NextRequest => {}
                Then::CloseOnNext => return self.close_on_next().await,
                Then::End(ending) => return Ok(ending),
                Then::Gone => return Err(ClientLeft),
            }
        }
    }

    async fn deal_with(&mut self, head: &RequestHead) -> Then {
        let ticket = self.shared.ledger.begin(&Arrival {
            path_and_query: head.path_and_query(),
            range: head.fields.range.as_deref(),
            method: &head.method,
            http_version: head.version,
            connection: self.connection,
        });
        (self.sent, self.cut) = (0, None);
        let (how, then) = match head.read_body(&mut self.link).await {
            Ok(body) => {
                // The entry is given back once the reply is over.
                let (answer, _entry) = self.shared.answer(&Question {
                    path_and_query: head.path_and_query(),
                    method: &head.method,
                    fields: &head.fields,
                    now: SystemTime::now(),
                    seq: ticket.seq,
                    nth: ticket.nth,
                    paths: ticket.paths,
                    echo: echo::of_http1(head, &body),
                });
                self.answer(answer, head).await
            }
            Err(NoRequest::ClientLeft) => (HowEnded::ClientLeft, Then::Gone),
            Err(NoRequest::Malformed) => (HowEnded::WeCut, self.refuse().await.map_or(Then::Gone, Then::End)),
        };
        ticket.end(how, self.sent);
        then
    }

    async fn refuse(&mut self) -> Result<Ending, ClientLeft> {
        self.shared.ledger.count(|counts| counts.bad_requests += 1);
        self.link.write(REFUSAL).await?;
        Ok(Ending::Close)
    }

    /// Waits for the first byte of a next request.
    async fn close_on_next(&mut self) -> Result<Ending, ClientLeft> {
        if self.link.inbox.is_empty() {
            self.link.fill().await?;
        }
        self.shared.ledger.count(|counts| counts.dropped_unread += 1);
        Ok(Ending::Close)
    }

    async fn answer(&mut self, answer: Answer, head: &RequestHead) -> (HowEnded, Then) {
        let result = match answer {
            Answer::Never => Err(self.fall_silent().await),
            Answer::Raw(raw) => self.play(raw).await,
            Answer::Reply(reply) => self.send(reply, head).await,
        };
        match result {
            Ok(ended) => ended,
            Err(Stop::ClientLeft) => (HowEnded::ClientLeft, Then::Gone),
            Err(Stop::Cut(ending)) => (HowEnded::WeCut, Then::End(ending)),
        }
    }

    async fn play(&mut self, raw: RawReply) -> Result<(HowEnded, Then), Stop> {
        for step in raw.steps {
            match step {
                Step::Send(bytes) => {
                    self.out.extend_from_slice(&bytes);
                    self.put().await?;
                }
                Step::Repeat(bytes, times) => self.repeat(&bytes, times).await?,
                Step::Pause(pause) => self.link.wait(Pause::lasting(pause)).await?,
                Step::Fin => return Ok((HowEnded::Complete, Then::End(Ending::Fin))),
                Step::Reset => return Err(Stop::Cut(Ending::Reset)),
                Step::KeepOpen => return Err(self.fall_silent().await),
            }
        }
        Ok((HowEnded::Complete, Then::NextRequest))
    }

    async fn repeat(&mut self, bytes: &Bytes, times: u64) -> Result<(), Stop> {
        let per_write = (PIECE / bytes.len().max(1)).max(1) as u64;
        let mut rest = times;
        while rest > 0 {
            let now = rest.min(per_write);
            (0..now).for_each(|_| self.out.extend_from_slice(bytes));
            self.put().await?;
            rest -= now;
        }
        Ok(())
    }

    async fn send(&mut self, mut reply: Reply, head: &RequestHead) -> Result<(HowEnded, Then), Stop> {
        if head.version == Version::HTTP_10 && reply.framing == Framing::Chunked {
            reply.framing = Framing::ByClose;
        }
        if !head.keeps_alive || reply.framing == Framing::ByClose {
            reply.afterwards = Afterwards::Close;
        }
        self.cut = match reply.cut {
            Some(Cut { at: CutAt::Wire(at), how }) => Some((at, how)),
            _ => None,
        };
        if !reply.delay.is_zero() {
            self.link.wait(Pause::lasting(reply.delay)).await?;
        }
        self.append_head(&reply);
        self.send_body(&reply).await?;
        Ok(match (reply.content, self.cut, reply.afterwards) {
            (Content::Short, ..) => (HowEnded::WeCut, Then::End(Ending::Close)),
            (_, Some((_, ending @ (Ending::Fin | Ending::Reset | Ending::Close))), _) => {
                (HowEnded::Complete, Then::End(ending))
            }
            (_, _, Afterwards::Close) => (HowEnded::Complete, Then::End(Ending::Close)),
            (_, _, Afterwards::CloseOnNext) => (HowEnded::Complete, Then::CloseOnNext),
            (_, _, Afterwards::KeepAlive) => (HowEnded::Complete, Then::NextRequest),
        })
    }

    fn append_head(&mut self, reply: &Reply) {
        let out = &mut self.out;
        let reason = StatusCode::from_u16(reply.status).ok().and_then(|status| status.canonical_reason());
        append(out, format_args!("HTTP/1.1 {} {}\r\n", reply.status, reason.unwrap_or_default()));
        for (name, value) in &reply.headers {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(len) = reply.declared {
            append(out, format_args!("content-length: {len}\r\n"));
        }
        if reply.framing == Framing::Chunked {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        if reply.afterwards == Afterwards::Close {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Sends what was gathered, and the body as far as the reply allows.
    async fn send_body(&mut self, reply: &Reply) -> Result<(), Stop> {
        if reply.drip.is_some() || !reply.body_delay.is_zero() {
            self.put().await?;
            self.link.wait(Pause::lasting(reply.body_delay)).await?;
        }
        if !reply.stream_through.is_empty() {
            return self.send_coded(reply).await;
        }
        let start = Instant::now();
        let piece = reply.drip.map_or(PIECE as u64, |drip| drip.bytes.min(PIECE as u64));
        let (mut offset, mut pieces, limit) = (0, 0, reply.body_limit());
        while offset < limit {
            let n = piece.min(limit - offset) as usize;
            self.append_piece(reply, offset, n);
            (offset, pieces) = (offset + n as u64, pieces + 1);
            if let Some(drip) = reply.drip.filter(|_| offset < limit) {
                self.put().await?;
                self.link.wait(Pause::after(start, drip.interval.saturating_mul(pieces))).await?;
            } else if self.out.len() >= PIECE {
                self.put().await?;
            }
        }
        if let Some(Cut { how, .. }) = reply.cut.filter(|_| limit < reply.body.len()) {
            self.put().await?;
            return Err(self.cut_by(how).await);
        }
        if reply.framing == Framing::Chunked && reply.content != Content::Absent {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.put().await
    }

    /// Sends a body that is coded on its way.
    async fn send_coded(&mut self, reply: &Reply) -> Result<(), Stop> {
        let mut encoder = Encoder::new(&reply.body, &reply.stream_through);
        let cut = reply.cut.filter(|cut| matches!(cut.at, CutAt::Body(_)));
        let mut room = match cut {
            Some(Cut { at: CutAt::Body(limit), .. }) => limit,
            _ => u64::MAX,
        };
        let mut piece = Vec::new();
        loop {
            let more = encoder.append_next(&mut piece);
            let n = (piece.len() as u64).min(room) as usize;
            let is_cut = n < piece.len();
            if n > 0 {
                self.frame_piece(reply, n, |out| out.extend_from_slice(&piece[..n]));
                self.put().await?;
            }
            room -= n as u64;
            piece.clear();
            if let Some(Cut { how, .. }) = cut.filter(|_| is_cut) {
                return Err(self.cut_by(how).await);
            }
            if more == More::WasLast {
                break;
            }
            // Coding takes long, and others share the thread.
            tokio::task::yield_now().await;
        }
        if reply.framing == Framing::Chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.put().await
    }

    fn append_piece(&mut self, reply: &Reply, offset: u64, n: usize) {
        self.frame_piece(reply, n, |out| reply.body.append_to(out, offset, n));
    }

    fn frame_piece(&mut self, reply: &Reply, n: usize, append_to: impl FnOnce(&mut Vec<u8>)) {
        if reply.framing == Framing::Chunked {
            append(&mut self.out, format_args!("{n:x}\r\n"));
        }
        append_to(&mut self.out);
        if reply.framing == Framing::Chunked {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what was gathered, as far as the cut allows.
    async fn put(&mut self) -> Result<(), Stop> {
        let room = self.cut.map_or(u64::MAX, |(at, _)| at - self.sent);
        let len = self.out.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.link.write(&self.out[..len]).await?;
        self.sent += len as u64;
        let is_cut = len < self.out.len();
        self.out.clear();
        match self.cut {
            Some((_, how)) if is_cut => Err(self.cut_by(how).await),
            _ => Ok(()),
        }
    }

    async fn cut_by(&mut self, how: Ending) -> Stop {
        match how {
            Ending::Silence => self.fall_silent().await,
            ending => Stop::Cut(ending),
        }
    }

    async fn fall_silent(&mut self) -> Stop {
        match self.link.wait(Pause::UntilClientLeaves).await {
            Ok(()) | Err(ClientLeft) => Stop::ClientLeft,
        }
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes any bytes");
}
