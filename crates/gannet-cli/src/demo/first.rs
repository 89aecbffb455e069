//! Act 3: the first that succeeds, though a failure is quicker.

use std::io;
use std::time::{Duration, Instant};

use gannet::{AllFailed, Client, First};
use gannet_origin::{Counts, Origin};

use super::lines::first as lines;
use super::naive::fetch;
use super::scene::{Scene, Verdict, count, millis};
use super::{Act, stage};

pub(super) const ACT: Act = Act {
    name: "first",
    what: "three mirrors: a quick 503, a good one after 200 ms, a silent one",
    lines: include_str!("lines/first.rs"),
    play,
};

/// The mirrors, as the origin is asked to behave; the good one is the second.
const MIRRORS: [&str; 3] =
    ["/mirror-0?status=503", "/mirror-1?delay=200ms&text=the%20good%20one", "/mirror-2?never"];
const GOOD: usize = 1;
/// By when the losers' requests have ended at the origin.
const LOSERS: Duration = Duration::from_millis(50);

/// What came of gannet's side.
struct Came {
    first: Result<First<String>, AllFailed>,
    taken: Duration,
    losers_ended: Duration,
    counts: Counts,
}

fn play() -> io::Result<Scene> {
    let (winner, text, taken) = stage::side(Origin::builder(), selected)?;
    let naive = match text {
        Ok(text) => format!("select!: mirror {winner} won after {}: {text}", millis(taken)),
        Err(error) => format!("select!: mirror {winner} won after {} with a failure: {error}", millis(taken)),
    };
    let came = stage::side(Origin::builder(), raced)?;
    let gannet = match &came.first {
        Ok(first) => format!("mirror {} won after {}: {}", first.index, millis(came.taken), first.value),
        Err(failed) => format!("failed after {}: {failed}", millis(came.taken)),
    };
    Ok(Scene {
        naive,
        gannet,
        origin: format!(
            "{} requests{}: {} answered, {} left by the client, all over {} after the win",
            count(came.counts.requests),
            if came.counts.requests > MIRRORS.len() as u64 { " (a 503 is asked again)" } else { "" },
            count(came.counts.replies_complete),
            count(came.counts.replies_aborted_by_client),
            millis(came.losers_ended),
        ),
        promise: format!("the first success wins, the losers end within {}", millis(LOSERS)),
        verdict: Verdict::of(verdict(&came)).within(LOSERS, came.losers_ended),
    })
}

fn verdict(came: &Came) -> Result<(), String> {
    match &came.first {
        Ok(first) if first.index != GOOD => Err(format!("mirror {} won", first.index)),
        Err(failed) => Err(failed.to_string()),
        Ok(_) if came.counts.in_flight > 0 => Err(format!("{} requests went on", came.counts.in_flight)),
        Ok(_) => Ok(()),
    }
}

/// Which mirror won, with what, and after how long.
async fn selected(origin: &Origin) -> (usize, io::Result<String>, Duration) {
    let began = Instant::now();
    let [quick, good, silent] = MIRRORS.map(|mirror| origin.url(mirror));
    let (winner, text) = tokio::select! {
        text = fetch(&quick) => (0, text),
        text = fetch(&good) => (1, text),
        text = fetch(&silent) => (2, text),
    };
    (winner, text, began.elapsed())
}

async fn raced(origin: &Origin) -> Came {
    let (client, mirrors) = (Client::new(), MIRRORS.map(|mirror| origin.url(mirror)));
    let began = Instant::now();
    let first = lines::first_of(&client, &mirrors).await;
    let won = Instant::now();
    let (losers_ended, counts) = stage::quiet(origin, won).await;
    Came { first, taken: won - began, losers_ended, counts }
}
