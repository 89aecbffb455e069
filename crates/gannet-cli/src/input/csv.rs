//! Comma-separated values (RFC 4180) under a row of names. A record may span lines; it is read in bounded memory, so
//! that a quote which is never closed costs one error and no more.

use std::io::{self, Read};

use csv_core::ReadRecordResult;
use gannet::{Error, ErrorKind};
use serde_json::Value;

use super::UrlColumn;
use super::bytes::{BLOCK, LONGEST, text, too_long};
use super::entry::{Entries, Entry, Found};

/// The most columns.
const COLUMNS: usize = 1024;

/// Where the URLs stand unless `--url-column` says otherwise.
const URL: &str = "url";

/// Before the name of a header field.
const HEADER: &str = "header:";

/// Reads comma-separated values.
pub(super) struct Csv<R> {
    records: Records<R>,
    wanted: Option<UrlColumn>,
    columns: Vec<Column>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Url,
    Id,
    Name,
    Digests,
    Mirrors,
    Header(String),
    /// For the report.
    Other(String),
}

impl<R: Read> Csv<R> {
    pub(super) fn of(reader: R, wanted: Option<UrlColumn>) -> Self {
        Self { records: Records::of(reader), wanted, columns: Vec::new(), state: State::Header }
    }

    /// The columns by their names; says whether these were names, or a row of a file that has none.
    fn begin(&mut self, cells: &[String]) -> Result<Named, Error> {
        let plain = |text: &str| text.trim().to_ascii_lowercase();
        let at = match &self.wanted {
            Some(UrlColumn::Number(number)) => Some(number - 1).filter(|at| *at < cells.len()),
            Some(UrlColumn::Name(name)) => cells.iter().position(|cell| plain(cell) == plain(name)),
            None => cells.iter().position(|cell| plain(cell) == URL),
        };
        let Some(at) = at else { return Err(self.no_column(cells)) };
        let is_number = matches!(self.wanted, Some(UrlColumn::Number(_)));
        if is_number && cells[at].contains("://") {
            let numbers = 1..=cells.len();
            self.columns = numbers.map(|number| Column::Other(number.to_string())).collect();
            self.columns[at] = Column::Url;
            return Ok(Named::Not);
        }
        self.columns = cells.iter().map(|cell| Column::of(cell.trim())).collect();
        // Another column of that name says nothing then.
        for (column, cell) in self.columns.iter_mut().zip(cells).filter(|(column, _)| **column == Column::Url)
        {
            *column = Column::Other(cell.trim().to_owned());
        }
        self.columns[at] = Column::Url;
        Ok(Named::Are)
    }

    fn no_column(&self, cells: &[String]) -> Error {
        let wanted = match &self.wanted {
            Some(UrlColumn::Number(number)) => format!("no column {number}, only {}", cells.len()),
            Some(UrlColumn::Name(name)) => format!("no column {name:?}"),
            None => format!("no column {URL:?}; --url-column names another"),
        };
        let advice = match cells.iter().position(|cell| cell.contains("://")) {
            Some(at) => format!("; where the first line holds no names, give --url-column {}", at + 1),
            None if cells.len() == 1 && cells[0].contains([';', '\t']) => {
                "; columns are parted by commas".to_owned()
            }
            None => String::new(),
        };
        bad("", &format!("the first line has {wanted}{advice}"))
    }

