//! Digests of bodies: which there are, how they are written, and how one is computed. What a reply says of its body is
//! read in `fields`, and compared in `checks`. Nothing here fetches, waits, or decides what a mismatch leads to.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::Digest as _;

use crate::error::{Error, ErrorKind, Phase};

pub(crate) use checks::{Checks, Claim};

mod checks;
mod fields;

/// How a digest is computed.
///
/// SHA-256 and SHA-512 tell a body from any other. SHA-1 and MD5 tell accidents only: who wants to can make two bodies
/// of one digest. CRC-32C is a checksum of 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// MD5 (RFC 1321).
    Md5,
    /// CRC-32C (RFC 9260, appendix A), four bytes with the highest first, as Google Cloud Storage sends it.
    Crc32c,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: &'static [Self] = &[Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5, Self::Crc32c];

    /// The spelling in digests as text, such as `sha256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Crc32c => "crc32c",
        }
    }

    /// The length of its digests, in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Sha1 => 20,
            Self::Md5 => 16,
            Self::Crc32c => 4,
        }
    }

    /// Of a name in any case, with or without dashes: `sha256`, `SHA-256`; `sha` is SHA-1.
    fn of_name(name: &str) -> Option<Self> {
        let bare: String = name.chars().filter(|letter| *letter != '-').collect();
        if bare.eq_ignore_ascii_case("sha") {
            return Some(Self::Sha1);
        }
        Self::ALL.iter().copied().find(|algorithm| algorithm.name().eq_ignore_ascii_case(&bare))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The digest of some bytes, with its algorithm. As text it is `sha256:` and lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(algorithm: Algorithm, body: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(body);
        hasher.finish()
    }

    /// A digest that is known; `None` if `bytes` has another [length](Algorithm::length).
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.length()).then(|| Self { algorithm, bytes: bytes.into() })
    }

    /// A digest in hex alone, as in a file of `sha256sum`: its length tells MD5, SHA-1, SHA-256 and SHA-512 apart.
    ///
    /// # Errors
    /// [`BadRequest`](ErrorKind::BadRequest): it is no hex, or of no such length.
    pub fn from_hex(text: &str) -> Result<Self, Error> {
        let algorithms = [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1, Algorithm::Md5];
        let of_length = |algorithm: &Algorithm| 2 * algorithm.length() == text.len();
        let algorithm = algorithms.into_iter().find(of_length);
        let found = algorithm.and_then(|algorithm| Self::new(algorithm, &hex(text)?));
        found.ok_or_else(|| bad(text, "it is not the hex of an MD5, SHA-1, SHA-256 or SHA-512"))
    }

    /// How it was computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes in lower-case hex.
    pub fn to_hex(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_base64(algorithm: Algorithm, text: &str) -> Option<Self> {
        let decoded = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()?;
        Self::new(algorithm, &decoded)
    }
}

impl FromStr for Digest {
    type Err = Error;

    /// Reads `sha256:HEX` and `sha256=BASE64`; either sign goes with either, and names may be written `SHA-256`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((name, value)) = text.split_once([':', '=']) else {
            return Err(bad(text, "write it as sha256:HEX"));
        };
        let Some(algorithm) = Algorithm::of_name(name) else {
            return Err(bad(text, "known are sha256, sha512, sha1, md5 and crc32c"));
        };
        let found = match hex(value) {
            Some(bytes) if bytes.len() == algorithm.length() => Self::new(algorithm, &bytes),
            // As a structured field has it, between colons.
            _ => Self::from_base64(algorithm, value.trim_matches(':')),
        };
        let length = algorithm.length();
        found.ok_or_else(|| bad(text, &format!("a {algorithm} has {} digits of hex", 2 * length)))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How much of a text that is no digest an error shows, in characters.
const SHOWN: usize = 160;

fn bad(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(SHOWN).collect();
    Error::new(ErrorKind::BadRequest, Phase::Queue, format!("{shown:?} is no digest: {why}"))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits = text.bytes().map(digit).collect::<Option<Vec<u8>>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A digest that is being computed, piece by piece. A clone goes on by itself from where it was made.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
    Crc32c(u32),
}

