//! What the origin saw: counts, a bounded log of requests, and waiting for a count to come true.
//! Only facts are taken down here; nothing in this room decides what is answered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Version};
use tokio::sync::Notify;

/// Paths whose requests are counted one by one; requests of further paths count only in the whole,
/// and a script sees each of them as the first.
const MAX_PATHS: usize = 1_000_000;

/// What an origin counted since it started, or since the last [`Origin::reset_counts`].
///
/// [`Origin::reset_counts`]: crate::Origin::reset_counts
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// The most connections that were open at once.
    pub peak_open_connections: u64,
    /// TLS handshakes that failed.
    pub tls_failures: u64,
    /// Requests whose head was read whole.
    pub requests: u64,
    /// Different paths, without the query, that they asked for; up to a million. Where each URL has a path of its
    /// own, what the requests are more than these was asked for again: retries, hedges, duplicates.
    pub paths: u64,
    /// Those of the requests that came over HTTP/2.
    pub requests_over_http2: u64,
    /// Requests that are not yet ended.
    pub in_flight: u64,
    /// The most requests that were in flight at once.
    pub peak_in_flight: u64,
    /// Replies of which every byte was handed to the socket.
    pub replies_complete: u64,
    /// Replies that the client did not wait for: it closed, reset the connection or reset the stream.
    pub replies_aborted_by_client: u64,
    /// Replies that the origin itself cut or left short, as it was told to.
    pub replies_cut: u64,
    /// TCP resets and HTTP/2 stream resets that the origin sent.
    pub resets_sent: u64,
    /// Connections that were closed when a next request's first byte came (`then-close`).
    pub dropped_unread: u64,
    /// Requests that a limit of rate or concurrency answered with 429.
    pub refused: u64,
    /// Heads that were no HTTP.
    pub bad_requests: u64,
    /// Bytes of replies: with heads over HTTP/1, bodies only over HTTP/2; before encryption.
    pub bytes_sent: u64,
}

impl Counts {
    /// Names each count with its value, in the order of the fields.
    pub fn entries(&self) -> [(&'static str, u64); 17] {
        [
            ("connections", self.connections),
            ("open_connections", self.open_connections),
            ("peak_open_connections", self.peak_open_connections),
            ("tls_failures", self.tls_failures),
            ("requests", self.requests),
            ("paths", self.paths),
            ("requests_over_http2", self.requests_over_http2),
            ("in_flight", self.in_flight),
            ("peak_in_flight", self.peak_in_flight),
            ("replies_complete", self.replies_complete),
            ("replies_aborted_by_client", self.replies_aborted_by_client),
            ("replies_cut", self.replies_cut),
            ("resets_sent", self.resets_sent),
            ("dropped_unread", self.dropped_unread),
            ("refused", self.refused),
            ("bad_requests", self.bad_requests),
            ("bytes_sent", self.bytes_sent),
        ]
    }

    /// Writes the counts as one JSON object on one line.
    pub fn to_json(&self) -> String {
        let object: serde_json::Map<_, _> =
            self.entries().into_iter().map(|(name, n)| (name.to_owned(), n.into())).collect();
        serde_json::Value::Object(object).to_string()
    }
}

/// How a request ended, as the origin saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HowEnded {
    /// Every byte of the reply was handed to the socket.
    Complete,
    /// The client went away, or reset the stream, before the reply was whole.
    ClientLeft,
    /// The origin cut the reply, as it was told to, or was stopped.
    WeCut,
}

/// One request, as it is kept in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Counts up from 0 by one for each request of this origin; never starts anew.
    pub seq: u64,
    /// The target as it was sent, without scheme and host.
    pub path_and_query: String,
    /// The method.
    pub method: Method,
    /// The range that it asked for, as it was sent.
    pub range: Option<String>,
    /// The version that the client spoke.
    pub http_version: Version,
    /// The connection that it came over; connections count up from 0.
    pub connection: u64,
    /// When its head had been read, since the start of the origin.
    pub started: Duration,
    /// When it ended, since the start of the origin, and how; `None` while it is in flight.
    pub ended: Option<(Duration, HowEnded)>,
}

/// The book that every connection writes to.
#[derive(Debug)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    changed: Notify,
    changed_blocking: Condvar,
    start: Instant,
    /// Requests that the log keeps.
    log_limit: usize,
}

#[derive(Debug, Default)]
struct Book {
    counts: Counts,
    by_path: HashMap<String, u64>,
    log: VecDeque<RequestRecord>,
    next_seq: u64,
    next_connection: u64,
    /// Waiters in async code; without any, no change needs to be announced.
    waiting: usize,
    waiting_blocking: usize,
}

