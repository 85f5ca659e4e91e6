//! Platforms: `os/architecture[/variant]`, with Go's names, as in the OCI image specification.

use super::json;
use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::str::FromStr;

/// A platform with a known operating system and architecture.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7`, `v8`, …
    pub variant: Option<String>,
}

/// The platform that a descriptor or a config states, in lower case; each field may be absent. An empty string counts as
/// absent, as it does for Go programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatedPlatform {
    /// `linux`, `windows`, …
    pub os: Option<String>,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: Option<String>,
    /// `v7`, `v8`, …
    pub variant: Option<String>,
}

impl json::View for StatedPlatform {
    const KEYS: &'static [&'static str] = &["os", "architecture", "variant"];
}

impl<'de> Deserialize<'de> for StatedPlatform {
    fn deserialize<D: Deserializer<'de>>(platform: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Stated {
            os: Option<String>,
            architecture: Option<String>,
            variant: Option<String>,
        }
        let stated = Stated::deserialize(platform)?;
        Ok(Self::new(stated.os, stated.architecture, stated.variant))
    }
}

impl StatedPlatform {
    /// Creates a platform from its fields, in lower case as engines compare them; empty ones count as absent.
    pub fn new(os: Option<String>, architecture: Option<String>, variant: Option<String>) -> Self {
        let stated =
            |field: Option<String>| Some(field?.to_ascii_lowercase()).filter(|text| !text.is_empty());
        StatedPlatform { os: stated(os), architecture: stated(architecture), variant: stated(variant) }
    }

    /// Returns the platform if both operating system and architecture are stated.
    pub fn complete(&self) -> Option<Platform> {
        let (os, architecture) = (self.os.clone()?, self.architecture.clone()?);
        Some(Platform { os, architecture, variant: self.variant.clone() })
    }

    /// Returns whether the stated platform is complete and [satisfies](Platform::satisfies) `wanted`.
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        self.complete().is_some_and(|platform| platform.satisfies(wanted))
    }

    /// Returns whether this is the placeholder that BuildKit gives to attestations.
    pub fn is_unknown(&self) -> bool {
        [&self.os, &self.architecture].into_iter().any(|field| field.as_deref() == Some("unknown"))
    }
}

impl From<Platform> for StatedPlatform {
    fn from(platform: Platform) -> Self {
        let Platform { os, architecture, variant } = platform;
        StatedPlatform { os: Some(os), architecture: Some(architecture), variant }
    }
}

impl Platform {
    /// Creates a platform from its parts, with canonical names.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let [os, architecture] = [os, architecture].map(str::to_ascii_lowercase);
        let variant = variant.map(str::to_ascii_lowercase);
        let (architecture, implied) = match architecture.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "i386" | "i686" => ("386", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            other => (other, None),
        };
        let variant = match (architecture, variant.as_deref().filter(|v| !v.is_empty()).or(implied)) {
            // The plain architecture implies arm64/v8 and amd64/v1.
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            ("arm", None) => Some("v7"),
            ("arm", Some("5")) => Some("v5"),
            ("arm", Some("6")) => Some("v6"),
            ("arm", Some("7")) => Some("v7"),
            (_, variant) => variant,
        };
        Platform { os, architecture: architecture.into(), variant: variant.map(Into::into) }
    }

    /// Returns the same platform with canonical names: `arm64/v8` becomes `arm64`, `arm` becomes `arm/v7`.
    #[must_use]
    pub fn canonical(&self) -> Self {
        Self::new(&self.os, &self.architecture, self.variant.as_deref())
    }

    /// Returns whether this platform matches `wanted`: equal in canonical names, or equal except for a variant if
    /// `wanted` has none. (`linux/arm` has one: it means `linux/arm/v7`.)
    pub fn satisfies(&self, wanted: &Platform) -> bool {
        let (own, wanted) = (self.canonical(), wanted.canonical());
        own.os == wanted.os
            && own.architecture == wanted.architecture
            && (wanted.variant.is_none() || own.variant == wanted.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A missing part is written as `unknown`.
impl fmt::Display for StatedPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |field: &Option<String>| field.clone().unwrap_or_else(|| "unknown".into());
        let (os, architecture) = (or_unknown(&self.os), or_unknown(&self.architecture));
        Platform { os, architecture, variant: self.variant.clone() }.fmt(f)
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::usage(format!("invalid platform {text:?}"))
                .hint("use os/architecture[/variant], as in linux/amd64 or linux/arm/v7")
        };
        let parts: Vec<&str> = text.split('/').collect();
        let plain = |s: &&str| {
            !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if !parts.iter().all(plain) {
            return Err(bad());
        }
        match parts[..] {
            [os, architecture] => Ok(Platform::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Platform::new(os, architecture, Some(variant))),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        for (text, canonical) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
            ("Linux/AMD64", "linux/amd64"),
            ("linux/X86_64", "linux/amd64"),
            ("LINUX/arm/V7", "linux/arm/v7"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), canonical);
        }
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_case_of_stated_platforms_does_not_matter() {
        let stated = |os: &str, architecture: &str, variant: &str| {
            StatedPlatform::new(Some(os.into()), Some(architecture.into()), Some(variant.into()))
        };
        assert_eq!(stated("Linux", "ARM", "V7"), stated("linux", "arm", "v7"));
        assert!(stated("Linux", "AMD64", "").satisfies(&Platform::new("linux", "amd64", None)));
        assert!(stated("Unknown", "UNKNOWN", "").is_unknown());
    }

    #[test]
    fn a_wanted_platform_without_variant_takes_any_variant() {
        let p = |s: &str| s.parse::<Platform>().unwrap();
        assert!(p("linux/amd64/v3").satisfies(&p("linux/amd64")));
        assert!(!p("linux/amd64").satisfies(&p("linux/amd64/v3")));
        assert!(!p("linux/arm/v6").satisfies(&p("linux/arm")));
    }
}
