//! The engine over real sockets, against the built-in origin: laziness, races, cancelling, deadlines, and what is
//! left when a job is dropped. The origin counts.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use gannet::sink::Ordered;
use gannet::{Client, Ending, Error, ErrorKind, Outcome, Repeat, WhyStarted};
use gannet_origin::{HowEnded, Origin};
use tokio::time::Instant;

const SOON: Duration = Duration::from_millis(50);

async fn origin() -> Origin {
    Origin::builder().start().await.expect("a port is free")
}

fn paths(origin: &Origin, count: usize, query: &str) -> Vec<String> {
    (0..count).map(|index| origin.url(&format!("/{index}?{query}"))).collect()
}

#[tokio::test]
async fn nothing_reaches_the_origin_before_the_first_poll() {
    let (origin, client) = (origin().await, Client::new());
    let fetch = client.get(origin.url("/?text=x")).text();
    let all = client.fetch_all(paths(&origin, 10, "text=x"));
    let first = client.fetch_first([origin.url("/"), origin.url("/")]);
    assert!(!origin.wait_until(|counts| counts.connections > 0, SOON).await);
    assert_eq!(client.gauges().tasks, 0);
    drop((all, first));
    assert_eq!(fetch.await.expect("it comes"), "x");
    assert_eq!(origin.counts().connections, 1);
}

#[tokio::test]
async fn the_losers_of_a_race_end_at_the_origin_within_50_ms() {
    let (origin, client) = (origin().await, Client::new());
    let legs = [origin.url("/a?never"), origin.url("/b?text=b&delay=30ms"), origin.url("/c?status=503")];
    let first = client.fetch_first(legs).text().await.expect("one comes");
    assert_eq!((first.index, first.value.as_str()), (1, "b"));
    assert!(origin.wait_until(|counts| counts.in_flight == 0, SOON).await, "{:?}", origin.counts());
    let ended = origin.requests().into_iter().find(|request| request.path_and_query.starts_with("/a"));
    assert_eq!(ended.and_then(|request| request.ended).map(|(_, how)| how), Some(HowEnded::ClientLeft));
}

#[tokio::test]
async fn when_all_legs_fail_each_error_stands_in_input_order() {
    let (origin, client) = (origin().await, Client::builder().retries(0).build().expect("settings agree"));
    let legs = [origin.url("/a?status=404&delay=40ms"), "bad url".to_owned(), origin.url("/c?status=410")];
    let failed = client.fetch_first(legs).text().await.expect_err("none succeeds");
    let codes: Vec<Option<u16>> =
        failed.errors.iter().map(|error| error.status().map(|code| code.as_u16())).collect();
    assert_eq!(codes, [Some(404), None, Some(410)]);
    assert_eq!(failed.errors[1].kind(), ErrorKind::BadUrl);
    assert!(!failed.is_timeout() && !failed.is_cancelled());
}

