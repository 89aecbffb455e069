//! Anybody's call under the machine of fetches: deadline, retries, hedges and budget over any async function. Nothing
//! here decides; it resolves wishes into terms for the engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::builder::check_share;
use super::{Client, Scope};
use crate::engine::call::{Asks, Calling, Shared, Terms};
use crate::engine::control::Tokens;
use crate::engine::errand::Limits;
use crate::engine::plan::Plan;
use crate::error::Error;
use crate::policy::budget::Ratio;
use crate::policy::hedge::HedgeAfter;
use crate::report::Budget;

pub use error::{AttemptsError, WhyGaveUp};

mod error;

/// Which errors are retried, unless [`Attempts::retry_if`] says it.
type RetryIf<E> = fn(&E) -> bool;
/// How long an error asks us to wait, unless [`Attempts::retry_after`] says it.
type RetryAfter<E> = fn(&E) -> Option<Duration>;

/// Attempts of any async call: `call` is given the attempt's number, from 0, and makes its future.
///
/// As it is, the call is made once, without a limit; [`timeout`](Attempts::timeout), [`retry`](Attempts::retry) and
/// [`hedge`](Attempts::hedge) give it more. It has a budget of its own, of 10 retries and 10 hedges; calls that share
/// one, and learn from one another, are made by [`Calls::attempts`].
///
/// # Errors
/// [`AttemptsError`] says why it gave up, and holds the errors of its attempts.
///
/// # Cancel safety
/// Dropping it drops the futures of all attempts at once.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// async fn ask(attempt: u32) -> Result<String, std::io::Error> {
///     if attempt == 0 { Err(std::io::ErrorKind::ConnectionReset.into()) } else { Ok("fine".into()) }
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), gannet::AttemptsError<std::io::Error>> {
/// let answer = gannet::attempts(ask)
///     .timeout(Duration::from_secs(2))
///     .retry(3)
///     .hedge(Duration::from_millis(300))
///     .await?;
/// assert_eq!(answer, "fine");
/// # Ok(()) }
/// ```
pub fn attempts<T, E, F, Fut>(call: F) -> Attempts<T, E, F, Fut>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    Attempts::new(None, call)
}

/// What many calls share: one budget for their retries and hedges, and how long they usually take. Cheap to clone;
/// clones share it too.
///
/// Use one for the calls to one service. Retries are at most max(10, 20 % of first attempts), hedges at most
/// max(10, 2 %), on every prefix; a call that finds the budget empty gives up, as it has nobody to wait for.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// # async fn ask(_attempt: u32) -> Result<u32, std::io::Error> { Ok(7) }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = gannet::Calls::new();
/// for _ in 0..1_000 {
///     service.attempts(ask).timeout(Duration::from_secs(1)).retry(3).hedge(gannet::HedgeAfter::Auto).await?;
/// }
/// assert_eq!(service.budget().retry_left, Some(200));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
    scope: Option<Arc<Scope>>,
}

impl Calls {
    /// With the usual budgets: retries 20 % of first attempts, hedges 2 %.
    pub fn new() -> Self {
        Self::over(Shared::alone(Ratio::Share(0.2), Ratio::Share(0.02)))
    }

    /// With budgets for retries and hedges as shares of first attempts; `None` is without bound. The first 10 of each
    /// are always granted.
    ///
    /// # Errors
    /// [`Settings`](crate::ErrorKind::Settings) if one is not between 0 and 1.
    pub fn with_budgets(retry: impl Into<Option<f64>>, hedge: impl Into<Option<f64>>) -> Result<Self, Error> {
        let ratio = |share: Option<f64>| share.map_or(Ratio::Off, Ratio::Share);
        let (retry, hedge) = (ratio(retry.into()), ratio(hedge.into()));
        check_share(retry)?;
        check_share(hedge)?;
        Ok(Self::over(Shared::alone(retry, hedge)))
    }

    /// Attempts of one call, as [`gannet::attempts`](attempts) makes them, within what is shared.
    ///
    /// # Cancel safety
    /// Dropping it drops the futures of all attempts at once.
    pub fn attempts<T, E, F, Fut>(&self, call: F) -> Attempts<T, E, F, Fut>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Attempts::new(Some(self.clone()), call)
    }

    /// What is left of the budget, and how often it had nothing.
    pub fn budget(&self) -> Budget {
        self.shared.purse().told()
    }

    fn over(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), scope: None }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("budget", &self.budget()).finish_non_exhaustive()
    }
}

impl Client {
    /// Calls of another kind that draw on this client's budget, as one of its hosts does, and inherit the deadline and
    /// the tokens of its [`scope`](Self::scope). What is learned of their speed is their own.
    pub fn calls(&self) -> Calls {
        Calls { shared: Arc::new(Shared::of_client(&self.core)), scope: self.scope.clone() }
    }
}

