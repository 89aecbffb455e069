//! What a journal costs: a job over a transport that answers at once, without one and with one; and the start of a job
//! of which nine tenths are done. `benches/journal.sh` builds and runs it.
//!
//! `journal_cost plain N`, `journal_cost journal N FOLDER`, `journal_cost start N FOLDER`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gannet::sink::Discard;
use gannet::source::Lines;
use gannet::{BoxFuture, Client, Durability, Error, Journal, Reply, Transport, WireRequest};

/// Answers at once, and counts.
#[derive(Clone, Default)]
struct AtOnce(Arc<AtomicU64>);

impl Transport for AtOnce {
    fn send(&self, _: WireRequest) -> BoxFuture<'_, Result<Reply, Error>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            let reply = http::Response::builder().header("etag", "\"0123456789abcdef\"");
            Ok(Reply::new(reply.body("some bytes").expect("it is a reply")))
        })
    }
}

/// Runs lines until so many outcomes have come, and says when the first request was sent, and in how much memory.
async fn run(lines: Lines, journal: Option<Journal>, at_most: u64) {
    let began = Instant::now();
    let transport = AtOnce::default();
    let client = Client::builder().transport(transport.clone()).build().expect("it fits together");
    let mut job = client.fetch_each(lines).save_with(Arc::new(Discard));
    if let Some(journal) = journal {
        job = job.journal(journal);
    }
    let (mut seen, mut is_told) = (0, false);
    while job.next().await.is_some() {
        seen += 1;
        if !is_told && transport.0.load(Ordering::Relaxed) > 0 {
            is_told = true;
            eprintln!("first request after {} ms, {}", began.elapsed().as_millis(), memory());
        }
        if seen == at_most {
            return;
        }
    }
    eprintln!("{seen} outcomes in {} ms, {}", began.elapsed().as_millis(), memory());
}

/// The most memory that the process has had, as Linux says it.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("no VmHWM");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A list of so many lines, made as it is read.
fn list(count: u64) -> Lines {
    struct Made(std::ops::Range<u64>, Vec<u8>);
    impl std::io::Read for Made {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                let numbers = self.0.by_ref().take(1000);
                self.1 = numbers
                    .flat_map(|number| format!("http://host/path/to/{number}\n").into_bytes())
                    .collect();
            }
            let length = into.len().min(self.1.len());
            into[..length].copy_from_slice(&self.1[..length]);
            self.1.drain(..length);
            Ok(length)
        }
    }
    Lines::from_reader(Made(0..count, Vec::new()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mode = words.first().map_or("plain", String::as_str);
    let count: u64 = words.get(1).map_or(100_000, |count| count.parse().expect("a number of URLs"));
    let folder = words.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let open = || Journal::open(folder.join("journal.sqlite"), Durability::Process).expect("it opens");
    match mode {
        "plain" => run(list(count), None, count + 1).await,
        "journal" => run(list(count), Some(open()), count + 1).await,
        "begin" => run(list(count), Some(open()), count / 10 * 9).await,
        "start" => run(list(count), Some(open()), count / 10 * 9 + 1000).await,
        other => panic!("{other}: plain, journal, begin or start"),
    }
}
