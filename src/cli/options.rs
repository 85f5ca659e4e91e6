//! Options that several commands share.

use super::progress::{Facts, Mode, Progress};
use crate::credentials::{Credentials, Login, Store};
use crate::error::{Context, Error, Result};
use crate::image::Platform;
use crate::registry::{Authority, HostOptions, Upload};
use clap::builder::Resettable::Reset;
use clap::{Args, ValueEnum};
use std::io::Read;
use std::path::PathBuf;

/// The heading of options for registries in the help.
const REGISTRY: &str = "Registry options";
/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// One line: `name@digest`
    #[default]
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning: `pod` only
    Sarif,
}

/// Options of every command.
#[derive(Args)]
pub struct Global {
    /// Say more: -v what was done, -vv every request, without secrets
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = GLOBAL)]
    pub verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    pub quiet: bool,
    /// How progress is shown on standard error
    #[arg(long, value_enum, default_value_t, value_name = "HOW", global = true, help_heading = GLOBAL)]
    pub progress: Mode,
    /// The form of the result on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", global = true, help_heading = GLOBAL)]
    pub output: Format,
}

/// Which images of an index are meant.
#[derive(Args)]
pub struct PlatformOptions {
    /// Only these platforms of an index, separated by commas; may be repeated
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    texts: Vec<String>,
}

impl Global {
    /// Starts to show progress, unless nothing but errors is wanted.
    pub fn show(&self, facts: impl Fn() -> Facts + Send + 'static) -> Progress {
        Progress::start(if self.quiet { Mode::None } else { self.progress }, facts)
    }
}

impl PlatformOptions {
    /// The platforms; none if all are meant.
    pub fn platforms(&self) -> Result<Vec<Platform>> {
        self.texts.iter().map(|text| text.parse()).collect()
    }
}

/// Options of commands that read an image.
#[derive(Args)]
#[command(next_help_heading = REGISTRY)]
pub struct SourceOptions {
    /// Credentials for the source
    #[arg(long, value_name = "USER[:PASSWORD]", env = "REAPIFY_SRC_CREDS", hide_env_values = true)]
    src_creds: Option<String>,
    /// Read the password for the source from standard input
    #[arg(long, requires = "src_creds")]
    src_password_stdin: bool,
    #[command(flatten)]
    pub network: NetworkOptions,
}

/// Options of `verify` for the image of `--source`.
#[derive(Args)]
#[command(next_help_heading = REGISTRY)]
pub struct ExpectedOptions {
    /// Credentials for the image of --source, if its host is not that of IMAGE
    #[arg(long, value_name = "USER[:PASSWORD]", env = "REAPIFY_SOURCE_CREDS", hide_env_values = true)]
    source_creds: Option<String>,
    /// Read the password for the image of --source from standard input
    #[arg(long, requires = "source", requires = "source_creds", conflicts_with = "src_password_stdin")]
    source_password_stdin: bool,
}

/// Options of commands that write an image.
#[derive(Args)]
#[command(next_help_heading = REGISTRY)]
pub struct DestinationOptions {
    /// Credentials for the destination
    #[arg(long, value_name = "USER[:PASSWORD]", env = "REAPIFY_DEST_CREDS", hide_env_values = true)]
    dest_creds: Option<String>,
    /// Read the password for the destination from standard input
    #[arg(long, requires = "dest_creds", conflicts_with = "src_password_stdin")]
    dest_password_stdin: bool,
    /// Replace an archive that exists
    #[arg(long, help_heading = Reset)]
    pub force: bool,
    /// Write the digest of the result to a file
    #[arg(long, value_name = "FILE", help_heading = Reset)]
    pub digest_file: Option<PathBuf>,
}

