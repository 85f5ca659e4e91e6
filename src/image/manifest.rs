//! Manifests and indexes: their bytes, media types, and the content that they refer to.

use super::digest::Digest;
use super::json::{self, Object, optional_object};
use super::media_type::{self, Family, MediaType};
use super::platform::{Platform, StatedPlatform};
use crate::error::{Error, Result};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// A descriptor of content, as the OCI image specification ("Descriptors") defines it. This is a view: fields that
/// reapify does not read remain in the manifest's bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The content's media type; empty if the field is absent.
    #[serde(default)]
    pub media_type: MediaType,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size in bytes.
    pub size: u64,
    /// The platform of an image manifest.
    #[serde(default, deserialize_with = "optional_object")]
    pub platform: Option<StatedPlatform>,
    /// Other addresses of the content (foreign layers).
    pub urls: Option<Vec<String>>,
    /// The content itself, in base64.
    pub data: Option<String>,
    /// The artifact type of a manifest.
    pub artifact_type: Option<String>,
    /// The annotations of the descriptor.
    pub annotations: Option<BTreeMap<String, String>>,
}

impl json::View for Descriptor {
    const KEYS: &'static [&'static str] =
        &["mediaType", "digest", "size", "platform", "urls", "data", "artifactType", "annotations"];
}

impl Descriptor {
    /// Returns the platform, if it is stated completely.
    pub fn complete_platform(&self) -> Option<Platform> {
        self.platform.as_ref().and_then(StatedPlatform::complete)
    }

    /// Creates a descriptor of these bytes.
    pub fn of(media_type: impl Into<MediaType>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    /// Creates a descriptor with only the three required fields.
    pub fn new(media_type: impl Into<MediaType>, digest: Digest, size: u64) -> Self {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            urls: None,
            data: None,
            artifact_type: None,
            annotations: None,
        }
    }

    /// Returns the value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Returns whether this child of an index is an attestation manifest about another child, as BuildKit adds them.
    pub fn is_attestation(&self) -> bool {
        self.annotation("vnd.docker.reference.type").is_some()
    }

    /// Returns whether the media type is that of an index.
    pub fn is_index(&self) -> bool {
        self.media_type.is_index()
    }

    /// Returns whether the media type is that of an image manifest.
    pub fn is_image(&self) -> bool {
        self.media_type.is_image()
    }

    /// Returns whether the content is a manifest of any kind. Indexes may also list other content.
    pub fn is_manifest(&self) -> bool {
        let kind = &self.media_type;
        kind.is_empty() || ["manifest", "index"].iter().any(|word| kind.contains(word))
    }

    /// Returns whether engines fetch this layer from its URLs instead of the image's registry. Without URLs it is an
    /// ordinary layer, whatever its media type.
    pub fn is_foreign(&self) -> bool {
        let has_urls = self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        has_urls && self.media_type.is_nondistributable()
    }
}

/// The content that a manifest refers to.
#[derive(Debug, Clone)]
pub enum Content {
    /// An image, or an artifact that has the fields of one and differs only in its config.
    Image {
        /// The config.
        config: Box<Descriptor>,
        /// The layers, from lowest to highest.
        layers: Vec<Descriptor>,
    },
    /// An index of manifests.
    Index {
        /// The children, in order.
        children: Vec<Descriptor>,
    },
    /// An artifact other than an image, such as a chart or a signature.
    Artifact {
        /// The artifact's type.
        kind: String,
        /// The artifact's blobs.
        blobs: Vec<Descriptor>,
    },
    /// Content that reapify does not understand and can only copy.
    Opaque {
        /// The reason.
        why: Error,
        /// The blobs, as far as the manifest lists them in one of the usual fields.
        blobs: Vec<Descriptor>,
    },
}

/// A manifest or an index. The fields are read-only, so that the digest and the content always agree with the bytes.
#[derive(Debug, Clone)]
pub struct Manifest(Arc<Fields>);

