//! The source over a list in any format. A thread of its own opens it, tells by its first bytes what it is, and reads
//! it, since that can block for ever; what was understood is handed over whenever the next bytes are asked for.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use gannet::source::{Input, Lines, Source};
use gannet::{Error, ErrorKind};
use tokio::sync::mpsc;

use super::aria2::Aria2;
use super::bytes::{Begin, Bytes, unpacked};
use super::csv::Csv;
use super::entry::{Entries, Found, with_query};
use super::jsonl::JsonLines;
use super::metalink::Metalink;
use super::slips::{Slip, Slips};
use super::{Format, Reading};

/// Opens a list.
pub(super) type Opener = Box<dyn FnOnce() -> io::Result<Bytes> + Send>;

/// Whether a list is sure to end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Sure,
    Open,
}

/// A list as a source.
pub(super) struct Stream {
    state: State,
    end: End,
    slips: Option<Slips>,
    /// The number of the next input.
    seq: u64,
}

type Item = (Input, Option<Slip>);

enum State {
    Waiting(Opener, Box<Reading>),
    Reading {
        pieces: mpsc::Receiver<Piece>,
        batch: std::vec::IntoIter<Item>,
    },
    /// Plain lines have a source of their own.
    Lines(Box<dyn Source + Send>),
    Ended,
}

/// What the thread hands over.
enum Piece {
    Batch(Vec<Item>),
    Lines(Box<dyn Source + Send>),
}

/// The most inputs in a batch.
const BATCH: usize = 512;

/// Batches that may lie between the reading thread and the caller.
const BATCHES: usize = 1;

impl Stream {
    /// Reads what `open` opens, from the first poll on.
    pub(super) fn new(open: Opener, end: End, reading: Reading) -> Self {
        let slips = reading.slips.clone();
        Self { state: State::Waiting(open, Box::new(reading)), end, slips, seq: 0 }
    }
}

impl Source for Stream {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Lines(lines) => return lines.poll_next(context),
                State::Waiting(..) => {
                    let State::Waiting(open, reading) = std::mem::replace(&mut self.state, State::Ended)
                    else {
                        continue;
                    };
                    self.state = start(open, *reading);
                }
                State::Reading { pieces, batch } => match batch.next() {
                    Some((input, slip)) => {
                        if let (Some(slip), Some(slips)) = (slip, &self.slips) {
                            slips.keep(self.seq, slip);
                        }
                        self.seq += 1;
                        return Poll::Ready(Some(input));
                    }
                    None => match ready!(pieces.poll_recv(context)) {
                        Some(Piece::Batch(next)) => *batch = next.into_iter(),
                        Some(Piece::Lines(lines)) => self.state = State::Lines(lines),
                        None => self.state = State::Ended,
                    },
                },
            }
        }
    }

    fn is_at_hand(&self) -> bool {
        self.end == End::Sure
    }
}

/// Starts the reading thread. It owns nothing but its reader, and ends at the end of that, or at its next batch once
/// nobody takes batches any more.
fn start(open: Opener, reading: Reading) -> State {
    let (sender, pieces) = mpsc::channel(BATCHES);
    let job = move || {
        if let Err(cause) = read(open, &reading, &sender) {
            let _ = sender.blocking_send(Piece::Batch(vec![broken(0, &cause)]));
        }
    };
    let first = match std::thread::Builder::new().name("gannet-list".to_owned()).spawn(job) {
        Ok(_) => Vec::new(),
        Err(cause) => vec![broken(0, &cause)],
    };
    State::Reading { pieces, batch: first.into_iter() }
}

