//! What a run keeps of itself in a journal, so that the next one goes on from it: where the journal lies, whether the
//! job in it is this one, how it is gone on with. And what is told of jobs: a list, the attempts at a URL, whether files
//! are as they were written. Nothing here fetches.

mod explain;
mod leftovers;
mod list;
mod place;
mod print;
mod resume;
mod same;
mod settings;
mod verify;

use std::path::{Path, PathBuf};

use gannet::source::Source;
use gannet::{Durability, Error, JobReport, Journal, Resumed};

pub(crate) use explain::explain;
pub(crate) use list::jobs;
pub(crate) use place::{Place, part_key};
pub(crate) use print::{Growth, ListFile};
pub(crate) use resume::{NotGoneOn, command};
pub(crate) use settings::Settings;
pub(crate) use verify::verify;

use crate::exit::Exit;
use crate::plan::Crowd;
use crate::say::{Complaint, OTHER_LIST};
use leftovers::Leftovers;
pub(crate) use leftovers::{Depth, Written};
use place::Kind;
use same::Same;

/// A job that is to be kept.
pub(crate) struct JobTo {
    pub(crate) place: Place,
    pub(crate) durability: Durability,
    pub(crate) start: Start,
    pub(crate) crowd: Crowd,
    pub(crate) existing: Existing,
    pub(crate) settings: Settings,
    /// The list once more, for a look beforehand; `None` for one that can be read only once.
    pub(crate) again: Option<Again>,
    /// Its file, if it has one.
    pub(crate) list: Option<ListFile>,
    /// Where bodies without a name may lie that a killed run has left.
    pub(crate) written: Vec<Written>,
}

/// A list that is read once more.
pub(crate) type Again = Box<dyn Source + Send>;

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
    /// The same, if the server has another version than its journal knows.
    Updated,
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
    existing: Existing,
    list: Option<ListFile>,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// What an earlier run of it may have left.
    leftovers: Option<Leftovers>,
    way: Way,
    /// Only a part of its list can be read by now: what it was begun with stays.
    is_torn: bool,
    durability: Durability,
    end: End,
}

/// What becomes of it at the very end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It stays as it is.
    Left,
    /// It stays, and is marked as told if all of it has settled.
    Marked,
    /// Nobody needs it any more.
    Removed,
}

/// Whether a run has told to its end what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Yes,
    No,
}

/// What is made of the job that the journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It has just been made.
    Begin,
    GoOn,
    /// What failed is tried again.
    Reopen,
    /// It is put aside.
    Anew,
    /// Nothing: there is no URL in the list, and no job to be kept.
    Leave,
}

/// Lines of a list that are compared with those of an unfinished job before anything is written; those behind them are
/// compared as they come.
const LOOKED_AT: u64 = 10_000;

impl JobTo {
    /// Opens its journal, and changes nothing in it. `None` if there is no place for one and none was asked for, and if the
    /// list holds no URL, which is no reason to put another job aside.
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
        let Self { place, mut settings, existing, list, durability, written, start, crowd, again } = self;
        settings.is_retry = start == Start::Retry;
        if let Some(folder) = settings.folder() {
            journal.names_below(&settings.named, folder);
        }
        let (known, way, leftovers) = (journal.resumed(), Way::Begin, None);
        let mut job = Job {
            journal,
            place,
            settings,
            known,
            existing,
            list,
            made,
            leftovers,
            way,
            is_torn: false,
            durability,
            end: End::Left,
        };
        let mut keys = vec![job.place.part_key()];
        if was_there {
            let moved_from = job.before().as_ref().and_then(Settings::folder);
            job.way = job.way_on(start, crowd, again)?;
            job.leftovers = match job.way {
                Way::Leave => return Ok(None),
                Way::Begin | Way::GoOn | Way::Reopen => Leftovers::beside(&path, keys, written),
                Way::Anew => {
                    keys.extend(moved_from.and_then(|folder| job.place.part_key_in(&folder)));
                    Some(Leftovers::of_none(keys, written))
                }
            };
        }
        Ok(Some(job))
    }
}

impl Job {
    /// Makes of the journal's job what it is to this run, which is sure to begin.
    ///
    /// # Errors
    /// The old job cannot be put aside.
    pub(crate) fn begin(&mut self) -> Result<(), Refused> {
        // What a killed run of it has left of bodies that nobody goes on with: while there is a journal whose job this is.
        self.leftovers.take().into_iter().for_each(|leftovers| leftovers.remove());
        match self.way {
            Way::Begin | Way::GoOn | Way::Leave => {}
            Way::Reopen => {
                self.journal.reopen_failed();
                if self.settings.is_retry {
                    self.journal.leave_open();
                }
            }
            Way::Anew => self.begin_anew()?,
        }
        if self.is_torn {
            return Ok(());
        }
        // What is refused for another list must not change what the job goes on with.
        if self.known.lines == 0 || self.known.is_finished {
            self.journal.note_settings(self.settings.to_json());
        } else if let Some(mut before) = self.before().filter(|_| self.settings.is_retry) {
            before.is_retry = true;
            self.journal.note_settings(before.to_json());
        }
        Ok(())
    }

