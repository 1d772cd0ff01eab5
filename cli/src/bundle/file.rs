//! Files of records: written once, read in pieces.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use comity_node::client::{Client, ClientError, Download};
use comity_protocol::bundle::{Framed, Kind, Place, Reader, ReaderError, Sealed};

use crate::api::Api;
use crate::failure::Failure;

/// Bytes read at a time.
const READ_BYTES: usize = 65_536;

/// A new file that is read back while it is written, so that it is whole when it is there.
pub struct NewFile {
    path: PathBuf,
    file: File,
    reader: Reader,
    finished: bool,
}

impl NewFile {
    /// Creates a file that only its owner can read; one that is there is never overwritten.
    ///
    /// # Errors
    /// [`Failure`] with exit code 4.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = opened.map_err(|error| Failure::file("create", path, &error))?;
        Ok(Self { path: path.to_owned(), file, reader: Reader::new(), finished: false })
    }

    /// Writes what a node answers.
    ///
    /// # Errors
    /// [`Failure`]; the file is removed again when this is dropped.
    pub fn take<F: Future<Output = Result<Download, ClientError>>>(
        &mut self,
        api: &Api,
        ask: impl FnOnce(Client) -> F,
    ) -> Result<(), Failure> {
        let mut download = api.run(ask)?;
        while let Some(bytes) = api.run(|_| download.next())? {
            self.write(&bytes)?;
        }
        Ok(())
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`Failure`] if they cannot be written, or are no stream of records.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| Failure::file("write", &self.path, &error))?;
        while !bytes.is_empty() {
            let taken = self.reader.feed(bytes);
            bytes = &bytes[taken..];
            while self.reader.poll().map_err(|error| broke_off(&error))?.is_some() {}
        }
        Ok(())
    }

    /// Ends the file and makes it durable.
    ///
    /// # Errors
    /// [`Failure`] if it is not whole or cannot be synced; it is removed then.
    pub fn finish(mut self) -> Result<Sealed, Failure> {
        let sealed = std::mem::take(&mut self.reader).finish().map_err(|error| broke_off(&error))?;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let synced = self.file.sync_all().and_then(|()| File::open(folder)?.sync_all());
        synced.map_err(|error| Failure::file("sync", &self.path, &error))?;
        self.finished = true;
        Ok(sealed)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.finished {
            // A part of a file would be taken for the whole one day; the first error says more than a second one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn broke_off(error: &ReaderError) -> Failure {
    Failure::environment("the export broke off").because(error.to_string()).hint("try again; see the node's log")
}

/// A file of records that is read frame by frame.
pub struct RecordFile {
    path: PathBuf,
    file: File,
    reader: Option<Reader>,
    buffer: Vec<u8>,
    unread: std::ops::Range<usize>,
}

/// Why a file gives no more frames.
pub enum ReadFailure {
    /// It cannot be read.
    Io(Failure),
    /// It is damaged.
    Damaged(ReaderError),
}

impl RecordFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Failure`] with exit code 4.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| Failure::file("open", path, &error))?;
        Ok(Self { path: path.to_owned(), file, reader: Some(Reader::new()), buffer: vec![0; READ_BYTES], unread: 0..0 })
    }

    /// What its first line said, once a frame was read.
    pub fn kind(&self) -> Option<Kind> {
        self.reader.as_ref().and_then(Reader::kind)
    }

    /// Returns the next frame; at the end what the file says of itself.
    ///
    /// # Errors
    /// [`ReadFailure`]; what was returned before stands.
    pub fn next(&mut self) -> Result<Read, ReadFailure> {
        loop {
            let reader = self.reader.as_mut().expect("nobody reads on behind the end");
            if let Some(frame) = reader.poll().map_err(ReadFailure::Damaged)? {
                return Ok(Read::Frame(Box::new(frame)));
            }
            if self.unread.is_empty() {
                let read = self.file.read(&mut self.buffer);
                let read = read.map_err(|error| ReadFailure::Io(Failure::file("read", &self.path, &error)))?;
                self.unread = 0..read;
            }
            if self.unread.is_empty() {
                let reader = self.reader.take().expect("it is there until the end");
                return reader.finish().map(|sealed| Read::End(Box::new(sealed))).map_err(ReadFailure::Damaged);
            }
            self.unread.start += reader.feed(&self.buffer[self.unread.clone()]);
        }
    }

    /// The failure of a command on a damaged file.
    pub fn damaged(&self, what: &str, place: Place, rule: Option<&str>, cause: &str) -> Failure {
        let rule = rule.map(|rule| format!("{rule}: ")).unwrap_or_default();
        let at = if place.frame == 0 {
            "in its first line".to_owned()
        } else {
            format!("at byte {} (frame {})", place.offset, place.frame)
        };
        Failure::refused(format!("{} {what} {at}", self.path.display())).because(format!("{rule}{cause}"))
    }
}

/// What stands next in a file.
pub enum Read {
    /// A frame.
    Frame(Box<Framed>),
    /// The end, and what the file says of itself.
    End(Box<Sealed>),
}
