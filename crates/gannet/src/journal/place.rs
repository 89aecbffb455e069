//! Where a journal lies: its folder, its lock, the journals of earlier jobs beside it. Nothing here reads a table.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{own, trouble};
use crate::error::Error;

/// Held while a process works with a journal; the system lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

/// The locks of the journals that this process works with, by device and number. SQLite's own locks are the process's,
/// and the system drops them all when any descriptor of the file is closed (fcntl(2)): while a journal is here, nothing
/// but SQLite may open its file.
static WORKS_WITH: Mutex<Vec<FileId>> = Mutex::new(Vec::new());

type FileId = (u64, u64);

/// The highest number of an earlier job.
pub(super) const HISTORY: u32 = 100_000;

/// A lock that another process has is waited for so many times: who looks whether a journal is in use has it for an
/// instant.
const PAUSES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// As many links are followed one after the other, as Linux does.
const LINKS: u32 = 40;

/// The file that a journal's name leads to, there or not. What belongs to a journal lies beside its file, not beside a link:
/// by whichever name it is opened, it has one lock.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(leads_to) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(leads_to);
    }
    path
}

/// Makes the folder of a journal, for its owner alone, and takes the lock.
pub(super) fn lock(path: &Path) -> Result<Lock, Error> {
    let folder = folder_of(path);
    make_folder(folder).map_err(|cause| trouble::of_io(folder, "make the folder", cause))?;
    let lock = beside(path, ".lock");
    let refused = |cause| trouble::of_io(&lock, "open", cause);
    // A journal of this process is let go of when its owner wants it, and not before.
    let pauses = if is_ours(path) { 0 } else { PAUSES };
    loop {
        let file = private().create(true).truncate(false).write(true).open(&lock).map_err(refused)?;
        match try_lock(&file, pauses, || std::thread::sleep(PAUSE)) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(trouble::locked(path)),
            Err(TryLockError::Error(cause)) => return Err(refused(cause)),
        }
        // Who had it may have removed it since: then it is another file that keeps others away.
        if id_of(&lock) == file.metadata().ok().as_ref().and_then(id) {
            return Ok(Lock { file, path: lock });
        }
    }
}

/// Takes the lock, with a pause so many times at most before it says that somebody has it.
fn try_lock(file: &File, pauses: u32, mut pause: impl FnMut()) -> Result<(), TryLockError> {
    for _ in 0..pauses {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => pause(),
            tried => return tried,
        }
    }
    file.try_lock()
}

/// The lock of a journal that nobody works with, if there is one to be had without waiting or making it.
pub(super) fn lock_at_once(path: &Path) -> Option<File> {
    let file = File::open(beside(path, ".lock")).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// Whether somebody has worked with the journal in this place: nobody does with those of earlier jobs.
pub(super) fn has_lock(path: &Path) -> bool {
    beside(path, ".lock").exists()
}

impl Lock {
    /// The journal is open from now on.
    pub(super) fn works(&self) {
        works_with().extend(id_of(&self.path));
    }

    /// Removes the lock's file too, before others can take it.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Ok(own) = self.file.metadata() {
            works_with().retain(|other| Some(*other) != id(&own));
        }
    }
}

fn works_with() -> MutexGuard<'static, Vec<FileId>> {
    WORKS_WITH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process works with the journal.
pub(super) fn is_ours(path: &Path) -> bool {
    id_of(&beside(path, ".lock")).is_some_and(|id| works_with().contains(&id))
}

fn id_of(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().as_ref().and_then(id)
}

#[cfg(unix)]
fn id(file: &fs::Metadata) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    Some((file.dev(), file.ino()))
}

/// Elsewhere locks belong to descriptors.
#[cfg(not(unix))]
fn id(_: &fs::Metadata) -> Option<FileId> {
    None
}

/// Makes an empty file for the owner alone, if there is none; one that was there and is empty becomes such a file.
pub(super) fn make_file(path: &Path) -> Result<(), Error> {
    let made = private().create(true).truncate(false).write(true).open(path);
    made.and_then(|file| close_to_others(&file)).map_err(|cause| trouble::of_io(path, "make", cause))
}

#[cfg(unix)]
fn close_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let met = file.metadata()?;
    if met.len() == 0 && met.is_file() && met.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn close_to_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// The first 72 bytes of the file, or as many as it has.
pub(super) fn head_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(72);
    File::open(path)?.take(72).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether all that was committed is in the file itself.
pub(super) fn has_empty_log(path: &Path) -> bool {
    match fs::metadata(beside(path, "-wal")) {
        Ok(log) => log.len() == 0,
        Err(cause) => cause.kind() == io::ErrorKind::NotFound,
    }
}