#[tokio::test]
async fn a_host_that_hangs_holds_nobody_else_up() {
    let hanging = Origin::start_in_thread(Origin::builder()).expect("a port is free");
    let others: Vec<Origin> =
        (0..10).map(|_| Origin::start_in_thread(Origin::builder()).expect("a port")).collect();
    let client = Client::new();
    let stuck = (0..50_000).map(|index| hanging.url(&format!("/{index}?never")));
    let free = (0..1_000).map(|index| others[index % 10].url(&format!("/{index}?size=100")));
    let urls: Vec<String> = stuck.chain(free).collect();
    let began = Instant::now();
    let mut job = client.fetch_each(&urls);
    for _ in 0..1_000 {
        let outcome = job.next().await.expect("the others come");
        assert!(outcome.ending() == Ending::Ok && outcome.seq() >= 50_000, "{outcome:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(hanging.counts().peak_in_flight <= 6);
}

#[tokio::test]
async fn a_deadline_keeps_what_is_done_and_accounts_for_the_rest() {
    let (origin, client) = (origin().await, Client::builder().per_host(100).build().expect("settings agree"));
    let mut urls = paths(&origin, 70, "text=x");
    urls.extend(paths(&origin, 30, "never"));
    let began = Instant::now();
    let outcomes = client.fetch_all(&urls).concurrency(50).timeout(Duration::from_millis(300)).await;
    assert!(began.elapsed() < Duration::from_millis(550), "{:?}", began.elapsed());
    let count = |ending| outcomes.iter().filter(|outcome| outcome.ending() == ending).count();
    assert_eq!((outcomes.len(), count(Ending::Ok), count(Ending::Unfinished)), (100, 70, 30));
    assert!(
        outcomes[80]
            .error()
            .is_some_and(|error| error.is_timeout() && error.kind() == ErrorKind::JobDeadline)
    );
}

#[tokio::test]
async fn fail_fast_ends_at_the_first_failure_and_keeps_the_outcomes() {
    let (origin, client) = (origin().await, Client::new());
    let urls = [origin.url("/?text=a"), origin.url("/?status=404&delay=20ms"), origin.url("/?never")];
    let error = client.fetch_all(&urls).text().fail_fast().await.expect_err("one fails");
    assert_eq!(error.cause.status().map(|status| status.as_u16()), Some(404));
    let endings: Vec<Ending> = error.outcomes.iter().map(Outcome::ending).collect();
    assert_eq!(endings, [Ending::Ok, Ending::Failed, Ending::Cancelled]);
    assert!(!error.is_timeout() && !error.is_cancelled());
    let late =
        client.fetch_all(&urls[2..]).text().timeout(SOON).fail_fast().await.expect_err("it never comes");
    assert!(late.is_timeout());
}

#[tokio::test]
async fn a_spawned_job_runs_on_and_can_be_drained_cancelled_and_tied_to_its_handle() {
    let (origin, client) = (origin().await, Client::builder().per_host(2).build().expect("settings agree"));
    drop(client.fetch_all(paths(&origin, 5, "text=x")).spawn());
    assert!(origin.wait_until(|counts| counts.replies_complete == 5, Duration::from_secs(5)).await);

    let job = client.fetch_all(paths(&origin, 10, "text=x&delay=100ms")).spawn();
    assert!(origin.wait_until(|counts| counts.in_flight == 2, Duration::from_secs(5)).await);
    job.drain();
    let endings: Vec<Ending> = job.await.iter().map(Outcome::ending).collect();
    assert_eq!((endings.len(), &endings[..3]), (10, &[Ending::Ok, Ending::Ok, Ending::Cancelled][..]));

    let job = client.fetch_all(paths(&origin, 3, "never")).spawn();
    assert!(origin.wait_until(|counts| counts.in_flight == 2, Duration::from_secs(5)).await);
    assert_eq!((job.progress().inputs, job.progress().started), (3, 2));
    job.cancel();
    let outcomes = job.await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == Ending::Cancelled));
    assert_eq!(outcomes[0].attempts()[0].why_stopped.as_str(), "cancelled", "a stopped attempt is a record");

    let tied = client.get(origin.url("/?never")).text().spawn().cancel_on_drop();
    assert!(origin.wait_until(|counts| counts.in_flight == 1, Duration::from_secs(5)).await);
    drop(tied);
    assert!(origin.wait_until(|counts| counts.in_flight == 0, Duration::from_secs(1)).await);
}

