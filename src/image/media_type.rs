//! Media types of manifests, configs and layers, in two families: OCI and Docker.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Deref;

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, uncompressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The type of the empty descriptor (`{}`), used where a manifest requires a config or a layer but has none.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker manifests of schema 1, signed or not, which cannot be rewritten.
pub const DOCKER_SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// The `Accept` header of requests for manifests: every type, so that the registry converts nothing. Schema 1 is
/// last: a registry that has nothing else returns it, and the error can say so.
pub const ACCEPT: &str = concat!(
    "application/vnd.oci.image.index.v1+json, ",
    "application/vnd.oci.image.manifest.v1+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json, ",
    "application/vnd.docker.distribution.manifest.v2+json, ",
    "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1, ",
    "*/*;q=0.1"
);

/// The two families of media types. Podman, CRI-O and Quay reject manifests that mix them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.oci.…`
    Oci,
    /// `application/vnd.docker.…`
    Docker,
}

impl Family {
    /// Returns the type of a gzip-compressed layer.
    pub fn gzip_layer(self) -> &'static str {
        match self {
            Family::Oci => OCI_LAYER_GZIP,
            Family::Docker => DOCKER_LAYER_GZIP,
        }
    }
}

/// A media type: a variant per type that reapify handles, and the text of any other.
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
    /// Any other type; empty if the field is absent. Create it with [`From`], which maps known types to their
    /// variants.
    Other(Box<str>),
}

impl MediaType {
    /// Returns the text.
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

    /// Returns the family of manifests with this type.
    pub fn family(&self) -> Family {
        match self {
            MediaType::DockerList | MediaType::DockerManifest => Family::Docker,
            _ => Family::Oci,
        }
    }

    /// Returns whether this is the type of an index.
    pub fn is_index(&self) -> bool {
        matches!(self, MediaType::OciIndex | MediaType::DockerList)
    }

    /// Returns whether this is the type of an image manifest.
    pub fn is_image(&self) -> bool {
        matches!(self, MediaType::OciManifest | MediaType::DockerManifest)
    }

    /// Returns whether this is a manifest type used by images or by indexes of images.
    pub fn is_known_manifest(&self) -> bool {
        self.is_index() || self.is_image() || matches!(self, MediaType::DockerSchema1(_))
    }

    /// Returns whether this is the type of an image config.
    pub fn is_image_config(&self) -> bool {
        matches!(self, MediaType::OciConfig | MediaType::DockerConfig)
    }

    /// Returns whether this is the type of an image layer in a compression that engines support.
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

    /// Returns whether engines may fetch such layers from other servers (Windows base layers and the like).
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

/// Returns a media type in lower case, without its parameters.
pub fn essence(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
