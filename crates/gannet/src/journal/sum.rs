//! The checksum of a row: over the name of its table and all its fields, in order. SQLite has none of its own, and
//! hands out what a flipped bit has made of a row. Nothing here knows a table.

use rusqlite::types::{ToSqlOutput, ValueRef};
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
            Some(value) => self.0.extend_from_slice(&head(INTEGER, value.to_le_bytes())),
        }
        self
    }

    /// A number without a sign, as SQLite's of the same bits.
    pub(super) fn number(&mut self, value: Option<u64>) -> &mut Self {
        self.integer(value.map(u64::cast_signed))
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
                self.0.extend_from_slice(&head(kind, (value.len() as u64).to_le_bytes()));
                self.0.extend_from_slice(value);
            }
        }
        self
    }

    /// The row, as it is written.
    pub(super) fn row(&self) -> &[u8] {
        &self.0
    }

    /// XXH3-64 of the row, as SQLite's integers are.
    pub(super) fn end(&self) -> i64 {
        hash(&self.0).cast_signed()
    }
}

fn head(kind: u8, number: [u8; 8]) -> [u8; 9] {
    let mut head = [kind; 9];
    head[1..].copy_from_slice(&number);
    head
}

/// The fields of a row as they were written, the name of its table first.
pub(super) struct Written<'a>(&'a [u8]);

/// One of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Field<'a> {
    #[default]
    Null,
    Integer(i64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

impl<'a> Written<'a> {
    /// Of all that was written since the row's [beginning](Sum::begin).
    pub(super) fn of(row: &'a [u8]) -> Self {
        Self(row)
    }
}

impl<'a> Iterator for Written<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (kind, rest) = self.0.split_first()?;
        if *kind == NULL {
            self.0 = rest;
            return Some(Field::Null);
        }
        let (number, rest) = rest.split_first_chunk().expect("a number has 8 bytes");
        let number = u64::from_le_bytes(*number);
        if *kind == INTEGER {
            self.0 = rest;
            return Some(Field::Integer(number.cast_signed()));
        }
        let (bytes, rest) = rest.split_at(number as usize);
        self.0 = rest;
        Some(if *kind == TEXT { Field::Text(bytes) } else { Field::Blob(bytes) })
    }
}

impl<'a> From<Field<'a>> for ValueRef<'a> {
    fn from(field: Field<'a>) -> Self {
        match field {
            Field::Null => Self::Null,
            Field::Integer(number) => Self::Integer(number),
            Field::Text(bytes) => Self::Text(bytes),
            Field::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl rusqlite::ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed((*self).into()))
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
    fn what_was_written_is_read_again() {
        let mut sum = Sum::default();
        sum.begin("t").text(None).integer(None).integer(Some(-7)).text(Some("")).text(Some("\u{e9}"));
        sum.blob(Some(&[0; 300])).blob(None).integer(Some(i64::MAX));
        let values: Vec<ValueRef<'_>> = Written::of(sum.row()).map(ValueRef::from).collect();
        let expected = [
            ValueRef::Text(b"t"),
            ValueRef::Null,
            ValueRef::Null,
            ValueRef::Integer(-7),
            ValueRef::Text(b""),
            ValueRef::Text("\u{e9}".as_bytes()),
            ValueRef::Blob(&[0; 300]),
            ValueRef::Null,
            ValueRef::Integer(i64::MAX),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
    }
}
