//! Converts media types between the OCI's and Docker's: the descriptors of manifests and indexes change their types, and
//! nothing else does. The texts of both families are the same otherwise.

use crate::error::{Error, Remedy, Result};
use crate::image::json::{Document, Undo, quote};
use crate::image::media_type::{self, Family, MediaType};
use crate::image::{Content, Manifest};

/// The media types of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Those of the source.
    #[default]
    Keep,
    /// The OCI's.
    Oci,
    /// Docker's.
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

    /// Returns what it comes to for a source of this family: nothing, where it has that format already.
    pub fn of(self, source: Family) -> Format {
        if self.family(source) == source { Format::Keep } else { self }
    }
}

/// The parts that layers' types have in both families.
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

/// Returns the type of a layer in a family. Docker has none for zstd.
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
            Err(Error::unsupported("Docker's format has no layers compressed with zstd")
                .hint(Remedy::KeepFormat))
        }
        _ => Err(unknown()),
    }
}

/// Gives the manifest of an image the types of a family. Returns how that is taken back: nothing, if it has them.
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
    // One undo for all layers: their number has no part in how many steps a record has.
    if let Some(raw) = text.get("/layers")?.filter(|_| !layers.is_empty()) {
        let mut list = Document::new(raw.as_bytes())?;
        for (position, layer) in layers.iter().enumerate() {
            list.set(&format!("/{position}/mediaType"), &quote(&layer_type(&layer.media_type, family)?))?;
        }
        undo.push(text.set("/layers", &list.to_string())?);
    }
    Ok(undo)
}

/// Returns the type that a manifest had before its edits, as far as its text does not say.
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

/// Whether two types of manifests are those of the same content in the two families.
pub fn is_converted(one: &str, other: &str) -> bool {
    [manifest_type, index_type].iter().any(|kind| {
        let (oci, docker) = (kind(Family::Oci), kind(Family::Docker));
        (one, other) == (oci, docker) || (one, other) == (docker, oci)
    })
}

/// Whether an undo gives an index the type of the other family, or takes away one that it did not state.
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
    fn types_change_to_the_other_family_and_back_byte_for_byte() {
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
    fn what_the_other_family_lacks_is_refused() {
        let zstd = manifest("", media_type::OCI_CONFIG, &[media_type::OCI_LAYER_ZSTD]);
        let odd = manifest("", media_type::OCI_CONFIG, &["application/vnd.oci.image.layer.v1.tar+lz4"]);
        for (source, why) in [(zstd, "zstd"), (odd, "lz4")] {
            let mut text = Document::new(&source.bytes).unwrap();
            let error = convert(&mut text, &source, Family::Docker).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
