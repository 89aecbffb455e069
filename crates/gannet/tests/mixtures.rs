//! Adversarial.
#![allow(dead_code, unused_imports)]

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
    /// A field of the reply.
    field: Option<(&'static str, &'static str)>,
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
            if answer.status == 1 {
                std::future::pending::<()>().await;
            }
            if answer.status == 2 {
                let body = Drip { left: 100, every: Box::pin(sleep(seconds(20))) };
                return Ok(Reply::streaming(http::Response::builder().status(200).body(body).expect("ok")));
            }
            if answer.status == 0 {
                return Err(Error::transport("the connection was reset"));
            }
            let mut response = http::Response::builder().status(answer.status);
            if let Some(seconds) = answer.retry_after {
                response = response.header("retry-after", seconds);
            }
            if let Some((name, value)) = answer.field {
                response = response.header(name, value);
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
    Answer { after: ms(5), status, retry_after: None, field: None }
}

fn urls(hosts: u64, count: u64) -> Vec<String> {
    (0..count).map(|number| format!("http://h{}/{number}", number % hosts)).collect()
}

fn obtained(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_obtained()).count()
}

struct Drip {
    left: u32,
    every: std::pin::Pin<Box<tokio::time::Sleep>>,
}
impl http_body::Body for Drip {
    type Data = bytes::Bytes;
    type Error = Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Error>>> {
        use std::future::Future;
        if self.left == 0 {
            return std::task::Poll::Ready(None);
        }
        std::task::ready!(self.every.as_mut().poll(cx));
        self.left -= 1;
        self.every = Box::pin(sleep(seconds(20)));
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x")))))
    }
}

const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Copy)]
enum Whim {
    Wait,
    Drop(u64),
    Cancel(u64),
    Drain(u64),
}

fn mix(a: u64, b: u64) -> u64 {
    fastrand::Rng::with_seed(a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b).u64(..)
}

#[test]
fn random_mixtures_balance() {
    let from: u64 = std::env::var("REV_SEED").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::var("REV_COUNT").ok().and_then(|t| t.parse().ok()).unwrap_or(400);
    let mut bad = Vec::new();
    for seed in from..from + count {
        let run = std::panic::catch_unwind(|| mixture(seed));
        if let Err(e) = run {
            let text = e
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()))
                .unwrap_or_default();
            bad.push((seed, text));
        }
    }
    for (seed, text) in &bad {
        eprintln!("MIX seed {seed}: {text}");
    }
    assert!(bad.is_empty(), "{} of {count} seeds are bad", bad.len());
}

