//! Names to addresses: the system's resolver on detached threads, with a cache, one look-up at a time for each
//! name, and a bound on threads. A resolver that blocks for ever holds one thread, never the runtime.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::Moment;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};

/// How long an answer serves where no TTL is known.
const ANSWER_LIFE: Duration = Duration::from_secs(60);
/// How long a failure serves.
const FAILURE_LIFE: Duration = Duration::from_secs(2);
/// Threads that may be inside the system's resolver at once.
const THREADS: usize = 16;
/// Names that are remembered.
const NAMES: usize = 10_000;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 16;

type Answer = Result<Arc<[IpAddr]>, Error>;
/// An answer and how long it serves, once there is one.
type Told = Option<(Answer, Moment)>;

/// A caching, single-flight look-up.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    clock: Clock,
    shared: Arc<Mutex<Names>>,
}

#[derive(Debug, Default)]
struct Names {
    known: HashMap<Box<str>, watch::Receiver<Told>>,
    waiting: VecDeque<(Box<str>, watch::Sender<Told>)>,
    threads: usize,
}

impl Resolver {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, shared: Arc::default() }
    }

    /// The addresses of `host`, at most 16 of them.
    ///
    /// # Cancel safety
    /// Dropping it leaves the look-up to others that wait for it, or to the cache.
    pub(crate) async fn look_up(&self, host: &str) -> Answer {
        let mut answer = self.ask(host);
        let known = answer.wait_for(Option::is_some).await;
        match known.as_deref() {
            Ok(Some((answer, _))) => answer.clone(),
            Ok(None) | Err(_) => Err(failed("the resolver's thread ended without an answer")),
        }
    }

    fn ask(&self, host: &str) -> watch::Receiver<Told> {
        let now = self.clock.now();
        let mut names = self.lock();
        if let Some(known) = names.known.get(host) {
            let given_up = known.borrow().is_none() && known.has_changed().is_err();
            let serves = known.borrow().as_ref().is_none_or(|(_, until)| now < *until);
            if serves && !given_up {
                return known.clone();
            }
        }
        if names.known.len() >= NAMES {
            names.known.retain(|_, known| known.borrow().as_ref().is_none_or(|(_, until)| now < *until));
        }
        if names.known.len() >= NAMES {
            names.known.retain(|_, known| known.borrow().is_none());
        }
        let (told, answer) = watch::channel(None);
        names.known.insert(host.into(), answer.clone());
        names.waiting.push_back((host.into(), told));
        if names.threads < THREADS {
            names.threads += 1;
            let (shared, clock) = (Arc::clone(&self.shared), self.clock);
            let thread = std::thread::Builder::new().name("gannet-dns".into()).stack_size(256 << 10);
            if thread.spawn(move || serve(&shared, clock)).is_err() {
                names.threads -= 1;
                names.waiting.pop_back();
            }
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's life: look-ups until none is waiting.
fn serve(shared: &Mutex<Names>, clock: Clock) {
    loop {
        let next = {
            let mut names = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let next = names.waiting.pop_front();
            if next.is_none() {
                names.threads -= 1;
            }
            next
        };
        let Some((host, told)) = next else { return };
        // The cache's own receiver is no waiter: what nobody waits for any more is not looked up.
        if told.receiver_count() > 1 {
            let answer = system_look_up(&host);
            let life = if answer.is_ok() { ANSWER_LIFE } else { FAILURE_LIFE };
            told.send_replace(Some((answer, clock.now() + life)));
        }
    }
}

fn system_look_up(host: &str) -> Answer {
    match (host, 0).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address: SocketAddr| address.ip()) {
                if addresses.len() < ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() {
                return Err(not_found(host));
            }
            Ok(addresses.into())
        }
        Err(cause) => {
            let text = cause.to_string();
            // getaddrinfo's codes are not passed on by the standard library, only their text.
            let unknown = ["not known", "No address associated", "nodename nor servname", "No such host"];
            if unknown.iter().any(|sign| text.contains(sign)) {
                return Err(not_found(host).caused_by(cause));
            }
            Err(failed(&format!("look-up of {host} failed: {text}")).caused_by(cause))
        }
    }
}

fn not_found(host: &str) -> Error {
    Error::new(ErrorKind::NameNotFound, Phase::Dns, format!("the name {host} does not exist"))
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::LookupFailed, Phase::Dns, message)
}
