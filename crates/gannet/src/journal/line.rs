//! What a line of a list is, as a journal tells it from others. Plain functions: nothing here reads or writes.

use super::sum;
use crate::error::Error;
use crate::request::Request;

/// Identifies a line by what it is: method, URL, name of its file, id. How it is obtained (mirrors, digests, header
/// fields, a body) may change, and so may be mended why it was refused; secrets are not looked at. `bytes` is room to work
/// in.
pub(super) fn hash_of(request: &Result<Request, Error>, bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    let mut add = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    match request {
        Ok(request) => {
            add(request.http_method().as_str().as_bytes());
            add(request.url().as_bytes());
            add(request.place().map_or(&[], |place| place.as_os_str().as_encoded_bytes()));
            add(request.id().unwrap_or_default().as_bytes());
        }
        Err(error) => add(error.url().unwrap_or_default().as_bytes()),
    }
    sum::hash(bytes)
}

/// The URL of a line, or what it has in the place of one.
pub(super) fn url_of(request: &Result<Request, Error>) -> &str {
    match request {
        Ok(request) => request.url(),
        Err(error) => error.url().unwrap_or_default(),
    }
}
