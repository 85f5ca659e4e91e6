//! Connections to hosts: TLS by default, plain HTTP on loopback or where the user allows it.

use super::trust::{self, Trust};
pub use super::trust::{Identity, Pem};
use crate::error::{Error, HostRemedy, Remedy, Result};
use reqwest::Url;
use rustls::{AlertDescription, CertificateError};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The user's options for connections. All apply to single hosts unless noted.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Hosts that speak plain HTTP.
    pub plain_http: Vec<String>,
    /// Hosts that speak TLS, even if they are this machine.
    pub tls: Vec<String>,
    /// Hosts whose certificate is not verified.
    pub insecure: Vec<String>,
    /// Further certificates to trust.
    pub authorities: Vec<Authority>,
    /// Client certificates, by host.
    pub identities: Vec<(String, Identity)>,
    /// The value of `User-Agent`, if not the default.
    pub user_agent: Option<String>,
}

/// The default `User-Agent`.
const USER_AGENT: &str = concat!("reapify/", env!("CARGO_PKG_VERSION"));

/// Certificates to trust: those of authorities, or a server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The host for which they are trusted; all hosts if `None`.
    pub host: Option<String>,
    /// The certificates.
    pub pem: Pem,
}

impl Authority {
    fn is_for(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|of| of == host)
    }
}

impl FromStr for Authority {
    type Err = Infallible;

    /// Parses `[HOST=]FILE`. A prefix that contains a slash is not a host.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            Some((host, file)) if !host.is_empty() && !host.contains('/') => {
                Authority { host: Some(host.into()), pem: Pem::File(file.into()) }
            }
            _ => Authority { host: None, pem: Pem::File(text.into()) },
        })
    }
}

impl HostOptions {
    /// Returns whether the user declared that a host speaks plain HTTP.
    pub fn speaks_plain_http(&self, host: &str) -> bool {
        is_named(&self.plain_http, host)
    }
}

/// Returns the address of a registry. Loopback speaks plain HTTP unless an option requires TLS for that host.
pub fn base(host: &str, options: &HostOptions) -> Result<Url> {
    let has_tls = is_named(&options.insecure, host)
        || is_named(&options.tls, host)
        || options.authorities.iter().any(|given| given.host.as_deref() == Some(host));
    let plain = is_named(&options.plain_http, host) || (speaks_plain_http(host) && !has_tls);
    // The registry of Docker Hub has another host name than references use.
    let address = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let scheme = if plain { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{address}/"))
        .map_err(|e| Error::usage(format!("invalid registry host {host:?}: {e}")))
}

/// Returns whether a response to plain HTTP states that the port expects TLS: the phrases of Go, nginx, Apache,
/// Tomcat and Jetty, in lower case.
pub fn is_refusal_of_plain_http(text: &str) -> bool {
    ["to an https server", "to https port", "to an ssl-enabled server", "requires tls", "plaintext http"]
        .iter()
        .any(|phrase| text.contains(phrase))
}

/// The explanation of a connection that failed because of TLS.
#[derive(Debug)]
pub struct Explanation {
    /// What the user can do.
    pub remedy: Remedy,
    /// The cause.
    pub cause: Cause,
}

/// The cause of a TLS failure, which determines whether a retry makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A certificate of either side was rejected, and will be again.
    Certificate,
    /// Only one side speaks TLS, or both have no version in common.
    Protocol,
    /// The server may expect TLS, or the connection was interrupted.
    Unclear,
}

/// Explains a connection that failed because of TLS or its absence. `host` is the name to which the user's options
/// refer.
pub fn explain(error: &(dyn std::error::Error + 'static), url: &Url, host: &str) -> Option<Explanation> {
    let causes: Vec<_> = std::iter::successors(Some(error), |e| e.source()).flat_map(inner).collect();
    if url.scheme() == "http" {
        return explain_plain(&causes.last()?.to_string(), host);
    }
    let plain = Explanation { remedy: HostRemedy::AllowPlainHttp.of(host), cause: Cause::Protocol };
    if let Some(error) = causes.iter().find_map(|e| e.downcast_ref::<rustls::Error>()) {
        return Some(match error {
            rustls::Error::InvalidMessage(_) => plain,
            rustls::Error::InvalidCertificate(why) => {
                Explanation { remedy: explain_certificate(why, host), cause: Cause::Certificate }
            }
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Explanation {
                remedy: format!(
                    "put NAME.cert and NAME.key into certs.d/{host}: {host} requires a client certificate"
                )
                .into(),
                cause: Cause::Certificate,
            },
            _ => Explanation {
                remedy: format!(
                    "enable TLS 1.2 or 1.3 on {host}: it shares no TLS version with this program"
                )
                .into(),
                cause: Cause::Protocol,
            },
        });
    }
    let ended = causes
        .iter()
        .filter_map(|e| e.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::UnexpectedEof && e.to_string().contains("handshake"));
    ended.then_some(plain)
}

/// Explains how TLS servers react to plain HTTP if they do not answer it: with an alert, or by closing the
/// connection.
fn explain_plain(message: &str, host: &str) -> Option<Explanation> {
    let cause = match message {
        m if m.starts_with("invalid HTTP") => Cause::Protocol,
        m if m.starts_with("connection closed before message completed") => Cause::Unclear,
        _ => return None,
    };
    Some(Explanation { remedy: HostRemedy::TryTls.of(host), cause })
}

/// Returns an error with all errors that it contains, including those that it does not report as its source.
fn inner<'e>(error: &'e (dyn std::error::Error + 'static)) -> Vec<&'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| {
        e.downcast_ref::<io::Error>().and_then(io::Error::get_ref).map(|carried| carried as _)
    })
    .collect()
}

