//! What a caller wants fetched: URL, mirrors, method, headers, body. Plain data that nothing here sends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use url::Url;

#[cfg(feature = "digests")]
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Phase};
use crate::part::Part;
use crate::version::{Kept, Outdated};

pub(crate) mod body;
mod file;
pub(crate) mod form;
mod refusal;

use body::Body;
use form::Form;

/// What the caller wants fetched. Cheap to clone; requests of one list share all but their URL.
#[derive(Debug, Clone)]
#[must_use]
pub struct Request {
    pub(crate) url: Url,
    pub(crate) template: Arc<Template>,
    pub(crate) mirrors: Option<Box<[Mirror]>>,
    pub(crate) place: Option<Box<Path>>,
    id: Option<Box<str>>,
    pub(crate) part: Option<Box<Part>>,
    /// What its file holds, if that is asked for only when the server has another version.
    pub(crate) kept: Option<Box<Kept>>,
    /// The body that an earlier run has brought, if it is not wanted any more.
    pub(crate) outdated: Option<Box<Outdated>>,
    /// Why it is not sent.
    refusal: Option<Error>,
    pub(crate) raced: bool,
    /// From the URL's userinfo, which is taken out of the URL.
    pub(crate) authorization: Option<Box<HeaderValue>>,
    #[cfg(feature = "digests")]
    digests: Option<Box<[Digest]>>,
}

/// Another URL of the same content.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    url: Url,
    authorization: Option<HeaderValue>,
}

/// What many requests have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) repeatable: Option<bool>,
}

impl Template {
    /// Whether the request may be sent twice (RFC 9110, section 9.2.2), unless the caller said so.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.repeatable.unwrap_or_else(|| self.method.is_idempotent())
    }
}

