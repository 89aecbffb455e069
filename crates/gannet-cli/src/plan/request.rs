//! What all requests of a run share beside their URL: method, header fields, body. Only plain data is made here; the
//! file of `@FILE` is read.

use gannet::Request;
use gannet::source::with_scheme;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

use super::data;
use crate::args::{DataKind, GivenHeader, RequestArgs};
use crate::say::Complaint;

/// A request of which only the URL is to be replaced.
pub(crate) fn base(args: &RequestArgs) -> Result<Request, Complaint> {
    let mut request = Request::new("http://localhost/")?;
    let headers = headers(args)?;
    let has = |name: http::HeaderName| headers.iter().any(|(given, _)| *given == name);
    if let Some((content_type, bytes)) = body(args)? {
        request = request.method(Method::POST).body(bytes);
        if !has(CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if args.json.is_some() && !has(ACCEPT) {
            request = request.header(ACCEPT, HeaderValue::from_static(JSON));
        }
    }
    if let Some(method) = &args.method {
        request = request.method(method.clone());
    }
    for (name, value) in &headers {
        request = request.header(name.clone(), value.clone());
    }
    match args.user.as_deref().map(|user| user.split_once(':')) {
        None => Ok(request),
        Some(Some((user, password))) => Ok(request.basic_auth(user, password)),
        Some(None) => Err(Complaint::new("-u has no password, and gannet never asks for one")
            .fix("-u USER:PASSWORD, or -u USER: for an empty one")),
    }
}

/// The request for one URL of the command line.
pub(crate) fn for_url(base: &Request, text: &str) -> Result<Request, gannet::Error> {
    base.with_url(&with_scheme(text))
}

/// The header fields; what is wrong with one is told without its value.
fn headers(args: &RequestArgs) -> Result<Vec<(HeaderName, HeaderValue)>, Complaint> {
    let header = |given: &GivenHeader| {
        given
            .0
            .clone()
            .map_err(|wrong| Complaint::new(format!("-H cannot be used: {wrong}")).fix("-H 'Name: value'"))
    };
    args.headers.iter().map(header).collect()
}

/// Whether the body is read from standard input.
pub(crate) fn reads_stdin(args: &RequestArgs) -> bool {
    let data = args.data.0.iter().any(|piece| match piece.kind {
        DataKind::Raw => false,
        DataKind::Form | DataKind::Binary => piece.value == "@-",
        DataKind::UrlEncoded => piece.value.ends_with("@-"),
    });
    data || args.json.as_deref() == Some("@-")
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn body(args: &RequestArgs) -> Result<Option<(&'static str, Vec<u8>)>, Complaint> {
    match (&args.data.0[..], &args.json) {
        ([], None) => Ok(None),
        ([], Some(json)) => Ok(Some((JSON, data::given(json)?))),
        // Bodies may hold secrets: they are not shown.
        ([_, ..], Some(_)) => Err(Complaint::contradiction("-d", "--json")),
        (pieces, None) => Ok(Some((FORM, data::joined(pieces)?))),
    }
}
