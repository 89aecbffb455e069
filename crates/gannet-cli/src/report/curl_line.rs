//! `--curl`: the line for a shell that does the same for one request with curl. Text only; nothing is hidden, for it
//! is to be run.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

/// What one request is, in plain facts.
#[derive(Debug, Clone)]
pub(crate) struct CurlLine<'a> {
    pub(crate) method: &'a Method,
    /// With its credentials, if it has any.
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(HeaderName, HeaderValue)],
    pub(crate) body: CurlBody<'a>,
    pub(crate) refused: CurlRefused,
    pub(crate) redirects: CurlRedirects,
    /// Retries after the first attempt; `None` for no end, which curl does not have.
    pub(crate) retries: Option<u32>,
    pub(crate) max_time: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) cacert: Option<&'a Path>,
    pub(crate) output: Option<&'a Path>,
    /// Options of curl that stand for themselves, such as `-k`, `--compressed`, `--http2`.
    pub(crate) flags: &'a [&'a str],
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CurlBody<'a> {
    None,
    Bytes(&'a [u8]),
    /// As the options `-F` among the flags say.
    Form,
}

/// What becomes of the body of a status that is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CurlRefused {
    Dropped,
    Kept,
}

/// Whether redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CurlRedirects {
    Return,
    Follow(u32),
}

/// What curl says of a body that it is given by `--data-raw` and `--data-binary`.
const FORM: &str = "application/x-www-form-urlencoded";

/// curl has no endless retries; this many are as good.
const ENDLESS: u32 = 1_000_000;

/// The longest body that stands in the line itself, in bytes: systems take arguments of 128 KiB.
const LONGEST: usize = 100_000;

impl CurlLine<'_> {
    /// The line, without a line break at its end; bytes, for paths and header values need not be text. `None` for a
    /// body that is too long for a command line.
    pub(crate) fn text(&self) -> Option<Vec<u8>> {
        let mut line = Line(Vec::new());
        let is_piped =
            matches!(self.body, CurlBody::Bytes(bytes) if bytes.iter().any(|byte| is_control(*byte)));
        if let CurlBody::Bytes(bytes) = self.body {
            if bytes.len() > LONGEST {
                return None;
            }
            if is_piped {
                line.0.extend_from_slice(b"printf ");
                line.0.extend(printed(bytes));
                line.0.extend_from_slice(b" | ");
            }
        }
        line.0.extend_from_slice(b"curl");
        line.word(match self.refused {
            CurlRefused::Dropped => b"--fail".as_slice(),
            CurlRefused::Kept => b"--fail-with-body",
        });
        self.method(&mut line);
        self.headers(&mut line);
        match self.body {
            CurlBody::None | CurlBody::Form => {}
            CurlBody::Bytes(_) if is_piped => line.option("--data-binary", b"@-"),
            CurlBody::Bytes(bytes) => line.option("--data-raw", bytes),
        }
        self.limits(&mut line);
        self.flags.iter().for_each(|flag| line.word(flag.as_bytes()));
        if let Some(path) = self.output {
            // curl's own - is standard output.
            let path = if path == Path::new("-") { OsStr::new("./-") } else { path.as_os_str() };
            line.option("-o", path.as_encoded_bytes());
        }
        if self.url.contains(['[', ']', '{', '}']) {
            line.word(b"-g");
        }
        line.word(self.url.as_bytes());
        Some(line.0)
    }

    fn method(&self, line: &mut Line) {
        let implied = if matches!(self.body, CurlBody::None) { Method::GET } else { Method::POST };
        match self.method {
            method if *method == implied => {}
            &Method::HEAD if implied == Method::GET => line.word(b"-I"),
            method => line.option("-X", method.as_str().as_bytes()),
        }
    }

    fn headers(&self, line: &mut Line) {
        let has_body = matches!(self.body, CurlBody::Bytes(_));
        for (name, value) in self.headers {
            if has_body && *name == http::header::CONTENT_TYPE && value == FORM {
                // curl says so itself, and only as long as it sends the body: not behind a redirect that drops it.
                continue;
            }
            let field = match value.as_bytes() {
                // A field without a value, in curl's words.
                [] => [name.as_str().as_bytes(), b";"].concat(),
                value => [name.as_str().as_bytes(), b": ", value].concat(),
            };
            line.option("-H", &field);
        }
        let has_type = self.headers.iter().any(|(name, _)| *name == http::header::CONTENT_TYPE);
        if !has_type && has_body {
            // Or curl would call it a form.
            line.option("-H", b"content-type:");
        }
    }

    fn limits(&self, line: &mut Line) {
        if let CurlRedirects::Follow(most) = self.redirects {
            line.word(b"-L");
            line.option("--max-redirs", most.to_string().as_bytes());
        }
        match self.retries {
            Some(0) => {}
            retries => line.option("--retry", retries.unwrap_or(ENDLESS).to_string().as_bytes()),
        }
        for (option, length) in [("-m", self.max_time), ("--connect-timeout", self.connect_timeout)] {
            if let Some(length) = length {
                line.option(option, length.as_secs_f64().to_string().as_bytes());
            }
        }
        if let Some(path) = self.cacert {
            line.option("--cacert", path.as_os_str().as_encoded_bytes());
        }
    }
}

