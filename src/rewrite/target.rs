//! The platform of an image whose index and config may disagree, or not state one.
//!
//! Engines select an image by the index, and the kernel runs the program in its layers. A multi-platform build that
//! uses a base image for the wrong platform leaves the builder's own platform in the config.

use crate::error::{Note, Remedy};
use crate::image::{Platform, StatedPlatform};

/// The platform of an image, as far as it is known without its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Index and config agree, or only one of them states a platform.
    Known(Platform),
    /// Index and config state different machines.
    Contested {
        /// The platform in the index.
        index: Platform,
        /// The platform in the config.
        config: Platform,
    },
    /// Neither states a machine.
    Unnamed {
        /// The operating system; Linux unless stated otherwise.
        os: String,
    },
}

impl Target {
    /// Compares the index's statement, if any, with that of the config.
    pub fn of(index: Option<&StatedPlatform>, config: &StatedPlatform) -> Self {
        let known_os = |stated: &StatedPlatform| stated.os.clone().filter(|os| os != "unknown");
        let os = index.and_then(known_os).or(known_os(config)).unwrap_or_else(|| "linux".into());
        let complete = |stated: &StatedPlatform| {
            let stated = Some(stated).filter(|stated| !stated.is_unknown())?;
            let architecture = stated.architecture.clone()?;
            let os = known_os(stated).unwrap_or_else(|| os.clone());
            Some(Platform { os, architecture, variant: stated.variant.clone() })
        };
        match (index.and_then(complete), complete(config)) {
            (None, None) => Target::Unnamed { os },
            (Some(one), None) | (None, Some(one)) => Target::Known(one),
            (Some(index), Some(config)) => {
                let (ours, theirs) = (index.canonical(), config.canonical());
                if ours.os != theirs.os || ours.architecture != theirs.architecture {
                    return Target::Contested { index, config };
                }
                let variant = lower(&ours.architecture, index.variant.clone(), config.variant.clone());
                Target::Known(Platform { variant, ..index })
            }
        }
    }

    /// Decides by the machine that the image's program is built for. Returns the platform, with a note if the user
    /// should know, or the reason why it remains undecided.
    pub fn resolve(self, machine: Option<&str>) -> Result<(Platform, Option<Note>), String> {
        match self {
            Target::Known(platform) => Ok((platform, None)),
            Target::Contested { index, config } => {
                let is_for = |p: &Platform| p.os == "linux" && machine == Some(&p.canonical().architecture);
                let disagreement = format!("the index says {index} and the config says {config}");
                let chosen = [&index, &config].into_iter().find(|p| is_for(p)).cloned();
                match (chosen, machine) {
                    (Some(chosen), _) => {
                        let note = format!("{disagreement}; its program is for {}", chosen.architecture);
                        Ok((chosen, Some(Note::from(note).hint(Remedy::StatePlatform))))
                    }
                    (None, Some(machine)) => Err(format!("{disagreement}, but its program is for {machine}")),
                    (None, None) => Err(format!("{disagreement}, and its layers do not show which is right")),
                }
            }
            Target::Unnamed { os } => match machine {
                Some(machine) => {
                    let platform = Platform { os, architecture: machine.into(), variant: None };
                    let note =
                        format!("neither index nor config names a platform; its program is for {machine}");
                    Ok((platform, Some(Note::from(note).hint(Remedy::StatePlatform))))
                }
                None => Err("neither index nor config names a platform".into()),
            },
        }
    }
}

/// Returns the variant that works for both: on arm, a lower variant also runs on higher machines.
fn lower(architecture: &str, index: Option<String>, config: Option<String>) -> Option<String> {
    let level = |variant: &String| variant.trim_start_matches('v').parse::<u32>().unwrap_or(0);
    match (index, config) {
        (Some(index), Some(config)) if architecture == "arm" && level(&config) < level(&index) => {
            Some(config)
        }
        (index, config) => index.or(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(text: &str) -> StatedPlatform {
        let mut parts = text.split('/').map(String::from);
        StatedPlatform::new(parts.next(), parts.next(), parts.next())
    }

    fn platform(text: &str) -> Platform {
        stated(text).complete().unwrap()
    }

    #[test]
    fn combines_the_platforms_of_index_and_config() {
        for (index, config, expected) in [
            (Some("linux/arm64"), "linux/arm64/v8", "linux/arm64/v8"),
            (Some("linux/arm64"), "", "linux/arm64"),
            (None, "/amd64", "linux/amd64"),
            (Some("/amd64"), "linux/", "linux/amd64"),
            (Some("unknown/unknown"), "linux/s390x", "linux/s390x"),
            (Some("linux/arm/v7"), "linux/arm/v6", "linux/arm/v6"),
            (Some("linux/arm/v6"), "linux/arm/v7", "linux/arm/v6"),
            (Some("linux/arm/v7"), "linux/arm", "linux/arm/v7"),
            (Some("linux/amd64"), "linux/x86_64", "linux/amd64"),
        ] {
            let target = Target::of(index.map(stated).as_ref(), &stated(config));
            assert_eq!(target, Target::Known(platform(expected)), "{index:?} {config}");
        }
    }

    #[test]
    fn the_program_decides_if_they_disagree_or_state_none() {
        let contested = || Target::of(Some(&stated("linux/arm64")), &stated("linux/amd64"));
        for (machine, expected) in [("arm64", "linux/arm64"), ("amd64", "linux/amd64")] {
            let (chosen, note) = contested().resolve(Some(machine)).unwrap();
            assert_eq!((chosen.to_string().as_str(), note.is_some()), (expected, true));
        }
        for machine in [None, Some("s390x")] {
            assert!(contested().resolve(machine).unwrap_err().contains("linux/arm64"));
        }
        let unnamed = || Target::of(None, &stated(""));
        assert_eq!(unnamed().resolve(Some("s390x")).unwrap().0, platform("linux/s390x"));
        assert!(unnamed().resolve(None).is_err());
    }
}
