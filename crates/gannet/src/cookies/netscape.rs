//! Files of cookies in Netscape's format, as curl reads them with `-b` and writes them with `-c`: seven fields a line,
//! with tabs between them.

use std::io::{BufRead, Read as _, Write};

use super::jar::Refused;
use super::{Cookie, Cookies, Reach};
use crate::error::{Error, ErrorKind, Phase};

/// The longest line, in bytes.
const LINE: usize = 16 << 10;
/// Before the domain of a cookie that scripts may not see.
const HTTP_ONLY: &str = "#HttpOnly_";

/// Reads a file line by line; gives how many cookies were taken.
pub(super) fn load(
    mut reader: impl BufRead,
    mut insert: impl FnMut(Cookie) -> Result<(), Refused>,
) -> Result<usize, Error> {
    let (mut line, mut taken) = (Vec::new(), 0);
    for number in 1_u64.. {
        line.clear();
        let length = reader.by_ref().take(LINE as u64 + 1).read_until(b'\n', &mut line).map_err(|cause| {
            Error::new(
                ErrorKind::BadCookie,
                Phase::Queue,
                format!("the file of cookies cannot be read: {cause}"),
            )
            .caused_by(cause)
        })?;
        if length == 0 {
            break;
        }
        if length > LINE {
            return Err(bad(number, &format!("is over its limit of {LINE} bytes")));
        }
        let text = std::str::from_utf8(&line).map_err(|_| bad(number, "is not UTF-8"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        let is_comment = text.starts_with('#') && !text.starts_with(HTTP_ONLY);
        if is_comment || text.trim().is_empty() {
            continue;
        }
        let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
        let cookie = cookie_of(text).ok_or_else(|| bad(number, "has not the seven fields of a cookie"))?;
        match insert(cookie) {
            Ok(()) => taken += 1,
            Err(Refused::Expired | Refused::PublicSuffix) => {}
            Err(refused) => return Err(bad(number, &format!("cannot be used: {}", refused.reason()))),
        }
    }
    Ok(taken)
}

/// Domain, whether hosts below it count, path, whether secure, expiry, name, value; the value may be missing.
fn cookie_of(line: &str) -> Option<Cookie> {
    let (http_only, line) = match line.strip_prefix(HTTP_ONLY) {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (domain, below, path, secure) = (next()?, next()?, next()?, next()?);
    let (expires, name, value) = (next()?.parse::<i64>().ok()?, next()?, next().unwrap_or(""));
    if fields.next().is_some() {
        return None;
    }
    Some(Cookie {
        name: name.into(),
        value: value.into(),
        domain: domain.trim_start_matches('.').to_ascii_lowercase().into(),
        reach: if truth(below)? { Reach::Subdomains } else { Reach::Host },
        path: if path.starts_with('/') { path.into() } else { "/".into() },
        secure: truth(secure)?,
        http_only,
        // 0 is the end of the session; before 1970 is long ago.
        expires: if expires == 0 { None } else { Some(u64::try_from(expires).unwrap_or(0)) },
    })
}

fn truth(field: &str) -> Option<bool> {
    match field {
        _ if field.eq_ignore_ascii_case("TRUE") => Some(true),
        _ if field.eq_ignore_ascii_case("FALSE") => Some(false),
        _ => None,
    }
}

/// Never shows the line: it holds a secret.
fn bad(number: u64, what: &str) -> Error {
    Error::new(ErrorKind::BadCookie, Phase::Queue, format!("line {number} of the file of cookies {what}"))
}

/// Writes a file that [`load`], curl and others read.
pub(super) fn save(mut writer: impl Write, cookies: &Cookies) -> std::io::Result<()> {
    let word = |truth: bool| if truth { "TRUE" } else { "FALSE" };
    writeln!(writer, "# Netscape HTTP Cookie File")?;
    for cookie in cookies {
        let before = if cookie.http_only { HTTP_ONLY } else { "" };
        let below = cookie.includes_subdomains();
        let dot = if below { "." } else { "" };
        let Cookie { domain, path, name, value, .. } = &cookie;
        let (below, secure) = (word(below), word(cookie.secure));
        let expires = cookie.expires.unwrap_or(0);
        writeln!(writer, "{before}{dot}{domain}\t{below}\t{path}\t{secure}\t{expires}\t{name}\t{value}")?;
    }
    writer.flush()
}
