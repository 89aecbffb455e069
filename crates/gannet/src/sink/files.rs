//! The sink that writes each body to a file of its own. Names are given at admission, in input order; a file gets
//! its name at its commit. Nothing here writes bytes.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use http::header::LAST_MODIFIED;

use super::directory::{Directory, Make, Met};
use super::final_name::{FinalName, Naming, Syncing};
use super::names::{self, Given};
use super::own_path::{full, is_device, own_name, placed};
use super::part_file::{PartFile, remove_left};
use super::part_key::{PartKey, is_of_part};
use super::rules::{CreateDirectory, IfExists, Letters, Times, admission};
use super::taken::Taken;
use super::template::NameTemplate;
use super::{Admission, Part, Sink, io_error};
use crate::error::{Error, ErrorKind};
use crate::outcome::ReplyHead;
use crate::path::below;
use crate::request::Request;

mod folders;

/// Writes each body to a file of its own.
///
/// A final name is only given to a whole body: it is written under a part name, which ends in `.part`, in the same
/// folder and renamed at its commit. Bodies up to 64 KiB are held in memory until then; larger ones are written on
/// blocking threads of the tokio runtime (on threads of their own where there is none), one block of 256 KiB at a
/// time. Files get the rights that the umask leaves of 0666. Nothing is synced to the disk, unless
/// [`sync_bodies`](Self::sync_bodies) asks for it.
///
/// # Cancel safety
/// Dropping a part removes its file. A block that a thread is writing at that moment may still be written, never
/// under a final name, and the file is removed after it.
#[derive(Debug)]
pub struct Files {
    places: Places,
    if_exists: IfExists,
    create_directory: CreateDirectory,
    template: Option<NameTemplate>,
    times: Times,
    syncing: Syncing,
    letters: Letters,
    part_key: PartKey,
    taken: Taken,
    given: Mutex<Given>,
}

#[derive(Debug)]
enum Places {
    Below(Root),
    At(Vec<PathBuf>),
    /// As each request says.
    Own,
}

/// The folder of the sink, opened once.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    opened: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    directory: Arc<Directory>,
    /// Asked only when something is to be written, so that a read-only folder in which all is there will do.
    is_writable: bool,
}

/// A folder and a name in it.
struct Located {
    directory: Arc<Directory>,
    name: OsString,
}

