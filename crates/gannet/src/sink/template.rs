//! The template of file names: text with fields in braces. Pure text: nothing here looks at a disk.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::names;
use crate::error::{Error, ErrorKind, Phase};

/// How files are named, such as `{host}/{path}` or `{shard}/{seq:09}.{ext}`.
///
/// | field | stands for |
/// |---|---|
/// | `{host}` | the URL's host, with an underscore and the port if that is not the scheme's own |
/// | `{path}` | the URL's path, percent-decoded, with its slashes as folders, at most 64; an empty last segment is `index.html` |
/// | `{base}` | the last segment of that path, percent-decoded, without the query; `index.html` for none |
/// | `{stem}`, `{ext}` | `{base}` before and behind its last dot; without a dot, or with none but the first byte, all of it and nothing |
/// | `{seq}`, `{seq:09}` | the request's number in the input, from 0; padded with zeros to nine digits |
/// | `{shard}`, `{shard:05}` | `{seq}` divided by 10,000, rounded down; padded with zeros to five digits |
/// | `{id}` | the input's own id ([`Request::identified`](crate::Request::identified)); its number where it has none |
/// | `{hash}` | 16 hex digits of the URL: the 64-bit FNV-1a hash of its text, without userinfo and fragment |
///
/// `{{` and `}}` are braces themselves. `{stem}.{ext}` of a name without an extension ends in no dot. A slash of the
/// template, and those of `{path}`, part folders, which are made; a slash in any other field, or encoded in the path, becomes `_`. Each part
/// is made safe as [`Files::in_directory`](super::Files::in_directory) says, so that nothing leads out of the
/// directory. The fragment of a URL is in no field, its query in `{hash}` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Host,
    Path,
    Base,
    Stem,
    Ext,
    /// Padded to so many digits.
    Seq(usize),
    /// Padded to so many digits.
    Shard(usize),
    Id,
    Hash,
}

/// Requests in one shard, of which each is to be a folder that file systems handle well.
const SHARD: u64 = 10_000;

/// Folders that the path of a URL makes.
const DEEPEST: usize = 64;

/// The most digits a number is padded to.
const WIDEST: usize = 20;

const FIELDS: &str = "{host} {path} {base} {stem} {ext} {seq:09} {shard:05} {id} {hash}";

impl NameTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`BadName`](ErrorKind::BadName), naming what is wrong: an unknown field, one that takes no width, a brace
    /// without its other half, no field at all or an empty template.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(bad(text, "a } stands alone; write }} for a brace"));
            }
            let Some((name, after)) = rest.split_once('}') else {
                return Err(bad(text, &format!("{{{rest} is not closed; write {{{{ for a brace")));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Field(field(name).map_err(|why| bad(text, &why))?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        match pieces.iter().any(|piece| matches!(piece, Piece::Field(_))) {
            true => Ok(Self(pieces)),
            false => Err(bad(
                text,
                &format!("it holds no field, so all files would have one name; fields: {FIELDS}"),
            )),
        }
    }

    /// The path below the directory for one request, made safe.
    pub(super) fn path(&self, seq: u64, id: Option<&str>, url: &Url) -> PathBuf {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Field(field) => field.put(&mut text, seq, id, url),
            }
        }
        names::below(text.as_ref())
    }
}

impl FromStr for NameTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

fn bad(template: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::BadName,
        Phase::Sink,
        format!("the name template \"{template}\" cannot be used: {why}"),
    )
}

fn field(text: &str) -> Result<Field, String> {
    let (name, width) = match text.split_once(':') {
        Some((name, width)) => (name, Some(width)),
        None => (text, None),
    };
    let field = match name {
        "host" => Field::Host,
        "path" => Field::Path,
        "base" => Field::Base,
        "stem" => Field::Stem,
        "ext" => Field::Ext,
        "seq" => Field::Seq(0),
        "shard" => Field::Shard(0),
        "id" => Field::Id,
        "hash" => Field::Hash,
        _ => return Err(format!("there is no field {{{text}}}; fields: {FIELDS}")),
    };
    let Some(width) = width else { return Ok(field) };
    let is_width = !width.is_empty() && width.bytes().all(|byte| byte.is_ascii_digit());
    let digits = width.parse().ok().filter(|digits| is_width && (1..=WIDEST).contains(digits));
    let digits = digits.ok_or_else(|| {
        format!("the width in {{{text}}} is no number from 1 to {WIDEST}, such as {{{name}:09}}")
    });
    match field {
        Field::Seq(_) => digits.map(Field::Seq),
        Field::Shard(_) => digits.map(Field::Shard),
        _ => Err(format!("{{{name}}} takes no width, as in {{{text}}}; {{seq}} and {{shard}} do")),
    }
}

