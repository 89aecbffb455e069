//! Lists of what is to be fetched, in the formats that people have them in: plain lines, JSON lines, CSV, aria2's and
//! Metalink, packed or not. Each entry becomes a request, or an error of its own with its line. Nothing here fetches.

mod aria2;
mod bytes;
mod csv;
mod entry;
mod jsonl;
mod metalink;
mod slips;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gannet::Request;
use gannet::source::{Lines, Source};

pub(crate) use entry::{Maker, Names, with_query};
pub(crate) use slips::{Slip, Slips};

use self::bytes::{Begin, Bytes};
use self::stream::{End, Stream};
use crate::say::{Complaint, hint};

/// What `--strict` holds of a list that can be read only once, in bytes.
const STRICT_HOLD: u64 = 64 << 20;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A URL a line.
    Lines,
    /// An object of JSON a line.
    Jsonl,
    /// Comma-separated values under a row of names.
    Csv,
    /// aria2's input file.
    Aria2,
    /// Metalink, version 4.
    Metalink,
}

impl Format {
    /// The format that the end of a file's name tells, without that of its packing.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let packings = [".gz", ".zst"];
        let bare = packings.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        Some(match bare.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            "aria2" => Self::Aria2,
            "meta4" | "metalink" => Self::Metalink,
            _ => return None,
        })
    }
}

/// Which column of CSV, or which key of JSON lines, holds the URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UrlColumn {
    Name(String),
    /// From 1.
    Number(usize),
}

impl fmt::Display for UrlColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => number.fmt(f),
        }
    }
}

impl FromStr for UrlColumn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Err("columns are counted from 1".to_owned()),
            Ok(number) => Ok(Self::Number(number)),
            Err(_) if text.trim().is_empty() => Err("it names no column".to_owned()),
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// Tells somebody of what is passed over.
pub(crate) type Warn = Arc<dyn Fn(&str) + Send + Sync>;

/// How a list is read.
#[derive(Clone)]
pub(crate) struct Reading {
    /// `None`: as its first byte tells.
    pub(crate) format: Option<Format>,
    pub(crate) url_column: Option<UrlColumn>,
    pub(crate) maker: Maker,
    pub(crate) warn: Warn,
    /// Where what inputs say of themselves is kept, if it is told to anybody.
    pub(crate) slips: Option<Slips>,
}

impl Reading {
    /// The same for a look beforehand, of which nothing is kept or told.
    fn silent(&self) -> Self {
        Self { warn: Arc::new(|_| {}), slips: None, ..self.clone() }
    }
}

/// The source of a list; `-` is standard input.
pub(crate) fn source(list: &str, reading: Reading) -> Result<Box<dyn Source + Send>, Complaint> {
    if list == "-" {
        return Ok(Box::new(Stream::new(Box::new(|| Ok(Box::new(io::stdin()))), End::Open, reading)));
    }
    if is_plain(list, &reading)? {
        return Ok(stream::lines(opened(list)?, &reading));
    }
    let path = list.to_owned();
    let end = if is_file(list) { End::Sure } else { End::Open };
    Ok(Box::new(Stream::new(Box::new(move || Ok(Box::new(File::open(path)?))), end, reading)))
}

/// The same, once all its entries were found good.
pub(crate) fn strict(list: &str, reading: Reading) -> Result<Box<dyn Source + Send>, Complaint> {
    if list == "-" || !is_file(list) {
        return held(list, reading);
    }
    if is_plain(list, &reading)? {
        Lines::check_path(list)?;
    } else {
        check(&mut *source(list, reading.silent())?)?;
    }
    source(list, reading)
}

/// Whether a list is the same when it is read once more.
pub(crate) fn can_be_read_twice(list: &str) -> bool {
    list != "-" && is_file(list)
}

fn is_file(list: &str) -> bool {
    std::fs::metadata(list).is_ok_and(|found| found.is_file())
}

/// Whether it is a file of plain lines; what is no file, such as a FIFO, is not looked into, as that can block for ever.
pub(crate) fn is_plain(list: &str, reading: &Reading) -> Result<bool, Complaint> {
    if !is_file(list) {
        // What is missing, or a folder, is told of now.
        return opened(list).map(|_| false);
    }
    let mut begin = Vec::new();
    let read = File::open(list).and_then(|file| file.take(4).read_to_end(&mut begin));
    read.map_err(|cause| unreadable(list, cause.to_string()))?;
    let is_of_lines = match reading.format {
        Some(format) => format == Format::Lines,
        None => reading.url_column.is_none() && Begin::of(&begin) == Begin::Other,
    };
    Ok(is_of_lines && !bytes::is_packed(&begin))
}

/// The lines of a file, which is there.
fn opened(path: &str) -> Result<Lines, Complaint> {
    Lines::from_path(path).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Complaint::new(format!("-i {path} cannot be read"))
            .why(cause.unwrap_or_else(|| error.message().to_owned()))
            .fix(hint(&error))
    })
}

fn unreadable(path: &str, cause: String) -> Complaint {
    Complaint::new(format!("-i {path} cannot be read")).why(cause).fix("check the file that -i names")
}

/// A list that can be read only once, in memory, after all its entries were found good.
fn held(path: &str, reading: Reading) -> Result<Box<dyn Source + Send>, Complaint> {
    let reader: Bytes = match path {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(|cause| unreadable(path, cause.to_string()))?),
    };
    let mut bytes = Vec::new();
    let read = reader.take(STRICT_HOLD + 1).read_to_end(&mut bytes);
    read.map_err(|cause| unreadable(path, cause.to_string()))?;
    if bytes.len() as u64 > STRICT_HOLD {
        return Err(Complaint::new(format!("--strict holds at most 64 MiB of -i {path}"))
            .fix("write the list to a file, which can be read twice"));
    }
    let bytes: Arc<[u8]> = bytes.into();
    let again = |reading| {
        let bytes = bytes.clone();
        Stream::new(Box::new(move || Ok(Box::new(Cursor::new(bytes)))), End::Open, reading)
    };
    check(&mut again(reading.silent()))?;
    Ok(Box::new(again(reading)))
}

/// The first bad entry, if there is one. Blocks until the list is read.
fn check(source: &mut dyn Source) -> Result<(), Complaint> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match source.poll_next(&mut context) {
            Poll::Pending => std::thread::park(),
            Poll::Ready(None) => return Ok(()),
            Poll::Ready(Some(input)) => {
                let refusal = |request: Request| request.refusal().cloned();
                if let Some(error) = input.request.map_or_else(Some, refusal) {
                    let line = input.line.unwrap_or_default();
                    let what = format!("line {line} of the list: {}", error.url().unwrap_or("no URL"));
                    return Err(Complaint::new(what).why(error.message()));
                }
            }
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
