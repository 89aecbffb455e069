//! The face of the library: clients, and the lazy builders that become fetches and jobs when awaited. Nothing here
//! decides or does I/O; it resolves wishes into plans for the engine.

mod all;
mod asked;
mod attempts;
mod builder;
mod each;
mod fetch;
mod first;
mod handle;
mod response;
#[cfg(feature = "tower")]
mod tower;

use std::sync::{Arc, LazyLock};

use http::Method;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use all::{Bodies, Collect, FailFast, FetchAll, JobError, Outcomes, Saved};
pub use attempts::{Attempts, AttemptsError, Calls, WhyGaveUp, attempts};
pub use builder::ClientBuilder;
pub use each::FetchEach;
pub use fetch::Fetch;
pub use first::{AllFailed, FetchFirst, First};
pub use handle::JobHandle;
pub use response::{Chunks, Response};

use crate::engine::core::Core;
use crate::report::Budget;
use crate::request::IntoRequest;
use crate::source::IntoSource;

/// Fetches URLs. Cheap to clone; clones share connections, gates, budget and settings.
///
/// It may be built outside of a runtime and used from several in turn: connections belong to the runtime in which
/// they were made, and those of a runtime that has ended are dropped.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
    scope: Option<Arc<Scope>>,
}

/// What fetches of a scope inherit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    deadline: Option<Instant>,
    tokens: Vec<CancellationToken>,
}

/// What a client has in hand at one moment; for tests and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Places at hosts' gates that are taken.
    pub permits: usize,
    /// Connections that are open or being opened.
    pub connections: usize,
    /// Of these, the idle ones.
    pub idle_connections: usize,
    /// Extra attempts that the budget refused so far.
    pub budget_refused: u64,
    /// Shared tasks that live: drivers of connections, drains of at most 64 KiB and 50 ms, the reaper of idle
    /// connections.
    pub tasks: usize,
}

impl Client {
    /// A client with the default settings.
    pub fn new() -> Self {
        Self::builder().build().expect("the default settings do not contradict one another")
    }

    /// Settings for a new client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A GET.
    pub fn get(&self, url: impl IntoRequest) -> Fetch {
        Fetch::new(self, url.into_request())
    }

    /// A HEAD.
    pub fn head(&self, url: impl IntoRequest) -> Fetch {
        self.request(Method::HEAD, url)
    }

    /// A POST.
    pub fn post(&self, url: impl IntoRequest) -> Fetch {
        self.request(Method::POST, url)
    }

    /// A PUT.
    pub fn put(&self, url: impl IntoRequest) -> Fetch {
        self.request(Method::PUT, url)
    }

    /// A PATCH.
    pub fn patch(&self, url: impl IntoRequest) -> Fetch {
        self.request(Method::PATCH, url)
    }

    /// A DELETE.
    pub fn delete(&self, url: impl IntoRequest) -> Fetch {
        self.request(Method::DELETE, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl IntoRequest) -> Fetch {
        Fetch::new(self, url.into_request().map(|request| request.method(method)))
    }

    /// A request as it is, with its own method.
    pub fn send(&self, request: impl IntoRequest) -> Fetch {
        Fetch::new(self, request.into_request())
    }

    /// All of them: C#'s `Task.WhenAll`. Outcomes come in input order, and none is ever lost.
    pub fn fetch_all<I: IntoSource>(&self, requests: I) -> FetchAll<I::Source> {
        FetchAll::new(self, requests.into_source())
    }

    /// All of them as they settle: C#'s `Task.WhenEach` and `Parallel.ForEachAsync`. The input is read lazily and
    /// may be endless.
    pub fn fetch_each<I: IntoSource>(&self, requests: I) -> FetchEach<I::Source> {
        FetchEach::new(self, requests.into_source())
    }

    /// The first that succeeds: C#'s `Task.WhenAny`, except that a failure never wins while another may succeed.
    pub fn fetch_first<I>(&self, requests: I) -> FetchFirst
    where
        I: IntoIterator<Item: IntoRequest>,
    {
        FetchFirst::new(self, requests.into_iter().map(IntoRequest::into_request).collect())
    }

    /// A clone whose fetches inherit a deadline and tokens: set them with [`deadline`](Self::deadline) and
    /// [`cancel_on`](Self::cancel_on).
    pub fn scope(&self) -> Self {
        self.clone()
    }

    /// The fetches of this clone must be over by `at`; of several deadlines the nearest rules.
    #[must_use]
    pub fn deadline(self, at: Instant) -> Self {
        self.in_scope(|scope| scope.deadline = Some(scope.deadline.map_or(at, |other| other.min(at))))
    }

    /// The fetches of this clone stop when `token` is cancelled.
    #[must_use]
    pub fn cancel_on(self, token: &CancellationToken) -> Self {
        self.in_scope(|scope| scope.tokens.push(token.clone()))
    }

    /// What the client has in hand now.
    pub fn gauges(&self) -> Gauges {
        let lanes = self.core.lanes.all();
        Gauges {
            permits: self.core.hosts.permits(),
            budget_refused: self.core.purse.refused(),
            connections: self.core.lanes.connections(self.core.connections),
            idle_connections: lanes.iter().map(|lane| lane.pool.idle()).sum(),
            tasks: lanes.iter().map(|lane| lane.tasks()).sum(),
        }
    }

    /// What is left of the budget for retries and hedges, and how often it had nothing.
    pub fn budget(&self) -> Budget {
        self.core.purse.told()
    }

    /// Closes idle connections, then waits until all that is shared has ended or `deadline` has come. Fetches that
    /// are under way go on. `true` if all has ended.
    ///
    /// # Cancel safety
    /// Dropping it stops the waiting, not the closing.
    pub async fn close(&self, deadline: Instant) -> bool {
        let lanes = self.core.lanes.all();
        self.core.lanes.close();
        let ended = async {
            for lane in lanes {
                lane.ended().await;
            }
        };
        tokio::time::timeout_at(deadline, ended).await.is_ok()
    }

    fn in_scope(mut self, change: impl FnOnce(&mut Scope)) -> Self {
        let mut scope = self.scope.take().map_or_else(Scope::default, Arc::unwrap_or_clone);
        change(&mut scope);
        self.scope = Some(Arc::new(scope));
        self
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("gauges", &self.gauges()).finish_non_exhaustive()
    }
}

/// A GET with a client of the default settings, shared by the whole process: C#'s
/// `HttpClient.GetStringAsync(url)` is `gannet::get(url).text().await?`.
pub fn get(url: impl IntoRequest) -> Fetch {
    static SHARED: LazyLock<Client> = LazyLock::new(Client::new);
    SHARED.get(url)
}
