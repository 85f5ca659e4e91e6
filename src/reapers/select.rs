//! The available reapers: those built into the tool, and those given with `--reaper`.

use crate::error::{Error, Remedy, Result};
use crate::image::{Digest, Platform};
use crate::reapers::elf::Program;
use bytes::Bytes;
use reaper::prebuilt::PREBUILT;

/// A reaper for one platform.
#[derive(Debug, Clone)]
pub struct Reaper {
    /// The platform. Without a variant, the reaper runs on all variants of the architecture.
    pub platform: Platform,
    /// The program.
    pub program: Bytes,
    /// The program's digest.
    pub digest: Digest,
}

impl Reaper {
    fn new(architecture: &str, variant: Option<&str>, program: Bytes) -> Self {
        let platform = Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.map(Into::into),
        };
        Reaper { platform, digest: Digest::sha256(&program), program }
    }

    /// Returns the version stored in one of our reapers; `None` for another program.
    pub fn version(&self) -> Option<String> {
        let marker = reaper::MARKER_PREFIX.as_bytes();
        let at = self.program.windows(marker.len()).position(|w| w == marker)? + marker.len();
        let text = self.program[at..].split(|b| *b == b' ' || *b == 0).next()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// Returns whether the reaper runs on an image's platform. A reaper for one variant also runs on later ones; an
    /// arm image without a variant may be for the lowest.
    fn runs_on(&self, image: &Platform) -> bool {
        let image = Platform { variant: image.variant.clone(), ..image.canonical() };
        self.platform.os == image.os
            && self.platform.architecture == image.architecture
            && match (&self.platform.variant, &image.variant) {
                (None, _) => true,
                (reaper, Some(image)) => level(reaper.as_deref()) <= level(Some(image)),
                (reaper, None) => level(reaper.as_deref()) <= 5,
            }
    }
}

/// All available reapers.
#[derive(Debug, Clone)]
pub struct Reapers {
    embedded: Vec<Reaper>,
    given: Vec<Reaper>,
}

impl Default for Reapers {
    fn default() -> Self {
        let embedded = PREBUILT
            .iter()
            .map(|it| Reaper::new(it.architecture, it.variant, Bytes::from_static(it.program)));
        Reapers { embedded: embedded.collect(), given: Vec::new() }
    }
}

impl Reapers {
    /// Creates an empty set of reapers.
    pub fn empty() -> Self {
        Reapers { embedded: Vec::new(), given: Vec::new() }
    }

    /// Adds a program given with `--reaper [PLATFORM=]FILE`. Without a platform it serves the machine that it was
    /// built for. Returns an error unless it is a static Linux program for that platform.
    pub fn add(&mut self, platform: Option<&Platform>, program: Bytes) -> Result<()> {
        let found = Program::parse(&program)?;
        found.check_static()?;
        let reaper = match platform {
            Some(platform) => {
                Program::check_reaper(&program, platform)?;
                Reaper::new(&platform.architecture, platform.variant.as_deref(), program)
            }
            None => Reaper::new(found.architecture, None, program),
        };
        if self.given.iter().any(|g| g.platform == reaper.platform) {
            return Err(Error::usage(format!("two reapers were given for {}", reaper.platform)));
        }
        self.given.push(reaper);
        Ok(())
    }

    /// Returns the reaper for images of `platform`; user-supplied reapers take precedence.
    pub fn select(&self, platform: &Platform) -> Result<&Reaper> {
        let best = |list: &'_ [Reaper]| {
            let fitting = list.iter().enumerate().filter(|(_, r)| r.runs_on(platform));
            fitting.max_by_key(|(_, r)| level(r.platform.variant.as_deref())).map(|(i, _)| i)
        };
        match (best(&self.given), best(&self.embedded)) {
            (Some(i), _) => Ok(&self.given[i]),
            (None, Some(i)) => Ok(&self.embedded[i]),
            (None, None) => {
                let remedy = match platform.os == "linux" {
                    true => Remedy::ProvideReaper,
                    false => Remedy::Text("only Linux needs one: its PID 1 adopts orphans".into()),
                };
                Err(Error::unsupported(format!("there is no reaper for {platform}")).hint(remedy))
            }
        }
    }

    /// Returns whether an image for `platform` may start the reaper with this digest: the user-supplied one, if there
    /// is one for that platform, else any built-in one.
    pub fn expects(&self, digest: &Digest, platform: Option<&Platform>) -> bool {
        let serves = |reaper: &&Reaper| platform.is_none_or(|platform| reaper.runs_on(platform));
        let mut given = self.given.iter().filter(serves).peekable();
        match given.peek() {
            Some(_) => given.any(|reaper| reaper.digest == *digest),
            None => self.embedded.iter().any(|reaper| reaper.digest == *digest),
        }
    }

    /// Returns the reapers that wrap adds: user-supplied ones, and built-in ones for all other platforms.
    pub fn selectable(&self) -> impl Iterator<Item = &Reaper> {
        self.all().filter(|reaper| self.expects(&reaper.digest, Some(&reaper.platform)))
    }

    /// Returns every reaper, user-supplied ones first.
    pub fn all(&self) -> impl Iterator<Item = &Reaper> {
        self.given.iter().chain(&self.embedded)
    }

    /// Returns the built-in reapers.
    pub fn embedded(&self) -> &[Reaper] {
        &self.embedded
    }
}

/// Returns the number of a variant: `v7` is 7, no variant is 0.
fn level(variant: Option<&str>) -> u32 {
    variant.and_then(|v| v.trim_start_matches('v').parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let parts: Vec<&str> = text.split('/').collect();
        Platform {
            os: parts[0].into(),
            architecture: parts[1].into(),
            variant: parts.get(2).map(|v| v.to_string()),
        }
    }

    #[test]
    fn built_in_reapers_are_static_programs_for_their_platform_with_a_version() {
        for reaper in Reapers::default().embedded() {
            Program::check_reaper(&reaper.program, &reaper.platform).unwrap();
            assert_eq!(reaper.version().as_deref(), Some("0.1.0"), "{}", reaper.platform);
        }
    }

    #[test]
    fn selects_the_highest_variant_that_runs_on_the_platform() {
        let reapers = Reapers::default();
        for (image, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v8", "linux/arm/v7"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/arm/v5", "linux/arm/v5"),
            ("linux/arm", "linux/arm/v5"),
        ] {
            assert_eq!(reapers.select(&platform(image)).unwrap().platform.to_string(), expected, "{image}");
        }
        for none in ["windows/amd64", "linux/vax", "linux/mips"] {
            assert!(reapers.select(&platform(none)).is_err(), "{none}");
        }
    }

    #[test]
    fn rejects_programs_that_cannot_be_reapers() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let arm = Reapers::default().embedded()[2].program.clone();
        let mut reapers = Reapers::default();
        for (platform_name, program, why) in [
            (None, own.into(), "dynamically linked"),
            (None, Bytes::from_static(b"#!/bin/sh"), "not a Linux executable"),
            (Some("linux/amd64"), arm.clone(), "it is for linux/arm"),
        ] {
            let error = reapers.add(platform_name.map(platform).as_ref(), program).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        reapers.add(Some(&platform("linux/arm/v7")), arm.clone()).unwrap();
        assert_eq!(reapers.select(&platform("linux/arm/v7")).unwrap().program, arm);
        assert!(reapers.add(Some(&platform("linux/arm/v7")), arm).is_err());
    }
}
