//! The bytes of a body: each byte follows from the seed and its offset alone, so that a test can
//! compute what any part of a reply ought to hold. Nothing here knows of HTTP or of sockets.

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

#[cfg(test)]
mod tests {
    use super::*;

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
