//! The first that succeeds: C#'s `Task.WhenAny`, with a failure never winning while another may succeed.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Client;
use super::fetch::Fetch;
use super::handle::JobHandle;
use super::response::Response;
use crate::engine::fetch::Settled;
use crate::error::{Error, ErrorKind, Phase};
use crate::outcome::{AttemptRecord, WhyStopped};
use crate::request::Request;

/// A race of several requests to a `T`. All of them start at once; the first to bring the first byte of an accepted
/// body leads, and the others' requests end at their servers.
///
/// # Errors
/// [`AllFailed`] with one error for each request, in input order; an empty input is an error too.
///
/// # Cancel safety
/// As for [`Fetch`].
#[must_use = "a race is lazy: nothing happens until it is awaited"]
#[derive(Debug)]
pub struct FetchFirst<T = Response> {
    fetch: Fetch<T>,
    legs: Vec<Leg>,
}

/// One request of the race: its place in the engine's order, or why it cannot be sent.
#[derive(Debug, Clone)]
enum Leg {
    Sent(usize),
    Bad(Error),
}

/// What won, and which request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First<T> {
    /// The winner's place in the input.
    pub index: usize,
    /// What it brought.
    pub value: T,
}

/// No request of a race succeeded.
#[derive(Debug, Clone)]
pub struct AllFailed {
    /// One error for each request, in input order.
    pub errors: Vec<Error>,
    /// Every attempt that was made.
    pub attempts: Vec<AttemptRecord>,
}

impl FetchFirst {
    pub(super) fn new(client: &Client, requests: Vec<Result<Request, Error>>) -> Self {
        let schemes = client.core.plan.schemes;
        let checked = |request: Result<Request, Error>| request.and_then(|request| schemes.check(request));
        let requests: Vec<_> = requests.into_iter().map(checked).collect();
        let mut sent = 0;
        let legs = requests.iter().map(|request| match request {
            Ok(_) => {
                sent += 1;
                Leg::Sent(sent - 1)
            }
            Err(error) => Leg::Bad(error.clone()),
        });
        let legs = legs.collect();
        Self { fetch: Fetch::over(client, requests), legs }
    }

    /// Awaits the winner's whole body as text; what is not UTF-8 is replaced.
    pub fn text(self) -> FetchFirst<String> {
        FetchFirst { fetch: self.fetch.text(), legs: self.legs }
    }

    /// Awaits the winner's whole body.
    pub fn bytes(self) -> FetchFirst<Bytes> {
        FetchFirst { fetch: self.fetch.bytes(), legs: self.legs }
    }

    /// Awaits the winner's whole body and reads it as JSON.
    #[cfg(feature = "json")]
    pub fn into_json<T: serde_core::de::DeserializeOwned>(self) -> FetchFirst<T> {
        FetchFirst { fetch: self.fetch.into_json(), legs: self.legs }
    }

    /// Awaits the winner's whole body in a file at `path`.
    pub fn save_to(self, path: impl Into<std::path::PathBuf>) -> FetchFirst<crate::Receipt> {
        FetchFirst { fetch: self.fetch.save_to(path), legs: self.legs }
    }
}

macro_rules! pass_on {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => { $(
        $(#[$doc])*
        pub fn $name(self $(, $argument: $type)*) -> Self {
            Self { fetch: self.fetch.$name($($argument),*), legs: self.legs }
        }
    )* };
}

impl<T> FetchFirst<T> {
    pass_on! {
        /// It must be over within `length`, counted from the first poll; of several limits the nearest rules.
        timeout(length: std::time::Duration);
        /// It must be over by `at`; of several limits the nearest rules.
        deadline(at: tokio::time::Instant);
        /// It stops when `token` is cancelled.
        cancel_on(token: &tokio_util::sync::CancellationToken);
        /// At most `count` retries after the first attempts (default 3), for the race as a whole.
        retry(count: u32);
        /// Takes a reply of any status for success, in the place of 200 to 299.
        any_status();
    }

    fn all_failed(&self, error: &Error, attempts: Vec<AttemptRecord>) -> AllFailed {
        let of_leg = |leg: &Leg| match leg {
            Leg::Bad(error) => error.clone(),
            Leg::Sent(mirror) => {
                let tries = attempts.iter().rev().filter(|attempt| attempt.mirror == *mirror);
                let mut failures = tries.filter_map(|attempt| match &attempt.why_stopped {
                    WhyStopped::Failed(error) => Some(error.clone()),
                    _ => None,
                });
                // A leg that the deadline or the caller stopped has no failure of its own.
                let ended_whole = error.is_cancelled()
                    || matches!(error.kind(), ErrorKind::JobDeadline | ErrorKind::ItemDeadline);
                if ended_whole { error.clone() } else { failures.next().unwrap_or_else(|| error.clone()) }
            }
        };
        AllFailed { errors: self.legs.iter().map(of_leg).collect(), attempts }
    }
}

impl<T: Send + 'static> FetchFirst<T> {
    /// Runs it in the background; see [`Fetch::spawn`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(mut self) -> JobHandle<Result<First<T>, AllFailed>> {
        let (control, tallies) = self.fetch.controlled();
        JobHandle::spawn(self, control, tallies)
    }
}

impl<T> Future for FetchFirst<T> {
    type Output = Result<First<T>, AllFailed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (settled, aftermath) = std::task::ready!(self.fetch.poll_settled(cx));
        let Some(aftermath) = aftermath else {
            let error = settled.end.err().unwrap_or_else(no_input);
            return Poll::Ready(Err(self.all_failed(&error, Vec::new())));
        };
        let attempts = settled.record.attempts.clone();
        let winner = winner_of(&settled);
        Poll::Ready(match (self.fetch.finish)(settled, aftermath) {
            Ok(value) => {
                let won = |leg: &Leg| matches!(leg, Leg::Sent(mirror) if Some(*mirror) == winner);
                Ok(First { index: self.legs.iter().position(won).unwrap_or(0), value })
            }
            Err(error) => Err(self.all_failed(&error, attempts)),
        })
    }
}

fn winner_of(settled: &Settled) -> Option<usize> {
    let record = &settled.record;
    record.winner.and_then(|attempt| record.attempts.get(attempt)).map(|attempt| attempt.mirror)
}

fn no_input() -> Error {
    Error::new(ErrorKind::NoInput, Phase::Queue, "no URL was given")
}

impl AllFailed {
    /// Whether a limit on time ended the race.
    pub fn is_timeout(&self) -> bool {
        !self.errors.is_empty() && self.errors.iter().all(Error::is_timeout)
    }

    /// Whether the caller stopped the race.
    pub fn is_cancelled(&self) -> bool {
        self.errors.iter().any(Error::is_cancelled)
    }
}

impl From<AllFailed> for Error {
    /// The first request's error; of a race without requests, one of kind [`NoInput`](ErrorKind::NoInput).
    fn from(failed: AllFailed) -> Self {
        failed.errors.into_iter().next().unwrap_or_else(no_input)
    }
}

impl std::fmt::Display for AllFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.errors.as_slice() {
            [] => f.write_str("no URL was given"),
            [only] => write!(f, "{only}"),
            [first, rest @ ..] => {
                write!(f, "none of {} succeeded: {first}; and {} more", rest.len() + 1, rest.len())
            }
        }
    }
}

impl std::error::Error for AllFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errors.first().map(|error| error as &(dyn std::error::Error + 'static))
    }
}
