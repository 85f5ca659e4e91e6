//! The boundary between webhooks and the config: which images a push affects.

use super::events::Push;
use crate::image::Digest;
use std::borrow::Cow;

/// An image to bring up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The destination image, by which events are merged.
    pub key: String,
    /// The entry of the config that covers the image, by its place in the config.
    pub entry: usize,
    /// The source repository, with its host as the config names it.
    pub source: String,
    /// The tag in the source repository.
    pub tag: String,
    /// The manifest that was pushed under the tag. Some registries send events before they set the tag.
    pub digest: Option<Digest>,
}

/// The decision about a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// No entry of the config covers the image, for this reason.
    Ignored(Cow<'static, str>),
    /// The images to bring up to date, one for each entry that covers the pushed image.
    Wanted(Vec<Wanted>),
}

/// Decides about pushes by the current config.
pub trait Intake: Send + Sync {
    /// Returns the images that a push affects. Their hosts must come from the config, never from the push: a
    /// sender must not be able to choose where requests go.
    fn route(&self, push: &Push) -> Route;

    /// Returns whether a valid config is loaded.
    fn is_ready(&self) -> bool;
}
