//! What became of an image.

use super::layer::Layer;
use super::record::Original;
use crate::image::Manifest;
use bytes::Bytes;

/// What became of an image. Each case holds what is new, and what it was before any wrap.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was wrapped just so already.
    Unchanged(Box<Original>),
    /// It stays byte for byte as it was read.
    Skipped {
        /// Why.
        reason: String,
        /// The image without its reaper, if it has one.
        original: Option<Box<Original>>,
    },
    /// It was not wrapped before, and is now.
    Wrapped(Box<New>),
    /// An older wrap was replaced.
    Upgraded(Box<New>, Box<Original>),
    /// It was wrapped before, and is no more.
    Unwrapped(Box<Original>),
}

/// A wrapped image that was built.
#[derive(Debug, Clone)]
pub struct New {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: Bytes,
    /// The layer that holds the reaper.
    pub layer: Layer,
    /// What the user should know besides.
    pub notes: Vec<String>,
}

impl Outcome {
    /// The image that was built, if one was.
    pub fn built(&self) -> Option<&New> {
        match self {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => Some(new),
            _ => None,
        }
    }

    /// The image before any wrap, if the one that was read was wrapped.
    pub fn original(&self) -> Option<&Original> {
        match self {
            Outcome::Unchanged(original)
            | Outcome::Upgraded(_, original)
            | Outcome::Unwrapped(original)
            | Outcome::Skipped { original: Some(original), .. } => Some(original),
            Outcome::Skipped { original: None, .. } | Outcome::Wrapped(_) => None,
        }
    }

    /// The manifest of the result, where it is not the one that was read.
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => Some(&new.manifest),
            Outcome::Unwrapped(original) => Some(&original.manifest),
            Outcome::Unchanged(_) | Outcome::Skipped { .. } => None,
        }
    }

    /// The config of the result, where it is not the one that was read.
    pub fn config(&self) -> Option<&Bytes> {
        match self {
            Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => Some(&new.config),
            Outcome::Unwrapped(original) => Some(&original.config.bytes),
            Outcome::Unchanged(_) | Outcome::Skipped { .. } => None,
        }
    }
}
