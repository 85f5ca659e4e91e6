//! Values that shells complete, although others are accepted as well.

use crate::image::reference::check_host;
use crate::registry::{Authority, Pem};
use clap::builder::{PathBufValueParser, PossibleValue, StringValueParser, TypedValueParser};
use clap::error::Error;
use clap::{Arg, Command};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
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

/// The longest time that an option may set, a day: sums of times stay far from the largest number.
const LONGEST: u64 = 86_400;

/// Parses a time in seconds, which is at least one.
pub fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse::<u64>().map_err(|_| format!("use seconds from 1 to {LONGEST}"))?;
    match seconds {
        0 => Err("must be at least 1".into()),
        1..=LONGEST => Ok(seconds),
        _ => Err(format!("must be at most {LONGEST}, which is a day")),
    }
}

/// Parses the name of a registry's host.
pub fn host(text: &str) -> Result<String, String> {
    if let Some((scheme @ ("http" | "https"), host)) = text.split_once("://") {
        return Err(format!("leave out {scheme}://: {}", host.trim_end_matches('/')));
    }
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
        if path.is_file() {
            has_certificate(path)?;
        }
    }
    Ok(authority)
}

/// Checks that a file has certificates in PEM format.
fn has_certificate(path: &Path) -> Result<(), String> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    let mut certificates = CertificateDer::pem_slice_iter(&text).peekable();
    if certificates.peek().is_none() {
        return Err(format!("{name} has no certificate in PEM format"));
    }
    certificates
        .try_for_each(|found| found.map(drop))
        .map_err(|e| format!("invalid certificate in {name}: {e}"))
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
    fn times_are_at_least_a_second_and_at_most_a_day() {
        assert_eq!(seconds("1"), Ok(1));
        assert_eq!(seconds("86400"), Ok(86_400));
        assert_eq!(seconds("0").unwrap_err(), "must be at least 1");
        for text in ["86401", "18446744073709551615"] {
            assert_eq!(seconds(text).unwrap_err(), "must be at most 86400, which is a day");
        }
        for text in ["", "-1", "1.5", "1 m"] {
            assert_eq!(seconds(text).unwrap_err(), "use seconds from 1 to 86400");
        }
    }

    #[test]
    fn platforms_are_those_of_the_built_in_reapers() {
        let reapers = Reapers::default();
        let names: Vec<String> =
            reapers.embedded().iter().map(|reaper| reaper.platform.to_string()).collect();
        assert_eq!(names, PLATFORMS);
    }
}