/// Makes what was named or removed in the folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The path with `end` behind its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// Where the journal of the n-th earlier job lies: `journal.sqlite` becomes `journal.1.sqlite`.
fn nth(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(end) = path.extension() {
        name.push(".");
        name.push(end);
    }
    path.with_file_name(name)
}

/// The place for the journal of the next earlier job, behind all that there are.
pub(super) fn next_free(path: &Path) -> PathBuf {
    let last = numbered(path).last().map_or(0, |(number, _)| *number);
    nth(path, HISTORY.min(last + 1))
}

/// The journals of earlier jobs by their numbers; somebody may have removed some.
fn numbered(path: &Path) -> Vec<(u32, PathBuf)> {
    let names = fs::read_dir(folder_of(path)).into_iter().flatten().flatten().map(|met| met.file_name());
    let own = |name: OsString| {
        let (number, _) = own::numbered(path, name.as_encoded_bytes())?;
        let journal = nth(path, number);
        (journal.file_name() == Some(&name)).then_some((number, journal))
    };
    let mut all: Vec<(u32, PathBuf)> = names.filter_map(own).collect();
    all.sort();
    all
}

/// Where the journal that is to take the place of another one is made.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// Removes one that a killed process has left.
pub(super) fn remove_draft(path: &Path) -> Result<(), Error> {
    let draft = draft_of(path);
    for old in ["", "-wal", "-shm"].map(|end| beside(&draft, end)) {
        match fs::remove_file(&old) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(trouble::of_io(&old, "remove", cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A process that died while it put this journal aside has left it two names, of which the later is taken back.
pub(super) fn forget_second_name(path: &Path) -> Result<(), Error> {
    let Some(own) = id_of(path) else { return Ok(()) };
    let second = history(path).into_iter().find(|past| id_of(past) == Some(own));
    second.map_or(Ok(()), |second| {
        fs::remove_file(&second).map_err(|cause| trouble::of_io(&second, "remove", cause))
    })
}

/// Keeps the journal as history, and gives its name to the draft. There is a journal of that name at every moment, so that
/// whoever dies between two steps has lost nothing; where a file cannot have two names, for a moment there is none.
pub(super) fn put_aside(path: &Path, draft: &Path) -> io::Result<()> {
    let history = next_free(path);
    if fs::hard_link(path, &history).is_err() {
        fs::rename(path, &history)?;
    }
    fs::rename(draft, path)?;
    sync_folder(path)
}

/// The journals of earlier jobs, the oldest first.
pub(super) fn history(path: &Path) -> Vec<PathBuf> {
    numbered(path).into_iter().map(|(_, path)| path).collect()
}

/// Whether there are any.
pub(super) fn has_history(path: &Path) -> bool {
    !numbered(path).is_empty()
}

#[cfg(unix)]
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    loop {
        match fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
            // The standard library leaves it half-done.
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            made => return made,
        }
    }
}

#[cfg(not(unix))]
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_an_instant_is_waited_for_and_no_other() {
        let path = std::env::temp_dir().join(format!("gannet-place-{}.lock", std::process::id()));
        let open = || private().create(true).truncate(false).write(true).open(&path).expect("it can be made");
        let looks = || {
            let other = open();
            other.try_lock_shared().expect("nobody else has it");
            Some(other)
        };
        for held_for in [0, 1, PAUSES] {
            let (file, mut other, mut pauses) = (open(), looks(), 0);
            other = other.filter(|_| held_for > 0);
            let tried = try_lock(&file, PAUSES, || {
                pauses += 1;
                other = other.take().filter(|_| pauses < held_for);
            });
            assert!(tried.is_ok() && pauses == held_for, "{held_for}: {tried:?} after {pauses}");
        }
        let (file, other, mut pauses) = (open(), looks(), 0);
        let tried = try_lock(&file, PAUSES, || pauses += 1);
        assert!(matches!(tried, Err(TryLockError::WouldBlock)) && pauses == PAUSES, "{pauses}");
        assert!(try_lock(&file, 0, || unreachable!("it is not waited for")).is_err());
        drop(other);
        std::fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn a_lock_whose_file_was_removed_keeps_nobody_away_and_is_taken_anew() {
        let folder = std::env::temp_dir().join(format!("gannet-place-removed-{}", std::process::id()));
        let path = folder.join("journal.sqlite");
        for _ in 0..5 {
            let first = lock(&path).expect("nobody has it");
            let waits = std::thread::spawn({
                let path = path.clone();
                move || lock(&path)
            });
            std::thread::sleep(Duration::from_millis(2));
            first.remove().expect("it is there");
            let second = waits.join().expect("it does not panic").expect("nobody has it any more");
            assert_eq!(id_of(&second.path), second.file.metadata().ok().as_ref().and_then(id));
            assert!(lock(&path).is_err(), "it keeps others away");
            second.remove().expect("it is there");
        }
        std::fs::remove_dir_all(folder).expect("it is there");
    }
}
