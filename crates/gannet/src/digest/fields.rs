//! What the fields of a reply say of its body: Repr-Digest and Content-Digest (RFC 9530), Digest (RFC 3230), x-goog-hash
//! and Content-MD5 (RFC 1864). Unknown algorithms and malformed fields say nothing.

use base64::Engine as _;
use http::header::{CONTENT_ENCODING, HeaderMap, TRAILER};
use http::{Method, StatusCode};

use super::checks::{By, Claim};
use super::{Algorithm, Digest};

/// Of what a reply's fields tell that the body of its message can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The message holds the whole representation.
    Whole,
    /// The message holds a part of it, or something beside it: its own content can be compared, no more.
    Message,
    /// The message holds the rest of it behind a part that is there already: together they are the whole.
    Rest,
}

impl Scope {
    /// `None` if no content comes that anything could be said of.
    pub(super) fn of(method: &Method, status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            _ if *method == Method::HEAD => None,
            100..=199 | 204 | 205 | 304 => None,
            // A part; a difference (RFC 3229); the state that was sent, which the reply need not hold.
            206 | 226 => Some(Self::Message),
            _ if *method == Method::PUT || *method == Method::PATCH => Some(Self::Message),
            _ => Some(Self::Whole),
        }
    }
}

/// The names, as messages show them.
const REPR_DIGEST: &str = "Repr-Digest";
const CONTENT_DIGEST: &str = "Content-Digest";
const DIGEST: &str = "Digest";
const GOOGLE: &str = "x-goog-hash";
const CONTENT_MD5: &str = "Content-MD5";
/// All of them, as they are kept.
const NAMES: [&str; 5] = ["repr-digest", "content-digest", "digest", "x-goog-hash", "content-md5"];

/// All that these fields say within the scope.
pub(super) fn claims(headers: &HeaderMap, scope: Scope) -> Vec<Claim> {
    let mut found = Vec::new();
    // Hardly any reply has one: a look at its names is cheaper than a look-up of each of these.
    if !headers.keys().any(|name| NAMES.contains(&name.as_str())) {
        return found;
    }
    let mut add = |name: &'static str, digests: Vec<Digest>| {
        found.extend(digests.into_iter().map(|digest| Claim { by: By::Field(name), digest }));
    };
    if scope != Scope::Rest {
        add(CONTENT_DIGEST, structured(headers, "content-digest"));
    }
    if scope != Scope::Message {
        add(REPR_DIGEST, structured(headers, "repr-digest"));
        add(DIGEST, legacy(headers));
        add(GOOGLE, google(headers));
    }
    // Servers do not agree on what it is of in a part (RFC 7231, appendix B).
    if scope == Scope::Whole {
        add(CONTENT_MD5, content_md5(headers));
    }
    found
}

/// Whether the head says that digests follow the body (RFC 9530, section 6.2; RFC 9110, section 6.6.2).
pub(super) fn announces_trailers(headers: &HeaderMap) -> bool {
    let names = headers.get_all(TRAILER).iter().filter_map(|field| field.to_str().ok());
    names.flat_map(|names| names.split(',')).any(|name| {
        [REPR_DIGEST, CONTENT_DIGEST, DIGEST].iter().any(|known| name.trim().eq_ignore_ascii_case(known))
    })
}

/// A field in one text, its lines joined (RFC 9110, section 5.3); `None` if there is none, or it is no text.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut lines = headers.get_all(name).iter().map(|line| line.to_str().ok()).peekable();
    lines.peek()?;
    Some(lines.collect::<Option<Vec<_>>>()?.join(", "))
}

/// A dictionary of byte sequences (RFC 9530, section 2 and 3), of which SHA-256 and SHA-512 are compared.
fn structured(headers: &HeaderMap, name: &str) -> Vec<Digest> {
    let Some(text) = joined(headers, name) else { return Vec::new() };
    let Some(members) = Dictionary(&text).members() else { return Vec::new() };
    let mut found: Vec<Digest> = Vec::new();
    for (key, value) in members {
        let algorithm = match key {
            "sha-256" => Algorithm::Sha256,
            "sha-512" => Algorithm::Sha512,
            _ => continue,
        };
        // Of a key that stands twice the last counts (RFC 8941, section 3.2).
        found.retain(|digest| digest.algorithm() != algorithm);
        found.extend(value.and_then(|bytes| Digest::new(algorithm, &bytes)));
    }
    found
}

/// `SHA-256=BASE64, md5=BASE64` (RFC 3230, section 4.3.2).
fn legacy(headers: &HeaderMap) -> Vec<Digest> {
    let text = joined(headers, "digest").unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
    let known = pairs.filter_map(|(name, value)| {
        let algorithm = match name.to_ascii_lowercase().as_str() {
            "sha-256" => Algorithm::Sha256,
            "sha-512" => Algorithm::Sha512,
            "sha" => Algorithm::Sha1,
            "md5" => Algorithm::Md5,
            _ => return None,
        };
        Digest::from_base64(algorithm, value)
    });
    known.collect()
}