impl Field {
    /// Writing to a string cannot fail, so its results are dropped.
    fn put(self, text: &mut String, seq: u64, id: Option<&str>, url: &Url) {
        match self {
            Self::Host => {
                text.push_str(&one_part(url.host_str().unwrap_or_default()));
                if let Some(port) = url.port() {
                    let _ = write!(text, "_{port}");
                }
            }
            Self::Path => put_path(text, url),
            Self::Base => text.push_str(&one_part(&base(url))),
            Self::Stem => text.push_str(&one_part(split(&base(url)).0)),
            Self::Ext => text.push_str(&one_part(split(&base(url)).1)),
            Self::Seq(width) => drop(write!(text, "{seq:0width$}")),
            Self::Shard(width) => drop(write!(text, "{:0width$}", seq / SHARD)),
            Self::Id => match id {
                Some(id) => text.push_str(&one_part(id)),
                None => drop(write!(text, "{seq}")),
            },
            Self::Hash => drop(write!(text, "{:016x}", hash(url))),
        }
    }
}

/// Text in which no slash parts folders, and which is not passed over as a folder.
fn one_part(text: &str) -> Cow<'_, str> {
    match text {
        "." => Cow::Borrowed("_"),
        _ if text.contains('/') => Cow::Owned(text.replace('/', "_")),
        _ => Cow::Borrowed(text),
    }
}

fn put_path(text: &mut String, url: &Url) {
    let mut segments = url.path_segments().into_iter().flatten().peekable();
    let mut depth = 0;
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match names::decoded(segment) {
            // Two slashes in a row part nothing.
            empty if empty.is_empty() && !is_last => continue,
            empty if empty.is_empty() => text.push_str(names::UNNAMED),
            part => text.push_str(&one_part(&part)),
        }
        if !is_last {
            depth += 1;
            text.push(if depth > DEEPEST { '_' } else { '/' });
        }
    }
}

/// The last segment of the path, decoded.
fn base(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    if last.is_empty() { names::UNNAMED.to_owned() } else { names::decoded(last).into_owned() }
}

/// The stem, and the extension without its dot.
fn split(base: &str) -> (&str, &str) {
    match base.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (base, ""),
    }
}

/// FNV-1a, 64 bits: the same in every version and on every machine.
fn hash(url: &Url) -> u64 {
    let text = url.as_str();
    let text = text.split('#').next().unwrap_or(text);
    fnv(text.bytes())
}

fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn name(template: &str, url: &str) -> String {
        let template = NameTemplate::parse(template).expect("a good template");
        let url = Url::parse(url).expect("a good URL");
        template.path(123_456, None, &url).to_string_lossy().into_owned()
    }

    #[test]
    fn each_field_stands_for_what_the_table_says() {
        let url = "http://h.example:8080/a/b%20c/x.tar.gz?q=1#f";
        for (template, wanted) in [
            ("{host}", "h.example_8080"),
            ("{path}", "a/b c/x.tar.gz"),
            ("{host}/{path}", "h.example_8080/a/b c/x.tar.gz"),
            ("{base}", "x.tar.gz"),
            ("{stem}-{seq}.{ext}", "x.tar-123456.gz"),
            ("{seq:09}", "000123456"),
            ("{seq:2}", "123456"),
            ("{shard}/{shard:05}/{seq}", "12/00012/123456"),
            ("{id}", "123456"),
            ("a{{{seq}}}b", "a{123456}b"),
            ("x/{seq}/../y", "x/123456/_/y"),
        ] {
            assert_eq!(name(template, url), wanted, "{template}");
        }
    }

    #[test]
    fn names_without_parts_have_their_own_rules() {
        for (template, url, wanted) in [
            ("{base}", "http://h/", "index.html"),
            ("{path}", "http://h/a/", "a/index.html"),
            ("{path}", "http://h//a//b", "a/b"),
            ("{stem}.{ext}", "http://h/README", "README"),
            ("{stem}|{ext}", "http://h/.bashrc", "_bashrc_"),
            ("{stem}.{ext}", "http://h/x.", "x"),
            ("{base}", "http://h/a%2Fb", "a_b"),
            ("{path}", "http://h/a%2F..%2Fb/c", "a_.._b/c"),
            ("{path}", "http://h/%2e%2e%2f%2e%2e%2fetc/passwd", "_._.._etc/passwd"),
            ("{host}", "http://[::1]:81/", "[__1]_81"),
            ("{base}", "http://h/CON", "_CON"),
        ] {
            assert_eq!(name(template, url), wanted, "{template} {url}");
        }
        let url = Url::parse("http://h/").expect("a good URL");
        let template = NameTemplate::parse("d/{id}.x").expect("a good template");
        assert_eq!(template.path(3, Some("../7"), &url), Path::new("d/_._7.x"));
        assert_eq!(template.path(3, None, &url), Path::new("d/3.x"));
        let deep = format!("http://h/{}x", "d/".repeat(2000));
        assert_eq!(name("{path}", &deep).matches('/').count(), DEEPEST);
    }

    #[test]
    fn the_hash_is_fnv_1a_of_the_url_without_its_fragment() {
        // The test vectors of the algorithm: the empty text, "a", "foobar".
        let fold = |text: &str| fnv(text.bytes());
        assert_eq!(fold(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fold("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fold("foobar"), 0x8594_4171_f739_67e8);
        let wanted = format!("{:016x}", fold("http://h/a?b"));
        assert_eq!(name("{hash}", "http://h/a?b#c"), wanted);
    }

    #[test]
    fn a_bad_template_is_refused_by_the_name_of_its_bad_field() {
        for (template, named) in [
            ("{name}", "no field {name}"),
            ("x{}", "no field {}"),
            ("{seq", "{seq is not closed"),
            ("seq}", "} stands alone"),
            ("{seq:}", "width in {seq:}"),
            ("{seq:x}", "width in {seq:x}"),
            ("{seq:+5}", "width in {seq:+5}"),
            ("{seq:21}", "width in {seq:21}"),
            ("{shard:0}", "width in {shard:0}"),
            ("{host:5}", "{host} takes no width"),
            ("plain", "no field"),
            ("", "no field"),
            ("{{seq}}", "no field"),
        ] {
            let error = template.parse::<NameTemplate>().expect_err("a bad template");
            assert_eq!(error.kind(), ErrorKind::BadName, "{template}");
            assert!(error.message().contains(named), "{template}: {error}");
        }
    }

    #[test]
    fn random_templates_over_random_urls_stay_below_and_are_safe() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let fields = [
            "{host}", "{path}", "{base}", "{stem}", "{ext}", "{id}", "{hash}", "/", ".", "..", "-", "{seq:3}",
        ];
        let parts =
            ["a", "..", "%2e%2e", "%2f", "%00", "%5c", "/", ".", "CON", "%E2%80%AE", "-", "%20", "x.y"];
        for _ in 0..5000 {
            let mut some = |all: &[&str]| -> String {
                (0..random.usize(..8)).map(|_| all[random.usize(..all.len())]).collect()
            };
            let (template, url, id) =
                (some(&fields) + "{seq}", format!("http://h/{}", some(&parts)), some(&parts));
            let url = Url::parse(&url).expect("a good URL");
            let path = NameTemplate::parse(&template).expect("a good template").path(1, Some(&id), &url);
            let replay = format!("seed {seed}: {template} {url} {id:?} {path:?}");
            assert!(
                path.components().all(|part| matches!(part, std::path::Component::Normal(_))),
                "{replay}"
            );
            assert_eq!(names::below(&path), path, "{replay}");
            for part in &path {
                let part = part.to_str().expect("text");
                assert!(names::cleaned(part) == part && part.len() <= 255, "{replay}");
            }
        }
    }
}