/// A request as it begins.
pub(crate) struct Arrival<'a> {
    pub(crate) path_and_query: &'a str,
    pub(crate) range: Option<&'a str>,
    pub(crate) method: &'a Method,
    pub(crate) http_version: Version,
    pub(crate) connection: u64,
}

impl Ledger {
    pub(crate) fn new(log_limit: usize) -> Self {
        Self {
            book: Mutex::default(),
            changed: Notify::new(),
            changed_blocking: Condvar::new(),
            start: Instant::now(),
            log_limit,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        self.lock().log.iter().cloned().collect()
    }

    pub(crate) fn requests_to(&self, prefix: &str) -> u64 {
        self.lock().by_path.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(_, n)| n).sum()
    }

    /// Starts all counts anew, but for what is open or in flight now.
    pub(crate) fn reset(&self) {
        self.change(|book| {
            let Counts { open_connections, in_flight, .. } = book.counts;
            book.counts = Counts {
                open_connections,
                peak_open_connections: open_connections,
                in_flight,
                peak_in_flight: in_flight,
                ..Counts::default()
            };
            book.by_path.clear();
            book.log.clear();
        });
    }

    /// Takes down a change of the plain counts.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        self.change(|book| add(&mut book.counts));
    }

    pub(crate) fn connected(self: &Arc<Self>) -> ConnectionTicket {
        let number = self.change(|book| {
            book.counts.connections += 1;
            book.counts.open_connections += 1;
            book.counts.peak_open_connections =
                book.counts.peak_open_connections.max(book.counts.open_connections);
            book.next_connection += 1;
            book.next_connection - 1
        });
        ConnectionTicket { ledger: Arc::clone(self), number }
    }

    pub(crate) fn begin(self: &Arc<Self>, arrival: &Arrival<'_>) -> Ticket {
        let started = self.start.elapsed();
        let (seq, nth, paths) = self.change(|book| {
            let seq = book.next_seq;
            book.next_seq += 1;
            book.counts.requests += 1;
            book.counts.requests_over_http2 += u64::from(arrival.http_version == Version::HTTP_2);
            book.counts.in_flight += 1;
            book.counts.peak_in_flight = book.counts.peak_in_flight.max(book.counts.in_flight);
            if book.log.len() >= self.log_limit {
                book.log.pop_front();
            }
            if self.log_limit > 0 {
                book.log.push_back(RequestRecord {
                    seq,
                    path_and_query: arrival.path_and_query.to_owned(),
                    method: arrival.method.clone(),
                    range: arrival.range.map(str::to_owned),
                    http_version: arrival.http_version,
                    connection: arrival.connection,
                    started,
                    ended: None,
                });
            }
            let nth = book.nth_of_path(arrival.path_and_query);
            (seq, nth, book.counts.paths)
        });
        Ticket { ledger: Arc::clone(self), seq, nth, paths, is_ended: false }
    }

    fn end(&self, seq: u64, how: HowEnded, bytes_sent: u64) {
        let at = self.start.elapsed();
        self.change(|book| {
            book.counts.in_flight -= 1;
            book.counts.bytes_sent += bytes_sent;
            match how {
                HowEnded::Complete => book.counts.replies_complete += 1,
                HowEnded::ClientLeft => book.counts.replies_aborted_by_client += 1,
                HowEnded::WeCut => book.counts.replies_cut += 1,
            }
            let oldest = book.log.front().map_or(u64::MAX, |record| record.seq);
            let place = seq.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
            if let Some(record) = place.and_then(|place| book.log.get_mut(place)) {
                record.ended = Some((at, how));
            }
        });
    }

    pub(crate) async fn wait_until(
        &self,
        mut is_met: impl FnMut(&Counts) -> bool,
        timeout: Duration,
    ) -> bool {
        let _waiter = Waiter::enter(self);
        let until_met = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if is_met(&self.counts()) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, until_met).await.is_ok()
    }

    pub(crate) fn wait_until_blocking(
        &self,
        mut is_met: impl FnMut(&Counts) -> bool,
        timeout: Duration,
    ) -> bool {
        let mut book = self.lock();
        book.waiting_blocking += 1;
        let (mut book, waited) = self
            .changed_blocking
            .wait_timeout_while(book, timeout, |book| !is_met(&book.counts))
            .unwrap_or_else(PoisonError::into_inner);
        book.waiting_blocking -= 1;
        !waited.timed_out()
    }

    fn change<T>(&self, apply: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.lock();
        let result = apply(&mut book);
        let (waiting, waiting_blocking) = (book.waiting, book.waiting_blocking);
        drop(book);
        if waiting > 0 {
            self.changed.notify_waiters();
        }
        if waiting_blocking > 0 {
            self.changed_blocking.notify_all();
        }
        result
    }

    /// A panic elsewhere cannot leave the book half written in a way that matters to a test.
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn nth_of_path(&mut self, path_and_query: &str) -> u64 {
        let path = path_and_query.split('?').next().unwrap_or(path_and_query);
        if let Some(n) = self.by_path.get_mut(path) {
            *n += 1;
            return *n - 1;
        }
        if self.by_path.len() < MAX_PATHS {
            self.by_path.insert(path.to_owned(), 1);
            self.counts.paths += 1;
        }
        0
    }
}

