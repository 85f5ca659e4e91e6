//! The interface between webhooks and the configuration: which images a push affects.

use super::events::Push;
use crate::image::Digest;
use std::borrow::Cow;

/// An image to update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The destination image, by which events are merged.
    pub key: String,
    /// The entry of the configuration that covers the image, by its position.
    pub entry: usize,
    /// The source repository, with the host's name in the configuration.
    pub source: String,
    /// The tag in the source repository.
    pub tag: String,
    /// The manifest that was pushed under the tag. Some registries send events before they set the tag.
    pub digest: Option<Digest>,
}

/// The decision about a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// No entry of the configuration covers the image, for this reason.
    Ignored(Cow<'static, str>),
    /// The images to update, one for each entry that covers the pushed image.
    Wanted(Vec<Wanted>),
}

/// Decides about pushes according to the current configuration.
pub trait Intake: Send + Sync {
    /// Returns the images that a push affects. Their hosts must come from the configuration, never from the
    /// push, so that a sender cannot choose where requests go.
    fn route(&self, push: &Push) -> Route;

    /// Returns whether a valid configuration is loaded.
    fn is_ready(&self) -> bool;
}