impl Request {
    /// A GET of `url`.
    ///
    /// # Errors
    /// The text is no URL, or its scheme is neither http nor https. Userinfo in the URL becomes basic
    /// authorization.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::from_template(url, Arc::default())
    }

    /// The same request for another URL: method, headers and body are shared; mirrors, place, id and
    /// refusal are not.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_url(&self, url: &str) -> Result<Self, Error> {
        Self::from_template(url, Arc::clone(&self.template))
    }

    /// All its URLs start at once, as the legs of a race: the first to bring the first byte of its body leads. The
    /// legs are first attempts and spend no budget.
    pub fn raced(mut self) -> Self {
        self.raced = true;
        self
    }

    pub(crate) fn from_template(text: &str, template: Arc<Template>) -> Result<Self, Error> {
        let (url, authorization) = parse_url(text)?;
        Ok(Self {
            url,
            template,
            mirrors: None,
            place: None,
            id: None,
            part: None,
            kept: None,
            outdated: None,
            refusal: None,
            raced: false,
            authorization: authorization.map(Box::new),
            #[cfg(feature = "digests")]
            digests: None,
        })
    }

    /// Uses another method than GET.
    pub fn method(self, method: Method) -> Self {
        self.change(|template| template.method = method)
    }

    /// Adds a header field; a second one of the same name stands beside the first.
    pub fn header(self, name: HeaderName, mut value: HeaderValue) -> Self {
        // Not shown by Debug.
        value.set_sensitive(value.is_sensitive() || is_secret(&name));
        self.change(|template| {
            template.headers.append(name, value);
        })
    }

    /// Sets a header field, in the place of all that it has of this name.
    pub fn set_header(self, name: HeaderName, value: HeaderValue) -> Self {
        let request = self.change(|template| {
            template.headers.remove(&name);
        });
        request.header(name, value)
    }

    /// Authorizes by name and password (RFC 7617), in the place of what the URL's userinfo says.
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        let value = basic(user.as_ref().as_bytes(), password.as_ref().as_bytes());
        self.change(|template| set_authorization(template, value))
    }

    /// Sends `body`: bytes, or a [`Body::stream`]. Clones of the request share its stream, which goes out once.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.change(|template| template.body = body.into())
    }

    /// Sends a form of several parts, and says so in its Content-Type.
    pub fn multipart(self, form: Form) -> Self {
        let content_type = form.content_type();
        self.change(|template| {
            template.headers.insert(CONTENT_TYPE, content_type);
            template.body = form.into_body();
        })
    }

    /// Says that the same content lies at `url` too; retries and hedges go there. Header fields go to each mirror;
    /// userinfo belongs to the URL that it stands in.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn mirror(mut self, url: &str) -> Result<Self, Error> {
        let (url, authorization) = parse_url(url)?;
        let mut mirrors = self.mirrors.take().map(Vec::from).unwrap_or_default();
        mirrors.push(Mirror { url, authorization });
        self.mirrors = Some(mirrors.into_boxed_slice());
        Ok(self)
    }

    /// Says that it may (or may not) be sent twice, whatever its method (RFC 9110, section 9.2.2).
    pub fn repeatable(self, repeatable: Repeat) -> Self {
        self.change(|template| template.repeatable = Some(repeatable == Repeat::Allowed))
    }

    /// Names the file for the body, below the directory of the sink. A name that ends in a slash is that of a folder
    /// there, in which the URL names the file.
    pub fn save_as(mut self, name: impl Into<PathBuf>) -> Self {
        self.place = Some(name.into().into_boxed_path());
        self
    }

    /// Says what the body's digest is to be; of several, all have to be right. They belong to this URL and its mirrors:
    /// [`with_url`](Self::with_url) leaves them behind.
    ///
    /// It is that of the bytes which reach the caller or his file: of a body that is decoded, the decoded ones. A body of
    /// another digest is an error of kind [`Digest`](ErrorKind::Digest), and another mirror is tried.
    #[cfg(feature = "digests")]
    pub fn digest(mut self, expected: Digest) -> Self {
        let mut digests = self.digests.take().map(Vec::from).unwrap_or_default();
        digests.push(expected);
        self.digests = Some(digests.into_boxed_slice());
        self
    }

    /// The digests given with [`digest`](Self::digest).
    #[cfg(feature = "digests")]
    pub fn digests(&self) -> &[Digest] {
        self.digests.as_deref().unwrap_or_default()
    }

    /// Gives it the caller's own id, such as that of its row in the input; names of files may be made of it.
    pub fn identified(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Goes on with what an earlier run has left of its body, as [`Event::Part`](crate::Event::Part) told it. The file
    /// is looked at first: one that is shorter, or whose end was edited, is removed, and the body begun anew; so it is
    /// where the sink keeps no parts, and where the server has another version by now (RFC 9110, section 13.1.5).
    pub fn part(mut self, part: Part) -> Self {
        self.part = Some(Box::new(part));
        self
    }

    /// The caller's own id, given with [`identified`](Self::identified).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The URL, without userinfo.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The method.
    pub fn http_method(&self) -> &Method {
        &self.template.method
    }

    /// The header fields that it was given, and the credentials that stood in its URL. What a client adds (its name,
    /// its cookies) is not among them.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = self.template.headers.clone();
        if let Some(value) = self.authorization_of(0)
            && !headers.contains_key(AUTHORIZATION)
        {
            headers.insert(AUTHORIZATION, value.clone());
        }
        headers
    }

    /// What it sends behind its head.
    pub fn content(&self) -> &Body {
        &self.template.body
    }

    /// The file name given with [`save_as`](Self::save_as) or by the sink.
    pub fn place(&self) -> Option<&Path> {
        self.place.as_deref()
    }

    /// The file in which an earlier run of the job has left a body for it that is not wanted any more, since its digest is
    /// another one. A sink lets the new body take its place, whatever it does with other files that are there.
    pub fn outdated_file(&self) -> Option<&Path> {
        self.outdated.as_ref()?.file.as_deref()
    }

    /// The request for another path at the same origin, without parsing the origin anew. `path` is the text behind
    /// it, and must begin with one slash; `None` where only a whole parse can tell.
    pub(crate) fn at_same_origin(&self, path: &str) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.~=&?%+,:@!*()".contains(byte);
        let one_slash = path.starts_with('/') && !path.starts_with("//");
        if !one_slash || !path.as_bytes().iter().all(plain) || path.len() > MAX_URL / 2 {
            return None;
        }
        let url = self.url.join(path).ok()?;
        Some(Self {
            url,
            template: Arc::clone(&self.template),
            mirrors: None,
            place: None,
            id: None,
            part: None,
            kept: None,
            outdated: None,
            refusal: None,
            raced: false,
            authorization: None,
            #[cfg(feature = "digests")]
            digests: None,
        })
    }

    /// Scheme, host and port, as the parser writes them.
    pub(crate) fn origin(&self) -> &str {
        &self.url[..url::Position::BeforePath]
    }

    pub(crate) fn parsed_url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn mirror_count(&self) -> usize {
        1 + self.mirrors.as_ref().map_or(0, |mirrors| mirrors.len())
    }

    pub(crate) fn mirror_url(&self, index: usize) -> &Url {
        match index.checked_sub(1).and_then(|index| self.mirrors.as_ref()?.get(index)) {
            Some(mirror) => &mirror.url,
            None => &self.url,
        }
    }

    /// The credentials that stood in this URL.
    pub(crate) fn authorization_of(&self, index: usize) -> Option<&HeaderValue> {
        match index.checked_sub(1) {
            None => self.authorization.as_deref(),
            Some(index) => self.mirrors.as_ref()?.get(index)?.authorization.as_ref(),
        }
    }

    /// Memory that this request holds by itself, roughly, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let mirrors = self
            .mirrors
            .as_ref()
            .map_or(0, |all| all.iter().map(|mirror| mirror.url.as_str().len() + 140).sum());
        let place = self.place.as_ref().map_or(0, |path| path.as_os_str().len());
        let id = self.id.as_ref().map_or(0, |id| id.len());
        #[cfg(feature = "digests")]
        let id = id + self.digests().iter().map(|digest| 24 + digest.as_bytes().len()).sum::<usize>();
        let kept = self.kept.as_ref().map_or(0, |kept| kept.weight());
        let outdated = self.outdated.as_ref().map_or(0, |outdated| outdated.weight());
        size_of::<Self>() + self.url.as_str().len() + mirrors + place + id + kept + outdated
    }

    pub(crate) fn change(mut self, with: impl FnOnce(&mut Template)) -> Self {
        with(Arc::make_mut(&mut self.template));
        self
    }
}

