//! Where the bodies and the report go. Of several places for the bodies, none is guessed: they contradict one
//! another. Nothing here writes.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gannet::Journal;
use gannet::sink::{CreateDirectory, Discard, Files, IfExists, NameTemplate, Ordered, Sink};

use super::terminal::TextOnly;
use super::{Crowd, plural};
use crate::args::{BodyArgs, ExistsRule, RecordArgs, RequestArgs, Survival};
use crate::job::part_key;
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
    /// Below which names lie, for those who are shown them.
    pub(crate) below: Option<PathBuf>,
}

/// One of the places that the options can name.
enum Place {
    Stdout(Binary),
    /// Each request says where.
    Own,
    Below(PathBuf),
    Nowhere,
}

/// Whether bytes that are no text may reach a terminal.
enum Binary {
    Refused,
    Allowed,
}

/// What else goes to standard output behind each body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    Nothing,
    Texts,
}

/// Whether folders are made, or only names are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folders {
    Made,
    /// Nothing is made, and what is missing is no error.
    Pretended,
}

/// What the choice depends on, beside the options for bodies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The words of the command line that stand for URLs.
    pub(crate) words: usize,
    pub(crate) crowd: Crowd,
    pub(crate) behind: Behind,
    pub(crate) folders: Folders,
    pub(crate) record: &'a RecordArgs,
    pub(crate) request: &'a RequestArgs,
    pub(crate) list: Option<&'a str>,
    pub(crate) survival: Survival,
    /// Where the journal would lie, if bodies go to files.
    pub(crate) journal: Option<&'a Path>,
}

/// The sink for the bodies; the report must not go there too.
pub(crate) fn choose(args: &BodyArgs, around: Around<'_>) -> Result<Chosen, Complaint> {
    let place = place(args, around)?;
    if matches!(place, Place::Stdout(_)) && around.record.report.as_deref() == Some("-") {
        return Err(Complaint::new("--report - contradicts bodies on standard output")
            .fix("-P DIR, -o FILE or --no-body for the bodies, or --report FILE"));
    }
    if args.name.is_some() && args.directory.is_none() {
        return Err(Complaint::new("--name names files below -P, and there is none").fix("-P DIR"));
    }
    let files = match place {
        Place::Stdout(_) | Place::Nowhere if args.if_exists.is_some() => {
            return Err(Complaint::new("--if-exists contradicts bodies that go to no file")
                .fix("-o FILE, -O or -P DIR"));
        }
        Place::Nowhere => {
            return Ok(Chosen { sink: Arc::new(Discard), output: Output::Nowhere, below: None });
        }
        Place::Stdout(binary) => return Ok(to_stdout(args, &binary, around.behind)),
        Place::Own => Files::where_requests_say().create_directory(parents(args)),
        Place::Below(directory) => below(directory, args)?,
    };
    let files = files.taken(own_files(around).filter(|(_, file)| *file != "-").map(|(_, file)| file));
    let files = match around.journal.map(Journal::files) {
        Some(own) => files.taken_where(move |path| own.contains(path)),
        None => files,
    };
    let files = match around.folders {
        Folders::Made => files,
        Folders::Pretended => files.create_directory(CreateDirectory::Pretend),
    };
    let files = args.if_exists.map(rule).into_iter().fold(files, Files::if_exists);
    let files = if args.remote_time { files.keep_times() } else { files };
    let files = if around.survival == Survival::Power { files.sync_bodies() } else { files };
    let files = around.journal.map(part_key).into_iter().fold(files, Files::part_key);
    let below = args.directory.clone().or_else(|| args.remote_name.then(|| args.output_dir.clone())?);
    Ok(Chosen { sink: Arc::new(files), output: Output::Files, below })
}

fn to_stdout(args: &BodyArgs, binary: &Binary, behind: Behind) -> Chosen {
    let mut ordered = Ordered::to_stdout().spill(args.max_buffer.unwrap_or(MAX_BUFFER));
    if args.whole {
        ordered = ordered.whole();
    }
    if behind == Behind::Texts {
        ordered = ordered.epilogues();
    }
    let sink: Arc<dyn Sink> = match binary {
        Binary::Allowed => Arc::new(ordered.clone()),
        Binary::Refused => Arc::new(TextOnly::over(ordered.clone())),
    };
    Chosen { sink, output: Output::Stdout(ordered), below: None }
}

/// What waits for standard output on disk, at most, in bytes.
const MAX_BUFFER: u64 = 1 << 30;

fn below(directory: PathBuf, args: &BodyArgs) -> Result<Files, Complaint> {
    let files = Files::in_directory(directory);
    if args.remote_name {
        return Ok(files.exact_names().if_exists(IfExists::Overwrite).create_directory(parents(args)));
    }
    match &args.name {
        None => Ok(files),
        Some(text) => match NameTemplate::parse(text) {
            Ok(template) => Ok(files.names(template)),
            Err(error) => Err(Complaint::new(format!("--name {text} cannot be used")).why(error.message())),
        },
    }
}

fn parents(args: &BodyArgs) -> CreateDirectory {
    if args.create_dirs { CreateDirectory::WhenMissing } else { CreateDirectory::Never }
}

/// The files that the run itself reads and writes, beside the bodies, by the options that name them.
fn own_files(around: Around<'_>) -> impl Iterator<Item = (&'static str, &str)> {
    let Around { record, request, list, .. } = around;
    let named = [
        ("-i", list),
        ("--report", record.report.as_deref()),
        ("-D", record.dump_header.as_deref()),
        ("--har", record.har.as_deref()),
        ("-c", request.cookie_jar.as_deref()),
    ];
    named.into_iter().filter_map(|(flag, file)| Some((flag, file?)))
}

