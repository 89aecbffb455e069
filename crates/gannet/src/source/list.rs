//! The source over a collection or an iterator, read lazily.

use std::task::{Context, Poll};

use super::{Input, Source};
use crate::request::IntoRequest;

/// Reads an iterator of URLs or requests, one element at a time.
#[derive(Debug, Clone)]
pub struct List<I>(std::iter::Fuse<I>);

impl<I: Iterator> List<I> {
    pub(super) fn new(elements: I) -> Self {
        Self(elements.fuse())
    }
}

impl<I> Source for List<I>
where
    I: Iterator,
    I::Item: IntoRequest,
{
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Input>> {
        let input = self.0.next().map(|element| Input { line: None, request: element.into_request() });
        Poll::Ready(input)
    }

    fn is_at_hand(&self) -> bool {
        self.0.size_hint().1.is_some()
    }
}