/// Whether a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Retries and hedges may send it again.
    Allowed,
    /// It is sent again only if no byte of it was written.
    Forbidden,
}

fn parse_url(text: &str) -> Result<(Url, Option<HeaderValue>), Error> {
    let bad = |kind, message: String| Error::new(kind, Phase::Queue, message).of_url(without_userinfo(text));
    let mut url = Url::parse(text).map_err(|cause| bad(ErrorKind::BadUrl, format!("not a URL: {cause}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("the scheme {}: is not fetched, only http and https are", url.scheme());
        return Err(bad(ErrorKind::BadScheme, message));
    }
    if url.as_str().len() > MAX_URL {
        return Err(bad(ErrorKind::BadUrl, format!("the URL is over its limit of {MAX_URL} bytes")));
    }
    if url.fragment().is_some() {
        url.set_fragment(None);
    }
    if url.username().is_empty() && url.password().is_none() {
        return Ok((url, None));
    }
    let decode = |part: &str| percent_encoding::percent_decode_str(part).collect::<Vec<u8>>();
    let credentials = basic(&decode(url.username()), &decode(url.password().unwrap_or("")));
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok((url, Some(credentials)))
}

/// The longest URL that is sent, in bytes.
pub(crate) const MAX_URL: usize = 64 * 1024;

/// Cuts userinfo out of a text that is no URL. Where it ends cannot be known, so all before the last `@` goes.
pub(crate) fn without_userinfo(text: &str) -> String {
    let Some((before, host)) = text.rsplit_once('@') else { return text.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) if !scheme.contains(['@', '/']) => format!("{scheme}://{host}"),
        _ => host.to_owned(),
    }
}

/// Whether a field holds a secret, by its name; Authorization, Proxy-Authorization, Cookie and Set-Cookie among them.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    const SIGNS: [&str; 9] =
        ["auth", "cookie", "token", "secret", "api-key", "apikey", "password", "session", "credential"];
    SIGNS.iter().any(|sign| name.as_str().contains(sign)) || name.as_str().ends_with("-key")
}

