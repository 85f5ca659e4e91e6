//! A manifest and its config, checked to be a container image together.

use super::record::{self, Found, Original};
use crate::error::{Error, Result};
use crate::image::{Content, ImageConfig, Manifest, media_type};
use bytes::Bytes;

/// What a manifest and its config turn out to be.
#[derive(Debug)]
pub enum Read {
    /// A container image.
    Image(Box<Image>),
    /// Something else, by its own name for itself.
    Artifact(String),
}

/// The error for an artifact where an image is needed.
pub fn artifact(kind: &str) -> Error {
    Error::unsupported(format!("this is not a container image but an artifact ({kind})"))
        .hint("only images have an entrypoint to wrap")
}

/// An image to be rewritten.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: ImageConfig,
    /// Whether the manifest is the one the image was pushed with; not so in a `docker-archive:`.
    pub keeps_manifest: bool,
}

impl Image {
    /// What the manifest alone shows to be no image that can be wrapped, by the types of its layers.
    pub fn other(manifest: &Manifest) -> Option<Result<Read>> {
        let Content::Image { layers, .. } = &manifest.content else { return None };
        let layer = layers.iter().find(|layer| !layer.media_type.is_image_layer())?;
        Some(match layer.media_type.contains("encrypted") {
            true => {
                Err(Error::unsupported("the image has encrypted layers")
                    .hint("wrap it before it is encrypted"))
            }
            false => Ok(Read::Artifact(manifest.artifact_type().into())),
        })
    }

    /// Takes a manifest and its config, and checks that together they are a container image. What is
    /// clearly something else is [`Read::Artifact`]; what is an image but not a sound one is an error.
    pub fn read(manifest: Manifest, config: Bytes, keeps_manifest: bool) -> Result<Read> {
        let (descriptor, layers) = match &manifest.content {
            Content::Image { config, layers } => (config, layers),
            Content::Artifact { kind, .. } => return Ok(Read::Artifact(kind.clone())),
            Content::Opaque { why, .. } => return Err(why.clone()),
            Content::Index { .. } => return Err(Error::other("an index was taken for an image")),
        };
        if let Some(other) = Self::other(&manifest) {
            return other;
        }
        let config = match (ImageConfig::parse(config), descriptor.media_type.as_str()) {
            (Ok(config), _) => config,
            (Err(error), "" | media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) => return Err(error),
            (Err(_), _) => return Ok(Read::Artifact(manifest.artifact_type().into())),
        };
        if layers.len() != config.diff_ids.len() {
            return Err(Error::unsupported(format!(
                "the manifest has {} layers, but the config has {} diff_ids",
                layers.len(),
                config.diff_ids.len()
            ))
            .hint("the image is damaged; rebuild it"));
        }
        Ok(Read::Image(Box::new(Image { manifest, config, keeps_manifest })))
    }

    /// As [`Image::read`], where nothing but an image will do.
    pub fn new(manifest: Manifest, config: Bytes, keeps_manifest: bool) -> Result<Self> {
        match Self::read(manifest, config, keeps_manifest)? {
            Read::Image(image) => Ok(*image),
            Read::Artifact(kind) => Err(artifact(&kind)),
        }
    }

    /// What the record in its labels says of it.
    pub fn record(&self) -> Found {
        match self.keeps_manifest {
            true => record::find(&self.manifest, &self.config),
            false => record::find_without_manifest(&self.manifest, &self.config),
        }
    }

    /// Whether the image is wrapped, and the image before that.
    pub fn original(&self) -> Option<Box<Original>> {
        match self.record() {
            Found::Valid(original) => Some(original),
            _ => None,
        }
    }
}

/// The words that name the program: Entrypoint's, or Cmd's where there is none.
pub fn argv(config: &ImageConfig) -> &[String] {
    if config.has_entrypoint() { &config.entrypoint } else { &config.cmd }
}
