//! Content codings (RFC 9110, section 8.4.1): which ones a query asks for, and the coding itself, whole or
//! piece by piece. Pure: bytes in, bytes out. Framing is not known here.

use std::io::Write;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::behave::size;
use crate::body::Body;
use crate::fields::Fields;

/// The most codings of one chain. Of a body that is streamed each holds its state, some 1 MiB, all the while.
const MAX_CHAIN: usize = 128;

/// The longest body, in bytes, that is coded whole, and so with a Content-Length; a longer one is streamed.
const MAX_WHOLE: u64 = 8 << 20;

/// Bytes that go into the first coding at a time.
const FEED: usize = 64 << 10;

/// Bytes that go in before what came out is handed on, however little it is.
const FEED_PER_PIECE: usize = 1 << 20;

/// Bytes that make a piece worth handing on.
const PIECE: usize = 16 << 10;

/// Room that a brotli encoder has for what goes in.
const BROTLI_BUFFER: usize = 16 << 10;

/// The level of brotli, 0 to 11: quick, and bombs are small all the same.
const BROTLI_LEVEL: u32 = 3;

/// The window of brotli, as a power of two: 256 KiB, so that a long chain stays small.
const BROTLI_WINDOW: u32 = 18;

const ZSTD_LEVEL: i32 = 3;

/// One coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    XGzip,
    Brotli,
    Zstd,
    /// The zlib format (RFC 1950), as the name is meant.
    Deflate,
    /// The bare format (RFC 1951) under the name `deflate`, as some servers send it.
    RawDeflate,
    Identity,
}

impl Coding {
    fn read(text: &str) -> Option<Self> {
        Some(match text.trim() {
            "gzip" => Self::Gzip,
            "x-gzip" => Self::XGzip,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            "deflate" => Self::Deflate,
            "raw-deflate" => Self::RawDeflate,
            "identity" => Self::Identity,
            _ => return None,
        })
    }

    /// The name that Content-Encoding gives it.
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::XGzip => "x-gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate | Self::RawDeflate => "deflate",
            Self::Identity => "identity",
        }
    }
}

/// When a body is coded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum When {
    #[default]
    Always,
    /// Where Accept-Encoding names each coding of the chain.
    Accepted,
}

/// What a query asks of the coding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CodingAsked {
    /// In the order in which they are applied.
    chain: Vec<Coding>,
    lie: Option<Bytes>,
    cut: Option<u64>,
    bomb: Option<u64>,
    when: When,
}

/// A body as it goes out, and what its head has to say of it.
pub(crate) struct Coded {
    pub(crate) body: Body,
    /// Codings that the body has yet to go through, as it is sent.
    pub(crate) stream_through: Vec<Coding>,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
}

impl CodingAsked {
    /// Takes in one key, if it is one of this room; `None` means that the value makes no sense.
    pub(crate) fn apply(&mut self, key: &str, bytes: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(bytes).ok();
        match key {
            "coding" => {
                let chain: Vec<_> = text()?.split(',').map(Coding::read).collect::<Option<_>>()?;
                self.chain = Some(chain).filter(|chain| chain.len() <= MAX_CHAIN)?;
            }
            "coding-lie" => self.lie = Some(Bytes::copy_from_slice(bytes)),
            "coding-cut" => self.cut = Some(size(text()?)?),
            "bomb" => self.bomb = Some(size(text()?)?),
            "negotiate" => self.when = When::Accepted,
            _ => {}
        }
        Some(())
    }

    /// Forgets the body that was asked for: the answer is another one.
    pub(crate) fn forget_body(&mut self) {
        self.bomb = None;
    }

    /// The body that stands in for any other, if one was asked for.
    pub(crate) fn body(&self) -> Option<Body> {
        self.bomb.map(|len| Body::Zeros { len })
    }

    /// Codes a body as it was asked for, or leaves that to the sending where it is long.
    pub(crate) fn code(&self, body: Body, fields: &Fields) -> Coded {
        let mut headers = Vec::new();
        if self.when == When::Accepted {
            headers.push((Bytes::from_static(b"vary"), Bytes::from_static(b"accept-encoding")));
        }
        let is_wanted =
            self.when == When::Always || self.chain.iter().all(|coding| fields.accepts(coding.name()));
        let chain: &[Coding] = if is_wanted { &self.chain } else { &[] };
        let named = self.lie.clone().or_else(|| name_of(chain));
        headers.extend(named.map(|name| (Bytes::from_static(b"content-encoding"), name)));
        let is_long = body.len() > MAX_WHOLE;
        if is_long && !chain.is_empty() {
            return Coded { body, stream_through: chain.to_vec(), headers };
        }
        let mut body = if chain.is_empty() { body } else { whole(&body, chain) };
        if let Some(cut) = self.cut {
            body = body.slice(0, cut.min(body.len()));
        }
        Coded { body, stream_through: Vec::new(), headers }
    }
}

fn name_of(chain: &[Coding]) -> Option<Bytes> {
    let names: Vec<_> = chain.iter().map(|coding| coding.name()).collect();
    (!names.is_empty()).then(|| Bytes::from(names.join(", ")))
}

/// Codes a whole body, one coding after the other.
fn whole(body: &Body, chain: &[Coding]) -> Body {
    let mut bytes = Vec::new();
    body.append_to(&mut bytes, 0, body.len() as usize);
    for coding in chain {
        let (mut stage, mut coded) = (stage(*coding), Vec::new());
        stage.feed(&bytes, &mut coded);
        stage.finish(&mut coded);
        bytes = coded;
    }
    Body::Given(Bytes::from(bytes))
}

