//! Conversion of media types between the OCI and Docker families. Only the types in the descriptors of manifests and
//! indexes change; otherwise the documents of both families are the same.

use crate::error::{Error, Remedy, Result};
use crate::image::json::{Document, Undo, quote};
use crate::image::media_type::{self, Family, MediaType};
use crate::image::{Content, Manifest};

/// The media types of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The media types of the source.
    #[default]
    Keep,
    /// OCI media types.
    Oci,
    /// Docker media types.
    Docker,
}

impl Format {
    /// Returns the family of a result whose source has this one.
    pub fn family(self, source: Family) -> Family {
        match self {
            Format::Keep => source,
            Format::Oci => Family::Oci,
            Format::Docker => Family::Docker,
        }
    }

    /// Returns the conversion that a source of this family needs: [`Format::Keep`] if it already has this format.
    pub fn of(self, source: Family) -> Format {
        if self.family(source) == source { Format::Keep } else { self }
    }
}

/// The prefixes of layer types in both families.
const LAYERS: [(&str, &str); 2] = [
    ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ),
];

/// Returns the type of an image manifest.
pub fn manifest_type(family: Family) -> &'static str {
    match family {
        Family::Oci => media_type::OCI_MANIFEST,
        Family::Docker => media_type::DOCKER_MANIFEST,
    }
}

/// Returns the type of an index.
pub fn index_type(family: Family) -> &'static str {
    match family {
        Family::Oci => media_type::OCI_INDEX,
        Family::Docker => media_type::DOCKER_LIST,
    }
}

fn config_type(family: Family) -> &'static str {
    match family {
        Family::Oci => media_type::OCI_CONFIG,
        Family::Docker => media_type::DOCKER_CONFIG,
    }
}

/// Returns the type of a layer in a family. Docker has no type for zstd.
fn layer_type(own: &str, family: Family) -> Result<String> {
    let unknown =
        || Error::unsupported(format!("the layer type {own:?} has no equivalent in the other format"));
    let (index, rest) = LAYERS
        .iter()
        .enumerate()
        .find_map(|(i, (oci, docker))| Some((i, own.strip_prefix(oci).or_else(|| own.strip_prefix(docker))?)))
        .ok_or_else(unknown)?;
    let (oci, docker) = LAYERS[index];
    match (family, rest.trim_start_matches(['.', '+'])) {
        (Family::Oci, "") => Ok(oci.into()),
        (Family::Docker, "") => Ok(docker.into()),
        (Family::Oci, compression @ ("gzip" | "zstd")) => Ok(format!("{oci}+{compression}")),
        (Family::Docker, "gzip") => Ok(format!("{docker}.gzip")),
        (Family::Docker, "zstd") => {
            Err(Error::unsupported("Docker's format has no type for layers compressed with zstd")
                .hint(Remedy::KeepFormat))
        }
        _ => Err(unknown()),
    }
}

/// Converts the manifest of an image to the types of a family. Returns the undos, none if it already has those types.
pub fn convert(text: &mut Document, manifest: &Manifest, family: Family) -> Result<Vec<Undo>> {
    let Content::Image { layers, .. } = &manifest.content else { return Ok(Vec::new()) };
    if manifest.family() == family {
        return Ok(Vec::new());
    }
    let mut undo = vec![
        text.set("/mediaType", &quote(manifest_type(family)))?,
        text.set("/config/mediaType", &quote(config_type(family)))?,
    ];
    let names_config =
        |raw: &str| serde_json::from_str(raw).is_ok_and(|kind: MediaType| kind.is_image_config());
    if text.get("/artifactType")?.is_some_and(|raw| names_config(&raw)) {
        undo.push(text.set("/artifactType", &quote(config_type(family)))?);
    }
    // One undo covers all layers, so that the number of undos does not depend on the number of layers.
    if let Some(raw) = text.get("/layers")?.filter(|_| !layers.is_empty()) {
        let mut list = Document::new(raw.as_bytes())?;
        for (position, layer) in layers.iter().enumerate() {
            list.set(&format!("/{position}/mediaType"), &quote(&layer_type(&layer.media_type, family)?))?;
        }
        undo.push(text.set("/layers", &list.to_string())?);
    }
    Ok(undo)
}

/// Returns the media type that a manifest had before its edits, or `media_type` if the undos do not state it.
pub fn before<'a>(undos: &[Undo], media_type: &'a str) -> &'a str {
    if !undos.iter().any(|undo| undo.pointer() == "/mediaType") {
        return media_type;
    }
    match media_type {
        media_type::OCI_MANIFEST => media_type::DOCKER_MANIFEST,
        media_type::DOCKER_MANIFEST => media_type::OCI_MANIFEST,
        media_type::OCI_INDEX => media_type::DOCKER_LIST,
        media_type::DOCKER_LIST => media_type::OCI_INDEX,
        other => other,
    }
}

