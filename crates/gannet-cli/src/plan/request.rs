//! What all requests of a run share beside their URL: method, header fields, body. Only plain data is made here; the
//! file of `@FILE` is read.

use gannet::source::with_scheme;
use gannet::{Form, Request};
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, RANGE, REFERER};
use http::{HeaderName, HeaderValue, Method};

use super::{data, form};
use crate::args::{GivenHeader, RecordArgs, RequestArgs, SharedArgs};
use crate::say::Complaint;

/// A request of which only the URL is to be replaced.
pub(crate) fn base(args: &RequestArgs) -> Result<Request, Complaint> {
    let mut request = Request::new("http://localhost/")?;
    let headers = headers(args)?;
    let has = |name: HeaderName| headers.iter().any(|(given, _)| *given == name);
    match body(args)? {
        Sent::Nothing => {}
        Sent::Form(form) => request = request.method(Method::POST).multipart(form),
        Sent::Bytes(content_type, bytes) => {
            request = request.method(Method::POST).body(bytes);
            if !has(CONTENT_TYPE) {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
        }
    }
    if args.json.is_some() && !has(ACCEPT) {
        request = request.header(ACCEPT, HeaderValue::from_static(JSON));
    }
    if args.head {
        request = request.method(Method::HEAD);
    }
    if let Some(method) = &args.method {
        request = request.method(method.clone());
    }
    for (name, value) in &headers {
        request = request.header(name.clone(), value.clone());
    }
    let cookies: Vec<&str> =
        args.cookies.iter().filter(|value| value.contains('=')).map(String::as_str).collect();
    if !cookies.is_empty() {
        let value = HeaderValue::from_str(&cookies.join("; "))
            .map_err(|_| Complaint::new("the cookies of -b cannot be sent in a header"))?;
        request = request.header(COOKIE, value);
    }
    if let Some(text) = &args.referer {
        request = request.header(REFERER, referer(text)?);
    }
    if let Some(text) = &args.range {
        request = request.header(RANGE, range(text)?);
    }
    match args.user.as_deref().map(|user| user.split_once(':')) {
        None => Ok(request),
        Some(Some((user, password))) => Ok(request.basic_auth(user, password)),
        Some(None) => Err(Complaint::new("-u has no password, and gannet never asks for one")
            .fix("-u USER:PASSWORD, or -u USER: for an empty one")),
    }
}

/// What is sent behind the head.
enum Sent {
    Nothing,
    Bytes(&'static str, Vec<u8>),
    Form(Form),
}

/// Of several kinds of body, and of a body and a method without one, none is guessed.
fn body(args: &RequestArgs) -> Result<Sent, Complaint> {
    // Bodies may hold secrets: they are not shown.
    let named = [
        (!args.data.0.is_empty()).then_some("-d"),
        args.json.is_some().then_some("--json"),
        (!args.form.is_empty()).then_some("-F"),
        args.head.then_some("-I"),
    ];
    let mut named = named.into_iter().flatten();
    let one = named.next();
    match (one, named.next()) {
        // Its data go to the URL.
        (Some("-d"), Some("-I") | None) if args.get => Ok(Sent::Nothing),
        (Some(one), Some(other)) => Err(Complaint::contradiction(one, other)),
        (Some("-d"), None) => Ok(Sent::Bytes(FORM, data::joined(&args.data.0)?)),
        (Some("--json"), None) => {
            Ok(Sent::Bytes(JSON, data::given(args.json.as_deref().unwrap_or_default())?))
        }
        (Some("-F"), None) => Ok(Sent::Form(form::form(&args.form)?)),
        _ if args.get => Err(Complaint::new("-G has no data to put into the URL").fix("give it with -d")),
        _ => Ok(Sent::Nothing),
    }
}

/// The data of `-G`, for the URL's query.
pub(crate) fn query(args: &RequestArgs) -> Result<Option<String>, Complaint> {
    if !args.get {
        return Ok(None);
    }
    let bytes = data::joined(&args.data.0)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Complaint::new("the data of -G are no text").fix("--data-urlencode encodes them for the URL")
    })?;
    Ok(Some(text))
}

/// Not a secret by its name, but what stands in it may be: it is not shown.
fn referer(text: &str) -> Result<HeaderValue, Complaint> {
    if text.ends_with(";auto") {
        return Err(Complaint::new("-e takes no ;auto: the Referer stays the same on all hops")
            .fix("-e URL, or none"));
    }
    HeaderValue::from_str(text).map_err(|_| Complaint::new("the value of -e cannot be sent in a header"))
}

/// `0-499`, `500-`, `-500`, and lists of these (RFC 9110, section 14.1.2).
fn range(text: &str) -> Result<HeaderValue, Complaint> {
    let is_number = |text: &str| text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit());
    let is_range = |part: &str| match part.trim().split_once('-') {
        Some((from, to)) if from.is_empty() && to.is_empty() => false,
        Some((from, to)) => is_number(from) && is_number(to),
        None => false,
    };
    if !text.split(',').all(is_range) {
        return Err(
            Complaint::new(format!("-r {text} is no range of bytes")).fix("-r 0-499, -r 500- or -r -500")
        );
    }
    let value = HeaderValue::from_str(&format!("bytes={text}"));
    Ok(value.expect("digits, commas and dashes can be sent"))
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

/// All that is to be read from standard input, in words.
pub(crate) fn stdin_readers(
    args: &RequestArgs,
    list: Option<&str>,
    (record, shared): (&RecordArgs, &SharedArgs),
) -> Vec<&'static str> {
    let list = (list == Some("-")).then_some("-i -");
    let options = shared.display.curl_config.iter().filter(|file| *file == "-").map(|_| "-K -");
    let data = args.data.0.iter().filter(|piece| data::reads_stdin(piece)).map(|_| "a body of @-");
    let json = (args.json.as_deref() == Some("@-")).then_some("a body of @-");
    let form = args.form.iter().filter(|field| form::reads_stdin(field)).map(|_| "-F @-");
    let cookies = args.cookies.iter().filter(|value| *value == "-").map(|_| "-b -");
    let format = (record.write_out.as_deref() == Some("@-")).then_some("-w @-");
    let of_body = data.chain(json).chain(form).chain(cookies);
    list.into_iter().chain(options).chain(of_body).chain(format).collect()
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        for text in ["0-499", "500-", "-500", "0-0,-1"] {
            assert_eq!(range(text).ok(), HeaderValue::from_str(&format!("bytes={text}")).ok());
        }
        for text in ["", "-", "5", "a-b", "1-2-3", "0-1;x"] {
            assert!(range(text).is_err(), "{text} was taken");
        }
    }
}
