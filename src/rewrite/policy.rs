//! The user's choices that shape a result.

use super::format::Format;
use super::known_inits;
use crate::image::ImagePath;
use crate::image::json::quote;
use crate::image::media_type::Family;

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
    pub path: ImagePath,
    /// Options for the reaper.
    pub args: Vec<String>,
    /// What to do with images that have an init.
    pub if_init: IfInit,
    /// The media types of the result.
    pub format: Format,
}

impl Default for Policy {
    fn default() -> Self {
        let path = DEFAULT_PATH.parse().expect("the default path is a path");
        Policy { path, args: Vec::new(), if_init: IfInit::Skip, format: Format::Keep }
    }
}

impl Policy {
    /// Returns the policy as it is for sources of one family: a format that they have changes nothing.
    #[must_use]
    pub fn for_family(&self, family: Family) -> Self {
        Policy { format: self.format.of(family), ..self.clone() }
    }

    /// Everything of the policy that the result depends on, in a stable text form.
    pub fn fingerprint(&self) -> String {
        let if_init = match self.if_init {
            IfInit::Skip => "skip",
            IfInit::Wrap => "wrap",
        };
        // Lists of strings have one JSON form; it keeps `["a b"]` and `["a","b"]` apart.
        let args = serde_json::Value::from(self.args.clone());
        let format = match self.format {
            Format::Keep => "",
            Format::Oci => "\nformat oci",
            Format::Docker => "\nformat docker",
        };
        format!("{}\n{args}\n{if_init}\n{}{format}", quote(self.path.as_str()), known_inits::VERSION)
    }
}
