//! A file as a stream of pieces: a thread of its own reads it, since a read may block for long, and reads no further
//! ahead than two pieces. Only reading is done here.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::error::{Error, ErrorKind, Phase};

/// One piece, in bytes.
const PIECE: usize = 64 << 10;
/// Pieces that are read ahead.
const AHEAD: usize = 2;

/// The pieces of a file; it is opened at the first poll.
pub(super) struct FileStream {
    path: PathBuf,
    length: u64,
    state: State,
}

enum State {
    Closed,
    Reading(mpsc::Receiver<io::Result<Bytes>>),
    Over,
}

impl FileStream {
    /// The file at `path`, of which only the length is asked for now.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let bad = |what: String| {
            let message = format!("{} cannot be sent: {what}", path.display());
            Error::new(ErrorKind::BadRequest, Phase::Queue, message)
        };
        let found = std::fs::metadata(path).map_err(|cause| bad(cause.to_string()).caused_by(cause))?;
        if !found.is_file() {
            return Err(bad("it is no regular file".to_owned()));
        }
        Ok(Self { path: path.to_owned(), length: found.len(), state: State::Closed })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The same file, to be read from its beginning.
    pub(super) fn anew(&self) -> Self {
        Self { path: self.path.clone(), length: self.length, state: State::Closed }
    }

    fn open(&mut self) -> io::Result<()> {
        let (give, take) = mpsc::channel(AHEAD);
        let (path, length) = (self.path.clone(), self.length);
        // Nobody waits for the thread: it ends with the file, or when the stream is dropped.
        std::thread::Builder::new().name("gannet-read".to_owned()).spawn(move || {
            if let Err(cause) = read(&path, length, &give) {
                let told = io::Error::new(cause.kind(), format!("{}: {cause}", path.display()));
                let _ = give.blocking_send(Err(told));
            }
        })?;
        self.state = State::Reading(take);
        Ok(())
    }
}

impl Stream for FileStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.state, State::Closed)
            && let Err(cause) = self.open()
        {
            self.state = State::Over;
            return Poll::Ready(Some(Err(cause)));
        }
        let State::Reading(pieces) = &mut self.state else { return Poll::Ready(None) };
        let piece = std::task::ready!(pieces.poll_recv(cx));
        if !matches!(piece, Some(Ok(_))) {
            self.state = State::Over;
        }
        Poll::Ready(piece)
    }
}

/// Reads until the end, or until nobody takes more. A file that is not as long as it was is an error.
fn read(path: &Path, length: u64, give: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut left = length;
    loop {
        let mut piece = BytesMut::zeroed(PIECE.min(usize::try_from(left).unwrap_or(PIECE)).max(1));
        let got = loop {
            match file.read(&mut piece) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let changed = |how| Err(io::Error::other(format!("the file is {how} than {length} bytes by now")));
        match left.checked_sub(got as u64) {
            None => return changed("longer"),
            Some(missing) if got == 0 => return if missing == 0 { Ok(()) } else { changed("shorter") },
            Some(rest) => left = rest,
        }
        piece.truncate(got);
        if give.blocking_send(Ok(piece.freeze())).is_err() {
            return Ok(());
        }
    }
}
