//! Container images: a manifest and its config, checked against each other.

use super::record::{self, Original, RecordState};
use crate::error::{Error, Result};
use crate::image::{Content, Digest, ImageConfig, Manifest, media_type};
use bytes::Bytes;
use std::ops::Deref;

/// The result of reading a manifest with its config.
#[derive(Debug)]
pub enum ImageOrArtifact {
    /// A container image.
    Image(Box<Image>),
    /// An artifact, with its type.
    Artifact(String),
}

/// Returns the error for an artifact where an image is required.
pub fn artifact(kind: &str) -> Error {
    Error::unsupported(format!("this is not a container image but an artifact ({kind})"))
        .hint("use a reference to a container image; artifacts have no entrypoint")
}

/// A container image. Its manifest and config agree, because only [`Image::read`] creates one.
#[derive(Debug, Clone)]
pub struct Image(Fields);

/// The fields of an image, which cannot be changed.
#[derive(Debug, Clone)]
pub struct Fields {
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
    /// Whether the manifest is the one that was pushed. It is not in a `docker-archive:`, which stores none.
    pub keeps_manifest: bool,
}

impl Deref for Image {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl Image {
    /// Returns what the manifest alone determines: an artifact, or an error for an image that cannot be wrapped.
    pub fn other(manifest: &Manifest) -> Option<Result<ImageOrArtifact>> {
        let Content::Image { layers, .. } = &manifest.content else { return None };
        let layer = layers.iter().find(|layer| !layer.media_type.is_image_layer())?;
        Some(match layer.media_type.contains("encrypted") {
            true => {
                Err(Error::unsupported("the image has encrypted layers")
                    .hint("wrap it before it is encrypted"))
            }
            false => Ok(ImageOrArtifact::Artifact(manifest.artifact_type().into())),
        })
    }

    /// Reads a manifest with its config.
    ///
    /// # Errors
    ///
    /// Returns an error for a malformed image; content that is clearly not an image is
    /// [`ImageOrArtifact::Artifact`] instead.
    pub fn read(manifest: Manifest, config: Bytes, keeps_manifest: bool) -> Result<ImageOrArtifact> {
        let (descriptor, layers) = match &manifest.content {
            Content::Image { config, layers } => (config, layers),
            Content::Artifact { kind, .. } => return Ok(ImageOrArtifact::Artifact(kind.clone())),
            Content::Opaque { why, .. } => return Err(why.clone()),
            Content::Index { .. } => {
                return Err(Error::other("internal error: an index was read as an image"));
            }
        };
        if let Some(other) = Self::other(&manifest) {
            return other;
        }
        let config = match (ImageConfig::parse(config), descriptor.media_type.as_str()) {
            (Ok(config), _) => config,
            (Err(error), "" | media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) => return Err(error),
            (Err(_), _) => return Ok(ImageOrArtifact::Artifact(manifest.artifact_type().into())),
        };
        if layers.len() != config.diff_ids.len() {
            return Err(Error::unsupported(format!(
                "the manifest has {} layers, but the config has {} diff_ids",
                layers.len(),
                config.diff_ids.len()
            ))
            .hint("rebuild the image"));
        }
        Ok(ImageOrArtifact::Image(Box::new(Image(Fields { manifest, config, keeps_manifest }))))
    }

    /// Reads a manifest with its config, like [`Image::read`], and returns an error for an artifact.
    pub fn new(manifest: Manifest, config: Bytes, keeps_manifest: bool) -> Result<Self> {
        match Self::read(manifest, config, keeps_manifest)? {
            ImageOrArtifact::Image(image) => Ok(*image),
            ImageOrArtifact::Artifact(kind) => Err(artifact(&kind)),
        }
    }

    /// Returns the digest by which its location knows the image: that of the manifest, or that of the config where
    /// manifests are not stored.
    pub fn id(&self) -> &Digest {
        match (&self.manifest.content, self.keeps_manifest) {
            (Content::Image { config, .. }, false) => &config.digest,
            _ => &self.manifest.digest,
        }
    }

    /// Returns the state of the record in the image's labels.
    pub fn record(&self) -> RecordState {
        match self.keeps_manifest && !record::may_be_remade(&self.manifest) {
            true => record::find(&self.manifest, &self.config),
            false => record::find_without_manifest(&self.manifest, &self.config),
        }
    }

    /// Returns the image before the wrap, if it is wrapped.
    pub fn original(&self) -> Option<Box<Original>> {
        match self.record() {
            RecordState::Valid(original) => Some(original),
            _ => None,
        }
    }
}

impl Original {
    /// Returns the image before the wrap.
    pub fn image(&self) -> Result<Image> {
        Image::new(self.manifest.clone(), self.config.bytes.clone(), self.exact)
    }
}

/// Returns the words that name the program: Entrypoint, or Cmd if there is no entrypoint.
pub fn argv(config: &ImageConfig) -> &[String] {
    if config.has_entrypoint() { &config.entrypoint } else { &config.cmd }
}
