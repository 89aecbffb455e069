//! The ways in which an origin may misbehave over HTTP/2 (RFC 9113). Only named here; played next door.

/// What is wrong with an origin's HTTP/2. Where it answers all the same, the answer is 200 and `ok`.
///
/// Requests are counted but not read: the log knows them as GETs of `(http2)`. HTTP/1.1 of the same origin
/// is served as ever.
///
/// # Examples
///
/// ```
/// use gannet_origin::{Http2Fault, Origin};
///
/// // The first connection refuses three streams; every later one behaves.
/// let builder = Origin::builder().http2_fault_first(1, Http2Fault::RefuseStream { times: 3 });
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Http2Fault {
    /// Once so many requests of the connection came, GOAWAY (section 6.8) that names `last_stream` as the
    /// last one that was heeded; the streams of a connection are 1, 3, 5 and so on.
    GoAway {
        /// Requests that come before.
        after_requests: u64,
        /// The last stream that was heeded; 0 for none.
        last_stream: u32,
        /// What becomes of the streams up to that one.
        then: AfterGoAway,
    },
    /// GOAWAY after GOAWAY as soon as a request comes, until the client goes.
    GoAwayStorm,
    /// Each stream is reset there, with this error code (section 7).
    Reset {
        /// The place.
        at: ResetAt,
        /// The code; 0 is NO_ERROR, 8 is CANCEL.
        code: u32,
    },
    /// So many requests of the origin are reset with REFUSED_STREAM; the rest are answered. `u64::MAX`: all.
    RefuseStream {
        /// Requests that are refused.
        times: u64,
    },
    /// Each stream is reset with HTTP_1_1_REQUIRED.
    Http11Required,
    /// These frames without end, as soon as a request comes, until the client goes.
    Flood(Flood),
    /// SETTINGS_MAX_CONCURRENT_STREAMS (section 6.5.2). Each answer waits some 20 ms, so that a client that
    /// opens more shows in the most requests in flight.
    MaxStreams {
        /// What the first SETTINGS say; with 0, no request may come.
        first: u32,
        /// What SETTINGS say after the first answer.
        then: Option<u32>,
    },
    /// No byte of a request's body may ever come (section 6.9); a request without a body is answered.
    ZeroWindow,
    /// This frame instead of the answer.
    Bad(BadFrame),
}

/// What becomes of the streams that a GOAWAY leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterGoAway {
    /// They are answered, and the connection is closed.
    Answer,
    /// The connection is closed at once, though it had heeded them.
    Close,
}

/// Where a stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetAt {
    /// Before anything of the answer.
    Start,
    /// After a head that promises a body.
    AfterHeaders,
    /// After a part of the promised body.
    DuringData,
    /// After the whole of the promised body, but before the end of the stream.
    AfterData,
}

/// What comes without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// SETTINGS, each of which the client has to acknowledge.
    Settings,
    /// PING, each of which the client has to answer.
    Ping,
    /// DATA of no byte that does not end the stream.
    EmptyData,
    /// A head of CONTINUATION after CONTINUATION.
    Continuation,
    /// RST_STREAM of the same stream.
    Reset,
}

/// A frame that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// DATA on stream 0.
    DataOnStreamZero,
    /// HEADERS on a stream that nobody opened.
    UnopenedStream,
    /// A frame larger than the client allows.
    TooLarge,
    /// PING of seven bytes.
    ShortPing,
    /// WINDOW_UPDATE by nothing.
    WindowUpdateByZero,
    /// DATA before HEADERS.
    DataFirst,
    /// A head, then padding that is longer than its frame.
    BadPadding,
    /// A head that names an entry that no table has.
    BadHpack,
    /// CONTINUATION that continues nothing.
    LoneContinuation,
    /// PUSH_PROMISE, which clients turn off.
    PushPromise,
}
