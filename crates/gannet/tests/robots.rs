//! robots.txt, Crawl-delay and X-Robots-Tag, obeyed: over sockets what is asked and what is not, in virtual time what
//! takes long.

use std::time::Duration;

use gannet::sim::{Answer, Replies};
use gannet::{Client, ClientBuilder, Ending, Error, ErrorKind, Outcome, RetryErrors, Robots};
use gannet_origin::{Origin, OriginBuilder};
use http::Method;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(30);
const PRIVATE: &str = "User-agent: *\nDisallow: /private\n";

fn start(builder: OriginBuilder) -> Origin {
    Origin::start_in_thread(builder).expect("a port is free")
}

/// An origin with these rules.
fn with_rules(rules: impl Into<bytes::Bytes>) -> Origin {
    start(Origin::builder().file("/robots.txt", "text/plain", rules))
}

fn obeying() -> ClientBuilder {
    Client::builder().robots(Robots::Obey).retries(0)
}

async fn got(client: &Client, url: String) -> Result<String, Error> {
    timeout(LONG, client.get(url).text()).await.expect("it does not hang")
}

/// The kind of the error, or the body's length.
async fn end(origin: &Origin, path: &str) -> Result<usize, ErrorKind> {
    let client = obeying().build().expect("the settings agree");
    got(&client, origin.url(path)).await.map(|text| text.len()).map_err(|error| error.kind())
}

#[tokio::test]
async fn rules_are_fetched_once_for_all_and_what_they_disallow_is_never_asked_for() {
    let origin = with_rules(PRIVATE);
    let client = obeying().per_host(1).build().expect("the settings agree");
    let urls: Vec<String> = (0..40)
        .map(|n| origin.url(&format!("/{}/{n}?text=x", if n % 2 == 0 { "private" } else { "open" })))
        .collect();
    let outcomes = timeout(LONG, client.fetch_all(&urls)).await.expect("nobody waits for one who waits");
    for (n, outcome) in outcomes.iter().enumerate() {
        let kind = outcome.error().map(Error::kind);
        assert_eq!(kind, (n % 2 == 0).then_some(ErrorKind::RobotsDisallowed), "{outcome:?}");
        assert_eq!(outcome.attempts().len(), 1, "nothing is retried");
    }
    assert_eq!((origin.requests_to("/robots.txt"), origin.requests_to("/private")), (1, 0));
    assert_eq!(origin.counts().requests, 21);
}

#[tokio::test]
async fn without_the_setting_nobody_asks_for_rules() {
    let origin = with_rules(PRIVATE);
    assert_eq!(got(&Client::new(), origin.url("/private?text=x")).await.expect("it is fetched"), "x");
    assert_eq!(origin.requests_to("/robots.txt"), 0);
}

#[tokio::test]
async fn the_rules_for_our_name_go_before_those_for_all() {
    let origin = with_rules("User-agent: *\nDisallow: /\n\nUser-agent: Gannet\nDisallow: /a\nAllow: /a/b\n");
    assert_eq!(end(&origin, "/?text=x").await, Ok(1));
    assert_eq!(end(&origin, "/a/b?text=x").await, Ok(1));
    assert_eq!(end(&origin, "/a/c?text=x").await, Err(ErrorKind::RobotsDisallowed));
    assert!(end(&origin, "/robots.txt").await.is_ok(), "the rules themselves are always allowed");
}

#[tokio::test]
async fn the_target_of_a_redirect_is_checked_by_the_rules_of_its_own_origin() {
    let (from, to) = (with_rules(""), with_rules(PRIVATE));
    let target = |path: &str| format!("/?redirect={}", to.url(path));
    assert_eq!(end(&from, &target("/private")).await, Err(ErrorKind::RobotsDisallowed));
    assert_eq!(end(&from, &target("/open%3ftext=x")).await, Ok(1));
    assert_eq!((to.requests_to("/private"), to.requests_to("/open")), (0, 1));
}

#[tokio::test]
async fn a_client_error_allows_everything_and_a_servers_error_nothing() {
    for status in [401, 403, 404, 410, 429] {
        let origin = start(Origin::builder().behave("/robots.txt", format!("status={status}")));
        assert_eq!(end(&origin, "/?text=x").await, Ok(1), "{status}");
    }
    for trouble in ["status=500", "status=503", "reset=0", "status=304"] {
        let origin = start(Origin::builder().behave("/robots.txt", trouble));
        assert_eq!(end(&origin, "/?text=x").await, Err(ErrorKind::RobotsUnavailable), "{trouble}");
        assert_eq!(origin.counts().requests, origin.requests_to("/robots.txt"), "{trouble}");
    }
}