/// `crc32c=BASE64,md5=BASE64`, of the object as it is stored. Where the store sends it in another coding than that, as it
/// does with gzip that it takes off itself, the field tells of other bytes.
fn google(headers: &HeaderMap) -> Vec<Digest> {
    let coding = |name: &str| joined(headers, name).filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    if coding("x-goog-stored-content-encoding") != coding(CONTENT_ENCODING.as_str()) {
        return Vec::new();
    }
    let text = joined(headers, "x-goog-hash").unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
    let known = pairs.filter_map(|(name, value)| match name {
        "crc32c" => Digest::from_base64(Algorithm::Crc32c, value),
        "md5" => Digest::from_base64(Algorithm::Md5, value),
        _ => None,
    });
    known.collect()
}

fn content_md5(headers: &HeaderMap) -> Vec<Digest> {
    let text = joined(headers, "content-md5").unwrap_or_default();
    Digest::from_base64(Algorithm::Md5, text.trim()).into_iter().collect()
}

/// A key, and its value if that is a byte sequence.
type Member<'a> = (&'a str, Option<Vec<u8>>);

/// The text of a dictionary (RFC 8941, section 4.2.2), as far as it is still to be read.
struct Dictionary<'a>(&'a str);

impl<'a> Dictionary<'a> {
    /// Its members that are byte sequences, and the keys of all others; `None` if it is malformed anywhere, since it
    /// then says nothing at all.
    fn members(mut self) -> Option<Vec<Member<'a>>> {
        let mut found = Vec::new();
        self.0 = self.0.trim_matches(' ');
        while !self.0.is_empty() {
            let key = self.key()?;
            // A key alone is true.
            let value = if self.eat('=') { self.member()? } else { None };
            self.parameters()?;
            found.push((key, value));
            self.0 = self.0.trim_start_matches([' ', '\t']);
            if self.0.is_empty() {
                break;
            }
            if !self.eat(',') {
                return None;
            }
            self.0 = self.0.trim_start_matches([' ', '\t']);
            // Nothing behind a comma is an error.
            self.0.chars().next()?;
        }
        Some(found)
    }

    fn member(&mut self) -> Option<Option<Vec<u8>>> {
        if !self.eat('(') {
            return self.item();
        }
        loop {
            self.0 = self.0.trim_start_matches(' ');
            if self.eat(')') {
                return Some(None);
            }
            self.item()?;
            self.parameters()?;
            if !self.0.starts_with([' ', ')']) {
                return None;
            }
        }
    }

    /// One bare item; only byte sequences are given out.
    fn item(&mut self) -> Option<Option<Vec<u8>>> {
        match self.0.chars().next()? {
            ':' => {
                let (text, rest) = self.0[1..].split_once(':')?;
                self.0 = rest;
                let decoded = super::STANDARD.decode(text).or_else(|_| super::STANDARD_NO_PAD.decode(text));
                decoded.ok().map(Some)
            }
            '"' => self.string().map(|()| None),
            '?' => {
                let rest = self.0.strip_prefix("?0").or_else(|| self.0.strip_prefix("?1"))?;
                self.0 = rest;
                Some(None)
            }
            '-' | '0'..='9' => {
                let rest = self.0.strip_prefix('-').unwrap_or(self.0);
                let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                let number = &rest[..digits];
                self.0 = &rest[digits..];
                let is_whole = number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.');
                (is_whole && number.matches('.').count() <= 1).then_some(None)
            }
            'a'..='z' | 'A'..='Z' | '*' => {
                let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
                self.0 = self.0.trim_start_matches(is_token);
                Some(None)
            }
            _ => None,
        }
    }

    fn string(&mut self) -> Option<()> {
        let mut characters = self.0.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(());
                }
                '\\' => {
                    characters.next().filter(|(_, escaped)| matches!(escaped, '"' | '\\'))?;
                }
                ' '..='~' => {}
                _ => return None,
            }
        }
        None
    }

    fn parameters(&mut self) -> Option<()> {
        while self.eat(';') {
            self.0 = self.0.trim_start_matches(' ');
            self.key()?;
            if self.eat('=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<&'a str> {
        let begins = self.0.starts_with(|first: char| first.is_ascii_lowercase() || first == '*');
        let goes_on = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c);
        let end = self.0.find(|c: char| !goes_on(c)).unwrap_or(self.0.len());
        let (key, rest) = self.0.split_at(end);
        self.0 = rest;
        begins.then_some(key)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests;