/// What is read at once from a file, in bytes.
const PIECE: usize = 64 << 10;

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Crc32c => State::Crc32c(0),
        })
    }

    /// What it computes.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
            State::Sha1(_) => Algorithm::Sha1,
            State::Md5(_) => Algorithm::Md5,
            State::Crc32c(_) => Algorithm::Crc32c,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Crc32c(state) => *state = crc32c::crc32c_append(*state, bytes),
        }
    }

    /// Takes all that `from` gives, such as the part of a body that lies on the disk already, and says how many bytes
    /// that were. Blocks while it reads.
    ///
    /// # Errors
    /// As `from`; what was read before is taken.
    pub fn update_from(&mut self, from: impl Read) -> io::Result<u64> {
        read_into(from, |bytes| self.update(bytes))
    }

    /// The digest of all bytes that it was given.
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let bytes: Box<[u8]> = match self.0 {
            State::Sha256(state) => state.finalize()[..].into(),
            State::Sha512(state) => state.finalize()[..].into(),
            State::Sha1(state) => state.finalize()[..].into(),
            State::Md5(state) => state.finalize()[..].into(),
            State::Crc32c(state) => state.to_be_bytes()[..].into(),
        };
        Digest { algorithm, bytes }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

/// Gives all bytes of `from` to `take`; an interrupted read goes on.
fn read_into(mut from: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut piece, mut all) = (vec![0; PIECE], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(all),
            Ok(length) => {
                take(&piece[..length]);
                all += length as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, RFC 1321 and RFC 9260 have these, of `abc` and of nine digits.
    #[test]
    fn each_algorithm_gives_its_standards_own_example() {
        let of_abc = |algorithm| Digest::of(algorithm, b"abc").to_hex();
        assert_eq!(
            of_abc(Algorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(of_abc(Algorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(of_abc(Algorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert!(of_abc(Algorithm::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
        assert_eq!(Digest::of(Algorithm::Crc32c, b"123456789").to_hex(), "e3069283");
    }

    #[test]
    fn a_digest_is_read_in_hex_and_in_base64_and_written_in_hex() {
        let digest = Digest::of(Algorithm::Sha256, b"abc");
        let (hex, base64) = (digest.to_hex(), STANDARD.encode(digest.as_bytes()));
        for text in [
            format!("sha256:{hex}"),
            format!("SHA-256:{}", hex.to_uppercase()),
            format!("sha256={base64}"),
            format!("sha-256=:{base64}:"),
            format!("sha256:{}", base64.trim_end_matches('=')),
            digest.to_string(),
        ] {
            assert_eq!(text.parse::<Digest>().expect("a digest"), digest, "{text}");
        }
        assert_eq!(Digest::from_hex(&hex).expect("its length tells"), digest);
        assert_eq!(digest.to_string(), format!("sha256:{hex}"));
    }

    #[test]
    fn what_is_no_digest_is_refused_with_a_reason() {
        for (text, why) in [
            ("abc", "write it as sha256:HEX"),
            ("sha257:00", "known are sha256"),
            ("sha256:00", "a sha256 has 64 digits of hex"),
            ("md5:zz", "a md5 has 32 digits of hex"),
            ("sha1:", "a sha1 has 40 digits of hex"),
        ] {
            let error = text.parse::<Digest>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::BadRequest);
            assert!(error.message().contains(why), "{error}");
        }
        assert!(Digest::from_hex("e3069283").is_err() && Digest::from_hex(&"x".repeat(64)).is_err());
    }

    #[test]
    fn a_hasher_goes_on_behind_what_a_file_gave_it() {
        let whole: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(*algorithm);
            let read = hasher.update_from(&whole[..150_000]).expect("memory can be read");
            let branch = hasher.clone();
            hasher.update(&whole[150_000..]);
            assert_eq!((read, hasher.finish()), (150_000, Digest::of(*algorithm, &whole)));
            assert_eq!(branch.finish(), Digest::of(*algorithm, &whole[..150_000]));
        }
    }
}
