//! Act 5: the slowest of many, with a second request against silence, and what that costs the origin.

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gannet::{Ending, WhyStarted};
use gannet_origin::{Origin, OriginBuilder};

use super::lines::hedge as lines;
use super::naive::Window;
use super::scene::{Scene, Verdict, count, millis};
use super::{Act, stage};

pub(super) const ACT: Act = Act {
    name: "hedge",
    what: "2,000 requests of about 10 ms, of which 1 % take 50 times as long",
    lines: include_str!("lines/hedge.rs"),
    play,
};

const REQUESTS: usize = 2_000;
const BEHAVIOUR: &str = "latency=lognormal:10ms,0.2&stragglers=1%25x50";
/// Silence that is answered with a further request.
const AFTER: Duration = Duration::from_millis(100);
/// Extra requests that gannet is allowed, as a share of first ones.
const BUDGET: f64 = 0.02;
/// Requests at once, as on the other side.
const WINDOW: usize = 64;
/// The hedged p99.9 is at most the plain one through this.
const GAIN: u32 = 2;

/// Times of the requests, the shortest first, and the requests that the origin counted for them.
struct Tail {
    times: Vec<Duration>,
    requests: u64,
    hedges: usize,
}

fn play() -> io::Result<Scene> {
    let plain = stage::side(stragglers(), joined)??;
    let hedged = stage::side(stragglers(), fetched)??;
    let extra = hedged.requests.saturating_sub(REQUESTS as u64);
    let share = |requests: u64| requests as f64 * 100.0 / REQUESTS as f64;
    Ok(Scene {
        naive: format!("join_all:      {}", plain.quantiles()),
        gannet: format!("hedge(100 ms): {}", hedged.quantiles()),
        origin: format!(
            "{} requests, then {}: {:.1} % extra for {} hedges",
            count(plain.requests),
            count(hedged.requests),
            share(extra),
            count(hedged.hedges),
        ),
        promise: format!("at most {:.0} % extra, and p99.9 in less than half the time", BUDGET * 100.0),
        verdict: verdict(&plain, &hedged, extra),
    })
}

fn verdict(plain: &Tail, hedged: &Tail, extra: u64) -> Verdict {
    if hedged.times.len() != REQUESTS {
        return Verdict::Broken(format!("{} of {REQUESTS} were obtained", hedged.times.len()));
    }
    if extra as f64 > BUDGET * REQUESTS as f64 {
        return Verdict::Broken(format!("{extra} extra requests"));
    }
    Verdict::Held.within(plain.quantile(0.999) / GAIN, hedged.quantile(0.999))
}

impl Tail {
    fn new(mut times: Vec<Duration>, requests: u64, hedges: usize) -> Self {
        times.sort_unstable();
        Self { times, requests, hedges }
    }

    /// The time within which this share of the requests was over.
    fn quantile(&self, share: f64) -> Duration {
        let place = (self.times.len() as f64 * share).ceil() as usize;
        self.times.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    fn quantiles(&self) -> String {
        let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| millis(self.quantile(share)));
        format!("p50 {half:>6}   p99 {most:>6}   p99.9 {nearly_all:>6}")
    }
}

async fn joined(origin: &Origin) -> io::Result<Tail> {
    let (window, urls) = (Window::new(WINDOW), urls(origin));
    let each = urls.iter().map(|url| window.timed(url));
    let times = join_all(each).await.into_iter().collect::<io::Result<_>>()?;
    Ok(Tail::new(times, origin.counts().requests, 0))
}

async fn fetched(origin: &Origin) -> io::Result<Tail> {
    let outcomes = lines::hedged(&urls(origin), AFTER).await.map_err(io::Error::other)?;
    let (_, counts) = stage::quiet(origin, Instant::now()).await;
    let obtained = outcomes.iter().filter(|outcome| outcome.ending() == Ending::Ok);
    let attempts = outcomes.iter().flat_map(gannet::Outcome::attempts);
    let hedges = attempts.filter(|attempt| attempt.why_started == WhyStarted::Hedge).count();
    Ok(Tail::new(obtained.map(gannet::Outcome::total).collect(), counts.requests, hedges))
}

/// The same draws on both sides: each has an origin of its own, of the same seed.
fn stragglers() -> OriginBuilder {
    Origin::builder().seed(7).behave("/hedge", BEHAVIOUR)
}

fn urls(origin: &Origin) -> Vec<String> {
    (0..REQUESTS).map(|number| origin.url(&format!("/hedge/{number}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_time_of_the_request_at_its_place() {
        let tail = Tail::new((1..=1_000).rev().map(Duration::from_millis).collect(), 1_000, 0);
        let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| tail.quantile(share).as_millis());
        assert_eq!((half, most, nearly_all), (500, 990, 999));
    }
}
