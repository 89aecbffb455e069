//! The gates of hosts under whole jobs, over a transport that counts, in virtual time.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt as _;
use gannet::{
    BoxFuture, Client, ClientBuilder, Ending, Error, ErrorKind, Outcome, Reply, Transport, WireRequest,
};
use tokio::time::{Instant, Sleep, sleep, timeout};

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
    /// When each URL was asked first, in this order.
    firsts: Vec<Duration>,
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

    /// When the last of so many URLs was asked first.
    fn all_were_asked(&self, count: usize) -> Duration {
        self.state.lock().expect("nobody panics here").firsts[count - 1]
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
            if before == 0 {
                state.firsts.push(self.began.elapsed());
            }
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
            if answer.status == DRIP {
                let body = Drip { left: 100, next: Box::pin(sleep(seconds(20))) };
                return Ok(Reply::streaming(http::Response::new(body)));
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

/// In the place of a status: a body of a hundred bytes, one in 20 s.
const DRIP: u16 = 1;

struct Drip {
    left: u32,
    next: Pin<Box<Sleep>>,
}

impl http_body::Body for Drip {
    type Data = bytes::Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.next.as_mut().poll(cx));
        self.left -= 1;
        self.next = Box::pin(sleep(seconds(20)));
        Poll::Ready(Some(Ok(http_body::Frame::data(bytes::Bytes::from_static(b"x")))))
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

#[tokio::test(start_paused = true)]
async fn retry_after_holds_its_host_and_nobody_else() {
    let rule = |seen: &Seen<'_>| match (seen.host, seen.before) {
        ("h7", 0) => Answer { retry_after: Some(60), ..status(503) },
        _ => ok(),
    };
    let servers = Servers::new(rule);
    let client = servers.client().build().expect("they agree");
    let outcomes = client.fetch_all(urls(100, 1_000)).await;
    assert_eq!(obtained(&outcomes), 1_000);
    let log = servers.log();
    let first_refusal = log.iter().find(|(host, ..)| host == "h7").expect("it was asked").1 + ms(5);
    let early = |at: Duration| at > first_refusal && at < first_refusal + seconds(60);
    let came_early = log.iter().filter(|(host, at, _)| host == "h7" && early(*at)).count();
    assert_eq!(came_early, 0, "never earlier than asked");
    let last = log.iter().filter(|(host, ..)| host != "h7").map(|(_, at, _)| *at).max();
    assert!(last < Some(ms(500)), "the others ran at full speed: {last:?}");
    let back = log.iter().find(|(host, at, _)| host == "h7" && *at > first_refusal).expect("it came back").1;
    assert!(back <= first_refusal + seconds(61), "{back:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_left_alone_for_one_refusal_is_not_slow_for_it() {
    for wait in [1, 2, 3, 6, 30] {
        let servers = Servers::new(move |seen| match seen.number {
            3 => Answer { retry_after: Some(wait), ..status(429) },
            _ => ok(),
        });
        let client = servers.client().build().expect("they agree");
        let began = Instant::now();
        let outcomes = client.fetch_all(urls(1, 300)).await;
        let took = began.elapsed();
        assert_eq!(obtained(&outcomes), 300);
        assert!(took < seconds(wait + 3), "{took:?} after a Retry-After of {wait} s");
    }
}

/// Hosts take turns while all slots are taken; what is turned away must leave nothing behind in that turn.
#[tokio::test(start_paused = true)]
async fn what_waits_for_an_absent_host_fails_while_others_wait_for_a_slot() {
    let servers = Servers::new(|seen| match seen.host {
        "h0" => Answer { retry_after: Some(3_600), ..status(503) },
        _ => ok(),
    });
    let client = servers.client().build().expect("they agree");
    let job = client.fetch_each(urls(5, 500)).concurrency(3);
    let mut job = std::pin::pin!(job);
    let mut ends = HashMap::new();
    while let Some(outcome) = job.next().await {
        *ends.entry(outcome.ending() == Ending::Ok).or_insert(0) += 1;
    }
    assert_eq!((ends.get(&true), ends.get(&false)), (Some(&400), Some(&100)));
}

#[tokio::test(start_paused = true)]
async fn dead_links_open_no_breaker() {
    let servers = Servers::new(|seen| if seen.number % 5 < 3 { status(404) } else { ok() });
    let client = servers.client().build().expect("they agree");
    let began = Instant::now();
    let outcomes = client.fetch_all(urls(1, 1_000)).await;
    assert_eq!(obtained(&outcomes), 400);
    let (fastest, took) = (ms(5) * 1_000 / 6, began.elapsed());
    assert!(took < fastest * 11 / 10, "{took:?} beside {fastest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_at_a_dead_host_ends_after_host_give_up() {
    let servers = Servers::new(|_| status(0));
    let client = servers.client().build().expect("they agree");
    let began = Instant::now();
    let outcomes = client.fetch_all(urls(1, 1_000)).await;
    let took = began.elapsed();
    assert!(took >= seconds(120) && took <= seconds(130), "{took:?}");
    let given_up = outcomes.iter().filter_map(|outcome| outcome.error());
    let given_up = given_up.filter(|error| error.kind() == ErrorKind::HostUnavailable).count();
    assert!(
        given_up > 900 && outcomes.iter().all(|outcome| outcome.ending() == Ending::Failed),
        "{given_up}"
    );
    let asked = servers.log().len();
    assert!(asked <= 60, "{asked} requests to a dead host");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_is_asked_again_within_the_probes_time() {
    for dead_for in [7, 23, 61, 110] {
        let servers = Servers::new(move |seen| if seen.at < seconds(dead_for) { status(0) } else { ok() });
        let client = servers.client().build().expect("they agree");
        let began = Instant::now();
        let outcomes = client.fetch_all(urls(1, 500)).await;
        let first = servers.log().into_iter().find(|(_, _, status)| *status == 200).expect("it came back").1;
        assert!(first <= seconds(dead_for + 5) + ms(100), "{first:?} after {dead_for} s");
        assert!(obtained(&outcomes) >= 480, "{} of 500 in {:?}", obtained(&outcomes), began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_an_absence_that_is_too_long_fails_at_once_and_is_told_until_when() {
    let servers = Servers::new(|_| Answer { retry_after: Some(3_600), ..status(503) });
    let client = servers.client().per_host(1).build().expect("they agree");
    let began = Instant::now();
    let outcomes = client.fetch_all(urls(1, 50)).await;
    assert!(began.elapsed() < seconds(1) && servers.log().len() == 1);
    for outcome in &outcomes[1..] {
        let error = outcome.error().expect("nothing was had");
        assert_eq!((outcome.ending(), error.kind()), (Ending::Failed, ErrorKind::HostAway));
        assert!(error.retry_after().is_some_and(|wait| wait > seconds(3_590)), "{error}");
        assert!(outcome.attempts().is_empty(), "nothing was sent for it");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_host_that_is_away_are_turned_away_beside_other_hosts() {
    for mirrored in [false, true] {
        let servers = Servers::new(|seen| match seen.host {
            "h0" => Answer { retry_after: Some(3_600), ..status(503) },
            _ => ok(),
        });
        let client = servers.client().per_host(1).build().expect("they agree");
        let request = |url: String| {
            let request = gannet::Request::new(&url).expect("a URL");
            if mirrored { request.mirror("http://m/").expect("a URL") } else { request }
        };
        let outcomes = client.fetch_all(urls(3, 60).into_iter().map(request)).concurrency(8).await;
        assert_eq!(obtained(&outcomes), if mirrored { 60 } else { 40 });
        assert_eq!(servers.log().iter().filter(|(host, ..)| host == "h0").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_under_the_rate_goes_to_the_next_when_who_waited_for_it_has_gone() {
    let servers = Servers::new(|_| ok());
    let client = servers.client().rate(1.0).build().expect("they agree");
    let gone = (0..500).map(|n| client.get(format!("http://h{n}/")).timeout(seconds(2)).text());
    futures::future::join_all(gone).await;
    let began = Instant::now();
    client.get("http://z/").text().await.expect("it is served");
    assert!(began.elapsed() <= seconds(2), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_rate_does_not_go_to_a_host_that_wants_to_be_left_alone() {
    let servers = Servers::new(|seen| match seen.number {
        0 => Answer { retry_after: Some(60), ..status(503) },
        _ => ok(),
    });
    let client = servers.client().rate(1.0).build().expect("they agree");
    assert_eq!(obtained(&client.fetch_all(urls(1, 10)).await), 10);
    let log = servers.log();
    assert!(log[1..].iter().all(|(_, at, _)| *at >= seconds(60)), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_begun_before_the_deadline_is_unfinished_at_once() {
    let servers = Servers::new(|_| Answer { retry_after: Some(60), ..status(503) });
    let client = servers.client().per_host(1).build().expect("they agree");
    let began = Instant::now();
    let outcomes = client.fetch_all(urls(1, 50)).timeout(seconds(20)).await;
    assert!(began.elapsed() < seconds(1), "nothing is slept for in vain");
    assert_eq!(outcomes[0].ending(), Ending::Failed, "it was told itself");
    assert!(outcomes[1..].iter().all(|outcome| outcome.ending() == Ending::Unfinished));
}

#[tokio::test(start_paused = true)]
async fn rates_hold_for_each_host_and_for_all_together() {
    for (rate, host_rate, least) in
        [(Some(50.0), None, 3.9), (None, Some(10.0), 4.9), (Some(50.0), Some(10.0), 4.9)]
    {
        let servers = Servers::new(|_| ok());
        let mut builder = servers.client();
        if let Some(rate) = rate {
            builder = builder.rate(rate);
        }
        if let Some(rate) = host_rate {
            builder = builder.host_rate(rate);
        }
        let began = Instant::now();
        let outcomes = builder.build().expect("they agree").fetch_all(urls(4, 200)).await;
        let took = began.elapsed().as_secs_f64();
        assert_eq!(obtained(&outcomes), 200);
        assert!((least..least * 1.1).contains(&took), "{took} s at {rate:?} and {host_rate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_with_so_many_places_is_kept_busy_and_hardly_refuses() {
    let servers =
        Servers::new(|seen| Answer { after: ms(50), ..status(if seen.in_flight > 10 { 429 } else { 200 }) });
    let client = servers.client().per_host(100).retries(None).retry_budget(None).build().expect("they agree");
    let outcomes = client.fetch_all(urls(1, 20_000)).concurrency(200).await;
    assert_eq!(obtained(&outcomes), 20_000);
    let log = servers.log();
    let settled = |entry: &&(String, Duration, u16)| entry.1 > seconds(10) && entry.1 < seconds(90);
    let asked = log.iter().filter(settled).count();
    let refused = log.iter().filter(settled).filter(|(_, _, status)| *status == 429).count();
    let had = (asked - refused) as f64 / 80.0;
    assert!(had >= 0.9 * 200.0, "{had} a second of 200 that are allowed");
    assert!((refused as f64) < 0.02 * asked as f64, "{refused} of {asked} refused");
}

#[tokio::test(start_paused = true)]
async fn fields_that_say_nothing_is_left_hold_the_gate() {
    let told = [("ratelimit", "\"default\";r=0;t=30"), ("x-ratelimit-reset", "30")];
    let servers = Servers::new(move |seen| Answer { field: (seen.number == 0).then_some(told[0]), ..ok() });
    let client = servers.client().per_host(1).build().expect("they agree");
    assert_eq!(obtained(&client.fetch_all(urls(1, 10)).await), 10);
    let log = servers.log();
    assert!(log[1..].iter().all(|(_, at, _)| *at >= seconds(30) && *at < seconds(32)), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_followed_when_it_asks_to_be() {
    let rule = |seen: &Seen<'_>| match seen.number {
        0 => Answer { retry_after: Some(20), field: Some(("location", "http://b/")), ..status(302) },
        _ => ok(),
    };
    let servers = Servers::new(rule);
    let client = servers.client().build().expect("they agree");
    client.get("http://a/").text().await.expect("it is there in 20 s");
    let log = servers.log();
    assert!(log[1].0 == "b" && log[1].1 >= seconds(20), "{log:?}");
    let servers = Servers::new(rule);
    let client = servers.client().build().expect("they agree");
    let began = Instant::now();
    let error = client.get("http://a/").timeout(seconds(5)).text().await.expect_err("it is too late then");
    assert!(error.kind() == ErrorKind::HostAway && began.elapsed() < seconds(1), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_host_is_away_goes_to_its_mirror() {
    let rule = |seen: &Seen<'_>| match seen.host {
        "a" => Answer { retry_after: Some(3_600), ..status(503) },
        _ => ok(),
    };
    let servers = Servers::new(rule);
    let client = servers.client().per_host(1).build().expect("they agree");
    let request = |number: u32| {
        let request = gannet::Request::new(&format!("http://a/{number}")).expect("a URL");
        request.mirror(&format!("http://b/{number}")).expect("a URL")
    };
    let outcomes = client.fetch_all((0..20).map(request)).await;
    assert_eq!(obtained(&outcomes), 20);
    assert_eq!(servers.log().iter().filter(|(host, ..)| host == "a").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_says_why_a_host_lets_nobody_in() {
    let servers = Servers::new(|_| Answer { retry_after: Some(60), ..status(503) });
    let client = servers.client().per_host(1).build().expect("they agree");
    let mut job = client.fetch_each(urls(1, 3));
    let waited = timeout(seconds(10), job.next()).await;
    assert!(waited.is_err(), "nothing settles");
    let gannet::HeldBack::HostGate { host, why } = job.held_back() else { panic!("{:?}", job.held_back()) };
    assert!(&*host == "http://h0" || host.starts_with("http://h0:"), "{host}");
    assert!(why.starts_with("cool-down for 5") && why.ends_with("after status 503"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_until_the_next_probe_is_told_at_once() {
    let servers = Servers::new(|_| status(0));
    let client = servers.client().retries(0).build().expect("they agree");
    for _ in 0..20 {
        client.get("http://h/").timeout(ms(300)).text().await.expect_err("the host is down");
    }
    let began = Instant::now();
    let error = client.get("http://h/").timeout(ms(300)).text().await.expect_err("the host is down");
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::HostUnavailable, Duration::ZERO));
    let outcomes = client.fetch_all((0..10).map(|n| format!("http://h/{n}"))).timeout(seconds(1)).await;
    assert!(began.elapsed() < ms(10) && outcomes.iter().all(|one| one.ending() == Ending::Unfinished));
    assert_eq!(servers.log().len(), 20);
    sleep(seconds(5)).await;
    client.get("http://h/").timeout(ms(300)).text().await.expect_err("the host is down");
    assert_eq!(servers.log().len(), 21, "a probe went");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_alone_and_finds_the_purse_empty_says_so() {
    let servers = Servers::new(|_| status(500));
    let client = servers.client().retries(15).retry_delay(ms(1)).build().expect("they agree");
    let error = client.get("http://h/").text().await.expect_err("it never serves");
    assert!(error.is_out_of_budget() && error.message().contains("the retry budget is exhausted"), "{error}");
    assert_eq!(servers.log().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_at_random_is_got_but_for_a_few_and_asked_late_and_gently() {
    for seed in 0..3_u64 {
        let rule = move |seen: &Seen<'_>| {
            let mut dice = fastrand::Rng::with_seed(seed * 1_000_003 + seen.number);
            status(if dice.f64() >= 0.3 { 200 } else { [500, 503][dice.usize(0..2)] })
        };
        let servers = Servers::new(rule);
        let client = servers.client().retries(Some(3)).seed(seed).build().expect("they agree");
        let outcomes = client.fetch_all(urls(1, 10_000)).await;
        let failed = 10_000 - obtained(&outcomes);
        assert!(failed <= 120, "seed {seed}: {failed} of 10,000 failed");
        let log = servers.log();
        let until = servers.all_were_asked(10_000);
        let early = log.iter().filter(|(_, at, _)| *at <= until).count() as f64 / until.as_secs_f64();
        let end = log.last().expect("it was asked").1;
        let late = log.iter().filter(|(_, at, _)| *at > until).count() as f64 / (end - until).as_secs_f64();
        assert!(late <= 0.2 * early, "seed {seed}: {late} a second late, {early} before");
    }
}

/// One of the troubles of the mixture, by the number of its host.
fn trouble(seen: &Seen<'_>) -> Answer {
    const NEVER: Duration = Duration::from_secs(48 * 3600);
    match seen.host.trim_start_matches('h').parse::<u64>().expect("a number") % 6 {
        0 => Answer { after: NEVER, ..ok() },
        1 => Answer { after: ms(seen.number % 4_000), ..status(0) },
        2 => Answer { after: ms(seen.number % 4_000), ..ok() },
        3 => Answer { retry_after: Some(3_600), ..status(503) },
        4 => status(503),
        _ => ok(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_in_all_kinds_of_trouble_ends_at_its_deadline_with_an_outcome_for_each() {
    for seed in 0..12_u64 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let servers = Servers::new(trouble);
        let (deadline, count) = (ms(dice.u64(1..20_000)), if seed == 0 { 10_000 } else { 1_000 });
        let client = servers.client().seed(seed).build().expect("they agree");
        let began = Instant::now();
        let job = client.fetch_all(urls(6 * dice.u64(1..30), count)).concurrency(dice.usize(1..600));
        let outcomes = timeout(FOR_EVER, job.timeout(deadline)).await.expect("it ends");
        let took = began.elapsed();
        assert!(took <= deadline + ms(20), "seed {seed}: over after {took:?} instead of {deadline:?}");
        assert_eq!((outcomes.len() as u64, client.gauges().permits), (count, 0), "seed {seed}");
        for (number, outcome) in outcomes.iter().enumerate() {
            let ending = outcome.ending();
            let is_right = match number % 6 {
                0 => ending == Ending::Unfinished,
                3 | 1 | 4 => matches!(ending, Ending::Failed | Ending::Unfinished),
                _ => matches!(ending, Ending::Ok | Ending::Unfinished),
            };
            assert!(is_right, "seed {seed}, {number}: {ending:?} {:?}", outcome.error());
            let was_sent = !outcome.attempts().is_empty();
            let kind = outcome.error().map(Error::kind);
            let is_over =
                kind.is_none_or(|kind| kind != ErrorKind::JobDeadline) || ending == Ending::Unfinished;
            assert!(is_over && (was_sent || kind.is_some()), "seed {seed}, {number}: {outcome:?}");
        }
        assert!(servers.log().iter().all(|(_, at, _)| *at <= deadline), "nothing is started after it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_body_and_a_few_refusals_starve_nobody() {
    for bad in [0, 503, 429] {
        let servers = Servers::new(move |seen| match seen.number {
            0 => status(DRIP),
            number if number >= 10 && number % 20 == 0 => status(bad),
            _ => ok(),
        });
        let client = servers.client().build().expect("they agree");
        let outcomes = timeout(FOR_EVER, client.fetch_all(urls(1, 400))).await.expect("it ends");
        assert_eq!(obtained(&outcomes), 400);
        let late = servers.log().iter().filter(|(_, at, _)| *at > seconds(30)).count();
        assert_eq!(late, 0, "{bad}: the body takes 2,000 s, the others do not wait for it");
    }
}

#[tokio::test(start_paused = true)]
async fn the_turn_of_ordered_output_passes_no_cool_down_and_no_rate() {
    let servers = Servers::new(|seen| match seen.number {
        0 => Answer { retry_after: Some(60), ..status(503) },
        _ => ok(),
    });
    let client = servers.client().host_rate(1.0).build().expect("they agree");
    let sink = gannet::sink::Ordered::to(std::io::sink()).hold(1).spill(0);
    let job = client.fetch_each(urls(1, 10)).concurrency(20).save_with(Arc::new(sink));
    let outcomes: Vec<Outcome> = timeout(FOR_EVER, job.collect()).await.expect("it ends");
    assert_eq!(obtained(&outcomes), 10);
    let log = servers.log();
    let at: Vec<Duration> = log.iter().map(|(_, at, _)| *at).collect();
    assert!(at.windows(2).all(|two| two[1] - two[0] >= ms(990)), "a second lies between two: {at:?}");
    let early = at[1..].iter().filter(|at| **at < seconds(60)).count();
    assert!(early == 0, "nobody comes before the minute is over: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_rate_is_not_begun_and_its_wait_is_queue_time() {
    let servers = Servers::new(|_| ok());
    let client = servers.client().rate(1.0).build().expect("they agree");
    let outcomes = client.fetch_all(urls(20, 20)).concurrency(20).timeout(ms(4_500)).await;
    let begun: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.attempts().is_empty()).collect();
    assert_eq!((begun.len(), obtained(&outcomes), servers.log().len()), (5, 5, 5));
    assert!(begun.iter().all(|outcome| outcome.total() <= ms(10)), "the wait is no part of the fetch");
    assert!(begun.iter().any(|outcome| outcome.queued() >= ms(900)), "it is queue time");
    let others = outcomes.iter().filter(|outcome| outcome.attempts().is_empty());
    assert_eq!(others.filter(|outcome| outcome.ending() == Ending::Unfinished).count(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_job_says_which_rate_holds_it_back() {
    let held = async |client: ClientBuilder| {
        let mut job = client.build().expect("they agree").fetch_each(urls(1, 9));
        assert!(timeout(ms(500), job.next()).await.expect("one comes").is_some());
        assert!(timeout(ms(500), job.next()).await.is_err(), "the next waits");
        let gannet::HeldBack::Rate { limit, host } = job.held_back() else { panic!("{:?}", job.held_back()) };
        (limit, host)
    };
    let servers = Servers::new(|_| ok());
    assert_eq!(held(servers.client().rate(0.5)).await, ("0.5".into(), None));
    let (limit, host) = held(servers.client().host_rate(0.5)).await;
    assert!(&*limit == "0.5" && host.is_some_and(|host| host.starts_with("http://h0")));
}
