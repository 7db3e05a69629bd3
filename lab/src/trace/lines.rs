//! Lines of an input that may be compressed, may be huge, and may break off.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// The longest line that is read.
pub(super) const MAX_LINE: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// An input, line by line.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    number: u64,
}

/// Whether all of a line was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Fits,
    /// It has more than [`MAX_LINE`] bytes, and was skipped.
    TooMuch,
}

impl Lines {
    /// Looks at the first two bytes: those of gzip are decompressed, member after member.
    pub(super) fn new(mut input: impl Read + 'static) -> io::Result<Self> {
        let mut magic = Vec::new();
        input.by_ref().take(2).read_to_end(&mut magic)?;
        let is_gzip = magic == GZIP;
        let whole = BufReader::with_capacity(1 << 16, io::Cursor::new(magic).chain(input));
        let input: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole)))
        } else {
            Box::new(whole)
        };
        Ok(Self { input, number: 0 })
    }

    /// The number of the line that was read last; the first is 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The next line into `line`, without its end; `None` at the end of the input.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Length>> {
        line.clear();
        let most = MAX_LINE as u64 + 1;
        // What was read before an error is a line, too: that one.
        self.number += 1;
        let read = self.input.by_ref().take(most).read_until(b'\n', line)?;
        if read == 0 {
            self.number -= 1;
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > MAX_LINE {
            self.skip_line()?;
            return Ok(Some(Length::TooMuch));
        }
        if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(Length::Fits))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let (used, ends) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.input.consume(used);
            if ends {
                return Ok(());
            }
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}
