//! What a command line makes of PID 1: the question about a container, and the answer to it.

use super::config_map::ScriptFile;
use super::spec::Variable;
pub use crate::inspect::Answer;
use serde::Serialize;

/// How a command line starts its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// The service itself becomes PID 1.
    Service,
    /// A script becomes PID 1 and replaces itself by the service.
    Script,
    /// An init becomes PID 1.
    Init,
    /// A shell stays as PID 1.
    None,
    /// Cannot be told.
    Unknown,
}

/// An init that a command line starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitUse {
    /// The name of the init: "tini".
    pub name: String,
    /// Whether it becomes the container's first process.
    pub is_first: Answer,
    /// Whether it reaps and stays quiet although it is not PID 1: a reaper of ours, or an init told so.
    pub is_subreaper: bool,
    /// Whether it refuses to run, or does harm, unless it is PID 1.
    pub insists: bool,
    /// The grace in milliseconds that the command line gives a reaper of ours.
    pub grace_ms: Option<u64>,
    /// Whether it is a reaper of ours.
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
    /// The same when it is not, as under `hostPID`: signals without a handler have their default effect then.
    pub term_elsewhere: Answer,
    /// Whether a shell stays as the first process without a trap for SIGTERM.
    pub shell_stays: Answer,
    /// The init that the command line starts, in first place or later.
    pub init: Option<InitUse>,
    /// The script file that was followed, by its path, and the line that decides.
    pub script: Option<(String, usize)>,
}

impl CommandJudgement {
    /// The judgement of a command line of which nothing is known.
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

/// What is known about an image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFacts {
    /// The name, as documents have it.
    pub image: String,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// The init or the reaper that the image's own command line starts first.
    pub init: Option<String>,
    /// Whether reapify put that reaper there.
    pub is_wrapped: bool,
    /// Whether the image's start insists on PID 1, with the reason.
    pub must_be_pid1: Option<String>,
    /// The judgement of the image's own command line.
    pub own: CommandJudgement,
}

/// What the caller knows about images.
pub trait Images {
    /// The facts about an image, by its name as the document has it; `None` if nothing is known.
    fn facts(&self, image: &str) -> Option<&ImageFacts>;
}

/// No image is known.
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

/// A container's command line, as the document has it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// What is known about the image.
    pub facts: Option<&'q ImageFacts>,
    /// `command`, not empty.
    pub command: Option<&'q [String]>,
    /// `args`, not empty.
    pub args: Option<&'q [String]>,
    /// The container's variables.
    pub env: &'q [Variable],
    /// Files of ConfigMaps that the words name.
    pub files: &'q [ScriptFile<'q>],
}

impl Question<'_> {
    /// The words that the container is started with, if they are known.
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

    /// The value of a variable, if the container sets it.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name)?.1.as_deref()
    }
}

/// Judges command lines.
pub trait Commands {
    /// Judges a container's command line.
    fn judge(&self, question: &Question<'_>) -> CommandJudgement;
}
