//! A file that a run writes at its end, opened before the run begins.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// An open file. It has its earlier content until [`write`](Self::write).
pub(crate) struct OutputFile {
    path: PathBuf,
    file: File,
    /// Whether it did not exist before. Then it is removed if the run fails.
    is_new: bool,
    is_written: bool,
}

impl OutputFile {
    /// Opens the file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        // Not truncated: an earlier report stays if the run fails.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, is_new, is_written: false })
    }

    /// Replaces the content.
    pub(crate) fn write(mut self, content: &[u8]) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        // A pipe has no length.
        if self.file.metadata().with_context(cannot)?.is_file() {
            self.file.set_len(0).with_context(cannot)?;
        }
        self.file.write_all(content).with_context(cannot)?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.is_new && !self.is_written {
            _ = fs::remove_file(&self.path);
        }
    }
}
