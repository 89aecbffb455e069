//! Rows in the order of the input. It stands between a pen and its place, on the pen's thread: rows that came before
//! their turn are held in memory up to a limit, then in one file that has no name. Nothing here knows what a row is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::sync::atomic::{AtomicU32, Ordering};

/// Text that is held in memory before its turn, in bytes: 16 MiB.
const HOLD: usize = 16 << 20;

/// The number of what comes after all rows.
pub(super) const LAST: u64 = u64::MAX;

/// A frame's number and length, in bytes.
const HEADER: usize = 12;

/// A row as it is handed to [`InOrder`]: its number, its length, its text.
pub(super) fn frame(seq: u64, text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a row is shorter than 4 GiB");
    let mut frame = Vec::with_capacity(HEADER + text.len());
    frame.extend_from_slice(&seq.to_le_bytes());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(text);
    frame
}

/// Takes frames in any order and writes their texts in the order of their numbers, from 0 on. Each number comes once;
/// [`LAST`] lets go of all that is held, gaps or not.
pub(super) struct InOrder<W> {
    writer: W,
    /// The number whose turn it is.
    turn: u64,
    held: BTreeMap<u64, Held>,
    /// Bytes of the texts in memory.
    in_memory: usize,
    limit: usize,
    spill: Spill,
    /// The beginning of a frame of which the rest has not come.
    rest: Vec<u8>,
}

/// A text before its turn.
enum Held {
    InMemory(Vec<u8>),
    InFile { at: u64, length: usize },
}

impl<W: Write> InOrder<W> {
    pub(super) fn over(writer: W) -> Self {
        Self::holding(HOLD, writer)
    }

    /// Holds up to `limit` bytes in memory.
    fn holding(limit: usize, writer: W) -> Self {
        let (held, spill) = (BTreeMap::new(), Spill::default());
        Self { writer, turn: 0, held, in_memory: 0, limit, spill, rest: Vec::new() }
    }

    fn take(&mut self, seq: u64, text: &[u8]) -> io::Result<()> {
        if seq == LAST {
            while let Some((_, held)) = self.held.pop_first() {
                self.let_go(held)?;
            }
            return self.writer.write_all(text);
        }
        if seq != self.turn {
            let held = self.hold(text);
            self.held.insert(seq, held);
            return Ok(());
        }
        self.writer.write_all(text)?;
        self.turn += 1;
        while let Some(held) = self.held.remove(&self.turn) {
            self.let_go(held)?;
            self.turn += 1;
        }
        Ok(())
    }

    /// A file that cannot be made or written costs memory, and no row.
    fn hold(&mut self, text: &[u8]) -> Held {
        if self.in_memory + text.len() > self.limit
            && let Ok(at) = self.spill.put(text)
        {
            return Held::InFile { at, length: text.len() };
        }
        self.in_memory += text.len();
        Held::InMemory(text.to_vec())
    }

    fn let_go(&mut self, held: Held) -> io::Result<()> {
        match held {
            Held::InMemory(text) => {
                self.in_memory -= text.len();
                self.writer.write_all(&text)
            }
            Held::InFile { at, length } => {
                let text = self.spill.take(at, length)?;
                self.writer.write_all(&text)
            }
        }
    }
}

impl<W: Write> Write for InOrder<W> {
    /// Takes all bytes; frames may be cut anywhere.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let joined;
        let mut left = bytes;
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            left = &joined;
        }
        while let Some((seq, text, behind)) = first_frame(left) {
            self.take(seq, text)?;
            left = behind;
        }
        self.rest = left.to_vec();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The first frame's number and text, and what is behind it.
fn first_frame(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (seq, behind) = bytes.split_first_chunk()?;
    let (length, behind) = behind.split_first_chunk()?;
    let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((u64::from_le_bytes(*seq), text, behind))
}

/// One file without a name, made when it is first needed and emptied when all in it was taken.
#[derive(Default)]
struct Spill {
    file: Option<File>,
    end: u64,
    texts: usize,
}

