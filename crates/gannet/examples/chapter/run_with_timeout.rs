//! `run_with_timeout()`: `select!` between an endless loop and a sleep; when the sleep ends, the loop's future is
//! dropped. C# needs `CancelAfter` and a loop that looks at its token.
//!
//! Claim: a guard within the loop is dropped with it, and nothing goes on after; with gannet the request under way
//! ends at the origin, or the loop has a deadline and ends by itself.
//!
//! The usual `select!` has an arm for the loop's end, which can never run, since the loop never ends. A loop that
//! gives `Infallible` says so, and the compiler holds it to that.
//!
//! The clock is tokio's paused one, until the origin is needed: a day passes at once.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use gannet::{Client, Ending};
use gannet_origin::Origin;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For what the origin is sure to see.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the loop did.
#[derive(Default)]
struct Diary {
    rounds: Cell<u32>,
    left: Cell<bool>,
}

/// Writes down that the loop was left, whatever way.
struct Guard<'a>(&'a Diary);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.left.set(true);
    }
}

mod plain {
    use std::convert::Infallible;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::{Diary, Guard, SECOND};

    /// Works each second, for ever: the type says so.
    async fn process(diary: &Diary) -> Infallible {
        let _guard = Guard(diary);
        loop {
            diary.rounds.set(diary.rounds.get() + 1);
            sleep(SECOND).await;
        }
    }

    pub(super) async fn run_with_timeout(diary: &Diary, limit: Duration) {
        let Err(_elapsed) = timeout(limit, process(diary)).await;
    }

    /// The usual version; gives how often its first arm ran.
    pub(super) async fn usual_run_with_timeout(diary: &Diary, limit: Duration) -> u32 {
        let process = async {
            process(diary).await;
        };
        tokio::select! {
            () = process => 1,
            () = sleep(limit) => 0,
        }
    }
}

mod with_gannet {
    use std::time::Duration;

    use gannet::{Client, Outcome};

    /// Fetches the same URL again and again, until a deadline that the loop itself knows of; gives how often it did,
    /// and what was cut short.
    pub(super) async fn run_with_timeout(
        client: &Client,
        url: &str,
        limit: Duration,
    ) -> (u32, Option<Outcome>) {
        let mut each = client.fetch_each(std::iter::repeat(url)).concurrency(1).timeout(limit);
        let mut rounds = 0;
        while let Some(outcome) = each.next().await {
            if !outcome.is_obtained() {
                return (rounds, Some(outcome));
            }
            rounds += 1;
        }
        (rounds, None)
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    the_loop_is_dropped_and_nothing_goes_on().await;
    the_usual_arm_never_runs().await;
    tokio::time::resume();
    a_fetch_that_is_dropped_ends_at_the_origin().await?;
    a_loop_with_a_deadline_ends_by_itself().await
}

async fn the_loop_is_dropped_and_nothing_goes_on() {
    let diary = Diary::default();
    plain::run_with_timeout(&diary, 5 * SECOND - SECOND / 2).await;
    assert_eq!((diary.rounds.get(), diary.left.get()), (5, true));
    sleep(DAY).await;
    assert_eq!(diary.rounds.get(), 5);
    println!("plain: 5 rounds in 4.5 s, the guard was dropped, and no further round in a day");
}

async fn the_usual_arm_never_runs() {
    let limits = [Duration::ZERO, SECOND, DAY];
    for limit in limits {
        assert_eq!(plain::usual_run_with_timeout(&Diary::default(), limit).await, 0);
    }
    println!("plain: the arm for the loop's end ran 0 times, whatever the limit: {limits:?}");
}

async fn a_fetch_that_is_dropped_ends_at_the_origin() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let client = Client::new();
    let fetch = client.get(origin.url("/?never")).text();
    tokio::select! {
        fetched = fetch => unreachable!("the origin never answers, but gave {fetched:?}"),
        is_seen = origin.wait_until(|seen| seen.in_flight == 1, PATIENCE) => assert!(is_seen),
    }
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 1, PATIENCE).await);
    assert_eq!((origin.counts().in_flight, client.gauges().permits), (0, 0));
    println!("gannet: select! dropped a fetch, and the origin saw its client leave");
    Ok(())
}

async fn a_loop_with_a_deadline_ends_by_itself() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let client = Client::new();
    let url = origin.url("/again?delay=30ms");
    let (rounds, cut) = with_gannet::run_with_timeout(&client, &url, Duration::from_millis(250)).await;
    let ending = cut.as_ref().map(gannet::Outcome::ending);
    assert_eq!(ending, Some(Ending::Unfinished), "{cut:?}");
    assert!(rounds > 0, "{cut:?}");

    let requests = origin.requests_to("/again");
    client.get(origin.url("/later?delay=100ms")).text().await?;
    assert_eq!(origin.requests_to("/again"), requests, "nothing goes on after the deadline");
    println!("gannet: an endless list had 250 ms: {rounds} rounds, the next unfinished, none after");
    Ok(())
}
