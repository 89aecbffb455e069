//! Makes each kind of error occur that only the library can meet; the program's tests make the others.

#![cfg(all(feature = "cookies", feature = "journal", feature = "json", feature = "tls", feature = "http1"))]

mod of_the_library;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use gannet::sink::{Memory, Ordered, Sink};
use gannet::{
    BoxFuture, Client, Cookies, Durability, Error, ErrorKind, Journal, Outcome, Reply, Request, Transport,
    WireRequest,
};
use gannet_origin::Origin;

use crate::of_the_library::OF_THE_LIBRARY;

/// A transport that never gets through.
struct Broken;

impl Transport for Broken {
    fn send(&self, _: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        Box::pin(async { Err(Error::transport("it is broken")) })
    }
}

/// A writer whose reader has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn saved(origin: &Origin, sink: Arc<dyn Sink>) -> Option<Error> {
    let request = Request::new(&origin.url("/?size=4000000")).expect("a URL");
    let mut job = Client::new().fetch_each([request]).save_with(sink);
    let outcome: Outcome = job.next().await.expect("one request has one outcome");
    outcome.error().cloned()
}

/// The error of this kind; `None` if nobody knows how it is made.
async fn make(kind: ErrorKind, origin: &Origin) -> Option<Error> {
    let client = Client::builder().retries(0);
    match kind {
        ErrorKind::BadCookie => Cookies::new().load_netscape(&b"no cookie"[..]).err(),
        ErrorKind::NoInput => {
            client.build().ok()?.fetch_first(Vec::<Request>::new()).await.err().map(Error::from)
        }
        ErrorKind::NoRuntime => {
            let outside = || futures::executor::block_on(gannet::get("http://localhost/").text());
            std::thread::spawn(outside).join().ok()?.err()
        }
        ErrorKind::TlsSettings => client.trust_authorities("no certificate").build().err(),
        ErrorKind::Settings => client.per_host(0).build().err(),
        ErrorKind::BadBody => client.build().ok()?.get(origin.url("/?text=x")).into_json::<u64>().await.err(),
        ErrorKind::QueueTimeout => {
            let client = client.per_host(1).queue_timeout(Duration::from_millis(50)).build().ok()?;
            let _unread = client.get(origin.url("/?size=4000000")).await.ok()?;
            client.get(origin.url("/")).text().await.err()
        }
        ErrorKind::SinkClosed => saved(origin, Arc::new(Ordered::to(Gone))).await,
        ErrorKind::MemoryFull => saved(origin, Arc::new(Memory::new(64 << 20, 1000))).await,
        ErrorKind::Transport => {
            client.transport(Broken).build().ok()?.get(origin.url("/")).text().await.err()
        }
        _ => of_journal(kind).await,
    }
}

/// The errors of a journal, of one whose only line was not finished.
async fn of_journal(kind: ErrorKind) -> Option<Error> {
    let folder = std::env::temp_dir().join(format!("gannet-codes-{}-{}", std::process::id(), kind.code()));
    std::fs::create_dir_all(&folder).ok()?;
    let path = folder.join("journal.sqlite");
    let open = || Journal::open(&path, Durability::Process);
    let client = Client::builder().retries(0).build().ok()?;
    let error = match kind {
        ErrorKind::JournalLocked => {
            let _first = open().ok()?;
            open().err()
        }
        ErrorKind::JournalFailed => Journal::read(folder.join("none")).err(),
        ErrorKind::JournalDamaged => {
            std::fs::write(&path, "no journal".repeat(1000)).ok()?;
            open().err()
        }
        ErrorKind::JournalNewer => {
            drop(open().ok()?);
            let mut bytes = std::fs::read(&path).ok()?;
            // `user_version` in SQLite's file format.
            bytes[63] += 1;
            std::fs::write(&path, bytes).ok()?;
            open().err()
        }
        ErrorKind::JournalOtherList => {
            let journal = open().ok()?;
            let mut first = client.fetch_each(["http://127.0.0.1:1/", "http://127.0.0.1:1/"]);
            first = first.concurrency(1).journal(journal.clone()).fail_early();
            while first.next().await.is_some() {}
            drop((first, journal));
            let mut other = client.fetch_each(["http://127.0.0.1:2/"]).journal(open().ok()?);
            other.next().await?.error().cloned()
        }
        _ => None,
    };
    drop(std::fs::remove_dir_all(folder));
    error
}

#[tokio::test]
async fn each_kind_that_is_the_librarys_alone_occurs() {
    let origin = Origin::builder().start().await.expect("a port is free");
    for kind in OF_THE_LIBRARY {
        let error = make(kind, &origin).await.unwrap_or_else(|| panic!("{} did not occur", kind.code()));
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}
