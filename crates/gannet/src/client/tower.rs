//! The client as a service of the tower ecosystem, so that its layers can stand around it. Nothing here decides.

use std::task::{Context, Poll};

use tower_service::Service;

use super::response::Response;
use super::{Chunks, Client, Fetch};
use crate::error::Error;
use crate::request::IntoRequest as _;
use crate::request::body::Body;

/// A request in, a response out as soon as its head has come.
///
/// It is always ready: who has to wait for a place at a host's gate waits within the response's future, so a layer
/// that counts calls (`concurrency_limit`, `load_shed`) counts those that wait too. A response of any status is an
/// `Ok`, as services have it, and is therefore not retried for its status; what fails before there is a response is
/// retried within the client's limits. Everything else (redirects, hedges, budget, deadlines, the client's scope)
/// holds as for [`Client::send`].
///
/// A body of another library goes in by [`Body::wrap`].
///
/// # Cancel safety
/// The response's future is a [`Fetch`]: dropping it stops everything beneath it.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use tower::{ServiceBuilder, ServiceExt as _};
///
/// let second = std::time::Duration::from_secs(1);
/// let service = ServiceBuilder::new().timeout(second).service(gannet::Client::new());
/// let request = http::Request::get("http://localhost/").body("")?;
/// let response = service.oneshot(request).await?;
/// # Ok(()) }
/// ```
impl<B: Into<Body>> Service<http::Request<B>> for Client {
    type Response = http::Response<Chunks>;
    type Error = Error;
    type Future = Fetch<http::Response<Chunks>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Service::<http::Request<B>>::poll_ready(&mut &*self, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        (&*self).call(request)
    }
}

impl<B: Into<Body>> Service<http::Request<B>> for &Client {
    type Response = http::Response<Chunks>;
    type Error = Error;
    type Future = Fetch<http::Response<Chunks>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let fetch = Fetch::new(self, request.into_request()).any_status();
        fetch.finished_by(|settled, aftermath| Response::of(settled, aftermath).map(Response::into_http))
    }
}
