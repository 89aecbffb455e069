//! What all requests of a run share beside their URL: method, header fields, body. Only plain data is made here; the
//! file of `@FILE` is read.

use std::io::{self, Read as _};

use gannet::Request;
use gannet::source::with_scheme;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

use crate::args::{GivenHeader, RequestArgs};
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
    args.data.iter().chain(&args.json).any(|value| value == "@-")
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn body(args: &RequestArgs) -> Result<Option<(&'static str, Vec<u8>)>, Complaint> {
    match (&args.data[..], &args.json) {
        ([], None) => Ok(None),
        ([], Some(json)) => Ok(Some((JSON, given(json)?.0))),
        // Bodies may hold secrets: they are not shown.
        ([_, ..], Some(_)) => Err(Complaint::contradiction("-d", "--json")),
        (data, None) => {
            let mut form = Vec::new();
            for (index, part) in data.iter().enumerate() {
                if index > 0 {
                    form.push(b'&');
                }
                let (mut bytes, origin) = given(part)?;
                if origin == Origin::File {
                    // As curl does, so that a file may end with a line break.
                    bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
                }
                form.append(&mut bytes);
            }
            Ok(Some((FORM, form)))
        }
    }
}

/// Where the bytes of a value come from.
#[derive(PartialEq, Eq)]
enum Origin {
    Word,
    File,
}

/// The value itself, or what is in the file that `@` names.
fn given(value: &str) -> Result<(Vec<u8>, Origin), Complaint> {
    let Some(name) = value.strip_prefix('@') else { return Ok((value.as_bytes().to_vec(), Origin::Word)) };
    let read = || -> io::Result<Vec<u8>> {
        if name != "-" {
            return std::fs::read(name);
        }
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes =
        read().map_err(|cause| Complaint::new(format!("{value} cannot be read")).why(cause.to_string()))?;
    Ok((bytes, Origin::File))
}
