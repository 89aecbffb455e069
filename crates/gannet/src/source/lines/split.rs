//! Cuts a reader's bytes into numbered lines, in bounded memory however long a line is. Nothing here knows what a
//! line means.

use std::io::{self, Read};

/// The longest line that is given out, in bytes, without its end.
pub(super) const LONGEST: usize = 64 << 10;

/// Bytes asked for with one read.
const BLOCK: usize = 64 << 10;

/// The byte order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One line, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Bytes(&'a [u8]),
    TooLong,
}

/// Cuts what it reads into lines.
#[derive(Debug)]
pub(super) struct Splitter<R> {
    reader: R,
    block: Box<[u8]>,
    /// What of the block was read and not given out.
    begin: usize,
    end: usize,
    /// The line whose beginning lay in earlier blocks; at most `LONGEST`.
    begun: Vec<u8>,
    /// The last line that was put together from several blocks.
    joined: Vec<u8>,
    /// Lines that have ended.
    number: u64,
    is_skipping: bool,
    is_at_end: bool,
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            block: vec![0; BLOCK].into_boxed_slice(),
            begin: 0,
            end: 0,
            begun: Vec::new(),
            joined: Vec::new(),
            number: 0,
            is_skipping: false,
            is_at_end: false,
        }
    }

    /// Lines that have ended so far.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Reads one block; to be called when [`next_line`](Self::next_line) gave `None`. Says whether there may be
    /// another line.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        (self.begin, self.end) = (0, 0);
        self.end = loop {
            match self.reader.read(&mut self.block) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.is_at_end = self.end == 0;
        Ok(true)
    }

    /// The next line of what was read, and its number from 1. What comes after a line that is too long starts with
    /// the next line.
    pub(super) fn next_line(&mut self) -> Option<(u64, Line<'_>)> {
        loop {
            let rest = &self.block[self.begin..self.end];
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { return self.begin_line() };
            let line = self.begin..self.begin + length;
            self.begin = line.end + 1;
            self.number += 1;
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            if self.begun.is_empty() {
                // A whole line of one block is never over the limit, which is the block's length.
                return Some((self.number, Line::Bytes(without_mark(self.number, &self.block[line]))));
            }
            if self.begun.len() + length > LONGEST {
                self.begun.clear();
                return Some((self.number, Line::TooLong));
            }
            self.begun.extend_from_slice(&self.block[line]);
            return Some((self.number, self.joined()));
        }
    }

    /// Keeps the line that goes on in the next block; at the end of the input that is the last line.
    fn begin_line(&mut self) -> Option<(u64, Line<'_>)> {
        let rest = self.begin..self.end;
        self.begin = self.end;
        if self.is_at_end {
            if self.begun.is_empty() {
                return None;
            }
            self.number += 1;
            return Some((self.number, self.joined()));
        }
        if self.is_skipping {
            return None;
        }
        if self.begun.len() + rest.len() > LONGEST {
            self.begun.clear();
            self.is_skipping = true;
            return Some((self.number + 1, Line::TooLong));
        }
        self.begun.extend_from_slice(&self.block[rest]);
        None
    }

    fn joined(&mut self) -> Line<'_> {
        std::mem::swap(&mut self.begun, &mut self.joined);
        self.begun.clear();
        Line::Bytes(without_mark(self.number, &self.joined))
    }
}

fn without_mark(number: u64, line: &[u8]) -> &[u8] {
    if number == 1 { line.strip_prefix(MARK).unwrap_or(line) } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out its bytes in pieces of a random length.
    struct Pieces(Vec<u8>, usize, fastrand::Rng);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.2.usize(1..=100).min(self.0.len() - self.1).min(into.len());
            into[..length].copy_from_slice(&self.0[self.1..self.1 + length]);
            self.1 += length;
            Ok(length)
        }
    }

    fn lines_of(reader: impl Read) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut splitter = Splitter::new(reader);
        let mut lines = Vec::new();
        while splitter.read().expect("a reader in memory does not fail") {
            while let Some((number, line)) = splitter.next_line() {
                lines.push((number, if let Line::Bytes(bytes) = line { Some(bytes.to_vec()) } else { None }));
            }
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut_into_reads() {
        let seed = fastrand::u64(..);
        for round in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed.wrapping_add(round));
            let text: Vec<u8> = std::iter::repeat_with(|| *b"ab\n\n".get(random.usize(..5)).unwrap_or(&b'c'))
                .take(700)
                .collect();
            let text = [b"x".as_slice(), &text, b"z"].concat();
            let wanted: Vec<_> = text.split(|byte| *byte == b'\n').map(|line| Some(line.to_vec())).collect();
            let lines = lines_of(Pieces(text, 0, random));
            assert!(
                lines.iter().map(|line| line.0).eq(1..=wanted.len() as u64),
                "seed {seed}, round {round}"
            );
            assert_eq!(
                lines.into_iter().map(|line| line.1).collect::<Vec<_>>(),
                wanted,
                "seed {seed}, round {round}"
            );
        }
    }

    #[test]
    fn a_line_at_the_limit_is_given_out_and_one_beyond_is_too_long() {
        for first in ["", "a\n"] {
            let text = format!("{first}{}\n{}\nb\n", "x".repeat(LONGEST), "y".repeat(LONGEST + 1));
            let lines = lines_of(text.as_bytes());
            let at = lines.len() - 3;
            assert_eq!(lines[at].1.as_ref().map(Vec::len), Some(LONGEST));
            assert_eq!((lines[at + 1].1.as_ref(), lines[at + 1].0), (None, lines[at].0 + 1));
            assert_eq!(
                (lines[at + 2].1.as_deref(), lines[at + 2].0),
                (Some(b"b".as_slice()), lines[at].0 + 2)
            );
        }
    }

    #[test]
    fn a_line_of_100_mb_is_reported_once_and_held_in_bounded_memory() {
        let mut splitter = Splitter::new(io::repeat(b'x').take(100 << 20).chain(b"\nlast".as_slice()));
        let mut found = Vec::new();
        while splitter.read().expect("a reader in memory does not fail") {
            while let Some((number, line)) = splitter.next_line() {
                found.push((number, line == Line::TooLong));
            }
            assert!(splitter.begun.capacity() <= 2 * LONGEST && splitter.joined.capacity() <= 2 * LONGEST);
        }
        assert_eq!(found, [(1, true), (2, false)]);
    }

    #[test]
    fn a_mark_is_dropped_at_the_start_only_and_no_line_is_made_up_at_the_end() {
        let lines = lines_of(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n".as_slice());
        assert_eq!(lines, [(1, Some(b"a".to_vec())), (2, Some(b"\xef\xbb\xbfb".to_vec()))]);
        assert_eq!(lines_of(io::empty()), []);
    }
}
