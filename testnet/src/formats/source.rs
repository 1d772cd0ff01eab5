//! Opening foreign text: what is no text is refused, what is text is decoded to UTF-8 in a stream, and no row of it may be
//! longer than [`RECORD_BYTES_MAX`], so that memory is bounded whatever the file holds.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

/// Most bytes of one row, or of one piece of markup.
pub const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Bytes of which it is asked what sort of file they begin.
const HEAD_BYTES: usize = 4_096;
/// Bytes looked at in one step.
const STEP_BYTES: usize = 1 << 16;
/// Bytes taken in one step of a text that is read whole: fewer than a row may have.
const WHOLE_STEP_BYTES: u64 = 1 << 18;

/// Why a file is not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is no text.
    #[error("{} is {what}, not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it begins like.
        what: &'static str,
    },
    /// One row is longer than [`RECORD_BYTES_MAX`]; nothing after it is read.
    #[error("{}, line {line}: a row of more than {RECORD_BYTES_MAX} bytes", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line on which the last whole row before it begins.
        line: u64,
    },
    /// It is not of the format it is said to be.
    #[error("{} is no {format}: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// What is missing or wrong.
        why: String,
        /// What the person can do.
        hint: &'static str,
    },
    /// It breaks off or stops being well-formed.
    #[error("{}, line {line}: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// A text that was looked at once: a file, or bytes that are here already.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    bytes: Option<Arc<[u8]>>,
    encoding: &'static Encoding,
}

/// The text of a file, as UTF-8.
pub type Text = DecodeReaderBytes<Metered, Vec<u8>>;

impl Source {
    /// Looks at a whole file once, in bounded memory: what sort it is, and in which encoding.
    ///
    /// Text that is neither marked nor valid UTF-8 is read as windows-1252, which gives every byte a meaning.
    ///
    /// # Errors
    /// [`SourceError::Read`] and [`SourceError::NotText`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "this is not a file")));
        }
        Self::look(path, None, file)
    }

    /// Looks at bytes as at a file; `name` stands in error messages.
    ///
    /// # Errors
    /// [`SourceError::NotText`].
    pub fn of_bytes(name: &Path, bytes: &[u8]) -> Result<Self, SourceError> {
        Self::look(name, Some(Arc::from(bytes)), bytes)
    }

    fn look(path: &Path, bytes: Option<Arc<[u8]>>, mut from: impl Read) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::Read { path: path.to_owned(), source };
        let mut head = Vec::new();
        from.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
        let marked = [(&[0xef, 0xbb, 0xbf][..], UTF_8), (&[0xff, 0xfe], UTF_16LE), (&[0xfe, 0xff], UTF_16BE)];
        let marked = marked.into_iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, encoding)| encoding);
        let encoding = match (marked, what_else(&head)) {
            (Some(encoding), _) => encoding,
            (None, Some(what)) => return Err(SourceError::NotText { path: path.to_owned(), what }),
            (None, None) if is_utf8(&head, &mut from).map_err(unreadable)? => UTF_8,
            (None, None) => WINDOWS_1252,
        };
        Ok(Self { path: path.to_owned(), bytes, encoding })
    }

    /// The name of the encoding.
    pub fn encoding(&self) -> &'static str {
        self.encoding.name()
    }

    /// Returns the text from its beginning, and the meter that bounds its rows.
    ///
    /// # Errors
    /// [`SourceError::Read`].
    pub fn text(&self) -> Result<(Text, Meter), SourceError> {
        let from: Box<dyn Read> = match &self.bytes {
            Some(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            None => {
                let unreadable = |source| SourceError::Read { path: self.path.clone(), source };
                Box::new(File::open(&self.path).map_err(unreadable)?)
            }
        };
        let meter = Meter::default();
        let metered = Metered { from, meter: meter.clone() };
        let encoding = Some(self.encoding);
        Ok((DecodeReaderBytesBuilder::new().encoding(encoding).bom_sniffing(true).build(metered), meter))
    }

    /// Whether the text begins as a JSON object does.
    ///
    /// # Errors
    /// [`SourceError::Read`].
    pub fn is_object(&self) -> Result<bool, SourceError> {
        let mut first = [0; 64];
        let read = self.text()?.0.read(&mut first).map_err(|error| self.failed(1, error))?;
        Ok(first[..read].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
    }

    /// Returns the whole text, at most `max` bytes of it: `None` for more.
    ///
    /// # Errors
    /// [`SourceError::Read`].
    pub fn whole(&self, max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let (mut text, meter) = self.text()?;
        let mut bytes = Vec::new();
        while text.by_ref().take(WHOLE_STEP_BYTES).read_to_end(&mut bytes).map_err(|error| self.failed(1, error))? > 0 {
            meter.reset();
            if bytes.len() as u64 > max {
                return Ok(None);
            }
        }
        Ok(Some(bytes))
    }

    /// Returns an error for what reading this file said, at `line`.
    pub fn failed(&self, line: u64, source: io::Error) -> SourceError {
        if source.kind() == io::ErrorKind::FileTooLarge {
            return SourceError::Record { path: self.path.clone(), line };
        }
        SourceError::Read { path: self.path.clone(), source }
    }

    /// Returns an error for a file of another format.
    pub fn is_no(&self, format: &'static str, why: impl Into<String>, hint: &'static str) -> SourceError {
        SourceError::Format { path: self.path.clone(), format, why: why.into(), hint }
    }

    /// Returns an error for a file that is not well-formed from `line` on.
    pub fn broken(&self, line: u64, why: impl Into<String>) -> SourceError {
        SourceError::Broken { path: self.path.clone(), line, why: why.into() }
    }
}

/// How much was read since the last whole row.
#[derive(Clone, Debug, Default)]
pub struct Meter(Rc<Cell<u64>>);

impl Meter {
    /// A row is whole: the next one may be as long again.
    pub fn reset(&self) {
        self.0.set(0);
    }
}

/// Bytes of which no row may be too long.
pub struct Metered {
    from: Box<dyn Read>,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.meter.0.get() > RECORD_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let read = self.from.read(buf)?;
        self.meter.0.set(self.meter.0.get() + read as u64);
        Ok(read)
    }
}

