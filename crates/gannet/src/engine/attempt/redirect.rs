//! Redirects: whether a reply is followed, to where, with what of the request, and when (RFC 9110, section 15.4).

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName, LOCATION, REFERER};
use http::{Method, StatusCode};
use percent_encoding::{CONTROLS, percent_encode};
use url::Url;

use super::heard::retry_after;
use super::{Fields, Hop};
use crate::clock::Clock;
use crate::engine::errand::Errand;
use crate::engine::fetch::seconds;
use crate::engine::plan::Redirects;
use crate::error::{Error, ErrorKind, Phase, shown};
use crate::request::body::Body;
use crate::request::is_secret;
use crate::transport::Leg;

/// The longest redirect target, in bytes.
const MAX_LOCATION: usize = 8 << 10;

/// The next hop, if this reply is a redirect that is to be followed (RFC 9110, section 15.4).
pub(super) fn redirect(
    errand: &Errand,
    hop: &Hop,
    head: &http::response::Parts,
    leg: &Leg,
) -> Result<Option<Hop>, Error> {
    let Redirects::Follow(most) = errand.plan.redirects else { return Ok(None) };
    if !matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = head.headers.get(LOCATION) else { return Ok(None) };
    let fail = |kind, message: String| Err(Error::new(kind, Phase::Wait, message));
    if leg.hop_count() >= most as usize {
        return fail(
            ErrorKind::TooManyRedirects,
            format!("more than {most} redirects (--max-redirs {most})"),
        );
    }
    if location.len() > MAX_LOCATION {
        let message = format!("the redirect's target is over its limit of {MAX_LOCATION} bytes");
        return fail(ErrorKind::BadRedirect, message);
    }
    let mut all = head.headers.get_all(LOCATION).iter();
    if all.any(|other| other != location) {
        return fail(ErrorKind::BadRedirect, "the redirect names two different targets".into());
    }
    let mut url = match hop.url.join(&as_text(location.as_bytes())) {
        Ok(url) => url,
        Err(cause) => {
            return fail(ErrorKind::BadRedirect, format!("the redirect's target is no URL: {cause}"));
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("a redirect to {}: is never followed", url.scheme());
        return fail(ErrorKind::RedirectRefused, message);
    }
    let schemes = errand.plan.schemes;
    if !schemes.allow(url.scheme()) {
        let message =
            format!("a redirect is not followed: {} ({})", schemes.refusal(url.scheme()), shown(&url));
        return fail(ErrorKind::RedirectRefused, message);
    }
    if hop.url.scheme() == "https" && url.scheme() == "http" {
        let message = format!("a redirect from https to http is not followed ({})", shown(&url));
        return fail(ErrorKind::RedirectRefused, message);
    }
    // Credentials come from the caller, never from a server.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    let next = next_hop(hop, head.status, url);
    if next.body.is_spent() {
        let message = format!("a {} keeps the body, but {}", head.status.as_u16(), Body::SPENT);
        return fail(ErrorKind::RedirectRefused, message);
    }
    Ok(Some(next))
}

/// Waits for as long as a redirect asks for before it is followed (RFC 9110, section 10.2.3), holding nothing.
pub(super) async fn wait_as_asked(errand: &Errand, head: &http::response::Parts) -> Result<(), Error> {
    let Some(wait) = retry_after(&head.headers, Clock::wall()) else { return Ok(()) };
    let core = &errand.core;
    let until = core.clock.now() + wait;
    let most = errand.plan.retry_after_max;
    let late = errand.deadline().is_some_and(|deadline| deadline <= until);
    if wait > most || late {
        let long = if late { "past the deadline" } else { "longer than is waited for (--retry-after-max)" };
        let message = format!("the redirect is to be followed in {}, {long}", seconds(wait));
        return Err(Error::new(ErrorKind::HostAway, Phase::Queue, message).asked_to_wait(Some(wait)));
    }
    tokio::time::sleep(wait).await;
    Ok(())
}

/// A redirect's target; bytes that are no UTF-8 are escaped one by one, as they stand.
fn as_text(target: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(target) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(percent_encode(target, CONTROLS).to_string()),
    }
}

