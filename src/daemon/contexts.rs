//! Finds the engine: by `DOCKER_HOST`, or by a context of Docker's command line.

use super::address::{Address, Tls};
use crate::error::{Context, Error, Result};
use crate::image::Digest;
use serde::Deserialize;
use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The context that uses the environment variables.
const DEFAULT: &str = "default";
/// The maximum size of a configuration file.
const MAX_FILE: u64 = 8 << 20;

/// The variables and files that determine the engine, as Docker's command line reads them.
pub struct Environment<'a>(&'a dyn Fn(&str) -> Option<OsString>);

/// The configuration of Docker's command line.
#[derive(Deserialize)]
struct Config {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

/// The description of a context.
#[derive(Deserialize)]
struct Meta {
    #[serde(default, rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, rename = "Host")]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    is_unverified: bool,
}

impl<'a> Environment<'a> {
    /// Creates an environment whose variables a function returns.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Environment(variable)
    }

    /// Finds the engine: `DOCKER_HOST`, otherwise the context from `DOCKER_CONTEXT` or the configuration,
    /// otherwise the engine of this machine.
    ///
    /// # Errors
    ///
    /// Fails if an address, a context or the configuration is invalid.
    pub fn engine(&self) -> Result<Address> {
        if let Some(host) = self.text("DOCKER_HOST")? {
            return Address::parse(&host, self.tls()).context(|| "DOCKER_HOST");
        }
        let (name, place) = match self.text("DOCKER_CONTEXT")? {
            Some(name) => (name, "DOCKER_CONTEXT".to_owned()),
            None => {
                let file = self.directory().join("config.json");
                let config = read::<Config>(&file)?;
                (config.map(|config| config.current_context).unwrap_or_default(), file.display().to_string())
            }
        };
        match name.as_str() {
            "" | DEFAULT => Ok(Address::default()),
            name => self.context(name).context(|| place),
        }
    }

    /// Returns the engine of a context.
    fn context(&self, name: &str) -> Result<Address> {
        let contexts = self.directory().join("contexts");
        let directory = Digest::sha256(name).hex().to_owned();
        let file = contexts.join("meta").join(&directory).join("meta.json");
        let Some(meta) = read::<Meta>(&file)? else {
            return Err(Error::usage(format!("no Docker context {name:?}")).hint(
                "run `docker context ls` to list the contexts, and set DOCKER_CONTEXT to one of them",
            ));
        };
        let endpoint = meta.endpoints.docker.filter(|endpoint| !endpoint.host.is_empty());
        let Some(endpoint) = endpoint else {
            return Err(Error::usage(format!("the Docker context {name:?} has no engine"))
                .hint("run `docker context update` to set its host"));
        };
        let certificates = contexts.join("tls").join(&directory).join("docker");
        let tls = (certificates.is_dir() || endpoint.is_unverified)
            .then(|| Tls::in_directory(&certificates, endpoint.is_unverified));
        Address::parse(&endpoint.host, tls).context(|| format!("the Docker context {name:?}"))
    }

    /// Returns the TLS configuration for `DOCKER_HOST`; `None` without TLS.
    fn tls(&self) -> Option<Tls> {
        let is_verified = self.variable("DOCKER_TLS_VERIFY").is_some();
        if !is_verified && self.variable("DOCKER_TLS").is_none() {
            return None;
        }
        let dir = self.variable("DOCKER_CERT_PATH").map_or_else(|| self.directory(), PathBuf::from);
        Some(Tls::in_directory(&dir, !is_verified))
    }

    /// Returns the directory of Docker's configuration.
    fn directory(&self) -> PathBuf {
        let home = || PathBuf::from(self.variable("HOME").unwrap_or_default()).join(".docker");
        self.variable("DOCKER_CONFIG").map_or_else(home, PathBuf::from)
    }

    /// Returns a variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let text = self.variable(name).map(OsString::into_string).transpose();
        text.map_err(|_| Error::usage(format!("invalid {name}: it is not UTF-8")))
    }
}

