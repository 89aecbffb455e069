//! Whether a list is the one that a journal's job had: before anything is sent, where a list can be read twice.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use gannet::source::Source;
use gannet::{Error, Journal};

/// What a list is to the job of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Same {
    /// Its list, with further lines perhaps.
    Yes,
    /// Another one; this is where they part, in words.
    No(String),
}

/// Compares a list with that of the journal, no further than that one goes and `most` lines at most. Blocks until so
/// much of it is read.
pub(super) fn compare(journal: &Journal, list: &mut dyn Source, most: u64) -> Result<Same, Error> {
    let reader = Journal::read(journal.path())?;
    let mut lines = reader.lines();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut count = 0u64;
    while !lines.is_over() && count < most {
        match list.poll_next(&mut context) {
            Poll::Pending => std::thread::park(),
            Poll::Ready(None) => {
                let all = reader.summary().lines;
                return Ok(Same::No(format!("it ends after {count} of {all} lines")));
            }
            Poll::Ready(Some(input)) => {
                count += 1;
                if !lines.is_next(&input.request)? {
                    return Ok(Same::No(match input.line {
                        Some(line) => format!("line {line} differs"),
                        None => format!("URL {count} differs"),
                    }));
                }
            }
        }
    }
    Ok(Same::Yes)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
