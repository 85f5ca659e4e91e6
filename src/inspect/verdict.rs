//! The verdict: what becomes PID 1, whether orphans are reaped, and whether the stop signal reaches the service.

use serde::Serialize;

/// An answer to one of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Yes on some paths through the start script, no on others.
    Depends,
    /// Unknown.
    Unknown,
}

impl Answer {
    /// Returns the answer for two paths together.
    pub fn or(self, other: Answer) -> Answer {
        match (self, other) {
            (one, two) if one == two => one,
            (Answer::Unknown, _) | (_, Answer::Unknown) => Answer::Unknown,
            _ => Answer::Depends,
        }
    }
}

/// The way in which an image deals with zombies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The service itself is PID 1.
    Service,
    /// A start script replaces itself with the service.
    Script,
    /// An init is PID 1.
    Init,
    /// A shell remains as PID 1.
    None,
    /// Unknown.
    Unknown,
}

/// The kind of file that PID 1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A compiled program.
    Elf,
    /// A script with an interpreter.
    Script,
    /// A shell with a command line.
    Shell,
    /// Unknown.
    Unknown,
}

/// The program that becomes PID 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pid1 {
    /// The program's name, as written on the command line.
    pub program: String,
    /// The path in the image, after following symbolic links.
    pub path: Option<String>,
    /// The kind of file.
    pub kind: Kind,
    /// The index of the layer that contains it.
    pub layer: Option<usize>,
}

/// An init that the image starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InitFound {
    /// A description.
    pub name: String,
    /// The place where it is started: `entrypoint`, or a file and a line.
    #[serde(rename = "where")]
    pub place: String,
}

/// A background job of a start script.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BackgroundJob {
    /// The script.
    pub file: String,
    /// The line.
    pub line: u32,
    /// Whether it remains as the child of a program that did not start it and may not wait for it.
    pub stays: bool,
}

/// A fact on which the verdict is based.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The file; `None` for the image's config.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The index of the layer that contains the file.
    pub layer: Option<usize>,
    /// The fact.
    pub what: String,
}

/// The recommended action for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    None,
    /// Wrap the image.
    Wrap,
    /// Change the start script or the command: an init alone does not help.
    Fix,
    /// Do not wrap the image, because it must be PID 1.
    Leave,
}

/// The recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// The recommended action.
    pub action: Action,
    /// The reason.
    pub why: String,
}

/// The verdict on one image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Entrypoint and Cmd together.
    pub starts: Vec<String>,
    /// The program that becomes PID 1.
    pub pid1: Pid1,
    /// The way of dealing with zombies.
    pub way: Way,
    /// Whether this way is really taken with the image's own arguments.
    pub holds: Answer,
    /// Whether orphans are reaped.
    pub orphans_reaped: Answer,
    /// Whether the stop signal reaches the service.
    pub term_reaches_service: Answer,
    /// The init that the image starts, whether or not it is PID 1.
    pub init: Option<InitFound>,
    /// Whether PID 1 refuses to run as another process.
    pub must_be_pid1: bool,
    /// The background jobs of the start script.
    pub background_jobs: Vec<BackgroundJob>,
    /// The facts on which the verdict is based.
    pub evidence: Vec<Evidence>,
    /// The recommendation.
    pub recommendation: Recommendation,
}
