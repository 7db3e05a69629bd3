//! CSV, one record a line.

use std::borrow::Cow;

use csv_core::ReadRecordResult;

use super::bad::excerpt;
use super::cells::{Cells, Names, Part, parts_of};
use super::{NoColumn, Reason};

/// Which column is which part, and how to read a line.
#[derive(Debug)]
pub(super) struct Columns {
    places: [Option<usize>; 4],
    record: Record,
}

/// The cells of one line, in buffers that are used again.
struct Record {
    /// To make one for each line would take longer than to read the line.
    reader: Box<csv_core::Reader>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    fn new(delimiter: u8) -> Self {
        let reader = Box::new(csv_core::ReaderBuilder::new().delimiter(delimiter).build());
        Self { reader, bytes: Vec::new(), ends: Vec::new() }
    }

    fn read(&mut self, line: &[u8]) -> Result<(), Reason> {
        if line.iter().fold(false, |open, byte| open ^ (*byte == b'"')) {
            return Err(Reason::OpenQuote);
        }
        // A cell is not longer than its line, and there are not more of them than bytes and one.
        self.bytes.clear();
        self.bytes.resize(line.len() + 1, 0);
        self.ends.clear();
        self.ends.resize(line.len() + 2, 0);
        self.reader.reset();
        let (mut input, mut written, mut cells) = (line, 0, 0);
        loop {
            let (result, read, wrote, ended) =
                self.reader.read_record(input, &mut self.bytes[written..], &mut self.ends[cells..]);
            input = &input[read..];
            written += wrote;
            cells += ended;
            match result {
                // The end of the line, which is told by an empty input.
                ReadRecordResult::InputEmpty => {}
                _ => break,
            }
        }
        self.ends.truncate(cells);
        Ok(())
    }

    fn cell(&self, place: usize) -> Result<Option<&str>, Reason> {
        let Some(&end) = self.ends.get(place) else { return Ok(None) };
        let begin = if place == 0 { 0 } else { self.ends[place - 1] };
        std::str::from_utf8(&self.bytes[begin..end]).map(Some).map_err(|_| Reason::NotUtf8)
    }
}

impl Columns {
    /// Of the first line: whether it is a header, too.
    ///
    /// It is one if a cell is the name of a part, and none begins with a digit. Without one, columns are found
    /// by their numbers, from 1, or are time, id, sequence number and outcome in this order. A name that an option
    /// gives, and that is neither there nor a number, is a mistake in the options: no line has such a column.
    pub(super) fn of(
        first: &[u8],
        names: &Names,
        delimiter: Option<u8>,
        has_header: Option<bool>,
    ) -> Result<Result<(Self, bool), NoColumn>, Reason> {
        let delimiter = delimiter.unwrap_or_else(|| most_frequent(first));
        let mut record = Record::new(delimiter);
        record.read(first)?;
        let mut places = [None; 4];
        let mut ranks = [usize::MAX; 4];
        let mut has_number = false;
        for place in 0..record.ends.len() {
            let text = record.cell(place)?.unwrap_or_default().trim();
            has_number |= text.starts_with(|first: char| first.is_ascii_digit());
            for (part, rank) in parts_of(text, names) {
                if rank < ranks[part as usize] {
                    (places[part as usize], ranks[part as usize]) = (Some(place), rank);
                }
            }
        }
        let is_known = places.iter().any(Option::is_some);
        let is_header = has_header.unwrap_or(is_known && !has_number);
        if !is_header {
            // What looked like a name was an outcome, or an id.
            places = [None; 4];
        }
        for part in Part::ALL {
            let place = &mut places[part as usize];
            match &names[part as usize] {
                // A column that is called "7" was found above.
                Some(name) if place.is_none() => {
                    *place = name.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                    // Lines without a header may have more or fewer cells than the first.
                    let most = if is_header { record.ends.len() } else { usize::MAX };
                    if place.is_none_or(|place| place >= most) {
                        let (name, line) = (excerpt(name), String::from_utf8_lossy(first));
                        return Ok(Err(NoColumn { name, line: excerpt(&line), is_header }));
                    }
                }
                None if !is_header => *place = Some(part as usize),
                _ => {}
            }
        }
        Ok(Ok((Self { places, record }, is_header)))
    }

    pub(super) fn cells(&mut self, line: &[u8]) -> Result<Cells<'_>, Reason> {
        self.record.read(line)?;
        let mut cells = Cells::default();
        for part in Part::ALL {
            let Some(place) = self.places[part as usize] else { continue };
            if let Some(text) = self.record.cell(place)? {
                cells.set(part, Cow::Borrowed(text));
            }
        }
        Ok(cells)
    }
}

/// Of comma, semicolon, tab and bar, that which the line has most of.
fn most_frequent(line: &[u8]) -> u8 {
    let count = |delimiter: u8| line.split(|byte| *byte == delimiter).count();
    // The last of equals wins, so the comma is last.
    *b"|\t;,".iter().max_by_key(|delimiter| count(**delimiter)).unwrap_or(&b',')
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("cells", &self.ends.len()).finish_non_exhaustive()
    }
}
