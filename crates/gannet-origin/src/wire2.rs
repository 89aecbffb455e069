//! Speaks HTTP/2 on a connection (RFC 9113). What HTTP/1 does to the connection is done to the stream:
//! a reset is RST_STREAM, silence holds the stream open. Framing lies are not possible here, but for a
//! Content-Length that is off.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use tokio::io::AsyncReadExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::behave::{Afterwards, Cut, CutAt, Ending};
use crate::coding::{Encoder, More};
use crate::count::{Arrival, HowEnded};
use crate::echo;
use crate::fields::Fields;
use crate::link::{ClientLeft, Link, Pause, Wire};
use crate::reply::{Answer, Content, Question, Reply};
use crate::request1::MAX_KEPT_BODY;
use crate::serve::Shared;

/// Bytes of a body that are gathered for one hand-over.
const PIECE: usize = 32 << 10;

/// Streams that a client may have open on one connection.
const MAX_STREAMS: u32 = 10_000;

/// Streams reset by the client that may wait for our notice: races and hedges reset many.
const MAX_RESET_STREAMS: usize = 100_000;

/// What one stream, and one connection, may send us before we read it.
const WINDOW: u32 = 1 << 20;

/// How long a reset waits behind what was handed over before it: the library throws away frames of a
/// stream that were not yet written when the stream is reset, and tells nobody when they are written.
const SETTLE: Duration = Duration::from_millis(5);

/// Serves one connection until it ends.
///
/// # Cancel safety
///
/// Dropping it closes the connection and ends its streams; requests in flight are recorded as cut by
/// the origin.
pub(crate) async fn serve<W: Wire>(link: Link<W>, shared: Arc<Shared>, connection: u64) {
    let (reader, writer) = tokio::io::split(link.io);
    let already_read = std::io::Cursor::new(link.inbox.freeze());
    let io = tokio::io::join(already_read.chain(reader), writer);
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake::<_, Bytes>(io)
        .await;
    if let Ok(talk) = handshake {
        converse(talk, shared, connection).await;
    }
}

/// Header fields that speak of a connection, which HTTP/2 forbids.
const PER_CONNECTION: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

type Accepted = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

#[expect(clippy::large_enum_variant, reason = "it lives for one turn of the loop")]
enum Woke {
    Accepted(Accepted),
    StreamEnded,
    GoAway,
}

async fn converse<T>(mut talk: Connection<T, Bytes>, shared: Arc<Shared>, connection: u64)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let go_away = Arc::new(Notify::new());
    let mut streams = JoinSet::new();
    loop {
        let woke = tokio::select! {
            accepted = talk.accept() => Woke::Accepted(accepted),
            Some(_) = streams.join_next() => Woke::StreamEnded,
            () = go_away.notified() => Woke::GoAway,
        };
        match woke {
            Woke::Accepted(Some(Ok((request, respond)))) => {
                let exchange = Exchange { shared: Arc::clone(&shared), connection };
                streams.spawn(exchange.run(request, respond, Arc::clone(&go_away)));
            }
            Woke::Accepted(None | Some(Err(_))) => break,
            Woke::StreamEnded => {}
            Woke::GoAway => talk.graceful_shutdown(),
        }
    }
    // The connection is gone: each stream learns it from its own handle and records it.
    drop(talk);
    while streams.join_next().await.is_some() {}
}

/// Why no more of a reply is sent.
#[derive(Debug, Clone, Copy)]
enum Stop {
    ClientLeft,
    /// The stream ended early, in good order.
    Truncated,
    Reset,
}

impl From<h2::Error> for Stop {
    fn from(_: h2::Error) -> Self {
        Self::ClientLeft
    }
}

impl From<ClientLeft> for Stop {
    fn from(ClientLeft: ClientLeft) -> Self {
        Self::ClientLeft
    }
}

/// Where a piece stands in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Within,
    Last,
}

/// One request and its reply.
struct Exchange {
    shared: Arc<Shared>,
    connection: u64,
}