/// Someone waits for a change; says so for as long as it lives.
struct Waiter<'a> {
    ledger: &'a Ledger,
}

impl<'a> Waiter<'a> {
    fn enter(ledger: &'a Ledger) -> Self {
        ledger.lock().waiting += 1;
        Self { ledger }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.ledger.lock().waiting -= 1;
    }
}

/// A connection that is open for as long as this lives.
#[derive(Debug)]
pub(crate) struct ConnectionTicket {
    ledger: Arc<Ledger>,
    number: u64,
}

impl ConnectionTicket {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for ConnectionTicket {
    fn drop(&mut self) {
        self.ledger.count(|counts| counts.open_connections -= 1);
    }
}

/// A request in flight; if it is dropped before it was ended, then the origin was stopped.
#[derive(Debug)]
pub(crate) struct Ticket {
    ledger: Arc<Ledger>,
    /// The number of the request at this origin.
    pub(crate) seq: u64,
    /// How many requests of the same path came before.
    pub(crate) nth: u64,
    /// How many different paths were asked for so far.
    pub(crate) paths: u64,
    is_ended: bool,
}

impl Ticket {
    /// Takes down the end, and how many bytes of the reply were sent.
    pub(crate) fn end(mut self, how: HowEnded, bytes_sent: u64) {
        self.is_ended = true;
        self.ledger.end(self.seq, how, bytes_sent);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_ended {
            self.ledger.end(self.seq, HowEnded::WeCut, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(path_and_query: &str) -> Arrival<'_> {
        let (method, http_version) = (&Method::GET, Version::HTTP_11);
        Arrival { path_and_query, range: None, method, http_version, connection: 0 }
    }

    #[test]
    fn the_log_keeps_the_last_requests_and_their_ends() {
        let ledger = Arc::new(Ledger::new(2));
        let tickets: Vec<_> = ["/a", "/b", "/c"].map(|path| ledger.begin(&arrival(path))).into();
        tickets.into_iter().for_each(|ticket| ticket.end(HowEnded::Complete, 0));
        let log = ledger.requests();
        assert_eq!(log.iter().map(|r| r.path_and_query.as_str()).collect::<Vec<_>>(), ["/b", "/c"]);
        assert!(log.iter().all(|r| matches!(r.ended, Some((_, HowEnded::Complete)))));
    }

    #[test]
    fn requests_are_counted_by_path_without_the_query() {
        let ledger = Arc::new(Ledger::new(0));
        let nth = ["/a/1?x", "/a/1?y", "/a/2", "/b"].map(|path| ledger.begin(&arrival(path)).nth);
        assert_eq!((nth, ledger.requests_to("/a"), ledger.requests_to("/a/1")), ([0, 1, 0, 0], 3, 2));
        assert_eq!((ledger.counts().requests, ledger.counts().paths), (4, 3));
    }

    #[test]
    fn a_reset_keeps_what_is_in_flight() {
        let ledger = Arc::new(Ledger::new(9));
        let ticket = ledger.begin(&arrival("/a"));
        ledger.reset();
        assert_eq!((ledger.counts().in_flight, ledger.counts().requests), (1, 0));
        ticket.end(HowEnded::ClientLeft, 0);
        assert_eq!((ledger.counts().in_flight, ledger.counts().replies_aborted_by_client), (0, 1));
    }

    #[tokio::test]
    async fn a_waiter_sees_a_change_that_comes_after_it_began_to_wait() {
        let ledger = Arc::new(Ledger::new(0));
        let (met, ()) =
            tokio::join!(ledger.wait_until(|counts| counts.requests == 1, Duration::from_secs(5)), async {
                ledger.begin(&arrival("/")).end(HowEnded::Complete, 0)
            });
        assert!(met);
    }
}
