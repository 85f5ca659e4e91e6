//! The address of a Docker engine, in the form of `DOCKER_HOST` and contexts.

use crate::error::{Error, Result};
use reqwest::Url;
use std::fmt;
use std::path::{Path, PathBuf};

/// The port of an engine without TLS.
const PORT: u16 = 2375;
/// The port of an engine with TLS.
const TLS_PORT: u16 = 2376;

/// The address of a Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// The base URL of the API, with `http` or `https`.
        base: Url,
        /// The TLS configuration; `None` for plain HTTP.
        tls: Option<Tls>,
    },
}

/// The TLS configuration for an engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The certificate authority of the engine's certificate.
    pub authority: Option<PathBuf>,
    /// The client's certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether to skip the verification of the engine's certificate.
    pub is_unverified: bool,
}

impl Tls {
    /// Returns a configuration with the files `ca.pem`, `cert.pem` and `key.pem` of a directory, if they
    /// exist.
    pub fn in_directory(dir: &Path, is_unverified: bool) -> Self {
        let file = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        Tls { authority: file("ca.pem"), identity: file("cert.pem").zip(file("key.pem")), is_unverified }
    }
}

impl Default for Address {
    fn default() -> Self {
        Address::Unix("/var/run/docker.sock".into())
    }
}

impl Address {
    /// Parses an address: `unix://PATH` or `tcp://HOST[:PORT]`. With `tls`, TCP is encrypted.
    pub fn parse(text: &str, tls: Option<Tls>) -> Result<Self> {
        let shown = without_user(text);
        let invalid = |why: &str| Error::usage(format!("invalid Docker host {shown:?}: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid("it has no scheme").hint("write unix:///PATH or tcp://HOST:PORT"));
        };
        let tls = match scheme {
            "unix" if rest.starts_with('/') => return Ok(Address::Unix(rest.into())),
            "unix" => return Err(invalid("the path is not absolute").hint("write unix:///PATH")),
            "ssh" => {
                return Err(invalid("SSH is not supported").hint(
                    "forward the socket, and name it: \
                     ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST, DOCKER_HOST=unix:///tmp/docker.sock",
                ));
            }
            "https" => Some(tls.unwrap_or_default()),
            "tcp" | "http" => tls,
            _ => return Err(invalid("unknown scheme").hint("write unix:///PATH or tcp://HOST:PORT")),
        };
        let (scheme, port) = if tls.is_some() { ("https", TLS_PORT) } else { ("http", PORT) };
        let mut base = Url::parse(&format!("{scheme}://{rest}")).map_err(|e| invalid(&e.to_string()))?;
        let has_more = base.query().is_some() || base.fragment().is_some();
        if !base.username().is_empty() || base.password().is_some() || has_more {
            return Err(invalid("it is not a host and a port"));
        }
        // The parser drops a port that is the scheme's default, so the text shows whether one was given.
        let authority = rest.split('/').next().unwrap_or_default();
        let is_given = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !is_given {
            base.set_port(Some(port)).map_err(|()| invalid("it takes no port"))?;
        }
        Ok(Address::Tcp { base, tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp { base, .. } => {
                let port = base.port_or_known_default().unwrap_or(PORT);
                write!(f, "tcp://{}:{port}", base.host_str().unwrap_or_default())
            }
        }
    }
}

/// Returns an address for messages: without a user and password, which it must not have.
fn without_user(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}***@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_addresses_like_docker() {
        let tls = || Some(Tls::default());
        for (text, given, url, shown) in [
            ("tcp://h:1234", None, "http://h:1234/", "tcp://h:1234"),
            ("tcp://h", None, "http://h:2375/", "tcp://h:2375"),
            ("tcp://h:80", None, "http://h/", "tcp://h:80"),
            ("tcp://h", tls(), "https://h:2376/", "tcp://h:2376"),
            ("tcp://h:443", tls(), "https://h/", "tcp://h:443"),
            ("tcp://[::1]:5", None, "http://[::1]:5/", "tcp://[::1]:5"),
            ("tcp://[::1]", None, "http://[::1]:2375/", "tcp://[::1]:2375"),
            ("http://h:5/docker", None, "http://h:5/docker", "tcp://h:5"),
            ("https://h:5", None, "https://h:5/", "tcp://h:5"),
        ] {
            let address = Address::parse(text, given).unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            let Address::Tcp { base, tls } = address else { panic!("{text}") };
            assert_eq!((base.as_str(), tls.is_some()), (url, url.starts_with("https")), "{text}");
        }
        let address = Address::parse("unix:///run/a b.sock", tls()).unwrap();
        assert_eq!(address, Address::Unix("/run/a b.sock".into()));
        assert_eq!(Address::default().to_string(), "unix:///var/run/docker.sock");
    }

    #[test]
    fn invalid_addresses_are_usage_errors() {
        for text in [
            "",
            "h:2375",
            "/run/docker.sock",
            "unix://run/docker.sock",
            "tcp://h#x:5",
            "ssh://root@h",
            "npipe:////./pipe/docker",
            "tcp://",
            "tcp://h:99999",
            "tcp://user:s3cret@h:1",
            "tcp://user:s3c/re@t@h:1",
            "tcp:user:s3cret@h:1",
            "user:s3cret@h",
            "tcp://h:1?x",
        ] {
            let error = Address::parse(text, None).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage, "{text}: {error}");
            assert!(error.to_string().starts_with("invalid Docker host"), "{error}");
            assert!(!error.to_string().contains("s3c"), "{error}");
        }
    }
}
