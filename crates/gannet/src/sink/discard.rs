//! The sink that counts bytes and keeps none.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Part, Sink};
use crate::error::Error;
use crate::outcome::{Receipt, ReplyHead};
use crate::request::Request;

/// Counts each body's bytes and keeps none of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

#[derive(Debug)]
struct Counted(u64);

impl Sink for Discard {
    fn begin(&self, _: u64, _: &Request, _: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        Ok(Box::new(Counted(0)))
    }
}

impl Part for Counted {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.0 += chunk.len() as u64;
        Ok(())
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn length(&self) -> u64 {
        self.0
    }

    fn commit(self: Box<Self>) -> Result<Receipt, Error> {
        Ok(Receipt::of_length(self.0))
    }
}
