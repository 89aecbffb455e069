//! Tests of files as a sink.

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
    let path = put(&files, 0, request("http://h/").save_as("../../a/../b"), b"x").expect("it is made safe");
    assert_eq!(path, scratch.join("out/put/_/_/a/_/b"));
    assert_eq!(scratch.names(), ["out"]);
}

#[test]
fn clashes_are_numbered_in_input_order_whatever_ends_first() {
    let scratch = Scratch::new();
    let files = Files::in_directory(scratch.path());
    let mut requests: Vec<Request> = (0..4).map(|host| request(&format!("http://h{host}/A.txt"))).collect();
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
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
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
    assert_eq!(put(&files, 2, request("http://h/x"), b"3").expect("it is numbered"), scratch.join("one.2"));
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
            assert_eq!(result.is_ok(), matches!(rule, IfExists::Rename | IfExists::Overwrite), "{rule:?}");
            assert_eq!(fs::read(&outside).ok(), Some(b"safe".to_vec()), "{rule:?}");
        }
        put(&Files::at([scratch.join("out/a")]), 0, request("http://h/a"), b"new").expect("it is replaced");
        assert_eq!(fs::read(&outside).ok(), Some(b"safe".to_vec()));
    }

    #[test]
    fn a_symbolic_link_in_a_parent_or_swapped_in_between_is_not_followed() {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.join("out")).expect("a folder can be made");
        fs::create_dir_all(scratch.join("outside")).expect("a folder can be made");
        symlink(scratch.join("outside"), scratch.join("out/sub")).expect("a link can be made");
        let files = Files::in_directory(scratch.join("out"));
        assert_eq!(refusal(put(&files, 0, request("http://h/").save_as("sub/x"), b"x")), ErrorKind::BadPlace);
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
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
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
        let rights = |name: &str| fs::metadata(scratch.join(name)).expect("it is there").permissions().mode();
        assert_eq!((rights("small"), rights("large")), (rights("usual"), rights("usual")));
    }
}
