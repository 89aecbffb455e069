//! The bytes of a list before they mean anything: taken out of gzip or Zstandard as they come, known by their first
//! bytes, and cut into lines of bounded length.

use std::io::{self, BufRead as _, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;
use gannet::{Error, ErrorKind};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

/// The longest line or entry that is read, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

/// What is read at once, in bytes.
pub(super) const BLOCK: usize = 64 << 10;

/// A reader that can be handed to another thread.
pub(super) type Bytes = Box<dyn Read + Send>;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";
/// What follows the first byte of a frame of Zstandard that is to be skipped, which is one of sixteen (RFC 8878, section
/// 3.1.2). Parallel packers begin with one.
const SKIPPABLE: &[u8] = b"\x2a\x4d\x18";
const BRACE: &[u8] = b"{";
const MARKED_BRACE: &[u8] = b"\xef\xbb\xbf{";

/// The same bytes, unpacked if they are packed, and whether they begin as JSON lines do. Reads no further than to know
/// that.
pub(super) fn unpacked(reader: Bytes) -> io::Result<(Bytes, Begin)> {
    let (begin, reader) = peeked(reader)?;
    let reader: Bytes = if begin.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(BLOCK, reader)))
    } else if is_packed(&begin) {
        Box::new(Unpacking::new(reader)?)
    } else {
        return Ok((reader, Begin::of(&begin)));
    };
    let (begin, reader) = peeked(reader)?;
    Ok((reader, Begin::of(&begin)))
}

/// Whether a list that begins so is packed.
pub(super) fn is_packed(begin: &[u8]) -> bool {
    [GZIP, ZSTANDARD].into_iter().any(|mark| begin.starts_with(mark))
        || (is_of_skippable(begin) && begin.len() == ZSTANDARD.len())
}

/// Whether these bytes, at most four, may begin a frame that is to be skipped.
fn is_of_skippable(begin: &[u8]) -> bool {
    let Some((first, rest)) = begin.get(..begin.len().min(ZSTANDARD.len())).and_then(<[u8]>::split_first)
    else {
        return false;
    };
    first & 0xf0 == 0x50 && SKIPPABLE.starts_with(rest)
}

/// How a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// As an object of JSON.
    Brace,
    Other,
}

impl Begin {
    pub(super) fn of(begin: &[u8]) -> Self {
        if begin.starts_with(BRACE) || begin.starts_with(MARKED_BRACE) { Self::Brace } else { Self::Other }
    }
}

/// The first bytes, as few as tell what they begin, and a reader that gives them again.
fn peeked(mut reader: Bytes) -> io::Result<(Vec<u8>, Bytes)> {
    let mut begin = Vec::with_capacity(4);
    let marks = [GZIP, ZSTANDARD, BRACE, MARKED_BRACE];
    let may_become = |begin: &[u8]| {
        let is_marked = marks.iter().any(|mark| mark.len() > begin.len() && mark.starts_with(begin));
        is_marked || (is_of_skippable(begin) && begin.len() < ZSTANDARD.len())
    };
    while may_become(&begin) {
        let mut byte = [0];
        match reader.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => begin.push(byte[0]),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok((begin.clone(), Box::new(Cursor::new(begin).chain(reader))))
}

/// The largest window of a Zstandard frame that is unpacked, as the power of two: 128 MiB, as zstd itself does.
const WINDOW_LOG: u32 = 27;

/// Takes Zstandard frames (RFC 8878), one behind the other, off a reader.
struct Unpacking {
    reader: Bytes,
    context: DCtx<'static>,
    block: Box<[u8]>,
    begin: usize,
    end: usize,
    /// Within a frame, more must come.
    is_within: bool,
}

impl Unpacking {
    fn new(reader: Bytes) -> io::Result<Self> {
        let mut context = DCtx::create();
        context.set_parameter(zstd_safe::DParameter::WindowLogMax(WINDOW_LOG)).map_err(broken)?;
        let block = vec![0; BLOCK].into_boxed_slice();
        Ok(Self { reader, context, block, begin: 0, end: 0, is_within: false })
    }
}

impl Read for Unpacking {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if self.begin == self.end {
                self.end = self.reader.read(&mut self.block)?;
                self.begin = 0;
            }
            let is_at_end = self.end == 0;
            let mut from = InBuffer::around(&self.block[self.begin..self.end]);
            let mut to = OutBuffer::around(&mut *into);
            if is_at_end && !self.is_within {
                return Ok(0);
            }
            let left = self.context.decompress_stream(&mut to, &mut from).map_err(broken)?;
            self.begin += from.pos();
            self.is_within = left != 0;
            match to.pos() {
                0 if is_at_end && self.is_within => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => {}
                length => return Ok(length),
            }
        }
    }
}

fn broken(code: usize) -> io::Error {
    let name = zstd_safe::get_error_name(code).to_lowercase();
    io::Error::new(io::ErrorKind::InvalidData, format!("its Zstandard is broken: {name}"))
}

/// Cuts a reader's bytes into lines, in bounded memory however long one is.
pub(super) struct Rows<R> {
    reader: BufReader<R>,
    row: Vec<u8>,
    number: u64,
    /// The rest of a line that was too long is still to come.
    is_skipping: bool,
}

impl<R: Read> Rows<R> {
    pub(super) fn of(reader: R) -> Self {
        let reader = BufReader::with_capacity(BLOCK, reader);
        Self { reader, row: Vec::new(), number: 0, is_skipping: false }
    }

    /// The number of the line that was given out last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its end; `None` at the end.
    ///
    /// # Errors
    /// The reader's own. A line that is too long or no text is an error within.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<&str, Error>>> {
        if std::mem::take(&mut self.is_skipping) {
            self.skip()?;
        }
        self.row.clear();
        // Beyond the limit there is room for the line's end.
        let most = LONGEST as u64 + 2;
        let length = (&mut self.reader).take(most).read_until(b'\n', &mut self.row)?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let is_cut = !self.row.ends_with(b"\n") && length as u64 == most;
        self.is_skipping = is_cut;
        let row = self.row.strip_suffix(b"\n").unwrap_or(&self.row);
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        if is_cut || row.len() > LONGEST {
            return Ok(Some(Err(too_long("line"))));
        }
        let row = if self.number == 1 { row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row) } else { row };
        Ok(Some(text(row)))
    }

    fn skip(&mut self) -> io::Result<()> {
        loop {
            let (length, is_over) = match self.reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (at + 1, true),
                    None => (bytes.len(), false),
                },
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => (0, false),
                Err(cause) => return Err(cause),
            };
            self.reader.consume(length);
            if is_over {
                return Ok(());
            }
        }
    }
}

/// The text of some bytes; why they are none is said without them, for they may hold a password.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    let not = |message| Error::unusable_input(ErrorKind::NotText, None, message);
    if bytes.contains(&0) {
        return Err(not("the line holds a NUL (a list in UTF-16 does)"));
    }
    std::str::from_utf8(bytes).map_err(|_| not("the line is not UTF-8"))
}

/// The error of a line or an entry that is too long, without its text.
pub(super) fn too_long(what: &str) -> Error {
    let message = format!("the {what} is over its limit of {LONGEST} bytes");
    Error::unusable_input(ErrorKind::LineTooLong, None, message)
}
