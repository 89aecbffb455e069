//! Where journals lie: beside the files of a job, in the user's state folder, or where `--journal` says. And how a job
//! that people name is found. Nothing here opens a journal.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use gannet::sink::PartKey;
use gannet::{Error, ErrorKind};
use rustix::fs::{Access, AtFlags};
use twox_hash::XxHash3_64;

use super::settings::settled;
use super::{Refused, quoted};
use crate::args::{GetArgs, without_userinfo};
use crate::exit::Exit;
use crate::plan::Output;
use crate::say::Complaint;

/// Below the folder of `-P`.
const FOLDER: &str = ".gannet";
/// The journal in it, and in the folder of `--journal`.
const FILE: &str = "journal.sqlite";
/// What SQLite's files begin with.
const DATABASE: &[u8; 16] = b"SQLite format 3\0";

/// How they are marked as journals of gannet.
const MARK: &[u8] = b"GNNT";

/// Where a job's journal lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub(super) journal: PathBuf,
    pub(super) kind: Kind,
    /// What people call the job, as a shell takes it.
    pub(super) name: String,
}

/// Why it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It lies with the files below `-P`.
    Below,
    /// It lies in the user's state folder.
    State,
    /// `--journal` named the folder.
    Given,
}

impl Place {
    /// The place for a job of `get`, if it is to have one.
    pub(crate) fn of(args: &GetArgs, output: &Output) -> Result<Option<Self>, Complaint> {
        let mode = &args.shared.mode;
        if mode.dry_run || mode.curl {
            return Ok(None);
        }
        match (args.job.journal.as_deref(), output) {
            (Some("none"), _) | (None, Output::Stdout(_) | Output::Nowhere) => Ok(None),
            (Some(folder), Output::Stdout(_)) => {
                Err(Complaint::new(format!("--journal {folder} contradicts bodies on standard output"))
                    .why("what was written there cannot be gone on with")
                    .fix("-P DIR, -o FILE or --no-body for the bodies"))
            }
            (Some(_), Output::Files | Output::Nowhere) | (None, Output::Files) => {
                Ok(Self::beside_files(args))
            }
        }
    }

    /// The same for bodies that go to files.
    fn beside_files(args: &GetArgs) -> Option<Self> {
        let body = &args.body;
        match (args.job.journal.as_deref(), &body.directory) {
            (Some("none"), _) => None,
            (Some(folder), _) => Some(Self::in_folder(given(Path::new(folder)), Kind::Given)),
            (None, Some(folder)) => Some(Self::in_folder(below(folder), Kind::Below)),
            (None, None) if body.files.iter().all(|file| is_regular(file)) => Self::in_state(args),
            (None, None) => None,
        }
    }

    /// The file that the journal would be, if bodies go to files: none of them may take its place.
    pub(crate) fn journal_beside_files(args: &GetArgs) -> Option<PathBuf> {
        Self::beside_files(args).map(|place| place.journal)
    }

    /// By which the job's part files are told from those of others: the same as long as its journal lies there.
    pub(super) fn part_key(&self) -> PartKey {
        part_key(&self.journal)
    }

    /// The one that they were told by when the folder of its files was this one.
    pub(super) fn part_key_in(&self, folder: &Path) -> Option<PartKey> {
        (self.kind == Kind::Below).then(|| part_key(&below(folder)))
    }

    /// Whether a journal lies there.
    pub(crate) fn is_there(&self) -> bool {
        self.journal.exists()
    }

    fn in_folder(journal: PathBuf, kind: Kind) -> Self {
        Self { name: name_of(&journal), journal, kind }
    }

    /// In the state folder, under a digest of what makes the job: the folder it runs in, its inputs and outputs.
    fn in_state(args: &GetArgs) -> Option<Self> {
        let (body, here) = (&args.body, std::env::current_dir().ok()?);
        let mut all = vec![here.to_string_lossy().into_owned()];
        all.extend(args.urls.iter().map(|url| without_userinfo(url)));
        all.push(if body.remote_name { "-O" } else { "-o" }.to_owned());
        all.extend(body.files.iter().cloned());
        all.extend(body.output_dir.iter().map(|folder| folder.to_string_lossy().into_owned()));
        let name = format!("{:016x}", XxHash3_64::oneshot(all.join("\0").as_bytes()));
        Some(Self { journal: in_state(&name)?, kind: Kind::State, name })
    }

