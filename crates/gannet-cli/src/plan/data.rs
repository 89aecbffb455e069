//! The bytes of `-d` and its kin, joined in the order in which they were given. Files and standard input are read
//! here; nothing is sent.

use std::io::{self, Read as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::args::{DataKind, DataPiece};
use crate::say::Complaint;

/// What `--data-urlencode` leaves as it is, beside letters and digits (RFC 3986, section 2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// All pieces, joined by `&`.
pub(super) fn joined(pieces: &[DataPiece]) -> Result<Vec<u8>, Complaint> {
    let mut all = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            all.push(b'&');
        }
        all.append(&mut bytes(piece)?);
    }
    Ok(all)
}

/// The value itself, or what is in the file that `@` names.
pub(super) fn given(value: &str) -> Result<Vec<u8>, Complaint> {
    match value.strip_prefix('@') {
        Some(name) => read(name),
        None => Ok(value.as_bytes().to_vec()),
    }
}

fn bytes(piece: &DataPiece) -> Result<Vec<u8>, Complaint> {
    let value = &piece.value;
    match piece.kind {
        DataKind::Raw => Ok(value.as_bytes().to_vec()),
        DataKind::Binary => given(value),
        DataKind::Form => {
            let mut bytes = given(value)?;
            if value.starts_with('@') {
                // As curl does, so that a file may end with a line break.
                bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
            }
            Ok(bytes)
        }
        DataKind::UrlEncoded => encoded(value),
    }
}

/// `text`, `=text`, `name=text`, `@FILE`, `name@FILE`: the name stays as it is, the rest is encoded.
fn encoded(value: &str) -> Result<Vec<u8>, Complaint> {
    let (name, content) = match mark(value) {
        None => ("", value.as_bytes().to_vec()),
        Some(at) if value.as_bytes()[at] == b'=' => (&value[..at], value.as_bytes()[at + 1..].to_vec()),
        Some(at) => (&value[..at], read(&value[at + 1..])?),
    };
    let text = percent_encode(&content, &ENCODED).to_string();
    Ok(if name.is_empty() { text.into_bytes() } else { format!("{name}={text}").into_bytes() })
}

/// Where the name ends: at the first `=`, and at the first `@` where there is none, as in curl.
fn mark(value: &str) -> Option<usize> {
    value.find('=').or_else(|| value.find('@'))
}

/// Whether standard input is read for a piece.
pub(super) fn reads_stdin(piece: &DataPiece) -> bool {
    match piece.kind {
        DataKind::Raw => false,
        DataKind::Form | DataKind::Binary => piece.value == "@-",
        DataKind::UrlEncoded => mark(&piece.value).is_some_and(|at| &piece.value[at..] == "@-"),
    }
}

/// A file, or standard input for `-`.
pub(super) fn read(name: &str) -> Result<Vec<u8>, Complaint> {
    let bytes = || -> io::Result<Vec<u8>> {
        if name != "-" {
            return std::fs::read(name);
        }
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    bytes().map_err(|cause| Complaint::new(format!("@{name} cannot be read")).why(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(kind: DataKind, value: &str) -> DataPiece {
        DataPiece { kind, value: value.into() }
    }

    #[test]
    fn pieces_are_joined_in_their_order_each_in_its_way() {
        let pieces = [
            piece(DataKind::UrlEncoded, "q=a b&c"),
            piece(DataKind::Raw, "@raw"),
            piece(DataKind::UrlEncoded, "=x/y"),
            piece(DataKind::UrlEncoded, "\u{e4}-_.~"),
            piece(DataKind::Form, "z=1"),
            piece(DataKind::UrlEncoded, "me@x=1@"),
        ];
        let text = String::from_utf8(joined(&pieces).expect("no file is read")).expect("text");
        assert_eq!(text, "q=a%20b%26c&@raw&x%2Fy&%C3%A4-_.~&z=1&me@x=1%40");
    }

    #[test]
    fn standard_input_is_read_for_a_file_that_is_a_dash_alone() {
        for (value, is_read) in
            [("@-", true), ("n@-", true), ("n=@-", false), ("n@x=@-", false), ("-", false)]
        {
            assert_eq!(reads_stdin(&piece(DataKind::UrlEncoded, value)), is_read, "{value}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let said = joined(&[piece(DataKind::Binary, "@no-such-file")]).expect_err("no file");
        assert!(said.to_string().contains("@no-such-file cannot be read"));
    }
}