    /// The settings of the last run.
    fn before(&self) -> Option<Settings> {
        Settings::of_json(self.journal.settings())
    }

    /// Decides what the journal's job is to this run.
    fn way_on(&mut self, start: Start, crowd: Crowd, again: Option<Again>) -> Result<Way, Refused> {
        let before = self.before();
        // Of a job that is over the journal tells by its lines whether it is this one.
        let is_met = |before: &Settings| before.is_met && !self.known.is_finished;
        let is_other =
            before.as_ref().is_some_and(|before| is_met(before) && !before.is_same_list(&self.settings));
        // A run that was killed before it had told the end has told nobody: what it fetched is not fetched again.
        let is_told = before.as_ref().is_none_or(|before| before.is_told);
        // Of a single URL that failed there is nothing to renew, but perhaps a part to go on with.
        let is_here = before.as_ref().is_none_or(|before| before.moved_to(&self.settings).is_none());
        let is_tried_again = crowd == Crowd::One && self.known.failed > 0 && is_here;
        let is_over = self.known.is_finished && is_told && !is_tried_again;
        let is_renewed = is_over && self.existing != Existing::Kept;
        match start {
            Start::Anew => return Ok(anew(again)),
            Start::Command if is_other || is_renewed => return Ok(anew(again)),
            Start::Command => {}
            // Also of a list that is read once.
            Start::Resume | Start::Retry => self.journal.hold_to_its_list(),
        }
        if let Some(complaint) = before.as_ref().and_then(|before| before.moved_to(&self.settings)) {
            return Err(complaint.into());
        }
        let at_most = if self.known.is_finished { u64::MAX } else { LOOKED_AT };
        let is_known = self.known.is_finished && before.as_ref().is_some_and(|before| self.begins_as(before));
        if let Some(mut again) = again.filter(|_| !is_known) {
            let is_finished = self.known.is_finished;
            match (start, same::compare(&self.journal, &mut *again, at_most)?) {
                (_, Same::Yes) => {}
                (_, Same::Torn) => self.is_torn = true,
                (Start::Command | Start::Anew, Same::Empty(_)) => return Ok(Way::Leave),
                (_, Same::No(why) | Same::Empty(why)) if !is_finished => {
                    return Err(self.unfinished(&why).into());
                }
                (Start::Command | Start::Anew, Same::No(_)) => return Ok(Way::Anew),
                (Start::Resume | Start::Retry, Same::No(why) | Same::Empty(why)) => {
                    return Err(self.other_list(&why).into());
                }
            }
        }
        Ok(match start {
            Start::Retry => Way::Reopen,
            // A single URL that failed is what the command is given again for.
            Start::Command if crowd == Crowd::One => Way::Reopen,
            Start::Command | Start::Anew | Start::Resume => Way::GoOn,
        })
    }

    /// Whether the bytes of the list tell that it begins as that of these settings did, which has settled.
    fn begins_as(&self, before: &Settings) -> bool {
        let (Some(list), Some(print)) = (&self.list, &before.print) else { return false };
        before.have_same_lines(&self.settings) && list.begins_with(print)
    }

    fn unfinished(&self, why: &str) -> Complaint {
        let name = &self.place.name;
        Complaint::new(format!("the journal of {name} is that of an unfinished job with another list: {why}"))
            .fix(OTHER_LIST)
    }

    fn other_list(&self, why: &str) -> Complaint {
        let name = &self.place.name;
        Complaint::new(format!("the list is not the one that the job in {name} had: {why}"))
            .fix("give the command itself for a new job with this list")
    }

