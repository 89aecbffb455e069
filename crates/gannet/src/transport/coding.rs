//! Content codings (RFC 9110, section 8.4): which ones a reply's head names, and the chain of decoders that takes
//! them off. It is given chunks of the wire and gives out pieces on demand; it reads nothing by itself, and what it
//! holds is bounded whatever it is given.

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::error::{Error, ErrorKind, Phase};
use codec::{After, Codec, Ran};

pub(crate) mod body;
mod codec;

/// The longest piece that is given out, in bytes; each coding of a chain holds at most one more.
pub(crate) const PIECE: usize = 64 << 10;
/// The most codings that are taken off one body.
const MOST_CODINGS: usize = 4;
/// A body, or what lies between two of its codings, may be this many times as long as what came over the wire.
const RATIO: u64 = 1000;
/// Below this length, in bytes, the ratio is not looked at.
const RATIO_FROM: u64 = 1 << 20;
/// After so many steps without a piece, others have a right to the thread.
const STEPS: u32 = 64;
/// How much of a coding's name an error shows, in characters.
const SHOWN: usize = 40;

/// What is asked for where bodies are decoded. `deflate` stands last, since servers do not agree on what it is.
pub(crate) const ACCEPTED: &str = "gzip, br, zstd, deflate";

/// A coding that can be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    /// As in RFC 9110, or the raw format (RFC 1951) that some servers send under this name.
    Deflate,
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }

    /// Names are compared without case; `x-gzip` is `gzip` (RFC 9110, section 8.4.1.3).
    fn of_name(name: &str) -> Option<Self> {
        let all = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
            ("deflate", Self::Deflate),
        ];
        all.into_iter().find_map(|(known, coding)| known.eq_ignore_ascii_case(name).then_some(coding))
    }
}

/// The codings of a body, in the order in which they were applied. `identity` is none.
///
/// # Errors
/// One that is unknown, or more than four.
pub(crate) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Error> {
    let mut found = Vec::new();
    for field in headers.get_all(CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(field.as_bytes());
        for name in text.split(',').map(|name| name.trim_matches([' ', '\t'])) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let Some(coding) = Coding::of_name(name) else {
                let shown: String = name.chars().take(SHOWN).collect();
                return Err(unknown(format!(
                    "the body has a content coding that was not asked for: {shown:?}"
                )));
            };
            if found.len() == MOST_CODINGS {
                let message = format!("the body has more content codings than the limit of {MOST_CODINGS}");
                return Err(unknown(message));
            }
            found.push(coding);
        }
    }
    Ok(found)
}

/// Takes a chain of codings off a body.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The coding that was applied last, and is taken off first, stands first.
    stages: Vec<Stage>,
    scratch: Box<[u8]>,
    /// Bytes of the wire that were fed.
    wire: u64,
}

/// What a step of a [`Decoder`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next piece of the decoded body, not empty, of at most [`PIECE`] bytes.
    Piece(Bytes),
    /// All that was fed is used up: the next chunk is to be fed, or the end.
    Hungry,
    /// It has worked for a while without a piece, and goes on when asked again.
    Pause,
    /// The body is whole.
    Done,
}

impl Decoder {
    /// For codings in the order in which they were applied; at least one.
    pub(crate) fn new(codings: &[Coding]) -> Self {
        let stages = codings.iter().rev().map(|coding| Stage::new(*coding)).collect();
        Self { stages, scratch: vec![0; PIECE].into_boxed_slice(), wire: 0 }
    }

