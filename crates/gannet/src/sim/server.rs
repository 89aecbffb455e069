//! The servers of the simulated network: one task for each connection, HTTP/1.1 by hand, each reply's fate drawn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::sleep;

/// How often, out of a hundred, each thing goes wrong; and the dice that say when.
#[derive(Debug)]
pub(crate) struct Fates {
    dice: Mutex<fastrand::Rng>,
    /// Of a hundred connects, those refused, and those never answered.
    pub(crate) refused: u8,
    pub(crate) silent: u8,
    /// Of a hundred replies: never, an error status, cut, stalled, the connection closed after it.
    pub(crate) never: u8,
    pub(crate) failing: u8,
    pub(crate) cut: u8,
    pub(crate) stalled: u8,
    pub(crate) closing: u8,
    /// The longest usual delay.
    pub(crate) delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectFate {
    Accepted,
    Refused,
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyFate {
    Whole,
    Never,
    Failing(u16),
    Cut,
    Stalled,
}

impl Fates {
    /// Everything goes well, at once.
    pub(crate) fn kind(seed: u64) -> Self {
        Self {
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            refused: 0,
            silent: 0,
            never: 0,
            failing: 0,
            cut: 0,
            stalled: 0,
            closing: 0,
            delay: Duration::from_millis(20),
        }
    }

    /// How badly things go is itself drawn.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut kind = Self::kind(seed);
        let dice = kind.dice.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut share = |most: u8| if dice.bool() { dice.u8(0..=most) } else { 0 };
        let shares = [share(20), share(10), share(15), share(30), share(20), share(10), share(50)];
        [kind.refused, kind.silent, kind.never, kind.failing, kind.cut, kind.stalled, kind.closing] = shares;
        kind
    }

    pub(super) fn connect(&self) -> (Duration, ConnectFate) {
        let mut dice = self.dice();
        let delay = drawn_delay(&mut dice, self.delay);
        let throw = dice.u8(0..100);
        let fate = match throw {
            throw if throw < self.refused => ConnectFate::Refused,
            throw if throw < self.refused + self.silent => ConnectFate::Silent,
            _ => ConnectFate::Accepted,
        };
        (delay, fate)
    }

    fn reply(&self) -> (Duration, ReplyFate, KeepAlive) {
        let mut dice = self.dice();
        let delay = drawn_delay(&mut dice, self.delay);
        let throw = dice.u8(0..100);
        let keep_alive = if dice.u8(0..100) < self.closing { KeepAlive::No } else { KeepAlive::Yes };
        let status = *dice.choice(&[500, 503, 404, 429]).unwrap_or(&500);
        let edges = [
            (self.never, ReplyFate::Never),
            (self.failing, ReplyFate::Failing(status)),
            (self.cut, ReplyFate::Cut),
            (self.stalled, ReplyFate::Stalled),
        ];
        let mut edge = 0;
        for (share, fate) in edges {
            edge += share;
            if throw < edge {
                return (delay, fate, keep_alive);
            }
        }
        (delay, ReplyFate::Whole, keep_alive)
    }

    fn cut_at(&self, length: usize) -> usize {
        self.dice().usize(0..length)
    }

    fn dice(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeepAlive {
    Yes,
    No,
}

fn drawn_delay(dice: &mut fastrand::Rng, most: Duration) -> Duration {
    let straggles = dice.u8(0..100) == 0;
    let usual = most.mul_f64(dice.f64());
    if straggles { usual * 50 } else { usual }
}

/// What the servers see.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    requests: AtomicUsize,
    by_host: Mutex<HashMap<String, (usize, usize)>>,
}

impl Seen {
    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests that are being answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests received.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The most connections that any host had open at once.
    pub(crate) fn peak_of_a_host(&self) -> usize {
        self.hosts().values().map(|&(_, peak)| peak).max().unwrap_or(0)
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, (usize, usize)>> {
        self.by_host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts something for as long as it lives.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection's life at its server.
pub(super) async fn serve(host: String, mut pipe: DuplexStream, fates: Arc<Fates>, seen: Arc<Seen>) {
    let _open = Open::new(&seen.connections);
    {
        let mut hosts = seen.hosts();
        let (now, peak) = hosts.entry(host.clone()).or_default();
        *now += 1;
        *peak = (*peak).max(*now);
    }
    let mut request = Vec::new();
    while let Some(path) = next_request(&mut pipe, &mut request).await {
        let _in_flight = Open::new(&seen.in_flight);
        seen.requests.fetch_add(1, Ordering::Relaxed);
        let (delay, fate, keep_alive) = fates.reply();
        if gone_within(&mut pipe, delay).await {
            break;
        }
        let body = body_of(&path);
        let over = match fate {
            ReplyFate::Whole => answer(&mut pipe, 200, &body, body.len(), keep_alive).await,
            ReplyFate::Failing(status) => answer(&mut pipe, status, b"failed", 6, keep_alive).await,
            ReplyFate::Cut => {
                answer(&mut pipe, 200, &body[..fates.cut_at(body.len())], body.len(), KeepAlive::No).await
            }
            ReplyFate::Stalled => {
                let _ = answer(&mut pipe, 200, &body[..fates.cut_at(body.len())], body.len(), KeepAlive::Yes)
                    .await;
                gone_within(&mut pipe, Duration::from_secs(86_400)).await;
                KeepAlive::No
            }
            ReplyFate::Never => {
                gone_within(&mut pipe, Duration::from_secs(86_400)).await;
                KeepAlive::No
            }
        };
        if over == KeepAlive::No {
            break;
        }
    }
    if let Some((now, _)) = seen.hosts().get_mut(&host) {
        *now -= 1;
    }
}

/// The body that every server has under this path.
pub(crate) fn body_of(path: &str) -> Vec<u8> {
    let length = 200 + path.bytes().map(usize::from).sum::<usize>() % 40_000;
    path.bytes().cycle().take(length).collect()
}

async fn next_request(pipe: &mut DuplexStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let text = String::from_utf8_lossy(&head);
            return text.split(' ').nth(1).map(ToOwned::to_owned);
        }
        if pipe.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Waits, and tells whether the client went away meanwhile.
async fn gone_within(pipe: &mut DuplexStream, length: Duration) -> bool {
    let mut byte = [0; 1];
    tokio::select! {
        biased;
        read = pipe.read(&mut byte) => !matches!(read, Ok(length) if length > 0),
        () = sleep(length) => false,
    }
}

async fn answer(
    pipe: &mut DuplexStream,
    status: u16,
    body: &[u8],
    length: usize,
    keep: KeepAlive,
) -> KeepAlive {
    let connection = if keep == KeepAlive::Yes { "keep-alive" } else { "close" };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: {connection}\r\n\r\n");
    if pipe.write_all(head.as_bytes()).await.is_err() || pipe.write_all(body).await.is_err() {
        return KeepAlive::No;
    }
    keep
}
