//! curl's globbing: one URL of the command line that stands for many. It is read once and expanded lazily; the
//! product is never held. Pure text: whether what comes out is a URL is told elsewhere.

use crate::say::Complaint;

/// The most URLs that one pattern may stand for.
const MOST: u64 = 1 << 63;
/// The most sets and ranges in one URL.
const PATTERNS: usize = 255;
/// The longest text between brackets that can be an address, in bytes: IPv6 with its zone.
const ADDRESS: usize = 128;

/// The URLs that a pattern stands for, in order, the last set or range changing fastest; with each, what the sets
/// and ranges stand for in it.
#[derive(Debug, Clone)]
pub(crate) struct Globbed {
    pieces: Vec<Piece>,
    total: u64,
    next: u64,
}

/// A part of the URL.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Set(Vec<String>),
    Letters { first: u8, step: u8, count: u64 },
    Numbers { first: u64, step: u64, count: u64, width: usize },
}

/// Reads the sets and ranges of a URL; without any, it stands for itself.
///
/// # Errors
/// What cannot be meant, with its column, counted in letters from 1.
pub(crate) fn expand(url: &str) -> Result<Globbed, Complaint> {
    let mut reader = Reader { url, at: 0 };
    let pieces = reader.pieces().map_err(|wrong| wrong.of(url))?;
    let count = |total: u64, piece: &Piece| total.checked_mul(piece.count()).filter(|total| *total <= MOST);
    let total = pieces.iter().try_fold(1, count).ok_or_else(|| {
        Complaint::new(format!("{} stands for more than 2^63 URLs", shown(url))).fix("a smaller range")
    })?;
    Ok(Globbed { pieces, total, next: 0 })
}

/// A word that stands for itself, whatever is in it.
pub(crate) fn literal(word: &str) -> Globbed {
    Globbed { pieces: vec![Piece::Text(word.to_owned())], total: 1, next: 0 }
}

/// Puts what the sets and ranges stand for into the name of a file: `#1` is the first, `#2` the second. A number
/// that no set or range has stays as it is.
pub(crate) fn fill(template: &str, captures: &[String]) -> String {
    let mut name = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(mark) = rest.find('#') {
        let behind = &rest[mark + 1..];
        let digits = behind.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(behind.len());
        let number: Option<usize> = behind[..digits].parse().ok();
        let capture = number.and_then(|number| captures.get(number.checked_sub(1)?));
        name.push_str(&rest[..mark]);
        name.push_str(capture.map_or(&rest[mark..mark + 1 + digits], String::as_str));
        rest = &behind[digits..];
    }
    name + rest
}