/// One call of any kind, on its way to a `T`: see [`attempts`].
///
/// It is lazy: the closure is not called, and no time counted, before the first poll. A retry starts after a failure
/// and its backoff, a hedge beside an attempt that is silent. The first `Ok` wins, and the other futures are dropped
/// before it is given; a failure ends nothing while another attempt lives. The first attempt's future runs inline in
/// one allocation, each further one has its own. A panic of a call goes through.
///
/// A call that must not be made twice is not to be retried or hedged: nothing here can tell.
///
/// # Errors
/// [`AttemptsError`] says why it gave up, and holds the errors of its attempts.
///
/// # Panics
/// Polled outside of a tokio runtime with its timers on when there is something to wait for (a limit, a backoff, a
/// hedge); polled again after it has ended.
///
/// # Cancel safety
/// Dropping it drops the futures of all attempts at once.
#[must_use = "a call is lazy: nothing happens until it is awaited"]
pub struct Attempts<T, E, F, Fut, R = RetryIf<E>, A = RetryAfter<E>> {
    state: State<T, E, F, Fut, R, A>,
}

enum State<T, E, F, Fut, R, A> {
    Lazy(Lazy<F, R, A>),
    Running(Running<T, E, F, Fut, R, A>),
    Over,
}

struct Lazy<F, R, A> {
    asks: Asks<F, R, A>,
    asked: Asked,
}

/// What the caller asked for.
struct Asked {
    calls: Option<Calls>,
    terms: Terms,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    tokens: Vec<CancellationToken>,
}

struct Running<T, E, F, Fut, R, A> {
    calling: Calling<T, E, F, Fut, R, A>,
    tokens: Tokens,
    polled: bool,
}

impl<T, E, F, Fut> Attempts<T, E, F, Fut> {
    fn new(calls: Option<Calls>, make: F) -> Self {
        let usual = Plan::default();
        let terms = Terms {
            retries: Some(0),
            backoff: usual.backoff,
            retry_after_max: usual.retry_after_max,
            hedge: None,
            hedges: usual.hedges,
        };
        let asks =
            Asks { make, retry_if: (|_| true) as RetryIf<E>, retry_after: (|_| None) as RetryAfter<E> };
        let asked = Asked { calls, terms, timeout: None, deadline: None, tokens: Vec::new() };
        Self { state: State::Lazy(Lazy { asks, asked }) }
    }
}

/// Settings. They are without effect once it has been polled, but for those that say so.
impl<T, E, F, Fut, R, A> Attempts<T, E, F, Fut, R, A> {
    /// It must be over within `length`, counted from the first poll; of several limits the nearest rules.
    pub fn timeout(self, length: Duration) -> Self {
        self.ask(|asked| asked.timeout = Some(asked.timeout.map_or(length, |other| other.min(length))))
    }

    /// It must be over by `at`; of several limits the nearest rules.
    pub fn deadline(self, at: Instant) -> Self {
        self.ask(|asked| asked.deadline = Some(asked.deadline.map_or(at, |other| other.min(at))))
    }

    /// It stops when `token` is cancelled. Of one that was cancelled before the first poll, the closure is never
    /// called.
    pub fn cancel_on(self, token: &CancellationToken) -> Self {
        self.ask(|asked| asked.tokens.push(token.clone()))
    }

    /// At most `count` retries after the first attempt (default 0), `None` without end; exponential from 250 ms up to
    /// 30 s with full jitter, and within the budget. Without a deadline all delays together are at most 2 min, unless
    /// the retries are without end.
    pub fn retry(self, count: impl Into<Option<u32>>) -> Self {
        let count = count.into();
        self.ask(|asked| {
            asked.terms.retries = count;
        })
    }

    /// The first and the longest delay of the exponential backoff (default 250 ms and 30 s), before full jitter.
    pub fn backoff(self, first: Duration, longest: Duration) -> Self {
        self.ask(|asked| (asked.terms.backoff.base, asked.terms.backoff.cap) = (first, longest))
    }

    /// Pauses for `pause` before each retry, in the place of the exponential delays; a longer
    /// [`retry_after`](Self::retry_after) counts. The bound of 2 min on all delays together does not hold then.
    pub fn retry_delay(self, pause: Duration) -> Self {
        self.ask(|asked| asked.terms.backoff.fix(pause))
    }

    /// The longest wait that an error may ask for (default 5 min); one that asks for more ends the call at once.
    pub fn retry_after_max(self, length: Duration) -> Self {
        self.ask(|asked| asked.terms.retry_after_max = length)
    }

    /// A further attempt when the newest has been silent for `after`: a fixed time, or one that is learned of the
    /// [`Calls`] that it belongs to, from their hundredth on; at most 2, one at a time, and within the budget (Dean and
    /// Barroso, "The Tail at Scale", 2013). Off by default.
    ///
    /// They are held back where hedges win less than one time in five. What is learned needs 100 calls, so a call that
    /// shares nothing is hedged after a fixed time only.
    pub fn hedge(self, after: impl Into<HedgeAfter>) -> Self {
        let after = after.into();
        self.ask(|asked| asked.terms.hedge = Some(after))
    }

    /// Draws on the budget of `calls`, and on what they know, in the place of its own.
    ///
    /// With it come the deadline and the token of the scope that `calls` were made in ([`Client::calls`] of a
    /// [scope](crate::Client::scope)): the call ends by that deadline too, the nearest one rules, and when that token is
    /// cancelled.
    pub fn budget(self, calls: &Calls) -> Self {
        self.ask(|asked| asked.calls = Some(calls.clone()))
    }

