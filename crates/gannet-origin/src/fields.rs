//! The header fields of a request that an answer may depend on. Only read here, never judged.

/// Those fields; of one that is sent twice, the last holds, but for Accept-Encoding, which is joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) accept_encoding: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<String>,
}

impl Fields {
    /// Takes in one header line; a value that is no text is left out.
    pub(crate) fn heed(&mut self, name: &str, value: &[u8]) {
        let place = if name.eq_ignore_ascii_case("range") {
            &mut self.range
        } else if name.eq_ignore_ascii_case("if-range") {
            &mut self.if_range
        } else if name.eq_ignore_ascii_case("if-none-match") {
            &mut self.if_none_match
        } else if name.eq_ignore_ascii_case("if-modified-since") {
            &mut self.if_modified_since
        } else if name.eq_ignore_ascii_case("accept-encoding") {
            return self.accept(value);
        } else {
            return;
        };
        *place = std::str::from_utf8(value).ok().map(|text| text.trim().to_owned());
    }

    fn accept(&mut self, value: &[u8]) {
        let Ok(more) = std::str::from_utf8(value) else { return };
        self.accept_encoding = Some(match self.accept_encoding.take() {
            Some(earlier) => format!("{earlier},{more}"),
            None => more.to_owned(),
        });
    }

    /// Says whether Accept-Encoding names this coding, or any by `*`, with a weight above zero (RFC 9110,
    /// section 12.5.3).
    pub(crate) fn accepts(&self, coding: &str) -> bool {
        let weight_of = |wanted: &str| {
            let list = self.accept_encoding.as_deref().unwrap_or_default();
            list.split(',').find_map(|entry| {
                let (name, weight) = entry.split_once(';').unwrap_or((entry, "q=1"));
                let weight = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f64>().ok());
                name.trim().eq_ignore_ascii_case(wanted).then(|| weight.unwrap_or(0.0))
            })
        };
        weight_of(coding).or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_accepted_by_its_name_or_by_the_star_but_not_with_weight_zero() {
        let mut fields = Fields::default();
        assert!(!fields.accepts("gzip"));
        fields.heed("Accept-Encoding", b"gzip;q=0.5, br;q=0");
        fields.heed("accept-encoding", b"*");
        let accepted = ["gzip", "GZIP", "br", "zstd"].map(|name| fields.accepts(name));
        assert_eq!(accepted, [true, true, false, true]);
    }
}