#[tokio::test]
async fn the_error_says_what_was_the_trouble_and_whose_url_it_is() {
    let origin = start(Origin::builder().behave("/robots.txt", "status=500"));
    let url = origin.url("/x");
    let client = obeying().retry_errors(RetryErrors::All).retries(2).build().expect("the settings agree");
    let error = got(&client, url.clone()).await.expect_err("nothing is allowed");
    assert_eq!((error.url(), error.attempts().len(), error.is_retryable()), (Some(&*url), 1, false));
    assert!(error.message().contains("the server answered 500"), "{error}");
    assert_eq!(origin.requests_to("/robots.txt"), 3, "the rules are retried as all else");
}

#[tokio::test]
async fn rules_are_looked_for_over_five_redirects_and_then_there_are_none() {
    for (hops, expected) in [(5, Err(ErrorKind::RobotsDisallowed)), (6, Ok(1))] {
        let origin = start(
            Origin::builder()
                .file("/robots.txt", "text/plain", PRIVATE)
                .behave("/robots.txt", format!("hops={hops}")),
        );
        assert_eq!(end(&origin, "/private?text=x").await, expected, "{hops} redirects");
    }
}

#[tokio::test]
async fn half_a_mebibyte_of_rules_counts_and_what_comes_after_does_not() {
    let padding = |length: usize| "# padding\n".repeat(length / 10);
    let within = with_rules(format!("User-agent: *\n{}Disallow: /private\n", padding(510_000)));
    assert_eq!(end(&within, "/private?text=x").await, Err(ErrorKind::RobotsDisallowed));
    let beyond = with_rules(format!("User-agent: *\n{}Disallow: /private\n", padding(514_000)));
    assert_eq!(end(&beyond, "/private?text=x").await, Ok(1));
}

#[tokio::test]
async fn rules_that_break_off_are_fetched_anew_and_never_taken_for_whole() {
    let script = |queries: &[&str]| {
        let builder = Origin::builder().file("/robots.txt", "text/plain", PRIVATE);
        start(builder.script("/robots.txt", queries.iter().copied()))
    };
    let once = script(&["truncate=5", ""]);
    assert_eq!(end(&once, "/open?text=x").await, Ok(1));
    assert_eq!(end(&once, "/private?text=x").await, Err(ErrorKind::RobotsDisallowed));
    let always = script(&["truncate=5"]);
    assert_eq!(end(&always, "/open?text=x").await, Err(ErrorKind::RobotsUnavailable));
}

#[tokio::test]
async fn a_reply_that_is_tagged_for_us_is_not_kept() {
    let origin = with_rules("");
    for (tag, expected) in [
        ("noindex", Err(ErrorKind::RobotsDisallowed)),
        ("nofollow,%20noai", Err(ErrorKind::RobotsDisallowed)),
        ("gannet:%20none", Err(ErrorKind::RobotsDisallowed)),
        ("otherbot:%20noindex", Ok(1)),
        ("nofollow", Ok(1)),
    ] {
        assert_eq!(end(&origin, &format!("/?text=x&header=X-Robots-Tag:{tag}")).await, expected, "{tag}");
    }
    let folder = std::env::temp_dir().join(format!("gannet-robots-{}", std::process::id()));
    let client = obeying().build().expect("the settings agree");
    let tagged = origin.url("/tagged?text=x&header=X-Robots-Tag:noindex");
    std::fs::create_dir(&folder).expect("a folder can be made");
    let saved = client.get(&tagged).save_to(folder.join("x")).await;
    assert_eq!(saved.expect_err("it is tagged").kind(), ErrorKind::RobotsDisallowed);
    let left = std::fs::read_dir(&folder).expect("it was made").count();
    let _ = std::fs::remove_dir_all(&folder);
    assert_eq!(left, 0, "nothing is kept");
    let head = client.request(Method::HEAD, tagged).await.expect("there is no body to keep");
    assert_eq!(head.status().as_u16(), 200);
}

