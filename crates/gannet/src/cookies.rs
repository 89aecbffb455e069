//! Cookies (RFC 6265): what servers set, and what goes along with which request. Values are secrets: no error, event
//! or Debug text here shows one.

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use url::Url;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Phase};
use crate::request::without_userinfo;
use jar::Jar;

mod jar;
mod netscape;

/// The cookies of one or more clients. Cheap to clone; all clones hold the same cookies.
///
/// Given to a client with [`ClientBuilder::cookies`](crate::ClientBuilder::cookies), it takes the cookies of every
/// reply, those of redirects and refused statuses too, and sends with each hop what belongs there by domain, path and
/// Secure (RFC 6265, section 5.4). Stricter than that RFC, as browsers are: a Secure cookie is taken from https alone
/// and never replaced from http, the prefixes `__Secure-` and `__Host-` are held to, and nothing is taken for a public
/// suffix such as `co.uk`. Unlike browsers, http to the loopback does not count as secure.
///
/// It holds at most 3,000 cookies, at most 50 for a domain, each of at most 4 KiB; beyond that, those that were sent
/// or set the longest time ago go. At most 8 KiB of them go along with a request.
///
/// # Examples
/// ```
/// # fn example() -> Result<(), gannet::Error> {
/// let cookies = gannet::Cookies::new();
/// cookies.add("session=1; theme=dark", "https://a.example/")?;
/// let client = gannet::Client::builder().cookies(cookies.clone()).build()?;
/// assert_eq!(cookies.len(), 2);
/// # Ok(()) }
/// # example().unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Cookies(Arc<Mutex<Jar>>);

/// One cookie, as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    name: Box<str>,
    value: Box<str>,
    /// In lower case, without a leading dot.
    domain: Box<str>,
    reach: Reach,
    path: Box<str>,
    secure: bool,
    http_only: bool,
    /// Seconds since 1970; `None` for the end of the session.
    expires: Option<u64>,
}

/// Which hosts a cookie goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Its own.
    Host,
    /// Those below its domain, too.
    Subdomains,
}

impl Cookies {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a cookie as if the server at `url` had sent this text in a Set-Cookie field.
    ///
    /// # Errors
    /// [`BadCookie`](ErrorKind::BadCookie): the text is no cookie, or not one that this server may set.
    pub fn set(&self, set_cookie: &str, url: &str) -> Result<(), Error> {
        let url = parsed(url)?;
        let now = seconds_now();
        self.jar().set(set_cookie, &url, now).map_err(|why| refused(why, &url))
    }

    /// Adds cookies for the host of `url` alone, with all its paths, until the end of the session, from a text such as
    /// `name=value; other=value`.
    ///
    /// # Errors
    /// [`BadCookie`](ErrorKind::BadCookie): a part has no name, or cannot stand in a header field; or it is over its
    /// limit of 4 KiB. Those before it were added.
    pub fn add(&self, pairs: &str, url: &str) -> Result<(), Error> {
        let url = parsed(url)?;
        let mut jar = self.jar();
        for pair in pairs.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let cookie = Cookie {
                name: name.trim().into(),
                value: value.trim().into(),
                domain: url.host_str().unwrap_or_default().into(),
                reach: Reach::Host,
                path: "/".into(),
                secure: url.scheme() == "https",
                http_only: false,
                expires: None,
            };
            jar.insert(cookie, seconds_now()).map_err(|why| refused(why, &url))?;
        }
        Ok(())
    }

    /// Adds the cookies of a file in Netscape's format, that of curl's `-b` and `-c`; gives their number. Those that
    /// have expired, or stand for a whole public suffix, are passed over.
    ///
    /// # Errors
    /// [`BadCookie`](ErrorKind::BadCookie): the file cannot be read, or a line of it (which the error names) is not of
    /// that format. Those before it were added.
    pub fn load_netscape(&self, reader: impl BufRead) -> Result<usize, Error> {
        netscape::load(reader, |cookie| self.jar().insert(cookie, seconds_now()))
    }

    /// Writes all cookies in Netscape's format, in the order of their domains; those of the session with expiry 0, as
    /// curl does.
    ///
    /// # Errors
    /// The writer's own.
    pub fn save_netscape(&self, writer: impl Write) -> std::io::Result<()> {
        netscape::save(writer, self)
    }

    /// The cookies that have not expired, by domain, path and name: a copy of this moment.
    pub fn iter(&self) -> std::vec::IntoIter<Cookie> {
        self.jar().all(seconds_now()).into_iter()
    }

    /// How many there are that have not expired.
    pub fn len(&self) -> usize {
        self.jar().count(seconds_now())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the cookies of a reply from `url`. What a server may not set is passed over, as by browsers.
    /// The fields are marked, so that no Debug shows them.
    pub(crate) fn take(&self, headers: &mut HeaderMap, url: &Url) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let now = seconds_now();
        let mut jar = self.jar();
        for (_, field) in headers.iter_mut().filter(|(name, _)| **name == SET_COOKIE) {
            field.set_sensitive(true);
            if let Ok(text) = std::str::from_utf8(field.as_bytes()) {
                // A server's bad cookie is no failure of the fetch (RFC 6265, section 5.2).
                let _ = jar.set(text, url, now);
            }
        }
    }

    /// Adds what belongs to `url` to the caller's own Cookie field, whose names rule.
    pub(crate) fn give(&self, headers: &mut HeaderMap, url: &Url) {
        let own: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        let own = own.join(&b"; "[..]);
        let Some(field) = self.jar().field(&own, url, seconds_now()) else { return };
        let mut value = HeaderValue::from_bytes(&field).expect("cookies were checked when they were taken");
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IntoIterator for &Cookies {
    type Item = Cookie;
    type IntoIter = std::vec::IntoIter<Cookie>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Cookie {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, which may be a secret.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The host that it goes to, without a leading dot.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether it goes to hosts below its domain, too.
    pub fn includes_subdomains(&self) -> bool {
        self.reach == Reach::Subdomains
    }

    /// The path that it goes to, with all below it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it goes over https alone.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it is kept from scripts; kept here for the file's sake.
    pub fn is_http_only(&self) -> bool {
        self.http_only
    }

    /// When it expires; `None` for the end of the session.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
    }
}

fn parsed(url: &str) -> Result<Url, Error> {
    let bad = |message: String| {
        Err(Error::new(ErrorKind::BadUrl, Phase::Queue, message).of_url(without_userinfo(url)))
    };
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(parsed),
        Ok(parsed) => bad(format!("cookies are for http and https, not for {}:", parsed.scheme())),
        Err(cause) => bad(format!("not a URL: {cause}")),
    }
}

fn refused(why: jar::Refused, url: &Url) -> Error {
    Error::new(ErrorKind::BadCookie, Phase::Queue, why.reason()).of_url(crate::error::shown(url))
}

/// By the wall clock, since 1970.
fn seconds_now() -> u64 {
    Clock::wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookies").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, domain, path) = (&self.name, &self.domain, &self.path);
        f.debug_struct("Cookie")
            .field("name", name)
            .field("domain", domain)
            .field("path", path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
