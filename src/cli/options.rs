//! Options that several commands share.

use super::password;
use super::progress::{Facts, Mode, Progress};
use super::values::{self, AnyText, PLATFORMS};
use crate::credentials::{Credentials, Login, Store};
use crate::error::{Error, Result};
use crate::image::{Location, Platform};
use crate::places::Network;
use crate::registry::{Authority, HostOptions, Options, Upload};
use crate::stats::Stats;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The headings of options in the help, the same for every command and in this order.
#[cfg(test)]
pub const HEADINGS: [&str; 4] = [TRANSPORT, CREDENTIALS, NETWORK, OUTPUT];
/// The heading of options for sources and destinations.
pub const TRANSPORT: &str = "Transport options";
/// The heading of options for credentials.
pub const CREDENTIALS: &str = "Credentials";
/// The heading of options for connections to registries.
pub const NETWORK: &str = "Network options";
/// The heading of options for output other than the image.
pub const OUTPUT: &str = "Output options";

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// Lines of text, such as `NAME@DIGEST` of an image that was written
    #[default]
    Text,
    /// JSON; one object per line for several images
    Json,
    /// SARIF 2.1.0, for code scanning; only for `pod`
    Sarif,
}

/// Options of every command.
#[derive(Args)]
pub struct Global {
    /// Print more: -v what was done, -vv every request, without secrets
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = OUTPUT)]
    pub verbose: u8,
    /// Print only errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub quiet: bool,
    /// How to show progress on standard error
    #[arg(long, value_enum, default_value_t, value_name = "HOW", global = true, help_heading = OUTPUT)]
    pub progress: Mode,
    /// Format of the result on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", global = true, help_heading = OUTPUT)]
    pub output: Format,
}

/// The images of an index to process.
#[derive(Args)]
pub struct PlatformOptions {
    /// Process only these platforms of an index, separated by commas; may be repeated
    #[arg(long = "platform", value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',', value_parser = AnyText(&PLATFORMS))]
    #[arg(hide_possible_values = true)]
    texts: Vec<String>,
}

impl Global {
    /// Starts to show progress, unless only errors are printed.
    pub fn show(&self, facts: impl Fn() -> Facts + Send + 'static) -> Progress {
        Progress::start(if self.quiet { Mode::None } else { self.progress }, facts)
    }
}

impl PlatformOptions {
    /// Returns the platforms; empty for all.
    pub fn platforms(&self) -> Result<Vec<Platform>> {
        self.texts.iter().map(|text| text.parse()).collect()
    }
}

/// The help of `--creds` for commands that only read images.
pub const CREDS_HELP: &str = "Credentials for the images; a missing password is asked for on a terminal";
/// The help of `--src-creds` for these commands.
pub const SRC_CREDS_HELP: &str =
    "Credentials for the images, in place of --creds; takes --src-password-stdin";

/// Options of commands that read an image.
#[derive(Args)]
#[command(next_help_heading = CREDENTIALS)]
pub struct SourceOptions {
    /// Credentials for both the source and the destination; a missing password is asked for on a terminal
    #[arg(long, value_name = "USER[:PASSWORD]", env = "REAPIFY_CREDS", hide_env_values = true)]
    creds: Option<String>,
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
#[command(next_help_heading = CREDENTIALS)]
pub struct ExpectedOptions {
    /// Credentials for the image of --source, if it is on another host than IMAGE
    #[arg(long, value_name = "USER[:PASSWORD]", env = "REAPIFY_SOURCE_CREDS", hide_env_values = true)]
    source_creds: Option<String>,
    /// Read the password for the image of --source from standard input
    #[arg(long, requires = "source", requires = "source_creds", conflicts_with = "src_password_stdin")]
    source_password_stdin: bool,
}

/// Options of commands that write an image.
#[derive(Args)]
#[command(next_help_heading = CREDENTIALS)]
pub struct DestinationOptions {
    /// Credentials for the destination
    #[arg(long, value_name = "USER[:PASSWORD]", env = "REAPIFY_DEST_CREDS", hide_env_values = true)]
    dest_creds: Option<String>,
    /// Read the password for the destination from standard input
    #[arg(long, requires = "dest_creds", conflicts_with = "src_password_stdin")]
    dest_password_stdin: bool,
}

/// What to do with an image or an archive at the destination.
#[derive(Args)]
#[command(next_help_heading = TRANSPORT)]
pub struct ReplaceOptions {
    /// Replace an existing archive
    #[arg(long)]
    pub force: bool,
    /// Fail if the destination already refers to another image
    #[arg(long, conflicts_with_all = ["force", "backup"])]
    pub no_clobber: bool,
    /// Keep the image that is replaced under this tag of its repository
    #[arg(long, value_name = "TAG")]
    pub backup: Option<String>,
}

/// Files with information about the result.
#[derive(Args)]
#[command(next_help_heading = OUTPUT)]
pub struct ResultOptions {
    /// Write the digest of the result to this file
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<PathBuf>,
}

/// How to reach registries.
#[derive(Args, Clone)]
#[command(next_help_heading = NETWORK)]
pub struct NetworkOptions {
    /// The only file to read credentials from [default: podman's auth.json, then docker's config.json]
    #[arg(long, value_name = "FILE", value_parser = values::file(), help_heading = CREDENTIALS)]
    authfile: Option<PathBuf>,
    /// Trust the CA certificates, or a server certificate, in this file, for one host or for all; may be
    /// repeated. Loopback uses TLS only if it is the HOST here, in certs.d or of --insecure
    #[arg(long, value_name = "[HOST=]FILE", value_parser = values::authority)]
    ca_file: Vec<Authority>,
    /// Use plain HTTP for this host (the default for loopback)
    #[arg(long, value_name = "HOST", value_parser = values::host)]
    plain_http: Vec<String>,
    /// Do not verify the certificate of this host
    #[arg(long, value_name = "HOST", value_parser = values::host)]
    insecure: Vec<String>,
    /// Number of retries of a failed request
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub retries: u32,
    /// Time to wait for data from a registry or an engine
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = values::seconds)]
    pub timeout: u64,
    /// Time to wait for a registry to store a blob, or for an engine to save or load an image
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = values::seconds)]
    pub commit_timeout: u64,
    // All layers of an image at once (`scripts/bench --only many --with '--jobs N'`).
    /// Maximum number of concurrent requests to one host
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// How to upload blobs: put, patch or chunks:MEBIBYTES [default: depends on the registry]
    #[arg(long, value_name = "[HOST=]HOW")]
    upload: Vec<String>,
}

