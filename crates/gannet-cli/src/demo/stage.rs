//! Where a side plays: a fresh origin in a thread of its own, and a fresh runtime, so that neither side leaves
//! anything to the other and both meet the same draws. Nothing here knows the acts.

use std::io;
use std::time::{Duration, Instant};

use gannet_origin::{Counts, Origin, OriginBuilder};

/// How long the origin is given to see that the clients have left.
const PATIENCE: Duration = Duration::from_secs(2);

/// Plays one side: naive tokio or gannet. Its tasks end with it.
pub(super) fn side<T>(origin: OriginBuilder, play: impl AsyncFnOnce(&Origin) -> T) -> io::Result<T> {
    let origin = Origin::start_in_thread(origin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(play(&origin)))
}

/// How long after `since` the origin had nothing in flight any more, and what it had counted by then.
pub(super) async fn quiet(origin: &Origin, since: Instant) -> (Duration, Counts) {
    origin.wait_until(|counts| counts.in_flight == 0, PATIENCE).await;
    (since.elapsed(), origin.counts())
}
