//! The user's choices that shape a result.

use super::known_inits;
use crate::error::{Error, Result};
use crate::image::json::quote;

/// Where the reaper goes unless the user says otherwise: a name no image uses, in a directory all have.
pub const DEFAULT_PATH: &str = "/.reaper";

/// What to do with an image that starts with a known init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfInit {
    /// Leave the image as it is.
    #[default]
    Skip,
    /// Wrap it like any other.
    Wrap,
}

/// The user's choices that shape the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The absolute path of the reaper in the image.
    pub path: String,
    /// Options for the reaper.
    pub args: Vec<String>,
    /// What to do with images that have an init.
    pub if_init: IfInit,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { path: DEFAULT_PATH.into(), args: Vec::new(), if_init: IfInit::Skip }
    }
}

impl Policy {
    /// Fails unless `path` can be a file in an image.
    pub fn check_path(path: &str) -> Result<()> {
        let bad = |why: &str| Err(Error::usage(format!("invalid path {path:?} for the reaper: {why}")));
        if !path.starts_with('/') {
            return bad("it must be absolute");
        }
        if path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..") || part.starts_with(".wh.")) {
            return bad("it must name a file, without empty parts, `.`, `..` and whiteouts");
        }
        if path.chars().any(char::is_control) {
            return bad("it holds control characters");
        }
        Ok(())
    }

    /// Everything of the policy that the result depends on, in a stable text form.
    pub fn fingerprint(&self) -> String {
        let if_init = match self.if_init {
            IfInit::Skip => "skip",
            IfInit::Wrap => "wrap",
        };
        // Lists of strings have one JSON form; it keeps `["a b"]` and `["a","b"]` apart.
        let args = serde_json::Value::from(self.args.clone());
        format!("{}\n{args}\n{if_init}\n{}", quote(&self.path), known_inits::VERSION)
    }
}