fn explain_certificate(why: &CertificateError, host: &str) -> Remedy {
    use CertificateError::*;
    let remedy = match why {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
            HostRemedy::RenewCertificate
        }
        NotValidForName | NotValidForNameContext { .. } => HostRemedy::UseCertifiedName,
        _ => HostRemedy::TrustAuthority,
    };
    remedy.of(host)
}

fn is_named(list: &[String], host: &str) -> bool {
    list.iter().any(|h| h == host)
}

/// Creates a connection pool for a URL of the host that the user calls `host`.
pub fn pool(host: &str, url: &Url, options: &HostOptions, timeout: Duration) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(options.user_agent.as_deref().unwrap_or(USER_AGENT))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(timeout)
        .http2_adaptive_window(true)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true);
    if is_loopback(host) {
        builder = builder.no_proxy();
    }
    builder = match url.scheme() {
        // Reading the system's certificates takes longer than everything else, so plain HTTP skips it.
        "http" => {
            // The provider is installed once per process; a second call is rejected and has no effect.
            let _ = rustls::crypto::ring::default_provider().install_default();
            builder.tls_certs_only([])
        }
        _ => builder.tls_backend_preconfigured(trust_in(host, options)?),
    };
    builder.build().map_err(|e| {
        let source = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
        Error::other(format!("cannot set up HTTP: {e}{source}"))
    })
}

/// Creates a client for other servers than registries, such as webhooks, which follows no redirects.
pub fn plain_client() -> Result<reqwest::Client> {
    let trust = trust::config("", Trust::System(Vec::new()), None)?;
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(trust);
    builder.build().map_err(|e| Error::other(format!("cannot set up HTTP: {e}")))
}

/// Returns the TLS configuration of a host: which certificates it may present, and which one it is shown.
fn trust_in(host: &str, options: &HostOptions) -> Result<rustls::ClientConfig> {
    let files = certs_dir(host).map(|dir| files_in(&dir)).unwrap_or_default();
    let with = |extension| files.iter().filter(move |file| has_extension(file, extension)).cloned();
    let trust = match is_named(&options.insecure, host) {
        true => Trust::Anything,
        false => {
            let given = options.authorities.iter().filter(|given| given.is_for(host));
            Trust::System(given.map(|given| given.pem.clone()).chain(with("crt").map(Pem::File)).collect())
        }
    };
    let given = options.identities.iter().find(|(of, _)| of == host).map(|(_, identity)| identity.clone());
    let found = || {
        with("cert").next_back().map(|certificate| {
            let key = Pem::File(certificate.with_extension("key"));
            Identity { certificate: Pem::File(certificate), key }
        })
    };
    let identity = given.or_else(found);
    trust::config(host, trust, identity)
}

/// Returns whether a host speaks plain HTTP by default: loopback hosts without a directory of certificates.
pub fn speaks_plain_http(host: &str) -> bool {
    is_loopback(host) && certs_dir(host).is_none()
}

/// Returns whether the host of a reference is this machine.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |p| p.0),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns the directory in which Docker or Podman stores certificates of a host (dockerd(8), containers-certs.d(5)).
fn certs_dir(host: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".config/containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    home.into_iter().chain(system).map(|dir| dir.join(host)).find(|dir| dir.is_dir())
}

fn files_in(dir: &PathBuf) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|d| d.filter_map(|e| e.ok().map(|e| e.path())).collect())
        .unwrap_or_default();
    files.sort();
    files
}

fn has_extension(file: &std::path::Path, extension: &str) -> bool {
    file.extension().is_some_and(|e| e == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_only_this_machine_as_loopback() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.8.9.1",
            "[::1]",
            "[::1]:5000",
            "x.localhost:1",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["localhost.example.com", "10.0.0.1:5000", "[2001:db8::1]:5000", "example.com", "docker.io"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
