//! Tests a function of one's own under 1,000 seeded faulty networks, in virtual time: hours pass in a second or two.
//!
//! The function gets a price from one of two mirrors within a deadline. Two versions are tried: the usual one, which
//! asks the mirrors in turn, and one that races them. Claim: both only ever give the right price, though replies are
//! cut, stalled, reset and refused; the usual one is late under some seeds, and the worst of them is named; the race
//! never is, and gets the price in time under more of them.
//!
//! One seed again: `GANNET_SIM_SEED=17 cargo run -p gannet --features sim --example sim_faults`

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use gannet::Client;
use gannet::sim::{Fault, Faults, Replies, each_seed};
use tokio::time::Instant;

const MIRRORS: [&str; 2] = ["https://one.example/price", "https://two.example/price"];
const PRICE: u64 = 1_299;
const WITHIN: Duration = Duration::from_secs(5);
/// What is still in time: a timer ticks in milliseconds.
const TICK: Duration = Duration::from_millis(2);

/// The code under test: what somebody's own crate would hold.
mod prices {
    use std::error::Error;
    use std::time::Duration;

    use gannet::Client;

    type Price = Result<u64, Box<dyn Error>>;

    /// The usual version: the second mirror when the first has failed.
    pub(super) async fn in_turn(client: &Client, mirrors: [&str; 2], within: Duration) -> Price {
        let [first, second] = mirrors;
        let text = match client.get(first).text().timeout(within).await {
            Ok(text) => text,
            Err(_) => client.get(second).text().timeout(within).await?,
        };
        Ok(text.trim().parse()?)
    }

    /// Both at once.
    pub(super) async fn raced(client: &Client, mirrors: [&str; 2], within: Duration) -> Price {
        let first = client.fetch_first(mirrors).text().timeout(within).await?;
        Ok(first.value.trim().parse()?)
    }
}

/// What came of one seed.
struct Came {
    price: Option<u64>,
    took: Duration,
    fates: String,
}

/// What came of all of them.
struct Found {
    obtained: usize,
    late: usize,
    worst: (u64, Came),
}

/// The network of one seed: how badly it behaves is drawn too, and one mirror in five is down at first.
fn network(seed: u64) -> Faults {
    let served = format!("{PRICE}\n");
    let replies = MIRRORS.iter().fold(Replies::new(), |replies, url| replies.on(url, served.clone()));
    let faults = Faults::drawn(seed, replies).with(Fault::Silent, 0.1);
    match seed % 5 {
        0 => faults.outage("one.example", Duration::ZERO..Duration::from_secs(60)),
        _ => faults,
    }
}

/// Runs one version under every seed.
fn tried(seeds: Range<u64>, version: impl AsyncFn(&Client) -> Result<u64, Box<dyn Error>>) -> Found {
    let came = each_seed(seeds, async |seed| {
        let network = network(seed);
        let began = Instant::now();
        let price = version(&network.client()).await.ok();
        let took = began.elapsed();
        assert!(price.is_none_or(|price| price == PRICE), "a wrong price: {price:?}");
        let fates: Vec<String> = network.fates().iter().map(|fate| format!("    {fate}\n")).collect();
        Came { price, took, fates: fates.concat() }
    });
    Found {
        obtained: came.iter().filter(|(_, came)| came.price.is_some()).count(),
        late: came.iter().filter(|(_, came)| came.took > WITHIN + TICK).count(),
        worst: came.into_iter().max_by_key(|(_, came)| came.took).expect("some seed was run"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    run(0..1_000)
}

/// Tries both versions and holds the claim.
pub(crate) fn run(seeds: Range<u64>) -> Result<(), Box<dyn Error>> {
    let in_turn = tried(seeds.clone(), async |client| prices::in_turn(client, MIRRORS, WITHIN).await);
    let raced = tried(seeds, async |client| prices::raced(client, MIRRORS, WITHIN).await);
    for (name, found) in [("in turn", &in_turn), ("raced", &raced)] {
        let (seed, worst) = &found.worst;
        println!("{name}: the price under {} seeds, late under {}", found.obtained, found.late);
        println!("  the slowest took {:?}: GANNET_SIM_SEED={seed}\n{}", worst.took, worst.fates);
    }
    assert_eq!(raced.late, 0, "a deadline holds");
    if std::env::var_os("GANNET_SIM_SEED").is_none() {
        assert!(in_turn.late > 0, "the usual version is late under some seed");
        assert!(raced.obtained > in_turn.obtained - in_turn.late, "a race gets more in time");
    }
    Ok(())
}