/// Whether more of a streamed body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    Comes,
    WasLast,
}

/// Codes a body piece by piece, in memory that does not grow with it.
pub(crate) struct Encoder<'a> {
    source: &'a Body,
    offset: u64,
    stages: Vec<Box<dyn Stage>>,
    /// What goes into a stage, and what comes out of it.
    input: Vec<u8>,
    output: Vec<u8>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(source: &'a Body, chain: &[Coding]) -> Self {
        let stages = chain.iter().map(|coding| stage(*coding)).collect();
        Self { source, offset: 0, stages, input: Vec::new(), output: Vec::new() }
    }

    /// Appends the next piece, which may be empty.
    pub(crate) fn append_next(&mut self, out: &mut Vec<u8>) -> More {
        let mut fed = 0;
        while out.len() < PIECE && fed < FEED_PER_PIECE && self.offset < self.source.len() {
            let n = (FEED as u64).min(self.source.len() - self.offset) as usize;
            self.input.clear();
            self.source.append_to(&mut self.input, self.offset, n);
            (self.offset, fed) = (self.offset + n as u64, fed + n);
            for stage in &mut self.stages {
                self.output.clear();
                stage.feed(&self.input, &mut self.output);
                std::mem::swap(&mut self.input, &mut self.output);
            }
            out.append(&mut self.input);
        }
        if self.offset < self.source.len() {
            return More::Comes;
        }
        self.input.clear();
        for stage in &mut self.stages {
            self.output.clear();
            stage.feed(&self.input, &mut self.output);
            stage.finish(&mut self.output);
            std::mem::swap(&mut self.input, &mut self.output);
        }
        out.append(&mut self.input);
        More::WasLast
    }
}

/// One coding at work.
trait Stage: Send {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>);
    fn finish(&mut self, out: &mut Vec<u8>);
}

fn stage(coding: Coding) -> Box<dyn Stage> {
    match coding {
        Coding::Gzip | Coding::XGzip => Box::new(GzEncoder::new(Vec::new(), Compression::default())),
        Coding::Deflate => Box::new(ZlibEncoder::new(Vec::new(), Compression::default())),
        Coding::RawDeflate => Box::new(DeflateEncoder::new(Vec::new(), Compression::default())),
        Coding::Brotli => {
            let writer = CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_LEVEL, BROTLI_WINDOW);
            Box::new(Brotli(Some(Box::new(writer))))
        }
        Coding::Zstd => Box::new(
            zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).expect("the level is one of zstd's"),
        ),
        Coding::Identity => Box::new(Identity),
    }
}

const INTO_VECTOR: &str = "a vector takes any bytes";

macro_rules! stage_of_writer {
    ($writer:ty, $finish:ident) => {
        impl Stage for $writer {
            fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
                self.write_all(bytes).expect(INTO_VECTOR);
                out.append(self.get_mut());
            }

            fn finish(&mut self, out: &mut Vec<u8>) {
                self.$finish().expect(INTO_VECTOR);
                out.append(self.get_mut());
            }
        }
    };
}

stage_of_writer!(GzEncoder<Vec<u8>>, try_finish);
stage_of_writer!(ZlibEncoder<Vec<u8>>, try_finish);
stage_of_writer!(DeflateEncoder<Vec<u8>>, try_finish);
stage_of_writer!(zstd::stream::write::Encoder<'static, Vec<u8>>, do_finish);

/// A brotli encoder, until it is finished: the library ends it only by taking it apart.
struct Brotli(Option<Box<CompressorWriter<Vec<u8>>>>);

impl Stage for Brotli {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if let Some(writer) = &mut self.0 {
            writer.write_all(bytes).expect(INTO_VECTOR);
            out.append(writer.get_mut());
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(writer) = self.0.take() {
            out.append(&mut writer.into_inner());
        }
    }
}

struct Identity;

impl Stage for Identity {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
    }

    fn finish(&mut self, _: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_body_equals_the_same_body_coded_whole() {
        let body = Body::Pattern { start: 0, len: 300_000, seed: 3 };
        for chain in [&[Coding::Gzip][..], &[Coding::Brotli], &[Coding::Zstd, Coding::Deflate]] {
            let Body::Given(coded_whole) = whole(&body, chain) else { panic!("a coded body is given") };
            let mut streamed = Vec::new();
            let mut encoder = Encoder::new(&body, chain);
            loop {
                let mut piece = Vec::new();
                let more = encoder.append_next(&mut piece);
                streamed.append(&mut piece);
                if more == More::WasLast {
                    break;
                }
            }
            assert_eq!(decoded(&streamed, chain), decoded(&coded_whole, chain), "{chain:?}");
        }
    }

    fn decoded(bytes: &[u8], chain: &[Coding]) -> Vec<u8> {
        use std::io::Read;
        let mut bytes = bytes.to_vec();
        for coding in chain.iter().rev() {
            let mut plain = Vec::new();
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain),
                Coding::Deflate => flate2::read::ZlibDecoder::new(&bytes[..]).read_to_end(&mut plain),
                Coding::Brotli => brotli::Decompressor::new(&bytes[..], 4096).read_to_end(&mut plain),
                _ => zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_end(&mut plain),
            }
            .unwrap();
            bytes = plain;
        }
        bytes
    }
}
