//! Hints in terms of the command line, with its options.

use crate::error::{HostRemedy, Note, Remedy};
use std::borrow::Cow;
use std::sync::OnceLock;

/// How the command that runs takes credentials.
static CREDENTIALS: OnceLock<&'static str> = OnceLock::new();

/// Sets how the command that runs takes credentials, in words that follow "use".
pub fn set_credentials(how: &'static str) {
    // Set only once, because there is one command line.
    let _ = CREDENTIALS.set(how);
}

fn credentials() -> &'static str {
    CREDENTIALS.get().copied().unwrap_or("--creds")
}

/// Names the options of the command line in a note.
pub fn name_options(note: Note) -> Note {
    let hint = note.remedy().map(|remedy| hint(remedy).into_owned());
    match hint {
        Some(hint) => note.hint(hint),
        None => note,
    }
}

/// Returns the hint for a remedy.
pub fn hint(remedy: &Remedy) -> Cow<'_, str> {
    Cow::Borrowed(match remedy {
        Remedy::Text(text) => text,
        Remedy::LogIn => return Cow::Owned(log_in()),
        Remedy::CheckCredentialHelper => {
            return Cow::Owned(format!("run it by hand, or use {}", credentials()));
        }
        // A registry that does not speak TLS has a remedy of its own.
        Remedy::CheckHost => "check the host's name and the network",
        Remedy::Host { host, remedy } => return Cow::Owned(host_hint(host, *remedy)),
        Remedy::SendSmallerRequests => {
            "the registry, or a proxy before it, limits the size of a request: --upload HOST=chunks:MEBIBYTES \
             sends smaller ones"
        }
        Remedy::LogRequests => "run with -vv to see the requests",
        Remedy::StatePlatform => "state the platform with --platform, or rebuild the image for its platform",
        Remedy::KeepAttestations => "--attestations keep copies them unchanged",
        Remedy::ConvertMediaTypes => "use --format oci if they should",
        Remedy::ChoosePresentPlatform => {
            "the index refers to it, but the source does not have it; use --platform to pick images that exist"
        }
        Remedy::ChooseFewerImages => "select fewer images with --platform, or one by its digest",
        Remedy::ChooseOneImage { platforms } if platforms.is_empty() => {
            "choose one with --platform, or write to oci-archive:"
        }
        Remedy::ChooseOneImage { platforms } => {
            let platforms = platforms.join(", ");
            return Cow::Owned(format!("choose one with --platform: {platforms}; or write to oci-archive:"));
        }
        Remedy::UseDefaultPath => "choose another --path, or use the default, which suits every image",
        Remedy::ChoosePath => "choose another --path",
        Remedy::ChoosePathInDirectory => "choose a --path in an existing directory of the image",
        Remedy::FollowLink => "use the link's target as --path",
        Remedy::ReplaceFile => "choose another --path, or use --replace to replace the file",
        Remedy::ProvideReaper => {
            "provide one with --reaper PLATFORM=FILE: a static Linux program for that machine"
        }
        Remedy::ExpectReaper => {
            "give the expected program with --reaper FILE (without it: one of `reapify reaper`); or wrap the \
             image again, which replaces the reaper"
        }
        Remedy::KeepFormat => "remove --format docker, or compress the layers with gzip",
        Remedy::ReplaceArchive => "choose another name, or use --force to replace it",
        Remedy::ChooseDestinationWithTags => "--backup works with registries and oci: directories",
        Remedy::ReplaceImage => "use another tag, or remove --no-clobber",
        Remedy::DecompressArchive { program } => {
            return Cow::Owned(format!("decompress it first: {program} -dc FILE | reapify wrap …:- …"));
        }
        Remedy::PipeThroughPodman { image } => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:@/+".contains(c);
            let image = if image.is_empty() || !image.chars().all(is_plain) { "IMAGE" } else { image };
            return Cow::Owned(format!(
                "use a pipe: podman save --format oci-archive {image} | reapify wrap oci-archive:- DESTINATION; \
                 and the other way: reapify wrap SOURCE oci-archive:- | podman load"
            ));
        }
        Remedy::ChooseProvenanceDestination => "--provenance works with registries and oci: directories",
    })
}

fn log_in() -> String {
    let options = credentials();
    format!("log in with `docker login` or `podman login`, or use {options}; check the repository's name too")
}

fn host_hint(host: &str, remedy: HostRemedy) -> String {
    let ways_to_tls =
        format!("trust its CA with --ca-file {host}=FILE or in certs.d/{host}, or use --insecure {host}");
    match remedy {
        HostRemedy::AllowPlainHttp => {
            format!(
                "{host} does not speak TLS on this port; if it speaks plain HTTP, use --plain-http {host}"
            )
        }
        HostRemedy::AllowPlainRealm => {
            format!("credentials are not sent there unencrypted; --plain-http {host} allows it")
        }
        HostRemedy::UseTls => format!("{host} speaks TLS: {ways_to_tls}"),
        HostRemedy::TryTls => format!("if {host} speaks TLS, {ways_to_tls}"),
        HostRemedy::TrustAuthority => ways_to_tls,
        HostRemedy::InstallAuthorities => format!(
            "install the package ca-certificates, set SSL_CERT_FILE to a file with certificates, or trust the registry's CA \
             with --ca-file {host}=FILE"
        ),
        HostRemedy::RenewCertificate => format!(
            "check this machine's clock, and the dates of the certificate; --insecure {host} disables the verification"
        ),
        HostRemedy::UseCertifiedName => format!(
            "the certificate has no subjectAltName for {host}: use one of its names, or issue it with this one; \
             --insecure {host} disables the verification"
        ),
    }
}
