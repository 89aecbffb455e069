//! Act 2: all of them by a deadline, though a few never answer.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gannet::{Ending, Error};
use gannet_origin::{Counts, Origin};

use super::lines::all as lines;
use super::naive::Window;
use super::scene::{Scene, Verdict, count, seconds};
use super::{Act, stage};

pub(super) const ACT: Act = Act {
    name: "all",
    what: "2,000 URLs, of which 6 never answer, by a deadline of 2 s",
    lines: include_str!("lines/all.rs"),
    play,
};

const URLS: usize = 2_000;
const SILENT: usize = 6;
/// Every so many URLs, one is silent.
const SILENT_EVERY: usize = URLS / SILENT;
const DEADLINE: Duration = Duration::from_secs(2);
/// By how much gannet may be over its deadline.
const GRACE: Duration = Duration::from_millis(250);
/// After so long nobody waits for the naive side any more.
const NAIVE_PATIENCE: Duration = Duration::from_secs(3);
/// Requests in flight at once, as on the other side.
const WINDOW: usize = 64;

/// What came of gannet's side.
struct Came {
    kept: usize,
    unfinished: usize,
    other: usize,
    taken: Duration,
    counts: Counts,
}

fn play() -> io::Result<Scene> {
    let waiting = stage::side(Origin::builder(), joined)?;
    let came = stage::side(Origin::builder(), fetched)?.map_err(io::Error::other)?;
    let naive = if waiting == 0 {
        format!("join_all: done before {}", seconds(NAIVE_PATIENCE))
    } else {
        let (waiting, after) = (count(waiting), seconds(NAIVE_PATIENCE));
        format!("join_all: still waiting for {waiting} of {} at {after}, nothing handed over", count(URLS))
    };
    let Came { kept, unfinished, taken, counts, .. } = &came;
    Ok(Scene {
        naive,
        gannet: format!("{}: {} kept, {} unfinished", seconds(*taken), count(*kept), count(*unfinished)),
        origin: format!(
            "{} requests: {} answered, {} left by the client",
            count(counts.requests),
            count(counts.replies_complete),
            count(counts.replies_aborted_by_client),
        ),
        promise: format!("over by {} + {} ms, no outcome lost", seconds(DEADLINE), GRACE.as_millis()),
        verdict: verdict(&came).within(DEADLINE + GRACE, *taken),
    })
}

fn verdict(came: &Came) -> Verdict {
    let Came { kept, unfinished, other, .. } = came;
    if kept + unfinished != URLS || *other > 0 || *unfinished < SILENT {
        return Verdict::Broken(format!("{kept} kept, {unfinished} unfinished, {other} ended otherwise"));
    }
    if *unfinished > SILENT {
        return Verdict::Late(format!("{unfinished} of {SILENT} were unfinished"));
    }
    Verdict::Held
}

/// How many fetches are not done when nobody waits any more.
async fn joined(origin: &Origin) -> usize {
    let (window, done, urls) = (Window::new(WINDOW), Cell::new(0), urls(origin));
    let each = urls.iter().map(|url| async {
        let text = window.fetch(url).await;
        done.set(done.get() + 1);
        text
    });
    match tokio::time::timeout(NAIVE_PATIENCE, join_all(each)).await {
        Ok(_) => 0,
        Err(_) => URLS - done.get(),
    }
}

async fn fetched(origin: &Origin) -> Result<Came, Error> {
    let (urls, began) = (urls(origin), Instant::now());
    let outcomes = lines::all_by(&urls, DEADLINE).await?;
    let taken = began.elapsed();
    let (_, counts) = stage::quiet(origin, Instant::now()).await;
    let ended = |ending| outcomes.iter().filter(|outcome| outcome.ending() == ending).count();
    let (kept, unfinished) = (ended(Ending::Ok), ended(Ending::Unfinished));
    Ok(Came { kept, unfinished, other: outcomes.len() - kept - unfinished, taken, counts })
}

fn urls(origin: &Origin) -> Vec<String> {
    let query = |number: usize| if number % SILENT_EVERY == 7 { "never" } else { "delay=5ms&size=1k" };
    (0..URLS).map(|number| origin.url(&format!("/all/{number}?{}", query(number)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_urls_are_silent_as_the_act_says() {
        assert_eq!((0..URLS).filter(|number| number % SILENT_EVERY == 7).count(), SILENT);
    }
}