fn read(open: Opener, reading: &Reading, sender: &mpsc::Sender<Piece>) -> io::Result<()> {
    let (reader, begin) = unpacked(open()?)?;
    let format = reading.format.unwrap_or(match begin {
        Begin::Brace => Format::Jsonl,
        // Plain lines have no columns.
        Begin::Other if reading.url_column.is_some() => Format::Csv,
        Begin::Other => Format::Lines,
    });
    if format == Format::Lines {
        let _ = sender.blocking_send(Piece::Lines(lines(Lines::from_reader(reader), reading)));
        return Ok(());
    }
    let batch = Rc::default();
    let reader = Handing { reader, batch: Rc::clone(&batch), sender: sender.clone() };
    read_all(&mut *entries(format, reader, reading), reading, &batch, sender);
    Ok(())
}

/// The source of plain lines.
pub(super) fn lines(lines: Lines, reading: &Reading) -> Box<dyn Source + Send> {
    let lines = lines.like(&reading.maker.base);
    match &reading.maker.query {
        None => Box::new(lines),
        Some(query) => Box::new(Queried { lines, query: query.clone() }),
    }
}

/// The entries of a list that is not of plain lines.
pub(super) fn entries<'a>(
    format: Format,
    reader: impl Read + 'a,
    reading: &Reading,
) -> Box<dyn Entries + 'a> {
    let warn = reading.warn.clone();
    match format {
        Format::Csv => Box::new(Csv::of(reader, reading.url_column.clone())),
        Format::Aria2 => Box::new(Aria2::of(reader, warn)),
        Format::Metalink => Box::new(Metalink::of(reader, warn)),
        Format::Lines | Format::Jsonl => Box::new(JsonLines::of(reader, reading.url_column.as_ref())),
    }
}

/// Hands over all entries until the end, or until nobody takes them any more.
fn read_all(
    entries: &mut dyn Entries,
    reading: &Reading,
    batch: &RefCell<Vec<Item>>,
    sender: &mpsc::Sender<Piece>,
) {
    loop {
        match entries.next() {
            Ok(Some(Found { line, entry })) => {
                let (slip, entry) = match entry {
                    Ok(mut entry) => (entry.slip(), Ok(entry)),
                    Err(error) => (None, Err(error)),
                };
                let request = entry.and_then(|entry| reading.maker.request(entry));
                batch.borrow_mut().push((Input { line: Some(line), request }, slip));
            }
            Ok(None) => {
                let _ = hand_over(batch, sender);
                return;
            }
            Err(cause) => {
                batch.borrow_mut().push(broken(entries.line(), &cause));
                let _ = hand_over(batch, sender);
                return;
            }
        }
        let is_full = batch.borrow().len() >= BATCH;
        if is_full && hand_over(batch, sender).is_err() {
            return;
        }
    }
}

fn hand_over(batch: &RefCell<Vec<Item>>, sender: &mpsc::Sender<Piece>) -> io::Result<()> {
    let batch = std::mem::take(&mut *batch.borrow_mut());
    let is_taken = match batch.is_empty() {
        true => !sender.is_closed(),
        false => sender.blocking_send(Piece::Batch(batch)).is_ok(),
    };
    if is_taken { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

/// A reader that hands over what was understood before it asks for more, which may take for ever.
struct Handing {
    reader: Bytes,
    batch: Rc<RefCell<Vec<Item>>>,
    sender: mpsc::Sender<Piece>,
}

impl Read for Handing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        hand_over(&self.batch, &self.sender)?;
        self.reader.read(into)
    }
}

/// The last input of a list that cannot be read on, behind the line of this number.
fn broken(number: u64, cause: &io::Error) -> Item {
    let message = format!("cannot read the input: {cause}");
    let error = Error::unusable_input(ErrorKind::InputUnreadable, None, message);
    (Input { line: Some(number + 1), request: Err(error) }, None)
}

/// Lines whose URLs get a query.
struct Queried {
    lines: Lines,
    query: String,
}

impl Source for Queried {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Input>> {
        let with = |input: Input| {
            let request =
                input.request.and_then(|request| request.with_url(&with_query(request.url(), &self.query)));
            Input { request, ..input }
        };
        self.lines.poll_next(context).map(|input| input.map(with))
    }

    fn is_at_hand(&self) -> bool {
        self.lines.is_at_hand()
    }
}