    /// Gives it the next chunk, after it was [`Step::Hungry`].
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        self.wire += chunk.len() as u64;
        self.stages[0].input = chunk;
    }

    /// Says that the wire has nothing more, after it was [`Step::Hungry`].
    pub(crate) fn end(&mut self) {
        self.stages[0].input_over = true;
    }

    /// Goes on, up to the next piece.
    ///
    /// # Errors
    /// What was fed is not what its codings say, ends too early, goes on after its end, or expands beyond the limit.
    /// It is not to be asked again.
    pub(crate) fn step(&mut self) -> Result<Step, Error> {
        // A body without a byte has no coding, whatever its head says.
        if self.wire == 0 && self.stages[0].input_over {
            return Ok(Step::Done);
        }
        let last = self.stages.len() - 1;
        let mut at = last;
        for _ in 0..STEPS {
            match self.stages[at].step(&mut self.scratch)? {
                Gave::Bytes(length) => {
                    self.check_ratio(at)?;
                    let piece = Bytes::copy_from_slice(&self.scratch[..length]);
                    if at == last {
                        return Ok(Step::Piece(piece));
                    }
                    // The next one was hungry, or this one would not have been asked.
                    at += 1;
                    self.stages[at].input = piece;
                }
                Gave::Nothing => {}
                Gave::Hunger if at == 0 => return Ok(Step::Hungry),
                Gave::Hunger => at -= 1,
                Gave::End if at == last => return Ok(Step::Done),
                Gave::End => {
                    at += 1;
                    self.stages[at].input_over = true;
                }
            }
        }
        Ok(Step::Pause)
    }

    fn check_ratio(&self, at: usize) -> Result<(), Error> {
        let decoded = self.stages[at].produced;
        if decoded <= RATIO_FROM || decoded <= self.wire.saturating_mul(RATIO) {
            return Ok(());
        }
        let message = format!(
            "the body is decoded to over {RATIO} times the {} bytes that came: over the limit of decoding",
            self.wire
        );
        Err(Error::new(ErrorKind::Bomb, Phase::Body, message))
    }
}

/// One coding of a chain, with what was fed to it.
#[derive(Debug)]
struct Stage {
    coding: Coding,
    codec: Codec,
    input: Bytes,
    input_over: bool,
    /// The last output was filled, so there may be more of it without further input.
    full: bool,
    place: Place,
    produced: u64,
}

/// Where in its input a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte, or amid a member or frame.
    Inside,
    /// A member or frame has ended, and another one may follow.
    Between,
    /// The end was seen; this many bytes more are passed over.
    Behind(usize),
}

/// What one step of a stage gave.
enum Gave {
    Bytes(usize),
    Nothing,
    Hunger,
    End,
}

impl Stage {
    fn new(coding: Coding) -> Self {
        let codec = Codec::new(coding);
        let place = Place::Inside;
        Self { coding, codec, input: Bytes::new(), input_over: false, full: false, place, produced: 0 }
    }

    fn step(&mut self, output: &mut [u8]) -> Result<Gave, Error> {
        if self.input.is_empty() && !self.full {
            return match (self.input_over, self.place) {
                (false, _) => Ok(Gave::Hunger),
                (true, Place::Inside) => Err(self.cut()),
                (true, Place::Between | Place::Behind(_)) => Ok(Gave::End),
            };
        }
        match self.place {
            Place::Behind(passed) => {
                let left = passed.checked_sub(self.input.len()).ok_or_else(|| self.trailing())?;
                self.place = Place::Behind(left);
                self.input.clear();
                return Ok(Gave::Nothing);
            }
            Place::Between => {
                if self.input.first().is_some_and(|byte| !self.codec.begins_with(*byte)) {
                    return Err(self.trailing());
                }
                self.codec.renew();
                self.place = Place::Inside;
            }
            Place::Inside => {}
        }
        let ran = self.codec.run(&self.input, output).map_err(|cause| self.wrong(&cause))?;
        self.take_in(ran, output.len())
    }

    fn take_in(&mut self, ran: Ran, room: usize) -> Result<Gave, Error> {
        let stood = ran.consumed == 0 && ran.produced == 0 && !ran.ended;
        if stood && !self.input.is_empty() {
            return Err(self.wrong("it cannot be read on"));
        }
        self.input.advance(ran.consumed);
        self.produced += ran.produced as u64;
        self.full = ran.produced == room && !ran.ended;
        if ran.ended {
            self.place = match self.codec.after() {
                After::Another => Place::Between,
                After::AtMost(bytes) => Place::Behind(bytes),
            };
        }
        Ok(if ran.produced > 0 { Gave::Bytes(ran.produced) } else { Gave::Nothing })
    }

    fn wrong(&self, cause: &str) -> Error {
        let message = format!("the body is no valid {}: {cause}", self.coding.name());
        Error::new(ErrorKind::CodingBroken, Phase::Body, message)
    }

    fn trailing(&self) -> Error {
        self.wrong("there are bytes behind its end")
    }

    fn cut(&self) -> Error {
        let message = format!("the body ended before the end of its {} coding", self.coding.name());
        Error::new(ErrorKind::CodingCut, Phase::Body, message)
    }
}

fn unknown(message: String) -> Error {
    Error::new(ErrorKind::CodingUnknown, Phase::Wait, message)
}

#[cfg(test)]
mod tests;