impl Globbed {
    /// How many URLs the whole pattern stands for, whatever was taken already.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

impl Iterator for Globbed {
    type Item = (String, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.total {
            return None;
        }
        let mut rest = self.next;
        self.next += 1;
        let mut texts = vec![String::new(); self.pieces.len()];
        for (piece, text) in self.pieces.iter().zip(&mut texts).rev() {
            *text = piece.at(rest % piece.count());
            rest /= piece.count();
        }
        let url = texts.concat();
        let is_pattern = |piece: &Piece| !matches!(piece, Piece::Text(_));
        let captures = self.pieces.iter().zip(texts).filter(|(piece, _)| is_pattern(piece));
        Some((url, captures.map(|(_, text)| text).collect()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.total - self.next);
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

impl Piece {
    fn count(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Set(elements) => elements.len() as u64,
            Self::Letters { count, .. } | Self::Numbers { count, .. } => *count,
        }
    }

    /// The text at this place, below [`count`](Self::count).
    fn at(&self, place: u64) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Set(elements) => elements[place as usize].clone(),
            Self::Letters { first, step, .. } => char::from(first + step * place as u8).to_string(),
            Self::Numbers { first, step, width, .. } => {
                format!("{:0width$}", first + step * place, width = *width)
            }
        }
    }
}

/// What is wrong, and at which byte.
struct Wrong {
    at: usize,
    what: &'static str,
}

impl Wrong {
    fn of(&self, url: &str) -> Complaint {
        let column = url[..self.at].chars().count() + 1;
        Complaint::new(format!("{}: {} at column {column}", shown(url), self.what))
            .fix("[1-100], [a-z:2] or {one,two}; \\[ and \\{ mean themselves, and -g takes all as it stands")
    }
}

/// The URL as it may be shown.
fn shown(url: &str) -> String {
    crate::args::without_userinfo(url)
}

struct Reader<'a> {
    url: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.url[self.at..]
    }

    /// Takes one letter.
    fn letter(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn pieces(&mut self) -> Result<Vec<Piece>, Wrong> {
        let (mut pieces, mut text, mut patterns) = (Vec::new(), String::new(), 0);
        while self.at < self.url.len() {
            let at = self.at;
            if let Some(length) = self.literal_brackets() {
                text.push_str(&self.rest()[..length]);
                self.at += length;
                continue;
            }
            let pattern = match self.letter() {
                Some('[') => self.range(at)?,
                Some('{') => self.set(at)?,
                Some(']') => return Err(Wrong { at, what: "a ] without its [" }),
                Some('}') => return Err(Wrong { at, what: "a } without its {" }),
                Some('\\') if self.rest().starts_with(['[', ']', '{', '}']) => {
                    text.extend(self.letter());
                    continue;
                }
                other => {
                    text.extend(other);
                    continue;
                }
            };
            patterns += 1;
            if patterns > PATTERNS {
                return Err(Wrong { at, what: "more than 255 sets and ranges" });
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(pattern);
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(pieces)
    }

    /// The length of `[]` or of an IPv6 address in brackets, maybe with its zone (RFC 6874), which is no range.
    fn literal_brackets(&self) -> Option<usize> {
        let inside = self.rest().strip_prefix('[')?;
        let end = inside.find(']').filter(|end| *end <= ADDRESS)?;
        let address = inside[..end].split('%').next().unwrap_or_default();
        (end == 0 || address.parse::<std::net::Ipv6Addr>().is_ok()).then_some(end + 2)
    }

    /// What is behind a `{`.
    fn set(&mut self, open: usize) -> Result<Piece, Wrong> {
        let (mut elements, mut element) = (Vec::new(), String::new());
        loop {
            let at = self.at;
            match self.letter() {
                None => return Err(Wrong { at: open, what: "a { without its }" }),
                Some('{' | '[') => return Err(Wrong { at, what: "a set or range inside a set" }),
                Some(']') => return Err(Wrong { at, what: "a ] without its [" }),
                Some('}') if elements.is_empty() && at == open + 1 => {
                    return Err(Wrong { at: open, what: "an empty set" });
                }
                Some('}') => {
                    elements.push(element);
                    return Ok(Piece::Set(elements));
                }
                Some(',') => elements.push(std::mem::take(&mut element)),
                Some('\\') if !self.rest().is_empty() => element.extend(self.letter()),
                Some(other) => element.push(other),
            }
        }
    }

    /// What is behind a `[`.
    fn range(&mut self, open: usize) -> Result<Piece, Wrong> {
        let wrong = |what| Wrong { at: open, what };
        let end = self.rest().find(']').ok_or_else(|| wrong("a [ without its ]"))?;
        let inside = &self.url[self.at..self.at + end];
        self.at += end + 1;
        let (bounds, step) = match inside.split_once(':') {
            Some((bounds, step)) => (bounds, number(step).ok_or_else(|| wrong("a step that is no number"))?),
            None => (inside, 1),
        };
        let (low, high) = bounds.split_once('-').ok_or_else(|| wrong("a range without its -"))?;
        let high = high.trim_start();
        let letters = letter(low).zip(letter(high));
        let numbers = number(low).zip(number(high));
        let (first, last) = letters
            .map(|(low, high)| (low.into(), high.into()))
            .or(numbers)
            .ok_or_else(|| wrong("a range that has neither numbers nor letters at its ends"))?;
        let span = last.checked_sub(first).ok_or_else(|| wrong("a range that ends before it begins"))?;
        if step == 0 {
            return Err(wrong("a step of 0"));
        }
        if step > span.max(1) {
            return Err(wrong("a step that is longer than its range"));
        }
        let count = (span / step).checked_add(1).ok_or_else(|| wrong("a range that is too long"))?;
        match letters {
            Some(_) if span > u64::from(b'z' - b'a') => {
                Err(wrong("a range from a capital to a small letter"))
            }
            Some((first, _)) => Ok(Piece::Letters { first, step: step as u8, count }),
            None => {
                let width = if low.starts_with('0') { low.len() } else { 0 };
                Ok(Piece::Numbers { first, step, count, width })
            }
        }
    }
}

/// One letter of the alphabet.
fn letter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    }
}