impl Spill {
    fn put(&mut self, text: &[u8]) -> io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(unnamed_file()?),
        };
        let at = self.end;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(text)?;
        self.end += text.len() as u64;
        self.texts += 1;
        Ok(at)
    }

    fn take(&mut self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.file.as_mut().expect("what was put is in a file");
        let mut text = vec![0; length];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut text)?;
        self.texts -= 1;
        if self.texts == 0 {
            file.set_len(0)?;
            self.end = 0;
        }
        Ok(text)
    }
}

/// A file in the folder for temporary files, which nobody else can find and which is gone with the program.
fn unnamed_file() -> io::Result<File> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gannet-rows-{}-{number}", std::process::id()));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// xorshift64*, so that a seed replays a case.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
        }
    }

    fn row(seq: u64) -> String {
        format!("{seq}:{}\n", "x".repeat(seq as usize % 37))
    }

    fn rows(range: std::ops::Range<u64>) -> String {
        range.map(row).collect()
    }

    fn text(rows: &InOrder<Vec<u8>>) -> &str {
        std::str::from_utf8(&rows.writer).expect("text")
    }

    #[test]
    fn whatever_the_order_in_which_rows_come_they_leave_in_the_inputs() {
        for seed in 1..=200 {
            let mut dice = Dice(seed);
            let count = 1 + dice.below(400) as u64;
            let mut seqs: Vec<u64> = (0..count).collect();
            (1..seqs.len()).rev().for_each(|last| seqs.swap(last, dice.below(last + 1)));
            let mut rows_in_order = InOrder::holding(dice.below(2000), Vec::new());
            let mut bytes: Vec<u8> = seqs.iter().flat_map(|seq| frame(*seq, row(*seq).as_bytes())).collect();
            bytes.extend(frame(LAST, b"end"));
            let mut left = &bytes[..];
            while !left.is_empty() {
                let (piece, behind) = left.split_at(left.len().min(1 + dice.below(300)));
                rows_in_order.write_all(piece).expect("a vector takes all");
                left = behind;
            }
            assert_eq!(text(&rows_in_order), rows(0..count) + "end", "seed {seed}");
            assert_eq!((rows_in_order.in_memory, rows_in_order.spill.texts), (0, 0), "seed {seed}");
        }
    }

    #[test]
    fn rows_beyond_the_limit_wait_in_a_file_that_is_emptied_and_used_again() {
        let mut rows_in_order = InOrder::holding(100, Vec::new());
        for round in 0..3 {
            let base = round * 1000;
            for seq in (base + 1..base + 1000).rev() {
                rows_in_order.write_all(&frame(seq, row(seq).as_bytes())).expect("a vector takes all");
                assert!(rows_in_order.in_memory <= 100);
            }
            assert!(rows_in_order.spill.texts > 990, "the file holds what memory may not");
            assert_eq!(text(&rows_in_order), rows(0..base));
            rows_in_order.write_all(&frame(base, row(base).as_bytes())).expect("a vector takes all");
            assert_eq!(text(&rows_in_order), rows(0..base + 1000));
            assert_eq!((rows_in_order.spill.end, rows_in_order.held.len()), (0, 0));
        }
    }

    #[test]
    fn an_endless_input_flows_on() {
        let mut rows_in_order = InOrder::over(Vec::new());
        for seq in 0..100_000 {
            rows_in_order.write_all(&frame(seq ^ 1, b".")).expect("a vector takes all");
            let written = rows_in_order.writer.len() as u64;
            assert!(written >= seq & !1 && rows_in_order.held.len() <= 1 && rows_in_order.rest.is_empty());
        }
    }

    #[test]
    fn the_end_lets_go_of_all_though_a_row_never_came() {
        let mut rows_in_order = InOrder::holding(5, Vec::new());
        for seq in [4, 2, 3] {
            rows_in_order.write_all(&frame(seq, row(seq).as_bytes())).expect("a vector takes all");
        }
        rows_in_order.write_all(&frame(LAST, b"end")).expect("a vector takes all");
        assert_eq!(text(&rows_in_order), rows(2..5) + "end");
    }
}
