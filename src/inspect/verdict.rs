//! The answer: who becomes PID 1, whether orphans are reaped, and whether the stop signal reaches the service.

use serde::Serialize;

/// An answer to one of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Yes on some of the ways through the start script, no on others.
    Depends,
    /// It cannot be told.
    Unknown,
}

impl Answer {
    /// The answer for two ways together.
    pub fn or(self, other: Answer) -> Answer {
        match (self, other) {
            (one, two) if one == two => one,
            (Answer::Unknown, _) | (_, Answer::Unknown) => Answer::Unknown,
            _ => Answer::Depends,
        }
    }
}

/// The way an image takes against zombies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The service itself is PID 1.
    Service,
    /// A start script replaces itself with the service.
    Script,
    /// An init is PID 1.
    Init,
    /// A shell stays as PID 1.
    None,
    /// It cannot be told.
    Unknown,
}

/// What kind of file PID 1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A compiled program.
    Elf,
    /// A script with an interpreter.
    Script,
    /// A shell with a command line.
    Shell,
    /// It cannot be told.
    Unknown,
}

/// The program that ends up as PID 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pid1 {
    /// The program's name as the command line has it.
    pub program: String,
    /// The path in the image, behind symbolic links.
    pub path: Option<String>,
    /// The kind of file.
    pub kind: Kind,
    /// The index of the layer that holds it.
    pub layer: Option<usize>,
}

/// An init in the image's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InitFound {
    /// What it is.
    pub name: String,
    /// Where it is started: `entrypoint`, or a file and a line.
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
    /// Whether it becomes a child of a program that did not start it and need not wait for it.
    pub stays: bool,
}

/// A fact that the verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The file it stands in; `None` for the image's config.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The index of the layer that holds the file.
    pub layer: Option<usize>,
    /// The fact.
    pub what: String,
}

/// What to do about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing.
    None,
    /// Wrap the image.
    Wrap,
    /// Change the start script or the command: an init alone is no cure.
    Fix,
    /// Leave the image alone: it insists on being PID 1.
    Leave,
}

/// The recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// What to do.
    pub action: Action,
    /// The reason.
    pub why: String,
}

/// The judgement of one image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Entrypoint and Cmd together.
    pub starts: Vec<String>,
    /// The program that ends up as PID 1.
    pub pid1: Pid1,
    /// The way against zombies.
    pub way: Way,
    /// Whether the way is really taken with the image's own arguments.
    pub holds: Answer,
    /// Whether orphans are reaped.
    pub orphans_reaped: Answer,
    /// Whether the stop signal reaches the service.
    pub term_reaches_service: Answer,
    /// The init in the image's start, whether it is PID 1 or not.
    pub init: Option<InitFound>,
    /// Whether PID 1 refuses to run as another process.
    pub must_be_pid1: bool,
    /// The start script's background jobs.
    pub background_jobs: Vec<BackgroundJob>,
    /// What the verdict rests on.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub recommendation: Recommendation,
}
