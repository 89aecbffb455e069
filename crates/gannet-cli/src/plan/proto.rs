//! The value of `--proto`: schemes in curl's words. Pure text.

use crate::say::Complaint;

/// What may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) http: bool,
    pub(super) https: bool,
}

/// Schemes that curl knows beside http and https; that they are allowed or not changes nothing here.
const OTHERS: [&str; 26] = [
    "dict", "file", "ftp", "ftps", "gopher", "gophers", "imap", "imaps", "ipfs", "ipns", "ldap", "ldaps",
    "mqtt", "mqtts", "pop3", "pop3s", "rtsp", "scp", "sftp", "smb", "smbs", "smtp", "smtps", "telnet",
    "tftp", "ws",
];

/// Reads a list such as `=https`, `-http`, `-all,https`, `=http,https`: each word changes what the words before it
/// left, beginning with both.
pub(super) fn schemes(text: &str) -> Result<Allowed, Complaint> {
    let mut allowed = Allowed { http: true, https: true };
    for word in text.split(',').map(str::trim) {
        let mark = word.len() - word.trim_start_matches(['+', '-', '=']).len();
        let (marks, name) = word.split_at(mark);
        if marks.contains('=') {
            allowed = Allowed { http: false, https: false };
        }
        let is_wanted = !marks.contains('-');
        match name.to_ascii_lowercase().as_str() {
            "http" => allowed.http = is_wanted,
            "https" => allowed.https = is_wanted,
            "all" => allowed = Allowed { http: is_wanted, https: is_wanted },
            other if OTHERS.contains(&other) => {}
            _ => {
                return Err(Complaint::new(format!("--proto {text}: {name:?} is no scheme"))
                    .fix("--proto '=https', or -http, or +all"));
            }
        }
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_curl_reads_them() {
        for (text, http, https) in [
            ("=https", false, true),
            ("-http", false, true),
            ("-all,https", false, true),
            ("=http,https", true, true),
            ("=ftp", false, false),
            ("-all", false, false),
            ("-ftp", true, true),
            ("+http", true, true),
            ("=https,+http", true, true),
        ] {
            assert_eq!(schemes(text).ok(), Some(Allowed { http, https }), "{text}");
        }
        assert!(schemes("=htps").is_err() && schemes("").is_err());
    }
}
