//! gannet fetches many URLs by one deadline: all of them, or the first that answers.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let client = gannet::Client::new();
//! let text = client.get("http://localhost/").text().timeout(Duration::from_secs(2)).await?;
//!
//! let urls = ["http://a.example/", "http://b.example/"];
//! for outcome in client.fetch_all(urls).timeout(Duration::from_secs(10)).await {
//!     println!("{} {:?}", outcome.url(), outcome.ending());
//! }
//! let first = client.fetch_first(urls).text().await?;
//! println!("{} answered first, with {} bytes", urls[first.index], first.value.len());
//!
//! let job = client.fetch_all(urls).save_into("out").spawn();
//! println!("{:?}", job.progress());
//! job.await?;
//! # Ok(()) }
//! ```
//!
//! A [`Client`] makes lazy futures: a [`Fetch`] of one request, a [`FetchAll`] or [`FetchEach`] of many, a
//! [`FetchFirst`] of alternatives. Dropping one stops everything beneath it. Each request ends in exactly one
//! [`Outcome`], with the record of every attempt.
//!
//! The walk of one URL: `source` reads it, `policy` queues it and says when an attempt starts, `engine` drives the
//! attempt through `transport`, `sink` takes its body, and `report` counts the outcome.
//!
//! # Where to look
//!
//! - Requests and their bodies: [`Request`], [`Body`], [`Form`]; `http::Request`s are taken by [`Client::send`].
//! - Settings: [`ClientBuilder`]; a method of the same name on a builder such as [`Fetch`] rules for that one.
//! - Where bodies go, and where URLs come from: [`sink`], [`source`].
//! - What came of it: [`Outcome`], [`Error`] with its [`ErrorKind`], [`JobReport`].
//! - Deadline, retries, hedges and budget for calls of any other kind: [`attempts`], [`Calls`].
//! - While it runs: [`FetchEach::held_back`], [`JobHandle::progress`], [`Event`], [`Client::gauges`].
//! - Exact behaviour, each promise with the tests that hold it: docs/SEMANTICS.md in the repository.
//!
//! # Features
//!
//! On by default:
//! - `http1`: HTTP/1.1 on the wire.
//! - `http2`: HTTP/2, chosen by ALPN over TLS or by prior knowledge ([`HttpVersions::Http2`]).
//! - `tls`: https, by rustls with the platform's verifier and the cryptography of ring.
//! - `json`: bodies from and into serde types ([`Fetch::json`], [`Fetch::into_json`]).
//!
//! Off by default:
//! - `tls-aws-lc`: https with the cryptography of aws-lc, also where `tls` is on: the key exchange X25519MLKEM768, which
//!   withstands quantum computers, and certificates of the curve P-521. It takes as long to compile as all the rest.
//! - `compression`: bodies that are read are asked for in gzip, br, zstd or deflate, and decoded within bounds;
//!   `ClientBuilder::decode` says which.
//! - `cookies`: `Cookies`, a store for `ClientBuilder::cookies`.
//! - `digests`: bodies are compared with what callers expect (`Request::digest`) and with what replies say; see
//!   `gannet::digest`.
//! - `tracing`: a span `fetch` for each fetch, a span `attempt` for each of its attempts, and events within them: `hop`,
//!   `led`, `failed`, `retried`, `settled`; target `gannet`, levels info and debug, never with credentials.
//! - `tower`: [`Client`] is a `tower_service::Service` of `http::Request`s, so that tower's layers stand around it.
//! - `journal`: `Journal`, the durable record of what a job has settled ([`FetchEach`] and [`FetchAll`] take it with
//!   `journal`): the next run goes on where this one stopped, after `kill -9` too.
//! - `robots`: robots.txt and X-Robots-Tag are obeyed, if `ClientBuilder::robots` says so.
//! - `sim`: `gannet::sim`, scripted replies and seeded faults in the place of the network, in virtual time, for tests of
//!   code that uses a client.
//!
//! Without `http1` and `http2` only a custom [`Transport`] can send.

mod client;
mod clock;
#[cfg(feature = "cookies")]
mod cookies;
#[cfg(feature = "digests")]
pub mod digest;
mod engine;
mod error;
mod event;
#[cfg(feature = "journal")]
mod journal;
mod moment;
mod number;
mod outcome;
pub mod part;
mod path;
mod permit;
mod policy;
mod report;
mod request;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(all(test, not(feature = "sim")))]
mod sim;
pub mod sink;
pub mod source;
mod transport;
mod version;

pub use client::{
    AllFailed, Attempts, AttemptsError, Bodies, Calls, Chunks, Client, ClientBuilder, Collect, FailFast,
    Fetch, FetchAll, FetchEach, FetchFirst, First, Gauges, JobError, JobHandle, Outcomes, Response, Saved,
    WhyGaveUp, attempts, get,
};
#[cfg(feature = "cookies")]
pub use cookies::{Cookie, Cookies};
#[cfg(feature = "compression")]
pub use engine::coding::Decoding;
#[cfg(feature = "digests")]
pub use engine::digests::SentDigests;
pub use engine::media::MediaTypes;
pub use engine::plan::{Redirects, Schemes, StatusSet};
#[cfg(feature = "robots")]
pub use engine::robots::Robots;
pub use error::{Error, ErrorKind, ErrorReply, Phase};
pub use event::{Event, HeldBack, HeldBackBy, HeldBackTimes, Progress, Slow};
#[cfg(feature = "journal")]
pub use journal::{
    Durability, JobSummary, Journal, JournalFiles, JournalLines, JournalReader, JournalRows, Resumed,
};
pub use outcome::{
    AttemptRecord, ConnectionUsed, Ending, Outcome, Receipt, ReplyHead, Timings, Waited, WaitedFor,
    WhyStarted, WhyStopped,
};
#[cfg(feature = "journal")]
pub use outcome::{EarlierRun, Recorded, RecordedError, Wanted};
pub use policy::classify::RetryErrors;
pub use policy::concurrency::Concurrency;
pub use policy::hedge::HedgeAfter;
pub use policy::job::Goal;
pub use policy::resume::ResumeParts;
pub use report::{Budget, JobReport};
pub use request::body::{Body, BoxError};
pub use request::form::{Form, Part};
pub use request::{IntoRequest, Repeat, Request};
pub use tokio_util::sync::CancellationToken;
pub use transport::connect::HttpVersions;
#[cfg(feature = "_tls")]
pub use transport::tls::TlsVersion;
pub use transport::{BoxFuture, Reply, Transport, WireRequest};

pub(crate) use moment::Moment;

/// The front page's Rust lines are compiled as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// What must not compile, beside its twin that does.
#[cfg(doctest)]
#[doc = include_str!("../examples/chapter/does_not_compile.md")]
struct DoesNotCompile;