fn next_hop(hop: &Hop, status: StatusCode, url: Url) -> Hop {
    let moved = hop.url.origin() != url.origin();
    let secrets = if moved { Fields::Dropped } else { hop.secrets };
    let becomes_get = match status {
        StatusCode::SEE_OTHER => hop.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => hop.method == Method::POST,
        _ => false,
    };
    let (onward, conditions) = (hop.onward.clone(), hop.conditions);
    let (method, body, content) = match becomes_get {
        true => (Method::GET, Body::default(), Fields::Dropped),
        false => (hop.method.clone(), hop.body.clone(), hop.content),
    };
    Hop { url, method, body, secrets, content, onward, conditions }
}

/// Takes out what another origin must not see.
pub(super) fn drop_secrets(headers: &mut HeaderMap, from: &Url) {
    headers.remove(http::header::HOST);
    let secret: Vec<HeaderName> = headers.keys().filter(|name| is_secret(name)).cloned().collect();
    for name in secret {
        headers.remove(name);
    }
    if let Some(referer) = headers.get(REFERER).and_then(|value| value.to_str().ok()) {
        let mut referer = Url::parse(referer).unwrap_or_else(|_| from.clone());
        referer.set_query(None);
        let _ = referer.set_username("");
        let _ = referer.set_password(None);
        if let Ok(value) = referer.as_str().parse() {
            headers.insert(REFERER, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::attempt::unless::Conditions;
    use http::HeaderValue;
    use http::header::ACCEPT;

    fn hop(url: &str) -> Hop {
        let url = url.parse().expect("a URL");
        let (secrets, content) = (Fields::Sent, Fields::Sent);
        let (onward, conditions) = (None, Conditions::Asked);
        Hop { url, method: Method::POST, body: "x".into(), secrets, content, onward, conditions }
    }

    #[test]
    fn secrets_are_dropped_on_a_change_of_scheme_host_or_port_and_stay_dropped() {
        let from = hop("http://a.example/");
        for target in
            ["https://a.example/", "http://b.example/", "http://a.example:81/", "http://x.a.example/"]
        {
            let away = next_hop(&from, StatusCode::FOUND, target.parse().expect("a URL"));
            assert_eq!(away.secrets, Fields::Dropped, "{target}");
            let back = next_hop(&away, StatusCode::FOUND, from.url.clone());
            assert_eq!(back.secrets, Fields::Dropped, "{target} and back");
        }
        let within = next_hop(&from, StatusCode::FOUND, "http://a.example/other".parse().expect("a URL"));
        assert_eq!(within.secrets, Fields::Sent);
    }

    #[test]
    fn fields_that_hold_a_secret_by_name_are_dropped_and_a_referer_loses_its_query() {
        let secret =
            ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token", "my-session"];
        let mut headers: HeaderMap = secret
            .iter()
            .map(|name| (name.parse().expect("a name"), HeaderValue::from_static("s")))
            .collect();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(REFERER, HeaderValue::from_static("http://a.example/p?token=s"));
        drop_secrets(&mut headers, &"http://a.example/".parse().expect("a URL"));
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[REFERER], "http://a.example/p");
    }

    #[test]
    fn a_post_becomes_a_get_after_301_302_303_and_stays_after_307_308() {
        let from = hop("http://a.example/");
        for (status, method) in [
            (301, Method::GET),
            (302, Method::GET),
            (303, Method::GET),
            (307, Method::POST),
            (308, Method::POST),
        ] {
            let next = next_hop(&from, StatusCode::from_u16(status).expect("a status"), from.url.clone());
            assert_eq!(
                (next.content == Fields::Dropped, next.body.is_empty()),
                (method == Method::GET, method == Method::GET)
            );
            assert_eq!(next.method, method, "{status}");
        }
    }
}
