//! Every JSON document that we write ourselves, in one place. Documents of others are edited, never written anew.

use super::json::quote;
use super::media_type::{self, Family};
use super::{Content, Descriptor, Digest, ImagePath, Manifest};
use crate::error::Result;

/// The `oci-layout` file.
pub fn oci_layout() -> String {
    r#"{"imageLayoutVersion":"1.0.0"}"#.into()
}

/// An index without children.
pub fn empty_index() -> String {
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#.into()
}

/// The descriptor of an added layer.
pub fn layer(family: Family, digest: &Digest, size: u64) -> String {
    descriptor(family.gzip_layer(), digest, size)
}

/// The entry of a manifest in the index of a layout, or in the index of its subject's referrers. `annotations` is
/// their JSON text.
pub fn entry(manifest: &Manifest, annotations: Option<&str>) -> Result<String> {
    let kind = match &manifest.content {
        Content::Artifact { kind, .. } => format!(",\"artifactType\":{}", quote(kind)),
        _ => String::new(),
    };
    let annotations = annotations.map(|raw| format!(",\"annotations\":{raw}")).unwrap_or_default();
    let plain = descriptor(&manifest.media_type, &manifest.digest, manifest.bytes.len() as u64);
    Ok(format!("{}{kind}{annotations}}}", plain.trim_end_matches('}')))
}

/// The manifest of an image, from its config and layers.
pub fn image_manifest(config: &Descriptor, layers: &[Descriptor]) -> Result<Manifest> {
    let descriptor = |d: &Descriptor| {
        format!(
            "{{\"mediaType\":{},\"size\":{},\"digest\":{}}}",
            quote(&d.media_type),
            d.size,
            quote(&d.digest.to_string())
        )
    };
    let layers: Vec<String> = layers.iter().map(descriptor).collect();
    let text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":{},\"config\":{},\"layers\":[{}]}}",
        quote(media_type::OCI_MANIFEST),
        descriptor(config),
        layers.join(",")
    );
    Manifest::parse(text, None)
}

/// The manifest of an artifact with one blob that refers to a subject (OCI image specification, "Guidelines for
/// Artifact Usage"). The blob's media type is that of the artifact.
pub fn referrer(blob: &Descriptor, annotation: (&str, &str), subject: &Descriptor) -> Result<Manifest> {
    let plain = |d: &Descriptor| descriptor(&d.media_type, &d.digest, d.size);
    let (key, value) = annotation;
    let text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":{},\"artifactType\":{},\"config\":{},\"layers\":[{},\"annotations\":{{{}:{}}}}}],\"subject\":{}}}",
        quote(media_type::OCI_MANIFEST),
        quote(&blob.media_type),
        plain(&Descriptor::of(media_type::OCI_EMPTY, b"{}")),
        plain(blob).trim_end_matches('}'),
        quote(key),
        quote(value),
        plain(subject),
    );
    Manifest::parse(text, None)
}

/// The history entry of an added layer. The clock is not read: `created`, a JSON string, is that of the config.
pub fn history(created: Option<&str>, path: &ImagePath) -> Result<String> {
    let created = created.map(|c| format!("\"created\":{c},")).unwrap_or_default();
    Ok(format!(
        "{{{created}\"created_by\":{},\"comment\":\"reapify\"}}",
        quote(&format!("reapify: add {path}, a reaper for PID 1"))
    ))
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> String {
    format!(
        "{{\"mediaType\":{},\"digest\":{},\"size\":{size}}}",
        quote(media_type),
        quote(&digest.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// Digests depend on these bytes: an image that is wrapped again must give the one that it gave before.
    #[test]
    fn bytes_of_authored_documents_never_change() {
        assert_eq!(oci_layout(), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index =
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        assert_eq!(empty_index(), index);
        let digest: Digest = ABC.parse().unwrap();
        let text = r#"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"ABC","size":7}"#;
        assert_eq!(layer(Family::Oci, &digest, 7), text.replace("ABC", ABC));
        let text =
            r#"{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"ABC","size":7}"#;
        assert_eq!(layer(Family::Docker, &digest, 7), text.replace("ABC", ABC));
        let path = "/.reaper".parse().unwrap();
        assert_eq!(
            history(Some("\"2020-01-01T00:00:00Z\""), &path).unwrap(),
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
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":3,"digest":"ABC"},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":2,"digest":"EMPTY"}]}"#;
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