/// The fields of a [`Manifest`].
#[derive(Debug)]
pub struct Fields {
    /// The original text.
    pub bytes: Bytes,
    /// The media type: from the text, else from the transport, else from the fields that are present.
    pub media_type: MediaType,
    /// The SHA-256 digest of the text.
    pub digest: Digest,
    /// The content that it refers to.
    pub content: Content,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    artifact_type: Option<String>,
    config: Option<Object<Descriptor>>,
    layers: Option<Vec<Object<Descriptor>>>,
    blobs: Option<Vec<Object<Descriptor>>>,
    /// The list if the field is present; `null`, which some tools write for an empty list, is `Some(None)`.
    #[serde(default, deserialize_with = "present")]
    manifests: Option<Option<Vec<Object<Descriptor>>>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl View {
    /// Returns the content and the media type that the fields suggest. `known` is the stated media type, if there is
    /// one.
    fn content(self, known: Option<&MediaType>) -> Result<(Content, MediaType)> {
        let artifact_type = self.artifact_type.filter(|t| !t.is_empty());
        // An image may state its config's media type as its artifact type.
        let is_artifact = artifact_type.as_deref().is_some_and(|t| !MediaType::from(t).is_image_config())
            || self.blobs.is_some();
        // The former OCI artifact manifest has no `schemaVersion`.
        if self.schema_version != Some(2) && !(is_artifact && self.schema_version.is_none()) {
            return Err(Error::unsupported("the manifest does not have schemaVersion 2")
                .hint("this is not a Docker or OCI manifest; check the reference"));
        }
        let has_parts = self.config.is_some() || self.layers.is_some();
        match (self.config, self.layers, self.manifests) {
            (None, None, Some(children)) if self.blobs.is_none() => {
                Ok((Content::Index { children: plain(children.into_iter().flatten()) }, MediaType::OciIndex))
            }
            (config, layers, None | Some(None)) if is_artifact => {
                let own = config.as_ref().map(|c| c.0.media_type.to_string()).filter(|t| !t.is_empty());
                let kind = artifact_type.or(own).or(known.map(MediaType::to_string));
                let blobs = config.into_iter().chain(layers.into_iter().flatten());
                let blobs = plain(blobs.chain(self.blobs.into_iter().flatten()));
                let kind = kind.unwrap_or_else(|| "without a type".into());
                Ok((Content::Artifact { kind, blobs }, MediaType::OciManifest))
            }
            (Some(Object(config)), layers, None | Some(None)) => {
                let by_shape = match config.media_type {
                    MediaType::DockerConfig => MediaType::DockerManifest,
                    _ => MediaType::OciManifest,
                };
                let layers = plain(layers.unwrap_or_default());
                Ok((Content::Image { config: Box::new(config), layers }, by_shape))
            }
            (_, _, Some(Some(_))) if has_parts || self.blobs.is_some() => Err(Error::unsupported(
                "the manifest is ambiguous: it has the fields of an image and of an index",
            )
            .hint("the OCI specification allows either `manifests` or `config` and `layers`")),
            _ => Err(Error::unsupported("the manifest has neither config and layers nor manifests")
                .hint("this is not a Docker or OCI manifest; check the reference")),
        }
    }
}

/// Deserializes a field so that `null` differs from an absent field, for `deserialize_with`.
fn present<'de, D, T>(deserializer: D) -> std::result::Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl json::View for View {
    const KEYS: &'static [&'static str] = &[
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "blobs",
        "manifests",
        "annotations",
    ];
}

impl Deref for Manifest {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.0
    }
}

impl Manifest {
    /// Parses a manifest. `declared` is the media type that the transport reported.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Unsupported`](crate::error::Kind) for anything that is not clearly one image, index or
    /// artifact.
    pub fn parse(bytes: impl Into<Bytes>, declared: Option<&str>) -> Result<Self> {
        let bytes = bytes.into();
        let declared = declared.map(|t| MediaType::from(media_type::essence(t).as_str()));
        let declared = declared.filter(MediaType::is_known_manifest);
        let Object(mut view): Object<View> = match serde_json::from_slice(&bytes) {
            Ok(view) => view,
            Err(_) if looks_like_schema1(&bytes) => return Err(schema1()),
            Err(e) => return Err(Error::unsupported(format!("the manifest is malformed: {e}"))),
        };
        let stated = view.media_type.take().filter(|t| !t.is_empty());
        let known = stated.as_ref().or(declared.as_ref());
        if view.schema_version == Some(1) || matches!(known, Some(MediaType::DockerSchema1(_))) {
            return Err(schema1());
        }
        let annotations = view.annotations.take().unwrap_or_default();
        let (content, by_shape) = view.content(known)?;
        let media_type = known.cloned().unwrap_or(by_shape);
        let is_index = matches!(content, Content::Index { .. });
        let says_index = media_type.is_index();
        let agrees = declared.is_none_or(|d| is_index == d.is_index());
        let has_own_type = matches!(content, Content::Artifact { .. });
        if !(media_type.is_known_manifest() || has_own_type) || is_index != says_index || !agrees {
            return Err(Error::unsupported(format!(
                "the manifest is ambiguous: its media type {:?} and its fields disagree",
                media_type.as_str()
            )));
        }
        let digest = Digest::sha256(&bytes);
        Ok(Manifest(Arc::new(Fields { bytes, media_type, digest, content, annotations })))
    }