/// The value of a basic Authorization (RFC 7617), marked as sensitive.
pub(crate) fn basic(user: &[u8], password: &[u8]) -> HeaderValue {
    let pair = [user, b":", password].concat();
    let text = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let mut value = HeaderValue::from_str(&text).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

/// The value of a bearer Authorization (RFC 6750), marked as sensitive.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Error::new(ErrorKind::BadRequest, Phase::Queue, "the bearer token is no header value")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

pub(crate) fn set_authorization(template: &mut Template, value: HeaderValue) {
    template.headers.insert(AUTHORIZATION, value);
}

pub(crate) fn set_body(template: &mut Template, content_type: &'static str, body: Body) {
    template.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    template.body = body;
}

/// Anything that names a request: a URL as text or parsed, or a [`Request`].
pub trait IntoRequest {
    /// The request, or why there is none; the error's URL is the text that was given.
    ///
    /// # Errors
    /// As [`Request::new`].
    fn into_request(self) -> Result<Request, Error>;
}

impl IntoRequest for Request {
    fn into_request(self) -> Result<Request, Error> {
        Ok(self)
    }
}

impl IntoRequest for Result<Request, Error> {
    fn into_request(self) -> Result<Request, Error> {
        self
    }
}

impl IntoRequest for &Request {
    fn into_request(self) -> Result<Request, Error> {
        Ok(self.clone())
    }
}

macro_rules! from_text {
    ($($type:ty),*) => { $(
        impl IntoRequest for $type {
            fn into_request(self) -> Result<Request, Error> {
                Request::new(self.as_ref())
            }
        }
    )* };
}

from_text!(&str, &&str, String, &String, Box<str>, std::borrow::Cow<'_, str>);

impl IntoRequest for &Uri {
    fn into_request(self) -> Result<Request, Error> {
        Request::new(&self.to_string())
    }
}

impl IntoRequest for Uri {
    fn into_request(self) -> Result<Request, Error> {
        (&self).into_request()
    }
}

impl<B: Into<Body>> IntoRequest for http::Request<B> {
    /// Method, absolute URL, header fields and body are taken over; version and extensions are not.
    fn into_request(self) -> Result<Request, Error> {
        let (head, body) = self.into_parts();
        let request = Request::new(&head.uri.to_string())?;
        Ok(request.change(|template| {
            template.method = head.method;
            template.headers = head.headers;
            for (name, value) in &mut template.headers {
                // Not shown by Debug.
                value.set_sensitive(value.is_sensitive() || is_secret(name));
            }
            template.body = body.into();
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_becomes_authorization_and_leaves_the_url() {
        let request = Request::new("http://al%40x:se%3Acret@host/a?b#frag").expect("a good URL");
        assert_eq!(request.url(), "http://host/a?b");
        let value = request.authorization.expect("credentials were given");
        assert_eq!(value.to_str().ok(), Some("Basic YWxAeDpzZTpjcmV0"));
        assert!(value.is_sensitive());
    }

    #[test]
    fn a_path_at_the_same_origin_is_what_a_whole_parse_makes_of_it() {
        let first = Request::new("http://host:8080/first").expect("a good URL");
        for path in ["/a", "/a/../b?c=d&e", "/./x//y", "/%41?x=%zz", "/a:b@c", "/?", "/..", "/a/%2e%2e/b"] {
            let whole = Request::new(&format!("http://host:8080{path}")).expect("a good URL");
            assert_eq!(first.at_same_origin(path).expect("a plain path").url(), whole.url());
        }
        for path in ["//other/x", "x", "/a b", "/a#b", "/a\\b", "/\u{e9}"] {
            assert!(first.at_same_origin(path).is_none(), "{path}");
        }
    }

    #[test]
    fn an_error_never_shows_userinfo() {
        let error = Request::new("ftp://user:secret@host/x").expect_err("ftp is not fetched");
        assert!(!format!("{error} {error:?}").contains("secret"));
        for text in [
            "http://user:sec ret@ho st/x",
            "http://me:secret/ret@host/",
            "http://me:secret#x@host/",
            "me:secret@host/x",
            "http:/me:secret@ho st/",
        ] {
            let error = Request::new(text).expect_err("no URL");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let cookie = HeaderValue::from_static("session=secret");
        let request = Request::new("http://host/").expect("a good URL").header(http::header::COOKIE, cookie);
        assert!(!format!("{request:?}").contains("secret"));
    }
}
