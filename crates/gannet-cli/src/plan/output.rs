//! Where the bodies and the report go. Of several places for the bodies, none is guessed: they contradict one
//! another. Nothing here writes.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gannet::sink::{Discard, Files, IfExists, Ordered, Sink};

use super::terminal::TextOnly;
use super::{Crowd, plural};
use crate::args::{BodyArgs, ExistsRule, RecordArgs};
use crate::say::Complaint;

/// Where the bodies go, as far as a run has to know.
#[derive(Debug)]
pub(crate) enum Output {
    /// To standard output.
    Stdout(Ordered),
    /// To files of their own.
    Files,
    /// Nowhere.
    Nowhere,
}

/// What was chosen.
pub(crate) struct Chosen {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) output: Output,
}

/// One of the places that the options can name.
enum Place {
    Stdout(Binary),
    At(Vec<PathBuf>),
    Below(PathBuf),
    Nowhere,
}

/// Whether bytes that are no text may reach a terminal.
enum Binary {
    Refused,
    Allowed,
}

/// The sink for the bodies; the report must not go there too.
pub(crate) fn choose(
    args: &BodyArgs,
    record: &RecordArgs,
    urls: &[String],
    crowd: Crowd,
) -> Result<Chosen, Complaint> {
    let place = place(args, urls, crowd)?;
    if matches!(place, Place::Stdout(_)) && record.report.as_deref() == Some("-") {
        return Err(Complaint::new("--report - contradicts bodies on standard output")
            .fix("-P DIR, -o FILE or --no-body for the bodies, or --report FILE"));
    }
    let rule = args.if_exists.map(rule);
    let (sink, output): (Arc<dyn Sink>, Output) = match place {
        Place::Stdout(_) | Place::Nowhere if rule.is_some() => {
            return Err(Complaint::new("--if-exists contradicts bodies that go to no file")
                .fix("-o FILE, -O or -P DIR"));
        }
        Place::Stdout(Binary::Allowed) => {
            let ordered = Ordered::to_stdout();
            (Arc::new(ordered.clone()), Output::Stdout(ordered))
        }
        Place::Stdout(Binary::Refused) => {
            let ordered = Ordered::to_stdout();
            (Arc::new(TextOnly::over(ordered.clone())), Output::Stdout(ordered))
        }
        Place::At(files) => (Arc::new(ruled(Files::at(files), rule)), Output::Files),
        Place::Below(directory) if args.remote_name => {
            let files = Files::in_directory(directory).if_exists(IfExists::Overwrite);
            (Arc::new(ruled(files, rule)), Output::Files)
        }
        Place::Below(directory) => (Arc::new(ruled(Files::in_directory(directory), rule)), Output::Files),
        Place::Nowhere => (Arc::new(Discard), Output::Nowhere),
    };
    Ok(Chosen { sink, output })
}

/// Files that are read or written must not be one another: the list, the report, and each body's own.
pub(crate) fn check_apart(args: &BodyArgs, record: &RecordArgs, list: Option<&str>) -> Result<(), Complaint> {
    let bodies = args.files.iter().map(|file| ("-o", file.as_str()));
    let report = record.report.iter().map(|file| ("--report", file.as_str()));
    let mut seen: HashMap<PathBuf, String> = HashMap::new();
    for (flag, file) in list.map(|file| ("-i", file)).into_iter().chain(report).chain(bodies) {
        let given = format!("{flag} {file}");
        let is_regular = |path: &PathBuf| path.metadata().map_or(true, |met| met.is_file());
        let Some(path) = resolved(file).filter(is_regular) else { continue };
        if let Some(other) = seen.insert(path, given.clone()) {
            return Err(
                Complaint::new(format!("{other} and {given} are one file")).fix("a file of its own for each")
            );
        }
    }
    Ok(())
}

/// Where a file lies, though it may not be there yet; `None` for `-` and what cannot be told.
fn resolved(file: &str) -> Option<PathBuf> {
    let path = Path::new(file);
    if file == "-" {
        return None;
    }
    path.canonicalize().ok().or_else(|| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    })
}

/// The one place that was named; of two, both names and values are told.
fn place(args: &BodyArgs, urls: &[String], crowd: Crowd) -> Result<Place, Complaint> {
    let named = [
        args.files.first().map(|file| format!("-o {file}")),
        args.remote_name.then(|| "-O".to_owned()),
        args.directory.as_ref().map(|directory| format!("-P {}", directory.display())),
        args.no_body.then(|| "--no-body".to_owned()),
    ];
    let mut named = named.into_iter().flatten();
    if let (Some(one), Some(other)) = (named.next(), named.next()) {
        return Err(Complaint::contradiction(&one, &other));
    }
    if let Some(directory) = &args.directory {
        return Ok(Place::Below(directory.clone()));
    }
    if args.remote_name {
        return match crowd {
            Crowd::Listed => Err(Complaint::new("-O contradicts -i")
                .fix("-P . puts the files of a list here, and skips what is there")),
            Crowd::One | Crowd::Several => Ok(Place::Below(PathBuf::from("."))),
        };
    }
    if args.no_body {
        return Ok(Place::Nowhere);
    }
    given(&args.files, urls, crowd)
}

/// `-o`, once for each URL, or not at all.
fn given(files: &[String], urls: &[String], crowd: Crowd) -> Result<Place, Complaint> {
    let is_stdout = |file: &String| file == "-";
    match (files, crowd) {
        ([], _) if io::stdout().is_terminal() => Ok(Place::Stdout(Binary::Refused)),
        (files, _) if files.iter().all(is_stdout) && files.len() <= 1 => Ok(Place::Stdout(Binary::Allowed)),
        ([file, ..], Crowd::Listed) => Err(Complaint::new(format!("-o {file} contradicts -i"))
            .fix("-P DIR names the files of a list by their URLs")),
        (files, _) if files.len() != urls.len() => {
            let counts = format!("-o is given {} for {}", times(files.len()), plural(urls.len(), "URL"));
            Err(Complaint::new(counts).fix("-o FILE once for each URL in order, or -P DIR for all"))
        }
        (files, _) if files.iter().all(is_stdout) => Ok(Place::Stdout(Binary::Allowed)),
        (files, _) => distinct(files),
    }
}

/// Files of their own for all; a device may be given more than once.
fn distinct(files: &[String]) -> Result<Place, Complaint> {
    for (index, file) in files.iter().enumerate() {
        if file == "-" {
            return Err(Complaint::new("-o - contradicts -o FILE").fix("all to standard output, or none"));
        }
        if files[..index].contains(file) && !file.starts_with("/dev/") {
            return Err(Complaint::new(format!("-o {file} is given for two URLs"))
                .fix("a file of its own for each URL"));
        }
    }
    Ok(Place::At(files.iter().map(PathBuf::from).collect()))
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn ruled(files: Files, rule: Option<IfExists>) -> Files {
    match rule {
        Some(rule) => files.if_exists(rule),
        None => files,
    }
}

fn rule(wanted: ExistsRule) -> IfExists {
    match wanted {
        ExistsRule::Overwrite => IfExists::Overwrite,
        ExistsRule::Skip => IfExists::Skip,
        ExistsRule::Rename => IfExists::Rename,
        ExistsRule::Fail => IfExists::Fail,
    }
}
