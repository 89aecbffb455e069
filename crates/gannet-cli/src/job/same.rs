//! Whether a list is the one that a journal's job had: before anything is sent, where a list can be read twice.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use gannet::source::Source;
use gannet::{Error, Journal, Recorded, Request};

/// What a list is to the job of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Same {
    /// Its list, with further lines perhaps.
    Yes,
    /// Another one; this is where they part, in words.
    No(String),
}

/// Compares so many lines of a list with that of the journal at most, and no further than that one goes. Blocks until so
/// much of it is read.
pub(super) fn compare(journal: &Journal, list: &mut dyn Source, at_most: u64) -> Result<Same, Error> {
    let reader = Journal::read(journal.path())?;
    let mut lines = reader.lines();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut count = 0u64;
    while !lines.is_over() && count < at_most {
        match list.poll_next(&mut context) {
            Poll::Pending => std::thread::park(),
            Poll::Ready(None) => {
                let all = reader.summary().lines;
                return Ok(Same::No(format!("it ends after {count} of {all} lines")));
            }
            Poll::Ready(Some(input)) => {
                if !lines.is_next(&input.request)? {
                    let which = match input.line {
                        Some(line) => format!("line {line} differs"),
                        None => format!("URL {} differs", count + 1),
                    };
                    return Ok(Same::No(which + &was(reader.row(count)?, &input.request)));
                }
                count += 1;
            }
        }
    }
    Ok(Same::Yes)
}

/// What a line was, as far as it can be told.
fn was(row: Option<Recorded>, now: &Result<Request, Error>) -> String {
    match (row, now) {
        (Some(row), Ok(now)) if *row.url == *now.url() => " in its method, name or id".to_owned(),
        (Some(row), _) => format!(", which was {}", row.url),
        (None, _) => String::new(),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
