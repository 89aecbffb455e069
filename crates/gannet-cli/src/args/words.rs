//! What people type in the place of a URL: mistyped subcommands, lists, other tools' addresses. Pure text; nothing
//! here fetches.

use crate::say::Complaint;

/// Words that begin a command line.
pub(super) const SUBCOMMANDS: [&str; 14] = [
    "get",
    "race",
    "check",
    "demo",
    "resume",
    "retry",
    "jobs",
    "explain",
    "verify",
    "doctor",
    "config",
    "completions",
    "man",
    "help",
];

/// Schemes that curl speaks and gannet does not.
const FOR_CURL: [&str; 18] = [
    "ftp", "ftps", "sftp", "scp", "tftp", "file", "smb", "smbs", "telnet", "dict", "gopher", "ldap", "imap",
    "pop3", "smtp", "rtsp", "mqtt", "ws",
];

/// Long options of curl for what gannet does not do; of each, what begins so.
const CURLS_OPTIONS: [&str; 10] = [
    "-T",
    "--upload-file",
    "-Q",
    "--quote",
    "-a",
    "--append",
    "--ftp",
    "--mail",
    "--telnet-option",
    "--tftp",
];

pub(super) const USE_CURL: &str = "gannet fetches; use curl for this";

/// Takes a word for a URL, or says what it may have been meant to be.
pub(crate) fn check_url(word: &str) -> Result<(), Complaint> {
    if word == "-" {
        return Err(Complaint::new("- is no URL").fix("to read URLs from standard input: -i -"));
    }
    let scheme = word.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.is_some_and(|scheme| FOR_CURL.contains(&scheme.as_str())) {
        return Err(Complaint::new(format!("{} is not fetched", without_userinfo(word))).fix(USE_CURL));
    }
    if word.contains([':', '/', '.']) || word.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    Err(not_a_url(word))
}

fn not_a_url(word: &str) -> Complaint {
    if SUBCOMMANDS.contains(&word) {
        return Complaint::new(format!("the subcommand `{word}` has to come first"))
            .fix(format!("gannet {word} ..."));
    }
    let complaint = Complaint::new(format!("`{word}` is neither a URL nor a subcommand"));
    if let Some(nearest) = nearest(word, SUBCOMMANDS) {
        return complaint
            .fix(format!("did you mean `gannet {nearest}`? (the host of that name is http://{word})"));
    }
    complaint.fix(format!("the host of that name is http://{word}; gannet -h shows the subcommands"))
}

/// The name that was probably meant: at most two letters away, and less than half of what was typed.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 2).min(2);
    let near = names.into_iter().map(|name| (distance(word, name), name));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Refuses a list that is a URL itself.
pub(crate) fn check_list(name: &str) -> Result<(), Complaint> {
    let scheme = name.split_once("://").map(|(scheme, _)| scheme);
    if scheme
        .is_some_and(|scheme| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    {
        return Err(Complaint::new(format!("-i {} is no list", without_userinfo(name)))
            .fix("lists are read with -i; for headers use --include"));
    }
    Ok(())
}

/// What to say to an option that is curl's and out of scope.
pub(super) fn curls_option(option: &str) -> Option<Complaint> {
    let name = option.split(['=', ' ']).next().unwrap_or(option);
    is_curls(name).then(|| Complaint::new(format!("there is no {name}")).fix(USE_CURL))
}

/// Whether an option, with its dashes, is curl's and out of scope.
pub(super) fn is_curls(name: &str) -> bool {
    let is = |known: &str| name == known || (known.len() > 2 && name.starts_with(&format!("{known}-")));
    CURLS_OPTIONS.into_iter().any(is)
}

/// A URL as it may be shown: without userinfo, with a scheme or not.
pub(crate) fn without_userinfo(text: &str) -> String {
    let begin = match text.split_once("//") {
        Some((before, _)) if before.is_empty() || is_scheme(before) => before.len() + 2,
        _ => 0,
    };
    let (before, rest) = text.split_at(begin);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{before}{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// `http:`, or whatever may be meant by such.
fn is_scheme(text: &str) -> bool {
    text.strip_suffix(':').is_some_and(|name| !name.contains(['/', '?', '#', '@']))
}

/// Levenshtein's distance, in letters.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, facing) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *facing);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(word: &str) -> String {
        check_url(word).expect_err("no URL").to_string()
    }

    #[test]
    fn a_mistyped_subcommand_is_not_taken_for_a_host() {
        assert!(said("rase").contains("did you mean `gannet race`?"));
        for (typed, meant) in
            [("dmeo", "demo"), ("docter", "doctor"), ("conifg", "config"), ("completion", "completions")]
        {
            assert!(said(typed).contains(&format!("did you mean `gannet {meant}`?")), "{typed}");
        }
        assert!(said("intranet").contains("http://intranet") && !said("intranet").contains("did you mean"));
        assert!(said("race").contains("has to come first"));
    }

    #[test]
    fn what_can_be_an_address_is_taken_for_one() {
        for word in ["example.org", "localhost", "host:8080", "http://intranet", "a/b", "[::1]"] {
            assert!(check_url(word).is_ok(), "{word}");
        }
    }

    #[test]
    fn what_curl_does_is_left_to_curl() {
        assert!(
            said("ftp://user:secret@host/x").contains(USE_CURL)
                && !said("ftp://u:secret@host/x").contains("secret")
        );
        for option in ["-T", "--upload-file", "--ftp-pasv", "--mail-from", "--upload-file=x"] {
            assert!(curls_option(option).is_some(), "{option}");
        }
        assert!(curls_option("--timeout").is_none() && curls_option("-y").is_none());
    }

    #[test]
    fn userinfo_is_not_shown_behind_a_scheme_or_without_one() {
        for (written, shown) in [
            ("http://me:s3cret@h/x", "http://h/x"),
            ("me:s3cret@h/[1-", "h/[1-"),
            ("//me:s3cret@h/", "//h/"),
            ("me:a@b@h:81?q=x@y", "h:81?q=x@y"),
            ("me:p@h/http://x", "h/http://x"),
            ("h/~me@home", "h/~me@home"),
            ("http://h/me@home", "http://h/me@home"),
        ] {
            assert_eq!(without_userinfo(written), shown, "{written}");
        }
    }

    #[test]
    fn a_url_is_no_list() {
        let said = check_list("https://host/").expect_err("a URL").to_string();
        assert!(said.contains("lists are read with -i; for headers use --include"));
        assert!(check_list("urls.txt").is_ok() && check_list("-").is_ok());
    }
}
