//! The user's choices that determine a result.

use super::format::Format;
use super::known_inits;
use crate::image::ImagePath;
use crate::image::json::quote;
use crate::image::media_type::Family;

/// The default path of the reaper: a name that no image uses, in a directory that every image has.
pub const DEFAULT_PATH: &str = "/.reaper";

/// The treatment of an image that starts with a known init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfInit {
    /// Leave the image unchanged.
    #[default]
    Skip,
    /// Wrap the image like any other.
    Wrap,
}

/// The user's choices that determine a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The absolute path of the reaper in the image.
    pub path: ImagePath,
    /// The reaper's options.
    pub args: Vec<String>,
    /// The treatment of images that start with an init.
    pub if_init: IfInit,
    /// The media types of the result.
    pub format: Format,
}

impl Default for Policy {
    fn default() -> Self {
        let path = DEFAULT_PATH.parse().expect("the default path is valid");
        Policy { path, args: Vec::new(), if_init: IfInit::Skip, format: Format::Keep }
    }
}

impl Policy {
    /// Returns the policy for sources of one family: the format is [`Format::Keep`] if they already have it.
    #[must_use]
    pub fn for_family(&self, family: Family) -> Self {
        Policy { format: self.format.of(family), ..self.clone() }
    }

    /// Returns everything in the policy that affects the result, in a stable text form.
    pub fn fingerprint(&self) -> String {
        let if_init = match self.if_init {
            IfInit::Skip => "skip",
            IfInit::Wrap => "wrap",
        };
        // Lists of strings have one JSON form, which distinguishes `["a b"]` from `["a","b"]`.
        let args = serde_json::Value::from(self.args.clone());
        let format = match self.format {
            Format::Keep => "",
            Format::Oci => "\nformat oci",
            Format::Docker => "\nformat docker",
        };
        format!("{}\n{args}\n{if_init}\n{}{format}", quote(self.path.as_str()), known_inits::VERSION)
    }
}
