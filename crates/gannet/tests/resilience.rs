//! Budget and hedges of whole jobs, over a transport that counts, in virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use gannet::{
    BoxFuture, Client, ClientBuilder, Ending, Error, ErrorKind, Event, HedgeAfter, Outcome, Reply, Transport,
    WhyStarted, WireRequest,
};
use tokio::time::{Instant, sleep};

/// What a request is answered with: after so long, this status.
type Answer = (Duration, u16);

/// A host that answers by the number of the URL and how often that URL was asked before.
#[derive(Clone)]
struct Server {
    answer: fn(u64, u32) -> Answer,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Every request as it came: the URL's number, how often it was asked before, and when.
    requests: Vec<(u64, u32, Instant)>,
    asked: HashMap<u64, u32>,
}

impl Server {
    fn new(answer: fn(u64, u32) -> Answer) -> Self {
        Self { answer, seen: Arc::default() }
    }

    fn requests(&self) -> Vec<(u64, u32, Instant)> {
        self.seen.lock().expect("nobody panics here").requests.clone()
    }

    fn client(&self) -> ClientBuilder {
        Client::builder().transport(self.clone()).per_host(16).seed(7)
    }

    /// How many requests were further ones, by the number of first ones before them.
    fn extras_by_firsts(&self) -> Vec<(u64, u64)> {
        let (mut firsts, mut extras) = (0, 0);
        let count = |(_, before, _): &(u64, u32, Instant)| {
            if *before == 0 {
                firsts += 1
            } else {
                extras += 1
            }
            (firsts, extras)
        };
        self.requests().iter().map(count).collect()
    }
}

impl Transport for Server {
    fn send(&self, request: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        let number = request.uri().path()[1..].parse().expect("paths are numbers");
        let (delay, status) = {
            let mut seen = self.seen.lock().expect("nobody panics here");
            let asked = seen.asked.entry(number).or_default();
            let before = *asked;
            *asked += 1;
            seen.requests.push((number, before, Instant::now()));
            (self.answer)(number, before)
        };
        Box::pin(async move {
            sleep(delay).await;
            let response = http::Response::builder().status(status).body("body");
            Ok(Reply::new(response.expect("a status of ours")))
        })
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn urls(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("http://h/{number}")).collect()
}

/// Each at a host of its own, which no gate holds back for its failures.
fn lone_urls(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("http://h{number}/{number}")).collect()
}

fn obtained(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_obtained()).count()
}

fn hedges(outcomes: &[Outcome]) -> usize {
    let attempts = outcomes.iter().flat_map(Outcome::attempts);
    attempts.filter(|attempt| attempt.why_started == WhyStarted::Hedge).count()
}

/// Four of ten fail the first time: too few for the breaker, and too many for the purse.
fn often_once(number: u64, before: u32) -> Answer {
    (ms(10), if before == 0 && number % 10 < 4 { 500 } else { 200 })
}

#[tokio::test(start_paused = true)]
async fn an_item_that_finds_the_purse_empty_waits_and_is_got_late() {
    let server = Server::new(often_once);
    let client = server.client().build().expect("they agree");
    let outcomes = client.fetch_all(urls(1_000)).concurrency(10).retry_delay(ms(1)).await;
    assert_eq!((outcomes.len(), obtained(&outcomes)), (1_000, 1_000));
    let extras = server.extras_by_firsts();
    for (firsts, extras) in extras.iter().filter(|(firsts, _)| *firsts < 1_000) {
        assert!(*extras <= 10.max(firsts / 5), "{extras} extras after {firsts} firsts");
    }
    let requests = server.requests();
    let last_first = requests.iter().rposition(|(_, before, _)| *before == 0).expect("there were firsts");
    let listed = requests[last_first].2 - requests[0].2;
    let late = &requests[last_first + 1..];
    let took = late.last().expect("some were late").2 - requests[last_first].2;
    let (rate, late_rate) = (1_000.0 / listed.as_secs_f64().max(1.0), late.len() as f64 / took.as_secs_f64());
    assert!(late.len() > 150 && late_rate <= 0.22 * rate, "{late_rate} a second after {rate}");
    let budget = client.budget();
    assert!(budget.retry_refused >= 150 && budget.hedge_refused == 0, "{budget:?}");
    assert_eq!(client.gauges().permits, 0);
}