    fn begin_anew(&mut self) -> Result<(), Refused> {
        if self.existing == Existing::Updated {
            self.journal.begin_anew()?;
        } else if self.place.kind == Kind::State {
            // Nobody looks for the history of what lives no longer than its job.
            self.journal.clone().remove()?;
            self.journal = Journal::open(&self.place.journal, self.durability)?;
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

    /// Whether a retry has left something for a run that goes on.
    pub(crate) fn leaves_open(&self) -> bool {
        self.settings.is_retry && self.journal.committed().open() > 0
    }

    /// Whether it is new, and holds nothing: then nothing of it stays.
    fn is_empty(&self) -> bool {
        self.way == Way::Begin && !self.has_lines()
    }

    /// Whether any line of its list was read.
    pub(crate) fn has_lines(&self) -> bool {
        self.journal.committed().lines > 0
    }

    /// How to go on, in words for a shell; `None` if it takes the same command. Of `failed` lines this run has told.
    pub(crate) fn resume(&self, failed: u64) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let all_failed = self.journal.committed().failed;
        // What may not be sent twice has failed for all runs but a retry, though this one tells that it was stopped.
        let is_over = self.journal.is_finished() && all_failed > 0;
        // What a retry has not come to has failed still.
        let is_retry = is_over || (self.settings.is_retry && all_failed > failed);
        let verb = if is_retry { "retry" } else { "resume" };
        match self.settings.stdin_readers() {
            [] => self.settings.go_on(verb, &self.place.name),
            // The same command does not try again what failed.
            [_] if is_retry => self.settings.go_on(verb, &self.place.name),
            _ => Some(format!("run the same command again with the same {}", self.settings.of_stdin())),
        }
    }

    /// How to try again what failed.
    pub(crate) fn retry(&self) -> Option<String> {
        self.settings.go_on("retry", &self.place.name)
    }

    /// Whether the list is the job's, and all of it had settled before this run, so that nothing could come too late.
    pub(crate) fn knew_all(&self, report: &JobReport) -> bool {
        let lines = self.known.lines;
        self.known.is_finished && lines > 0 && (report.inputs(), report.from_journal()) == (lines, lines)
    }

    /// Writes down what the run has come to, and waits until all of it is committed.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(crate) async fn settle(&mut self, exit: Exit) -> Result<(), Error> {
        if exit == Exit::Obtained && self.place.kind == Kind::State && self.existing != Existing::Updated {
            self.end = End::Removed;
            return self.journal.flush().await;
        }
        if self.existing == Existing::Updated {
            self.journal.forget_superseded();
        }
        if self.is_torn {
            return self.journal.flush().await;
        }
        self.settings.is_met = exit == Exit::Obtained;
        let settled = self.list.as_ref().filter(|_| self.journal.is_finished());
        self.settings.print = settled.and_then(ListFile::print);
        if self.settings.is_met {
            // What was asked for is there: what was begun beside it is not gone on with.
            self.journal.drop_parts();
        }
        self.end = End::Marked;
        match self.before() {
            _ if exit != Exit::Refused => self.journal.note_settings(self.settings.to_json()),
            // What was refused has changed nothing.
            Some(before) if self.settings.is_retry || self.known.is_finished => {
                self.end = End::Left;
                self.journal.note_settings(before.to_json());
            }
            _ => {}
        }
        self.journal.flush().await
    }

    /// Closes it, the last that is done: a run that is killed before is told once more by the next one. What is not
    /// needed any more is removed.
    ///
    /// # Errors
    /// The journal cannot be written, or not be removed.
    pub(crate) fn close(&mut self, told: Told) -> Result<(), Error> {
        if self.is_empty() {
            self.journal.clone().remove()?;
            remove_folders(&self.made);
            return Ok(());
        }
        match self.end {
            End::Removed => return self.journal.clone().remove(),
            End::Marked if told == Told::Yes && self.journal.is_finished() => {
                self.settings.is_told = true;
                self.journal.note_settings(self.settings.to_json());
            }
            End::Marked | End::Left => {}
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

/// A new job, if there is anything to be done.
fn anew(list: Option<Again>) -> Way {
    let holds_url = list.is_none_or(|mut list| same::holds_url(&mut *list));
    if holds_url { Way::Anew } else { Way::Leave }
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

/// A path as a shell takes it, and as no option.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.starts_with('-') { format!("./{text}") } else { text.into_owned() };
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@%~".contains(letter);
    if text.chars().any(|letter| letter.is_control() || letter == char::REPLACEMENT_CHARACTER) {
        return escaped(path.as_os_str().as_encoded_bytes());
    }
    match text.is_empty() || text.starts_with('~') || !text.chars().all(is_plain) {
        true => format!("'{}'", text.replace('\'', r"'\''")),
        false => text,
    }
}

/// As `$'...'`: what would change a terminal is written in digits.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from(if bytes.starts_with(b"-") { "$'./" } else { "$'" });
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_a_shell_takes_them() {
        for (name, written) in [
            ("out", "out"),
            ("-dash", "./-dash"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("~", "'~'"),
            ("", "''"),
            ("red\u{1b}[31m's", r"$'red\033[31m\'s'"),
            ("-\n", r"$'./-\012'"),
        ] {
            assert_eq!(quoted(Path::new(name)), written);
        }
    }
}
