//! HTTP/2 frames, byte for byte (RFC 9113, section 4): made as asked, right or wrong, and read one by one.
//! What they mean is known elsewhere.

use bytes::{Buf, Bytes, BytesMut};

/// The longest payload that is read; clients are not told that they may send more than 16 KiB.
const MAX_PAYLOAD: usize = 1 << 20;

const HEAD: usize = 9;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Acknowledges SETTINGS or PING.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const NONE: u8 = 0;

/// One frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

/// The peer sent a frame that is far too long.
#[derive(Debug)]
pub(crate) struct TooLong;

impl Frame {
    /// Takes a whole frame from the inbox, if one is there.
    pub(crate) fn take(inbox: &mut BytesMut) -> Result<Option<Self>, TooLong> {
        let Some(head) = inbox.first_chunk::<HEAD>().copied() else { return Ok(None) };
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if len > MAX_PAYLOAD {
            return Err(TooLong);
        }
        if inbox.len() < HEAD + len {
            return Ok(None);
        }
        inbox.advance(HEAD);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Ok(Some(Self { kind: head[3], flags: head[4], stream, payload: inbox.split_to(len).freeze() }))
    }
}

/// Makes a frame; its length is that of the payload.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// SETTINGS of these numbers and values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let pair = |(number, value): &(u16, u32)| [&number.to_be_bytes()[..], &value.to_be_bytes()[..]].concat();
    frame(SETTINGS, NONE, 0, &values.iter().flat_map(pair).collect::<Vec<_>>())
}

pub(crate) fn go_away(last_stream: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, NONE, 0, &[last_stream.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, NONE, stream, &code.to_be_bytes())
}

/// A head that says 200 and promises so many bytes, at most 99,999 (RFC 7541: entry 8 of the static table,
/// and a literal with the name of entry 28).
pub(crate) fn ok_head(stream: u32, promised: usize) -> Vec<u8> {
    let digits = promised.to_string();
    let mut block = vec![0x88, 0x0f, 0x0d, digits.len() as u8];
    block.extend_from_slice(digits.as_bytes());
    frame(HEADERS, END_HEADERS, stream, &block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        let bytes = frame(PING, ACK, 7, b"12345678");
        let mut inbox = BytesMut::from(&bytes[..bytes.len() - 1]);
        assert!(Frame::take(&mut inbox).unwrap().is_none());
        inbox.extend_from_slice(b"8+");
        let taken = Frame::take(&mut inbox).unwrap().unwrap();
        assert_eq!(
            (taken.kind, taken.flags, taken.stream, &taken.payload[..]),
            (PING, ACK, 7, &b"12345678"[..])
        );
        assert_eq!(&inbox[..], b"+");
    }

    #[test]
    fn a_frame_of_many_megabytes_is_not_waited_for() {
        assert!(Frame::take(&mut BytesMut::from(&[255; 9][..])).is_err());
    }
}
