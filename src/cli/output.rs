//! Output: results on standard output, everything else on standard error.

use super::hints::hint;
use super::options::Format;
use super::stderr::{above, label, say, say_as, say_json};
use crate::engine::report::{PlatformReport, Report};
use crate::engine::{Change, Changes};
use crate::error::{Context, Error, Result};
use crate::image::Location;
use crate::image::json::to_json;
use crate::plural::counted;
use crate::stats::Stats;
use crate::temporary;
use crate::unseen::{printable, printable_json};
use rustix::fs::{OFlags, fcntl_getfl, fstat, stat};
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Standard error, at the user's level of detail.
#[derive(Clone)]
pub struct Console {
    level: i8,
    format: Format,
    /// The image that every line refers to, if there are several.
    about: Option<String>,
    /// The image that the error at the end refers to.
    last: Arc<OnceLock<String>>,
}

/// An error in JSON.
#[derive(Serialize)]
struct Failure<'a> {
    error: String,
    code: &'static str,
    hint: Option<Cow<'a, str>>,
    image: Option<&'a str>,
}

/// The file for the digest, which is opened before the run, so that errors are found early. A new file counts as
/// temporary until it has the digest.
pub struct DigestFile(Option<(PathBuf, std::fs::File)>);

impl DigestFile {
    /// Opens the file. Its content is not changed until there is a digest.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(DigestFile(None)) };
        let is_new = path.symlink_metadata().is_err();
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|e| Error::usage(format!("--digest-file {}: {e}", path.display())))?;
        if is_new {
            temporary::note(path);
        }
        Ok(DigestFile(Some((path.to_owned(), file))))
    }

    /// Writes the digest.
    pub fn write(self, digest: &str) -> Result<()> {
        let Some((path, mut file)) = self.0 else { return Ok(()) };
        // A pipe or a device has no length.
        let _ = file.set_len(0);
        file.write_all(digest.as_bytes()).context(|| path.display().to_string())?;
        temporary::keep(&path);
        Ok(())
    }
}

impl Console {
    /// Creates a console. `verbose` counts `-v`, and `quiet` is `-q`.
    pub fn new(verbose: u8, quiet: bool, format: Format) -> Self {
        let level = if quiet { -1 } else { i8::try_from(verbose).unwrap_or(i8::MAX) };
        Console { format, level, about: None, last: Arc::default() }
    }

    /// Returns a console whose lines name an image.
    pub fn about(&self, image: &str) -> Self {
        Console { about: Some(image.to_owned()), ..self.clone() }
    }

    /// Prints a message for the user.
    pub fn note(&self, text: &str) {
        self.at(0, text);
    }

    /// Prints a message if `-v` was given.
    pub fn detail(&self, text: &str) {
        self.at(1, text);
    }

    /// Sets the image that the error at the end refers to.
    pub fn set_last(&self, image: &str) {
        // The first one counts, because there is one error at the end.
        let _ = self.last.set(image.to_owned());
    }

    /// Prints the error at the end of a run.
    pub fn last_error(&self, error: &Error) {
        self.error(error, self.last.get().map(String::as_str));
    }

    /// Prints an error and its hint. `image` is the image that it is about.
    pub fn error(&self, error: &Error, image: Option<&str>) {
        let hint = error.remedy().map(hint);
        if self.format == Format::Json {
            let code = error.kind().code();
            let failure = Failure { error: error.to_string(), code, hint, image };
            return to_json(&failure).map_or_else(|_| say(&failure.error), |json| say_json(&json));
        }
        say_as(&label("error:").red().bold(), &error.to_string());
        if let Some(hint) = hint {
            say_as(&label("hint:").green(), &hint);
        }
    }

    fn at(&self, level: i8, text: &str) {
        if self.level < level {
            return;
        }
        match &self.about {
            Some(image) => say(&format!("{image}: {text}")),
            None => say(text),
        }
    }
}

/// Prints a result on standard output, or on standard error if the image went to standard output. A closed
/// pipe is not an error.
pub fn result(text: &str, stdout_is_taken: bool) -> Result<()> {
    let written = above(|| match stdout_is_taken {
        true => writeln!(std::io::stderr(), "{text}"),
        false => writeln!(std::io::stdout(), "{text}"),
    });
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::from(e).context("writing the result"))
        }
        _ => Ok(()),
    }
}

/// Prints JSON as a result.
pub fn json(text: &str, stdout_is_taken: bool) -> Result<()> {
    result(&printable_json(text), stdout_is_taken)
}

/// Prints text without adding a line end. A closed pipe is not an error.
pub fn raw(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::from(e).context("writing the result"))
        }
        _ => Ok(()),
    }
}

/// Fails if standard output is closed, before data is lost in silence: the runtime opens `/dev/null` in its place, for
/// reading and writing. Where a user discards data, as with `>/dev/null`, it is open for writing alone.
pub fn check_stdout() -> Result<()> {
    let stdout = std::io::stdout();
    let is_null = match (fstat(&stdout), stat("/dev/null")) {
        (Ok(output), Ok(null)) => output.st_rdev == null.st_rdev,
        _ => false,
    };
    match fcntl_getfl(&stdout) {
        Ok(flags) if is_null && flags & OFlags::RWMODE == OFlags::RDWR => {
            Err(Error::other("standard output is closed").hint("redirect it to a file or a pipe"))
        }
        _ => Ok(()),
    }
}