    /// Creates a manifest whose content is already known.
    pub(super) fn unread(bytes: Bytes, media_type: &str, content: Content) -> Self {
        let (digest, media_type, annotations) = (Digest::sha256(&bytes), media_type.into(), BTreeMap::new());
        Manifest(Arc::new(Fields { bytes, media_type, digest, content, annotations }))
    }

    /// Returns the family of its media type.
    pub fn family(&self) -> Family {
        self.media_type.family()
    }

    /// Returns the children of an index; empty for an image.
    pub fn children(&self) -> &[Descriptor] {
        match &self.content {
            Content::Index { children } => children,
            _ => &[],
        }
    }

    /// Returns the blobs of an image, config first; empty for an index.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        match &self.content {
            Content::Image { config, layers } => std::iter::once(config.as_ref()).chain(layers).collect(),
            Content::Artifact { blobs, .. } | Content::Opaque { blobs, .. } => blobs.iter().collect(),
            Content::Index { .. } => Vec::new(),
        }
    }

    /// Returns the type of an artifact: its `artifactType`, else the media type of its config, else that of the layer
    /// that is not an image layer.
    pub fn artifact_type(&self) -> &str {
        let (config, layers) = match &self.content {
            Content::Artifact { kind, .. } => return kind,
            Content::Image { config, layers } => (config, layers),
            Content::Index { .. } | Content::Opaque { .. } => return &self.media_type,
        };
        let config = &config.media_type;
        let says_nothing = config.is_empty() || *config == MediaType::OciEmpty || config.is_image_config();
        let layer = layers.iter().map(|l| &l.media_type).find(|l| !l.is_image_layer());
        if says_nothing { layer.unwrap_or(&self.media_type) } else { config }
    }

    /// Returns a descriptor of this manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.bytes.len() as u64)
    }
}

fn plain(objects: impl IntoIterator<Item = Object<Descriptor>>) -> Vec<Descriptor> {
    objects.into_iter().map(|o| o.0).collect()
}

/// Returns whether this is a schema 1 manifest, which reuses field names with different types.
fn looks_like_schema1(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        schema_version: u64,
    }
    serde_json::from_slice::<Version>(bytes).is_ok_and(|v| v.schema_version == 1)
}

