//! Writers of every JSON document that reapify creates itself, built on the OCI specifications' types. Documents from
//! elsewhere are edited as text instead, because those types drop fields that they do not know.

use super::json::{Document, to_json};
use super::media_type::Family;
use super::{Content, Descriptor, Digest, ImagePath, Manifest};
use crate::error::{Error, Result};
use oci_spec::OciSpecError;
use oci_spec::image as spec;

/// Returns the content of an `oci-layout` file.
pub fn oci_layout() -> Result<String> {
    let layout = spec::OciLayoutBuilder::default().image_layout_version("1.0.0").build();
    to_json(&layout.map_err(incomplete)?)
}

/// Returns an index without children.
pub fn empty_index() -> Result<String> {
    let index = spec::ImageIndexBuilder::default()
        .schema_version(spec::SCHEMA_VERSION)
        .media_type(spec::MediaType::ImageIndex)
        .manifests([])
        .build();
    to_json(&index.map_err(incomplete)?)
}

/// Returns the descriptor of an added layer.
pub fn layer(family: Family, digest: &Digest, size: u64) -> Result<String> {
    to_json(&spec::Descriptor::new(family.gzip_layer().into(), size, digest))
}

/// Returns the entry of a manifest in the index of a layout, or in the list of its subject's referrers. `annotations`
/// is JSON text.
pub fn entry(manifest: &Manifest, annotations: Option<&str>) -> Result<String> {
    let mut entry = spec::Descriptor::from(&manifest.descriptor());
    if let Content::Artifact { kind, .. } = &manifest.content {
        entry.set_artifact_type(Some(kind.as_str().into()));
    }
    let mut text = Document::new(to_json(&entry)?.as_bytes())?;
    if let Some(annotations) = annotations {
        // The types hold annotations in a hash map, whose order varies; the text must not.
        text.set("/annotations", annotations)?;
    }
    Ok(text.to_string())
}

/// Returns an image manifest with this config and these layers.
pub fn image_manifest(config: &Descriptor, layers: &[Descriptor]) -> Result<Manifest> {
    let manifest = spec::ImageManifestBuilder::default()
        .schema_version(spec::SCHEMA_VERSION)
        .media_type(spec::MediaType::ImageManifest)
        .config(config)
        .layers(layers.iter().map(spec::Descriptor::from).collect::<Vec<_>>())
        .build();
    Manifest::parse(to_json(&manifest.map_err(incomplete)?)?, None)
}

/// Returns the manifest of an artifact with one blob that refers to a subject (OCI image specification, "Guidelines
/// for Artifact Usage"). The artifact type is the blob's media type.
pub fn referrer(blob: &Descriptor, annotation: (&str, &str), subject: &Descriptor) -> Result<Manifest> {
    let mut layer = spec::Descriptor::from(blob);
    let (key, value) = annotation;
    layer.set_annotations(Some([(key.to_string(), value.to_string())].into()));
    let empty = Descriptor::of(spec::MediaType::EmptyJSON.as_ref(), b"{}");
    let manifest = spec::ImageManifestBuilder::default()
        .schema_version(spec::SCHEMA_VERSION)
        .media_type(spec::MediaType::ImageManifest)
        .artifact_type(blob.media_type.as_str())
        .config(&empty)
        .layers([layer])
        .subject(subject)
        .build();
    Manifest::parse(to_json(&manifest.map_err(incomplete)?)?, None)
}

/// Returns the history entry of an added layer. `created` is copied from the config, so that the result does not
/// depend on the clock.
pub fn history(created: Option<&str>, path: &ImagePath) -> Result<String> {
    let mut entry = spec::HistoryBuilder::default()
        .created_by(format!("reapify: add {path}, a reaper for PID 1"))
        .comment("reapify")
        .build()
        .map_err(incomplete)?;
    entry.set_created(created.map(String::from));
    to_json(&entry)
}

fn incomplete(error: OciSpecError) -> Error {
    Error::other(format!("cannot write a document: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::media_type;
    use super::*;

    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Digests depend on these bytes: wrapping an image again must give the same result as before.
    #[test]
    fn bytes_of_authored_documents_never_change() {
        assert_eq!(oci_layout().unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index =
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        assert_eq!(empty_index().unwrap(), index);
        let digest: Digest = ABC.parse().unwrap();
        let text = r#"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"ABC","size":7}"#;
        assert_eq!(layer(Family::Oci, &digest, 7).unwrap(), text.replace("ABC", ABC));
        let text =
            r#"{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"ABC","size":7}"#;
        assert_eq!(layer(Family::Docker, &digest, 7).unwrap(), text.replace("ABC", ABC));
        let path = "/.reaper".parse().unwrap();
        assert_eq!(
            history(Some("2020-01-01T00:00:00Z"), &path).unwrap(),
            r#"{"created":"2020-01-01T00:00:00Z","created_by":"reapify: add /.reaper, a reaper for PID 1","comment":"reapify"}"#
        );
        assert_eq!(
            history(None, &"/a\"<é".parse().unwrap()).unwrap(),
            r#"{"created_by":"reapify: add /a\"<é, a reaper for PID 1","comment":"reapify"}"#
        );
    }

    #[test]
    fn bytes_of_authored_manifests_never_change() {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"abc");
        let layer = Descriptor::of(media_type::OCI_LAYER, b"{}");
        let image = image_manifest(&config, &[layer]).unwrap();
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"ABC","size":3},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"EMPTY","size":2}]}"#;
        assert_eq!(image.bytes, text.replace("ABC", ABC).replace("EMPTY", EMPTY));

        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.in-toto+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"EMPTY","size":2},"layers":[{"mediaType":"application/vnd.in-toto+json","digest":"ABC","size":3,"annotations":{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v1"}}],"subject":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"ABC","size":3}}"#;
        let statement = Descriptor::of("application/vnd.in-toto+json", b"abc");
        let subject = Descriptor::of(media_type::DOCKER_MANIFEST, b"abc");
        let predicate = ("in-toto.io/predicate-type", "https://slsa.dev/provenance/v1");
        let referrer = referrer(&statement, predicate, &subject).unwrap();
        assert_eq!(referrer.bytes, text.replace("ABC", ABC).replace("EMPTY", EMPTY));

        let plain = format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{}}}"#,
            image.digest,
            image.bytes.len()
        );
        assert_eq!(entry(&image, None).unwrap(), plain);
        let annotations = r#"{"io.containerd.image.name":"b","org.opencontainers.image.ref.name":"a" }"#;
        assert_eq!(
            entry(&image, Some(annotations)).unwrap(),
            plain.replace("}", &format!(",\"annotations\":{annotations}}}"))
        );
        let kind = r#","artifactType":"application/vnd.in-toto+json"}"#;
        let plain = plain.replace(&image.digest.to_string(), &referrer.digest.to_string());
        let plain =
            plain.replace(&format!("{}}}", image.bytes.len()), &format!("{}{kind}", referrer.bytes.len()));
        assert_eq!(entry(&referrer, None).unwrap(), plain);
    }
}