/// Reads a JSON file; `None` if it does not exist.
fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Option<T>> {
    let place = || file.display().to_string();
    let mut text = Vec::new();
    match std::fs::File::open(file).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text)) {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(Error::from(e).context(place())),
    }
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|e| {
        // The text is not shown, because the file contains credentials.
        Error::usage(format!("invalid {}: line {}, column {}", place(), e.line(), e.column()))
            .hint("set DOCKER_HOST to the engine, which needs no configuration")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Home(tempfile::tempdir().unwrap())
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(".docker").join(path)
        }

        fn write(&self, path: &str, text: &str) {
            let file = self.path(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }

        fn context(&self, name: &str, meta: &str) -> String {
            let directory = Digest::sha256(name).hex().to_owned();
            self.write(&format!("contexts/meta/{directory}/meta.json"), meta);
            directory
        }

        fn engine(&self, variables: &[(&str, &str)]) -> Result<Address> {
            let home = self.0.path().as_os_str().to_owned();
            let variable = |name: &str| {
                let set = variables.iter().find(|(n, _)| *n == name);
                set.map(|(_, value)| value.into()).or((name == "HOME").then(|| home.clone()))
            };
            Environment::new(&variable).engine()
        }
    }

    fn unix(path: &str) -> Address {
        Address::Unix(path.into())
    }

    #[test]
    fn the_engine_is_chosen_in_the_order_of_the_docker_command() {
        let home = Home::new();
        assert_eq!(home.engine(&[]).unwrap(), Address::default());
        home.context("one", r#"{"Name":"one","Endpoints":{"docker":{"Host":"unix:///one"}}}"#);
        home.context("two", r#"{"Name":"two","Endpoints":{"docker":{"Host":"unix:///two"}}}"#);
        home.write("config.json", r#"{"auths":{},"currentContext":"one"}"#);
        assert_eq!(home.engine(&[]).unwrap(), unix("/one"));
        let context = ("DOCKER_CONTEXT", "two");
        assert_eq!(home.engine(&[context]).unwrap(), unix("/two"));
        assert_eq!(home.engine(&[("DOCKER_CONTEXT", "default")]).unwrap(), Address::default());
        assert_eq!(home.engine(&[context, ("DOCKER_HOST", "unix:///host")]).unwrap(), unix("/host"));
        assert_eq!(home.engine(&[("DOCKER_HOST", "")]).unwrap(), unix("/one"));
        assert_eq!(home.engine(&[("DOCKER_CONFIG", "/nowhere")]).unwrap(), Address::default());
    }

    #[test]
    fn finds_certificates_of_a_directory_or_a_context() {
        let home = Home::new();
        let directory = home.context("far", r#"{"Endpoints":{"docker":{"Host":"tcp://far:1"}}}"#);
        let tls = |address: Result<Address>| match address.unwrap() {
            Address::Tcp { tls, .. } => tls,
            other => panic!("{other}"),
        };
        assert_eq!(tls(home.engine(&[("DOCKER_CONTEXT", "far")])), None);
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            home.write(&format!("contexts/tls/{directory}/docker/{name}"), "");
            home.write(name, "");
        }
        let below = home.path(&format!("contexts/tls/{directory}/docker"));
        let expected = Tls::in_directory(&below, false);
        assert_eq!(expected.identity, Some((below.join("cert.pem"), below.join("key.pem"))));
        assert_eq!(tls(home.engine(&[("DOCKER_CONTEXT", "far")])), Some(expected.clone()));
        let host = ("DOCKER_HOST", "tcp://far:1");
        let verify = ("DOCKER_TLS_VERIFY", "1");
        assert_eq!(tls(home.engine(&[host])), None);
        assert_eq!(tls(home.engine(&[host, verify])), Some(Tls::in_directory(&home.path(""), false)));
        let path = ("DOCKER_CERT_PATH", below.to_str().unwrap());
        assert_eq!(tls(home.engine(&[host, verify, path])), Some(expected));
        assert!(tls(home.engine(&[host, ("DOCKER_TLS", "1"), path])).unwrap().is_unverified);
        home.context("lax", r#"{"Endpoints":{"docker":{"Host":"tcp://far:1","SkipTLSVerify":true}}}"#);
        assert!(tls(home.engine(&[("DOCKER_CONTEXT", "lax")])).unwrap().is_unverified);
    }

    #[test]
    fn errors_name_invalid_settings() {
        let home = Home::new();
        home.context("empty", "{}");
        home.context("bad", r#"{"Endpoints":{"docker":{"Host":"ftp://x"}}}"#);
        home.context("torn", "{");
        for (variable, value, said) in [
            ("DOCKER_HOST", "nonsense", "DOCKER_HOST: invalid Docker host \"nonsense\""),
            ("DOCKER_CONTEXT", "none", "DOCKER_CONTEXT: no Docker context \"none\""),
            ("DOCKER_CONTEXT", "empty", "has no engine"),
            ("DOCKER_CONTEXT", "bad", "the Docker context \"bad\": invalid Docker host \"ftp://x\""),
            ("DOCKER_CONTEXT", "torn", "meta.json: line 1"),
        ] {
            let error = home.engine(&[(variable, value)]).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
        home.write("config.json", r#"{"auths":{"r":{"auth":"c2VjcmV0"}},"currentContext":}"#);
        let error = home.engine(&[]).unwrap_err().to_string();
        assert!(error.contains("config.json: line 1") && !error.contains("c2VjcmV0"), "{error}");
    }
}