#[tokio::test(start_paused = true)]
async fn extras_stay_within_the_budget_at_the_server_on_every_prefix() {
    let server = Server::new(|number, before| match number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56 {
        0..60 if before < 2 => (ms(5), 500),
        60..66 if before == 0 => (ms(2_000), 200),
        dice => (ms(5 + dice % 7), 200),
    });
    let client = server.client().build().expect("they agree");
    let outcomes = client.fetch_all(urls(3_000)).concurrency(40).hedge(HedgeAfter::Auto).await;
    assert_eq!(obtained(&outcomes), 3_000);
    for (firsts, extras) in server.extras_by_firsts().into_iter().filter(|(firsts, _)| *firsts < 3_000) {
        assert!(extras <= 10.max(firsts / 5) + 10.max(firsts / 50), "{extras} extras after {firsts} firsts");
    }
    assert!(hedges(&outcomes) > 10);
}

#[tokio::test(start_paused = true)]
async fn a_learned_hedge_begins_with_the_hundredth_answer() {
    let server =
        Server::new(|number, before| (ms(if before == 0 && number % 125 == 25 { 5_000 } else { 10 }), 200));
    let client = server.client().build().expect("they agree");
    let outcomes = client.fetch_all(urls(200)).concurrency(1).hedge(HedgeAfter::Auto).await;
    let told = |number: usize| (outcomes[number].attempts().len(), outcomes[number].total());
    assert_eq!(told(25), (1, ms(5_000)));
    assert!(told(150).0 == 2 && told(150).1 < ms(25), "{:?}", told(150));
    assert_eq!(hedges(&outcomes), 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_when_the_delay_becomes_known_is_hedged_at_once() {
    let server =
        Server::new(|number, before| (ms(if (number, before) == (0, 0) { 20_000 } else { 10 }), 200));
    let client = server.client().build().expect("they agree");
    let outcomes = client.fetch_all(urls(1_000)).concurrency(2).hedge(HedgeAfter::Quantile(0.98)).await;
    let total = outcomes[0].total();
    assert!(total >= ms(1_000) && total <= ms(1_030), "{total:?}");
    assert_eq!((outcomes[0].attempts().len(), hedges(&outcomes)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_due_hedge_takes_the_next_freed_place_of_a_full_gate() {
    let server = Server::new(|number, before| (ms(if (number, before) == (0, 0) { 9_000 } else { 50 }), 200));
    let client = server.client().per_host(2).hedge(ms(60)).build().expect("they agree");
    let texts = join_all(urls(10).into_iter().map(|url| client.get(url).text())).await;
    assert!(texts.iter().all(Result::is_ok));
    let order: Vec<u64> = server.requests().iter().map(|(number, ..)| *number).collect();
    assert_eq!(order[..5], [0, 1, 2, 0, 3], "the hedge went to the head of the line");
}

#[tokio::test(start_paused = true)]
async fn waiting_at_our_own_gate_is_no_silence_of_the_host() {
    let server = Server::new(|_, _| (ms(80), 200));
    let client = server.client().per_host(1).hedge(ms(100)).build().expect("they agree");
    let texts = join_all(urls(6).into_iter().map(|url| client.get(url).text())).await;
    assert!(texts.iter().all(Result::is_ok));
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn superseded_losers_tell_of_their_host() {
    let server = Server::new(|_, before| (ms(if before == 0 { 1_000 } else { 1 }), 200));
    let client = server.client().hedge_budget(None).build().expect("they agree");
    let outcomes = client.fetch_all(urls(60)).concurrency(1).hedge(ms(40)).await;
    assert_eq!(hedges(&outcomes), 60);
    // Sixty that won are not enough to know a host; with those that lost there are 120.
    let one = client.fetch_all(["http://h/77"]).hedge(HedgeAfter::Quantile(0.9)).await;
    assert_eq!(hedges(&one), 1);
    assert!(one[0].total() > ms(35) && one[0].total() < ms(60), "{:?}", one[0].total());
}

#[tokio::test(start_paused = true)]
async fn in_the_end_game_what_is_silent_is_hedged_at_the_median() {
    let server = Server::new(|number, before| match (number, before) {
        (195, 0) => (ms(60_000), 200),
        (number, _) if number < 150 && number % 20 == 0 => (ms(1_000), 200),
        _ => (ms(10), 200),
    });
    let client = server.client().build().expect("they agree");
    let outcomes = client.fetch_all(urls(200)).concurrency(4).hedge(HedgeAfter::Quantile(0.999)).await;
    let total = outcomes[195].total();
    assert!(outcomes[195].attempts().len() == 2 && total < ms(100), "{total:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_for_the_purse_is_left_by_nobody() {
    for whim in ["drop", "cancel", "drain"] {
        let server =
            Server::new(|number, before| (ms(5), if number % 5 < 2 && before < 2 { 500 } else { 200 }));
        let client = server.client().build().expect("they agree");
        let mut job = client.fetch_each(lone_urls(100)).concurrency(8).retry_delay(ms(1));
        let mut seqs = Vec::new();
        while client.budget().retry_refused < 5 {
            seqs.push(job.next().await.expect("more are to come").seq());
        }
        match whim {
            "drop" => drop(job),
            _ => {
                if whim == "cancel" {
                    job.cancel()
                } else {
                    job.drain()
                }
                while let Some(outcome) = job.next().await {
                    seqs.push(outcome.seq());
                    let cut = outcome.ending() == Ending::Cancelled;
                    assert!(outcome.is_obtained() || cut, "{whim}: {outcome:?}");
                }
                seqs.sort_unstable();
                assert!(seqs.into_iter().eq(0..100), "{whim}: each has one outcome");
            }
        }
        assert_eq!(client.gauges().permits, 0, "{whim}");
        let before = server.requests().len();
        sleep(ms(60_000)).await;
        assert_eq!(server.requests().len(), before, "{whim}: it goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_until_the_deadline_fails_for_want_of_budget() {
    let server = Server::new(|number, _| (ms(5), if number % 5 < 2 { 500 } else { 200 }));
    let refused = Arc::new(Mutex::new(0));
    let count = Arc::clone(&refused);
    let watcher = move |event: &Event<'_>| {
        if let Event::BudgetRefused { why: WhyStarted::Retry, .. } = event {
            *count.lock().expect("nobody panics here") += 1;
        }
    };
    let client = server.client().watch(watcher).build().expect("they agree");
    let outcomes = client.fetch_all(lone_urls(100)).retry_delay(ms(1)).timeout(ms(2_000)).await;
    let wanting = |outcome: &&Outcome| {
        outcome.ending() == Ending::Failed
            && outcome.error().is_some_and(|error| {
                error.kind() == ErrorKind::Status && error.to_string().contains("retry budget is exhausted")
            })
    };
    let wanting = outcomes.iter().filter(wanting).count();
    assert!(wanting >= 10, "{wanting} failed for want of budget");
    let failed = outcomes.iter().filter(|outcome| outcome.ending() == Ending::Failed).count();
    assert_eq!((failed, obtained(&outcomes)), (40, 60));
    let refused = *refused.lock().expect("nobody panics here");
    assert_eq!(refused, client.budget().retry_refused);
    assert!(refused >= 20);
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_no_retry_waits() {
    let server = Server::new(often_once);
    let client = server.client().retry_budget(None).build().expect("they agree");
    let began = Instant::now();
    let outcomes = client.fetch_all(urls(100)).concurrency(100).retry_delay(ms(1)).await;
    assert!(obtained(&outcomes) == 100 && began.elapsed() < ms(400), "{:?}", began.elapsed());
    assert_eq!((client.budget().retry_left, client.budget().retry_refused), (None, 0));
}

/// Why a host's reserve is that of all and not smaller: the purse of a fetch that is alone is its host's.
#[tokio::test(start_paused = true)]
async fn a_url_that_is_alone_has_all_the_retries_that_were_asked_for() {
    for retries in [5, 10] {
        let server = Server::new(|_, before| (ms(5), if before < 10 { 500 } else { 200 }));
        let client = server.client().build().expect("they agree");
        let fetch = client.get("http://h/1").retry(retries).retry_delay(ms(1)).text().await;
        assert_eq!(fetch.is_ok(), retries == 10);
        assert_eq!(server.requests().len() as u32, 1 + retries);
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_in_order_are_not_held_up_by_one_that_waits_for_the_purse() {
    let server = Server::new(|number, before| {
        (ms(5), if before < 1 && number < 70 && number % 5 < 2 { 500 } else { 200 })
    });
    let client = server.client().build().expect("they agree");
    let sink = Arc::new(gannet::sink::Ordered::to(Vec::new()).hold(64).spill(1));
    let outcomes = client.fetch_all(urls(200)).save_with(sink).retry_delay(ms(1)).await.expect("a report");
    assert_eq!(outcomes.obtained(), 200);
}
