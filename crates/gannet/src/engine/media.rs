//! Media ranges: which types of replies are taken, and what is said of them in an Accept field. Plain data.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::error::{Error, ErrorKind, Phase};

/// Media ranges such as `image/*`, `application/pdf` or `*/*` (RFC 9110, section 12.5.1), without parameters.
///
/// # Examples
/// ```
/// let images: gannet::MediaTypes = "image/png, image/jpeg".parse()?;
/// assert!(images.contains("image/PNG; q=1") && !images.contains("text/html"));
/// # Ok::<(), gannet::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTypes {
    ranges: Arc<[Range]>,
    field: HeaderValue,
}

/// One range, in lower case; `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    main: Option<Box<str>>,
    sub: Option<Box<str>>,
}

/// Media ranges of one setting.
const MAX_RANGES: usize = 64;

impl MediaTypes {
    /// These ranges; parameters are passed over.
    ///
    /// # Errors
    /// [`Settings`](ErrorKind::Settings): none is given, more than 64 are, or one is no media range.
    pub fn new(ranges: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, Error> {
        let ranges: Vec<Range> =
            ranges.into_iter().map(|range| Range::parse(range.as_ref())).collect::<Result<_, _>>()?;
        if ranges.is_empty() {
            return Err(bad("no media type is given, such as image/* or text/html".into()));
        }
        if ranges.len() > MAX_RANGES {
            return Err(bad(format!("{} media types are over their limit of {MAX_RANGES}", ranges.len())));
        }
        let text: Vec<String> = ranges.iter().map(Range::to_string).collect();
        let field = HeaderValue::try_from(text.join(", ")).map_err(|cause| bad(cause.to_string()))?;
        Ok(Self { ranges: ranges.into(), field })
    }

    /// Whether a Content-Type of this value lies in one of the ranges.
    pub fn contains(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let Some((main, sub)) = essence.split_once('/') else { return false };
        is_token(main) && is_token(sub) && self.ranges.iter().any(|range| range.contains(main, sub))
    }

    /// Whether a reply with these fields is taken: it has a Content-Type, and each that it has lies in a range.
    pub(crate) fn match_fields(&self, fields: &HeaderMap) -> bool {
        let mut types = fields.get_all(CONTENT_TYPE).iter().peekable();
        types.peek().is_some() && types.all(|value| value.to_str().is_ok_and(|value| self.contains(value)))
    }

    /// The value of an Accept field.
    pub(crate) fn field(&self) -> HeaderValue {
        self.field.clone()
    }
}

impl FromStr for MediaTypes {
    type Err = Error;

    /// Ranges with commas between them.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text.split(','))
    }
}

impl fmt::Display for MediaTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.to_str().unwrap_or_default())
    }
}

impl Range {
    fn parse(text: &str) -> Result<Self, Error> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let not = |why: &str| bad(format!("{:?} is no media type: {why}", text.trim()));
        let Some((main, sub)) = essence.split_once('/') else {
            return Err(not("it is a type, a slash and a subtype, such as image/* or text/html"));
        };
        if !is_token(main) || !is_token(sub) {
            return Err(not("type and subtype are made of letters, digits and !#$%&'*+-.^_`|~"));
        }
        let part = |part: &str| (part != "*").then(|| part.to_ascii_lowercase().into_boxed_str());
        let range = Self { main: part(main), sub: part(sub) };
        if range.main.is_none() && range.sub.is_some() {
            return Err(not("a subtype of any type cannot be named"));
        }
        let stars = |part: &Option<Box<str>>| part.as_ref().is_some_and(|part| part.contains('*'));
        if stars(&range.main) || stars(&range.sub) {
            return Err(not("a star stands for a whole type or subtype"));
        }
        Ok(range)
    }

    fn contains(&self, main: &str, sub: &str) -> bool {
        let fits = |mine: &Option<Box<str>>, its: &str| {
            mine.as_ref().is_none_or(|mine| mine.eq_ignore_ascii_case(its))
        };
        fits(&self.main, main) && fits(&self.sub, sub)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Option<Box<str>>| part.clone().unwrap_or_else(|| "*".into());
        write!(f, "{}/{}", part(&self.main), part(&self.sub))
    }
}

/// Whether `text` is a token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(sign)
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Settings, Phase::Queue, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_match_by_type_and_subtype_whatever_their_case_and_parameters() {
        let types: MediaTypes = "Image/*, application/PDF;q=0.5 ,text/html".parse().expect("media types");
        assert_eq!(types.to_string(), "image/*, application/pdf, text/html");
        for taken in ["image/png", "IMAGE/svg+xml; x=1", "application/pdf", " Text/HTML ; charset=utf-8"] {
            assert!(types.contains(taken), "{taken}");
        }
        for left in ["text/plain", "application/pdfx", "image", "image/", "", "text/html, image/png"] {
            assert!(!types.contains(left), "{left}");
        }
    }

    #[test]
    fn what_is_no_media_type_is_refused_with_its_text() {
        for text in [
            "",
            "image",
            "image/",
            "/png",
            "*/html",
            "im*/png",
            "image/p*",
            "a b/c",
            "image/*,",
            "text/ht ml",
        ] {
            let error = text.parse::<MediaTypes>().expect_err(text);
            assert!(
                error.kind() == ErrorKind::Settings && error.message().contains("is no media type"),
                "{error}"
            );
        }
        assert!(MediaTypes::new([""; 0]).is_err());
        assert!(MediaTypes::new(["a/b"; 65]).expect_err("too many").message().contains("limit of 64"));
    }
}
