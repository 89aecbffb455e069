//! `process()`: a loop that works each second until it is cancelled. C# asks `ThrowIfCancellationRequested` in each
//! round, waits in `Task.Delay(1000, token)`, and `CancelAfter(5 s)` sets the end.
//!
//! Claim: a token, its child and a timer stop the loop amid its pause, though it is no HTTP; work between two awaits
//! is not interrupted. The same token stops a fetch, and the origin sees that.
//!
//! The usual version looks at a flag once a round: it sleeps its second out before it stops. And a channel has no
//! children: to stop one of two loops, or both, takes a second channel.
//!
//! The clock is tokio's paused one, which leaps to the next timer: five seconds pass at once, and exactly.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::cell::RefCell;
use std::error::Error;
use std::time::Duration;

use gannet::{CancellationToken, Client};
use gannet_origin::Origin;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const CANCEL_AFTER: Duration = Duration::from_millis(4500);
/// How far a timer of tokio may lie beyond its time.
const TICK: Duration = Duration::from_millis(2);
/// For what the origin is sure to see.
const PATIENCE: Duration = Duration::from_secs(5);

mod plain {
    use tokio::sync::watch;
    use tokio::time::sleep;

    use super::SECOND;

    /// Works each second until it is told to stop; gives the number of rounds.
    pub(super) async fn process(mut stop: watch::Receiver<bool>, mut work: impl FnMut(u32)) -> u32 {
        let mut rounds = 0;
        while !*stop.borrow() {
            work(rounds);
            rounds += 1;
            tokio::select! {
                () = sleep(SECOND) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
        rounds
    }

    /// The usual loop: a flag, and a sleep that knows nothing of it.
    pub(super) async fn usual_process(stop: watch::Receiver<bool>) -> u32 {
        let mut rounds = 0;
        while !*stop.borrow() {
            rounds += 1;
            sleep(SECOND).await;
        }
        rounds
    }
}

mod with_gannet {
    use gannet::CancellationToken;
    use tokio::time::sleep;

    use super::SECOND;

    /// Works each second until the token is cancelled; gives the number of rounds.
    pub(super) async fn process(token: CancellationToken, mut work: impl FnMut(u32)) -> u32 {
        let mut rounds = 0;
        while !token.is_cancelled() {
            work(rounds);
            rounds += 1;
            token.run_until_cancelled(sleep(SECOND)).await;
        }
        rounds
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    a_timer_stops_the_loop_amid_its_pause().await;
    a_child_is_stopped_alone_and_the_parent_stops_all().await;
    work_between_two_awaits_is_not_interrupted().await;
    tokio::time::resume();
    the_same_token_stops_a_fetch().await
}

async fn a_timer_stops_the_loop_amid_its_pause() {
    let (stop, stopped) = watch::channel(false);
    let begun = Instant::now();
    let timer = async { (sleep(CANCEL_AFTER).await, stop.send_replace(true)) };
    let (rounds, usual, ends, _) = tokio::join!(
        plain::process(stopped.clone(), |_| {}),
        async { (plain::usual_process(stopped.clone()).await, begun.elapsed()) },
        async { stopped.clone().wait_for(|stop| *stop).await.map(|_| begun.elapsed()) },
        timer,
    );
    assert_eq!(rounds, 5);
    assert!(ends.is_ok_and(|ends| is_at(ends, CANCEL_AFTER)));
    assert!(usual.0 == 5 && is_at(usual.1, 5 * SECOND), "the usual loop sleeps its second out: {usual:?}");
    println!("plain: cancelled after 4.5 s, {rounds} rounds; the usual loop went on until {:?}", usual.1);

    let token = CancellationToken::new();
    let begun = Instant::now();
    let timer = async { (sleep(CANCEL_AFTER).await, token.cancel()) };
    let (rounds, _) = tokio::join!(with_gannet::process(token.clone(), |_| {}), timer);
    assert_eq!(rounds, 5);
    assert!(is_at(begun.elapsed(), CANCEL_AFTER));
    println!("gannet's token: cancelled after 4.5 s, {rounds} rounds, at {:?}", begun.elapsed());
}

async fn a_child_is_stopped_alone_and_the_parent_stops_all() {
    let parent = CancellationToken::new();
    let (first, second) = (parent.child_token(), parent.child_token());
    let timers = async {
        sleep(CANCEL_AFTER - 2 * SECOND).await;
        first.cancel();
        assert!(!parent.is_cancelled() && !second.is_cancelled());
        sleep(2 * SECOND).await;
        parent.cancel();
    };
    let (of_first, of_second, ()) = tokio::join!(
        with_gannet::process(first.clone(), |_| {}),
        with_gannet::process(second.clone(), |_| {}),
        timers,
    );
    assert_eq!((of_first, of_second), (3, 5));
    println!("gannet's token: one child stopped after {of_first} rounds, the other with its parent after 5");
}

/// The word to stop comes while the third round works; that round works on to its end.
async fn work_between_two_awaits_is_not_interrupted() {
    let (stop, stopped) = watch::channel(false);
    let token = CancellationToken::new();
    let diary = RefCell::new(Vec::new());
    let round = |number: u32, cancel: &dyn Fn()| {
        diary.borrow_mut().push((number, "begun"));
        if number == 2 {
            cancel();
        }
        diary.borrow_mut().push((number, "ended"));
    };
    let whole: Vec<_> = (0..3).flat_map(|number| [(number, "begun"), (number, "ended")]).collect();

    let cancel = || {
        stop.send_replace(true);
    };
    assert_eq!(plain::process(stopped, |number| round(number, &cancel)).await, 3);
    assert_eq!(diary.take(), whole);

    let cancel = || token.cancel();
    assert_eq!(with_gannet::process(token.clone(), |number| round(number, &cancel)).await, 3);
    assert_eq!(diary.take(), whole);
    println!("both: cancelled amid the third round, which still ended");
}

async fn the_same_token_stops_a_fetch() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    let token = CancellationToken::new();
    let cancel = async {
        assert!(origin.wait_until(|seen| seen.in_flight == 1, PATIENCE).await);
        token.cancel();
    };
    let client = Client::new();
    let (rounds, fetched, ()) = tokio::join!(
        with_gannet::process(token.child_token(), |_| {}),
        client.get(origin.url("/?never")).text().cancel_on(&token.child_token()),
        cancel,
    );
    let error = fetched.expect_err("the origin never answers");
    assert!(error.is_cancelled() && !error.is_timeout(), "C#'s TaskCanceledException is both");
    assert_eq!(rounds, 1);
    assert!(origin.wait_until(|seen| seen.replies_aborted_by_client == 1, PATIENCE).await);
    println!("gannet: {error}; the origin saw its client leave");
    Ok(())
}

fn is_at(passed: Duration, expected: Duration) -> bool {
    (expected..expected + TICK).contains(&passed)
}