fn schema1() -> Error {
    Error::unsupported("the image has a Docker schema 1 manifest, which has no config to rewrite")
        .hint("pull it and push it again with a current engine, which converts it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn image(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"","digest":"{D}","size":2}},"layers":[]{extra}}}"#
        )
    }

    #[test]
    fn media_type_comes_from_the_text_then_the_transport_then_the_fields() {
        let m = Manifest::parse(image(""), None).unwrap();
        assert_eq!(m.media_type, media_type::OCI_MANIFEST);
        let m = Manifest::parse(image(""), Some(media_type::DOCKER_MANIFEST)).unwrap();
        assert_eq!((m.media_type.as_str(), m.family()), (media_type::DOCKER_MANIFEST, Family::Docker));
        let m = Manifest::parse(image(""), Some("application/json; charset=utf-8")).unwrap();
        assert_eq!(m.media_type, media_type::OCI_MANIFEST);
        let stated = format!(r#","mediaType":"{}""#, media_type::OCI_MANIFEST);
        let m = Manifest::parse(image(&stated), Some(media_type::DOCKER_MANIFEST)).unwrap();
        assert_eq!(m.media_type, media_type::OCI_MANIFEST);
    }

    #[test]
    fn distinguishes_artifacts_from_images() {
        for extra in [r#","artifactType":"application/vnd.x""#, r#","blobs":[]"#] {
            let manifest = Manifest::parse(image(extra), None).unwrap();
            assert!(matches!(manifest.content, Content::Artifact { .. }), "{extra}");
            assert_eq!(manifest.blobs().len(), 1);
        }
        let own = "application/vnd.oci.artifact.manifest.v1+json";
        let text = format!(
            r#"{{"mediaType":"{own}","artifactType":"x/y","blobs":[{{"mediaType":"x/z","digest":"{D}","size":1}}]}}"#
        );
        let manifest = Manifest::parse(text, Some(own)).unwrap();
        assert_eq!((manifest.media_type.as_str(), manifest.blobs().len()), (own, 1));
    }

    #[test]
    fn returns_the_type_of_an_artifact() {
        let helm = "application/vnd.cncf.helm.config.v1+json";
        let with = |config: &str, layer: &str, extra: &str| {
            let text = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"{D}","size":2}},"layers":[{{"mediaType":"{}","digest":"{D}","size":2}},{{"mediaType":"{layer}","digest":"{D}","size":2}}]{extra}}}"#,
                media_type::OCI_LAYER
            );
            Manifest::parse(text, None).unwrap().artifact_type().to_owned()
        };
        assert_eq!(with(media_type::OCI_EMPTY, "x/layer", r#","artifactType":"x/kind""#), "x/kind");
        assert_eq!(with(helm, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", ""), helm);
        assert_eq!(with(helm, media_type::OCI_LAYER_GZIP, r#","artifactType":"""#), helm);
        assert_eq!(
            with(media_type::OCI_CONFIG, "application/vnd.in-toto+json", ""),
            "application/vnd.in-toto+json"
        );
        assert_eq!(with(media_type::OCI_EMPTY, "x/layer", ""), "x/layer");
        assert_eq!(with("x/config", "x/layer", r#","blobs":[]"#), "x/config");
        let own = format!(r#","artifactType":"{}""#, media_type::OCI_CONFIG);
        let image = Manifest::parse(image(&own), None).unwrap();
        assert!(matches!(image.content, Content::Image { .. }), "an image may name its config's type");
    }

    #[test]
    fn only_layers_with_urls_are_foreign() {
        let layer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let descriptor = |media_type: &str, urls: Option<&[&str]>| Descriptor {
            urls: urls.map(|urls| urls.iter().map(ToString::to_string).collect()),
            ..Descriptor::of(media_type, b"")
        };
        let urls: Option<&[&str]> = Some(&["https://example.com/layer"]);
        assert!(descriptor(layer, urls).is_foreign());
        assert!(descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", urls).is_foreign());
        assert!(!descriptor(layer, None).is_foreign());
        assert!(!descriptor(layer, Some(&[])).is_foreign());
        assert!(!descriptor(media_type::OCI_LAYER, urls).is_foreign());
    }

    #[test]
    fn null_is_an_empty_list() {
        for text in [r#"{"schemaVersion":2,"manifests":null}"#, r#"{"schemaVersion":2,"manifests":[]}"#] {
            let index = Manifest::parse(text, Some(media_type::OCI_INDEX)).unwrap();
            assert!(matches!(&index.content, Content::Index { children } if children.is_empty()), "{text}");
        }
        let image = Manifest::parse(image(r#","manifests":null,"annotations":null"#), None).unwrap();
        assert!(matches!(image.content, Content::Image { .. }));
    }

    #[test]
    fn rejects_keys_that_differ_only_in_case() {
        let index = |child: &str| {
            format!(
                r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"","digest":"{D}","size":2{child}}}]}}"#
            )
        };
        for (text, key) in [
            (image(r#","Layers":[]"#), "Layers"),
            (image(r#","CONFIG":{}"#), "CONFIG"),
            (image(r#","mediatype":"x""#), "mediatype"),
            (image(r#","SchemaVersion":1"#), "SchemaVersion"),
            (image(r#","annotation\u017f":{}"#), "annotation\u{17f}"),
            (image("").replacen("\"size\"", "\"Size\":1,\"size\"", 1), "Size"),
            (index(r#","Digest":"x""#), "Digest"),
            (index(r#","platform":{"os":"linux","OS":"windows"}"#), "OS"),
            (index(r#","Platform":{}"#), "Platform"),
            (index(r#","artifacttype":"x""#), "artifacttype"),
        ] {
            let error = Manifest::parse(text.clone(), None).unwrap_err();
            assert!(
                error.to_string().contains(&format!("the key {key:?}, which engines read as")),
                "{text}: {error}"
            );
        }
        let free = index(r#","annotations":{"a":"1","A":"2"},"Vendor":1,"platform":{"os.features":[]}"#);
        assert!(Manifest::parse(free, None).is_ok());
    }

    #[test]
    fn rejects_manifests_that_are_not_clearly_an_image_or_index() {
        let index_type = format!(r#","mediaType":"{}""#, media_type::OCI_INDEX);
        for (text, declared, why) in [
            (image(r#","manifests":[]"#), None, "ambiguous"),
            (image(&index_type), None, "disagree"),
            (image(""), Some(media_type::OCI_INDEX), "disagree"),
            (image(r#","mediaType":"application/vnd.oci.artifact.manifest.v1+json""#), None, "disagree"),
            (r#"{"schemaVersion":1,"name":"x","history":[{}]}"#.into(), None, "schema 1"),
            (r#"{"schemaVersion":2}"#.into(), None, "neither"),
            (r#"{"manifests":[]}"#.into(), None, "schemaVersion"),
            ("<html>".into(), None, "malformed"),
            (format!(r#"{{"schemaVersion":2,"config":["","{D}",2]}}"#), None, "malformed"),
            (image("").replace(D, "sha256:12"), None, "invalid digest"),
            (image("").replace("\"size\":2", "\"size\":-2"), None, "malformed"),
        ] {
            let error = Manifest::parse(text.clone(), declared).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert_eq!(error.kind(), crate::error::Kind::Unsupported);
        }
    }
}