/// Digits alone.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(pattern: &str) -> Vec<String> {
        expand(pattern).unwrap_or_else(|wrong| panic!("{pattern}: {wrong}")).map(|(url, _)| url).collect()
    }

    fn said(pattern: &str) -> String {
        expand(pattern).map(|globbed| globbed.total()).expect_err(pattern).to_string()
    }

    #[test]
    fn the_examples_of_curls_man_page_mean_what_they_mean_there() {
        assert_eq!(
            urls("http://site.{one,two,three}.com"),
            ["http://site.one.com", "http://site.two.com", "http://site.three.com"]
        );
        let hundred = urls("http://example.com/file[1-100].txt");
        assert_eq!((hundred.len(), hundred[99].as_str()), (100, "http://example.com/file100.txt"));
        let padded = urls("http://example.com/file[001-100].txt");
        assert_eq!((padded[0].as_str(), padded.len()), ("http://example.com/file001.txt", 100));
        assert_eq!(padded[99], "http://example.com/file100.txt");
        let letters = urls("http://example.com/file[a-z].txt");
        assert_eq!((letters.len(), letters[25].as_str()), (26, "http://example.com/filez.txt"));
        let all = urls("http://example.com/archive[1996-1999]/vol[1-4]/part{a,b,c}.html");
        assert_eq!(all.len(), 48);
        assert_eq!(all[0], "http://example.com/archive1996/vol1/parta.html");
        assert_eq!(all[4], "http://example.com/archive1996/vol2/partb.html");
        assert_eq!(all[47], "http://example.com/archive1999/vol4/partc.html");
        let tenth = urls("http://example.com/file[1-100:10].txt");
        assert_eq!((tenth.len(), tenth[9].as_str()), (10, "http://example.com/file91.txt"));
        let second = urls("http://example.com/file[a-z:2].txt");
        assert_eq!((second.len(), second[12].as_str()), (13, "http://example.com/filey.txt"));
        assert_eq!(urls("http://[fe80::3%25eth0]/"), ["http://[fe80::3%25eth0]/"]);
    }

    #[test]
    fn the_last_changes_fastest_and_each_url_knows_what_it_stands_for() {
        let all: Vec<_> = expand("{a,b}[1-2]").expect("a pattern").collect();
        let one = |url: &str, set: &str, number: &str| (url.to_owned(), vec![set.into(), number.into()]);
        assert_eq!(all, [one("a1", "a", "1"), one("a2", "a", "2"), one("b1", "b", "1"), one("b2", "b", "2")]);
        assert_eq!(urls("http://a/"), ["http://a/"]);
        assert_eq!(
            expand("http://a/").expect("no pattern").next().map(|(_, captures)| captures),
            Some(vec![])
        );
    }

    #[test]
    fn names_are_filled_with_what_was_stood_for() {
        let captures = ["one".to_owned(), "#1".to_owned()];
        assert_eq!(fill("#1_#2.html", &captures), "one_#1.html");
        assert_eq!(fill("file_#1.txt", &captures), "file_one.txt");
        assert_eq!(
            fill("#3 #0 # #x #10 #99999999999999999999999", &captures),
            "#3 #0 # #x #10 #99999999999999999999999"
        );
        assert_eq!(fill("plain", &[]), "plain");
        assert_eq!(fill("ä#1ö", &captures), "äoneö");
    }

    #[test]
    fn addresses_and_escapes_stand_for_themselves() {
        for url in
            ["http://[::1]:80/", "http://[fe80::1%25eth0]/x", "http://a/[]", r"http://a/\x", "http://a/\\"]
        {
            assert_eq!(urls(url), [url]);
        }
        assert_eq!(urls(r"http://a/\[1-2\]\{b,c\}"), ["http://a/[1-2]{b,c}"]);
        assert_eq!(urls("http://[::1]/[1-2]"), ["http://[::1]/1", "http://[::1]/2"]);
        assert_eq!(urls(r"{a\,b,c\}d,ü}"), ["a,b", "c}d", "ü"]);
    }

    #[test]
    fn elements_may_be_empty_but_not_all_of_a_set() {
        assert_eq!(urls("x{,a}"), ["x", "xa"]);
        assert_eq!(urls("x{a,}"), ["xa", "x"]);
        assert_eq!(urls("x{,}"), ["x", "x"]);
        assert!(said("x{}").contains("an empty set at column 2"));
    }

    #[test]
    fn numbers_keep_the_width_of_a_first_one_that_begins_with_zero() {
        assert_eq!(urls("[08-10]"), ["08", "09", "10"]);
        assert_eq!(urls("[0-2]"), ["0", "1", "2"]);
        assert_eq!(urls("[8-010]"), ["8", "9", "10"]);
        assert_eq!(urls("[1-10:3]"), ["1", "4", "7", "10"]);
        assert_eq!(urls("[5-5]"), ["5"]);
        assert_eq!(urls("[c-c]"), ["c"]);
    }

    #[test]
    fn a_pattern_is_never_held_whole() {
        let mut huge = expand("http://a/[0-9223372036854775806]").expect("a large range");
        assert_eq!(huge.total(), (1 << 63) - 1);
        assert_eq!(huge.next().map(|(url, _)| url).as_deref(), Some("http://a/0"));
        assert_eq!(huge.size_hint().1, usize::try_from((1_u64 << 63) - 2).ok());
        assert_eq!(expand("{a,b}[1-4611686018427387904]").expect("2^63").total(), 1 << 63);
        assert!(said("{a,b,c}[1-4611686018427387904]").contains("more than 2^63 URLs"));
        assert!(said("[0-18446744073709551615]").contains("too long"));
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_column() {
        for (pattern, what) in [
            ("http://ä/[1-", "a [ without its ] at column 10"),
            ("a{b", "a { without its } at column 2"),
            ("a]", "a ] without its [ at column 2"),
            ("a}", "a } without its { at column 2"),
            ("{a,[1-2]}", "a set or range inside a set at column 4"),
            ("{a{b}}", "a set or range inside a set at column 3"),
            ("{a]}", "a ] without its [ at column 3"),
            ("[5-1]", "a range that ends before it begins at column 1"),
            ("[z-a]", "a range that ends before it begins"),
            ("[1-9:0]", "a step of 0"),
            ("[1-9:x]", "a step that is no number"),
            ("[1-9:]", "a step that is no number"),
            ("[1-2:5]", "a step that is longer than its range"),
            ("[A-z]", "a range from a capital to a small letter"),
            ("[a-5]", "neither numbers nor letters"),
            ("[-5]", "neither numbers nor letters"),
            ("[aa-zz]", "neither numbers nor letters"),
            ("[5]", "a range without its -"),
            ("[1-99999999999999999999999]", "neither numbers nor letters"),
        ] {
            assert!(said(pattern).contains(what), "{pattern}: {}", said(pattern));
        }
        assert!(!said("http://me:secret@a/[1-").contains("secret"));
    }

    #[test]
    fn more_sets_than_can_be_meant_are_refused() {
        assert_eq!(urls(&"{a}".repeat(255)).len(), 1);
        assert!(said(&"{a}".repeat(256)).contains("more than 255"));
    }
}
