//! Standard output when it is a terminal: text passes, a body that is none is refused at its first bytes.

use std::task::{Context, Poll};

use bytes::Bytes;
use gannet::sink::{Admission, Ordered, Part, Room, Sink};
use gannet::{Error, Receipt, ReplyHead, Request};

/// How many of a body's first bytes are looked at.
const LOOKED_AT: usize = 2000;

/// Lets text through, and refuses a body with a NUL among its first bytes.
pub(crate) struct TextOnly(Ordered);

impl TextOnly {
    /// What passes goes to `output`.
    pub(crate) fn over(output: Ordered) -> Self {
        Self(output)
    }
}

impl Sink for TextOnly {
    fn admit(&self, seq: u64, request: &mut Request) -> Result<Admission, Error> {
        self.0.admit(seq, request)
    }

    fn room(&self, context: &mut Context<'_>) -> Room {
        self.0.room(context)
    }

    fn keeps_order(&self) -> bool {
        self.0.keeps_order()
    }

    fn begin(&self, seq: u64, request: &Request, head: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        let part = self.0.begin(seq, request, head)?;
        Ok(Box::new(Text { part, looked_at: 0 }))
    }

    fn settled(&self, seq: u64) {
        self.0.settled(seq);
    }
}

struct Text {
    part: Box<dyn Part>,
    looked_at: usize,
}

impl Part for Text {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.part.poll_ready(context)
    }

    fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        let new = &chunk[..chunk.len().min(LOOKED_AT - self.looked_at)];
        if new.contains(&0) {
            return Err(Error::sink(
                "the body is no text and would garble this terminal (-o FILE saves it, -o - forces it)",
            ));
        }
        self.looked_at += new.len();
        self.part.write(chunk)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.part.poll_flush(context)
    }

    fn length(&self) -> u64 {
        self.part.length()
    }

    fn restartable(&self) -> bool {
        self.part.restartable()
    }

    fn commit(self: Box<Self>) -> Result<Receipt, Error> {
        self.part.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_at_bodies_keeps_their_order() {
        let sink = TextOnly::over(Ordered::to(std::io::sink()));
        assert!(sink.keeps_order());
    }
}