    /// Makes the folders of the files, which are for all; the journal makes its own. What was made, the innermost first.
    ///
    /// # Errors
    /// The disk did not take them. What may not be made there is told by whoever writes the bodies.
    pub(super) fn make_folders(&self) -> Result<Vec<PathBuf>, Refused> {
        let own = self.journal.parent().map(Path::to_owned);
        let below = if self.kind == Kind::Below { own.as_ref().and_then(|own| own.parent()) } else { None };
        let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let mut made: Vec<PathBuf> = own.iter().filter(|own| !own.exists()).cloned().collect();
        made.extend(below.into_iter().flat_map(Path::ancestors).take_while(missing).map(Path::to_owned));
        if let Some(folder) = below {
            make_folders(folder)?;
        }
        Ok(if self.kind == Kind::State { Vec::new() } else { made })
    }

    /// Whether a run goes on without a journal that cannot be made: where the folder of the files itself may not be
    /// written, whoever writes these says so, and the state folder is a convenience.
    pub(super) fn can_do_without(&self, error: &Error) -> bool {
        let own = self.journal.parent().unwrap_or(Path::new("."));
        match self.kind {
            Kind::Given => false,
            Kind::Below => !own.exists() && !own.parent().is_some_and(may_write),
            Kind::State => {
                matches!(error.kind(), ErrorKind::JournalFailed | ErrorKind::ReadOnly | ErrorKind::DiskFull)
            }
        }
    }
}

/// By which the part files are known of the job that has its journal there.
pub(crate) fn part_key(journal: &Path) -> PartKey {
    PartKey::of(settled(journal).as_os_str().as_encoded_bytes())
}

/// Makes a folder and those above it.
fn make_folders(folder: &Path) -> Result<(), Refused> {
    loop {
        let Err(cause) = std::fs::create_dir_all(folder) else { return Ok(()) };
        match cause.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename => return Ok(()),
            _ => {
                let complaint = Complaint::new(format!("cannot make the folder {}", folder.display()));
                return Err(Refused { complaint: complaint.why(cause.to_string()), exit: Exit::Local });
            }
        }
    }
}

/// Whether the folder is there, and files can be made in it.
fn may_write(folder: &Path) -> bool {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let wanted = Access::WRITE_OK.union(Access::EXEC_OK);
    rustix::fs::accessat(rustix::fs::CWD, folder, wanted, AtFlags::EACCESS).is_ok()
}

/// What is to become, or is, a file and no device.
fn is_regular(file: &str) -> bool {
    std::fs::metadata(file).map_or(!file.starts_with("/dev/"), |met| met.is_file())
}

/// The user's folder for what programs remember.
pub(super) fn state_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local").join("state")));
    state.map(|state| state.join("gannet"))
}

/// The journal of a job with these options, if it is in the state folder.
pub(super) fn in_state_of(args: &GetArgs) -> Option<PathBuf> {
    Place::in_state(args).map(|place| place.journal)
}

fn in_state(name: &str) -> Option<PathBuf> {
    Some(state_folder()?.join(format!("{name}.sqlite")))
}

/// The journal of a job that is named by the folder of its files, its journal, the journal's folder, or its name in the
/// state folder.
pub(super) fn find(job: &Path) -> Result<PathBuf, Complaint> {
    let [by_files, by_name] = [below(job), given(job)];
    match (is_journal(&by_files), is_journal(&by_name)) {
        (true, true) => {
            let [one, other] = [&by_files, &by_name].map(|path| name_of(path));
            return Err(Complaint::new(format!("there are two jobs in {}", job.display()))
                .why("one is that of -P, the other that of --journal")
                .fix(format!("name the journal: {one} or {other}")));
        }
        (true, false) => return Ok(by_files),
        (false, true) => return Ok(by_name),
        (false, false) => {}
    }
    if job.is_file() {
        return if may_be_journal(job) {
            Ok(job.to_owned())
        } else {
            Err(Complaint::new(format!("{} is no journal", job.display()))
                .fix("name the folder of the job's files, or its journal; gannet jobs lists what there is"))
        };
    }
    let named = job.to_str().filter(|name| is_name(name)).and_then(in_state);
    named.filter(|path| path.is_file()).ok_or_else(|| {
        Complaint::new(format!("there is no job at {}", job.display()))
            .fix("gannet jobs lists those below this folder, and those of -o and -O")
    })
}