    fn entry(&self, cells: Vec<String>) -> Result<Entry, Error> {
        let at = self.columns.iter().position(|column| *column == Column::Url);
        let url = at.and_then(|at| cells.get(at)).map_or("", |cell| cell.trim()).to_owned();
        let counts = format!("{} columns, and the first line has {}", cells.len(), self.columns.len());
        let uneven = (cells.len() != self.columns.len()).then(|| format!("the row has {counts}"));
        if url.is_empty() {
            return Err(bad("", uneven.as_deref().unwrap_or("the row has no URL")));
        }
        let refusal = uneven.map(|why| bad(&url, &why));
        let mut entry = Entry { url, refusal, ..Entry::default() };
        let filled = self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        for (column, cell) in filled {
            let several = || cell.split_whitespace().map(str::to_owned);
            match column {
                Column::Url => {}
                Column::Id => entry.id = Some(cell),
                Column::Name => entry.name = Some(cell),
                Column::Digests => entry.digests.extend(several()),
                Column::Mirrors => entry.mirrors.extend(several()),
                Column::Header(name) => entry.headers.push((name.clone(), cell)),
                Column::Other(name) => drop(entry.fields.insert(name.clone(), Value::String(cell))),
            }
        }
        Ok(entry)
    }
}

/// Whether the first row holds names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Are,
    Not,
}

impl Column {
    fn of(cell: &str) -> Self {
        let plain = cell.to_ascii_lowercase();
        match plain.as_str() {
            URL => Self::Url,
            "id" => Self::Id,
            "name" => Self::Name,
            "digest" | "digests" => Self::Digests,
            "mirror" | "mirrors" => Self::Mirrors,
            _ => match plain.strip_prefix(HEADER) {
                Some(name) => Self::Header(name.trim().to_owned()),
                None => Self::Other(cell.to_owned()),
            },
        }
    }
}

impl<R: Read> Entries for Csv<R> {
    fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            if self.state == State::Ended {
                return Ok(None);
            }
            let Some((line, record)) = self.records.next()? else { return Ok(None) };
            let entry = match (self.state, record) {
                (State::Rows, record) => record.and_then(|cells| self.entry(cells)),
                (_, record) => {
                    let begun = record.and_then(|cells| Ok((self.begin(&cells)?, cells)));
                    // Without names nothing of the rest can be understood.
                    self.state = if begun.is_ok() { State::Rows } else { State::Ended };
                    match begun {
                        Ok((Named::Are, _)) => continue,
                        Ok((Named::Not, cells)) => self.entry(cells),
                        Err(error) => Err(error),
                    }
                }
            };
            return Ok(Some(Found { line, entry }));
        }
    }

    fn line(&self) -> u64 {
        self.records.newlines
    }
}

fn bad(url: &str, message: &str) -> Error {
    Error::unusable_input(ErrorKind::BadEntry, (!url.is_empty()).then_some(url), message)
}

/// Cuts bytes into records and these into cells.
struct Records<R> {
    reader: R,
    block: Box<[u8]>,
    begin: usize,
    end: usize,
    is_at_end: bool,
    core: csv_core::Reader,
    newlines: u64,
    cells: Box<[u8]>,
    ends: Box<[usize]>,
}

impl<R: Read> Records<R> {
    fn of(reader: R) -> Self {
        Self {
            reader,
            block: vec![0; BLOCK].into_boxed_slice(),
            begin: 0,
            end: 0,
            is_at_end: false,
            core: csv_core::Reader::new(),
            newlines: 0,
            cells: vec![0; LONGEST].into_boxed_slice(),
            ends: vec![0; COLUMNS].into_boxed_slice(),
        }
    }

