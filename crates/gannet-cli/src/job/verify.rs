//! `gannet verify`: whether the files of a job are what its journal has of them. Files are read here, never written.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use gannet::digest::{Digest, Hasher};
use gannet::{Ending, Journal, Recorded};

use super::{Refused, Settings, place};
use crate::exit::Exit;
use crate::say::Voice;

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Missing,
    Unreadable(io::ErrorKind),
    NoFile,
    Length(u64),
    /// Of the bytes that are there, and of those that were obtained.
    Digest(Digest, Digest),
}

/// What is read at once from a file, in bytes.
const PIECE: usize = 64 << 10;

/// Prints a line for each file that is not what the journal has of it, as `sha256sum -c` does.
pub(crate) fn verify(job: &Path, voice: &Voice, out: &mut dyn Write) -> Result<io::Result<Exit>, Refused> {
    let journal = place::find(job)?;
    let reader = Journal::read(&journal)?;
    let settings = Settings::of_json(&reader.summary().settings);
    let may_be_none = settings.is_some_and(|settings| settings.writes_where_it_is_told());
    let mut count = Count::default();
    for row in reader.rows() {
        let row = row?;
        let is_there = matches!(row.ending, Ending::Ok | Ending::Skipped);
        let Some(path) = row.path.as_ref().filter(|_| is_there) else { continue };
        match look(path, &row) {
            Ok(By::Digest) => count.by_digest += 1,
            Ok(By::Length) => count.by_length += 1,
            Ok(By::Presence) => count.by_presence += 1,
            Err(Wrong::NoFile) if may_be_none && !path.is_dir() => count.elsewhere += 1,
            Err(found) => {
                count.wrong += 1;
                if let Err(error) = writeln!(out, "{}: {}", place::shown(path).display(), told(&found, &row))
                {
                    return Ok(Err(error));
                }
            }
        }
    }
    voice.note(&count.told());
    Ok(Ok(if count.wrong == 0 { Exit::Obtained } else { Exit::Integrity }))
}

/// How a file was found to be sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Digest,
    /// No digest of it is known.
    Length,
    /// It was there before the job, which knows no more of it.
    Presence,
}

/// Files by what came of looking at them.
#[derive(Debug, Default)]
struct Count {
    by_digest: u64,
    by_length: u64,
    by_presence: u64,
    /// What went to a device or a pipe.
    elsewhere: u64,
    wrong: u64,
}

impl Count {
    fn told(&self) -> String {
        let Self { by_digest, by_length, by_presence, elsewhere, wrong } = *self;
        let sound = by_digest + by_length + by_presence;
        let mut text = format!("{sound} of {} files are as the journal has them", sound + wrong);
        let kinds = [
            (by_digest, "compared by digest"),
            (by_length, "by length alone"),
            (by_presence, "only found to be there"),
        ];
        let kinds = kinds.into_iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(count, how)| format!("{count} {how}")).collect();
        if !kinds.is_empty() {
            text.push_str(&format!(" ({})", kinds.join(", ")));
        }
        if elsewhere > 0 {
            text.push_str(&format!("; {elsewhere} went to no regular file, and cannot be compared"));
        }
        if wrong > 0 {
            text.push_str("; remove the others, and the same command with --new-job fetches them again");
        }
        text
    }
}

fn look(path: &PathBuf, row: &Recorded) -> Result<By, Wrong> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Wrong::Missing),
        Err(error) => Err(Wrong::Unreadable(error.kind())),
        Ok(met) if !met.is_file() => Err(Wrong::NoFile),
        Ok(_) if matches!(row.ending, Ending::Skipped) => Ok(By::Presence),
        Ok(met) if met.len() != row.bytes => Err(Wrong::Length(met.len())),
        Ok(_) => look_inside(path, &row.body_digests()),
    }
}

/// Compares the bytes with what was computed of them when they came; nothing is read where nothing was.
fn look_inside(path: &Path, known: &[Digest]) -> Result<By, Wrong> {
    if known.is_empty() {
        return Ok(By::Length);
    }
    let found = digests(path, known).map_err(|error| Wrong::Unreadable(error.kind()))?;
    let mut pairs = found.into_iter().zip(known);
    match pairs.find(|(found, known)| found != *known) {
        Some((found, known)) => Err(Wrong::Digest(found, known.clone())),
        None => Ok(By::Digest),
    }
}

/// The digests of a file by the same algorithms, in one go over it.
fn digests(path: &Path, known: &[Digest]) -> io::Result<Vec<Digest>> {
    let mut hashers: Vec<Hasher> = known.iter().map(|known| Hasher::new(known.algorithm())).collect();
    let (mut file, mut piece) = (File::open(path)?, vec![0; PIECE]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hashers.into_iter().map(Hasher::finish).collect()),
            Ok(length) => hashers.iter_mut().for_each(|hasher| hasher.update(&piece[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn told(wrong: &Wrong, row: &Recorded) -> String {
    match wrong {
        Wrong::Missing => "MISSING".to_owned(),
        Wrong::Unreadable(kind) => format!("FAILED open or read ({kind})"),
        Wrong::NoFile => "FAILED (it is no file)".to_owned(),
        Wrong::Length(found) => format!("FAILED ({found} bytes, {} in the journal)", row.bytes),
        Wrong::Digest(found, known) => {
            let (algorithm, found, known) = (known.algorithm(), found.to_hex(), known.to_hex());
            format!("FAILED ({algorithm} is {found}, {known} in the journal)")
        }
    }
}
