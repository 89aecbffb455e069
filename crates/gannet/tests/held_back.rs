//! What holds a job back is said by its cause, with limit and host, and summed up over its time. Over real sockets,
//! against the built-in origin.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use gannet::sink::{Discard, Ordered};
use gannet::source::{Input, Source};
use gannet::{Client, FetchEach, HeldBack, HeldBackBy, Phase, Request, RetryErrors};
use gannet_origin::{Counts, Origin};

const LONG: Duration = Duration::from_secs(5);

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

fn host_of(origin: &Origin) -> Box<str> {
    origin.url("/").trim_end_matches('/').into()
}

/// Runs a job that gives no outcome until the origin has seen what is wished for.
async fn run_until<S: Source + Unpin>(
    job: &mut FetchEach<S>,
    origin: &Origin,
    seen: impl Fn(&Counts) -> bool,
) {
    tokio::select! {
        outcome = job.next() => panic!("nothing settles: {outcome:?}"),
        came = origin.wait_until(|counts| seen(counts), LONG) => assert!(came, "{:?}", origin.counts()),
    }
    assert!(job.next().now_or_never().is_none(), "nothing settles");
}

/// Runs a job on, since what was sent may not have been read yet.
async fn wait_while<S: Source + Unpin>(job: &mut FetchEach<S>, holds: impl Fn(&HeldBack) -> bool) {
    let waiting = async {
        while holds(&job.held_back()) {
            let _ = job.next().now_or_never();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("it comes soon");
}

#[tokio::test]
async fn concurrency_and_full_hosts_are_told_apart_with_their_limits() {
    let origin = origin().await;
    let urls: Vec<String> = (0..4).map(|index| origin.url(&format!("/{index}?never"))).collect();
    let client = Client::builder().per_host(2).build().expect("settings agree");
    let mut job = client.fetch_each(&urls).concurrency(1);
    assert_eq!((job.held_back(), job.slowest()), (HeldBack::Nothing, vec![]));
    run_until(&mut job, &origin, |counts| counts.in_flight == 1).await;
    assert_eq!(job.held_back(), HeldBack::Concurrency { limit: 1 });
    drop(job);
    let mut job = client.fetch_each(&urls).concurrency(10);
    run_until(&mut job, &origin, |counts| counts.requests == 3).await;
    assert_eq!(job.held_back(), HeldBack::PerHost { limit: 2, host: host_of(&origin) });
    let slowest = job.slowest();
    assert_eq!(slowest.iter().map(|slow| slow.seq).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((&*slowest[0].url, slowest[0].attempts, slowest[0].bytes), (urls[0].as_str(), 1, 0));
    assert_eq!(slowest[0].phase, Phase::Wait);
    let mut all = client.fetch_each(&urls[..2]);
    run_until(&mut all, &origin, |counts| counts.requests == 3).await;
}

#[tokio::test]
async fn a_backoff_is_named_with_host_status_and_the_time_left() {
    let origin = origin().await;
    let client =
        Client::builder().retry_delay(Duration::from_secs(60)).retry_errors(RetryErrors::All).build();
    let mut job = client.expect("settings agree").fetch_each([origin.url("/?status=404")]);
    run_until(&mut job, &origin, |counts| counts.replies_complete == 1).await;
    wait_while(&mut job, |held| *held == HeldBack::Nothing).await;
    let HeldBack::Waiting { host, status, left } = job.held_back() else { panic!("{:?}", job.held_back()) };
    assert_eq!((host, status.map(|status| status.as_u16())), (host_of(&origin), Some(404)));
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    assert_eq!((job.slowest()[0].phase, job.slowest()[0].attempts), (Phase::Queue, 1));
}

/// Gives one request, then nothing more, without an end.
struct Slow(Option<Request>);

impl Source for Slow {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Input>> {
        match self.0.take() {
            Some(request) => Poll::Ready(Some(Input { line: None, request: Ok(request) })),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn a_slow_input_and_an_output_without_room_are_named() {
    let origin = origin().await;
    let slow = Slow(Some(Request::new(&origin.url("/?never")).expect("a URL")));
    let source: Box<dyn Source + Send> = Box::new(slow);
    let mut job = Client::new().fetch_each(source);
    run_until(&mut job, &origin, |counts| counts.in_flight == 1).await;
    assert_eq!(job.held_back(), HeldBack::Input);
    drop(job);
    let sink = Arc::new(Ordered::to(std::io::sink()).hold(1000).spill(0));
    let urls = [origin.url("/?never"), origin.url("/?size=4000"), origin.url("/3?text=x")];
    let mut job = Client::new().fetch_each(&urls).concurrency(2).save_with(sink);
    wait_while(&mut job, |held| *held != HeldBack::Output).await;
    assert_eq!(origin.counts().requests, 3, "the third was not sent");
}

#[tokio::test]
async fn a_limit_on_connections_is_named() {
    let (one, two) = (origin().await, origin().await);
    let client = Client::builder().max_connections(1).build().expect("settings agree");
    let mut job = client.fetch_each([one.url("/?never"), two.url("/?never")]);
    run_until(&mut job, &one, |counts| counts.in_flight == 1).await;
    assert_eq!(job.held_back(), HeldBack::Connections { limit: 1 });
}

#[tokio::test]
async fn the_cause_that_held_a_job_back_for_the_longest_is_in_its_report() {
    let origin = origin().await;
    let urls: Vec<String> = (0..4).map(|index| origin.url(&format!("/{index}?text=x&delay=20ms"))).collect();
    let report = Client::new().fetch_all(&urls).concurrency(1).save_with(Arc::new(Discard)).await;
    let report = report.expect("the output is there");
    assert_eq!(report.held_back_by(), Some(HeldBackBy::Concurrency));
    assert!(report.held_back().by(HeldBackBy::Concurrency) >= Duration::from_millis(50));
    let free = Client::new().fetch_all(&urls).concurrency(9).save_with(Arc::new(Discard)).await;
    assert_eq!(free.expect("the output is there").held_back_by(), None);
}
