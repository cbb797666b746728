//! The journal: every change as one JSON line, written before it is applied.
//!
//! A line is in the kernel's hands before anyone hears of its change, so it survives `kill -9` of
//! the process. It is not synced to the disk: a power cut may lose the last lines, which a
//! rehearsal can afford. A last line without an end was cut off by a crash, nobody was told of it,
//! and it is removed; any other unreadable line stops the start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::{Books, Change};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, read or cut.
    #[error("journal {path}: {action}")]
    File {
        /// The journal's file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("journal {path}: another process writes it")]
    InUse {
        /// The journal's file.
        path: PathBuf,
    },
    /// A line is not a change.
    #[error("journal {path}: line {line} cannot be read")]
    Corrupt {
        /// The journal's file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    length_bytes: u64,
    line: Vec<u8>,
    /// A half-written line could not be removed: another one behind it would corrupt the file.
    torn: bool,
}

impl Journal {
    /// Opens the journal, alone, and applies what it holds to the books.
    pub(super) fn recover(path: &Path, books: &mut Books) -> Result<Self, JournalError> {
        let failed =
            |action| move |source| JournalError::File { path: path.to_owned(), action, source };
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let mut reader = BufReader::new(&file);
        let (mut length_bytes, mut lines, mut line) = (0_u64, 0_u64, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed("read"))?;
            if read == 0 {
                break;
            }
            if line.last() != Some(&b'\n') {
                tracing::warn!(bytes = read, "journal: the last line was cut off by a crash");
                file.set_len(length_bytes).map_err(failed("cut"))?;
                break;
            }
            lines += 1;
            let change: Change = serde_json::from_slice(&line).map_err(|source| {
                JournalError::Corrupt { path: path.to_owned(), line: lines, source }
            })?;
            books.apply(change);
            length_bytes += read as u64;
        }
        tracing::info!(lines, payments = books.payments_len(), "journal: read back");
        Ok(Self { file, length_bytes, line: Vec::new(), torn: false })
    }

    /// Writes one change, whole or not at all.
    pub(super) fn append(&mut self, change: &Change) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("an earlier line is torn"));
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, change)?;
        self.line.push(b'\n');
        if let Err(error) = self.file.write_all(&self.line) {
            self.torn = self.file.set_len(self.length_bytes).is_err();
            return Err(error);
        }
        self.length_bytes += self.line.len() as u64;
        Ok(())
    }
}
