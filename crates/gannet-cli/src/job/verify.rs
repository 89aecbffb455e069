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
    // Names are those of the run that wrote them.
    let folder = settings.map(|settings| settings.cwd).unwrap_or_default();
    let (mut looked_at, mut wrong) = (0, 0u64);
    for row in reader.rows() {
        let row = row?;
        let Some(path) = row.path.as_ref().filter(|_| matches!(row.ending, Ending::Ok)) else { continue };
        looked_at += 1;
        if let Some(found) = look(&folder.join(path), &row) {
            wrong += 1;
            if let Err(error) = writeln!(out, "{}: {}", path.display(), told(&found, &row)) {
                return Ok(Err(error));
            }
        }
    }
    let sound = looked_at - wrong;
    voice.note(&match wrong {
        0 => format!("{sound} of {looked_at} files are as the journal has them"),
        _ => format!(
            "{sound} of {looked_at} files are as the journal has them; remove the others, and the same command with \
             --new-job fetches them again"
        ),
    });
    Ok(Ok(if wrong == 0 { Exit::Obtained } else { Exit::Integrity }))
}

fn look(path: &PathBuf, row: &Recorded) -> Option<Wrong> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Wrong::Missing),
        Err(error) => Some(Wrong::Unreadable(error.kind())),
        Ok(met) if !met.is_file() => Some(Wrong::NoFile),
        Ok(met) if met.len() != row.bytes => Some(Wrong::Length(met.len())),
        Ok(_) => look_inside(path, &row.body_digests()),
    }
}

/// Compares the bytes with what was computed of them when they came; nothing is read where nothing was.
fn look_inside(path: &Path, known: &[Digest]) -> Option<Wrong> {
    if known.is_empty() {
        return None;
    }
    match digests(path, known) {
        Ok(found) => {
            let pairs = found.into_iter().zip(known);
            let mut unlike = pairs.filter(|(found, known)| found != *known);
            unlike.next().map(|(found, known)| Wrong::Digest(found, known.clone()))
        }
        Err(error) => Some(Wrong::Unreadable(error.kind())),
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