impl Files {
    /// Files below `directory`, which is made when the first request is admitted.
    ///
    /// A request's file is named by [`Request::save_as`], else by its URL (in the folder that [`Request::save_as`] names
    /// with a slash at its end): the last path segment, then the query
    /// behind an underscore, both percent-decoded; `index.html` for an empty segment. Names are made safe for every
    /// system: separators, control characters and marks that turn text round become `_`, as do leading dots and
    /// dashes; a name is at most 255 bytes. A name that an earlier request of this sink was given, in whatever
    /// case, gets the request's number before its extension: `name.17.ext`. No symbolic link below `directory` is
    /// followed. Existing files are skipped unless [`if_exists`](Self::if_exists) says otherwise.
    ///
    /// Costs 8 to 18 bytes of memory for each name given.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self::to(Places::Below(Root { path: directory.into(), opened: Mutex::new(None) }), IfExists::Skip)
    }

    /// The n-th request goes to the n-th path, whatever its [`Request::save_as`] says.
    ///
    /// The paths are the user's own and taken as they are. Devices and FIFOs, and paths below `/dev` and `/proc`,
    /// are written to as the body comes; a symbolic link elsewhere is replaced, not followed. Existing files are
    /// overwritten unless [`if_exists`](Self::if_exists) says otherwise. A path given twice is a clash, as below a
    /// directory, however it is spelled, but names that differ in case only are two; steps to a parent (`..`) and links apart, which are not looked through. The
    /// folders must exist unless [`create_directory`](Self::create_directory) says otherwise.
    pub fn at<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self::to(Places::At(paths.into_iter().map(Into::into).collect()), IfExists::Overwrite)
    }

    /// Each request goes to the path that its [`Request::save_as`] names; one that names none fails.
    ///
    /// The paths are the user's own, as with [`at`](Self::at).
    pub fn where_requests_say() -> Self {
        Self::to(Places::Own, IfExists::Overwrite)
    }

    fn to(places: Places, if_exists: IfExists) -> Self {
        let create_directory = match places {
            Places::Below(_) => CreateDirectory::WhenMissing,
            Places::At(_) | Places::Own => CreateDirectory::Never,
        };
        let letters = match places {
            Places::Below(_) => Letters::Folded,
            Places::At(_) | Places::Own => Letters::Exact,
        };
        let (template, taken, given) = (None, Taken::default(), Mutex::default());
        let (times, syncing) = (Times::Written, Syncing::Never);
        let part_key = PartKey::random();
        Self {
            places,
            if_exists,
            create_directory,
            template,
            times,
            syncing,
            letters,
            part_key,
            taken,
            given,
        }
    }

    /// Names files below the directory by `template`, unless [`Request::save_as`] names them. Folders in the names are
    /// made. Where one name is a folder of another, such as `a` and `a/b`, only one of the two can be written; the
    /// other fails with [`BadPlace`](ErrorKind::BadPlace). Without effect on files at given paths.
    #[must_use]
    pub fn names(mut self, template: NameTemplate) -> Self {
        self.template = Some(template);
        self
    }

    /// Gives each file the time of its reply's `Last-Modified` (RFC 9110, section 8.8.2) before it gets its name, if
    /// the reply has one that is a date and the file system takes it. Without effect on devices.
    #[must_use]
    pub fn keep_times(mut self) -> Self {
        self.times = Times::Servers;
        self
    }

    /// Syncs each body to the disk before it gets its name, on a blocking thread: what has a name is then whole after a
    /// power cut, too. Names themselves are not synced; a journal syncs those that it records
    /// ([`Durability::Power`](crate::Durability::Power)). Without effect on devices.
    #[must_use]
    pub fn sync_bodies(mut self) -> Self {
        self.syncing = Syncing::BeforeName;
        self
    }

    /// Keeps names below the directory apart that differ in case only, so that the second one is not numbered: for
    /// file systems that keep them apart, which is looked at by nobody. Paths of the user's own always are.
    #[must_use]
    pub fn exact_names(mut self) -> Self {
        self.letters = Letters::Exact;
        self
    }

    /// Names the part files by this key, so that whoever has it can tell those that a killed process has left from the
    /// files of others ([`PartKey::owns`]). By default the key is a random one, and nobody knows them.
    #[must_use]
    pub fn part_key(mut self, key: PartKey) -> Self {
        self.part_key = key;
        self
    }

    /// Files that no body may replace, such as the report of the job or its list; they need not be there yet. A
    /// request whose body would go there fails with [`Exists`](ErrorKind::Exists), whatever
    /// [`if_exists`](Self::if_exists) says, before anything is sent.
    ///
    /// Asks the file system now where their folders are.
    #[must_use]
    pub fn taken<P: AsRef<Path>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        paths.into_iter().for_each(|path| self.taken.add(path.as_ref()));
        self
    }

    /// The same for files that are told by their paths, such as [those of a journal](crate::Journal::files). Each request
    /// is asked about; the path is that of its file, below the directory of the sink or as the user gave it.
    #[must_use]
    pub fn taken_where(mut self, is_taken: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.taken.add_where(is_taken);
        self
    }

    /// What to do if a file exists; by default [`Skip`](IfExists::Skip) in a directory, and
    /// [`Overwrite`](IfExists::Overwrite) at given paths. A file that appears while its URL is being fetched is
    /// replaced under `Overwrite` and `Update` only; under `Skip` and `Fail` the request then fails with
    /// [`Exists`](ErrorKind::Exists).
    #[must_use]
    pub fn if_exists(mut self, rule: IfExists) -> Self {
        self.if_exists = rule;
        self
    }

    /// Whether folders are made: the directory of the sink, by default [`WhenMissing`](CreateDirectory::WhenMissing),
    /// or those of given paths, by default [`Never`](CreateDirectory::Never). Folders in names below the directory
    /// are always made.
    #[must_use]
    pub fn create_directory(mut self, rule: CreateDirectory) -> Self {
        self.create_directory = rule;
        self
    }

    /// What the rule says of what stands at the request's place.
    fn admit_at(&self, place: PathBuf, request: &mut Request) -> Result<Admission, Error> {
        request.place = Some(place.clone().into_boxed_path());
        let if_exists = self.rule_for(request);
        if self.is_written_directly(&place) {
            return Ok(Admission::Fetch);
        }
        let Some(Located { directory, name }) = self.locate(&place, Make::Never)? else {
            // Folders in its name are made in the sink's own.
            self.check_own_folder()?;
            return Ok(Admission::Fetch);
        };
        let path = directory.path_of(&name);
        if self.taken.has(&path) {
            let message = format!("{} is a file that the job itself reads or writes", path.display());
            return Err(io_error::without_cause(ErrorKind::Exists, message));
        }
        let met = directory.look(&name).map_err(|cause| io_error::of_path(&path, cause))?;
        let admission = admission(met, if_exists, path)?;
        if admission == Admission::Fetch {
            self.check_writable(&directory)?;
        }
        if if_exists == IfExists::Update && met == Met::File {
            return Ok(directory.there(&name).map_or(Admission::Fetch, Admission::Update));
        }
        Ok(admission)
    }

    /// The path for the request, which no earlier request of this sink was given.
    fn choose(&self, seq: u64, request: &Request) -> Result<PathBuf, Error> {
        let wanted = self.wanted(seq, request)?;
        if self.is_written_directly(&wanted) {
            return Ok(wanted);
        }
        Ok(locked(&self.given).give(wanted, seq, self.key()))
    }

    /// The path for the request if nobody else has it.
    fn wanted(&self, seq: u64, request: &Request) -> Result<PathBuf, Error> {
        let path = match &self.places {
            Places::Below(_) => return Ok(self.place_below(seq, request)),
            Places::At(paths) => {
                let index = usize::try_from(seq).unwrap_or(usize::MAX);
                paths.get(index).ok_or_else(|| io_error::no_path(seq, paths.len()))?
            }
            Places::Own => request.place().ok_or_else(io_error::no_place)?,
        };
        if !is_device(path) {
            own_name(path)?;
        }
        Ok(path.to_owned())
    }

    /// What two spellings of one place have in common.
    fn key(&self) -> names::Key {
        match (&self.places, self.letters) {
            (Places::Below(_), Letters::Folded) => names::folded,
            (Places::Below(_), Letters::Exact) => names::exact,
            (Places::At(_) | Places::Own, _) => |path, hasher| names::exact(&full(path), hasher),
        }
    }

    /// The place of a file that an earlier run has made. The file system is asked only if the folder is spelled in another
    /// way.
    fn place_of_file(&self, file: &Path) -> Option<PathBuf> {
        match &self.places {
            Places::Below(root) => match below(file, &root.path) {
                Some(place) => Some(place.to_owned()),
                None => self.below_root(file),
            },
            Places::At(_) | Places::Own => Some(file.to_owned()),
        }
    }

    /// The request's own place, or one by the template or by its URL, made safe. Gives the same for what it gave
    /// before.
    fn place_below(&self, seq: u64, request: &Request) -> PathBuf {
        match request.place() {
            Some(folder) if folder.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                names::below_or_here(folder).join(self.name_by_url(seq, request))
            }
            Some(place) => names::below(place),
            None => self.name_by_url(seq, request),
        }
    }

    fn name_by_url(&self, seq: u64, request: &Request) -> PathBuf {
        match &self.template {
            Some(template) => template.path(seq, request.id(), request.parsed_url()),
            None => PathBuf::from(names::of_url(request.parsed_url())),
        }
    }

    /// Where the body of an admitted request goes.
    fn place_of(&self, seq: u64, request: &Request) -> Result<PathBuf, Error> {
        match (&self.places, request.place()) {
            (Places::Below(_), _) => Ok(self.place_below(seq, request)),
            (Places::At(_) | Places::Own, Some(place)) => Ok(place.to_owned()),
            (Places::Own, None) => Err(io_error::no_place()),
            (Places::At(paths), None) => Err(io_error::no_path(seq, paths.len())),
        }
    }

    /// The place of a request whose body of an earlier run is not wanted any more: that body's own, whatever number its
    /// name has; else the one that was chosen.
    fn own_again(&self, request: &mut Request, chosen: PathBuf) -> PathBuf {
        let Some(outdated) = &mut request.outdated else { return chosen };
        let is_chosen = |own: &Path| match &self.places {
            // It may have been named from another folder.
            Places::Below(_) => own.ends_with(&chosen),
            Places::At(_) | Places::Own => placed(own) == placed(&chosen),
        };
        let find = |own: &Path| self.below_root(own).or_else(|| is_chosen(own).then(|| chosen.clone()));
        let found = outdated.file.take().and_then(|own| find(&own));
        outdated.file.clone_from(&found);
        found.iter().for_each(|own| locked(&self.given).take(own, self.key()));
        found.unwrap_or(chosen)
    }

    /// The place of a file that lies below the folder of the sink.
    fn below_root(&self, file: &Path) -> Option<PathBuf> {
        let Places::Below(root) = &self.places else { return None };
        let below = placed(file).strip_prefix(root.path.canonicalize().ok()?).ok()?.to_owned();
        // A name that is not of our making is somebody's.
        (names::below(&below) == below).then_some(below)
    }

    /// What is done with a file that stands in the place of an admitted request: one that the job has put there, and that
    /// is not wanted any more, is replaced.
    fn rule_for(&self, request: &Request) -> IfExists {
        match request.outdated_file() {
            Some(_) => IfExists::Overwrite,
            None => self.if_exists,
        }
    }

    /// The name that a body gets at its commit, `None` if its folder is not there and is not to be made.
    fn final_name(
        &self,
        place: &Path,
        make: Make,
        (last_modified, if_exists): (Option<&str>, IfExists),
    ) -> Result<Option<FinalName>, Error> {
        let Some(Located { directory, name }) = self.locate(place, make)? else { return Ok(None) };
        let rule = match if_exists {
            IfExists::Overwrite | IfExists::Update => Naming::Replace,
            IfExists::Skip | IfExists::Fail => Naming::Refuse,
            IfExists::Rename => Naming::NextFree,
        };
        let modified = match self.times {
            Times::Written => None,
            Times::Servers => last_modified.and_then(|text| httpdate::parse_http_date(text).ok()),
        };
        Ok(Some(FinalName {
            directory,
            name,
            rule,
            modified,
            syncing: self.syncing,
            part_key: self.part_key,
        }))
    }

    fn is_written_directly(&self, place: &Path) -> bool {
        !matches!(self.places, Places::Below(_)) && is_device(place)
    }

    fn reopen_in_place(
        &self,
        seq: u64,
        request: &Request,
        part: &crate::part::Part,
    ) -> Result<Option<Box<dyn Part>>, Error> {
        let place = self.place_of(seq, request)?;
        let Some(path) = part.on_disk.as_ref().map(|on_disk| &on_disk.path) else { return Ok(None) };
        let part_name = path.file_name().filter(|name| is_of_part(name));
        let (Some(part_name), false) = (part_name, self.is_written_directly(&place)) else { return Ok(None) };
        let modified = part.last_modified.as_deref();
        let Some(name) = self.final_name(&place, Make::Never, (modified, self.rule_for(request)))? else {
            return Ok(None);
        };
        let reopened = PartFile::reopened(name, part_name.to_owned(), part);
        let reopened = reopened.map_err(|cause| io_error::of_path(path, cause))?;
        Ok(reopened.map(|part| Box::new(part) as Box<dyn Part>))
    }
}

