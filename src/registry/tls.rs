//! How a host is reached: TLS by default, plain HTTP on loopback or where the user says so.

use crate::error::{Error, Result};
use reqwest::Url;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the user says about hosts. Everything is per host, nothing is global.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Hosts that speak plain HTTP.
    pub plain_http: Vec<String>,
    /// Hosts whose certificate is not checked.
    pub insecure: Vec<String>,
    /// Further certificate authorities, in PEM.
    pub ca_file: Option<PathBuf>,
}

impl HostOptions {
    /// Whether the user named a host as one that speaks plain HTTP.
    pub fn speaks_plain_http(&self, host: &str) -> bool {
        is_named(&self.plain_http, host)
    }
}

/// The address of a registry.
pub fn base(host: &str, options: &HostOptions) -> Result<Url> {
    let has_tls = is_named(&options.insecure, host) || certs_dir(host).is_some() || options.ca_file.is_some();
    let plain = is_named(&options.plain_http, host) || (is_loopback(host) && !has_tls);
    // Docker Hub's registry has another name than the one in references.
    let address = if host == "docker.io" { "registry-1.docker.io" } else { host };
    let scheme = if plain { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{address}/"))
        .map_err(|e| Error::usage(format!("invalid registry host {host:?}: {e}")))
}

/// A hint for a connection that failed for a reason of TLS.
pub fn explain(message: &str, _url: &Url) -> Option<String> {
    message
        .contains("certificate")
        .then(|| "give the registry's CA with --ca-file or in certs.d, or --insecure HOST".to_owned())
}

fn is_named(list: &[String], host: &str) -> bool {
    list.iter().any(|h| h == host)
}

/// A connection pool for a URL of the host that the user knows as `host`.
pub fn pool(host: &str, url: &Url, options: &HostOptions, timeout: Duration) -> Result<reqwest::Client> {
    let plain = url.scheme() == "http";
    // Once a process; a second call is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("reapify/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(timeout)
        .http2_adaptive_window(true)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true);
    if is_loopback(host) {
        builder = builder.no_proxy();
    }
    if plain {
        // Reading the system's certificates takes longer than all else together.
        return build(builder.tls_certs_only([]));
    }
    if is_named(&options.insecure, host) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    let mut authorities = Vec::new();
    authorities.extend(options.ca_file.clone());
    if let Some(dir) = certs_dir(host) {
        let files = files_in(&dir);
        authorities.extend(files.iter().filter(|f| has_extension(f, "crt")).cloned());
        for cert in files.iter().filter(|f| has_extension(f, "cert")) {
            let key = cert.with_extension("key");
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend(read(&key)?);
            let identity = reqwest::Identity::from_pem(&pem).map_err(|e| {
                Error::other(format!("the client certificate {} is malformed: {e}", cert.display()))
            })?;
            builder = builder.identity(identity);
        }
    }
    let mut certificates = Vec::new();
    for file in authorities {
        let bundle = reqwest::Certificate::from_pem_bundle(&read(&file)?).map_err(|e| {
            Error::other(format!("the certificates in {} are malformed: {e}", file.display()))
        })?;
        if bundle.is_empty() {
            return Err(Error::other(format!("there is no certificate in {}", file.display())));
        }
        certificates.extend(bundle);
    }
    if !certificates.is_empty() {
        builder = builder.tls_certs_merge(certificates);
    }
    build(builder)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|e| {
        let source = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
        Error::other(format!("cannot set up HTTP: {e}{source}"))
    })
}

/// Whether a host of a reference is this machine.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |p| p.0),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The directory where docker or podman keeps certificates of a host (dockerd(8), containers-certs.d(5)).
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

fn read(file: &PathBuf) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|e| Error::other(format!("cannot read {}: {e}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_only() {
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