    /// The next record, and the line that it begins in.
    #[expect(clippy::type_complexity, reason = "a line with a record or why there is none")]
    fn next(&mut self) -> io::Result<Option<(u64, Result<Vec<String>, Error>)>> {
        self.skip_ends()?;
        let line = self.newlines + 1;
        let (mut length, mut count, mut is_too_long) = (0, 0, false);
        loop {
            self.fill()?;
            let input = &self.block[self.begin..self.end];
            let (result, read, written, ended) =
                self.core.read_record(input, &mut self.cells[length..], &mut self.ends[count..]);
            self.newlines += input[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.begin += read;
            length += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // The rest is read for its end.
                    (length, count, is_too_long) = (0, 0, true);
                }
                ReadRecordResult::Record if is_too_long => return Ok(Some((line, Err(too_long("row"))))),
                ReadRecordResult::Record => return Ok(Some((line, self.cut(count)))),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn cut(&self, count: usize) -> Result<Vec<String>, Error> {
        let mut begin = 0;
        let cells = self.ends[..count].iter().map(|end| {
            let cell = text(&self.cells[begin..*end]).map(str::to_owned);
            begin = *end;
            cell
        });
        cells.collect()
    }

    /// Passes over empty lines, and over the second half of a line's end.
    fn skip_ends(&mut self) -> io::Result<()> {
        loop {
            self.fill()?;
            let rest = &self.block[self.begin..self.end];
            let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.newlines += rest[..ends].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.begin += ends;
            if self.begin < self.end || self.is_at_end {
                return Ok(());
            }
        }
    }

    /// Reads more if all was taken.
    fn fill(&mut self) -> io::Result<()> {
        while self.begin == self.end && !self.is_at_end {
            match self.reader.read(&mut self.block) {
                Ok(length) => {
                    (self.begin, self.end) = (0, length);
                    self.is_at_end = length == 0;
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines, with URLs or codes.
    fn read(list: &str, wanted: Option<UrlColumn>) -> Vec<(u64, String)> {
        let mut csv = Csv::of(list.as_bytes(), wanted);
        let each = std::iter::from_fn(|| csv.next().expect("memory can be read"));
        let shown = |entry: Result<Entry, Error>| match entry {
            Ok(Entry { refusal: Some(error), .. }) | Err(error) => error.kind().code().to_owned(),
            Ok(entry) => entry.url,
        };
        each.map(|found| (found.line, shown(found.entry))).collect()
    }

    fn pairs(wanted: &[(u64, &str)]) -> Vec<(u64, String)> {
        wanted.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn rows_have_the_number_of_their_first_line_however_lines_end() {
        for end in ["\n", "\r\n"] {
            let list =
                ["title,URL", "", "a,http://h/1", "\"b", "c\",http://h/2", "", "", "d,http://h/3"].join(end);
            let wanted = pairs(&[(3, "http://h/1"), (4, "http://h/2"), (8, "http://h/3")]);
            assert_eq!(read(&list, None), wanted, "{end:?}");
            assert_eq!(read(&(list + end), None), wanted, "{end:?}");
        }
    }

    #[test]
    fn the_column_of_the_urls_is_found_by_name_or_number_with_names_or_without() {
        let named = "a,link\nx,http://h/1\n";
        let wanted = pairs(&[(2, "http://h/1")]);
        assert_eq!(read(named, Some(UrlColumn::Name("Link".to_owned()))), wanted);
        assert_eq!(read(named, Some(UrlColumn::Number(2))), wanted);
        let bare = "x,http://h/1\ny,http://h/2\n";
        assert_eq!(read(bare, Some(UrlColumn::Number(2))), pairs(&[(1, "http://h/1"), (2, "http://h/2")]));
        for (list, column) in [(bare, None), (named, Some(UrlColumn::Number(3))), (named, None)] {
            assert_eq!(read(list, column), pairs(&[(1, "input.bad_entry")]), "{list}");
        }
    }

    #[test]
    fn bad_rows_are_told_and_the_others_go_on() {
        let long = "x".repeat(LONGEST);
        let list = format!(
            "url,b\nhttp://h/1,\nhttp://h/2\n,x\n{long},\nhttp://h/3,\0\nhttp://h/4,b\n\"http://h/5,"
        );
        let wanted = pairs(&[
            (2, "http://h/1"),
            (3, "input.bad_entry"),
            (4, "input.bad_entry"),
            (5, "input.line_too_long"),
            (6, "input.not_text"),
            (7, "http://h/4"),
            (8, "input.bad_entry"),
        ]);
        assert_eq!(read(&list, None), wanted);
        let endless_quote = format!("url\n\"{}", "http://h/\n".repeat(100_000));
        assert_eq!(read(&endless_quote, None), pairs(&[(2, "input.line_too_long")]));
    }
}
