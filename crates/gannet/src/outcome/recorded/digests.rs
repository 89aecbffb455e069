//! Digests of a body as the JSON of a journal's row, and back: names, and values in hexadecimal. What cannot be read is
//! left out: the row's checksum says whether it is what was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Recorded;
use crate::digest::Digest;

/// A JSON object; `None` if nothing was computed.
pub(super) fn write(digests: &[Digest]) -> Option<String> {
    let mut text = String::with_capacity(80 * digests.len());
    for digest in digests {
        let opens = if text.is_empty() { '{' } else { ',' };
        let (name, value) = (digest.algorithm(), digest.to_hex());
        write!(text, r#"{opens}"{name}":"{value}""#).expect("a string takes all that is written to it");
    }
    (!text.is_empty()).then(|| text + "}")
}

impl Recorded {
    /// The digests that were computed of the body, as it was kept.
    pub fn body_digests(&self) -> Vec<Digest> {
        let text = self.digests.as_deref().unwrap_or("{}");
        let all: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
        all.iter().filter_map(|(name, value)| format!("{name}:{value}").parse().ok()).collect()
    }
}
