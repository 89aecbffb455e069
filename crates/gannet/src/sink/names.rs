//! Names for files: from a URL or from the caller, made safe, numbered and cut to length. Pure text: nothing here
//! looks at a disk.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

use icu_normalizer::ComposingNormalizerBorrowed;
use url::Url;

/// The longest name of a file, in bytes: the limit of every file system in wide use.
pub(super) const LONGEST: usize = 255;

/// The longest text behind the last dot that is taken for an extension, in bytes.
const LONGEST_EXTENSION: usize = 16;

/// The name of a body whose URL ends in a slash.
pub(super) const UNNAMED: &str = "index.html";

/// The default name for a URL: its last path segment, and its query behind an underscore, both percent-decoded
/// and made safe.
pub(super) fn of_url(url: &Url) -> String {
    let segment = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or("");
    let mut name = if segment.is_empty() { UNNAMED.to_owned() } else { decoded(segment).into_owned() };
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        name.push('_');
        name.push_str(&decoded(query));
    }
    if is_plain(&name) { name } else { cleaned(&name) }
}

/// What the text says once decoded; the text itself if that is not UTF-8.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.as_bytes().contains(&b'%') {
        return Cow::Borrowed(text);
    }
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

/// The caller's own path, made safe part by part, so that it cannot leave the folder it is put below.
pub(super) fn below(path: &Path) -> PathBuf {
    let safe = below_or_here(path);
    if safe.as_os_str().is_empty() { PathBuf::from(UNNAMED) } else { safe }
}

/// The same for a folder, which may be the one it is put below.
pub(super) fn below_or_here(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.split('/').filter(|part| !matches!(*part, "" | ".")).map(cleaned).collect()
}

/// One name made safe: for every file system, for a shell's command line and for the eye. Names that are safe
/// already stay as they are.
pub(super) fn cleaned(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let plain: String = text.chars().map(|letter| if is_unsafe(letter) { '_' } else { letter }).collect();
    let mut name = plain.trim().to_owned();
    if name.starts_with(['.', '-']) {
        name.replace_range(..1, "_");
    }
    trim_end(&mut name);
    if name.is_empty() {
        return UNNAMED.to_owned();
    }
    if is_reserved(&name) {
        name.insert(0, '_');
    }
    fitted(&name, LONGEST)
}

/// Whether the name is sure to be safe as it is, as most are: seen by one look at its bytes.
fn is_plain(name: &str) -> bool {
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-=&+,%".contains(byte);
    let bytes = name.as_bytes();
    let first = bytes.first().is_some_and(|first| first.is_ascii_alphanumeric());
    // The first letters of names that are devices on Windows.
    let may_be_reserved =
        || bytes.first().is_some_and(|first| b"CcPpAaNnLl".contains(first)) && is_reserved(name);
    let ends_well = bytes.last().is_some_and(|last| *last != b'.');
    bytes.len() <= LONGEST && first && ends_well && bytes.iter().all(is_safe) && !may_be_reserved()
}

/// Windows drops these from the end of a name.
fn trim_end(name: &mut String) {
    let kept = name.trim_end_matches(|letter: char| letter == '.' || letter.is_whitespace()).len();
    name.truncate(kept);
}

/// Separators of any system, what Windows forbids, control characters, and marks that turn or hide text.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
        || matches!(letter, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}')
}

/// Names that are devices on Windows, whatever their extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|port| {
        matches!(port, "¹" | "²" | "³") || (port.len() == 1 && port.as_bytes()[0].is_ascii_digit())
    })
}

/// The name with a label before its last extension: `name.17.ext`.
pub(super) fn labelled(name: &str, label: &str) -> String {
    let (stem, extension) = split(name);
    let room = LONGEST.saturating_sub(extension.len() + label.len() + 1);
    format!("{}.{label}{extension}", cut(stem, room))
}

/// The name, cut before its extension to at most `room` bytes.
fn fitted(name: &str, room: usize) -> String {
    if name.len() <= room {
        return name.to_owned();
    }
    let (stem, extension) = split(name);
    let mut short = format!("{}{extension}", cut(stem, room - extension.len()));
    trim_end(&mut short);
    short
}

/// The stem, and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= LONGEST_EXTENSION => name.split_at(at),
        _ => (name, ""),
    }
}

/// At most `room` bytes of the text, never half a character.
pub(super) fn cut(text: &str, room: usize) -> &str {
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// The names given so far, as hashes: 8 bytes each. Nobody can choose names that are one to it, since its key is drawn by lot.
#[derive(Debug, Default)]
pub(super) struct Given {
    key: RandomState,
    /// In several sets, so that little is held twice while one of them grows.
    taken: [HashSet<u64, BuildHasherDefault<AsItIs>>; 16],
}

/// What two spellings of one place have in common, as it is put to a hasher.
pub(super) type Key = fn(&Path, &mut DefaultHasher);

/// A hash is not hashed again.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Given {
    /// Gives `place` to the request of number `seq`; a place that was given before gets the number. Places are the
    /// same for which `key` gives the same, such as [`folded`].
    pub(super) fn give(&mut self, place: PathBuf, seq: u64, key: Key) -> PathBuf {
        if self.insert(&place, key) {
            return place;
        }
        let name = place.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let mut other = place.with_file_name(labelled(&name, &seq.to_string()));
        let mut repeat = 0_u64;
        while !self.insert(&other, key) {
            repeat += 1;
            other = place.with_file_name(labelled(&name, &format!("{seq}-{repeat}")));
        }
        other
    }

    /// Nobody is given this place any more.
    pub(super) fn take(&mut self, place: &Path, key: Key) {
        self.insert(place, key);
    }

    /// Whether it is new.
    fn insert(&mut self, place: &Path, key: Key) -> bool {
        let mut hasher = self.key.build_hasher();
        key(place, &mut hasher);
        let hash = hasher.finish();
        // Bits that a set has no other use for.
        self.taken[(hash >> 40) as usize % 16].insert(hash)
    }
}

