//! The gates of hosts under whole jobs, over a transport that counts, in virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gannet::{
    BoxFuture, Client, ClientBuilder, Ending, Error, ErrorKind, Outcome, Reply, Transport, WireRequest,
};
use tokio::time::{Instant, sleep, timeout};

/// What a request is answered with.
#[derive(Clone, Copy)]
struct Answer {
    after: Duration,
    status: u16,
    retry_after: Option<u64>,
}

/// A request as the servers see it.
struct Seen<'a> {
    host: &'a str,
    /// How many requests came before it, of all hosts.
    number: u64,
    /// How often this URL was asked before.
    before: u32,
    /// Requests in flight at its host, with it.
    in_flight: u32,
    at: Duration,
}

type Rule = dyn Fn(&Seen<'_>) -> Answer + Send + Sync;

/// Hosts that answer by a rule.
#[derive(Clone)]
struct Servers {
    rule: Arc<Rule>,
    state: Arc<Mutex<State>>,
    began: Instant,
}

#[derive(Default)]
struct State {
    asked: HashMap<String, u32>,
    in_flight: HashMap<String, u32>,
    /// Host, moment and status of each request.
    log: Vec<(String, Duration, u16)>,
}

impl Servers {
    fn new(rule: impl Fn(&Seen<'_>) -> Answer + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), state: Arc::default(), began: Instant::now() }
    }

    fn client(&self) -> ClientBuilder {
        Client::builder().transport(self.clone()).seed(7)
    }

    fn log(&self) -> Vec<(String, Duration, u16)> {
        self.state.lock().expect("nobody panics here").log.clone()
    }
}

impl Transport for Servers {
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = {
            let mut state = self.state.lock().expect("nobody panics here");
            let number = state.log.len() as u64;
            let asked = state.asked.entry(request.uri().to_string()).or_default();
            let before = *asked;
            *asked += 1;
            let flying = state.in_flight.entry(host.clone()).or_default();
            *flying += 1;
            let at = self.began.elapsed();
            let answer = (self.rule)(&Seen { host: &host, number, before, in_flight: *flying, at });
            state.log.push((host.clone(), at, answer.status));
            answer
        };
        let flight = Flight { host, state: Arc::clone(&self.state) };
        Box::pin(async move {
            let _flight = flight;
            sleep(answer.after).await;
            if answer.status == 0 {
                return Err(Error::transport("the connection was reset"));
            }
            let mut response = http::Response::builder().status(answer.status);
            if let Some(seconds) = answer.retry_after {
                response = response.header("retry-after", seconds);
            }
            Ok(Reply::new(response.body("body").expect("a status of ours")))
        })
    }
}

/// Counts one request as long as it lives.
struct Flight {
    host: String,
    state: Arc<Mutex<State>>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.state.lock().expect("nobody panics here");
        *state.in_flight.get_mut(&self.host).expect("it was counted") -= 1;
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ok() -> Answer {
    status(200)
}

fn status(status: u16) -> Answer {
    Answer { after: ms(5), status, retry_after: None }
}

fn urls(hosts: u64, count: u64) -> Vec<String> {
    (0..count).map(|number| format!("http://h{}/{number}", number % hosts)).collect()
}

fn obtained(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_obtained()).count()
}

/// Longer than everything that a job may wait for.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(start_paused = true)]
async fn a_job_ends_whatever_share_of_a_host_fails_in_whatever_way() {
    for seed in 0..60_u64 {
        let share = [0, 10, 30, 50, 60, 90, 100][seed as usize % 7];
        let way = [503, 500, 429, 0][seed as usize % 4];
        let rule = move |seen: &Seen<'_>| {
            let dice = fastrand::Rng::with_seed(seed * 1_000_003 + seen.number).u64(0..100);
            if dice < share { status(way) } else { ok() }
        };
        let servers = Servers::new(rule);
        let client = servers.client().seed(seed).build().expect("they agree");
        let job = client.fetch_all(urls(1 + seed % 3, 200)).concurrency(1 + seed as usize % 64);
        let outcomes = timeout(FOR_EVER, job).await;
        let outcomes = outcomes.unwrap_or_else(|_| panic!("seed {seed}: {share} % of {way} never ended"));
        assert_eq!(outcomes.len(), 200);
        assert_eq!(client.gauges().permits, 0, "seed {seed}");
        if share == 0 {
            assert_eq!(obtained(&outcomes), 200);
        }
    }
}