impl Sink for Files {
    fn admit(&self, seq: u64, request: &mut Request) -> Result<Admission, Error> {
        let place = self.choose(seq, request)?;
        let place = self.own_again(request, place);
        self.admit_at(place, request)
    }

    /// Below a directory it gets its number, as a name that is given twice does. Paths of the user's own are what they are.
    fn admit_beside(&self, seq: u64, request: &mut Request, again: u32) -> Option<Result<Admission, Error>> {
        let Places::Below(_) = &self.places else { return None };
        let taken = request.place()?;
        let label = if again == 0 { seq.to_string() } else { format!("{seq}-{again}") };
        let name = names::labelled(&taken.file_name()?.to_string_lossy(), &label);
        request.place = Some(taken.with_file_name(name).into_boxed_path());
        Some(self.choose(seq, request).and_then(|place| self.admit_at(place, request)))
    }

    /// Neither its name nor that of its file is given to others: the file may have got another one, as it was another URL's,
    /// or names were made in another way.
    fn known(&self, seq: u64, request: &mut Request, file: Option<&Path>) {
        let place = file.and_then(|file| self.place_of_file(file));
        // Its own may have been reserved for it.
        if !self.wanted(seq, request).is_ok_and(|wanted| Some(wanted) == place) {
            drop(self.choose(seq, request));
        }
        place.iter().for_each(|place| locked(&self.given).take(place, self.key()));
    }