/// The same for names that differ in case only, or in how an accent is composed (Unicode's normal form C).
pub(super) fn folded(place: &Path, hasher: &mut DefaultHasher) {
    let bytes = place.as_os_str().as_encoded_bytes();
    let mut letters = [0; LONGEST + 1];
    match letters.get_mut(..bytes.len()) {
        Some(letters) if bytes.is_ascii() => {
            letters.copy_from_slice(bytes);
            letters.make_ascii_lowercase();
            hasher.write(letters);
        }
        _ => {
            let text =
                ComposingNormalizerBorrowed::new_nfc().normalize(&place.to_string_lossy()).into_owned();
            let folded: String = text.chars().flat_map(char::to_lowercase).collect();
            hasher.write(folded.as_bytes());
        }
    }
}

/// The same for one and the same name alone.
pub(super) fn exact(place: &Path, hasher: &mut DefaultHasher) {
    hasher.write(place.as_os_str().as_encoded_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(url: &str) -> String {
        of_url(&Url::parse(url).expect("a good URL"))
    }

    #[test]
    fn a_name_is_the_last_segment_with_its_query() {
        for (url, name) in [
            ("http://h/a/b.txt", "b.txt"),
            ("http://h/a%20b.txt", "a b.txt"),
            ("http://h/", "index.html"),
            ("http://h", "index.html"),
            ("http://h/a/", "index.html"),
            ("http://h/x.jpg?w=1&h=2", "x.jpg_w=1&h=2"),
            ("http://h/x?", "x"),
            ("http://h/?q=a%2Fb", "index.html_q=a_b"),
            ("http://h/%ff%fe", "%ff%fe"),
            ("http://h/%C3%A9t%C3%A9", "été"),
        ] {
            assert_eq!(name_of(url), name, "{url}");
        }
    }

    #[test]
    fn hostile_names_are_made_safe() {
        let long = "é".repeat(300) + ".jpeg";
        for (given, name) in [
            ("..", "_"),
            (".", "_"),
            ("...", "_"),
            (".bashrc", "_bashrc"),
            ("-rf", "_rf"),
            (" -rf ", "_rf"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("..\\x", "_._x"),
            ("C:\\x", "C__x"),
            ("a\0b", "a_b"),
            ("a\nb\u{1b}[31m", "a_b_[31m"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("Nul .tar.gz", "_Nul .tar.gz"),
            ("COM1", "_COM1"),
            ("lpt¹.x", "_lpt¹.x"),
            ("COM10", "COM10"),
            ("console", "console"),
            ("x.", "x"),
            ("x. . ", "x"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            ("\u{feff}x", "_x"),
            ("", "index.html"),
            ("   ", "index.html"),
            (long.as_str(), &("é".repeat(125) + ".jpeg")),
        ] {
            assert_eq!(cleaned(given), name, "{given:?}");
        }
    }

    #[test]
    fn random_names_are_safe_and_a_safe_name_stays_as_it_is() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let alphabet: Vec<char> = "./\\-~ :*aZ0\0\n\u{202e}éß\u{1f600}CONnul".chars().collect();
        for _ in 0..20_000 {
            let longest = if random.u8(..) == 0 { 400 } else { 12 };
            let length = random.usize(..longest);
            let text: String = (0..length).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
            let name = cleaned(&text);
            assert_eq!(cleaned(&name), name, "seed {seed}: {text:?}");
            assert!(!name.is_empty() && name.len() <= LONGEST, "seed {seed}: {text:?}");
            assert!(
                !name.starts_with(['.', '-', ' ']) && !name.ends_with(['.', ' ']),
                "seed {seed}: {name:?}"
            );
            assert!(!name.contains(is_unsafe) && !is_reserved(&name), "seed {seed}: {name:?}");
        }
    }

    #[test]
    fn a_path_of_the_caller_stays_below() {
        for (given, path) in [
            ("a/b.txt", "a/b.txt"),
            ("../../x", "_/_/x"),
            ("/etc/passwd", "etc/passwd"),
            ("./a//b/", "a/b"),
            ("", "index.html"),
            ("/", "index.html"),
        ] {
            assert_eq!(below(Path::new(given)), Path::new(path), "{given:?}");
        }
    }

    #[test]
    fn the_first_keeps_the_plain_name_and_later_ones_get_their_number() {
        let mut given = Given::default();
        let mut give =
            |name: &str, seq| given.give(PathBuf::from(name), seq, folded).to_string_lossy().into_owned();
        assert_eq!(give("d/a.tar.gz", 0), "d/a.tar.gz");
        assert_eq!(give("d/A.TAR.gz", 17), "d/A.TAR.17.gz");
        assert_eq!(give("\u{e9}", 4), "\u{e9}");
        assert_eq!(give("e\u{301}", 5), "e\u{301}.5", "the same accent, composed otherwise");
        assert_eq!(give("E\u{301}", 6), "E\u{301}.6");
        assert_eq!(give("d/a.tar.18.gz", 3), "d/a.tar.18.gz");
        assert_eq!(give("d/a.tar.gz", 18), "d/a.tar.18-1.gz");
        assert_eq!(give("a.tar.gz", 19), "a.tar.gz");
        assert_eq!(give(&"x".repeat(255), 20), "x".repeat(255));
        assert_eq!(give(&"x".repeat(255), 21), "x".repeat(252) + ".21");
    }
}
