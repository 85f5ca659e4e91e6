//! Remedies for errors, as values: a program that embeds the library has no command line, so options are named
//! elsewhere.

use std::borrow::Cow;
use std::fmt;

/// A remedy for an error. [`Display`](fmt::Display) describes it without options of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// A sentence that names no option.
    Text(Cow<'static, str>),
    /// Log in to the registry.
    LogIn,
    /// Run the credential helper by hand, or use other credentials.
    CheckCredentialHelper,
    /// Check the host's name and the network, or allow plain HTTP.
    CheckHost,
    /// Change how a host is connected to.
    Host {
        /// The host, with its port.
        host: String,
        /// What to change.
        remedy: HostRemedy,
    },
    /// Send smaller requests than the registry refused.
    SendSmallerRequests,
    /// Log the requests.
    LogRequests,
    /// State the platform of an image whose config and index disagree or say nothing.
    StatePlatform,
    /// Keep the attestations of rewritten images.
    KeepAttestations,
    /// Choose among the platforms whose images the source has.
    ChoosePresentPlatform,
    /// Choose some images of an index that is too large.
    ChooseFewerImages,
    /// Choose one image of an index, or a destination that holds indexes.
    ChooseOneImage {
        /// The platforms of the index, as far as they are known.
        platforms: Vec<String>,
    },
    /// Use the default path for the reaper.
    UseDefaultPath,
    /// Choose another path for the reaper.
    ChoosePath,
    /// Choose a path for the reaper in an existing directory.
    ChoosePathInDirectory,
    /// Use the path that a symbolic link on the chosen path leads to.
    FollowLink,
    /// Choose another path for the reaper, or allow it to replace a file.
    ReplaceFile,
    /// Provide a reaper for a platform that has none built in.
    ProvideReaper,
    /// Name the expected reaper, or wrap the image again.
    ExpectReaper,
    /// Keep the format of the manifest, or recompress the layers with gzip.
    KeepFormat,
    /// Convert the media types to those of OCI.
    ConvertMediaTypes,
    /// Allow an existing archive to be replaced.
    ReplaceArchive,
    /// Choose a destination that can hold several images under tags.
    ChooseDestinationWithTags,
    /// Use another tag, or allow the tag to be moved.
    ReplaceImage,
    /// Decompress an archive before it is read.
    DecompressArchive {
        /// The program that decompresses.
        program: String,
    },
    /// Go through a pipe: the image is in the storage of Podman.
    PipeThroughPodman {
        /// The image, as it was given.
        image: String,
    },
    /// Choose a destination that can hold a provenance statement.
    ChooseProvenanceDestination,
}

/// A remedy for a failed connection to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostRemedy {
    /// Allow plain HTTP: the host does not speak TLS.
    AllowPlainHttp,
    /// Allow plain HTTP for a token server, which would receive the credentials unencrypted.
    AllowPlainRealm,
    /// Use TLS: the host refuses plain HTTP.
    UseTls,
    /// Use TLS: the host may have refused plain HTTP.
    TryTls,
    /// Trust the authority that signed the host's certificate.
    TrustAuthority,
    /// Install certificates of authorities: this machine has none.
    InstallAuthorities,
    /// Correct the clock, or renew a certificate that is not valid now.
    RenewCertificate,
    /// Use a name that the host's certificate is valid for.
    UseCertifiedName,
}

impl HostRemedy {
    /// Returns the remedy for one host.
    pub fn of(self, host: impl Into<String>) -> Remedy {
        Remedy::Host { host: host.into(), remedy: self }
    }

    fn write(self, f: &mut fmt::Formatter<'_>, host: &str) -> fmt::Result {
        match self {
            HostRemedy::AllowPlainHttp => write!(
                f,
                "{host} does not speak TLS on this port; if it speaks plain HTTP, allow that for it"
            ),
            HostRemedy::AllowPlainRealm => {
                write!(f, "allow plain HTTP for {host} to send it credentials unencrypted")
            }
            HostRemedy::UseTls => write!(f, "{host} speaks TLS: trust its CA"),
            HostRemedy::TryTls => write!(f, "if {host} speaks TLS, trust its CA"),
            HostRemedy::TrustAuthority => write!(f, "trust the CA of {host}"),
            HostRemedy::InstallAuthorities => write!(
                f,
                "install the package ca-certificates, name a file with SSL_CERT_FILE, or trust the CA of {host}"
            ),
            HostRemedy::RenewCertificate => {
                f.write_str("check this machine's clock, and the dates of the certificate")
            }
            HostRemedy::UseCertifiedName => write!(
                f,
                "the certificate has no subjectAltName for {host}: use a name that it has, or make it with one"
            ),
        }
    }
}

impl From<&'static str> for Remedy {
    fn from(text: &'static str) -> Self {
        Remedy::Text(text.into())
    }
}

impl From<String> for Remedy {
    fn from(text: String) -> Self {
        Remedy::Text(text.into())
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Remedy::Text(text) => text,
            Remedy::LogIn => "log in to the registry; check the repository's name too",
            Remedy::CheckCredentialHelper => "run it by hand, or use other credentials",
            Remedy::CheckHost => {
                "check the host's name and the network; allow plain HTTP for a registry without TLS"
            }
            Remedy::Host { host, remedy } => return remedy.write(f, host),
            Remedy::SendSmallerRequests => {
                "upload in smaller chunks; the registry, or a proxy in front of it, limits the size of requests"
            }
            Remedy::LogRequests => "log the requests",
            Remedy::StatePlatform => "state its platform, or rebuild the image for its platform",
            Remedy::KeepAttestations => "they can be kept, unchanged",
            Remedy::ConvertMediaTypes => "convert the media types if they should",
            Remedy::ChoosePresentPlatform => {
                "choose among the platforms that exist; the index refers to this one, but the source does not have it"
            }
            Remedy::ChooseFewerImages => "choose some of its images by platform, or one by its digest",
            Remedy::ChooseOneImage { platforms } if platforms.is_empty() => {
                "choose one by its platform, or write to oci-archive:"
            }
            Remedy::ChooseOneImage { platforms } => {
                let platforms = platforms.join(", ");
                return write!(f, "choose one by its platform: {platforms}; or write to oci-archive:");
            }
            Remedy::UseDefaultPath => "choose another path; the default suits every image",
            Remedy::ChoosePath => "choose another path for the reaper",
            Remedy::ChoosePathInDirectory => "choose a path in a directory that the image has",
            Remedy::FollowLink => "choose the path that the link leads to",
            Remedy::ReplaceFile => "choose another path for the reaper, or allow it to replace the file",
            Remedy::ProvideReaper => "provide one: a static Linux program for that machine",
            Remedy::ExpectReaper => {
                "name the expected program, or wrap the image again, which replaces the reaper"
            }
            Remedy::KeepFormat => "keep the format of the source, or compress the layers with gzip",
            Remedy::ReplaceArchive => "use another name, or allow the archive to be replaced",
            Remedy::ChooseDestinationWithTags => "registries and oci: directories can",
            Remedy::ReplaceImage => "use another tag, or allow this one to be moved",
            Remedy::DecompressArchive { program } => {
                return write!(f, "decompress it first, with {program} -dc FILE");
            }
            Remedy::PipeThroughPodman { .. } => {
                "save the image as an OCI archive with Podman, and read that; load the result with Podman"
            }
            Remedy::ChooseProvenanceDestination => "use a registry or an oci: directory, which can store provenance",
        })
    }
}