#[tokio::test]
async fn a_panic_resumes_where_the_handle_is_awaited() {
    let (origin, client) = (origin().await, Client::builder().watch(|_| panic!("a watcher's own")).build());
    let client = client.expect("settings agree");
    let job = client.get(origin.url("/")).text().spawn();
    let panic = std::panic::AssertUnwindSafe(job).catch_unwind().await.expect_err("it panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"a watcher's own"));
}

#[tokio::test]
async fn a_fixed_hedge_wins_over_a_straggler_and_is_recorded() {
    let (origin, client) = (origin().await, Client::new());
    let url = origin.url("/?script=never,200");
    let outcomes = client.fetch_all([&url]).hedge(Duration::from_millis(20)).await;
    let attempts = outcomes[0].attempts();
    let whys: Vec<WhyStarted> = attempts.iter().map(|attempt| attempt.why_started).collect();
    assert_eq!((whys, outcomes[0].winner()), (vec![WhyStarted::First, WhyStarted::Hedge], Some(1)));
    assert_eq!(attempts[0].why_stopped.as_str(), "superseded");
    assert!(origin.wait_until(|counts| counts.in_flight == 0, SOON).await);
}

#[tokio::test]
async fn a_post_is_sent_once_unless_the_caller_says_otherwise() {
    let (origin, client) = (origin().await, Client::new());
    let error =
        client.post(origin.url("/a?script=503,200")).body("x").text().await.expect_err("not repeated");
    assert_eq!((error.status().map(|code| code.as_u16()), error.attempts().len()), (Some(503), 1));
    let again =
        client.post(origin.url("/b?script=503,200")).body("x").repeatable(Repeat::Allowed).text().await;
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test]
async fn a_mirror_serves_when_the_first_url_is_gone() {
    let (origin, client) = (origin().await, Client::new());
    let text = client.get(origin.url("/?status=404")).mirror(&origin.url("/m?text=mirror")).text().await;
    assert_eq!(text.expect("the mirror has it"), "mirror");
}

#[tokio::test]
async fn a_status_error_has_head_and_body_and_any_status_has_none() {
    let (origin, client) = (origin().await, Client::new());
    let url = origin.url("/?status=404&text=gone&header=X-Why:because");
    let error = client.get(&url).text().await.expect_err("404");
    let reply = error.reply().expect("there was a reply");
    assert_eq!(
        (&reply.body[..], reply.headers.get("x-why").map(|why| why.as_bytes())),
        (&b"gone"[..], Some(&b"because"[..]))
    );
    assert_eq!(client.get(&url).any_status().text().await.expect("any will do"), "gone");
}

#[tokio::test]
async fn what_is_sent_is_what_was_asked_for() {
    let (origin, client) =
        (origin().await, Client::builder().user_agent("me/1").build().expect("settings agree"));
    let sent = client
        .post(origin.url("/echo"))
        .query([("a b", "c&d")])
        .json(&serde_json::json!({"n": 1}))
        .bearer_auth("t0ken")
        .header("x-one", "1")
        .into_json::<serde_json::Value>()
        .await
        .expect("the origin echoes");
    assert_eq!((&sent["method"], &sent["body"]), (&"POST".into(), &"{\"n\":1}".into()));
    let headers = sent["headers"].to_string();
    for part in ["me/1", "application/json", "Bearer t0ken", "x-one"] {
        assert!(headers.contains(part), "{part} is not in {headers}");
    }
    let form = client
        .put(origin.url("/echo"))
        .form([("k", "v w")])
        .basic_auth("u", "p")
        .into_json::<serde_json::Value>();
    let sent = form.await.expect("the origin echoes");
    assert_eq!((&sent["method"], &sent["body"]), (&"PUT".into(), &"k=v+w".into()));
}

#[tokio::test]
async fn redirects_are_hops_and_secrets_stay_at_home() {
    let (home, away, client) = (origin().await, origin().await, Client::new());
    let url = home.url(&format!("/?redirect={}", percent(&away.url("/echo"))));
    let reply = client.get(&url).bearer_auth("t0ken").header("x-api-key", "k").await.expect("it is followed");
    assert_eq!(reply.url(), away.url("/echo"));
    assert_eq!(reply.attempts()[0].hops.len(), 1);
    let sent = reply.text().await.expect("the origin echoes");
    assert!(!sent.contains("t0ken") && !sent.contains("x-api-key"), "{sent}");
    let error = client.get(home.url("/?loop")).text().await.expect_err("it goes round");
    assert_eq!(error.kind(), ErrorKind::TooManyRedirects);
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn an_unread_response_holds_its_place_and_the_error_of_the_next_names_it() {
    let origin = origin().await;
    let client = Client::builder().per_host(1).queue_timeout(SOON).build().expect("settings agree");
    let unread = client.get(origin.url("/?size=1000000")).await.expect("the head comes");
    let error = client.get(origin.url("/?text=x")).text().retry(0).await.expect_err("no place");
    assert!(error.kind() == ErrorKind::QueueTimeout && error.message().contains("not read"), "{error}");
    drop(unread);
    assert_eq!(client.get(origin.url("/?text=x")).text().await.expect("a place"), "x");
}

#[tokio::test]
async fn a_body_that_breaks_under_the_callers_hands_is_not_begun_anew() {
    let (origin, client) = (origin().await, Client::new());
    let url = origin.url("/?size=100000&truncate=50000");
    let error = client.get(&url).await.expect("the head comes").text().await.expect_err("it is cut");
    assert_eq!(error.kind(), ErrorKind::BodyNotResumable);
    let error: Error = client.get(&url).text().retry(1).await.expect_err("it is cut each time");
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::BodyTruncated, 2));
}

#[tokio::test]
async fn a_small_rest_is_drained_so_that_its_connection_serves_again() {
    let (origin, client) = (origin().await, Client::new());
    drop(client.get(origin.url("/?size=60000&body-delay=10ms")).await.expect("the head comes"));
    tokio::time::sleep(SOON).await;
    assert_eq!(client.gauges().idle_connections, 1);
    client.get(origin.url("/?text=x")).text().await.expect("it comes");
    assert_eq!(origin.counts().connections, 1);
}

#[tokio::test]
async fn closing_a_client_ends_what_it_shares() {
    let (origin, client) = (origin().await, Client::new());
    client.fetch_all(paths(&origin, 20, "text=x")).await;
    assert!(client.gauges().idle_connections > 0);
    assert!(client.close(Instant::now() + Duration::from_secs(1)).await);
    assert!(origin.wait_until(|counts| counts.open_connections == 0, Duration::from_secs(1)).await);
}

#[tokio::test]
async fn bodies_that_wait_for_their_turn_do_not_starve_the_one_whose_turn_it_is() {
    let (origin, client) = (origin().await, Client::builder().per_host(2).build().expect("settings agree"));
    let sink = Ordered::to(std::io::sink()).hold(64 << 10).spill(0);
    let mut urls = vec![origin.url("/first?script=503,200")];
    urls.extend(paths(&origin, 4, "size=500000"));
    let job = client.fetch_all(&urls).save_with(Arc::new(sink)).timeout(Duration::from_secs(20)).await;
    assert_eq!(job.expect("the output stays").obtained(), 5);
}