fn mixture(seed: u64) {
    let rt =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("rt");
    rt.block_on(async {
        let mut dice = fastrand::Rng::with_seed(seed);
        let hosts = [1, 3, 20, 300][dice.usize(0..4)];
        let n = [30, 200, 1_000][dice.usize(0..3)];
        // how each host behaves
        let share_bad = dice.u64(0..60);
        let rule = move |seen: &Seen<'_>| {
            let h = seen.host.bytes().fold(seed, |a, b| mix(a, u64::from(b)));
            let kind = h % 12;
            let d = mix(seed ^ h, seen.number) % 100;
            let after = ms(if d == 99 { 2_000 } else { 1 + mix(h, seen.number) % 20 });
            let st = |s| Answer { after, status: s, retry_after: None, field: None };
            match kind {
                0 => st(0),
                1 => Answer { after: FOR_EVER, ..st(200) },
                2 if d < share_bad => Answer { retry_after: Some(1 + d % 7), ..st(503) },
                3 if d < share_bad => st(429),
                4 if d < share_bad => st(500),
                5 if seen.in_flight > 3 => st(429),
                6 if d < share_bad => st(0),
                7 if d < 5 => Answer { field: Some(("ratelimit", "\"d\";r=0;t=2")), ..st(200) },
                8 if d < share_bad => st(404),
                9 if d < 3 => Answer { retry_after: Some(3_600), ..st(503) },
                10 if (seen.at.as_secs() / 7).is_multiple_of(2) => st(0),
                _ => st(200),
            }
        };
        let servers = Servers::new(rule);
        let mut b = servers.client().seed(seed);
        if dice.bool() { b = b.rate(f64::from(dice.u32(20..2_000))); }
        if dice.bool() { b = b.host_rate(f64::from(dice.u32(5..500))); }
        if dice.bool() { b = b.per_host(dice.u32(1..30)); }
        b = b.host_give_up(seconds(dice.u64(5..120)));
        let budget = [Some(0.0), Some(0.2), Some(0.2), None][dice.usize(0..4)];
        b = b.retry_budget(budget);
        let client = b.build().expect("agree");
        let deadline = match dice.u8(0..4) { 0 => None, 1 => Some(ms(dice.u64(1..300))), _ => Some(ms(dice.u64(300..60_000))) };
        let requests: Vec<gannet::Request> = (0..n).map(|i: u64| {
            let mut r = gannet::Request::new(&format!("http://h{}/{i}", dice.u64(0..hosts))).expect("url");
            for m in 0..dice.u64(0..3) { r = r.mirror(&format!("http://h{}/{i}m{m}", dice.u64(0..hosts))).expect("url"); }
            if dice.u8(0..5) == 0 { r = r.raced(); }
            r
        }).collect();
        let whim = match dice.u8(0..6) { 0 => Whim::Drop(dice.u64(1..20_000)), 1 => Whim::Cancel(dice.u64(1..20_000)), 2 => Whim::Drain(dice.u64(1..20_000)), _ => Whim::Wait };
        let conc = dice.usize(1..100);
        let began = Instant::now();
        let mut job = client.fetch_each(requests).concurrency(conc).hedge(gannet::HedgeAfter::Auto);
        if dice.bool() { job = job.hedge(ms(dice.u64(1..30))); }
        if let Some(d) = deadline { job = job.deadline(began + d); }
        let each = (dice.u8(0..3) == 0).then(|| ms(dice.u64(5..5_000)));
        if let Some(e) = each { job = job.timeout_each(e); }
        let mut outcomes = Vec::new();
        let (mut firsts, mut retries, mut hedges) = (0_u64, 0_u64, 0_u64);
        let mut polls = 0_u64;
        let what = format!("hosts {hosts} n {n} conc {conc} deadline {deadline:?} each {each:?} whim {whim:?} budget {budget:?}");
        {
            let whim_at = match whim { Whim::Drop(a) | Whim::Cancel(a) | Whim::Drain(a) => Some(began + ms(a)), Whim::Wait => None };
            let mut fired = false;
            let mut sleeper = Box::pin(tokio::time::sleep_until(whim_at.unwrap_or(began + FOR_EVER * 10)));
            let mut job = Some(job);
            let run = std::future::poll_fn(|cx| {
                use std::future::Future; use futures::Stream;
                polls += 1;
                assert!(polls < 3_000 * n + 300_000, "spins: {what}");
                loop {
                    if !fired && sleeper.as_mut().poll(cx).is_ready() {
                        fired = true;
                        match whim { Whim::Drop(_) => job = None, Whim::Cancel(_) => job.as_ref().expect("j").cancel(), Whim::Drain(_) => job.as_ref().expect("j").drain(), Whim::Wait => {} }
                    }
                    let Some(j) = &mut job else { return std::task::Poll::Ready(()) };
                    match std::pin::Pin::new(j).poll_next(cx) {
                        std::task::Poll::Ready(Some(o)) => outcomes.push(o),
                        std::task::Poll::Ready(None) => return std::task::Poll::Ready(()),
                        std::task::Poll::Pending => return std::task::Poll::Pending,
                    }
                }
            });
            assert!(timeout(FOR_EVER / 2, run).await.is_ok(), "hangs: {what}");
        }
        let took = began.elapsed();
        if let (Some(d), false) = (deadline, matches!(whim, Whim::Drop(_))) {
            assert!(took <= d + ms(250), "over the deadline {took:?}: {what}");
        }
        if let Whim::Cancel(a) = whim { assert!(took <= ms(a) + ms(250), "cancel took {took:?}: {what}"); }
        if !matches!(whim, Whim::Drop(_)) {
            let mut seqs: Vec<_> = outcomes.iter().map(Outcome::seq).collect(); seqs.sort_unstable();
            assert!(seqs.into_iter().eq(0..n), "outcomes {} of {n}: {what}", outcomes.len());
        }
        sleep(ms(100)).await;
        let g = client.gauges();
        assert_eq!((g.permits, g.tasks, g.connections), (0, 0, 0), "books: {what}");
        assert!(servers.state.lock().expect("ok").in_flight.values().all(|v| *v == 0), "in flight at servers: {what}");
        for o in &outcomes { for a in o.attempts() { match a.why_started {
            gannet::WhyStarted::First => firsts += 1, gannet::WhyStarted::Retry => retries += 1, gannet::WhyStarted::Hedge => hedges += 1, _ => {} } }
            if let Some(e) = each { assert!(o.total() <= e + ms(250), "item over {:?} of {e:?}: {what}", o.total()); }
        }
        if !matches!(whim, Whim::Drop(_)) {
            assert!(hedges <= 10.max(firsts / 50), "hedges {hedges} of {firsts}: {what}");
            if let Some(s) = budget {
                let paid = (s * firsts as f64) as u64;
                let late = (took.as_secs() + 1) * paid.max(1);
                assert!(retries <= 10.max(paid) + late, "retries {retries} of {firsts}: {what}");
            }
        }
        // the client lives on
        // One in a hundred answers takes 2 s.
        let real = timeout(seconds(3), client.get("http://fresh0/").text()).await;
        let fresh_ok = "fresh0".bytes().fold(seed, |a, b| mix(a, u64::from(b))) % 12 == 11;
        if fresh_ok && real.is_err() { panic!("a fresh host is not served within 3 s: {what}"); }
    });
}
