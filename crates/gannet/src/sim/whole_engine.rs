//! The whole engine over the simulated network: the real driver, gate, pool and codec, in virtual time. The root is
//! dropped, cancelled or drained at a random poll, or runs to its end; either way the books must balance.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::server::body_of;
use super::{Fates, Seen, SimNetwork};
use crate::outcome::WhyStarted;
use crate::{Client, Ending, HedgeAfter, Outcome};

const PER_HOST: u32 = 3;
const IDLE_CAP: usize = 5;

/// One run's setting, drawn from its seed.
struct Case {
    seed: u64,
    urls: Vec<String>,
    concurrency: usize,
    deadline: Duration,
    hedge: Option<HedgeAfter>,
    /// Whether retries have a bound; then those that it refuses wait.
    budget: Option<f64>,
    whim: Whim,
}

/// What the caller does, at a poll of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whim {
    /// Waits for the end.
    Wait,
    Drop(u32),
    Cancel(u32),
    Drain(u32),
}

impl Case {
    fn drawn(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed ^ 0x9e37_79b9);
        let hosts = dice.u32(1..8);
        let count = if dice.u8(0..8) == 0 { dice.usize(100..400) } else { dice.usize(1..60) };
        let urls = (0..count).map(|index| format!("http://h{}/{index}", dice.u32(0..hosts))).collect();
        Self {
            seed,
            urls,
            concurrency: dice.usize(1..40),
            deadline: Duration::from_millis(dice.u64(1..8_000)),
            hedge: match dice.u8(0..4) {
                0 => None,
                1 => Some(Duration::from_millis(dice.u64(1..100)).into()),
                2 => Some(HedgeAfter::Quantile(f64::from(dice.u8(10..100)) / 100.0)),
                _ => Some(HedgeAfter::Auto),
            },
            budget: [None, Some(0.0), Some(0.2), Some(0.2)][dice.usize(0..4)],
            whim: match (dice.u8(0..6), dice.u32(0..120)) {
                (0 | 1, _) => Whim::Wait,
                (2 | 3, at) => Whim::Drop(at),
                (4, at) => Whim::Cancel(at),
                (_, at) => Whim::Drain(at),
            },
        }
    }

    fn client(&self) -> (Client, Arc<Seen>) {
        let network = SimNetwork::new(Fates::drawn(self.seed));
        let seen = network.seen();
        let client = Client::builder()
            .network(Arc::new(network))
            .per_host(PER_HOST)
            .max_idle_connections(IDLE_CAP)
            .read_timeout(Duration::from_secs(1))
            .connect_timeout(Duration::from_secs(1))
            .retry_budget(self.budget)
            .seed(self.seed)
            .build();
        (client.expect("the settings agree"), seen)
    }
}

#[test]
fn the_books_balance_on_every_schedule_and_drop() {
    let number =
        |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (first, count) = (number("GANNET_TEST_SIM_SEED", 1), number("GANNET_TEST_ENGINE_COUNT", 1_000));
    let mut obtained = 0;
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| run(&Case::drawn(seed)));
        match run {
            Ok(got) => obtained += got,
            Err(failure) => {
                eprintln!(
                    "seed {seed}; again: GANNET_TEST_SIM_SEED={seed} GANNET_TEST_ENGINE_COUNT=1 cargo test -p gannet \
                     --lib the_books_balance"
                );
                std::panic::resume_unwind(failure);
            }
        }
    }
    assert!(count < 100 || obtained > 1_000, "the servers were of no use: {obtained} obtained");
}

/// Runs one case and checks it; how many requests were obtained.
fn run(case: &Case) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread can be built");
    runtime.block_on(async {
        let (client, seen) = case.client();
        let began = Instant::now();
        let outcomes = fetch(case, &client, began).await;
        check_left_over(&client, &seen, case).await;
        if !matches!(case.whim, Whim::Drop(_)) {
            check_outcomes(case, &outcomes, &seen);
        }
        assert!(seen.peak_of_a_host() <= PER_HOST as usize, "a host's cap was passed");
        outcomes.iter().filter(|outcome| outcome.is_obtained()).count()
    })
}

