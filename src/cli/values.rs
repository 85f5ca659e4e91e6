//! Values that shells complete, although others are accepted as well.

use crate::image::reference::check_host;
use crate::registry::{Authority, Pem};
use clap::builder::{PathBufValueParser, PossibleValue, StringValueParser, TypedValueParser};
use clap::error::Error;
use clap::{Arg, Command};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The transports, as they begin the name of an image.
pub const TRANSPORTS: [&str; 5] = ["docker://", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:"];

/// The platforms of the built-in reapers.
pub const PLATFORMS: [&str; 11] = [
    "linux/386",
    "linux/amd64",
    "linux/arm/v5",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64",
    "linux/loong64",
    "linux/mips64le",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
];

/// Any text; shells complete the values of the list.
#[derive(Clone)]
pub struct AnyText(pub &'static [&'static str]);

impl TypedValueParser for AnyText {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// Parses the name of a registry's host.
pub fn host(text: &str) -> Result<String, String> {
    match check_host(text) {
        Ok(()) => Ok(text.into()),
        Err(why) => Err(format!("{why}; use HOST or HOST:PORT, as in registry.example:5000")),
    }
}

/// Parses `[HOST=]FILE`, and opens the file, so that a mistake is found before anything is sent.
pub fn authority(text: &str) -> Result<Authority, String> {
    let Ok(authority) = text.parse::<Authority>();
    if let Some(name) = &authority.host {
        host(name)?;
    }
    if let Pem::File(path) = &authority.pem {
        readable(path)?;
    }
    Ok(authority)
}

/// Parses the name of a file that is read later.
pub fn file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| readable(&path).map(|()| path))
}

/// Checks that there is a file. A pipe is not opened, because its content can be read only once.
fn readable(path: &Path) -> Result<(), String> {
    let opened = || match path.metadata()? {
        found if found.is_file() => File::open(path).map(drop),
        found if found.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        _ => Ok(()),
    };
    opened().map_err(|e| format!("cannot read {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reapers::Reapers;

    #[test]
    fn platforms_are_those_of_the_built_in_reapers() {
        let reapers = Reapers::default();
        let names: Vec<String> =
            reapers.embedded().iter().map(|reaper| reaper.platform.to_string()).collect();
        assert_eq!(names, PLATFORMS);
    }
}