/// Returns whether two manifest types denote the same kind of content in different families.
pub fn is_converted(one: &str, other: &str) -> bool {
    [manifest_type, index_type].iter().any(|kind| {
        let (oci, docker) = (kind(Family::Oci), kind(Family::Docker));
        (one, other) == (oci, docker) || (one, other) == (docker, oci)
    })
}

/// Returns whether an undo sets the media type of an index, or removes one that the source did not state.
pub fn is_of_index(undo: &Undo) -> bool {
    let is_index = |raw: &str| [Family::Oci, Family::Docker].iter().any(|f| raw == quote(index_type(*f)));
    match undo {
        Undo::Set(pointer, raw) => pointer == "/mediaType" && is_index(raw),
        Undo::Del(pointer) => pointer == "/mediaType",
        Undo::Pop(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn manifest(kind: &str, config: &str, layers: &[&str]) -> Manifest {
        let descriptor = |kind: &str| {
            format!(r#"{{ "mediaType":"{kind}","digest":"{}", "size":1e0 }}"#, Digest::sha256(kind))
                .replace("1e0", "1")
        };
        let layers: Vec<String> = layers.iter().map(|kind| descriptor(kind)).collect();
        let text = format!(
            "{{\"schemaVersion\": 2,\n{kind}\"vendor\":1e3,\"config\":{},\"layers\":[ {} ]}}\n",
            descriptor(config),
            layers.join(" ,")
        );
        Manifest::parse(text, Some(media_type::OCI_MANIFEST)).unwrap()
    }

    fn types(bytes: &[u8]) -> Vec<String> {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let layers = value["layers"].as_array().unwrap().iter();
        let all = [&value["mediaType"], &value["config"]["mediaType"]];
        let all = all.into_iter().chain(layers.map(|layer| &layer["mediaType"]));
        all.map(|kind| kind.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn conversion_and_undo_restore_every_byte() {
        let oci = "application/vnd.oci.image.layer";
        let docker = "application/vnd.docker.image.rootfs";
        let all_oci = [
            format!("{oci}.v1.tar+gzip"),
            format!("{oci}.v1.tar"),
            format!("{oci}.nondistributable.v1.tar+gzip"),
        ];
        let all_docker = [
            format!("{docker}.diff.tar.gzip"),
            format!("{docker}.diff.tar"),
            format!("{docker}.foreign.diff.tar.gzip"),
        ];
        let stated = format!("\"mediaType\":\"{}\",", media_type::OCI_MANIFEST);
        let docker_stated = format!("\"mediaType\":\"{}\",", media_type::DOCKER_MANIFEST);
        fn words(list: &[String]) -> Vec<&str> {
            list.iter().map(String::as_str).collect()
        }
        for (source, family, expected) in [
            (manifest(&stated, media_type::OCI_CONFIG, &words(&all_oci)), Family::Docker, &all_docker),
            (manifest("", media_type::OCI_CONFIG, &words(&all_oci)), Family::Docker, &all_docker),
            (manifest(&docker_stated, media_type::DOCKER_CONFIG, &words(&all_docker)), Family::Oci, &all_oci),
        ] {
            let mut text = Document::new(&source.bytes).unwrap();
            let undo = convert(&mut text, &source, family).unwrap();
            let converted = Manifest::parse(text.to_string(), None).unwrap();
            assert_eq!(converted.family(), family);
            let mut all = vec![manifest_type(family).to_owned(), config_type(family).to_owned()];
            all.extend(expected.iter().cloned());
            assert_eq!(types(&converted.bytes), all);
            assert!(convert(&mut text, &converted, family).unwrap().is_empty());
            undo.iter().rev().for_each(|undo| text.undo(undo).unwrap());
            assert_eq!(text.into_bytes(), source.bytes);
            assert_eq!(before(&undo, &converted.media_type), source.media_type.as_str());
        }
    }

    #[test]
    fn rejects_layer_types_without_an_equivalent() {
        let zstd = manifest("", media_type::OCI_CONFIG, &[media_type::OCI_LAYER_ZSTD]);
        let odd = manifest("", media_type::OCI_CONFIG, &["application/vnd.oci.image.layer.v1.tar+lz4"]);
        for (source, why) in [(zstd, "zstd"), (odd, "lz4")] {
            let mut text = Document::new(&source.bytes).unwrap();
            let error = convert(&mut text, &source, Family::Docker).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
