//! The fingerprint of a list's file: that a list begins as it did is told by its bytes, long before its lines are read.
//! Where nothing can be told so, the lines have to be compared.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

/// The bytes of a list that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    bytes: u64,
    /// XXH3-64, with the seed 0.
    xxh3: u64,
}

/// The file of a list, as it was before it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListFile {
    path: PathBuf,
    length: u64,
    modified: SystemTime,
    growth: Growth,
}

/// Whether a list that has grown still begins as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Each line stands for itself.
    ByLines,
    /// What follows may change the meaning of what stands before.
    None,
}

impl ListFile {
    /// `None` if it is no file that can be read twice.
    pub(crate) fn of(path: &Path, growth: Growth) -> Option<Self> {
        let found = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { path: path.to_owned(), length: found.len(), modified: found.modified().ok()?, growth })
    }

    /// Its fingerprint, unless somebody has touched it since.
    pub(super) fn print(&self) -> Option<Print> {
        let xxh3 = hash(&mut File::open(&self.path).ok()?, self.length).ok().flatten()?;
        let is_untouched = Self::of(&self.path, self.growth).as_ref() == Some(self);
        is_untouched.then_some(Print { bytes: self.length, xxh3 })
    }

    /// Whether it is sure to begin with the lines of the list that had this fingerprint.
    pub(super) fn begins_with(&self, print: &Print) -> bool {
        self.is_grown_from(print).unwrap_or_default()
    }

    fn is_grown_from(&self, print: &Print) -> io::Result<bool> {
        let mut file = File::open(&self.path)?;
        let has_grown = self.length > print.bytes;
        if has_grown && (self.growth == Growth::None || !print.ends_a_line(&mut file)?) {
            return Ok(false);
        }
        Ok(hash(&mut file, print.bytes)? == Some(print.xxh3))
    }
}

impl Print {
    fn ends_a_line(&self, file: &mut File) -> io::Result<bool> {
        let Some(last) = self.bytes.checked_sub(1) else { return Ok(true) };
        let mut byte = [0];
        file.seek(SeekFrom::Start(last))?;
        file.read_exact(&mut byte)?;
        file.rewind()?;
        Ok(byte == *b"\n")
    }
}

/// The hash of so many bytes; `None` if there are fewer.
fn hash(file: &mut File, bytes: u64) -> io::Result<Option<u64>> {
    let mut hasher = XxHash3_64::with_seed(0);
    let mut block = vec![0; 64 << 10];
    let mut left = file.take(bytes);
    loop {
        match left.read(&mut block) {
            Ok(0) => break,
            Ok(length) => hasher.write(&block[..length]),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok((left.limit() == 0).then(|| hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_begins_as_it_did_if_all_of_its_bytes_do_and_its_last_line_had_an_end() {
        let folder = std::env::temp_dir().join(format!("gannet-print-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let list = folder.join("list");
        let written = |text: &str, growth| {
            std::fs::write(&list, text).unwrap();
            ListFile::of(&list, growth).unwrap()
        };
        let print = |text: &str| written(text, Growth::None).print().unwrap();
        let begins = |print: &Print, text: &str, growth| written(text, growth).begins_with(print);
        let (ended, open, empty) =
            (print("http://a/1\nhttp://a/2\n"), print("http://a/1\nhttp://a/2"), print(""));
        for (print, text, by_lines, whole) in [
            (&ended, "http://a/1\nhttp://a/2\n", true, true),
            (&ended, "http://a/1\nhttp://a/2\nhttp://a/3", true, false),
            (&ended, "http://a/1\nhttp://a/2", false, false),
            (&ended, "http://a/1\nhttp://a/3\nhttp://a/3", false, false),
            (&open, "http://a/1\nhttp://a/2", true, true),
            (&open, "http://a/1\nhttp://a/23", false, false),
            (&open, "http://a/1\nhttp://a/2\nhttp://a/3", false, false),
            (&empty, "", true, true),
            (&empty, "http://a/1", true, false),
        ] {
            assert_eq!(begins(print, text, Growth::ByLines), by_lines, "{text:?} by lines");
            assert_eq!(begins(print, text, Growth::None), whole, "{text:?} as a whole");
        }
        let before = written("http://a/1\n", Growth::ByLines);
        written("http://a/1\nhttp://a/2\n", Growth::ByLines);
        assert_eq!(before.print(), None, "it has grown while it was read");
        assert_eq!(ListFile::of(&folder, Growth::ByLines), None, "no file");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(!before.begins_with(&ended), "it is gone");
    }
}