/// A line for a POSIX shell, word by word.
struct Line(Vec<u8>);

impl Line {
    fn option(&mut self, name: &str, value: &[u8]) {
        self.word(name.as_bytes());
        self.word(value);
    }

    fn word(&mut self, word: &[u8]) {
        self.0.push(b' ');
        self.0.extend(quoted(word));
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}

/// A word as a shell has to read it (POSIX.1-2024, XCU 2.2).
fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    // On one line, unless its last line break would be lost.
    if word.iter().any(|byte| is_control(*byte)) && !word.ends_with(b"\n") {
        return [b"\"$(printf ", &printed(word)[..], b")\""].concat();
    }
    let mut quoted = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// The same for `printf`, which makes bytes of octal numbers.
fn printed(bytes: &[u8]) -> Vec<u8> {
    let mut format = vec![b'\''];
    for byte in bytes {
        match byte {
            b'%' => format.extend_from_slice(b"%%"),
            b'\\' => format.extend_from_slice(b"\\\\"),
            // A format that begins with a dash would be taken for an option.
            b'\'' | b'-' => format.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            byte if is_control(*byte) => format.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            byte => format.push(*byte),
        }
    }
    format.push(b'\'');
    format
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn plain<'a>() -> CurlLine<'a> {
        CurlLine {
            method: &Method::GET,
            url: "http://h/a",
            headers: &[],
            body: CurlBody::None,
            refused: CurlRefused::Dropped,
            redirects: CurlRedirects::Return,
            retries: Some(0),
            max_time: None,
            connect_timeout: None,
            cacert: None,
            output: None,
            flags: &[],
        }
    }

    fn text(line: &CurlLine<'_>) -> String {
        String::from_utf8(line.text().expect("it is short")).expect("text")
    }

    /// What curl would be given by a shell: its words and its standard input.
    fn run(line: &CurlLine<'_>) -> Vec<u8> {
        let stub =
            "curl() { for word; do printf '<%s>' \"$word\"; done; case \" $* \" in *' @- '*) cat;; esac; }; ";
        let script = [stub.as_bytes(), &line.text().expect("it is short")].concat();
        let script: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&script[..]);
        Command::new("sh").arg("-c").arg(script).output().expect("a shell").stdout
    }

    #[test]
    fn a_request_is_told_in_curls_options() {
        assert_eq!(text(&plain()), "curl --fail http://h/a");
        let headers = [
            (HeaderName::from_static("x-a"), HeaderValue::from_static("it's")),
            (HeaderName::from_static("x-b"), HeaderValue::from_static("")),
        ];
        let line = CurlLine {
            method: &Method::PUT,
            url: "https://h/[1]?a=b&c=d",
            headers: &headers,
            body: CurlBody::Bytes(b"a=b"),
            redirects: CurlRedirects::Follow(10),
            retries: None,
            max_time: Some(Duration::from_millis(1500)),
            cacert: Some(Path::new("my ca.pem")),
            output: Some(Path::new("-")),
            flags: &["-k", "--compressed"],
            ..plain()
        };
        let expected = "curl --fail -X PUT -H 'x-a: it'\\''s' -H 'x-b;' -H content-type: --data-raw a=b -L --max-redirs 10 \
                        --retry 1000000 -m 1.5 --cacert 'my ca.pem' -k --compressed -o ./- -g 'https://h/[1]?a=b&c=d'";
        assert_eq!(text(&line), expected);
        assert_eq!(text(&CurlLine { method: &Method::HEAD, ..plain() }), "curl --fail -I http://h/a");
    }

    #[test]
    fn a_shell_reads_what_was_meant_whatever_it_holds() {
        for word in
            ["", "a b", "$(id)`id`", "'\"\\", "*?[a]~#!", "a\nb\tc", "-n", "%s\\n", "\u{e4}", "\n", "a;b&c|d"]
        {
            let line = CurlLine { output: Some(Path::new(word)), ..plain() };
            let expected = format!("<--fail><-o><{word}><http://h/a>");
            assert_eq!(String::from_utf8_lossy(&run(&line)), expected, "{word:?}");
        }
    }

    #[test]
    fn a_body_of_any_bytes_reaches_curl_on_one_line() {
        let bytes: Vec<u8> = (0..=255).chain(*b"-'%\\\n").collect();
        for body in [&bytes[..], b"-\n", b"a=b", b"@x", b"\0"] {
            let line = CurlLine { method: &Method::POST, body: CurlBody::Bytes(body), ..plain() };
            assert!(!line.text().expect("it is short").contains(&b'\n'));
            let ran = run(&line);
            let is_there = ran.windows(body.len()).any(|piece| piece == body);
            assert!(is_there, "{body:?}: {:?}", String::from_utf8_lossy(&ran));
        }
        let long = vec![b'x'; LONGEST + 1];
        assert!(CurlLine { body: CurlBody::Bytes(&long), ..plain() }.text().is_none());
    }
}
