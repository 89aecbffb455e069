//! The bytes of a body: each byte follows from the seed and its offset alone, so that a test can
//! compute what any part of a reply ought to hold. Beside it stand bodies that a test gives, zeros, and
//! events. Nothing here knows of HTTP or of sockets.

use bytes::Bytes;

/// Bytes that one mixing step yields.
const WORD: u64 = 8;

/// Yields the byte at `offset` of the body that grows from `seed`.
///
/// # Examples
///
/// ```
/// let body = gannet_origin::body(1024, 7);
/// assert_eq!(body[1000], gannet_origin::body_byte(1000, 7));
/// ```
pub fn body_byte(offset: u64, seed: u64) -> u8 {
    word(offset / WORD, seed).to_le_bytes()[(offset % WORD) as usize]
}

/// Yields the first `len` bytes of the body that grows from `seed`: what `?size=len&seed=seed` sends.
pub fn body(len: usize, seed: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(len);
    append(&mut bytes, 0, len, seed);
    Bytes::from(bytes)
}

/// Appends `len` bytes of the body, from `offset` on.
pub(crate) fn append(bytes: &mut Vec<u8>, offset: u64, len: usize, seed: u64) {
    let end = bytes.len() + len;
    let skip = (offset % WORD) as usize;
    let mut index = offset / WORD;
    bytes.reserve(len + WORD as usize);
    if len > 0 && skip > 0 {
        bytes.extend_from_slice(&word(index, seed).to_le_bytes()[skip..]);
        index += 1;
    }
    while bytes.len() < end {
        bytes.extend_from_slice(&word(index, seed).to_le_bytes());
        index += 1;
    }
    bytes.truncate(end);
}

/// Mixes seed and place into eight bytes (the finaliser of SplitMix64: Steele, Lea and Flood, 2014).
pub(crate) fn word(index: u64, seed: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The body of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// The body that grows from the seed, from `start` on.
    Pattern {
        start: u64,
        len: u64,
        seed: u64,
    },
    Given(Bytes),
    Zeros {
        len: u64,
    },
    /// So many server-sent events, each of [`EVENT_LEN`] bytes.
    Events {
        count: u64,
    },
}

/// The length of every event, so that any part of a stream of them follows from its offset.
pub(crate) const EVENT_LEN: u64 = 64;

impl Body {
    pub(crate) const EMPTY: Self = Self::Given(Bytes::new());

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Pattern { len, .. } | Self::Zeros { len } => *len,
            Self::Given(bytes) => bytes.len() as u64,
            Self::Events { count } => count.saturating_mul(EVENT_LEN),
        }
    }

    /// Appends `len` bytes from `offset` on, all of which lie within the body.
    pub(crate) fn append_to(&self, out: &mut Vec<u8>, offset: u64, len: usize) {
        match self {
            Self::Pattern { start, seed, .. } => append(out, start + offset, len, *seed),
            Self::Given(bytes) => out.extend_from_slice(&bytes[offset as usize..offset as usize + len]),
            Self::Zeros { .. } => out.resize(out.len() + len, 0),
            Self::Events { .. } => append_events(out, offset, len),
        }
    }

    /// Yields `len` bytes from `offset` on, all of which lie within the body.
    pub(crate) fn slice(&self, offset: u64, len: u64) -> Self {
        match self {
            Self::Pattern { start, seed, .. } => Self::Pattern { start: start + offset, len, seed: *seed },
            Self::Given(bytes) => Self::Given(bytes.slice(offset as usize..(offset + len) as usize)),
            Self::Zeros { .. } => Self::Zeros { len },
            Self::Events { .. } => {
                let mut bytes = Vec::new();
                append_events(&mut bytes, offset, len as usize);
                Self::Given(Bytes::from(bytes))
            }
        }
    }

    /// A body of the same length and other bytes; zeros and events have no other.
    pub(crate) fn changed(self) -> Self {
        match self {
            Self::Pattern { start, len, seed } => Self::Pattern { start, len, seed: seed.wrapping_add(1) },
            Self::Given(bytes) => Self::Given(bytes.iter().map(|byte| byte.wrapping_add(1)).collect()),
            other => other,
        }
    }

    /// A number that other bytes would make another, but for one in 2^64.
    pub(crate) fn print(&self) -> u64 {
        match self {
            Self::Pattern { start, len, seed } => word(*len, word(*start, *seed)),
            Self::Zeros { len } => word(*len, 1),
            Self::Events { count } => word(*count, 2),
            Self::Given(bytes) => bytes.chunks(WORD as usize).fold(word(self.len(), 3), |print, chunk| {
                let mut whole = [0; WORD as usize];
                whole[..chunk.len()].copy_from_slice(chunk);
                word(u64::from_le_bytes(whole), print)
            }),
        }
    }
}

fn append_events(out: &mut Vec<u8>, offset: u64, len: usize) {
    let (first, skip) = (offset / EVENT_LEN, (offset % EVENT_LEN) as usize);
    let mut bytes = Vec::with_capacity(skip + len + EVENT_LEN as usize);
    let numbers = (first..).take_while(|number| (number - first) * EVENT_LEN < (skip + len) as u64);
    numbers.for_each(|number| bytes.extend_from_slice(event(number).as_bytes()));
    out.extend_from_slice(&bytes[skip..skip + len]);
}

/// One event as a server sends it (WHATWG HTML, section 9.2); the numbers are wide enough for any `u64`.
fn event(number: u64) -> String {
    format!("id: {number:020}\ndata: event {number:>020}{}\n\n", " ".repeat(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_length_whatever_its_number() {
        assert!([0, 9, u64::MAX].iter().all(|number| event(*number).len() as u64 == EVENT_LEN));
    }

    #[test]
    fn any_part_of_the_events_equals_the_same_part_of_the_whole() {
        let (body, mut whole) = (Body::Events { count: 5 }, Vec::new());
        body.append_to(&mut whole, 0, body.len() as usize);
        for (from, len) in [(0, 64), (1, 63), (63, 2), (60, 200), (320, 0)] {
            let mut part = Vec::new();
            body.append_to(&mut part, from as u64, len);
            assert_eq!(part, &whole[from..from + len]);
        }
    }

    #[test]
    fn other_bytes_have_another_print() {
        let given = |text: &'static str| Body::Given(Bytes::from_static(text.as_bytes()));
        let prints = ["a", "b", "ab", "ba", "a\0", "12345678a", "12345678b"].map(|text| given(text).print());
        assert!(prints.iter().enumerate().all(|(i, print)| !prints[..i].contains(print)));
    }

    #[test]
    fn any_part_of_a_body_equals_the_same_part_of_the_whole() {
        let whole = body(100, 3);
        for (from, len) in [(0, 100), (1, 0), (3, 2), (7, 9), (8, 8), (13, 87)] {
            let mut part = vec![0xff];
            append(&mut part, from as u64, len, 3);
            assert_eq!(&part[1..], &whole[from..from + len], "from {from}, {len} bytes");
        }
    }

    #[test]
    fn seeds_give_different_bodies_and_each_byte_stands_alone() {
        assert_ne!(body(32, 1), body(32, 2));
        assert!(body(50, 9).iter().enumerate().all(|(i, b)| *b == body_byte(i as u64, 9)));
    }
}