/// How registries are reached.
#[derive(Args, Clone)]
#[command(next_help_heading = REGISTRY)]
pub struct NetworkOptions {
    /// The only file to read credentials from [default: podman's auth.json, then docker's config.json]
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Trust the CA certificates in this file, or a server's own, for one host or for all; may be repeated. Loopback is
    /// spoken to in TLS only if it is the HOST here, in certs.d or of --insecure
    #[arg(long, value_name = "[HOST=]FILE")]
    ca_file: Vec<Authority>,
    /// Speak plain HTTP with this host (the default for loopback)
    #[arg(long, value_name = "HOST")]
    plain_http: Vec<String>,
    /// Do not check the certificate of this host
    #[arg(long, value_name = "HOST")]
    insecure: Vec<String>,
    /// How often a request that failed is tried again
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retries: u32,
    /// How long a registry or an engine may be silent
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// How long a registry may take to store what it has received, or an engine to save or load an image
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub commit_timeout: u64,
    // All the layers that an image may have, in one go (`scripts/bench --only many --with '--jobs N'`).
    /// How many requests may be under way at once to one host
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Send blobs in this way: put, patch or chunks:MEBIBYTES [default: what is known of the host]
    #[arg(long, value_name = "[HOST=]HOW")]
    upload: Vec<String>,
}

impl NetworkOptions {
    /// Where credentials are looked for.
    pub fn store(&self) -> Store {
        Store { authfile: self.authfile.clone() }
    }

    /// How blobs are sent to a host, if the user says so; what names the host goes first.
    pub fn upload(&self, host: &str) -> Result<Option<Upload>> {
        let ways = self.upload.iter().map(|text| match text.split_once('=') {
            Some((host, how)) => Ok((Some(host), how.parse()?)),
            None => Ok((None, text.parse()?)),
        });
        let ways = ways.collect::<Result<Vec<(Option<&str>, Upload)>>>()?;
        let named = ways.iter().find(|(of, _)| *of == Some(host));
        Ok(named.or_else(|| ways.iter().find(|(of, _)| of.is_none())).map(|(_, how)| *how))
    }

    /// What is special about hosts.
    pub fn hosts(&self) -> HostOptions {
        HostOptions {
            plain_http: self.plain_http.clone(),
            insecure: self.insecure.clone(),
            authorities: self.ca_file.clone(),
            identities: Vec::new(),
            user_agent: None,
        }
    }
}

/// Credentials for one place, as they stand on the command line. They are never used for another place.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    option: &'static str,
    variable: &'static str,
    text: Option<&'a str>,
    from_stdin: bool,
}

impl Given<'_> {
    /// Whether standard input is a password.
    pub fn takes_stdin(&self) -> bool {
        self.from_stdin
    }

    /// Reads the credentials, and the password from standard input if it is there.
    pub fn login(&self) -> Result<Option<Login>> {
        let Some(text) = self.text.filter(|t| !t.is_empty()) else { return Ok(None) };
        let from_variable = std::env::var(self.variable).is_ok_and(|value| value == text);
        let place = if from_variable { self.variable } else { self.option };
        if !self.from_stdin {
            return Ok(Some(Login::given(place, Credentials::from_user_password(text))));
        }
        if text.contains(':') {
            return Err(Error::usage(format!("{place} already contains a password"))
                .hint("drop it, or the option that reads one from standard input"));
        }
        Ok(Some(Login::given(place, Credentials::basic(text, password_from_stdin()?))))
    }
}

fn password_from_stdin() -> Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .take(64 << 10)
        .read_to_string(&mut password)
        .context(|| "the password on standard input")?;
    Ok(password.trim_end_matches(['\n', '\r']).into())
}

impl SourceOptions {
    /// The credentials for the source.
    pub fn given(&self) -> Given<'_> {
        Given {
            option: "--src-creds",
            variable: "REAPIFY_SRC_CREDS",
            text: self.src_creds.as_deref(),
            from_stdin: self.src_password_stdin,
        }
    }
}

impl DestinationOptions {
    /// The credentials for the destination.
    pub fn given(&self) -> Given<'_> {
        Given {
            option: "--dest-creds",
            variable: "REAPIFY_DEST_CREDS",
            text: self.dest_creds.as_deref(),
            from_stdin: self.dest_password_stdin,
        }
    }

    /// Whether standard input is a password.
    pub fn takes_stdin(&self) -> bool {
        self.dest_password_stdin
    }
}

impl ExpectedOptions {
    /// The credentials for the image that another one is compared with.
    pub fn given(&self) -> Given<'_> {
        Given {
            option: "--source-creds",
            variable: "REAPIFY_SOURCE_CREDS",
            text: self.source_creds.as_deref(),
            from_stdin: self.source_password_stdin,
        }
    }
}
