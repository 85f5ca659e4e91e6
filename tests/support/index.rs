//! Indexes, built byte by byte.

use serde_json::{Value, json};

use super::image::{Family, Image, digest, file};
use super::registry::Registry;

/// Returns an image for a platform, with two layers of its own.
pub fn image_for(os: &str, architecture: &str, variant: &str, family: Family) -> Image {
    let variant = if variant.is_empty() { String::new() } else { format!(r#""variant":"{variant}","#) };
    let config = format!(
        r#"{{"os":"{os}","architecture":"{architecture}",{variant}"config":{{"Entrypoint":["/app"]}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
    );
    let content = format!("{os}/{architecture}{variant}");
    Image::new()
        .family(family)
        .layer(&[file("base", b"shared by all")])
        .layer(&[file("app", content.as_bytes())])
        .config(&config)
}

/// Returns the descriptor of an image, with a platform.
pub fn child(image: &Image, os: &str, architecture: &str) -> Value {
    let mut descriptor = image.descriptor();
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

/// Pushes an attestation about `subject`, as BuildKit adds them, and returns its descriptor.
pub fn attestation(registry: &Registry, repository: &str, subject: &str) -> Value {
    let config = registry.put_blob(repository, b"{}");
    let layer = registry.put_blob(repository, b"{\"predicate\":1}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": Family::Oci.manifest(),
        "config": {"mediaType": Family::Oci.config(), "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": layer, "size": 15}],
    })
    .to_string();
    let digest = registry.put_manifest(
        repository,
        &digest(manifest.as_bytes()),
        Family::Oci.manifest(),
        manifest.as_bytes(),
    );
    json!({
        "mediaType": Family::Oci.manifest(), "digest": digest, "size": manifest.len(),
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject},
        "platform": {"os": "unknown", "architecture": "unknown"},
    })
}

/// Writes an index with unusual white space under a tag.
pub fn put_index(
    registry: &Registry,
    repository: &str,
    tag: &str,
    family: Family,
    children: &[Value],
) -> Vec<u8> {
    let children: Vec<String> = children.iter().map(|c| serde_json::to_string_pretty(c).unwrap()).collect();
    let text = format!(
        "{{ \"schemaVersion\": 2,\n \"mediaType\": \"{}\",\n \"manifests\": [\n{}\n ], \"x-vendor\" : 1e3 }}\n",
        family.index(),
        children.join(" ,\n")
    );
    registry.put_manifest(repository, tag, family.index(), text.as_bytes());
    text.into_bytes()
}

/// Returns a stored manifest, as bytes and as JSON.
pub fn manifest(registry: &Registry, repository: &str, reference: &str) -> (Vec<u8>, Value) {
    let stored = registry
        .manifest(repository, reference)
        .unwrap_or_else(|| panic!("{repository}:{reference} is missing"));
    (stored.bytes.to_vec(), serde_json::from_slice(&stored.bytes).unwrap())
}

/// Returns the platform and action of every image in a report.
pub fn actions(report: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or("-").to_string();
    report["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (text(&p["platform"]), text(&p["action"])))
        .collect()
}

/// Returns pairs of strings, for comparison with [`actions`].
pub fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}
