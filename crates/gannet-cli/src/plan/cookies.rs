//! The cookies of `-b` and `-c`: which are sent, and where they are written at the end.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use gannet::Cookies;

use crate::args::{ModeArgs, RequestArgs};
use crate::say::Complaint;

/// The cookies of a run.
pub(crate) struct Jar {
    cookies: Cookies,
    saved_to: Option<PathBuf>,
}

/// Where cookies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JarPlace {
    File,
    Stdout,
}

/// Why cookies were not written.
pub(crate) enum Unsaved {
    /// Standard output has no reader any more.
    StdoutClosed,
    Broken(Complaint),
}

impl Jar {
    /// `None` if neither `-b FILE` nor `-c` was given: then cookies that servers set are forgotten.
    /// That they cannot be written in the end is said now, unless nothing is to be written.
    pub(super) fn of(args: &RequestArgs, mode: &ModeArgs) -> Result<Option<Self>, Complaint> {
        let files: Vec<&String> = args.cookies.iter().filter(|value| !value.contains('=')).collect();
        if files.is_empty() && args.cookie_jar.is_none() {
            return Ok(None);
        }
        let cookies = Cookies::new();
        for name in files.into_iter().filter(|name| !name.is_empty()) {
            load(&cookies, name)?;
        }
        let saved_to = args.cookie_jar.as_ref().map(PathBuf::from);
        if let Some(path) = saved_to.as_ref().filter(|path| path.as_os_str() != "-")
            && !mode.dry_run
            && !mode.curl
        {
            check_writable(path).map_err(|cause| unwritable(path, &cause))?;
        }
        Ok(Some(Self { cookies, saved_to }))
    }

    pub(crate) fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// Where they are written at the end, if anywhere.
    pub(crate) fn place(&self) -> Option<JarPlace> {
        let path = self.saved_to.as_ref()?;
        Some(if path.as_os_str() == "-" { JarPlace::Stdout } else { JarPlace::File })
    }

    /// Writes what there is now, under the final name only when it is whole; `-` is standard output.
    pub(crate) fn save(&self) -> Result<(), Unsaved> {
        let Some(path) = &self.saved_to else { return Ok(()) };
        let written = if path.as_os_str() == "-" {
            let mut text = Vec::new();
            self.cookies.save_netscape(&mut text).and_then(|()| {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&text).and_then(|()| stdout.flush())
            })
        } else {
            self.write(path)
        };
        written.map_err(|cause| match (self.place(), cause.kind()) {
            (Some(JarPlace::Stdout), io::ErrorKind::BrokenPipe) => Unsaved::StdoutClosed,
            _ => Unsaved::Broken(unwritable(path, &cause)),
        })
    }

    fn write(&self, path: &PathBuf) -> io::Result<()> {
        let is_device = path.metadata().is_ok_and(|met| !met.is_file());
        if is_device {
            return self.cookies.save_netscape(File::create(path)?);
        }
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let mut writer = BufWriter::new(private(PathBuf::from(&part))?);
        self.cookies.save_netscape(&mut writer)?;
        writer.flush()?;
        std::fs::rename(&part, path)
    }
}

fn unwritable(path: &Path, cause: &io::Error) -> Complaint {
    Complaint::new(format!("-c {} cannot be written", path.display())).why(cause.to_string())
}

/// Asks the folder for a file like the one that is written in the end, and takes it away at once.
fn check_writable(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(met) if met.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        // It is written to as it is.
        Ok(met) if !met.is_file() => return Ok(()),
        _ => {}
    }
    let mut probe = path.to_owned().into_os_string();
    probe.push(format!(".{}.part", std::process::id()));
    let probe = PathBuf::from(probe);
    private(probe.clone())?;
    std::fs::remove_file(probe)
}

/// A new file that only its owner may read: cookies are credentials.
fn private(path: PathBuf) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn load(cookies: &Cookies, name: &str) -> Result<(), Complaint> {
    let refuse = |cause: String| Complaint::new(format!("-b {name} cannot be read")).why(cause);
    match name {
        "-" => cookies.load_netscape(io::stdin().lock()).map(drop).map_err(|error| refuse(error.to_string())),
        name => match File::open(name) {
            // curl's habit: a missing file switches cookies on, and holds none.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(refuse(cause.to_string())),
            Ok(file) => cookies
                .load_netscape(BufReader::new(file))
                .map(drop)
                .map_err(|error| refuse(error.to_string())),
        },
    }
}
