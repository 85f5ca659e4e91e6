//! Conversions between the types of this crate and those of the OCI specifications.

use super::{Descriptor, Digest, Platform, Reference};
use crate::error::{Error, Result};
use oci_spec::distribution;
use oci_spec::image as spec;

impl From<&Digest> for spec::Digest {
    fn from(digest: &Digest) -> Self {
        digest.to_string().parse().expect("every `Digest` is valid for the specification's type")
    }
}

impl TryFrom<&spec::Digest> for Digest {
    type Error = Error;

    fn try_from(digest: &spec::Digest) -> Result<Self> {
        digest.as_ref().parse()
    }
}

impl From<&Platform> for spec::Platform {
    fn from(platform: &Platform) -> Self {
        let mut converted = spec::Platform::default();
        converted.set_os(platform.os.as_str().into()).set_architecture(platform.architecture.as_str().into());
        converted.set_variant(platform.variant.clone());
        converted
    }
}

impl From<&spec::Platform> for Platform {
    fn from(platform: &spec::Platform) -> Self {
        Platform {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone(),
        }
    }
}

/// Leaves out the platform if it is incomplete.
impl From<&Descriptor> for spec::Descriptor {
    fn from(descriptor: &Descriptor) -> Self {
        let media_type = descriptor.media_type.as_str().into();
        let mut converted = spec::Descriptor::new(media_type, descriptor.size, &descriptor.digest);
        converted.set_urls(descriptor.urls.clone());
        converted.set_annotations(descriptor.annotations.clone().map(|all| all.into_iter().collect()));
        let platform = descriptor.complete_platform();
        converted.set_platform(platform.as_ref().map(Into::into));
        converted.set_artifact_type(descriptor.artifact_type.as_deref().map(Into::into));
        converted.set_data(descriptor.data.clone());
        converted
    }
}

impl TryFrom<&spec::Descriptor> for Descriptor {
    type Error = Error;

    fn try_from(descriptor: &spec::Descriptor) -> Result<Self> {
        Ok(Descriptor {
            media_type: descriptor.media_type().as_ref().into(),
            digest: descriptor.digest().try_into()?,
            size: descriptor.size(),
            platform: descriptor.platform().as_ref().map(|platform| Platform::from(platform).into()),
            urls: descriptor.urls().clone(),
            data: descriptor.data().clone(),
            artifact_type: descriptor.artifact_type().as_ref().map(ToString::to_string),
            annotations: descriptor.annotations().clone().map(|all| all.into_iter().collect()),
        })
    }
}

/// Returns an error for hosts that the specification's grammar does not allow, such as IPv6 addresses.
impl TryFrom<&Reference> for distribution::Reference {
    type Error = Error;

    fn try_from(reference: &Reference) -> Result<Self> {
        let text = reference.to_string();
        text.parse().map_err(|e| Error::usage(format!("invalid reference {text:?}: {e}")))
    }
}

impl TryFrom<&distribution::Reference> for Reference {
    type Error = Error;

    fn try_from(reference: &distribution::Reference) -> Result<Self> {
        reference.whole().parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type;

    #[test]
    fn round_trips_preserve_descriptors_and_references() {
        let descriptor = Descriptor {
            platform: Some("linux/arm/v7".parse::<Platform>().unwrap().into()),
            urls: Some(vec!["https://example.com".into()]),
            data: Some("YWJj".into()),
            artifact_type: Some("x/y".into()),
            annotations: Some([("a".to_string(), "b".to_string())].into()),
            ..Descriptor::of(media_type::DOCKER_LAYER_GZIP, b"abc")
        };
        let back = Descriptor::try_from(&spec::Descriptor::from(&descriptor)).unwrap();
        assert_eq!(format!("{back:?}"), format!("{descriptor:?}"));
        for platform in
            ["linux/amd64", "linux/loong64", "windows/amd64", "linux/mips64le", "linux/new", "linux/386"]
        {
            let platform: Platform = platform.parse().unwrap();
            assert_eq!(Platform::from(&spec::Platform::from(&platform)), platform);
        }
        for name in [
            "app",
            "example.com:5000/a/b:v1",
            "localhost/a@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ] {
            let reference: Reference = name.parse().unwrap();
            let there = distribution::Reference::try_from(&reference).unwrap();
            assert_eq!(Reference::try_from(&there).unwrap(), reference, "{name}");
        }
    }

    #[test]
    fn rejects_values_that_the_other_type_cannot_hold() {
        let short: spec::Digest = "md5:abc".parse().unwrap();
        assert!(Digest::try_from(&short).is_err());
        let reference: Reference = "[::1]:5000/app:v1".parse().unwrap();
        assert!(distribution::Reference::try_from(&reference).is_err());
    }

    #[test]
    fn media_types_match_those_of_the_specification() {
        for (ours, theirs) in [
            (media_type::OCI_INDEX, spec::MediaType::ImageIndex),
            (media_type::OCI_MANIFEST, spec::MediaType::ImageManifest),
            (media_type::OCI_CONFIG, spec::MediaType::ImageConfig),
            (media_type::OCI_EMPTY, spec::MediaType::EmptyJSON),
            (media_type::OCI_LAYER, spec::MediaType::ImageLayer),
            (media_type::OCI_LAYER_GZIP, spec::MediaType::ImageLayerGzip),
            (media_type::OCI_LAYER_ZSTD, spec::MediaType::ImageLayerZstd),
        ] {
            assert_eq!(ours, theirs.as_ref());
        }
    }
}