impl NetworkOptions {
    /// Returns where to look up credentials.
    pub fn store(&self) -> Store {
        Store { authfile: self.authfile.clone() }
    }

    /// Returns the upload methods that the user chose.
    fn uploads(&self) -> Result<Vec<(Option<String>, Upload)>> {
        let uploads = self.upload.iter().map(|text| match text.split_once('=') {
            Some((host, how)) => Ok((Some(host.to_owned()), how.parse()?)),
            None => Ok((None, text.parse()?)),
        });
        uploads.collect()
    }

    /// Returns the options of clients.
    pub fn client(&self, stats: Arc<Stats>) -> Options {
        let mut options = Options { jobs: self.jobs.into(), stats, ..Options::default() };
        options.retry.retries = self.retries;
        options.timeouts.stall = Duration::from_secs(self.timeout);
        options.timeouts.commit = Duration::from_secs(self.commit_timeout);
        options
    }

    /// Returns how to reach registries.
    pub fn network(&self, stats: Arc<Stats>) -> Result<Network> {
        let (options, hosts, store) = (self.client(stats), self.hosts(), self.store());
        Ok(Network { options, hosts, store, uploads: self.uploads()? })
    }

    /// Returns the options for hosts.
    pub fn hosts(&self) -> HostOptions {
        HostOptions {
            plain_http: self.plain_http.clone(),
            tls: Vec::new(),
            insecure: self.insecure.clone(),
            authorities: self.ca_file.clone(),
            identities: Vec::new(),
            user_agent: None,
        }
    }
}

/// Credentials for one place, from the command line or the environment. They are never sent to another place.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    option: &'static str,
    variable: &'static str,
    text: Option<&'a str>,
    from_stdin: bool,
}

impl<'a> Given<'a> {
    /// Returns these credentials, or `other` if there are none.
    fn or(self, other: Given<'a>) -> Given<'a> {
        if self.text.is_some_and(|text| !text.is_empty()) { self } else { other }
    }

    /// Returns whether these are also the credentials for another place.
    pub fn is_same(&self, other: &Given<'_>) -> bool {
        self.option == other.option
    }

    /// Returns whether the password is read from standard input.
    pub fn takes_stdin(&self) -> bool {
        self.from_stdin
    }

    /// Returns the login for these places. Reads a missing password from standard input, or asks for it on a terminal.
    pub fn login(&self, places: &[&Location]) -> Result<Option<Login>> {
        let Some(text) = self.text.filter(|t| !t.is_empty()) else { return Ok(None) };
        let from_variable = std::env::var(self.variable).is_ok_and(|value| value == text);
        let place = if from_variable { self.variable } else { self.option };
        if !self.from_stdin {
            let credentials = match text.contains(':') {
                true => Credentials::from_user_password(text),
                false => Credentials::basic(text, password::ask(text, &hosts(places), place)?),
            };
            return Ok(Some(Login::given(place, credentials)));
        }
        if text.contains(':') {
            return Err(Error::usage(format!("{place} already contains a password"))
                .hint("remove it, or the option that reads one from standard input"));
        }
        Ok(Some(Login::given(place, Credentials::basic(text, password::from_stdin(place)?))))
    }
}

/// Returns the registry hosts of places, each once.
fn hosts<'a>(places: &[&'a Location]) -> Vec<&'a str> {
    let mut hosts = Vec::new();
    for place in places {
        if let Location::Registry(name) = place
            && !hosts.contains(&name.host())
        {
            hosts.push(name.host());
        }
    }
    hosts
}

impl SourceOptions {
    /// Returns the credentials for the source.
    pub fn given(&self) -> Given<'_> {
        let own = Given {
            option: "--src-creds",
            variable: "REAPIFY_SRC_CREDS",
            text: self.src_creds.as_deref(),
            from_stdin: self.src_password_stdin,
        };
        own.or(self.of_both())
    }

    /// Returns the credentials for both source and destination.
    fn of_both(&self) -> Given<'_> {
        let (option, variable) = ("--creds", "REAPIFY_CREDS");
        Given { option, variable, text: self.creds.as_deref(), from_stdin: false }
    }
}

impl DestinationOptions {
    /// Returns the credentials for the destination.
    pub fn given<'a>(&'a self, from: &'a SourceOptions) -> Given<'a> {
        let own = Given {
            option: "--dest-creds",
            variable: "REAPIFY_DEST_CREDS",
            text: self.dest_creds.as_deref(),
            from_stdin: self.dest_password_stdin,
        };
        own.or(from.of_both())
    }
}

impl ExpectedOptions {
    /// Returns the credentials for the image to compare with.
    pub fn given<'a>(&'a self, from: &'a SourceOptions) -> Given<'a> {
        let own = Given {
            option: "--source-creds",
            variable: "REAPIFY_SOURCE_CREDS",
            text: self.source_creds.as_deref(),
            from_stdin: self.source_password_stdin,
        };
        own.or(from.of_both())
    }
}