impl Exchange {
    async fn run(self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>, go_away: Arc<Notify>) {
        let (head, mut incoming) = request.into_parts();
        let path_and_query = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut fields = Fields::default();
        head.headers.iter().for_each(|(name, value)| fields.heed(name.as_str(), value.as_bytes()));
        let ticket = self.shared.ledger.begin(&Arrival {
            path_and_query,
            range: fields.range.as_deref(),
            method: &head.method,
            http_version: Version::HTTP_2,
            connection: self.connection,
        });
        let mut sent = 0;
        let result = match read_body(&mut incoming).await {
            Ok(body) => {
                // The entry is given back once the reply is over.
                let (answer, _entry) = self.shared.answer(&Question {
                    path_and_query,
                    method: &head.method,
                    fields: &fields,
                    now: SystemTime::now(),
                    seq: ticket.seq,
                    nth: ticket.nth,
                    paths: ticket.paths,
                    echo: echo::of_http2(&head, path_and_query, &body),
                });
                give(answer, &mut respond, &mut sent).await
            }
            Err(stop) => Err(stop),
        };
        if matches!(result, Ok(Afterwards::Close | Afterwards::CloseOnNext)) {
            go_away.notify_one();
        }
        if matches!(result, Err(Stop::Reset)) {
            self.shared.ledger.count(|counts| counts.resets_sent += 1);
        }
        let how = match result {
            Ok(_) => HowEnded::Complete,
            Err(Stop::ClientLeft) => HowEnded::ClientLeft,
            Err(Stop::Truncated | Stop::Reset) => HowEnded::WeCut,
        };
        ticket.end(how, sent);
    }
}

/// Reads the whole body of a request and yields what of it is kept.
async fn read_body(incoming: &mut RecvStream) -> Result<BytesMut, Stop> {
    let mut kept = BytesMut::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece?;
        incoming.flow_control().release_capacity(piece.len())?;
        let room = MAX_KEPT_BODY - kept.len();
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Ok(kept)
}

async fn give(answer: Answer, respond: &mut SendResponse<Bytes>, sent: &mut u64) -> Result<Afterwards, Stop> {
    let reply = match answer {
        Answer::Reply(reply) => reply,
        Answer::Never => return Err(never(respond).await),
        Answer::Raw(_) => {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return Err(Stop::Reset);
        }
    };
    wait(Pause::lasting(reply.delay), |cx| respond.poll_reset(cx)).await?;
    match reply.cut {
        Some(Cut { at: CutAt::Wire(0), how: Ending::Silence }) => return Err(never(respond).await),
        Some(Cut { at: CutAt::Wire(0), .. }) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return Err(Stop::Reset);
        }
        _ => {}
    }
    let ends_with_head = reply.cut.is_none() && reply.content != Content::Short && reply.body.len() == 0;
    let Ok(mut stream) = respond.send_response(head_of(&reply), ends_with_head) else {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return Err(Stop::Reset);
    };
    if !ends_with_head {
        send_body(&reply, &mut stream, sent).await?;
    }
    Ok(reply.afterwards)
}

async fn never(respond: &mut SendResponse<Bytes>) -> Stop {
    match wait(Pause::UntilClientLeaves, |cx| respond.poll_reset(cx)).await {
        Ok(()) | Err(ClientLeft) => Stop::ClientLeft,
    }
}

