//! Files of digests, as `sha256sum` and its kin, `md5 -r`, BSD's `sha256` and `openssl dgst` write them. Only read here;
//! lines that are none of these (comments, the armour of a signature) say nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use gannet::digest::{Algorithm, Digest};

/// What a file of digests says, by the names that its lines have.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By the last part of a line's name.
    named: HashMap<String, Vec<Line>>,
    /// Digests without a name.
    bare: Vec<Digest>,
    count: usize,
}

#[derive(Debug)]
struct Line {
    /// The whole name, without `./` before it.
    name: String,
    digest: Digest,
    number: usize,
}

impl Sums {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Two lines of one name say two things, or no line says anything.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut sums = Self::default();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let Some((digest, name)) = read_line(line) else { continue };
            sums.count += 1;
            match name {
                None => sums.bare.push(digest),
                Some(name) => sums.add(name.trim_start_matches("./").to_owned(), digest, index + 1)?,
            }
        }
        // A digest without a name is that of the only file.
        match (sums.count, sums.bare.len()) {
            (0, _) => Err("no line of it is a digest and a name".into()),
            (1, 1) | (_, 0) => Ok(sums),
            _ => Err("it has a digest without a name beside others".into()),
        }
    }

    fn add(&mut self, name: String, digest: Digest, number: usize) -> Result<(), String> {
        let lines = self.named.entry(last_part(&name).to_owned()).or_default();
        let rival = |line: &&Line| line.name == name && line.digest.algorithm() == digest.algorithm();
        match lines.iter().find(rival) {
            Some(line) if line.digest != digest => {
                Err(format!("its lines {} and {number} have two digests of {name}", line.number))
            }
            Some(_) => Ok(()),
            None => {
                lines.push(Line { name, digest, number });
                Ok(())
            }
        }
    }

    /// Whether it is one digest without a name.
    pub(super) fn is_bare(&self) -> bool {
        !self.bare.is_empty()
    }

    /// What it says of the file at the end of this path of a URL. Of names in several folders the one counts that
    /// agrees with most of the path; those that disagree count if their last parts are one file's.
    pub(super) fn of_path(&self, path: &str) -> Result<Vec<Digest>, NoSum> {
        if self.is_bare() {
            return Ok(self.bare.clone());
        }
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let lines = self.named.get(last_part(&path)).ok_or(NoSum::Missing)?;
        let agrees = |line: &&Line| {
            let before = path.strip_suffix(&*line.name);
            before.is_some_and(|before| {
                before.is_empty() || before.ends_with('/') || line.name.starts_with('/')
            })
        };
        let longest = lines.iter().filter(agrees).map(|line| line.name.len()).max();
        let digests = |counts: &dyn Fn(&Line) -> bool| {
            lines.iter().filter(|line| counts(line)).map(|line| line.digest.clone()).collect()
        };
        match longest {
            Some(longest) => Ok(digests(&|line| line.name.len() == longest && agrees(&line))),
            None if lines.iter().all(|line| line.name == lines[0].name) => Ok(digests(&|_| true)),
            None => Err(NoSum::Several),
        }
    }
}

/// Why a file says nothing of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSum {
    /// No line has its name.
    Missing,
    /// Several have, in folders that the URL does not name.
    Several,
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// A line's digest, and the name that it is for.
fn read_line(line: &str) -> Option<(Digest, Option<Cow<'_, str>>)> {
    let line = line.trim_end_matches('\r');
    let (line, is_escaped) = line.strip_prefix('\\').map_or((line, false), |line| (line, true));
    let (digest, name) = tagged(line).or_else(|| plain(line))?;
    Some((digest, name.map(|name| if is_escaped { unescaped(name) } else { name.into() })))
}

/// `HEX  name` or `HEX *name`; `HEX` alone.
fn plain(line: &str) -> Option<(Digest, Option<&str>)> {
    let line = line.trim_start_matches([' ', '\t']);
    let end = line.find([' ', '\t']).unwrap_or(line.len());
    let (hex, name) = line.split_at(end);
    let digest = Digest::from_hex(hex).ok()?;
    // One sign between them, and a second one which says how the file was opened.
    let name = name.get(1..).unwrap_or_default();
    let name = name.strip_prefix([' ', '*']).unwrap_or(name);
    Some((digest, (!name.trim().is_empty()).then_some(name)))
}

/// `SHA256 (name) = HEX`; openssl writes `SHA2-256(name)= HEX`.
fn tagged(line: &str) -> Option<(Digest, Option<&str>)> {
    let (tag, rest) = line.split_once('(')?;
    let (name, hex) = rest.rsplit_once(')')?;
    let hex = hex.trim_start().strip_prefix('=')?.trim();
    let tag = tag.trim_end().to_ascii_uppercase();
    let algorithm = match tag.as_str() {
        "SHA256" | "SHA2-256" | "SHA-256" => Algorithm::Sha256,
        "SHA512" | "SHA2-512" | "SHA-512" => Algorithm::Sha512,
        "SHA1" | "SHA-1" => Algorithm::Sha1,
        "MD5" => Algorithm::Md5,
        _ => return None,
    };
    let digest = Digest::from_hex(hex).ok().filter(|digest| digest.algorithm() == algorithm)?;
    (!name.is_empty()).then_some((digest, Some(name)))
}

