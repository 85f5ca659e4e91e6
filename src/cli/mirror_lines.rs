//! The outputs for the lines of a mirror: standard output, a report, a map.

use super::options::{Format, Global, OUTPUT};
use super::output;
use crate::error::{Error, Result};
use crate::image::json::to_json;
use crate::mirror::{Action, Line, Summary};
use crate::transport::files::Replacement;
use crate::unseen::{printable, printable_json};
use serde::Serialize;
use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

/// Files that a run writes.
#[derive(clap::Args, Clone)]
pub struct Files {
    /// Write a JSON line per image to this file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    report: Option<PathBuf>,
    /// Write which image replaces which to this file, for `reapify pod --map-file`
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    map_file: Option<PathBuf>,
}

/// The lines of a run.
pub struct Lines {
    format: Format,
    is_verbose: bool,
    report: Option<Output>,
    map: Option<Output>,
    /// The totals of the run.
    pub summary: Summary,
    /// The error if a line could not be written.
    failure: Option<Error>,
}

struct Output {
    file: LineWriter<File>,
    name: String,
    /// What is written, if it replaces a file when it is complete.
    replacement: Option<Replacement>,
}

impl Lines {
    /// Opens the files before the run starts, so that errors are found early. The map of a single pass replaces an
    /// earlier one when it is complete.
    pub fn open(files: &Files, global: &Global, is_one_pass: bool) -> Result<Self> {
        let map = if is_one_pass { Output::replacing } else { Output::open };
        Ok(Lines {
            format: global.output,
            is_verbose: global.verbose > 0,
            report: files.report.as_deref().map(Output::open).transpose()?,
            map: files.map_file.as_deref().map(map).transpose()?,
            summary: Summary::default(),
            failure: None,
        })
    }

    /// Writes a line. An error is kept until the end, because the images matter more.
    pub fn add(&mut self, line: &Line) {
        self.summary.add(line);
        if let Err(error) = self.write(line) {
            self.failure.get_or_insert(error);
        }
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        if let Some(report) = &mut self.report {
            report.write(line)?;
        }
        if let (Some(map), Some(entry)) = (&mut self.map, line.map()) {
            map.write(&entry)?;
        }
        match self.format {
            Format::Json => output::json(&to_json(line)?, false),
            _ if line.action == Action::Unchanged && !self.is_verbose => Ok(()),
            _ => {
                output::result(&printable(&line.to_string()), false)?;
                line.notes.iter().try_for_each(|note| output::result(&printable(&format!("  {note}")), false))
            }
        }
    }

    /// Replaces the map, unless the run was stopped, an image failed, or a check found one to be outdated: the earlier
    /// map knows more then. Returns an error if any line could not be written.
    pub fn close(&mut self, is_complete: bool) -> Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let has_all = self.summary.count(Action::Failed) == 0 && self.summary.pending == 0;
        match self.map.take() {
            Some(map) if is_complete && has_all => map.finish(),
            _ => Ok(()),
        }
    }
}

impl Output {
    fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|e| Error::other(format!("cannot write {name}: {e}")))?;
        Ok(Output { file: LineWriter::new(file), name, replacement: None })
    }

    /// Opens a temporary file in place of a regular file; devices and pipes are written directly.
    fn replacing(path: &Path) -> Result<Self> {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Output::open(path);
        }
        let name = path.display().to_string();
        let failed = |e| Error::other(format!("cannot write {name}: {e}"));
        let replacement = Replacement::create(path).map_err(failed)?;
        let file = replacement.file().try_clone().map_err(failed)?;
        Ok(Output { file: LineWriter::new(file), replacement: Some(replacement), name })
    }

    fn finish(self) -> Result<()> {
        let Some(replacement) = self.replacement else { return Ok(()) };
        replacement.persist().map_err(|e| Error::other(format!("cannot write {}: {e}", self.name)))
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let text = printable_json(&to_json(line)?);
        let written = writeln!(self.file, "{text}");
        written.map_err(|e| Error::other(format!("cannot write {}: {e}", self.name)))
    }
}