#[tokio::test]
async fn a_mirror_that_allows_it_serves_in_the_place_of_one_that_does_not() {
    let (closed, open) = (with_rules("User-agent: *\nDisallow: /"), with_rules(""));
    let client = obeying().retries(1).build().expect("the settings agree");
    let fetch = client.get(closed.url("/x?text=x")).mirror(&open.url("/x?text=y"));
    assert_eq!(timeout(LONG, fetch.text()).await.expect("it ends").expect("the mirror serves"), "y");
}

const SITE: &str = "https://a.example";
const RULES: &str = "https://a.example/robots.txt";

fn site(rules: impl Into<Answer>) -> Replies {
    Replies::new().on(RULES, rules).on("https://a.example/x", "x")
}

fn asked(replies: &Replies, path: &str) -> usize {
    replies.requests().iter().filter(|request| request.uri().path() == path).count()
}

#[tokio::test(start_paused = true)]
async fn a_crawl_delay_lies_between_two_requests() {
    let replies = site("User-agent: *\nCrawl-delay: 10");
    let client = obeying().transport(replies).build().expect("the settings agree");
    let began = Instant::now();
    let outcomes = client.fetch_all([format!("{SITE}/x"), format!("{SITE}/x"), format!("{SITE}/x")]).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == Ending::Ok));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(19_980) && took < Duration::from_millis(20_100), "{took:?}");
    let item =
        client.get(format!("{SITE}/x")).timeout(Duration::from_secs(1)).await.expect_err("not its turn");
    assert_eq!(item.kind(), ErrorKind::ItemDeadline);
}

#[tokio::test(start_paused = true)]
async fn rules_count_for_a_day_and_a_trouble_for_a_minute() {
    let replies = site(PRIVATE).on(RULES, "User-agent: *\nDisallow: /x");
    let client = obeying().transport(replies.clone()).build().expect("the settings agree");
    let fetch = || client.get(format!("{SITE}/x")).text();
    tokio::time::advance(Duration::from_secs(23 * 3600)).await;
    assert!(fetch().await.is_ok());
    tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
    assert!(fetch().await.is_ok() && replies.requests().len() == 3);
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(fetch().await.expect_err("the rules changed").kind(), ErrorKind::RobotsDisallowed);

    let replies = site(Answer::status(503)).on(RULES, Answer::status(404));
    let client = obeying().transport(replies.clone()).build().expect("the settings agree");
    let fetch = || client.get(format!("{SITE}/x")).text();
    for _ in 0..3 {
        assert_eq!(fetch().await.expect_err("no rules").kind(), ErrorKind::RobotsUnavailable);
    }
    assert_eq!(replies.requests().len(), 1, "a trouble is not asked for again and again");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(fetch().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn silent_rules_are_waited_for_by_a_minute_at_most() {
    let replies = site(Answer::silence());
    let client = Client::builder().robots(Robots::Obey).transport(replies).build().expect("they agree");
    let began = Instant::now();
    let error = client.get(format!("{SITE}/x")).text().await.expect_err("nothing is allowed");
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::RobotsUnavailable, Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn one_who_goes_away_while_it_fetches_the_rules_leaves_that_to_the_next() {
    let replies = site(Answer::ok(PRIVATE).after(Duration::from_secs(10)));
    let client = obeying().transport(replies.clone()).build().expect("the settings agree");
    let fetch = || client.get(format!("{SITE}/x")).text();
    let (first, second) = tokio::join!(timeout(Duration::from_secs(5), fetch()), fetch());
    assert!(first.is_err() && second.is_ok());
    assert_eq!((asked(&replies, "/robots.txt"), asked(&replies, "/x")), (2, 1));
    assert_eq!(client.gauges().permits, 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_while_the_rules_are_fetched_says_nothing_about_them() {
    let replies = site(Answer::ok(PRIVATE).after(Duration::from_secs(10)));
    let client = obeying().transport(replies).build().expect("the settings agree");
    let urls = [format!("{SITE}/x"), format!("{SITE}/private")];
    let outcomes: Vec<Outcome> = client.fetch_all(&urls).timeout(Duration::from_secs(5)).await;
    assert!(outcomes.iter().all(|outcome| outcome.ending() == Ending::Unfinished), "{outcomes:?}");
    assert!(client.get(&urls[0]).text().await.is_ok());
}
