//! The formats behind the codings, each as a machine that takes a slice of input and fills a slice of output: what
//! flate2, brotli-decompressor and zstd-safe do, under one face. Nothing is kept here but their own windows.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::Coding;

/// The largest zstd window, as a power of two: 8 MiB (RFC 9659, section 3).
const ZSTD_WINDOW_LOG: u32 = 23;
/// The window of gzip, as a power of two (RFC 1951).
const GZIP_WINDOW_LOG: u8 = 15;
/// What may follow a raw deflate stream, in bytes: some servers send the checksum of the format that they left out.
const RAW_TRAILER: usize = 4;

/// The state of one coding.
pub(super) enum Codec {
    Gzip(Decompress),
    Deflate(Deflate),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(DCtx<'static>),
}

/// `deflate` is the zlib format (RFC 9110, section 8.4.1.2) or what some servers take it for (RFC 1951). The first two
/// bytes tell.
pub(super) enum Deflate {
    Unread(Option<u8>),
    Zlib(Decompress),
    Raw(Decompress),
}

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// A member or frame, or the whole, has ended and all its output was given.
    pub(super) ended: bool,
}

/// What may follow the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Another member or frame, which belongs to the same body (RFC 1952, section 2.2; RFC 8878, section 3.1).
    Another,
    /// Bytes that are passed over, at most so many.
    AtMost(usize),
}

impl Codec {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Decompress::new_gzip(GZIP_WINDOW_LOG)),
            Coding::Deflate => Self::Deflate(Deflate::Unread(None)),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                // Strict: the windows of up to 1 GiB that RFC 7932 does not know are refused.
                Self::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            Coding::Zstd => {
                let mut context = DCtx::create();
                context
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .expect("8 MiB is within zstd's own bounds");
                Self::Zstd(context)
            }
        }
    }

    /// Makes it ready for another member or frame.
    pub(super) fn renew(&mut self) {
        // zstd goes on with a further frame by itself; the others have one member.
        if let Self::Gzip(_) = self {
            *self = Self::new(Coding::Gzip);
        }
    }

    /// Whether a member or frame can begin with this byte: a half of one is cut, anything else is none.
    pub(super) fn begins_with(&self, byte: u8) -> bool {
        match self {
            Self::Gzip(_) => byte == 0x1f,
            // A frame, or one of the sixteen kinds of frames that are skipped.
            Self::Zstd(_) => byte == 0x28 || byte >> 4 == 5,
            Self::Deflate(_) | Self::Brotli(_) => false,
        }
    }

    /// What may follow, once it has ended.
    pub(super) fn after(&self) -> After {
        match self {
            Self::Gzip(_) | Self::Zstd(_) => After::Another,
            Self::Deflate(Deflate::Raw(_)) => After::AtMost(RAW_TRAILER),
            Self::Deflate(_) | Self::Brotli(_) => After::AtMost(0),
        }
    }

    /// Reads some of `input` and fills some of `output`, which is not empty.
    ///
    /// # Errors
    /// Why the input is not of this format.
    pub(super) fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Ran, String> {
        match self {
            Self::Gzip(inflate) => run_inflate(inflate, input, output),
            Self::Deflate(deflate) => deflate.run(input, output),
            Self::Brotli(state) => run_brotli(state, input, output),
            Self::Zstd(context) => run_zstd(context, input, output),
        }
    }
}

impl Deflate {
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Ran, String> {
        let held = match self {
            Self::Zlib(inflate) | Self::Raw(inflate) => return run_inflate(inflate, input, output),
            Self::Unread(held) => *held,
        };
        let (first, second) = match (held, input) {
            (_, []) => return Ok(Ran { consumed: 0, produced: 0, ended: false }),
            (None, [only]) => {
                *self = Self::Unread(Some(*only));
                return Ok(Ran { consumed: 1, produced: 0, ended: false });
            }
            (None, [first, second, ..]) => (*first, *second),
            (Some(first), [second, ..]) => (first, *second),
        };
        let zlib = is_zlib(first, second);
        let mut inflate = Decompress::new(zlib);
        if held.is_some() {
            // One byte ends no stream and gives no output.
            run_inflate(&mut inflate, &[first], output)?;
        }
        let ran = run_inflate(&mut inflate, input, output);
        *self = if zlib { Self::Zlib(inflate) } else { Self::Raw(inflate) };
        ran
    }
}

/// Whether two bytes are a header of the zlib format (RFC 1950, section 2.2).
fn is_zlib(first: u8, second: u8) -> bool {
    let (method, window) = (first & 0x0f, first >> 4);
    method == 8 && window <= 7 && u16::from_be_bytes([first, second]).is_multiple_of(31)
}

fn run_inflate(inflate: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<Ran, String> {
    let (read, written) = (inflate.total_in(), inflate.total_out());
    // A step without progress is no error here: it wants more input.
    let status =
        inflate.decompress(input, output, FlushDecompress::None).map_err(|cause| cause.to_string())?;
    Ok(Ran {
        consumed: (inflate.total_in() - read) as usize,
        produced: (inflate.total_out() - written) as usize,
        ended: status == Status::StreamEnd,
    })
}

fn run_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
) -> Result<Ran, String> {
    let (mut unread, mut consumed) = (input.len(), 0);
    let (mut room, mut produced, mut total) = (output.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut unread,
        &mut consumed,
        input,
        &mut room,
        &mut produced,
        output,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err("its data is corrupt".into()),
        BrotliResult::ResultSuccess => Ok(Ran { consumed, produced, ended: true }),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {
            Ok(Ran { consumed, produced, ended: false })
        }
    }
}

fn run_zstd(context: &mut DCtx<'static>, input: &[u8], output: &mut [u8]) -> Result<Ran, String> {
    let mut from = InBuffer::around(input);
    let mut to = OutBuffer::around(output);
    let left = context.decompress_stream(&mut to, &mut from).map_err(|code| {
        let name = zstd_safe::get_error_name(code);
        if name.contains("too much memory") {
            format!("its window is over the limit of {} MiB", (1 << ZSTD_WINDOW_LOG) >> 20)
        } else {
            name.to_lowercase()
        }
    })?;
    Ok(Ran { consumed: from.pos(), produced: to.pos(), ended: left == 0 })
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Deflate(_) => "Deflate",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}
