//! The checksum of a row: over the name of its table and all its fields, in order. SQLite has none of its own, and
//! hands out what a flipped bit has made of a row. Nothing here knows a table.

use twox_hash::XxHash3_64;

/// What a checksum is computed over. Each field is written with its type and length, so that no two rows are written
/// alike.
#[derive(Debug, Default)]
pub(super) struct Sum(Vec<u8>);

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BLOB: u8 = 3;

impl Sum {
    /// Begins the row of a table.
    pub(super) fn begin(&mut self, table: &str) -> &mut Self {
        self.0.clear();
        self.text(Some(table))
    }

    pub(super) fn integer(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            None => self.0.push(NULL),
            Some(value) => {
                self.0.push(INTEGER);
                self.0.extend_from_slice(&value.to_le_bytes());
            }
        }
        self
    }

    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        self.bytes(TEXT, value.map(str::as_bytes))
    }

    pub(super) fn blob(&mut self, value: Option<&[u8]>) -> &mut Self {
        self.bytes(BLOB, value)
    }

    fn bytes(&mut self, kind: u8, value: Option<&[u8]>) -> &mut Self {
        match value {
            None => self.0.push(NULL),
            Some(value) => {
                self.0.push(kind);
                self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
                self.0.extend_from_slice(value);
            }
        }
        self
    }

    /// XXH3-64 of the row, as SQLite's integers are.
    pub(super) fn end(&self) -> i64 {
        hash(&self.0).cast_signed()
    }
}

/// XXH3-64 with the seed 0: the same on every machine and for every version.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_run_together_are_told_apart() {
        let sum = |one: Option<&str>, other: Option<&str>| {
            Sum::default().begin("t").text(one).text(other).integer(Some(1)).end()
        };
        let all = [
            sum(Some("ab"), Some("c")),
            sum(Some("a"), Some("bc")),
            sum(Some("abc"), Some("")),
            sum(Some("abc"), None),
            sum(None, Some("abc")),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one));
        }
        let (text, blob) = (
            Sum::default().begin("t").text(Some("a")).end(),
            Sum::default().begin("t").blob(Some(b"a")).end(),
        );
        assert_ne!(text, blob);
    }

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
    }
}
