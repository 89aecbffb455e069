//! Files without a name, for what is held too long for memory. They go when the process does, however it ends.
//! Nothing here decides what is written to them.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::chunks::{Count, Gauge};

/// What is read back at once, in bytes.
const READ: u64 = 64 << 10;

/// Gives an unnamed file in a folder.
pub(super) type Opener = fn(&Path) -> io::Result<File>;

/// An unnamed file that is written from its first byte to its last. It is closed, and its room on the disk given
/// back, when the last of its extents has gone.
#[derive(Debug)]
struct Segment {
    file: File,
    /// What it takes on the disk. Held by whoever moves the file's cursor, where reading at a place does so.
    taken: Mutex<Count>,
}

/// Some bytes of a segment.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    segment: Arc<Segment>,
    start: u64,
    length: u64,
}

/// The segment that is written to, and how long it is. Does not keep it open.
#[derive(Debug, Default)]
pub(super) struct Growing {
    segment: Weak<Segment>,
    length: u64,
}

impl Growing {
    /// Writes the pieces behind one another into one segment: the last one, or one that `open` gives when that has
    /// gone or is `longest` bytes long.
    pub(super) fn append<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        longest: u64,
        disk: &Gauge,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Extent> {
        let last = self.segment.upgrade().filter(|_| self.length < longest);
        let segment = match last {
            Some(segment) => segment,
            None => {
                let segment = Arc::new(Segment { file: open()?, taken: Mutex::new(Count::of(disk, 0)) });
                *self = Self { segment: Arc::downgrade(&segment), length: 0 };
                segment
            }
        };
        let start = self.length;
        let mut end = start;
        for piece in pieces {
            segment.write(piece, end)?;
            end += piece.len() as u64;
        }
        self.length = end;
        Ok(Extent { segment, start, length: end - start })
    }
}

impl Segment {
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut taken = self.locked();
        write_at(&self.file, bytes, at)?;
        taken.add(bytes.len() as u64);
        Ok(())
    }

    #[cfg(unix)]
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, at)
    }

    #[cfg(not(unix))]
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        use std::io::{Read, Seek};
        let _cursor = self.locked();
        let mut file = &self.file;
        file.seek(io::SeekFrom::Start(at))?;
        file.read_exact(bytes)
    }

    fn locked(&self) -> MutexGuard<'_, Count> {
        self.taken.lock().expect("no thread panics while it writes or reads a segment")
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    use std::io::{Seek, Write};
    file.seek(io::SeekFrom::Start(at))?;
    file.write_all(bytes)
}

impl Extent {
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Reads it piece by piece, each into `buffer`, which `take` gets. The errors of reading are told by `blame`.
    pub(super) fn read<E>(
        &self,
        buffer: &mut Vec<u8>,
        blame: impl Fn(io::Error) -> E,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.start + self.length;
        let mut at = self.start;
        while at < end {
            let length = READ.min(end - at);
            buffer.resize(usize::try_from(length).expect("a piece is short"), 0);
            self.segment.read(buffer, at).map_err(&blame)?;
            take(buffer)?;
            at += length;
        }
        Ok(())
    }
}

/// A file in `folder` that never has a name, where the system knows such files.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn unnamed(folder: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    let flags = OFlags::TMPFILE.union(OFlags::RDWR).union(OFlags::EXCL).union(OFlags::CLOEXEC);
    match rustix::fs::open(folder, flags, Mode::from_raw_mode(0o600)) {
        Ok(descriptor) => Ok(File::from(descriptor)),
        // Some file systems (NFS, FUSE) do not know such files; a kernel that does not takes the folder for a file.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => soon_unnamed(folder),
        Err(cause) => Err(cause.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn unnamed(folder: &Path) -> io::Result<File> {
    soon_unnamed(folder)
}

/// Names that are tried.
const TRIES: u32 = 100;

/// A file that loses its name before a byte is in it, for its owner alone. On Windows the system removes it when
/// the process closes it or ends.
fn soon_unnamed(folder: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        let label: String = std::iter::repeat_with(fastrand::alphanumeric).take(16).collect();
        let path = folder.join(format!("gannet-{label}"));
        match for_the_owner().create_new(true).open(&path) {
            Ok(file) => {
                #[cfg(not(windows))]
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(cause),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn for_the_owner() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // FILE_FLAG_DELETE_ON_CLOSE
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, 0x0400_0000);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::scratch::Scratch;

    fn append(growing: &mut Growing, bytes: &[u8], disk: &Gauge, folder: &Path) -> Extent {
        growing.append([bytes].into_iter(), 10, disk, || unnamed(folder)).expect("the disk takes it")
    }

    fn read(extent: &Extent) -> Vec<u8> {
        let mut all = Vec::new();
        let taken = extent.read(
            &mut Vec::new(),
            |cause| cause,
            |piece| {
                all.extend_from_slice(piece);
                Ok(())
            },
        );
        taken.expect("it can be read");
        all
    }

    #[test]
    fn no_file_has_a_name_and_room_is_given_back_with_the_last_extent() {
        let (scratch, disk, mut growing) = (Scratch::new(), Gauge::default(), Growing::default());
        let first = append(&mut growing, b"12345", &disk, scratch.path());
        let second = append(&mut growing, b"67890", &disk, scratch.path());
        let third = append(&mut growing, b"abc", &disk, scratch.path());
        assert_eq!(scratch.names(), Vec::<String>::new());
        assert_eq!(
            (read(&first), read(&second), read(&third)),
            (b"12345".into(), b"67890".into(), b"abc".into())
        );
        assert_eq!(disk.now(), 13);
        drop(first);
        assert_eq!(disk.now(), 13);
        drop(second);
        assert_eq!(disk.now(), 3);
        drop(third);
        let fourth = append(&mut growing, b"d", &disk, scratch.path());
        assert_eq!((read(&fourth), disk.now()), (b"d".into(), 1));
    }

    #[test]
    fn where_no_file_is_born_without_a_name_it_loses_it_at_once() {
        let (scratch, disk, mut growing) = (Scratch::new(), Gauge::default(), Growing::default());
        let body = vec![7; 300_000];
        let extent = growing.append([&body[..]].into_iter(), 10, &disk, || soon_unnamed(scratch.path()));
        assert_eq!(scratch.names(), Vec::<String>::new());
        assert_eq!(read(&extent.expect("the disk takes it")), body);
    }

    #[test]
    fn a_folder_that_is_missing_is_said() {
        let scratch = Scratch::new();
        let missing = unnamed(&scratch.join("none")).expect_err("there is no such folder");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
