//! Media types of manifests, configs and layers, in their two families.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, not compressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// `{}`, where a manifest needs a config or a layer and has none.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker manifests of schema 1, signed or not: they cannot be rewritten.
pub const DOCKER_SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// What is asked for when a manifest is read: everything, so that nothing is converted on the way.
/// Schema 1 stands last: a registry that has nothing else answers with it, and is told why that is refused.
pub const ACCEPT: &str = concat!(
    "application/vnd.oci.image.index.v1+json, ",
    "application/vnd.oci.image.manifest.v1+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json, ",
    "application/vnd.docker.distribution.manifest.v2+json, ",
    "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1, ",
    "*/*;q=0.1"
);

/// The two families. Types of both in one manifest are refused by podman, CRI-O and Quay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.oci.…`
    Oci,
    /// `application/vnd.docker.…`
    Docker,
}

impl Family {
    /// The type of a gzip-compressed layer.
    pub fn gzip_layer(self) -> &'static str {
        match self {
            Family::Oci => OCI_LAYER_GZIP,
            Family::Docker => DOCKER_LAYER_GZIP,
        }
    }
}

/// A media type: the ones that mean something here, and all others by their text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// [`OCI_INDEX`]
    OciIndex,
    /// [`OCI_MANIFEST`]
    OciManifest,
    /// [`OCI_CONFIG`]
    OciConfig,
    /// [`OCI_EMPTY`]
    OciEmpty,
    /// [`DOCKER_LIST`]
    DockerList,
    /// [`DOCKER_MANIFEST`]
    DockerManifest,
    /// [`DOCKER_CONFIG`]
    DockerConfig,
    /// One of [`DOCKER_SCHEMA1`].
    DockerSchema1(&'static str),
    /// Any other; empty where it was left out. Made by [`From`], so that it is none of those above.
    Other(Box<str>),
}

impl MediaType {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            MediaType::OciIndex => OCI_INDEX,
            MediaType::OciManifest => OCI_MANIFEST,
            MediaType::OciConfig => OCI_CONFIG,
            MediaType::OciEmpty => OCI_EMPTY,
            MediaType::DockerList => DOCKER_LIST,
            MediaType::DockerManifest => DOCKER_MANIFEST,
            MediaType::DockerConfig => DOCKER_CONFIG,
            MediaType::DockerSchema1(text) => text,
            MediaType::Other(text) => text,
        }
    }

    /// The family that manifests of this type belong to.
    pub fn family(&self) -> Family {
        match self {
            MediaType::DockerList | MediaType::DockerManifest => Family::Docker,
            _ => Family::Oci,
        }
    }

    /// Whether this is the type of an index.
    pub fn is_index(&self) -> bool {
        matches!(self, MediaType::OciIndex | MediaType::DockerList)
    }

    /// Whether this is the type of an image's manifest.
    pub fn is_image(&self) -> bool {
        matches!(self, MediaType::OciManifest | MediaType::DockerManifest)
    }

    /// Whether this is the type of a manifest that an image or an index of images can have.
    pub fn is_known_manifest(&self) -> bool {
        self.is_index() || self.is_image() || matches!(self, MediaType::DockerSchema1(_))
    }

    /// Whether this is the type of an image's config.
    pub fn is_image_config(&self) -> bool {
        matches!(self, MediaType::OciConfig | MediaType::DockerConfig)
    }

    /// Whether this is the type of an image's layer, in a compression that engines know.
    pub fn is_image_layer(&self) -> bool {
        const STEMS: [&str; 4] = [
            OCI_LAYER,
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
        ];
        let rest = STEMS.iter().find_map(|stem| self.strip_prefix(stem));
        matches!(rest, Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd"))
    }

    /// Whether engines may fetch such layers from elsewhere (Windows base layers and the like).
    pub fn is_nondistributable(&self) -> bool {
        self.contains(".nondistributable.") || self.contains(".foreign.")
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        match text {
            OCI_INDEX => MediaType::OciIndex,
            OCI_MANIFEST => MediaType::OciManifest,
            OCI_CONFIG => MediaType::OciConfig,
            OCI_EMPTY => MediaType::OciEmpty,
            DOCKER_LIST => MediaType::DockerList,
            DOCKER_MANIFEST => MediaType::DockerManifest,
            DOCKER_CONFIG => MediaType::DockerConfig,
            text => match DOCKER_SCHEMA1.iter().find(|known| **known == text) {
                Some(known) => MediaType::DockerSchema1(known),
                None => MediaType::Other(text.into()),
            },
        }
    }
}

impl From<&MediaType> for MediaType {
    fn from(media_type: &MediaType) -> Self {
        media_type.clone()
    }
}

impl Default for MediaType {
    fn default() -> Self {
        MediaType::Other("".into())
    }
}

impl Deref for MediaType {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<str> for MediaType {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for MediaType {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| text.as_str().into())
    }
}

impl Serialize for MediaType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

/// A media type without its parameters, in lower case.
pub fn essence(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
