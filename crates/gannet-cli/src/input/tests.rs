//! Hostile bytes into each format: an entry or an error, never a panic, never without an end; and what becomes of an
//! entry's values.

use super::entry::{Entry, Found};
use super::*;

fn reading() -> Reading {
    let base = gannet::Request::new("http://base/").expect("a URL");
    let base = base.header(http::header::ACCEPT, http::HeaderValue::from_static("a/b"));
    let maker = Maker { base, query: None, names: Names::Given };
    Reading { format: None, url_column: None, maker, warn: Arc::new(|_| {}), slips: None }
}

const FORMATS: [Format; 4] = [Format::Jsonl, Format::Csv, Format::Aria2, Format::Metalink];

/// Pieces of all formats, so that chance comes further than the first byte.
const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "=",
    "#",
    "\\u0000",
    "\0",
    "\u{feff}",
    "http://h/",
    "ftp://h/",
    "\"url\":",
    "\"headers\":",
    "url,name\n",
    "out=../x",
    "header=A: b",
    "checksum=",
    "<metalink>",
    "</metalink>",
    "<file name=\"",
    "\">",
    "<url priority=\"1\">",
    "</url>",
    "</file>",
    "&amp;",
    "&x;",
    "<![CDATA[",
];

fn hostile(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = if random.bool() { b"<metalink><file name=\"a\">".to_vec() } else { Vec::new() };
    for _ in 0..random.usize(..60) {
        match random.u8(..8) {
            0 => bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(5)),
            _ => bytes.extend_from_slice(PIECES[random.usize(..PIECES.len())].as_bytes()),
        }
    }
    bytes
}

#[test]
fn random_bytes_give_entries_or_errors_and_an_end_in_each_format() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..3000 {
        let bytes = hostile(&mut random);
        for format in FORMATS {
            let mut entries = stream::entries(format, &bytes[..], &reading());
            let mut count = 0;
            while let Some(Found { entry, .. }) = entries.next().expect("memory can be read") {
                count += 1;
                assert!(count <= bytes.len() + 1, "seed {seed}: {format:?}: {}", bytes.escape_ascii());
                let _ = entry.and_then(|entry| reading().maker.request(entry));
            }
        }
    }
}

#[test]
fn random_bytes_behind_the_marks_of_packings_give_an_error_or_an_end() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for mark in [
        b"\x1f\x8b".as_slice(),
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd\x24",
    ] {
        for _ in 0..500 {
            let bytes: Vec<u8> =
                mark.iter().copied().chain(std::iter::repeat_with(|| random.u8(..)).take(64)).collect();
            if let Ok((mut reader, _)) = bytes::unpacked(Box::new(Cursor::new(bytes))) {
                let _ = io::copy(&mut reader, &mut io::sink());
            }
        }
    }
}

fn packed_zst(plain: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; zstd_safe::compress_bound(plain.len())];
    let length = zstd_safe::compress(&mut packed[..], plain, 3).expect("it fits");
    packed.truncate(length);
    packed
}

#[test]
fn packed_lists_are_unpacked_member_by_member_and_a_cut_one_is_an_error() {
    use std::io::Write as _;
    let text = b"{\"url\":\"http://h/\"}\n".repeat(20_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&text).expect("memory takes all");
    let gzip = encoder.finish().expect("memory takes all");
    for packed in [gzip, packed_zst(&text)] {
        let twice = [packed.clone(), packed.clone()].concat();
        let (mut reader, begin) = bytes::unpacked(Box::new(Cursor::new(twice))).expect("it is whole");
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("it is whole");
        assert!(begin == Begin::Brace && read == [text.clone(), text.clone()].concat());
        let cut = packed[..packed.len() - 3].to_vec();
        let (mut reader, _) = bytes::unpacked(Box::new(Cursor::new(cut))).expect("its beginning is whole");
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
}

#[test]
fn frames_that_are_to_be_skipped_may_stand_before_and_between_those_of_a_list() {
    let frame = packed_zst(b"http://h/\n");
    for first in [0x50, 0x5f] {
        let skipped = [&[first][..], b"\x2a\x4d\x18\x03\0\0\0abc"].concat();
        let packed = [&skipped[..], &frame, &skipped, &frame].concat();
        let (mut reader, begin) = bytes::unpacked(Box::new(Cursor::new(packed))).expect("it is whole");
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("it is whole");
        assert!(begin == Begin::Other && read == "http://h/\nhttp://h/\n", "{first}: {read:?}");
    }
    for plain in ["P", "P*M", "P*MN", "_.example/x"] {
        let (mut reader, _) = bytes::unpacked(Box::new(Cursor::new(plain))).expect("it is whole");
        let mut read = String::new();
        reader.read_to_string(&mut read).expect("it is whole");
        assert_eq!(read, plain);
    }
}

#[test]
fn an_entrys_headers_stand_in_the_place_of_all_requests_and_beside_one_another() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![pair("accept", "c/d"), pair("X-A", "1"), pair("x-a", "2")];
    let entry = Entry { url: "h/a".to_owned(), headers, ..Entry::default() };
    let request = reading().maker.request(entry).expect("a good entry");
    let values = |name: &str| request.headers().get_all(name).iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        (values("accept"), values("x-a")),
        (
            vec!["c/d".parse().expect("a value")],
            vec!["1".parse().expect("a value"), "2".parse().expect("a value"),]
        )
    );
    assert_eq!(request.url(), "http://h/a");
}

#[test]
fn what_an_entry_cannot_mean_is_told_without_its_secrets() {
    let entry = || Entry { url: "http://me:s3cret@h/".to_owned(), ..Entry::default() };
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    for (entry, code) in [
        (Entry { headers: header("A", "s3cret\nx"), ..entry() }, "input.bad_entry"),
        (Entry { headers: header("A s3cret", "1"), ..entry() }, "input.bad_entry"),
        (Entry { digests: vec!["sha257:00".to_owned()], ..entry() }, "input.bad_entry"),
        (Entry { mirrors: vec!["ftp://me:s3cret@m/".to_owned()], ..entry() }, "input.bad_scheme"),
        (Entry { url: "http://me:s3cret@h/\0".to_owned(), ..entry() }, "input.not_text"),
        (Entry { url: "http://me:s3cret@[".to_owned(), ..entry() }, "input.bad_url"),
    ] {
        let refused = |request: gannet::Request| request.refusal().cloned();
        let made = reading().maker.request(entry).map(refused);
        let error = made.unwrap_or_else(Some).expect(code);
        assert_eq!(error.kind().code(), code);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn the_end_of_a_name_tells_the_format_whatever_it_is_packed_in() {
    for (name, format) in [
        ("a.jsonl", Some(Format::Jsonl)),
        ("dir.csv/a.NDJSON.gz", Some(Format::Jsonl)),
        ("a.csv.zst", Some(Format::Csv)),
        ("a.meta4", Some(Format::Metalink)),
        ("a.aria2", Some(Format::Aria2)),
        ("a.txt", None),
        ("csv", None),
        ("-", None),
    ] {
        assert_eq!(Format::of_name(name), format, "{name}");
    }
}
