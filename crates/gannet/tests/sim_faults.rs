//! The seeded faulty network of `gannet::sim`: that it repeats, keeps its shares, and does each thing that it says; and
//! the example over it.

use std::time::Duration;

use gannet::sim::{Answer, Fate, Fault, Faults, Replies, each_seed};
use gannet::{Client, Ending, ErrorKind};
use tokio::time::Instant;

#[path = "../examples/sim_faults.rs"]
#[expect(dead_code, reason = "its `main` is for cargo")]
mod example;

const URL: &str = "https://a.example/x";

fn always(fault: Fault) -> Faults {
    Faults::new(1, Replies::new().on(URL, "a body of some length")).with(fault, 1.0)
}

/// What a single attempt comes to.
async fn single(faults: &Faults) -> (ErrorKind, Duration) {
    let client = Client::builder().transport(faults.clone()).retries(0).build().expect("they agree");
    let began = Instant::now();
    let error = client.get(URL).text().await.expect_err("it fails");
    (error.kind(), began.elapsed())
}

#[test]
fn the_example_finds_the_late_version_under_a_thousand_seeds() {
    example::run(0..1_000).expect("its claim holds");
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_what_it_says() {
    let read_timeout = Duration::from_secs(30);
    assert_eq!(single(&always(Fault::Refused)).await, (ErrorKind::Refused, Duration::ZERO));
    assert_eq!(single(&always(Fault::Reset)).await, (ErrorKind::Reset, Duration::ZERO));
    assert_eq!(single(&always(Fault::Cut)).await, (ErrorKind::BodyTruncated, Duration::ZERO));
    assert_eq!(single(&always(Fault::Silent)).await.0, ErrorKind::FirstByteTimeout);
    let (kind, took) = single(&always(Fault::Stalled)).await;
    assert!(matches!(kind, ErrorKind::BodyStalled | ErrorKind::FirstByteTimeout), "{kind:?}");
    assert!(took >= read_timeout && took < 2 * read_timeout, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dripped_body_comes_whole_and_takes_its_pauses() {
    let drip = Fault::Dripped { piece: 4, every: Duration::from_secs(10) };
    let began = Instant::now();
    let text = always(drip).client().get(URL).text().await.expect("no pause is over the limit");
    assert_eq!((text.as_str(), began.elapsed()), ("a body of some length", Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back_in_whole_seconds() {
    let retry_after = Some(Duration::from_millis(1_500));
    for (fault, status) in
        [(Fault::Unavailable { retry_after }, 503), (Fault::TooManyRequests { retry_after }, 429)]
    {
        let client = Client::builder().transport(always(fault)).retries(0).build().expect("they agree");
        let error = client.get(URL).text().await.expect_err("it is refused");
        let status_was = error.status().map(|status| status.as_u16());
        assert_eq!((status_was, error.retry_after()), (Some(status), Some(Duration::from_secs(2))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_reset_reached_its_server_and_a_refused_one_did_not() {
    for (fault, requests) in [(Fault::Reset, 1), (Fault::Refused, 0), (Fault::Silent, 0)] {
        let replies = Replies::new().on(URL, "served");
        let faults = Faults::new(1, replies.clone()).with(fault, 1.0);
        single(&faults).await;
        assert_eq!((replies.requests().len(), faults.fates().len()), (requests, 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_ends_and_hits_one_host_only() {
    let other = "https://b.example/";
    let faults = Faults::new(1, Replies::new().on(URL, "back").on(other, "here"))
        .outage("a.example", Duration::ZERO..Duration::from_secs(100));
    assert_eq!(single(&faults).await.0, ErrorKind::Refused);
    assert_eq!(faults.client().get(other).text().await.expect("it is up"), "here");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(faults.client().get(URL).text().await.expect("it is up again"), "back");
}

#[tokio::test(start_paused = true)]
async fn shares_median_and_stragglers_are_kept() {
    let faults = Faults::new(9, Replies::new().on(URL, "x"))
        .latency(Duration::from_millis(5), 0.3)
        .stragglers(0.01, 50.0)
        .with(Fault::Refused, 0.1)
        .with(Fault::Reset, 0.2);
    let client = Client::builder().transport(faults.clone()).retries(0).build().expect("they agree");
    for _ in 0..10_000 {
        let _ = client.get(URL).text().await;
    }
    let fates = faults.fates();
    let share = |what: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| what(fate)).count();
    let refused = share(&|fate| fate.fault == Some(Fault::Refused));
    let reset = share(&|fate| fate.fault == Some(Fault::Reset));
    let quicker = share(&|fate| fate.latency < Duration::from_millis(5));
    let straggling = share(&|fate| fate.latency > Duration::from_millis(50));
    assert!((900..1_100).contains(&refused) && (1_850..2_150).contains(&reset), "{refused} {reset}");
    assert!((4_800..5_200).contains(&quicker) && (70..130).contains(&straggling), "{quicker} {straggling}");
}

/// A whole job over several hosts, and all that was decided and came of it.
async fn job(seed: u64) -> (Vec<Fate>, Vec<(u64, Ending, usize)>, Duration) {
    let urls: Vec<String> = (0..40).map(|index| format!("https://h{}.example/{index}", index % 7)).collect();
    let replies = urls.iter().fold(Replies::new(), |replies, url| replies.on(url, url.clone()));
    let faults = Faults::drawn(seed, replies).with(Fault::Stalled, 0.1);
    let began = Instant::now();
    let job = faults.client().fetch_all(&urls).concurrency(8).timeout(Duration::from_secs(600));
    let outcomes = job.await;
    let came = |outcome: &gannet::Outcome| (outcome.seq(), outcome.ending(), outcome.attempts().len());
    (faults.fates(), outcomes.iter().map(came).collect(), began.elapsed())
}

#[test]
fn a_seed_repeats_a_whole_job_and_another_seed_does_not() {
    let (once, again) = (each_seed(0..50, job), each_seed(0..50, job));
    assert_eq!(once, again);
    assert!(once.windows(2).all(|pair| pair[0].1 != pair[1].1), "each seed is another job");
    let failed =
        once.iter().flat_map(|(_, (_, came, _))| came).filter(|(_, ending, _)| *ending != Ending::Ok);
    assert!(failed.count() > 0, "faults strike");
}

#[tokio::test(start_paused = true)]
async fn the_fate_of_a_request_does_not_depend_on_others() {
    let other = "https://b.example/";
    let replies = || Replies::new().on(URL, "x").on(other, "y");
    let (alone, beside) = (Faults::drawn(3, replies()), Faults::drawn(3, replies()));
    for _ in 0..20 {
        let _ = alone.client().get(URL).text().retry(0).await;
        let _ = beside.client().get(other).text().retry(0).await;
        let _ = beside.client().get(URL).text().retry(0).await;
    }
    let of = |faults: Faults| {
        let mut fates = faults.fates();
        fates.retain(|fate| fate.url == URL);
        fates
    };
    assert_eq!(of(alone), of(beside));
}

#[test]
fn a_case_that_hangs_fails_and_so_does_a_share_over_one() {
    let hung = std::panic::catch_unwind(|| each_seed(3..4, async |_| std::future::pending::<()>().await));
    let said = hung.expect_err("it hangs");
    let said = said.downcast_ref::<&str>().expect("the message is plain");
    assert!(said.contains("the case hangs"), "{said}");
    let over = || always(Fault::Refused).with(Fault::Cut, 0.1);
    assert!(std::panic::catch_unwind(over).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_length_breaks_too() {
    let replies = Replies::new().on(URL, Answer::chunks(["some ", "pieces"]));
    assert_eq!(single(&Faults::new(1, replies).with(Fault::Cut, 1.0)).await.0, ErrorKind::BodyTruncated);
}
