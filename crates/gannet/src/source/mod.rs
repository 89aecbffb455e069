//! Where requests come from: a list in memory, the lines of a file or of standard input. A source is asked for
//! one request at a time and may be endless. Nothing in this room fetches or decides.

use std::task::{Context, Poll};

use crate::error::Error;
use crate::request::{IntoRequest, Request};

mod lines;
mod list;

pub use lines::{BadLines, Lines, with_scheme};
pub use list::List;

/// One line or element of the input: a request, or why it is none.
#[derive(Debug)]
pub struct Input {
    /// The line that it came from, from 1, if it came from lines.
    pub line: Option<u64>,
    /// The request, or the error (its [`url`](Error::url) is the text that was given, without credentials).
    pub request: Result<Request, Error>,
}

/// Where requests come from.
pub trait Source {
    /// The next input, `None` at the end. After `None` it is not called again.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>>;

    /// Whether it is sure to end by itself, without waiting for anybody: a list in memory, a regular file. All that
    /// such a source still holds is accounted for when a job stops early; any other is read on for 100 ms.
    fn is_at_hand(&self) -> bool {
        false
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        (**self).poll_next(context)
    }

    fn is_at_hand(&self) -> bool {
        (**self).is_at_hand()
    }
}

/// Anything that can be read as a source: every collection or iterator of URLs or requests, and [`Lines`].
pub trait IntoSource {
    /// The source it becomes.
    type Source: Source;

    /// Turns it into a source; reads nothing yet.
    fn into_source(self) -> Self::Source;
}

impl<I> IntoSource for I
where
    I: IntoIterator,
    I::Item: IntoRequest,
{
    type Source = List<I::IntoIter>;

    fn into_source(self) -> Self::Source {
        List::new(self.into_iter())
    }
}

impl IntoSource for Lines {
    type Source = Self;

    fn into_source(self) -> Self {
        self
    }
}

impl IntoSource for Box<dyn Source + Send> {
    type Source = Self;

    fn into_source(self) -> Self {
        self
    }
}
