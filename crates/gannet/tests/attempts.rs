//! Anybody's call under the machine of fetches, in virtual time: deadline, retries, hedges and budget over closures;
//! and the example over reqwest, on the loopback.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gannet::{Attempts, AttemptsError, Calls, CancellationToken, Client, ErrorKind, HedgeAfter, WhyGaveUp};
use tokio::time::{Instant, sleep};

#[path = "../examples/attempts_reqwest.rs"]
#[expect(dead_code, reason = "its `main` is for cargo")]
mod example;

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

/// Counts those that live.
#[derive(Default, Clone)]
struct Alive(Arc<AtomicU32>);

struct Living(Alive);

impl Alive {
    fn one(&self) -> Living {
        self.0.fetch_add(1, Ordering::SeqCst);
        Living(self.clone())
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn fails(_: u32) -> Result<u32, io::Error> {
    Err(broken())
}

async fn numbers(number: u32) -> Result<u32, io::Error> {
    sleep(millis(10)).await;
    Ok(number)
}

fn is_send_and_unpin<T: Send + Unpin>(value: T) -> T {
    value
}

#[tokio::test(start_paused = true)]
async fn a_call_is_lazy_and_its_attempts_are_numbered_from_0() {
    let seen = Mutex::new(Vec::new());
    let call = gannet::attempts(|number| {
        seen.lock().expect("nobody panics").push(number);
        async move { if number < 2 { Err(number) } else { Ok("fine") } }
    })
    .retry(3);
    sleep(millis(50)).await;
    assert!(seen.lock().expect("nobody panics").is_empty());
    assert_eq!(call.await, Ok("fine"));
    assert_eq!(*seen.lock().expect("nobody panics"), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn when_all_attempts_fail_their_errors_are_given_in_order() {
    let error =
        gannet::attempts(async |number| Err::<(), _>(number * 7)).retry(2).await.expect_err("all fail");
    assert_eq!(error.why(), WhyGaveUp::RetriesUsedUp);
    assert_eq!(error.errors().collect::<Vec<_>>(), [(0, &0), (1, &7), (2, &14)]);
    assert_eq!((error.attempts(), error.last()), (3, Some(&14)));
    assert!(!error.is_timeout() && !error.is_cancelled());
    assert_eq!(error.to_string(), "all attempts failed, after 3 attempts");
    assert_eq!(error.into_last(), Some(14));
    let once = gannet::attempts(fails).await.expect_err("it is made once");
    assert_eq!(once.attempts(), 1);
    let whole: Box<dyn std::error::Error> = once.into();
    assert_eq!(whole.source().map(ToString::to_string), Some(broken().to_string()));
}

#[tokio::test(start_paused = true)]
async fn of_retries_without_end_the_newest_64_errors_are_kept() {
    let calls = Calls::with_budgets(None, None).expect("no bound is a bound");
    let call = calls.attempts(async |number| if number < 100 { Err(number) } else { Ok(number) });
    let error = call.retry(None).retry_if(|number| *number < 99).await.expect_err("99 is not retried");
    assert_eq!((error.why(), error.attempts()), (WhyGaveUp::NotRetryable, 100));
    let kept: Vec<(u32, u32)> = error.into_errors();
    assert_eq!(kept, (36..100).map(|number| (number, number)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn retries_wait_with_full_jitter_within_their_bounds() {
    let edges = [100, 200, 400, 400];
    let mut sums = [Duration::ZERO; 4];
    for _ in 0..200 {
        let starts = Mutex::new(Vec::new());
        let call = gannet::attempts(|number| {
            starts.lock().expect("nobody panics").push(Instant::now());
            async move { Err::<(), u32>(number) }
        });
        call.retry(4).backoff(millis(100), millis(400)).await.expect_err("all fail");
        let starts = starts.into_inner().expect("nobody panics");
        assert_eq!(starts.len(), 5);
        for (number, pair) in starts.windows(2).enumerate() {
            let waited = pair[1] - pair[0];
            // tokio's timers are whole milliseconds.
            assert!(waited <= millis(edges[number] + 1), "retry {number} after {waited:?}");
            sums[number] += waited;
        }
    }
    for (sum, edge) in sums.into_iter().zip(edges) {
        let mean = sum / 200;
        let spread = millis(edge * 4 / 10)..=millis(edge * 6 / 10 + 1);
        assert!(spread.contains(&mean), "{mean:?} of {edge} ms on average");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_pause_takes_the_place_of_the_backoff() {
    let began = Instant::now();
    gannet::attempts(fails).retry(3).retry_delay(millis(500)).await.expect_err("all fail");
    assert_eq!(began.elapsed(), millis(1_500));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_the_call_and_drops_it() {
    let alive = Alive::default();
    let silent = |_| {
        let living = alive.one();
        async move {
            let _living = living;
            std::future::pending::<Result<(), io::Error>>().await
        }
    };
    let began = Instant::now();
    let error = gannet::attempts(silent).timeout(millis(300)).await.expect_err("it is silent");
    assert!(error.is_timeout() && error.last().is_none());
    assert_eq!((began.elapsed(), alive.count()), (millis(300), 0));
    assert_eq!(error.to_string(), "the deadline came, after 1 attempt");

    let at = Instant::now() + millis(200);
    let call = gannet::attempts(silent).timeout(millis(300)).deadline(at).hedge(millis(50));
    let error = call.await.expect_err("it is silent");
    assert_eq!((error.why(), error.attempts(), alive.count()), (WhyGaveUp::Deadline, 2, 0));
    assert_eq!(Instant::now(), at);

    let over = gannet::attempts(silent).deadline(at).await.expect_err("it is over");
    assert_eq!(
        (over.attempts(), over.to_string()),
        (0, "the deadline came, before its first attempt".into())
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_at_the_deadline_is_not_thrown_away() {
    let answer = gannet::attempts(async |_| {
        sleep(millis(100)).await;
        Ok::<_, io::Error>(5)
    });
    assert_eq!(answer.timeout(millis(100)).await.ok(), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_wins_over_a_silent_call_and_the_loser_is_dropped_at_once() {
    let alive = Alive::default();
    let began = Instant::now();
    let call = gannet::attempts(|number| {
        let living = alive.one();
        async move {
            let _living = living;
            sleep(if number == 0 { millis(10_000) } else { millis(20) }).await;
            Ok::<_, io::Error>(number)
        }
    });
    assert_eq!(call.hedge(millis(100)).await.ok(), Some(1));
    assert_eq!((began.elapsed(), alive.count()), (millis(120), 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_never_wins_while_another_attempt_lives() {
    let call = gannet::attempts(async |number| {
        sleep(if number == 0 { millis(500) } else { millis(20) }).await;
        if number == 0 { Ok("the first") } else { Err("refused") }
    });
    assert_eq!(call.hedge(millis(100)).retry_if(|_| false).await, Ok("the first"));
}

#[tokio::test(start_paused = true)]
async fn a_learned_hedge_starts_after_a_hundred_calls_and_not_before() {
    let calls = Calls::new();
    for call in 0..120_u32 {
        let straggler = |attempt| async move {
            sleep(if attempt == 0 && call == 119 { millis(5_000) } else { millis(10) }).await;
            Ok::<_, io::Error>(attempt)
        };
        let began = Instant::now();
        let winner = calls.attempts(straggler).hedge(HedgeAfter::Auto).await.expect("none fails");
        if call == 119 {
            assert!(winner == 1 && began.elapsed() < millis(50), "{winner} after {:?}", began.elapsed());
        } else {
            assert_eq!(winner, 0);
        }
    }
    let alone = gannet::attempts(numbers).hedge(HedgeAfter::Auto).budget(&calls).await;
    assert_eq!(alone.ok(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_budget_shared_by_a_thousand_calls_holds_on_every_prefix() {
    let calls = Calls::new();
    let (firsts, extras) = (AtomicU32::new(0), AtomicU32::new(0));
    let fail = |attempt: u32| {
        let made = if attempt == 0 { &firsts } else { &extras };
        made.fetch_add(1, Ordering::SeqCst);
        let (firsts, extras) = (firsts.load(Ordering::SeqCst), extras.load(Ordering::SeqCst));
        assert!(extras <= (firsts / 5).max(10), "{extras} retries for {firsts} calls");
        async move {
            sleep(millis(u64::from(firsts % 7))).await;
            Err::<(), _>(broken())
        }
    };
    let starts = (0..1_000_u64).map(|number| {
        let call = calls.attempts(fail).retry(3);
        async move {
            sleep(millis(number)).await;
            call.await.expect_err("all fail")
        }
    });
    let errors = futures::future::join_all(starts).await;
    assert_eq!(firsts.into_inner(), 1_000);
    let extras = extras.into_inner();
    assert!((150..=200).contains(&extras), "{extras} retries");
    assert!(errors.iter().any(|error| error.why() == WhyGaveUp::BudgetEmpty));
    assert_eq!(errors.iter().map(|error| error.attempts()).sum::<u32>(), 1_000 + extras);
    assert_eq!(calls.budget().retry_left, Some(u64::from(200 - extras)));
    assert!(calls.budget().retry_refused > 500);
}

#[tokio::test(start_paused = true)]
async fn hedges_of_many_calls_stay_within_their_budget() {
    let calls = Calls::with_budgets(0.2, 0.05).expect("both are shares");
    let made = AtomicU32::new(0);
    let slow = |attempt: u32| {
        made.fetch_add(u32::from(attempt > 0), Ordering::SeqCst);
        async move {
            sleep(if attempt == 0 { millis(400) } else { millis(1) }).await;
            Ok::<_, io::Error>(attempt)
        }
    };
    let all = (0..1_000).map(|_| calls.attempts(slow).hedge(millis(100)));
    let winners = futures::future::join_all(all).await;
    assert_eq!(winners.into_iter().filter(|winner| matches!(winner, Ok(1))).count(), 50);
    assert_eq!(made.into_inner(), 50);
    assert!(Calls::with_budgets(1.5, None).is_err_and(|error| error.kind() == ErrorKind::Settings));
}

#[tokio::test(start_paused = true)]
async fn calls_may_draw_on_the_budget_of_a_client_and_inherit_its_scope() {
    let token = CancellationToken::new();
    let client = Client::builder().retry_budget(0.0).build().expect("the settings agree");
    let scoped = client.scope().deadline(Instant::now() + millis(50)).cancel_on(&token);
    let calls = scoped.calls();
    for _ in 0..4 {
        calls.attempts(fails).retry(3).retry_delay(Duration::ZERO).await.expect_err("all fail");
    }
    assert_eq!((client.budget().retry_left, client.gauges().budget_refused), (Some(0), 1));
    let silent = || calls.attempts(|_| std::future::pending::<Result<(), ()>>());
    assert!(silent().await.is_err_and(|error| error.is_timeout()));
    token.cancel();
    let calls = client.scope().cancel_on(&token).calls();
    assert!(calls.attempts(fails).await.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn a_token_stops_a_call_and_drops_it_and_one_cancelled_before_calls_nothing() {
    let (token, alive) = (CancellationToken::new(), Alive::default());
    let silent = |_| {
        let living = alive.one();
        async move {
            let _living = living;
            std::future::pending::<Result<(), io::Error>>().await
        }
    };
    let stop = async {
        sleep(millis(30)).await;
        token.cancel();
    };
    let (stopped, ()) = tokio::join!(gannet::attempts(silent).cancel_on(&token), stop);
    let stopped = stopped.expect_err("it was stopped");
    assert_eq!((stopped.why(), stopped.attempts(), alive.count()), (WhyGaveUp::Cancelled, 1, 0));
    let never = gannet::attempts(|_| -> std::future::Ready<Result<(), ()>> { panic!("it is called") });
    let error = never.cancel_on(&token).await.expect_err("it was stopped before");
    assert_eq!((error.is_cancelled(), error.attempts()), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn only_errors_that_are_to_be_retried_are() {
    let call = gannet::attempts(async |number| Err::<(), _>(if number == 1 { "not found" } else { "busy" }));
    let error = call.retry(5).retry_if(|error| *error == "busy").await.expect_err("it is not found");
    assert_eq!(error.why(), WhyGaveUp::NotRetryable);
    assert_eq!(error.into_errors(), [(0, "busy"), (1, "not found")]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_an_error_asks_for_is_kept_and_one_beyond_the_deadline_fails_at_once() {
    let busy = async |number: u32| if number == 0 { Err(millis(5_000)) } else { Ok(number) };
    let began = Instant::now();
    let answer = gannet::attempts(busy).retry(1).retry_after(|wait| Some(*wait)).await;
    assert_eq!(answer.ok(), Some(1));
    assert!((millis(5_000)..=millis(5_501)).contains(&began.elapsed()), "{:?}", began.elapsed());

    let began = Instant::now();
    let call = gannet::attempts(busy).retry(1).retry_after(|wait| Some(*wait)).timeout(millis(3_000));
    let error = call.await.expect_err("it has no time");
    let WhyGaveUp::NoTime { wanted, .. } = error.why() else { panic!("{error:?}") };
    assert!((millis(5_000)..=millis(5_500)).contains(&wanted), "{wanted:?}");
    assert!(error.to_string().contains("due in 5"), "{error}");
    assert_eq!(began.elapsed(), Duration::ZERO);

    let call = gannet::attempts(busy).retry(1).retry_after(|wait| Some(*wait)).retry_after_max(millis(4_000));
    let error = call.await.expect_err("it is too long");
    assert!(matches!(error.why(), WhyGaveUp::AskedToStayAway { wanted, .. } if wanted == millis(5_000)));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_goes_through_and_the_others_are_dropped() {
    let alive = Alive::default();
    let kept = alive.clone();
    let task = tokio::spawn(
        gannet::attempts(move |number| {
            let living = alive.one();
            async move {
                let _living = living;
                sleep(millis(500)).await;
                assert_eq!(number, 0, "the hedge breaks");
                std::future::pending::<Result<(), io::Error>>().await
            }
        })
        .hedge(millis(100)),
    );
    let panic = task.await.expect_err("it panics").into_panic();
    assert!(panic.downcast_ref::<String>().is_some_and(|message| message.contains("the hedge breaks")));
    assert_eq!(kept.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_drops_its_attempts_and_select_may_go_on_with_one() {
    let alive = Alive::default();
    let mut call = gannet::attempts(|_| {
        let living = alive.one();
        async move {
            let _living = living;
            sleep(millis(700)).await;
            Ok::<_, io::Error>("late")
        }
    })
    .hedge(millis(100))
    .timeout(millis(2_000));
    let began = Instant::now();
    tokio::select! {
        _ = &mut call => panic!("it is silent"),
        () = sleep(millis(300)) => assert_eq!(alive.count(), 2),
    }
    let answer = tokio::select! {
        answer = &mut call => answer,
        () = sleep(millis(1_000)) => panic!("it was begun anew"),
    };
    assert_eq!((answer.ok(), began.elapsed(), alive.count()), (Some("late"), millis(700), 0));

    let mut dropped = gannet::attempts(|_| {
        let living = alive.one();
        async move {
            let _living = living;
            std::future::pending::<Result<(), io::Error>>().await
        }
    });
    assert!(futures::poll!(&mut dropped).is_pending());
    assert_eq!(alive.count(), 1);
    drop(dropped);
    assert_eq!(alive.count(), 0);
}

/// Calls of any make, side by side.
type Kept = dyn Future<Output = Result<u32, AttemptsError<io::Error>>> + Send;

#[tokio::test(start_paused = true)]
async fn calls_are_spawned_joined_and_borrow_what_is_around_them() {
    let spawned = tokio::spawn(is_send_and_unpin(gannet::attempts(numbers).retry(1).timeout(millis(100))));
    assert_eq!(spawned.await.expect("it does not panic").ok(), Some(0));
    let names = ["a".to_owned(), "b".to_owned()];
    let calls = names.iter().map(|name| {
        gannet::attempts(move |number| async move {
            sleep(millis(5)).await;
            if number == 0 { Err(name.as_str()) } else { Ok(name.as_str()) }
        })
        .retry(1)
    });
    let joined = futures::future::join_all(calls).await;
    assert_eq!(joined, [Ok("a"), Ok("b")]);
    let kept: Vec<Pin<Box<Kept>>> =
        vec![Box::pin(gannet::attempts(numbers)), Box::pin(Calls::new().attempts(fails).retry(2))];
    let ends = futures::future::join_all(kept).await;
    assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 1);
}

/// The future can be named.
struct Holder<F, Fut>(Attempts<u32, io::Error, F, Fut>);

#[tokio::test(start_paused = true)]
async fn a_call_can_be_held_by_its_name_and_its_value_need_not_be_send() {
    let holder = Holder(gannet::attempts(numbers));
    assert_eq!(holder.0.await.ok(), Some(0));
    let local = std::rc::Rc::new(3);
    let shared = gannet::attempts(|_| std::future::ready(Ok::<_, ()>(std::rc::Rc::clone(&local))));
    assert_eq!(shared.await.as_deref(), Ok(&3));
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_the_delays_of_all_retries_are_bounded() {
    let began = Instant::now();
    let call = gannet::attempts(fails).retry(9).retry_after(|_| None);
    let error = call.backoff(Duration::from_secs(300), Duration::from_secs(300)).await.expect_err("all fail");
    assert_eq!(error.why(), WhyGaveUp::SleptEnough);
    assert!(began.elapsed() <= Duration::from_secs(121), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_example_over_reqwest_holds() {
    example::run().await.expect("its claims hold");
}
