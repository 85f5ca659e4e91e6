//! Command lines of containers: the question of what becomes PID 1, and the answer.

use super::config_map::ScriptFile;
use super::spec::Variable;
pub use crate::inspect::Answer;
use serde::Serialize;

/// The way in which a command line starts its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// The service itself becomes PID 1.
    Service,
    /// A script becomes PID 1 and replaces itself with the service.
    Script,
    /// An init becomes PID 1.
    Init,
    /// A shell remains as PID 1.
    None,
    /// Unknown.
    Unknown,
}

/// An init that a command line starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitUse {
    /// The name of the init: "tini".
    pub name: String,
    /// Whether it becomes the container's first process.
    pub is_first: Answer,
    /// Whether it reaps, and does not warn, if it is not PID 1: one of our reapers, or an init configured so.
    pub is_subreaper: bool,
    /// Whether it refuses to run, or does harm, unless it is PID 1.
    pub insists: bool,
    /// The grace in milliseconds that the command line gives one of our reapers.
    pub grace_ms: Option<u64>,
    /// Whether it is one of our reapers.
    pub is_reaper: bool,
}

/// The judgement of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandJudgement {
    /// How the service is started.
    pub start: Start,
    /// Whether the first process reaps orphans.
    pub orphans_reaped: Answer,
    /// Whether SIGTERM reaches the service when the first process is PID 1 of its namespace.
    pub term_as_pid1: Answer,
    /// Whether SIGTERM reaches the service when the first process is not PID 1, as under `hostPID`: signals without a
    /// handler then have their default effect.
    pub term_elsewhere: Answer,
    /// Whether a shell remains as the first process without a trap for SIGTERM.
    pub shell_stays: Answer,
    /// The init that the command line starts, as its first process or later.
    pub init: Option<InitUse>,
    /// The script file that was followed, by its path, and the line that determines the judgement.
    pub script: Option<(String, usize)>,
}

impl CommandJudgement {
    /// The judgement of an unknown command line.
    pub const UNKNOWN: CommandJudgement = CommandJudgement {
        start: Start::Unknown,
        orphans_reaped: Answer::Unknown,
        term_as_pid1: Answer::Unknown,
        term_elsewhere: Answer::Unknown,
        shell_stays: Answer::Unknown,
        init: None,
        script: None,
    };
}

/// The facts about an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFacts {
    /// The name, as documents write it.
    pub image: String,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// The init or the reaper that the image's own command line starts first.
    pub init: Option<String>,
    /// Whether reapify added that reaper.
    pub is_wrapped: bool,
    /// The reason why the image must be PID 1, if it must.
    pub must_be_pid1: Option<String>,
    /// The judgement of the image's own command line.
    pub own: CommandJudgement,
}

/// A source of facts about images.
pub trait Images {
    /// Returns the facts about an image, by its name in the document; `None` if nothing is known.
    fn facts(&self, image: &str) -> Option<&ImageFacts>;
}

/// A source that knows no images.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImages;

impl Images for NoImages {
    fn facts(&self, _image: &str) -> Option<&ImageFacts> {
        None
    }
}

impl Images for std::collections::HashMap<String, ImageFacts> {
    fn facts(&self, image: &str) -> Option<&ImageFacts> {
        self.get(image)
    }
}

/// A container's command line, as the document defines it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The facts about the image.
    pub facts: Option<&'q ImageFacts>,
    /// `command`, if it is not empty.
    pub command: Option<&'q [String]>,
    /// `args`, if it is not empty.
    pub args: Option<&'q [String]>,
    /// The container's variables.
    pub env: &'q [Variable],
    /// The files from ConfigMaps that the words name.
    pub files: &'q [ScriptFile<'q>],
}

impl Question<'_> {
    /// Returns the words with which the container is started, if they are known.
    pub fn words(&self) -> Option<Vec<String>> {
        let owned = |words: Option<&[String]>| words.unwrap_or_default().to_vec();
        match (self.command, self.facts) {
            (Some(command), _) => Some([command.to_vec(), owned(self.args)].concat()),
            (None, Some(facts)) => {
                let rest = self.args.map_or(facts.cmd.clone(), <[String]>::to_vec);
                Some([facts.entrypoint.clone(), rest].concat())
            }
            (None, None) => None,
        }
    }

    /// Returns the value of a variable, if the container sets it.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name)?.1.as_deref()
    }
}

/// A judge of command lines.
pub trait Commands {
    /// Judges a container's command line.
    fn judge(&self, question: &Question<'_>) -> CommandJudgement;
}
