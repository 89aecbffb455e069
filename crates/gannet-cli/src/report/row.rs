//! The row of one input, with its fields in their order. Plain data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use gannet::digest::{Algorithm, Digest};
use gannet::{AttemptRecord, Ending, Error, Outcome, Timings, WhyStarted};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, StatusCode, Version};
use serde::Serialize;
use serde_json::Value;

use super::attempts::Try;
use super::rows::Attempts;
use super::{curl, millis, stamp};
use crate::input::Slip;
use crate::say::{hint, reason};

/// The row of one input.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    v: u32,
    r#type: &'static str,
    job: &'a str,
    seq: u64,
    url: &'a str,
    final_url: Option<&'a str>,
    outcome: &'static str,
    /// Only where it is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
    status: Option<u16>,
    error: Option<Failure>,
    attempts: usize,
    hedged: bool,
    winner: Option<Winner>,
    redirects: usize,
    bytes: u64,
    bytes_wire: u64,
    content_type: Option<Cow<'a, str>>,
    etag: Option<Cow<'a, str>>,
    http: Option<&'static str>,
    ip: Option<IpAddr>,
    conn: Option<Connection>,
    body: Option<Body<'a>>,
    ms: Times,
    started: Option<String>,
    ended: Option<String>,
    input: Option<Input<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<Vec<Try<'a>>>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: &'static str,
    phase: &'static str,
    message: String,
    hint: Cow<'static, str>,
    retryable: bool,
    curl: u8,
}

#[derive(Debug, Serialize)]
struct Winner {
    /// From 1.
    attempt: usize,
    mirror: usize,
}

/// The connection that an attempt used last.
#[derive(Debug, Serialize)]
pub(super) struct Connection {
    id: u64,
    reused: bool,
}

impl Connection {
    pub(super) fn of(attempt: &AttemptRecord) -> Option<Self> {
        attempt.connection.map(|used| Self { id: used.id, reused: used.reused })
    }
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    path: Option<Cow<'a, str>>,
    sha256: Option<String>,
    resumed_from: u64,
}

#[derive(Debug, Serialize)]
struct Times {
    queue: f64,
    dns: f64,
    connect: f64,
    tls: f64,
    /// From the first attempt's start, so that with `body` it makes up `total`.
    ttfb: Option<f64>,
    body: f64,
    total: f64,
}

/// What is known of the input itself: its line, its id, and what it said that means nothing to gannet.
#[derive(Debug, Serialize)]
struct Input<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(flatten)]
    fields: BTreeMap<Cow<'a, str>, &'a Value>,
}

impl<'a> Input<'a> {
    /// A column of the input that bears one of our names gets underscores before it.
    fn of(line: u64, slip: Option<&'a Slip>) -> Self {
        let all = || slip.iter().flat_map(|slip| &slip.fields);
        let named = |name: &'a str| {
            let mut free = Cow::Borrowed(name);
            while matches!(&*free, "line" | "id") || (free != name && all().any(|(other, _)| *other == *free))
            {
                free = Cow::Owned(format!("_{free}"));
            }
            free
        };
        let fields = all().map(|(name, value)| (named(name), value)).collect();
        Self { line, id: slip.and_then(|slip| slip.id.as_deref()), fields }
    }
}

impl<'a> Row<'a> {
    pub(super) fn of(outcome: &'a Outcome, job: &'a str, told: Attempts, slip: Option<&'a Slip>) -> Self {
        let attempts = outcome.attempts();
        let reply = outcome.reply();
        let shown = speaker(outcome);
        let field = |name| reply.and_then(|reply| text(&reply.headers, name));
        Self {
            v: 1,
            r#type: "result",
            job,
            seq: outcome.seq(),
            url: outcome.url(),
            final_url: reply.map(|reply| &*reply.url),
            outcome: outcome.ending().as_str(),
            unchanged: outcome.is_unchanged().then_some(true),
            status: status(outcome).map(|status| status.as_u16()),
            error: outcome.error().map(Failure::of),
            attempts: outcome.attempts_not_kept() + attempts.len(),
            hedged: attempts.iter().any(|attempt| attempt.why_started == WhyStarted::Hedge),
            winner: outcome.winner().and_then(|winner| {
                let number = outcome.attempts_not_kept() + winner + 1;
                attempts.get(winner).map(|attempt| Winner { attempt: number, mirror: attempt.mirror })
            }),
            redirects: shown.map_or(0, |attempt| attempt.hops.len()),
            bytes: outcome.length(),
            bytes_wire: attempts.iter().map(|attempt| attempt.bytes).sum(),
            content_type: field(CONTENT_TYPE),
            etag: field(ETAG),
            http: reply.map(|reply| version(reply.version)),
            ip: shown.and_then(|attempt| attempt.address).map(|address| address.ip()),
            conn: shown.and_then(Connection::of),
            body: Body::of(outcome),
            ms: Times::of(outcome, shown),
            started: outcome.started().and_then(stamp),
            ended: outcome.ended().and_then(stamp),
            input: outcome.line().map(|line| Input::of(line, slip)),
            tries: (told == Attempts::Told).then(|| Try::all(attempts)),
        }
    }
}

