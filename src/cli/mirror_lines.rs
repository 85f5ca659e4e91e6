//! The outputs for the lines of a mirror: standard output, a report, a map.

use super::options::{Format, Global, OUTPUT};
use super::output;
use crate::error::{Error, Result};
use crate::image::json::to_json;
use crate::mirror::{Action, Line, Summary};
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
}

impl Lines {
    /// Opens the files before the run starts, so that errors are found early.
    pub fn open(files: &Files, global: &Global) -> Result<Self> {
        Ok(Lines {
            format: global.output,
            is_verbose: global.verbose > 0,
            report: files.report.as_deref().map(Output::open).transpose()?,
            map: files.map_file.as_deref().map(Output::open).transpose()?,
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

    /// Returns an error if any line could not be written.
    pub fn close(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Output {
    fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|e| Error::other(format!("cannot write {name}: {e}")))?;
        Ok(Output { file: LineWriter::new(file), name })
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let text = printable_json(&to_json(line)?);
        let written = writeln!(self.file, "{text}");
        written.map_err(|e| Error::other(format!("cannot write {}: {e}", self.name)))
    }
}