/// The journal of a job whose files lie below this folder.
pub(super) fn below(folder: &Path) -> PathBuf {
    folder.join(FOLDER).join(FILE)
}

/// The journal in the folder of `--journal`.
pub(super) fn given(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Whether it is a name of the state folder.
fn is_name(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What people call the job of this journal, as a shell takes it.
pub(super) fn name_of(journal: &Path) -> String {
    let folder = journal.parent().unwrap_or(Path::new("."));
    if state_folder().as_deref() == Some(folder) {
        return quoted(Path::new(journal.file_stem().unwrap_or_default()));
    }
    match (journal.file_name(), folder.file_name(), folder.parent()) {
        // A folder with two journals is the name of none of them.
        (Some(file), Some(own), Some(files))
            if file == FILE && own == FOLDER && !is_journal(&given(files)) =>
        {
            quoted(if files.as_os_str().is_empty() { Path::new(".") } else { files })
        }
        (Some(file), own, _)
            if file == FILE && own.is_none_or(|own| own != FOLDER) && !is_journal(&below(folder)) =>
        {
            quoted(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        }
        _ => quoted(journal),
    }
}

/// The name of a file of a journal, as short as it is from here.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

/// Whether a file of a journal's name is one: marked as ours, which SQLite keeps in the bytes 68 to 71, or one that somebody
/// has locked once, whatever has become of it. A body may have that name, too.
fn is_journal(file: &Path) -> bool {
    let is_marked = || {
        let mut begin = [0; 72];
        let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut begin));
        read.is_ok() && begin.starts_with(DATABASE) && begin.ends_with(MARK)
    };
    file.is_file() && (lock_of(file).is_file() || is_marked())
}

/// Where the lock of a journal lies: beside the file that its name leads to.
fn lock_of(journal: &Path) -> PathBuf {
    let real = journal.canonicalize().unwrap_or_else(|_| journal.to_owned());
    let mut lock = real.into_os_string();
    lock.push(".lock");
    lock.into()
}

/// Whether a file has the name of a journal, or is a database.
fn may_be_journal(file: &Path) -> bool {
    let is_database = || {
        let mut begin = [0; DATABASE.len()];
        let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut begin));
        read.is_ok() && begin == *DATABASE
    };
    file.extension().is_some_and(|end| end == "sqlite") || is_database()
}

/// Whether a process works with this journal at this moment.
pub(super) fn is_in_use(journal: &Path) -> bool {
    let tried = std::fs::File::open(lock_of(journal)).map(|lock| lock.try_lock_shared());
    matches!(tried, Ok(Err(std::fs::TryLockError::WouldBlock)))
}

/// Folders below this one that are looked through for journals.
const LOOKED_THROUGH: usize = 10_000;
/// How deep they lie at most.
const DEEPEST: usize = 3;

/// The journals below a folder, and those of the state folder.
pub(super) fn all(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![(top.to_owned(), 0)];
    let mut next = 0;
    while let Some((folder, depth)) = folders.get(next).cloned() {
        next += 1;
        let inside = [below(&folder), given(&folder)];
        found.extend(inside.into_iter().filter(|path| is_journal(path)));
        if depth == DEEPEST {
            continue;
        }
        let mut inner: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        inner
            .retain(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != FOLDER);
        inner.sort_by_key(std::fs::DirEntry::file_name);
        let room = LOOKED_THROUGH.saturating_sub(folders.len());
        let name = |entry: std::fs::DirEntry| {
            if folder == Path::new(".") { PathBuf::from(entry.file_name()) } else { entry.path() }
        };
        folders.extend(inner.into_iter().take(room).map(|entry| (name(entry), depth + 1)));
    }
    found.extend(in_state_folder());
    found
}

fn in_state_folder() -> Vec<PathBuf> {
    let entries = state_folder().and_then(|folder| std::fs::read_dir(folder).ok());
    let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    // What a job has put aside is not one of them.
    let is_job = |path: &PathBuf| {
        let is_named = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_name);
        is_named && path.extension().is_some_and(|end| end == "sqlite")
    };
    let mut found: Vec<PathBuf> = paths.filter(is_job).collect();
    found.sort();
    found
}
