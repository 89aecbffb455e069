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
use crate::below::below;
use crate::error::{Error, ErrorKind};
use crate::outcome::ReplyHead;
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
mod tests {
    use std::fs;

    use bytes::Bytes;
    use futures::executor::block_on;
    use futures::future::poll_fn;

    use super::*;
    use crate::sink::conformance;
    use crate::sink::scratch::Scratch;

    fn request(url: &str) -> Request {
        Request::new(url).expect("a good URL")
    }

    fn begin(files: &Files, seq: u64, request: &Request) -> Result<Box<dyn Part>, Error> {
        let head = ReplyHead {
            status: http::StatusCode::OK,
            version: http::Version::HTTP_11,
            headers: http::HeaderMap::new(),
            url: request.url().into(),
            is_decoded: false,
        };
        files.begin(seq, request, &head)
    }

    async fn fill(part: &mut dyn Part, body: &[u8]) -> Result<(), Error> {
        for chunk in body.chunks(16 << 10) {
            poll_fn(|context| part.poll_ready(context)).await?;
            part.write(Bytes::copy_from_slice(chunk))?;
        }
        poll_fn(|context| part.poll_flush(context)).await
    }

    /// Admits, writes and commits; gives the path, or the path that was skipped.
    fn put(files: &Files, seq: u64, mut request: Request, body: &[u8]) -> Result<PathBuf, Error> {
        if let Admission::Skip(path) = files.admit(seq, &mut request)? {
            return Ok(path);
        }
        let mut part = begin(files, seq, &request)?;
        block_on(fill(part.as_mut(), body))?;
        Ok(part.commit()?.path.expect("a file has a path"))
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
        let error = result.expect_err("it was to be refused");
        assert!(!error.message().is_empty() && error.phase() == crate::Phase::Sink);
        error.kind()
    }

    #[test]
    fn files_keep_every_promise_with_a_runtime_and_without() {
        let check = |mode: fn(Files) -> Files| {
            conformance::all(|| {
                let scratch = Scratch::new();
                let files = mode(Files::in_directory(scratch.path()));
                let kept = move |_: u64, receipt: Option<&crate::Receipt>| match receipt {
                    Some(receipt) => fs::read(receipt.path.as_ref()?).ok(),
                    None => {
                        // A block may be on its way still; its file goes after it.
                        while scratch.names().iter().any(|name| name.ends_with(".part")) {
                            std::thread::yield_now();
                        }
                        (!scratch.names().is_empty()).then(Vec::new)
                    }
                };
                (files, kept)
            });
        };
        let named = |files: Files| files.names(template("{hash}-{seq:05}.{ext}")).keep_times();
        check(|files| files);
        check(named);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        let _inside = runtime.enter();
        check(|files| files);
        check(named);
    }

    fn template(text: &str) -> NameTemplate {
        NameTemplate::parse(text).expect("a good template")
    }

    #[test]
    fn names_by_a_template_are_numbered_when_they_clash_and_their_folders_are_made() {
        let scratch = Scratch::new();
        let files = Files::in_directory(scratch.path()).names(template("{host}/{path}"));
        for (seq, (url, wanted)) in (0..).zip([
            ("http://h/a/x.txt", "h/a/x.txt"),
            ("http://h/A/x.txt", "h/A/x.1.txt"),
            ("http://h/a/x.txt?q", "h/a/x.2.txt"),
            ("http://h/a/", "h/a/index.html"),
            ("http://h/%2e%2e%2f%2e%2e%2fx", "h/_._.._x"),
        ]) {
            let path = put(&files, seq, request(url), b"x").expect("it is written");
            assert_eq!(path, scratch.join(wanted), "{url}");
        }
        let own = put(&files, 9, request("http://h/a/x.txt").save_as("own"), b"x");
        assert_eq!(own.expect("its own name goes first"), scratch.join("own"));
        assert_eq!(refusal(put(&files, 10, request("http://h/a"), b"x")), ErrorKind::BadPlace);
        let by_id = Files::in_directory(scratch.path()).names(template("{id}"));
        let path = put(&by_id, 0, request("http://h/").identified("../7"), b"x").expect("it is written");
        assert_eq!(path, scratch.join("_._7"));
    }