/// Returns what a file is that begins like this, if that is no text.
fn what_else(head: &[u8]) -> Option<&'static str> {
    let kinds: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "a zip archive (as .xlsx and .ods files are)"),
        (&[0x1f, 0x8b], "a gzip archive"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "a zstd archive"),
        (b"%PDF", "a PDF"),
        (&[0xd0, 0xcf, 0x11, 0xe0], "an old spreadsheet or document"),
        (b"SQLite format 3\0", "a database"),
    ];
    let known = kinds.into_iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| what);
    known.or_else(|| head.contains(&0).then_some("binary data"))
}

fn is_utf8(head: &[u8], rest: &mut impl Read) -> io::Result<bool> {
    let mut chunk = head.to_vec();
    loop {
        let kept = match std::str::from_utf8(&chunk) {
            Ok(_) => 0,
            Err(error) if error.error_len().is_none() => chunk.len() - error.valid_up_to(),
            Err(_) => return Ok(false),
        };
        chunk.drain(..chunk.len() - kept);
        if rest.by_ref().take(STEP_BYTES as u64).read_to_end(&mut chunk)? == 0 {
            return Ok(chunk.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bytes: &[u8]) -> Result<Source, SourceError> {
        Source::of_bytes(Path::new("x"), bytes)
    }

    fn read(bytes: &[u8]) -> (String, &'static str) {
        let source = open(bytes).expect("text");
        let mut text = String::new();
        source.text().expect("readable").0.read_to_string(&mut text).expect("decodes");
        (text, source.encoding())
    }

    #[test]
    fn text_in_four_encodings_is_the_same_text() {
        let wide = |be: bool| -> Vec<u8> {
            let units = "\u{feff}Qué?".encode_utf16();
            units.flat_map(|unit| if be { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        assert_eq!(read("Qué?".as_bytes()), ("Qué?".to_owned(), "UTF-8"));
        assert_eq!(read("\u{feff}Qué?".as_bytes()), ("Qué?".to_owned(), "UTF-8"));
        assert_eq!(read(b"Qu\xe9?"), ("Qué?".to_owned(), "windows-1252"));
        assert_eq!(read(&wide(false)), ("Qué?".to_owned(), "UTF-16LE"));
        assert_eq!(read(&wide(true)), ("Qué?".to_owned(), "UTF-16BE"));
    }

    #[test]
    fn a_character_cut_by_a_step_is_no_other_encoding() {
        let long = "é".repeat(HEAD_BYTES);
        assert_eq!(read(format!("x{long}").as_bytes()).1, "UTF-8");
        let mut cut = format!("x{long}").into_bytes();
        cut.pop();
        assert_eq!(read(&cut).1, "windows-1252", "a file that ends within a character");
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, what) in [(&b"PK\x03\x04xl"[..], "zip"), (&[0x1f, 0x8b, 8], "gzip"), (b"a,b\0c", "binary data")] {
            let error = open(bytes).expect_err("no text").to_string();
            assert!(error.contains(what), "{error}");
        }
        let folder = tempfile::TempDir::new().expect("a folder for the test");
        let error = Source::open(folder.path()).expect_err("a folder");
        assert!(matches!(error, SourceError::Read { .. }), "{error}");
    }
}