/// Files that are read or written must not be one another: the list, the records, and each body's own. Names that
/// the URLs make are known later: the sink refuses them then.
pub(crate) fn check_apart(args: &BodyArgs, around: Around<'_>) -> Result<(), Complaint> {
    let folder = args.output_dir.as_deref().unwrap_or(Path::new(""));
    let bodies = args.files.iter().filter(|file| *file != "-").map(|file| ("-o", &**file, folder.join(file)));
    let own = own_files(around).filter(|(_, file)| *file != "-");
    let own = own.map(|(flag, file)| (flag, file, PathBuf::from(file)));
    let mut seen: HashMap<PathBuf, String> = HashMap::new();
    let journal = around.journal.map(|journal| (journal, Journal::files(journal)));
    for (flag, file, path) in own.chain(bodies) {
        let given = format!("{flag} {file}");
        if let Some((journal, own)) = &journal
            && (own.contains(&path) || path.canonicalize().is_ok_and(|path| own.contains(path)))
        {
            return Err(Complaint::new(format!("{given} is a file of the job's journal"))
                .why(format!("the journal is {}", journal.display()))
                .fix("another file, or --journal DIR with a folder of its own"));
        }
        let is_regular = |path: &PathBuf| path.metadata().map_or(true, |met| met.is_file());
        let Some(path) = resolved(&path).filter(is_regular) else { continue };
        if let Some(other) = seen.insert(path, given.clone()) {
            return Err(
                Complaint::new(format!("{other} and {given} are one file")).fix("a file of its own for each")
            );
        }
    }
    Ok(())
}

/// Where a file lies, though it may not be there yet; `None` for what cannot be told.
fn resolved(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    })
}

/// The one place that was named; of two, both names and values are told.
fn place(args: &BodyArgs, around: Around<'_>) -> Result<Place, Complaint> {
    let directory = args.directory.as_ref().map(|directory| format!("-P {}", directory.display()));
    let named = [
        args.files.first().map(|file| format!("-o {file}")),
        args.remote_name.then(|| "-O".to_owned()),
        directory.clone(),
        args.no_body.then(|| "--no-body".to_owned()),
    ];
    let mut named = named.into_iter().flatten();
    if let (Some(one), Some(other)) = (named.next(), named.next()) {
        return Err(Complaint::contradiction(&one, &other));
    }
    if let (Some(one), Some(other)) = (&directory, &args.output_dir) {
        return Err(Complaint::contradiction(one, &format!("--output-dir {}", other.display())));
    }
    if let (Some(one), true) = (&directory, args.fail_with_body) {
        return Err(Complaint::new(format!("--fail-with-body contradicts {one}"))
            .why("what lies below -P is whole, or the next run would take an error page for the file")
            .fix("-o FILE for such a body"));
    }
    if let (Some(ExistsRule::Skip), true) = (args.if_exists, args.fail_with_body) {
        return Err(Complaint::new("--fail-with-body contradicts --if-exists skip")
            .why("the next run would take an error page that is kept for the file")
            .fix("--if-exists overwrite, fail or rename"));
    }
    if let Some(other) = args.continue_at.as_deref().filter(|offset| *offset != "-") {
        return Err(
            Complaint::new(format!("-C {other} cannot be used")).fix("-C -, which is what gannet does")
        );
    }
    if let Some(directory) = &args.directory {
        return Ok(Place::Below(directory.clone()));
    }
    if args.remote_name {
        return match around.crowd {
            Crowd::Listed => Err(Complaint::new("-O contradicts -i")
                .fix("-P . puts the files of a list here, and skips what is there")),
            Crowd::One | Crowd::Several => {
                Ok(Place::Below(args.output_dir.clone().unwrap_or_else(|| PathBuf::from("."))))
            }
        };
    }
    if args.no_body {
        return Ok(Place::Nowhere);
    }
    given(&args.files, around.words, around.crowd)
}

/// `-o`, once for each URL as it was written, or not at all.
fn given(files: &[String], words: usize, crowd: Crowd) -> Result<Place, Complaint> {
    let is_stdout = |file: &String| file == "-";
    match (files, crowd) {
        ([], _) if io::stdout().is_terminal() => Ok(Place::Stdout(Binary::Refused)),
        (files, _) if files.iter().all(is_stdout) && files.len() <= 1 => Ok(Place::Stdout(Binary::Allowed)),
        ([file, ..], Crowd::Listed) => Err(Complaint::new(format!("-o {file} contradicts -i"))
            .fix("-P DIR names the files of a list by their URLs")),
        (files, _) if files.len() != words => {
            let counts = format!("-o is given {} for {}", times(files.len()), plural(words, "URL"));
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
        if files[..index].contains(file) && !file.starts_with("/dev/") && !file.contains('#') {
            return Err(Complaint::new(format!("-o {file} is given for two URLs"))
                .fix("a file of its own for each URL"));
        }
    }
    Ok(Place::Own)
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn rule(wanted: ExistsRule) -> IfExists {
    match wanted {
        ExistsRule::Overwrite => IfExists::Overwrite,
        ExistsRule::Skip => IfExists::Skip,
        ExistsRule::Rename => IfExists::Rename,
        ExistsRule::Fail => IfExists::Fail,
        ExistsRule::Update => IfExists::Update,
    }
}
