//! Runs a test under many seeds, each in virtual time, and says which one failed and how to run it again.

use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// The variable that names the one seed to run.
const SEED: &str = "GANNET_SIM_SEED";

/// How long one case may take, in virtual time.
const CASE: Duration = Duration::from_secs(86_400);

/// Runs `case` once for each seed, each time in a fresh runtime of one thread whose clock is paused: when everything
/// waits, time jumps to the next timer. Gives back what each case came to, with its seed.
///
/// With the variable `GANNET_SIM_SEED` set, only that seed is run, whatever the range. The runtimes have timers and no
/// sockets; a case may take a day of virtual time.
///
/// # Panics
/// If a case panics, its seed and the way to run it again are printed to standard error, and the panic goes on. The
/// same if a case hangs, that is, does not end within a day of virtual time; if `GANNET_SIM_SEED` is no number; and if
/// called within a runtime.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use gannet::sim::{Faults, Replies, each_seed};
///
/// let bytes = each_seed(0..100, async |seed| {
///     let replies = Replies::new().on("https://a.example/x", "hello");
///     let client = Faults::drawn(seed, replies).client();
///     let text = client.get("https://a.example/x").text().timeout(Duration::from_secs(60)).await;
///     text.map_or(0, |text| text.len())
/// });
/// assert!(bytes.iter().all(|(seed, length)| [0, 5].contains(length)));
/// ```
pub fn each_seed<T>(seeds: Range<u64>, case: impl AsyncFn(u64) -> T) -> Vec<(u64, T)> {
    let seeds = match std::env::var(SEED) {
        Err(_) => seeds,
        Ok(text) => match text.parse() {
            Ok(seed) => seed..u64::saturating_add(seed, 1),
            Err(_) => panic!("{SEED} is no seed: {text}"),
        },
    };
    seeds.map(|seed| (seed, told(seed, || in_virtual_time(case(seed))))).collect()
}

fn told<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(came) => came,
        Err(failure) => {
            eprintln!("failed under seed {seed}; again: {SEED}={seed} and the same command");
            resume_unwind(failure)
        }
    }
}

fn in_virtual_time<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread without sockets can be built");
    let Ok(came) = runtime.block_on(async { tokio::time::timeout(CASE, case).await }) else {
        panic!("the case hangs: it did not end within a day of virtual time");
    };
    came
}
