//! What `/echo` answers: the request as the origin read it, in JSON. Only the text is made here.

use bytes::Bytes;
use serde_json::json;

use crate::request1::RequestHead;

/// Says whether a target asks for an echo.
pub(crate) fn is_asked_for(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or(path_and_query);
    path.strip_prefix("/echo").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Tells an HTTP/1 request back, if it asks for that.
pub(crate) fn of_http1(head: &RequestHead, body: &[u8]) -> Option<Bytes> {
    is_asked_for(head.path_and_query()).then(|| {
        let version = format!("{:?}", head.version);
        told(head.method.as_str(), head.path_and_query(), &version, &head.headers(), body)
    })
}

/// Tells an HTTP/2 request back, if it asks for that.
pub(crate) fn of_http2(head: &http::request::Parts, path_and_query: &str, body: &[u8]) -> Option<Bytes> {
    is_asked_for(path_and_query).then(|| {
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        told(head.method.as_str(), path_and_query, "HTTP/2.0", &headers, body)
    })
}

fn told(method: &str, path: &str, version: &str, headers: &[(String, String)], body: &[u8]) -> Bytes {
    let told = json!({
        "method": method,
        "path": path,
        "version": version,
        "headers": headers,
        "body": String::from_utf8_lossy(body),
    });
    Bytes::from(told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_asked_for_by_its_path_alone() {
        let asked = ["/echo", "/echo?a", "/echo/b", "/echoes", "/?/echo"].map(is_asked_for);
        assert_eq!(asked, [true, true, true, false, false]);
    }
}