    fn reserve(&self, file: &Path) {
        let place = self.place_of_file(file);
        place.iter().for_each(|place| locked(&self.given).take(place, self.key()));
    }

    fn begin(&self, seq: u64, request: &Request, head: &ReplyHead) -> Result<Box<dyn Part>, Error> {
        let place = self.place_of(seq, request)?;
        if self.is_written_directly(&place) {
            return Ok(Box::new(PartFile::to_device(place)));
        }
        let modified = head.headers.get(LAST_MODIFIED).and_then(|field| field.to_str().ok());
        let name = self.final_name(&place, Make::IfMissing, (modified, self.rule_for(request)))?;
        let name = name.ok_or_else(|| io_error::no_folder(&place, io::ErrorKind::NotFound.into()))?;
        Ok(Box::new(PartFile::to_file(name)))
    }

    fn reopen(
        &self,
        seq: u64,
        request: &Request,
        part: &crate::part::Part,
    ) -> Result<Option<Box<dyn Part>>, Error> {
        let reopened = self.reopen_in_place(seq, request, part);
        if !matches!(reopened, Ok(Some(_))) {
            // It may lie where this body no longer goes, or be one that cannot be opened.
            part.on_disk.iter().for_each(|left| remove_left(&left.path));
        }
        reopened
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics while it holds a lock of this sink")
}

#[cfg(test)]
mod tests;