/// A successful run, with everything to print about it.
pub struct Outcome<'a> {
    pub source: &'a Location,
    pub destination: &'a Location,
    pub report: &'a Report,
    pub stats: &'a Stats,
    pub elapsed: Duration,
    /// What a dry run found.
    pub plan: Option<&'a DryRun>,
    /// Whether the image is one of a list, so that the lines about it name it.
    pub is_listed: bool,
}

impl Outcome<'_> {
    /// Prints the notes, warnings and reasons of a run.
    pub fn print_notes(&self, console: &Console) {
        let report = self.report;
        for note in &report.notes {
            console.note(&format!("note: {note}"));
        }
        for warning in &report.warnings {
            console.note(&format!("warning: {warning}"));
        }
        if let Some(statement) = &report.provenance {
            console.note(&format!("provenance: {statement}"));
        }
        if let Some(reason) = &report.reason {
            console.note(&format!("{}: {reason}", report.action));
        }
        for image in report.platforms.iter().filter(|_| report.platforms.len() > 1) {
            let line = format!(
                "{} {}: {}",
                image.action,
                platform(image),
                image.reason.as_deref().unwrap_or("done")
            );
            match image.reason {
                Some(_) => console.note(&line),
                None => console.detail(&line),
            }
        }
        let count = Stats::get;
        let stats = self.stats;
        console.detail(&format!(
            "{} in {:.2} s: {} ({} retried), {} pulled, {} pushed; blobs: {} mounted, {} already there, {} copied",
            report.action,
            self.elapsed.as_secs_f64(),
            counted(count(&stats.requests), "request"),
            count(&stats.retries),
            counted(count(&stats.bytes_pulled), "byte"),
            count(&stats.bytes_pushed),
            count(&stats.blobs_mounted),
            count(&stats.blobs_existing),
            count(&stats.blobs_copied),
        ));
    }

    /// Prints the result.
    pub fn print(&self, format: Format) -> Result<()> {
        let stdout_is_taken = self.destination.is_pipe();
        match format {
            Format::Json => json(&self.json()?, stdout_is_taken),
            Format::Text | Format::Sarif => result(&self.text(), stdout_is_taken),
        }
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if let Some(DryRun { changes, would_keep_as, .. }) = self.plan {
            lines.extend(changes.changes.iter().map(|change| printable(&change_text(change))));
            lines.extend(would_keep_as.iter().map(|name| format!("would keep the previous image as {name}")));
            lines.push(match &changes.would_write {
                None => "nothing would change".into(),
                Some(write) => format!(
                    "would {} {}: {}, {}",
                    if write.creates { "create" } else { "replace" },
                    self.destination,
                    counted(write.blobs as u64, "blob"),
                    counted(write.bytes, "byte")
                ),
            });
        }
        if self.is_listed {
            lines.iter_mut().for_each(|line| *line = format!("{}: {line}", self.source));
        }
        lines.push(format!("{}@{}", self.destination.without_target(), self.report.digest));
        lines.join("\n")
    }

    fn json(&self) -> Result<String> {
        let count = Stats::get;
        let stats = Counters {
            requests: count(&self.stats.requests),
            bytes_pulled: count(&self.stats.bytes_pulled),
            bytes_pushed: count(&self.stats.bytes_pushed),
            blobs_mounted: count(&self.stats.blobs_mounted),
            blobs_existing: count(&self.stats.blobs_existing),
            blobs_copied: count(&self.stats.blobs_copied),
            retries: count(&self.stats.retries),
            elapsed_ms: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        let (source, destination) = (self.source.to_string(), self.destination.to_string());
        to_json(&RunJson { source, destination, report: self.report, stats, plan: self.plan })
    }
}

/// The JSON form of a run.
#[derive(Serialize)]
struct RunJson<'a> {
    source: String,
    destination: String,
    #[serde(flatten)]
    report: &'a Report,
    stats: Counters,
    #[serde(flatten)]
    plan: Option<&'a DryRun>,
}

#[derive(Serialize)]
struct Counters {
    requests: u64,
    bytes_pulled: u64,
    bytes_pushed: u64,
    blobs_mounted: u64,
    blobs_existing: u64,
    blobs_copied: u64,
    retries: u64,
    elapsed_ms: u64,
}

/// What a dry run found.
#[derive(Serialize)]
pub struct DryRun {
    pub dry_run: bool,
    /// The name under which the present image would be kept.
    pub would_keep_as: Option<String>,
    #[serde(flatten)]
    pub changes: Changes,
}

fn platform(image: &PlatformReport) -> String {
    image.platform.as_ref().map_or_else(|| image.source_digest.to_string(), ToString::to_string)
}

fn change_text(change: &Change) -> String {
    match change {
        Change::Value { platform, document, pointer, before, after } => {
            let of = platform.as_ref().map(|p| format!("{p} ")).unwrap_or_default();
            let absent = "(absent)";
            let before = before.as_deref().unwrap_or(absent);
            let after = after.as_deref().unwrap_or(absent);
            format!("{of}{document} {pointer}: {before} -> {after}")
        }
        Change::Blob { digest, size, how } => format!("blob {digest} ({}): {how}", counted(*size, "byte")),
    }
}
