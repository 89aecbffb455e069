//! What one entry of a list says, in whatever format it was written, and the request that it becomes. Values that
//! cannot be sent are told without being shown: they may be secrets.

use gannet::digest::Digest;
use gannet::source::with_scheme;
use gannet::{Error, ErrorKind, Request};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::slips::Slip;

/// One entry of a list.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) url: String,
    pub(super) mirrors: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) name: Option<String>,
    pub(super) digests: Vec<String>,
    pub(super) id: Option<String>,
    /// What the entry says beyond that, which comes back in the report.
    pub(super) fields: Map<String, Value>,
    /// What is wrong with it, beside its URL.
    pub(super) refusal: Option<Error>,
}

/// An entry, or why there is none, with the line that it begins in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) entry: Result<Entry, Error>,
}

/// Reads the entries of one format. It blocks as its reader does.
pub(super) trait Entries {
    /// The next entry; `None` at the end, after which it is not asked again.
    ///
    /// # Errors
    /// The input cannot be read on.
    fn next(&mut self) -> std::io::Result<Option<Found>>;

    /// The line that was read last.
    fn line(&self) -> u64;
}

impl Entry {
    /// Refuses it; of several reasons the first counts.
    pub(super) fn refuse(&mut self, error: Error) {
        self.refusal.get_or_insert(error);
    }

    /// Takes out what is told of it in the report: what it says beyond its URL, so that a row can stand in the place of the
    /// entry. Header fields and mirrors with a name or a password may be secrets.
    pub(super) fn slip(&mut self) -> Option<Slip> {
        let mut fields = std::mem::take(&mut self.fields);
        let name = self.name.clone().filter(|name| !name.is_empty());
        fields.extend(name.map(|name| ("name".to_owned(), name.into())));
        let open = self.mirrors.iter().filter(|mirror| !mirror.contains('@'));
        for (key, values) in [("digest", self.digests.clone()), ("mirrors", open.cloned().collect())] {
            if !values.is_empty() {
                fields.insert(key.to_owned(), values.into());
            }
        }
        let is_bare = self.id.is_none() && fields.is_empty();
        (!is_bare).then(|| Slip { id: self.id.clone(), fields })
    }
}

/// Whether entries may name the files of their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// They do, below the folder of the output.
    Given,
    /// There are no files to name.
    Ignored,
}

/// Makes requests of entries.
#[derive(Debug, Clone)]
pub(crate) struct Maker {
    /// What all have in common.
    pub(crate) base: Request,
    /// What `-G` puts into each URL.
    pub(crate) query: Option<String>,
    pub(crate) names: Names,
}

impl Maker {
    /// The request of an entry; one that says what cannot be sent is refused, and is that entry all the same.
    pub(super) fn request(&self, mut entry: Entry) -> Result<Request, Error> {
        let url = self.url(&entry.url)?;
        let request = self.base.with_url(&url)?;
        let request = match entry.name.take().filter(|name| !name.is_empty() && self.names == Names::Given) {
            Some(name) => request.save_as(name),
            None => request,
        };
        let request = match entry.id.take() {
            Some(id) => request.identified(id),
            None => request,
        };
        if let Some(error) = entry.refusal.take() {
            return Ok(request.refused(error));
        }
        let bare = request.clone();
        Ok(self.filled(request, &url, &entry).unwrap_or_else(|error| bare.refused(error)))
    }

    /// The request with all that its entry says of how it is obtained.
    fn filled(&self, mut request: Request, url: &str, entry: &Entry) -> Result<Request, Error> {
        let bad = |message: String| Error::unusable_input(ErrorKind::BadEntry, Some(url), message);
        for mirror in &entry.mirrors {
            request = request.mirror(&self.url(mirror)?)?;
        }
        let mut own: HeaderMap<()> = HeaderMap::default();
        for (name, value) in &entry.headers {
            let (name, value) = header(name, value).map_err(bad)?;
            // They stand in the place of those of -H, and beside one another.
            request = match own.append(name.clone(), ()) {
                true => request.header(name, value),
                false => request.set_header(name, value),
            };
        }
        for digest in &entry.digests {
            let digest: Digest = digest.parse().map_err(|error: Error| bad(error.message().to_owned()))?;
            request = request.digest(digest);
        }
        Ok(request)
    }

    /// The URL as it is fetched.
    fn url(&self, text: &str) -> Result<String, Error> {
        let url = with_scheme(text.trim());
        if url.contains('\0') {
            let shown = url.replace('\0', "\u{fffd}");
            return Err(Error::unusable_input(ErrorKind::NotText, Some(&shown), "the URL holds a NUL"));
        }
        Ok(match &self.query {
            Some(query) => with_query(&url, query),
            None => url.into_owned(),
        })
    }
}

/// The URL with this in its query, before a fragment.
pub(crate) fn with_query(url: &str, query: &str) -> String {
    let (url, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{query}{fragment}")
}

/// A header field; why it cannot be sent is said without its value.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = name.trim().parse::<HeaderName>();
    let name = parsed.map_err(|_| "a name of its headers is no name of a header".to_owned())?;
    let value = HeaderValue::from_str(value.trim());
    let value = value.map_err(|_| format!("the value of its header {name} cannot be sent"))?;
    Ok((name, value))
}

/// `sha256:HEX` of a type and a value that are written apart, as aria2 and Metalink do.
pub(super) fn digest(kind: &str, value: &str) -> String {
    format!("{}:{}", kind.trim(), value.trim())
}

/// Whether the URL is of a scheme that is never fetched, such as that of a mirror by ftp.
pub(super) fn is_foreign(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.trim());
    scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https"))
}

/// The first URL that can be fetched, and the others as its mirrors. Those of foreign schemes are left out where there
/// is another; without one the first is kept, for its error.
pub(super) fn alternatives(urls: Vec<String>) -> Option<(String, Vec<String>)> {
    let first = urls.first().cloned();
    let mut ours = urls.into_iter().filter(|url| !is_foreign(url));
    match ours.next() {
        Some(url) => Some((url, ours.collect())),
        None => Some((first?, Vec::new())),
    }
}
