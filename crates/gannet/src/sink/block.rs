//! Bytes of one body that wait to be written together. Nothing here writes.

use std::io::{Cursor, Read};

use bytes::{Bytes, BytesMut};

/// Bytes that wait to be written; one chunk alone is kept without a copy.
#[derive(Debug, Default)]
pub(super) struct Block {
    first: Bytes,
    rest: BytesMut,
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&chunk);
    }

    /// What it holds, as it is now.
    pub(super) fn reader(&self) -> impl Read + Send + use<> {
        Cursor::new(self.first.clone()).chain(Cursor::new(self.rest.clone()))
    }

    pub(super) fn take(&mut self) -> Bytes {
        let Self { first, rest } = std::mem::take(self);
        if rest.is_empty() { first } else { rest.freeze() }
    }
}
