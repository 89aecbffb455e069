//! What a run keeps of itself in a journal, so that the next one goes on from it: where the journal lies, whether the
//! job in it is this one, how it is gone on with. And what is told of jobs: a list, the attempts at a URL, whether files
//! are as they were written. Nothing here fetches.

mod explain;
mod leftovers;
mod list;
mod place;
mod resume;
mod settings;
mod verify;

use std::path::{Path, PathBuf};

use gannet::{Durability, Error, Journal, Resumed};

pub(crate) use explain::explain;
pub(crate) use list::jobs;
pub(crate) use place::Place;
pub(crate) use resume::command;
pub(crate) use settings::Settings;
pub(crate) use verify::verify;

use crate::exit::Exit;
use crate::plan::Crowd;
use crate::say::Complaint;
use leftovers::Leftovers;
pub(crate) use leftovers::{Which, Written};
use place::Kind;

/// A job that is to be kept.
pub(crate) struct JobTo {
    pub(crate) place: Place,
    pub(crate) durability: Durability,
    pub(crate) start: Start,
    pub(crate) crowd: Crowd,
    pub(crate) existing: Existing,
    pub(crate) settings: Settings,
    /// Where bodies without a name may lie that a killed run has left.
    pub(crate) written: Vec<Written>,
}

/// How a run stands to what its journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The command was given, perhaps again.
    Command,
    /// `--new-job`.
    Anew,
    /// `gannet resume`.
    Resume,
    /// `gannet retry`.
    Retry,
}

/// What becomes of files that are there, once all of a job has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// They are kept: nothing is fetched twice.
    Kept,
    /// They are fetched again, when the command is given again.
    Renewed,
}

/// Why a job cannot be kept.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) complaint: Complaint,
    pub(crate) exit: Exit,
}

/// A job that is kept.
#[derive(Debug)]
pub(crate) struct Job {
    journal: Journal,
    place: Place,
    settings: Settings,
    known: Resumed,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl JobTo {
    /// Opens its journal. `None` if there is no place for one and none was asked for.
    ///
    /// # Errors
    /// It is in use, damaged or of a newer version; it belongs to another place.
    pub(crate) fn open(self) -> Result<Option<Job>, Refused> {
        let path = self.place.journal.clone();
        let was_there = path.exists();
        let made = if was_there { Vec::new() } else { self.place.make_folders()? };
        let journal = match Journal::open(&path, self.durability) {
            Ok(journal) => journal,
            Err(error) if !was_there && self.place.can_do_without(&error) => {
                remove_folders(&made);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut job =
            Job { known: journal.resumed(), journal, place: self.place, settings: self.settings, made };
        if was_there {
            let leftovers = Leftovers::of(&path);
            job.go_on_from(self.start, self.crowd, self.existing, self.durability)?;
            if let Some(mut leftovers) = leftovers.filter(|_| !job.known.is_finished) {
                if job.known == Resumed::default() {
                    leftovers.forget();
                }
                leftovers.remove(&self.written);
            }
        }
        // What is refused for another list must not change what the job goes on with.
        if job.known.lines == 0 || job.known.is_finished {
            job.journal.note_settings(job.settings.to_json());
        }
        Ok(Some(job))
    }
}

impl Job {
    /// Decides what the journal's job is to this run.
    fn go_on_from(
        &mut self,
        start: Start,
        crowd: Crowd,
        existing: Existing,
        durability: Durability,
    ) -> Result<(), Refused> {
        let before = Settings::of_json(self.journal.settings());
        let is_other = before.as_ref().is_some_and(|before| before.is_met && !before.is_same(&self.settings));
        let is_renewed = self.known.is_finished && existing == Existing::Renewed;
        match start {
            Start::Anew => return self.begin_anew(durability),
            Start::Command if is_other || is_renewed => return self.begin_anew(durability),
            Start::Retry => self.journal.reopen_failed(),
            // A single URL that failed is what the command is given again for.
            Start::Command if crowd == Crowd::One => self.journal.reopen_failed(),
            Start::Command | Start::Resume => {}
        }
        match before.and_then(|before| before.moved_to(&self.settings)) {
            Some(complaint) => Err(Refused { complaint, exit: Exit::Refused }),
            None => Ok(()),
        }
    }

    fn begin_anew(&mut self, durability: Durability) -> Result<(), Refused> {
        if self.place.kind == Kind::State {
            // Nobody looks for the history of what lives no longer than its job.
            self.journal.clone().remove()?;
            self.journal = Journal::open(&self.place.journal, durability)?;
        } else {
            self.journal.begin_anew()?;
        }
        self.known = Resumed::default();
        Ok(())
    }

    /// The journal, for those who work with it.
    pub(crate) fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// How to go on, in words for a shell; `None` if it takes the same command, since standard input was read.
    pub(crate) fn resume(&self) -> Option<String> {
        let given = &self.settings.given;
        let can = given.from_stdin.is_empty() && !given.words.is_empty();
        let can = can && !given.secret.iter().any(|flag| flag == "URL");
        can.then(|| {
            let again = given.secret.iter().map(|flag| format!(" {flag} ..."));
            format!("gannet resume {}{}", self.place.name, again.collect::<String>())
        })
    }

    /// How to try again what failed.
    pub(crate) fn retry(&self) -> Option<String> {
        self.resume().map(|resume| resume.replacen("resume", "retry", 1))
    }

    /// Closes it when all that is written down has been told to it; what is not needed any more is removed.
    pub(crate) fn close(&mut self, exit: Exit) -> Result<(), Error> {
        if exit == Exit::Obtained && self.place.kind == Kind::State {
            return self.journal.clone().remove();
        }
        self.settings.is_met = exit == Exit::Obtained;
        if self.settings.is_met {
            // What was asked for is there: what was begun beside it is not gone on with.
            self.journal.drop_parts();
        }
        if exit != Exit::Refused {
            self.journal.note_settings(self.settings.to_json());
        }
        self.journal.close()
    }

    /// Leaves nothing behind of a run that does not begin.
    pub(crate) fn abandon(self) {
        if self.known.lines == 0 && self.journal.remove().is_ok() {
            remove_folders(&self.made);
        }
    }
}

/// Removes folders that hold nothing.
fn remove_folders(folders: &[PathBuf]) {
    // What is not empty is somebody's.
    folders.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { complaint: Complaint::from(error), exit: Exit::Local }
    }
}

impl From<Complaint> for Refused {
    fn from(complaint: Complaint) -> Self {
        Self { complaint, exit: Exit::Refused }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@%~".contains(letter);
    match text.is_empty() || text.starts_with(['-', '~']) || !text.chars().all(is_plain) {
        true => format!("'{}'", text.replace('\'', r"'\''")),
        false => text.into_owned(),
    }
}
