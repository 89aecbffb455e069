//! Whether a list is the one that a journal's job had: before anything is sent, where a list can be read twice.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use gannet::source::{Input, Source};
use gannet::{Error, ErrorKind, Journal, Recorded, Request};

/// What a list is to the job of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Same {
    /// Its list, with further lines perhaps.
    Yes,
    /// Another one; this is where they part, in words.
    No(String),
    /// The same, and there is no URL in it.
    Empty(String),
    /// It cannot be read so far: what there is of it is the same.
    Torn,
}

/// Compares so many lines of a list with that of the journal at most, and no further than that one goes. Blocks until so
/// much of it is read.
pub(super) fn compare(journal: &Journal, list: &mut dyn Source, at_most: u64) -> Result<Same, Error> {
    let reader = Journal::read(journal.path())?;
    let mut lines = reader.lines();
    let (mut count, mut has_url) = (0u64, false);
    while !lines.is_over() && count < at_most {
        let Some(input) = next(list) else {
            let all = reader.summary().lines;
            let why = format!("it ends after {count} of {all} lines");
            return Ok(if has_url { Same::No(why) } else { Same::Empty(why) });
        };
        if is_end(&input) {
            let why = || "it cannot be read".to_owned();
            return Ok(if has_url { Same::Torn } else { Same::Empty(why()) });
        }
        has_url |= is_url(&input);
        if !lines.is_next(&input.request)? {
            let which = match input.line {
                Some(line) => format!("line {line} differs"),
                None => format!("URL {} differs", count + 1),
            };
            let why = which + &was(reader.row(count)?, &input.request);
            return Ok(if has_url || holds_url(list) { Same::No(why) } else { Same::Empty(why) });
        }
        count += 1;
    }
    Ok(Same::Yes)
}

/// Whether there is a URL in what is left of a list. Blocks until so much of it is read.
pub(super) fn holds_url(list: &mut dyn Source) -> bool {
    std::iter::from_fn(|| next(list)).any(|input| is_url(&input))
}

/// Whether it can be asked for, as far as the list itself says.
fn is_url(input: &Input) -> bool {
    input.request.as_ref().is_ok_and(|request| request.refusal().is_none())
}

/// Waits for the next line.
fn next(list: &mut dyn Source) -> Option<Input> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match list.poll_next(&mut context) {
            Poll::Pending => std::thread::park(),
            Poll::Ready(input) => return input,
        }
    }
}

/// Whether the list cannot be read any further.
fn is_end(input: &Input) -> bool {
    input.request.as_ref().is_err_and(|error| error.kind() == ErrorKind::InputUnreadable)
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