/// Runs until the end, or until the caller's whim.
async fn fetch(case: &Case, client: &Client, began: Instant) -> Vec<Outcome> {
    let mut job = client.fetch_each(&case.urls).concurrency(case.concurrency).deadline(began + case.deadline);
    if let Some(after) = case.hedge {
        job = job.hedge(after);
    }
    let mut outcomes = Vec::new();
    let mut polls = 0_u32;
    let most = 400 * case.urls.len() as u32 + 10_000;
    let mut job = Some(job);
    let run = std::future::poll_fn(|cx| {
        loop {
            polls += 1;
            assert!(polls < most, "the job spins: {polls} polls");
            if case.whim == Whim::Drop(polls) {
                job = None;
            }
            let Some(job) = &mut job else { return Poll::Ready(()) };
            match case.whim {
                Whim::Cancel(at) if at == polls => job.cancel(),
                Whim::Drain(at) if at == polls => job.drain(),
                _ => {}
            }
            match job.poll_next_unpin(cx) {
                Poll::Ready(Some(outcome)) => outcomes.push(outcome),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let ended = tokio::time::timeout(Duration::from_secs(3_600), run).await;
    assert!(ended.is_ok(), "the job hangs");
    if !matches!(case.whim, Whim::Drop(_)) {
        let over = began.elapsed().saturating_sub(case.deadline);
        assert!(over <= Duration::from_millis(20), "over the deadline by {over:?}");
    }
    outcomes
}

/// Within 50 ms of the end no permit, no busy connection and no request at a server is left.
async fn check_left_over(client: &Client, seen: &Seen, case: &Case) {
    tokio::time::sleep(Duration::from_millis(50)).await;
    let gauges = client.gauges();
    assert_eq!(gauges.permits, 0, "permits are left");
    assert_eq!(gauges.connections, gauges.idle_connections, "busy connections are left: {gauges:?}");
    assert!(gauges.idle_connections <= IDLE_CAP, "idle connections over their cap: {gauges:?}");
    assert!(gauges.tasks <= gauges.idle_connections + 1, "tasks are left: {gauges:?}");
    assert_eq!(seen.in_flight(), 0, "requests go on at the servers (seed {})", case.seed);
    assert_eq!(seen.connections(), gauges.connections, "the servers see other connections");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let gauges = client.gauges();
    assert_eq!((gauges.connections, gauges.tasks), (0, 0), "idle connections outlive their time");
}

fn check_outcomes(case: &Case, outcomes: &[Outcome], seen: &Seen) {
    let mut seqs: Vec<u64> = outcomes.iter().map(Outcome::seq).collect();
    seqs.sort_unstable();
    assert!(seqs.into_iter().eq(0..case.urls.len() as u64), "each request has exactly one outcome");
    let (mut firsts, mut retries, mut hedges) = (0_u32, 0_u64, 0_u32);
    for outcome in outcomes {
        let path = outcome.url().rsplit('/').next().unwrap_or_default();
        if outcome.ending() == Ending::Ok {
            assert_eq!(
                outcome.body().map(|body| body.to_vec()),
                Some(body_of(&format!("/{path}"))),
                "a wrong body"
            );
            assert!(outcome.winner().is_some());
        }
        let asked = matches!(case.whim, Whim::Cancel(_) | Whim::Drain(_));
        assert!(asked || outcome.ending() != Ending::Cancelled, "nobody asked for that");
        for attempt in outcome.attempts() {
            match attempt.why_started {
                WhyStarted::First => firsts += 1,
                WhyStarted::Retry => retries += 1,
                WhyStarted::Hedge => hedges += 1,
                WhyStarted::Redo => {}
            }
        }
        assert!(outcome.attempts().len() <= 1 + 3 + 2 + 1, "too many attempts");
        assert!(outcome.total() <= case.deadline + Duration::from_millis(20));
    }
    assert!(hedges <= 10.max(firsts / 50), "the hedge budget was passed: {hedges} of {firsts}");
    if let Some(share) = case.budget {
        let paid = (share * f64::from(firsts)) as u64;
        // When the list is done, time pays: at most at the share of what would be all firsts within a second.
        let late = (case.deadline.as_secs() + 1) * paid.max(1);
        assert!(retries <= 10.max(paid) + late, "the retry budget was passed: {retries} of {firsts}");
    }
    assert!(seen.requests() >= outcomes.iter().filter(|outcome| outcome.ending() == Ending::Ok).count());
}

#[test]
fn a_lazy_fetch_opens_nothing_and_a_dropped_one_leaves_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of one thread can be built").block_on(async {
        let network = SimNetwork::new(Fates::kind(1));
        let seen = network.seen();
        let client = Client::builder().network(Arc::new(network)).build().expect("the settings agree");
        let mut fetch = client.get("http://h/x").text();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((seen.connections(), client.gauges().permits), (0, 0));
        std::future::poll_fn(|cx| {
            assert!(Pin::new(&mut fetch).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(client.gauges().permits, 1);
        drop(fetch);
        assert_eq!((client.gauges().permits, client.gauges().connections), (0, 0));
    });
}