/// The attempt that speaks for the fetch.
pub(super) fn speaker(outcome: &Outcome) -> Option<&AttemptRecord> {
    let attempts = outcome.attempts();
    outcome.winner().and_then(|winner| attempts.get(winner)).or(attempts.last())
}

/// The status of the reply, accepted or not, whole or not.
pub(super) fn status(outcome: &Outcome) -> Option<StatusCode> {
    outcome.status().or_else(|| speaker(outcome)?.status)
}

impl Failure {
    fn of(error: &Error) -> Self {
        Self {
            code: error.kind().code(),
            phase: error.phase().as_str(),
            message: reason(error).into_owned(),
            hint: hint(error),
            retryable: error.is_retryable(),
            curl: curl::exit_code(error.kind()),
        }
    }
}

impl<'a> Body<'a> {
    /// Of what was obtained; `path` is that of its file, if it has one.
    fn of(outcome: &'a Outcome) -> Option<Self> {
        let path = outcome.path().map(Path::to_string_lossy);
        let obtained = matches!(outcome.ending(), Ending::Ok | Ending::Skipped);
        let sha256 = outcome.digests().iter().find(|digest| digest.algorithm() == Algorithm::Sha256);
        obtained.then_some(Self {
            path,
            sha256: sha256.map(Digest::to_hex),
            resumed_from: outcome.resumed_from(),
        })
    }
}

impl Times {
    fn of(outcome: &Outcome, shown: Option<&AttemptRecord>) -> Self {
        let timings = shown.map_or_else(Timings::default, |attempt| attempt.timings);
        let answered = shown.filter(|attempt| attempt.status.is_some());
        let ttfb = answered.map(|attempt| attempt.began + timings.queue + timings.to_first_byte());
        Self {
            queue: millis(outcome.queued()),
            dns: millis(timings.dns),
            connect: millis(timings.connect),
            tls: millis(timings.tls),
            ttfb: ttfb.map(millis),
            body: millis(timings.body),
            total: millis(outcome.total()),
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// The version of HTTP, as rows and `-w` call it.
pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        Version::HTTP_10 => "1.0",
        Version::HTTP_09 => "0.9",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_fields_of_the_format_in_their_order() {
        let fields = serde_json::from_str(r#"{"title":"t","line":1,"_line":[2]}"#).expect("an object");
        let slip = Slip { id: Some("x".to_owned()), fields };
        let row = Row {
            v: 1,
            r#type: "result",
            job: "j",
            seq: 17,
            url: "https://a/x",
            final_url: Some("https://cdn/x"),
            outcome: "ok",
            unchanged: None,
            status: Some(200),
            error: None,
            attempts: 2,
            hedged: true,
            winner: Some(Winner { attempt: 2, mirror: 0 }),
            redirects: 1,
            bytes: 1_048_576,
            bytes_wire: 1_050_112,
            content_type: Some("text/plain".into()),
            etag: None,
            http: Some(version(Version::HTTP_11)),
            ip: "192.0.2.7".parse().ok(),
            conn: Some(Connection { id: 41, reused: true }),
            body: Some(Body { path: Some("out/x".into()), sha256: None, resumed_from: 0 }),
            ms: Times {
                queue: 3.1,
                dns: 0.0,
                connect: 0.0,
                tls: 0.0,
                ttfb: Some(41.2),
                body: 210.0,
                total: 251.2,
            },
            started: stamp(std::time::SystemTime::UNIX_EPOCH),
            ended: None,
            input: Some(Input::of(7, Some(&slip))),
            tries: None,
        };
        let golden = concat!(
            r#"{"v":1,"type":"result","job":"j","seq":17,"url":"https://a/x","final_url":"https://cdn/x","outcome":"ok","#,
            r#""status":200,"error":null,"attempts":2,"hedged":true,"winner":{"attempt":2,"mirror":0},"redirects":1,"#,
            r#""bytes":1048576,"bytes_wire":1050112,"content_type":"text/plain","etag":null,"http":"1.1","#,
            r#""ip":"192.0.2.7","conn":{"id":41,"reused":true},"body":{"path":"out/x","sha256":null,"resumed_from":0},"#,
            r#""ms":{"queue":3.1,"dns":0.0,"connect":0.0,"tls":0.0,"ttfb":41.2,"body":210.0,"total":251.2},"#,
            r#""started":"1970-01-01T00:00:00.000Z","ended":null,"input":{"line":7,"id":"x","__line":1,"_line":[2],"title":"t"}}"#,
        );
        assert_eq!(serde_json::to_string(&row).expect("a row"), golden);
    }

    #[test]
    fn an_error_has_code_phase_message_hint_and_curls_number() {
        let error = gannet::Request::new("ftp://a/").expect_err("ftp is not fetched");
        let golden = concat!(
            r#"{"code":"input.bad_scheme","phase":"queue","message":"the scheme ftp: is not fetched, only http and "#,
            r#"https are","hint":"gannet fetches http and https; use curl for this","retryable":false,"curl":1}"#,
        );
        assert_eq!(serde_json::to_string(&Failure::of(&error)).expect("an error"), golden);
    }
}