/// The head of a reply, without what HTTP/2 cannot carry (RFC 9113, section 8.2.2).
fn head_of(reply: &Reply) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    for (name, value) in &reply.headers {
        let name = HeaderName::from_bytes(name).ok().filter(|name| !PER_CONNECTION.contains(&name.as_str()));
        let value = HeaderValue::from_maybe_shared(value.clone());
        if let (Some(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    if let Some(len) = reply.declared {
        response.headers_mut().insert(http::header::CONTENT_LENGTH, len.into());
    }
    response
}

async fn send_body(reply: &Reply, stream: &mut SendStream<Bytes>, sent: &mut u64) -> Result<(), Stop> {
    wait(Pause::lasting(reply.body_delay), |cx| stream.poll_reset(cx)).await?;
    if !reply.stream_through.is_empty() {
        return send_coded(reply, stream, sent).await;
    }
    let start = Instant::now();
    let piece = reply.drip.map_or(PIECE as u64, |drip| drip.bytes.min(PIECE as u64));
    let (cut, limit) = body_cut(reply);
    let (mut offset, mut pieces) = (0, 0);
    while offset < limit {
        let mut bytes = Vec::new();
        reply.body.append_to(&mut bytes, offset, piece.min(limit - offset) as usize);
        (offset, pieces) = (offset + bytes.len() as u64, pieces + 1);
        let place = if offset == limit && cut.is_none() { Place::Last } else { Place::Within };
        send_piece(stream, Bytes::from(bytes), place, sent).await?;
        if let Some(drip) = reply.drip.filter(|_| offset < limit) {
            let pause = Pause::after(start, drip.interval.saturating_mul(pieces));
            wait(pause, |cx| stream.poll_reset(cx)).await?;
        }
    }
    match cut {
        Some(how) => Err(cut_by(how, reply, stream).await),
        None if limit == 0 => Ok(stream.send_data(Bytes::new(), true)?),
        None if reply.content == Content::Short => Err(Stop::Truncated),
        None => Ok(()),
    }
}

/// Sends a body that is coded on its way. It has no length, so a cut of any kind but silence is a reset.
async fn send_coded(reply: &Reply, stream: &mut SendStream<Bytes>, sent: &mut u64) -> Result<(), Stop> {
    let mut encoder = Encoder::new(&reply.body, &reply.stream_through);
    let mut room = match reply.cut {
        Some(Cut { at: CutAt::Body(limit) | CutAt::Wire(limit), .. }) => limit,
        None => u64::MAX,
    };
    loop {
        let mut piece = Vec::new();
        let more = encoder.append_next(&mut piece);
        let n = (piece.len() as u64).min(room) as usize;
        let is_cut = n < piece.len();
        piece.truncate(n);
        room -= n as u64;
        send_piece(stream, Bytes::from(piece), Place::Within, sent).await?;
        if let Some(Cut { how, .. }) = reply.cut.filter(|_| is_cut) {
            return Err(cut_by(how, reply, stream).await);
        }
        if more == More::WasLast {
            return Ok(stream.send_data(Bytes::new(), true)?);
        }
        // Coding takes long, and others share the thread.
        tokio::task::yield_now().await;
    }
}

/// How the body is cut, if it is, and after how many bytes. A place on the wire counts the body only,
/// for the size of a head is not known here; one at the very end comes before the end of the stream.
fn body_cut(reply: &Reply) -> (Option<Ending>, u64) {
    let whole = reply.body.len();
    match reply.cut {
        Some(Cut { at: CutAt::Body(at), how }) if at < whole => (Some(how), at),
        Some(Cut { at: CutAt::Wire(at), how }) if at < whole => (Some(how), at),
        Some(Cut { at: CutAt::Wire(at), how: how @ (Ending::Reset | Ending::Silence) }) if at == whole => {
            (Some(how), at)
        }
        _ => (None, whole),
    }
}

/// Hands over one piece, as the windows of the client allow.
async fn send_piece(
    stream: &mut SendStream<Bytes>,
    mut bytes: Bytes,
    place: Place,
    sent: &mut u64,
) -> Result<(), Stop> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let granted = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(granted) => granted?,
            None => return Err(Stop::ClientLeft),
        };
        let now = bytes.split_to(granted.min(bytes.len()));
        *sent += now.len() as u64;
        stream.send_data(now, place == Place::Last && bytes.is_empty())?;
    }
    Ok(())
}

async fn cut_by(how: Ending, reply: &Reply, stream: &mut SendStream<Bytes>) -> Stop {
    let is_told_by_length = reply.declared.is_some();
    let pause = if how == Ending::Silence { Pause::UntilClientLeaves } else { Pause::lasting(SETTLE) };
    if wait(pause, |cx| stream.poll_reset(cx)).await.is_err() {
        return Stop::ClientLeft;
    }
    if how != Ending::Reset && is_told_by_length {
        return stream.send_data(Bytes::new(), true).map_or(Stop::ClientLeft, |()| Stop::Truncated);
    }
    stream.send_reset(Reason::INTERNAL_ERROR);
    Stop::Reset
}

/// Waits, and sees the client reset the stream, or leave, meanwhile.
async fn wait(
    pause: Pause,
    mut poll_reset: impl FnMut(&mut Context<'_>) -> Poll<Result<Reason, h2::Error>>,
) -> Result<(), ClientLeft> {
    if matches!(pause, Pause::Until(instant) if instant <= Instant::now()) {
        return Ok(());
    }
    tokio::select! {
        biased;
        _ = poll_fn(&mut poll_reset) => Err(ClientLeft),
        () = pause.elapse() => Ok(()),
    }
}