    fn ask(mut self, with: impl FnOnce(&mut Asked)) -> Self {
        if let State::Lazy(lazy) = &mut self.state {
            with(&mut lazy.asked);
        }
        self
    }
}

impl<T, E, F, Fut, R, A> Attempts<T, E, F, Fut, R, A>
where
    Fut: Future<Output = Result<T, E>>,
{
    /// Which errors are retried (default: all). One that is not ends the call, unless another attempt is still alive.
    ///
    /// # Panics
    /// Once it has been polled.
    pub fn retry_if<P: FnMut(&E) -> bool>(self, retry_if: P) -> Attempts<T, E, F, Fut, P, A> {
        let Lazy { asks: Asks { make, retry_after, .. }, asked } = self.unpolled();
        Attempts { state: State::Lazy(Lazy { asks: Asks { make, retry_if, retry_after }, asked }) }
    }

    /// For how long an error asks us to wait (default: none does). A retry is never earlier than that, and up to a tenth
    /// of it later, 1 s at most. A wait that ends after the deadline, or is longer than
    /// [`retry_after_max`](Self::retry_after_max), is not begun: the call gives up at once and says how long it was.
    ///
    /// # Panics
    /// Once it has been polled.
    pub fn retry_after<P>(self, retry_after: P) -> Attempts<T, E, F, Fut, R, P>
    where
        P: FnMut(&E) -> Option<Duration>,
    {
        let Lazy { asks: Asks { make, retry_if, .. }, asked } = self.unpolled();
        Attempts { state: State::Lazy(Lazy { asks: Asks { make, retry_if, retry_after }, asked }) }
    }

    fn unpolled(self) -> Lazy<F, R, A> {
        match self.state {
            State::Lazy(lazy) => lazy,
            State::Running(_) | State::Over => panic!("a call was set though it had been polled"),
        }
    }
}

/// Nothing in it is pinned in place: what is under way has its own place on the heap.
impl<T, E, F, Fut, R, A> Unpin for Attempts<T, E, F, Fut, R, A> {}

impl<T, E, F, Fut, R, A> Future for Attempts<T, E, F, Fut, R, A>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: FnMut(&E) -> bool,
    A: FnMut(&E) -> Option<Duration>,
{
    type Output = Result<T, AttemptsError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Lazy(_) = self.state
            && let State::Lazy(lazy) = std::mem::replace(&mut self.state, State::Over)
        {
            self.state = State::Running(lazy.begin());
        }
        let State::Running(running) = &mut self.state else { panic!("a call was polled after it had ended") };
        let ended = std::task::ready!(running.poll(cx));
        self.state = State::Over;
        Poll::Ready(ended)
    }
}

impl<F, R, A> Lazy<F, R, A> {
    fn begin<T, E, Fut>(self) -> Running<T, E, F, Fut, R, A>
    where
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        R: FnMut(&E) -> bool,
        A: FnMut(&E) -> Option<Duration>,
    {
        let Asked { calls, mut terms, timeout, deadline, mut tokens } = self.asked;
        if terms.retries.is_none() {
            terms.backoff.total = None;
        }
        let Calls { shared, scope } = calls.unwrap_or_default();
        let clock = shared.clock();
        let inherited = scope.as_deref().and_then(|scope| scope.deadline);
        tokens.extend(scope.iter().flat_map(|scope| scope.tokens.iter().cloned()));
        let limits = Limits {
            job: [deadline, inherited].into_iter().flatten().min().map(|at| clock.moment(at)),
            item: timeout.map(|length| clock.now() + length),
        };
        Running {
            calling: Calling::new(self.asks, shared, &terms, limits),
            tokens: Tokens::new(&tokens),
            polled: false,
        }
    }
}

impl<T, E, F, Fut, R, A> Running<T, E, F, Fut, R, A>
where
    F: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    R: FnMut(&E) -> bool,
    A: FnMut(&E) -> Option<Duration>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, AttemptsError<E>>> {
        let stopped = self.tokens.poll(cx).is_ready();
        // Stopped before its first poll, it calls nothing.
        let ended = if stopped && !std::mem::replace(&mut self.polled, true) {
            self.calling.stop()
        } else {
            self.polled = true;
            match self.calling.poll(cx) {
                Poll::Ready(ended) => ended,
                Poll::Pending if stopped => self.calling.stop(),
                Poll::Pending => return Poll::Pending,
            }
        };
        let (attempts, errors) = (ended.attempts, ended.errors);
        Poll::Ready(ended.end.map_err(|verdict| AttemptsError::new(verdict, attempts, errors)))
    }
}

impl<T, E, F, Fut, R, A> std::fmt::Debug for Attempts<T, E, F, Fut, R, A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Lazy(_) => "lazy",
            State::Running(_) => "running",
            State::Over => "over",
        };
        f.debug_struct("Attempts").field("state", &state).finish_non_exhaustive()
    }
}
