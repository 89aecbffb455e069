//! The names of part files, `NAME.LABEL.part`, which tell whose they are. Pure text: nothing here looks at a disk.

use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hasher as _};

use super::names;

/// How a part file's name ends.
const END: &str = ".part";
/// Letters and digits of a label that are drawn by lot.
const DRAWN: usize = 4;
/// Those behind them, which are a hash.
const HASHED: usize = 6;
/// What a label is made of.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Tells the part files of one job from those of other jobs, and from strangers' files of like names.
///
/// A body is written to a file `NAME.LABEL.part` before it is whole, where NAME is the name that it is to get, cut if it is
/// long. The first four letters and digits of the LABEL are drawn by lot; six more are a hash (SipHash) over the key, NAME
/// and these four. So what a killed process has left is known by its name alone: of strangers' files whose names look like
/// that one in 50,000,000,000 is taken for one's own.
///
/// It is no secret, and proves nothing of a file that somebody has named so on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartKey(u64);

impl PartKey {
    /// The key of whoever is called `name`, such as a job by the path of its journal: the same in each run of a program.
    /// A program that was built with another version of Rust may have another one.
    pub fn of(name: impl AsRef<[u8]>) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(name.as_ref());
        Self(hasher.finish())
    }

    /// A key that nobody else has.
    pub fn random() -> Self {
        Self(fastrand::u64(..))
    }

    /// Whether a file of this name was begun under this key. Only its name is looked at, not its folder.
    pub fn owns(&self, name: &OsStr) -> bool {
        let Some((stem, label)) = name.to_str().and_then(split) else { return false };
        // A name that is no text, or looks like no label, was given by somebody else.
        label.len() == DRAWN + HASHED
            && label.get(..DRAWN).is_some_and(|drawn| label == self.label(stem, drawn))
    }

    /// A name for a part of the body that is to be called `name`; another one each time.
    pub(super) fn part_of(&self, name: &OsStr) -> OsString {
        let name = name.to_string_lossy();
        let stem = names::cut(&name, names::LONGEST - ".".len() - DRAWN - HASHED - END.len());
        let drawn: String = std::iter::repeat_with(fastrand::alphanumeric).take(DRAWN).collect();
        OsString::from(format!("{stem}.{}{END}", self.label(stem, &drawn)))
    }

    fn label(&self, stem: &str, drawn: &str) -> String {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write(drawn.as_bytes());
        hasher.write(stem.as_bytes());
        let mut hash = hasher.finish();
        let hashed = std::iter::repeat_with(|| {
            let letter = LETTERS[(hash % 62) as usize];
            hash /= 62;
            char::from(letter)
        });
        drawn.chars().chain(hashed.take(HASHED)).collect()
    }
}

/// Whether a body may have been written under this name, whoever began it.
pub(super) fn is_of_part(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(END.as_bytes())
}

/// NAME and LABEL of `NAME.LABEL.part`.
fn split(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(END)?.rsplit_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(key: PartKey, name: &str) -> String {
        key.part_of(OsStr::new(name)).into_string().expect("it is text")
    }

    fn owns(key: PartKey, name: &str) -> bool {
        key.owns(OsStr::new(name))
    }

    #[test]
    fn a_part_is_known_by_its_name_and_by_its_own_key_alone() {
        let (own, other) =
            (PartKey::of("/a/.gannet/journal.sqlite"), PartKey::of("/b/.gannet/journal.sqlite"));
        assert_eq!(own, PartKey::of(b"/a/.gannet/journal.sqlite"));
        for name in ["a.txt", "a", "a.b.part", ".part", "\u{e9}t\u{e9} 1.iso", &"\u{e9}".repeat(127)] {
            let part = part(own, name);
            assert!(owns(own, &part) && !owns(other, &part) && !owns(PartKey::random(), &part), "{part}");
            assert!(is_of_part(OsStr::new(&part)) && part.len() <= 255, "{part}");
            // Whoever gives it another name has made it his own.
            for renamed in [format!("x{part}"), format!("{part}.part"), part.replace(".part", ".old.part")] {
                assert!(!owns(own, &renamed), "{renamed}");
            }
        }
    }

    #[test]
    fn names_that_look_like_that_of_a_part_are_strangers() {
        let key = PartKey::random();
        for other in [
            "backup.20261123.part",
            "video.download.part",
            "a.Zk3aB9x1.part",
            "a.Zk3aB9x1Qz.part",
            "a.part",
            "a.txt.part",
            ".part",
            "..part",
            "Zk3aB9x1Qz.part",
            "a.Zk3aB-x1Qz.part",
            "a.\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}.part",
            "a.Zk3aB9x1Qz",
            "",
        ] {
            assert!(!owns(key, other), "{other}");
        }
    }

    #[test]
    fn random_names_are_never_taken_for_a_part_and_each_letter_of_one_counts() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let key = PartKey::of(seed.to_le_bytes());
        for _ in 0..100_000 {
            let label: String = std::iter::repeat_with(|| random.alphanumeric()).take(10).collect();
            assert!(!owns(key, &format!("x.{label}.part")), "seed {seed}: {label}");
        }
        let part = part(key, "x");
        for place in 2..12 {
            let mut changed = part.clone().into_bytes();
            changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).expect("it is text");
            assert!(!owns(key, &changed), "seed {seed}: {part}, {changed}");
        }
    }

    #[test]
    fn two_parts_of_one_name_have_two_names() {
        let key = PartKey::random();
        let all: std::collections::HashSet<String> = (0..100).map(|_| part(key, "x")).collect();
        assert!(all.len() > 98, "{all:?}");
    }

    #[test]
    fn a_part_name_ends_in_part_and_fits() {
        let part = part(PartKey::random(), "a.txt");
        assert!(part.starts_with("a.txt.") && part.len() == "a.txt.".len() + 10 + ".part".len(), "{part}");
    }
}
