//! The result of wrap or unwrap for one image.

use super::layer::Layer;
use super::record::Original;
use crate::error::Note;
use crate::image::Manifest;
use bytes::Bytes;

/// The result of wrap or unwrap for one image: the new parts, and the image before any wrap.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The image was already wrapped with this recipe.
    Unchanged(Box<Original>),
    /// The image was left unchanged, byte for byte.
    Skipped {
        /// The reason.
        reason: String,
        /// The image without its reaper, if it has one.
        original: Option<Box<Original>>,
    },
    /// The image was wrapped for the first time.
    Wrapped(Box<New>),
    /// The image was already wrapped with this recipe, but its Docker manifest list was not: the record has another
    /// list now.
    Relabelled(Box<Relabelled>, Box<Original>),
    /// An earlier wrap was replaced.
    Upgraded(Box<New>, Box<Original>),
    /// The wrap was removed.
    Unwrapped(Box<Original>),
}

/// A newly built wrapped image.
#[derive(Debug, Clone)]
pub struct New {
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: Bytes,
    /// The layer that holds the reaper.
    pub layer: Layer,
    /// Notes for the user.
    pub notes: Vec<Note>,
}

/// A wrapped image with another list in its record.
#[derive(Debug, Clone)]
pub struct Relabelled {
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: Bytes,
}

impl Outcome {
    /// Returns the newly built image, if there is one.
    pub fn built(&self) -> Option<&New> {
        match self {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => Some(new),
            _ => None,
        }
    }

    /// Returns the image before any wrap, if the image that was read was wrapped.
    pub fn original(&self) -> Option<&Original> {
        match self {
            Outcome::Unchanged(original)
            | Outcome::Relabelled(_, original)
            | Outcome::Upgraded(_, original)
            | Outcome::Unwrapped(original)
            | Outcome::Skipped { original: Some(original), .. } => Some(original),
            Outcome::Skipped { original: None, .. } | Outcome::Wrapped(_) => None,
        }
    }

    /// Returns the manifest of the result, unless it is the one that was read.
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => Some(&new.manifest),
            Outcome::Relabelled(new, _) => Some(&new.manifest),
            Outcome::Unwrapped(original) => Some(&original.manifest),
            Outcome::Unchanged(_) | Outcome::Skipped { .. } => None,
        }
    }

    /// Returns the config of the result, unless it is the one that was read.
    pub fn config(&self) -> Option<&Bytes> {
        match self {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => Some(&new.config),
            Outcome::Relabelled(new, _) => Some(&new.config),
            Outcome::Unwrapped(original) => Some(&original.config.bytes),
            Outcome::Unchanged(_) | Outcome::Skipped { .. } => None,
        }
    }
}
