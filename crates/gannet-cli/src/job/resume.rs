//! `gannet resume` and `gannet retry`: from the name of a job to the command line that goes on with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use gannet::{Error, Journal};

use super::{Refused, Settings, Start, place};
use crate::args::{self, Command, GetArgs, Given, NoCommand, Surroundings};
use crate::say::Complaint;

/// The options of the job that these words name, with those that follow the name behind them. The folder in which the
/// job was begun is the current one then.
pub(crate) fn command(words: &[OsString], start: Start) -> Result<Box<GetArgs>, NotGoneOn> {
    let (journal, further) = match words.split_first() {
        Some((job, _)) if is_option(job) => {
            let what = format!("{} comes before the name of a job", job.to_string_lossy());
            return Err(Complaint::new(what)
                .fix("gannet resume JOB [OPTIONS]; a folder of such a name is ./-NAME")
                .into());
        }
        Some((job, further)) => (place::find(Path::new(job))?, further),
        None => (the_one_here()?, &[][..]),
    };
    let journal = std::path::absolute(&journal).unwrap_or(journal);
    let reader = Journal::read(&journal)?;
    let settings = Settings::of_json(&reader.summary().settings);
    let name = place::name_of(&journal);
    let settings = settings.filter(|settings| !settings.given.words.is_empty()).ok_or_else(|| {
        let what = format!("the journal of {name} does not say with which options it was begun");
        Complaint::new(what).fix("run the same command again")
    })?;
    drop(reader);
    let here = std::env::current_dir().unwrap_or_default();
    let further = args::from_here(further.to_vec(), &here);
    std::env::set_current_dir(&settings.cwd).map_err(|cause| {
        let what = format!("the job was begun in {}, which cannot be gone to", settings.cwd.display());
        Complaint::new(what).why(cause.to_string())
    })?;
    let verb = if start == Start::Retry { "retry" } else { "resume" };
    // The job's settings are those that it was begun with; what surrounds this run has its secrets at most.
    let alone = Some(settings.given.secret.clone());
    let surroundings = Surroundings { alone, ..Surroundings::of_this_process() };
    let extra = parsed(further.clone(), &surroundings)?;
    let missing = settings.given.left_out_of(&extra.given);
    if !missing.is_empty() {
        return Err(again(&missing, &settings.given, (verb, &name)).into());
    }
    let kept = settings.given.words_beside(&extra.given).into_iter().map(OsString::from);
    let args = parsed(kept.chain(further).collect(), &surroundings)?;
    same_place(&args, &journal, &name)?;
    Ok(args)
}

/// Unless it is a job all the same.
fn is_option(word: &OsString) -> bool {
    word.to_string_lossy().starts_with('-') && place::find(Path::new(word)).is_err()
}

fn parsed(words: Vec<OsString>, surroundings: &Surroundings) -> Result<Box<GetArgs>, NoCommand> {
    let words = ["gannet", "get"].map(OsString::from).into_iter().chain(words);
    match args::parse(words, surroundings)? {
        Command::Get(args) => Ok(args),
        other => unreachable!("`get` comes first: {other:?}"),
    }
}

fn again(missing: &[String], given: &Given, (verb, name): (&str, &str)) -> Complaint {
    let named: Vec<String> = missing.iter().map(|flag| flag.replace('=', " ")).collect();
    let what = format!("the job was given {}, which its journal does not keep", named.join(" and "));
    let complaint = Complaint::new(what);
    if missing.iter().any(|flag| flag == "URL") {
        return complaint
            .why("a URL held a name or a password")
            .fix("run the same command again: it goes on, too");
    }
    match missing.iter().find(|flag| given.stdin_readers.contains(flag)).map(String::as_str) {
        Some("--input") => {
            return complaint.why("the list came from standard input or a pipe").fix(format!(
                "gannet {verb} {name} -i -, or the same command, with the same list: both go on"
            ));
        }
        Some(_) => {
            return complaint
                .why("it came from standard input")
                .fix("run the same command again, with the same standard input: it goes on, too");
        }
        None => {}
    }
    complaint.fix(format!("gannet {verb} {name}{}", Given::again(missing)))
}

/// The one unfinished job that was begun in this folder, or whose files lie below it.
fn the_one_here() -> Result<PathBuf, Complaint> {
    let here = std::env::current_dir().unwrap_or_default();
    let is_open = |path: &PathBuf| {
        let Ok(reader) = Journal::read(path) else { return false };
        let summary = reader.summary();
        let settings = Settings::of_json(&summary.settings);
        let is_of_here = place::state_folder().as_deref() != path.parent()
            || settings.as_ref().is_some_and(|settings| settings.cwd == here);
        !summary.is_finished && is_of_here && !settings.is_some_and(|settings| settings.is_met)
    };
    let open: Vec<PathBuf> = place::all(Path::new(".")).into_iter().filter(is_open).collect();
    match &open[..] {
        [one] => Ok(one.clone()),
        [] => Err(Complaint::new("there is no unfinished job here").fix("gannet jobs lists what there is")),
        several => {
            let names: Vec<String> = several.iter().map(|path| place::name_of(path)).collect();
            Err(Complaint::new(format!("there are {} unfinished jobs here", names.len()))
                .why(names.join(", "))
                .fix(format!("gannet resume {}", names[0])))
        }
    }
}

/// What the options lead to is this very journal.
fn same_place(args: &GetArgs, journal: &Path, name: &str) -> Result<(), Complaint> {
    let leads_to = match (&args.job.journal, &args.body.directory) {
        (Some(folder), _) if folder != "none" => Some(place::given(Path::new(folder))),
        (None, Some(folder)) => Some(place::below(folder)),
        (Some(_), _) => None,
        (None, None) => place::in_state_of(args),
    };
    let is_same =
        |found: PathBuf| found.canonicalize().is_ok_and(|found| Some(found) == journal.canonicalize().ok());
    let is_same = leads_to.is_some_and(is_same);
    if is_same {
        return Ok(());
    }
    Err(Complaint::new(format!("the journal of {name} is not where its job was begun"))
        .why("its folder was moved, or it is that of an earlier job, or the options lead elsewhere")
        .fix("move it back, or run the command with its new folder and --new-job: with -P, files that are there are kept"))
}

/// Why a job is not gone on with.
pub(crate) enum NotGoneOn {
    /// The words cannot be meant so.
    Words(NoCommand),
    /// Its journal cannot be read.
    Journal(Refused),
}

impl From<NoCommand> for NotGoneOn {
    fn from(none: NoCommand) -> Self {
        Self::Words(none)
    }
}

impl From<Complaint> for NotGoneOn {
    fn from(complaint: Complaint) -> Self {
        Self::Words(NoCommand::Refused(complaint))
    }
}

impl From<Error> for NotGoneOn {
    fn from(error: Error) -> Self {
        Self::Journal(error.into())
    }
}