/// A name in which coreutils has escaped newlines, carriage returns and backslashes.
fn unescaped(name: &str) -> Cow<'_, str> {
    let mut plain = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            (letter, false) => plain.push(letter),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(body: &str) -> Digest {
        Digest::of(Algorithm::Sha256, body.as_bytes())
    }

    fn hex(body: &str) -> String {
        sha256(body).to_hex()
    }

    #[test]
    fn all_formats_of_lines_are_read() {
        let (hash, digest) = (hex("x"), sha256("x"));
        for line in [
            format!("{hash}  a b.iso"),
            format!("{hash} *a b.iso"),
            format!("{hash} a b.iso"),
            format!("{hash}  ./a b.iso\r"),
            format!("{}  a b.iso", hash.to_uppercase()),
            format!("SHA256 (a b.iso) = {hash}"),
            format!("SHA256(a b.iso)= {hash}"),
            format!("SHA2-256(./a b.iso)= {hash}"),
            format!("\u{feff}{hash}  a b.iso"),
            format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# x\n{hash}  a b.iso\niQEzBA=="),
        ] {
            let sums = Sums::read(&line).unwrap_or_else(|why| panic!("{line}: {why}"));
            assert_eq!(sums.of_path("/pub/a%20b.iso"), Ok(vec![digest.clone()]), "{line}");
            assert_eq!(sums.of_path("/pub/b.iso"), Err(NoSum::Missing), "{line}");
        }
    }

    #[test]
    fn escaped_names_and_names_with_brackets_are_what_they_were() {
        let text = format!("\\{}  a\\\\b\\n.iso\nSHA256 (a (1).iso) = {}\n", hex("x"), hex("y"));
        let sums = Sums::read(&text).expect("two lines");
        assert_eq!(sums.of_path("/a%5Cb%0A.iso"), Ok(vec![sha256("x")]));
        assert_eq!(sums.of_path("/a%20(1).iso"), Ok(vec![sha256("y")]));
    }

    #[test]
    fn several_algorithms_of_one_file_all_count() {
        let md5 = Digest::of(Algorithm::Md5, b"x");
        let text = format!("MD5 (a) = {}\n{}  a\n", md5.to_hex(), hex("x"));
        assert_eq!(Sums::read(&text).expect("two lines").of_path("/a"), Ok(vec![md5, sha256("x")]));
    }

    #[test]
    fn of_names_in_folders_the_nearest_counts() {
        let text =
            format!("{}  x86/a\n{}  arm/a\n{}  dist/b\n{}  a\n", hex("1"), hex("2"), hex("3"), hex("4"));
        let sums = Sums::read(&text).expect("four lines");
        assert_eq!(sums.of_path("/pub/arm/a"), Ok(vec![sha256("2")]));
        assert_eq!(sums.of_path("/pub/a"), Ok(vec![sha256("4")]));
        assert_eq!(sums.of_path("/pub/b"), Ok(vec![sha256("3")]));
        let text = format!("{}  x86/a\n{}  arm/a\n", hex("1"), hex("2"));
        let sums = Sums::read(&text).expect("two lines");
        assert_eq!(sums.of_path("/pub/a"), Err(NoSum::Several));
        assert_eq!(sums.of_path("/pub/farm/a"), Err(NoSum::Several));
    }

    #[test]
    fn a_digest_without_a_name_is_that_of_the_only_file() {
        let sums = Sums::read(&format!("{}\n", hex("x"))).expect("a digest");
        assert!(sums.is_bare() && sums.of_path("/any") == Ok(vec![sha256("x")]));
        let beside = format!("{}\n{}  a\n", hex("x"), hex("y"));
        assert!(Sums::read(&beside).is_err_and(|why| why.contains("without a name")));
    }

    #[test]
    fn a_file_that_says_nothing_or_two_things_is_refused() {
        for nothing in ["", "# x\n", "<html>404</html>\n", &format!("BLAKE2b (a) = {}", hex("x"))] {
            assert!(Sums::read(nothing).is_err(), "{nothing}");
        }
        let two = format!("{}  a\n{}  b\n{}  ./a\n", hex("x"), hex("x"), hex("y"));
        assert_eq!(Sums::read(&two).err().as_deref(), Some("its lines 1 and 3 have two digests of a"));
        let twice = format!("{}  a\n{} *a\n", hex("x"), hex("x"));
        assert_eq!(Sums::read(&twice).expect("they agree").of_path("/a"), Ok(vec![sha256("x")]));
    }
}
