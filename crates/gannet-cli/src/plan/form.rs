//! The parts of `-F`, in curl's syntax. Files are named here, and read when they are sent.

use std::path::Path;

use gannet::{Form, Part};

use super::data;
use crate::say::Complaint;

/// A part as it was written.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    name: String,
    content: Content,
    media_type: Option<String>,
    file_name: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    /// A file, sent with its name.
    File(String),
    /// A file's text, sent as a plain field.
    TextOf(String),
}

/// Files up to this length are read at the start, in bytes: such a form can be sent more than once.
const READ_AT_START: u64 = 8 << 20;

/// The form of all `-F`.
pub(super) fn form(fields: &[String]) -> Result<Form, Complaint> {
    let mut form = Form::new();
    for field in fields {
        for written in read(field)? {
            let name = written.name.clone();
            form = form.part(name, part(written)?);
        }
    }
    Ok(form)
}

fn part(written: Written) -> Result<Part, Complaint> {
    let mut part = match written.content {
        Content::Text(text) => Part::new(text),
        Content::TextOf(file) => Part::new(data::read(&file)?),
        Content::File(file) => file_part(&file)?,
    };
    if let Some(media_type) = written.media_type {
        part = part.content_type(&media_type).map_err(|error| {
            Complaint::new(format!("-F ...;type={media_type} cannot be sent")).why(error.message())
        })?;
    }
    Ok(match written.file_name {
        Some(file_name) => part.file_name(file_name),
        None => part,
    })
}

fn file_part(file: &str) -> Result<Part, Complaint> {
    let length =
        std::fs::metadata(file).map_or(u64::MAX, |met| if met.is_file() { met.len() } else { u64::MAX });
    if file == "-" || length <= READ_AT_START {
        let name = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
        let part = Part::new(data::read(file)?).file_name(name);
        return Ok(part.content_type("application/octet-stream").expect("a media type"));
    }
    Part::file(file)
        .map_err(|error| Complaint::new(format!("-F @{file} cannot be read")).why(error.message()))
}

/// Whether standard input is read for a part.
pub(super) fn reads_stdin(field: &str) -> bool {
    read(field).is_ok_and(|parts| {
        parts
            .iter()
            .any(|part| matches!(&part.content, Content::File(file) | Content::TextOf(file) if file == "-"))
    })
}

/// `name=text`, `name=@FILE[,FILE]`, `name=<FILE`, each with `;type=` and `;filename=` behind.
fn read(field: &str) -> Result<Vec<Written>, Complaint> {
    let Some((name, content)) = field.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        // The text may be a secret.
        return Err(Complaint::new("-F wants a name and a content").fix("-F name=text or -F name=@FILE"));
    };
    let (kind, rest) = match content.as_bytes().first() {
        Some(b'@') => ('@', &content[1..]),
        Some(b'<') => ('<', &content[1..]),
        _ => ('=', content),
    };
    let (value, options) = split_options(rest);
    let (media_type, file_name) = read_options(&options)?;
    let written = |content| Written {
        name: name.to_owned(),
        content,
        media_type: media_type.clone(),
        file_name: file_name.clone(),
    };
    Ok(match kind {
        '@' => files(&value).into_iter().map(|file| written(Content::File(file))).collect(),
        '<' => vec![written(Content::TextOf(unquoted(&value)))],
        _ => vec![written(Content::Text(unquoted(&value)))],
    })
}

/// Splits at each `;` outside of quotes that an option follows; a `;` in a text is a part of it.
fn split_options(text: &str) -> (String, Vec<String>) {
    let mut pieces: Vec<String> = vec![String::new()];
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        let starts_option = || {
            let rest = text[at + 1..].trim_start();
            ["type=", "filename=", "headers=", "encoder="].iter().any(|known| rest.starts_with(known))
        };
        if letter == ';' && !quoted && starts_option() {
            pieces.push(String::new());
            continue;
        }
        quoted ^= letter == '"' && !escaped;
        escaped = letter == '\\' && quoted && !escaped;
        pieces.last_mut().expect("there is a piece").push(letter);
    }
    let value = pieces.remove(0);
    (value, pieces)
}

fn read_options(options: &[String]) -> Result<(Option<String>, Option<String>), Complaint> {
    let (mut media_type, mut file_name) = (None, None);
    for option in options {
        match option.trim().split_once('=') {
            Some(("type", value)) => media_type = Some(unquoted(value)),
            Some(("filename", value)) => file_name = Some(unquoted(value)),
            _ => {
                let name = option.split('=').next().unwrap_or_default().trim();
                return Err(Complaint::new(format!("-F takes no {name}= behind a content"))
                    .fix("type= and filename= are taken"));
            }
        }
    }
    Ok((media_type, file_name))
}

/// Several files, separated by commas outside of quotes.
fn files(text: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        quoted ^= letter == '"';
        match letter {
            ',' if !quoted => names.push(String::new()),
            letter => names.last_mut().expect("there is a name").push(letter),
        }
    }
    names.iter().map(|name| unquoted(name)).collect()
}

/// Takes quotes away, and the backslashes in front of what they protect.
fn unquoted(text: &str) -> String {
    let inner = text.trim();
    let Some(inner) = inner.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(field: &str) -> Written {
        let mut parts = read(field).unwrap_or_else(|error| panic!("{field}: {error}"));
        assert_eq!(parts.len(), 1, "{field}");
        parts.remove(0)
    }

    fn text(name: &str, text: &str) -> Written {
        Written { name: name.into(), content: Content::Text(text.into()), media_type: None, file_name: None }
    }

    #[test]
    fn texts_keep_their_semicolons_and_lose_their_quotes() {
        assert_eq!(one("a=b"), text("a", "b"));
        assert_eq!(one("a="), text("a", ""));
        assert_eq!(one("a=b;c=d"), text("a", "b;c=d"));
        assert_eq!(one(r#"a="x \"y\";type=z""#), text("a", r#"x "y";type=z"#));
        let html = Written { media_type: Some("text/html".into()), ..text("a", "b") };
        assert_eq!(one("a=b;type=text/html"), html);
    }

    #[test]
    fn files_have_types_and_names_and_may_be_several() {
        let file = one("f=@pic.png;type=image/png;filename=\"a b.png\"");
        assert_eq!(file.content, Content::File("pic.png".into()));
        assert_eq!(
            (file.media_type.as_deref(), file.file_name.as_deref()),
            (Some("image/png"), Some("a b.png"))
        );
        assert_eq!(one("f=<notes.txt").content, Content::TextOf("notes.txt".into()));
        let both = read("f=@a,\"b,c\"").expect("two files");
        assert_eq!(both[1].content, Content::File("b,c".into()));
        assert!(reads_stdin("f=@-") && reads_stdin("f=<-") && !reads_stdin("f=-"));
    }

    #[test]
    fn what_is_no_field_is_refused_without_its_content() {
        for field in ["secret", "=secret"] {
            let said = read(field).expect_err("no name").to_string();
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(read("f=@x;headers=\"A: b\"").is_err());
    }
}