    #[test]
    fn a_file_keeps_the_time_of_its_reply_if_that_is_one_and_is_asked_for() {
        let scratch = Scratch::new();
        let time = |files: Files, text: &'static str, body: &[u8]| {
            let mut asked = request("http://h/x");
            let files = files.if_exists(IfExists::Overwrite);
            files.admit(0, &mut asked).expect("there is room");
            let mut head = ReplyHead {
                status: http::StatusCode::OK,
                version: http::Version::HTTP_11,
                headers: http::HeaderMap::new(),
                url: asked.url().into(),
                is_decoded: false,
            };
            head.headers.insert("last-modified", http::HeaderValue::from_static(text));
            let mut part = files.begin(0, &asked, &head).expect("it begins");
            block_on(fill(part.as_mut(), body)).expect("it is written");
            part.commit().expect("it is named");
            fs::metadata(scratch.join("x")).and_then(|met| met.modified()).expect("it is there")
        };
        let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let below = || Files::in_directory(scratch.path());
        assert_eq!(time(below().keep_times(), date, b"small"), then);
        assert_eq!(time(below().keep_times(), date, &[7; 900_000]), then);
        assert_eq!(time(Files::at([scratch.join("x")]).keep_times(), date, b"x"), then);
        assert!(time(below(), date, b"x") > then);
        for nonsense in ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert!(time(below().keep_times(), nonsense, b"x") > then, "{nonsense}");
        }
    }

    #[test]
    fn the_folders_of_given_paths_are_made_only_when_asked_and_only_with_a_body() {
        let scratch = Scratch::new();
        let path = || [scratch.join("a/b/c.txt"), scratch.join("a/d.txt")];
        assert_eq!(refusal(Files::at(path()).admit(0, &mut request("http://h/"))), ErrorKind::BadPlace);
        let files = Files::at(path()).create_directory(CreateDirectory::WhenMissing);
        let mut first = request("http://h/");
        assert_eq!(files.admit(0, &mut first).expect("it will be made"), Admission::Fetch);
        assert_eq!(scratch.names(), Vec::<String>::new());
        assert_eq!(put(&files, 1, request("http://h/"), b"d").expect("it is made"), scratch.join("a/d.txt"));
        let mut part = begin(&files, 0, &first).expect("it begins");
        block_on(fill(part.as_mut(), b"c")).expect("it is written");
        part.commit().expect("it is named");
        assert_eq!(fs::read(scratch.join("a/b/c.txt")).ok(), Some(b"c".to_vec()));
        let through = Files::at([scratch.join("a/d.txt/x")]).create_directory(CreateDirectory::WhenMissing);
        assert_eq!(refusal(through.admit(0, &mut request("http://h/"))), ErrorKind::BadPlace);
    }

    #[test]
    fn requests_for_one_place_get_a_file_each_and_their_bytes_never_mix() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("d")).expect("a folder can be made");
        let below = Files::in_directory(scratch.join("d"));
        let spelled = ["same", "./same", "SAME"];
        let paths = ["d/at", "d/./at", "d//at"].map(|path| scratch.join(path));
        for (files, places) in [(below, spelled.map(PathBuf::from)), (Files::at(paths.clone()), paths)] {
            let mut requests = places.map(|place| request("http://h/").save_as(place));
            for (seq, request) in (0..).zip(&mut requests) {
                files.admit(seq, request).expect("there is room");
            }
            let mut parts: Vec<_> = (0..)
                .zip(&requests)
                .map(|(seq, request)| begin(&files, seq, request).expect("it begins"))
                .collect();
            for _ in 0..3 {
                for (byte, part) in (0..3_u8).zip(&mut parts) {
                    block_on(fill(part.as_mut(), &[byte; 300_000])).expect("it is written");
                }
            }
            for (byte, part) in (0..3_u8).zip(parts).rev() {
                let path = part.commit().expect("it is named").path.expect("a file has a path");
                assert!(fs::read(&path).ok() == Some(vec![byte; 900_000]), "{}", path.display());
            }
        }
        let names: Vec<_> = fs::read_dir(scratch.join("d")).expect("it is there").collect();
        assert_eq!(names.len(), 6, "{names:?}");
    }

    #[test]
    fn the_folder_is_made_at_the_first_admission_unless_told_otherwise() {
        let scratch = Scratch::new();
        let never = Files::in_directory(scratch.join("a/b")).create_directory(CreateDirectory::Never);
        assert_eq!(refusal(put(&never, 0, request("http://h/x"), b"x")), ErrorKind::BadPlace);
        assert_eq!(scratch.names(), Vec::<String>::new());
        let path = put(&Files::in_directory(scratch.join("a/b")), 0, request("http://h/x"), b"x");
        assert_eq!(path.expect("it is made"), scratch.join("a/b/x"));
    }

    #[test]
    fn a_hostile_url_stays_below_the_folder() {
        let scratch = Scratch::new();
        let files = Files::in_directory(scratch.join("out"));
        for (seq, url) in (0..).zip([
            "http://h/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "http://h/..%5c..%5cx",
            "http://h/%00",
            "http://h/-rf",
            "http://h/CON",
            "http://h/a%0ab",
            "http://h/%2Fetc%2Fpasswd",
            "http://h/%E2%80%AEgpj.exe",
            &format!("http://h/{}", "x".repeat(300)),
        ]) {
            let path = put(&files, seq, request(url), b"x").expect("a hostile name is made safe");
            assert_eq!(path.parent(), Some(scratch.join("out").as_path()), "{url}");
            assert!(path.is_file(), "{url}");
        }
        let files = Files::in_directory(scratch.join("out/put"));
        let path =
            put(&files, 0, request("http://h/").save_as("../../a/../b"), b"x").expect("it is made safe");
        assert_eq!(path, scratch.join("out/put/_/_/a/_/b"));
        assert_eq!(scratch.names(), ["out"]);
    }

    #[test]
    fn clashes_are_numbered_in_input_order_whatever_ends_first() {
        let scratch = Scratch::new();
        let files = Files::in_directory(scratch.path());
        let mut requests: Vec<Request> =
            (0..4).map(|host| request(&format!("http://h{host}/A.txt"))).collect();
        requests[2] = request("http://h2/a.TXT");
        for (seq, request) in (0..).zip(&mut requests) {
            files.admit(seq, request).expect("there is room");
        }
        for seq in [3_usize, 1, 0, 2] {
            let mut part = begin(&files, seq as u64, &requests[seq]).expect("it begins");
            block_on(fill(part.as_mut(), seq.to_string().as_bytes())).expect("it is written");
            part.commit().expect("it is named");
        }
        assert_eq!(scratch.names(), ["A.1.txt", "A.3.txt", "A.txt", "a.2.TXT"]);
        assert_eq!(fs::read(scratch.join("A.txt")).ok(), Some(b"0".to_vec()));
        assert_eq!(fs::read(scratch.join("A.3.txt")).ok(), Some(b"3".to_vec()));
    }

    #[test]
    fn an_existing_file_is_treated_by_the_rule() {
        let scratch = Scratch::new();
        let with = |rule, body: &[u8]| {
            put(&Files::in_directory(scratch.path()).if_exists(rule), 0, request("http://h/a.b"), body)
        };
        fs::write(scratch.join("a.b"), "old").expect("a file can be written");
        assert_eq!(with(IfExists::Skip, b"new").expect("it is skipped"), scratch.join("a.b"));
        assert_eq!(refusal(with(IfExists::Fail, b"new")), ErrorKind::Exists);
        assert_eq!(with(IfExists::Rename, b"1").expect("it is numbered"), scratch.join("a.1.b"));
        assert_eq!(with(IfExists::Rename, b"2").expect("it is numbered"), scratch.join("a.2.b"));
        assert_eq!(fs::read(scratch.join("a.b")).ok(), Some(b"old".to_vec()));
        with(IfExists::Overwrite, b"new").expect("it is replaced");
        assert_eq!(fs::read(scratch.join("a.b")).ok(), Some(b"new".to_vec()));
        assert_eq!(scratch.names(), ["a.1.b", "a.2.b", "a.b"]);
    }

    #[test]
    fn a_file_that_appears_while_its_url_is_fetched_is_not_replaced() {
        let scratch = Scratch::new();
        let files = Files::in_directory(scratch.path());
        let mut request = request("http://h/a");
        files.admit(0, &mut request).expect("there is room");
        let mut part = begin(&files, 0, &request).expect("it begins");
        block_on(fill(part.as_mut(), &[1; 900_000])).expect("it is written");
        fs::write(scratch.join("a"), "mine").expect("a file can be written");
        assert_eq!(refusal(part.commit()), ErrorKind::Exists);
        assert_eq!(fs::read(scratch.join("a")).ok(), Some(b"mine".to_vec()));
        assert_eq!(scratch.names(), ["a"]);
    }

    /// What a part that is spared leaves.
    fn leave(files: &Files, mut request: Request) -> crate::part::Part {
        files.admit(0, &mut request).expect("there is room");
        let mut part = begin(files, 0, &request).expect("it begins");
        part.spare();
        block_on(fill(part.as_mut(), &[7; 900_000])).expect("it is written");
        let (good, on_disk) = part.on_disk().expect("it lies on the disk");
        let on_disk = Some(on_disk.clone());
        assert!(good > 0 && on_disk.as_ref().is_some_and(|left| left.path.is_absolute()));
        crate::part::Part { good, on_disk, ..crate::part::Part::new(request.url()) }
    }

    #[test]
    fn parts_bear_the_key_of_their_sink() {
        let (scratch, key) = (Scratch::new(), PartKey::random());
        for (files, is_known) in [
            (Files::in_directory(scratch.path()).part_key(key), true),
            (Files::at([scratch.join("x")]).part_key(key), true),
            (Files::in_directory(scratch.path()), false),
        ] {
            leave(&files, request("http://h/x"));
            let names = scratch.names();
            assert_eq!((names.len(), key.owns(names[0].as_ref())), (1, is_known), "{names:?}");
            fs::remove_file(scratch.join(&names[0])).expect("it is there");
        }
    }

    #[test]
    fn what_was_left_goes_if_its_body_goes_elsewhere_or_it_cannot_be_opened() {
        let scratch = Scratch::new();
        let files = || Files::in_directory(scratch.path());
        fs::write(scratch.join("file"), "").expect("a file can be written");
        for (elsewhere, place, opens) in [
            (files(), "same", true),
            (files(), "other", true),
            (files(), "d/x", false),
            (Files::in_directory(scratch.join("file")), "x", false),
            (Files::at([scratch.join("e/x")]), "x", false),
            (Files::at(["/dev/null"]), "x", false),
        ] {
            let left = leave(&files(), request("http://h/same"));
            let reopened = elsewhere.reopen(0, &request("http://h/").save_as(place), &left);
            assert_eq!(matches!(reopened, Ok(Some(_))), opens, "{place}");
            reopened.into_iter().flatten().for_each(Part::discard);
            assert_eq!(scratch.names(), ["file"], "{place}");
        }
        // What is no part is nobody's to remove.
        let mut other = leave(&files(), request("http://h/same"));
        let on_disk = other.on_disk.as_mut().expect("it lies on the disk");
        fs::remove_file(&on_disk.path).expect("it is there");
        on_disk.path = scratch.join("file");
        assert!(matches!(files().reopen(0, &request("http://h/").save_as("d/x"), &other), Ok(None)));
        assert_eq!(scratch.names(), ["file"]);
    }

    #[test]
    fn a_drop_amid_a_large_write_leaves_nothing() {
        for length in [1, 300_000, 3_000_000] {
            let runtime =
                tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
            let scratch = Scratch::new();
            let files = Files::in_directory(scratch.path());
            let mut part = begin(&files, 0, &request("http://h/a")).expect("it begins");
            runtime.block_on(async {
                let _ = futures::poll!(std::pin::pin!(fill(part.as_mut(), &vec![7; length])));
                drop(part);
            });
            // The runtime's end waits for the block that a thread is writing still.
            drop(runtime);
            assert_eq!(scratch.names(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_runtime_that_ends_amid_a_write_breaks_the_body_and_leaves_nothing() {
        let scratch = Scratch::new();
        let files = Files::in_directory(scratch.path());
        let mut part = begin(&files, 0, &request("http://h/a")).expect("it begins");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        let handle = runtime.handle().clone();
        drop(runtime);
        let _inside = handle.enter();
        assert_eq!(refusal(block_on(fill(part.as_mut(), &[7; 900_000]))), ErrorKind::SinkFailed);
        assert_eq!(scratch.names(), Vec::<String>::new());
    }

    #[test]
    fn random_bodies_are_whole_under_their_names_and_dropped_ones_are_not_there() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let scratch = Scratch::new();
        let files = Files::in_directory(scratch.path());
        for seq in 0..40 {
            let mut body = vec![0; random.usize(..600_000)];
            random.fill(&mut body);
            let name = seq.to_string();
            let mut part = begin(&files, seq, &request("http://h/").save_as(&name)).expect("it begins");
            block_on(fill(part.as_mut(), &body)).expect("it is written");
            if random.bool() {
                part.commit().expect("it is named");
                assert!(fs::read(scratch.join(&name)).ok() == Some(body), "seed {seed}");
            } else {
                drop(part);
                assert!(!scratch.join(&name).exists(), "seed {seed}");
            }
        }
        assert!(!scratch.names().iter().any(|name| name.ends_with(".part")), "seed {seed}");
    }

    #[test]
    fn a_folder_or_a_file_in_the_way_is_refused_before_anything_is_sent() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("a")).expect("a folder can be made");
        fs::write(scratch.join("b"), "").expect("a file can be written");
        let below = Files::in_directory(scratch.path());
        assert_eq!(refusal(below.admit(0, &mut request("http://h/a"))), ErrorKind::BadPlace);
        assert_eq!(refusal(below.admit(1, &mut request("http://h/").save_as("b/c"))), ErrorKind::BadPlace);
        let in_file = Files::in_directory(scratch.join("b"));
        assert_eq!(refusal(in_file.admit(0, &mut request("http://h/x"))), ErrorKind::BadPlace);
        let paths =
            [scratch.join("a"), scratch.join("none/x"), scratch.join("a/"), scratch.join("b/x"), "".into()];
        let at = Files::at(paths);
        for (seq, kind) in (0..).zip([
            ErrorKind::BadPlace,
            ErrorKind::BadPlace,
            ErrorKind::BadPlace,
            ErrorKind::BadPlace,
            ErrorKind::BadName,
            ErrorKind::BadName,
        ]) {
            assert_eq!(refusal(at.admit(seq, &mut request("http://h/x"))), kind, "path {seq}");
        }
        let error = at.admit(1, &mut request("http://h/x")).expect_err("the folder is missing");
        assert!(error.message().ends_with("none does not exist"), "{error}");
    }

    #[test]
    fn the_nth_request_goes_to_the_nth_path_and_replaces_what_is_there() {
        let scratch = Scratch::new();
        fs::write(scratch.join("one"), "old").expect("a file can be written");
        let files = Files::at([scratch.join("one"), scratch.join(".two"), scratch.join("one")]);
        put(&files, 1, request("http://h/x"), b"2").expect("it is written");
        put(&files, 0, request("http://h/x"), b"1").expect("it is written");
        assert_eq!(
            put(&files, 2, request("http://h/x"), b"3").expect("it is numbered"),
            scratch.join("one.2")
        );
        assert_eq!(scratch.names(), [".two", "one", "one.2"]);
        assert_eq!(fs::read(scratch.join("one")).ok(), Some(b"1".to_vec()));
    }

    #[cfg(unix)]
    mod on_unix {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

        use super::*;

        fn make_fifo(path: &Path) {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .expect("a FIFO can be made");
        }

        #[test]
        fn a_symbolic_link_at_the_target_is_not_followed() {
            let scratch = Scratch::new();
            let outside = scratch.join("outside");
            fs::write(&outside, "safe").expect("a file can be written");
            fs::create_dir(scratch.join("out")).expect("a folder can be made");
            for rule in [IfExists::Skip, IfExists::Fail, IfExists::Rename, IfExists::Overwrite] {
                let _ = fs::remove_file(scratch.join("out/a"));
                symlink(&outside, scratch.join("out/a")).expect("a link can be made");
                let files = Files::in_directory(scratch.join("out")).if_exists(rule);
                let result = put(&files, 0, request("http://h/a"), b"new");
                assert_eq!(
                    result.is_ok(),
                    matches!(rule, IfExists::Rename | IfExists::Overwrite),
                    "{rule:?}"
                );
                assert_eq!(fs::read(&outside).ok(), Some(b"safe".to_vec()), "{rule:?}");
            }
            put(&Files::at([scratch.join("out/a")]), 0, request("http://h/a"), b"new")
                .expect("it is replaced");
            assert_eq!(fs::read(&outside).ok(), Some(b"safe".to_vec()));
        }

        #[test]
        fn a_symbolic_link_in_a_parent_or_swapped_in_between_is_not_followed() {
            let scratch = Scratch::new();
            fs::create_dir_all(scratch.join("out")).expect("a folder can be made");
            fs::create_dir_all(scratch.join("outside")).expect("a folder can be made");
            symlink(scratch.join("outside"), scratch.join("out/sub")).expect("a link can be made");
            let files = Files::in_directory(scratch.join("out"));
            assert_eq!(
                refusal(put(&files, 0, request("http://h/").save_as("sub/x"), b"x")),
                ErrorKind::BadPlace
            );
            let mut later = request("http://h/").save_as("new/x");
            files.admit(1, &mut later).expect("nothing is in the way yet");
            let mut part = begin(&files, 1, &later).expect("it begins");
            fs::remove_dir(scratch.join("out/new")).expect("it is empty still");
            symlink(scratch.join("outside"), scratch.join("out/new")).expect("a link can be made");
            block_on(fill(part.as_mut(), b"x")).expect("it is held");
            assert!(part.commit().is_err(), "its folder has gone");
            assert_eq!(fs::read_dir(scratch.join("outside")).expect("it is there").count(), 0);
        }

        #[test]
        fn a_fifo_is_refused_below_a_folder_and_written_to_at_a_path_of_the_user() {
            let scratch = Scratch::new();
            let fifo = scratch.join("fifo");
            make_fifo(&fifo);
            for rule in [IfExists::Skip, IfExists::Overwrite] {
                let below = Files::in_directory(scratch.path()).if_exists(rule);
                assert_eq!(refusal(below.admit(0, &mut request("http://h/fifo"))), ErrorKind::BadPlace);
            }
            let reader = std::thread::spawn({
                let fifo = fifo.clone();
                move || fs::read(fifo)
            });
            let body: Vec<u8> = (0..700_000_u32).map(|number| number as u8).collect();
            put(&Files::at([&fifo]), 0, request("http://h/x"), &body).expect("it is written");
            let read = reader.join().expect("no panic").expect("it can be read");
            assert!(read == body, "other bytes came through");
            assert!(fs::symlink_metadata(&fifo).expect("it stands").file_type().is_fifo());
        }

        #[test]
        fn a_body_for_a_fifo_without_a_reader_can_be_dropped() {
            let scratch = Scratch::new();
            let fifo = scratch.join("fifo");
            make_fifo(&fifo);
            let files = Files::at([&fifo]);
            let mut asked = request("http://h/x");
            files.admit(0, &mut asked).expect("a FIFO is let be");
            let mut part = begin(&files, 0, &asked).expect("it begins");
            assert!(part.restartable());
            let runtime =
                tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
            runtime.block_on(async {
                let filling = std::pin::pin!(fill(part.as_mut(), b"x"));
                assert!(futures::poll!(filling).is_pending());
            });
            assert!(!part.restartable());
            drop((part, runtime));
        }

        #[test]
        fn a_full_device_says_that_the_disk_is_full() {
            let files = Files::at(["/dev/full"]);
            assert_eq!(refusal(put(&files, 0, request("http://h/x"), b"x")), ErrorKind::DiskFull);
            put(&Files::at(["/dev/null"]), 0, request("http://h/x"), b"x").expect("it takes all");
            let null = fs::metadata("/dev/null").expect("it stands").file_type();
            assert!(null.is_char_device(), "a device was replaced by a file");
        }

        #[test]
        fn a_new_file_has_the_rights_that_the_umask_leaves() {
            let scratch = Scratch::new();
            fs::write(scratch.join("usual"), "").expect("a file can be written");
            let files = Files::in_directory(scratch.path());
            put(&files, 0, request("http://h/small"), b"x").expect("it is written");
            put(&files, 1, request("http://h/large"), &[0; 600_000]).expect("it is written");
            let rights =
                |name: &str| fs::metadata(scratch.join(name)).expect("it is there").permissions().mode();
            assert_eq!((rights("small"), rights("large")), (rights("usual"), rights("usual")));
        }
    }
}
