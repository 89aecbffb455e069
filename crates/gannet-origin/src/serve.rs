//! Accepts connections, finds out what they speak, and owns the task of each: when the accepting task
//! ends, all of them end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::count::{ConnectionTicket, Ledger};
use crate::hostile2::Hostility;
use crate::limits::{Entry, Gates};
use crate::link::{ClientLeft, Link, Wire};
use crate::reply::{Answer, Question, Rulebook};
use crate::tls_fault::{self, Clipped, TlsFault};
use crate::{hostile2, wire1, wire2};

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long accepting rests when the process has no descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// What every connection of an origin shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) rules: Rulebook,
    pub(crate) gates: Arc<Gates>,
    pub(crate) hostility: Option<Hostility>,
}

/// TLS as an origin speaks it.
#[derive(Clone)]
pub(crate) struct Guarded {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) fault: Option<TlsFault>,
}

impl Shared {
    /// Decides what a request gets; it is in for as long as the entry lives.
    pub(crate) fn answer(&self, question: &Question<'_>) -> (Answer, Entry) {
        let now = Instant::now();
        let (mut answer, entry) = self.rules.answer(question, |limits| self.gates.admit(limits, now));
        match (&entry, &mut answer) {
            (Entry::Refused, _) => self.ledger.count(|counts| counts.refused += 1),
            (Entry::Admitted(permit), Answer::Reply(reply)) => reply.delay = permit.work(reply.delay, now),
            _ => {}
        }
        (answer, entry)
    }
}

enum Woke {
    Accepted(std::io::Result<TcpStream>),
    ConnectionEnded,
}

/// Accepts connections for as long as it is polled.
///
/// # Cancel safety
///
/// Dropping it closes the listener and every connection.
pub(crate) async fn accept(listener: TcpListener, tls: Option<Guarded>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let woke = tokio::select! {
            accepted = listener.accept() => Woke::Accepted(accepted.map(|(stream, _)| stream)),
            Some(_) = connections.join_next() => Woke::ConnectionEnded,
        };
        match woke {
            // It came by an address of this machine that others may reach too.
            Woke::Accepted(Ok(stream)) if !is_within_this_machine(&stream) => drop(stream),
            Woke::Accepted(Ok(stream)) => {
                let ticket = shared.ledger.connected();
                connections.spawn(attend(stream, tls.clone(), Arc::clone(&shared), ticket));
            }
            Woke::Accepted(Err(_)) => tokio::time::sleep(ACCEPT_REST).await,
            Woke::ConnectionEnded => {}
        }
    }
}

fn is_within_this_machine(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback())
}

async fn attend(stream: TcpStream, tls: Option<Guarded>, shared: Arc<Shared>, ticket: ConnectionTicket) {
    // Without it replies only come later; nothing else depends on it.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return converse(stream, shared, &ticket).await;
    };
    match tls.fault {
        Some(TlsFault::Alert) => tls_fault::alert(stream).await,
        Some(TlsFault::Silence) => tls_fault::silence(stream).await,
        fault => return shake_hands(Clipped::new(stream, fault), &tls.acceptor, shared, &ticket).await,
    }
    shared.ledger.count(|counts| counts.tls_failures += 1);
}

async fn shake_hands(stream: Clipped, tls: &TlsAcceptor, shared: Arc<Shared>, ticket: &ConnectionTicket) {
    match tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, shared, ticket).await,
        Ok(Err(_)) | Err(_) => shared.ledger.count(|counts| counts.tls_failures += 1),
    }
}

async fn converse<W: Wire>(stream: W, shared: Arc<Shared>, ticket: &ConnectionTicket) {
    let mut link = Link::new(stream);
    match speaks_http2(&mut link).await {
        Ok(true) => match &shared.hostility {
            Some(hostility) if ticket.number() < hostility.connections => {
                hostile2::serve(link, &shared, hostility, ticket.number()).await;
            }
            _ => wire2::serve(link, shared, ticket.number()).await,
        },
        Ok(false) => wire1::serve(link, &shared, ticket.number()).await,
        Err(ClientLeft) => {}
    }
}

/// Reads as far as it takes to tell the preface of HTTP/2 from anything else.
async fn speaks_http2<W: Wire>(link: &mut Link<W>) -> Result<bool, ClientLeft> {
    loop {
        let seen = link.inbox.len().min(PREFACE.len());
        if link.inbox[..seen] != PREFACE[..seen] {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        link.fill().await?;
    }
}
