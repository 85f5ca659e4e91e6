//! Docker's `config.json` and Podman's `auth.json`.

use super::identity::Credentials;
use crate::error::{Error, Result};
use base64::Engine as _;
use serde_json::{Map, Value};
use std::path::Path;

/// The key of Docker Hub in Docker's files and helpers.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The format of a credential file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `auths`, `credHelpers` and `credsStore`.
    Config,
    /// Docker's former `.dockercfg`: only the content of `auths`.
    Legacy,
}

/// A parsed credential file. Values that tools write instead of omitting them count as absent: an empty file, `null`,
/// and an empty helper name.
pub struct Logins<'a> {
    path: &'a Path,
    format: Format,
    root: Map<String, Value>,
}

/// The entry of a file for a registry.
#[derive(Debug, PartialEq)]
pub enum Entry {
    /// Credentials.
    Found(Credentials),
    /// A credential helper to run. `optional`: it is the store for all registries, and may have nothing for this one.
    Helper {
        /// The part of the program's name after `docker-credential-`.
        name: String,
        /// Whether `auths` of the same file applies if the helper has nothing.
        optional: bool,
    },
    /// No entry.
    Nothing,
}

impl<'a> Logins<'a> {
    /// Parses the text of a credential file.
    pub fn parse(text: &str, path: &'a Path, format: Format) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}').trim();
        let root = match text {
            "" => Value::Null,
            text => serde_json::from_str(text).map_err(|e| {
                // The parser's message could quote a secret, so report only the position.
                let (line, column) = (e.line(), e.column());
                let place = path.display();
                Error::other(format!(
                    "the credentials in {place} are malformed at line {line}, column {column}"
                ))
            })?,
        };
        let root = match root {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            _ => return Err(Error::other(format!("{} is not a JSON object", path.display()))),
        };
        Ok(Logins { path, format, root })
    }

    /// Finds the entry for a repository: `credHelpers` takes precedence over `credsStore`, and that over `auths`.
    pub fn find(&self, host: &str, repository: &str) -> Result<Entry> {
        if self.format == Format::Config {
            if let Some(helpers) = self.object(&self.root, "credHelpers")? {
                for name in host_names(host) {
                    match self.text(helpers, &name)? {
                        // As in Docker, an empty helper name keeps this host in the file, even if there is a store.
                        Some("") => return self.found(host, repository),
                        Some(helper) => return Ok(Entry::Helper { name: helper.into(), optional: false }),
                        None => {}
                    }
                }
            }
            if let Some(store) = self.text(&self.root, "credsStore")?.filter(|s| !s.is_empty()) {
                return Ok(Entry::Helper { name: store.into(), optional: true });
            }
        }
        self.found(host, repository)
    }

    fn found(&self, host: &str, repository: &str) -> Result<Entry> {
        Ok(match self.auths(host, repository)? {
            Credentials::Anonymous => Entry::Nothing,
            credentials => Entry::Found(credentials),
        })
    }

    /// Finds the credentials for a repository in `auths`: the longest namespace that contains it, else the host.
    pub fn auths(&self, host: &str, repository: &str) -> Result<Credentials> {
        let auths = match self.format {
            Format::Config => self.object(&self.root, "auths")?,
            Format::Legacy => Some(&self.root),
        };
        let Some(auths) = auths else { return Ok(Credentials::Anonymous) };
        let names = host_names(host);
        let mut prefix = Some(repository);
        while let Some(namespace) = prefix {
            for name in &names {
                let key = format!("{name}/{namespace}");
                if let Some(entry) = self.object(auths, &key)? {
                    return self.credentials(entry, &key);
                }
            }
            prefix = namespace.rsplit_once('/').map(|p| p.0);
        }
        for key in auths.keys().filter(|key| is_host(key) && names.iter().any(|name| name == plain_host(key)))
        {
            if let Some(entry) = self.object(auths, key)? {
                return self.credentials(entry, key);
            }
        }
        Ok(Credentials::Anonymous)
    }

    fn credentials(&self, entry: &Map<String, Value>, key: &str) -> Result<Credentials> {
        let text = |name: &str| self.text(entry, name).map(Option::unwrap_or_default);
        let token = text("identitytoken")?;
        if !token.is_empty() {
            return Ok(Credentials::Identity(token.into()));
        }
        let encoded = text("auth")?;
        if encoded.is_empty() {
            // `docker login` with a store writes an empty entry.
            return Ok(Credentials::basic(text("username")?, text("password")?));
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim());
        let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) => Ok(Credentials::basic(user, password.trim_end_matches('\0'))),
            None => Err(self.invalid(&format!("`auth` of {key:?}"), "base64 of user:password")),
        }
    }

    /// Returns a member that must be an object; `null` counts as absent.
    fn object<'m>(&self, map: &'m Map<String, Value>, name: &str) -> Result<Option<&'m Map<String, Value>>> {
        match map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.invalid(&format!("{name:?}"), "a JSON object")),
        }
    }

    /// Returns a member that must be a string; `null` counts as absent.
    fn text<'m>(&self, map: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>> {
        match map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(&format!("{name:?}"), "a string")),
        }
    }

    fn invalid(&self, what: &str, wanted: &str) -> Error {
        Error::other(format!("invalid credentials in {}: {what} is not {wanted}", self.path.display()))
    }
}

/// Reads a credential file; `None` if it does not exist and need not. A file in a directory that this user cannot
/// enter belongs to another user, and counts as missing.
pub fn read(path: &Path, must_exist: bool) -> Result<Option<String>> {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if matches!(e.kind(), NotFound | NotADirectory) && !must_exist => Ok(None),
        Err(e) if e.kind() == PermissionDenied && !must_exist && std::fs::metadata(path).is_err() => Ok(None),
        Err(e) => Err(Error::other(format!("cannot read the credentials in {}: {e}", path.display()))),
    }
}

/// Returns the host of a key, without scheme and path.
fn plain_host(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

/// Returns whether a key denotes a host. Such a key may have a scheme and an API path; without a scheme, a path is a
/// namespace.
fn is_host(key: &str) -> bool {
    key.contains("://")
        || matches!(key.split_once('/').map(|p| p.1), None | Some("" | "v1" | "v1/" | "v2" | "v2/"))
}

/// Returns the keys that files use for a host.
fn host_names(host: &str) -> Vec<String> {
    match host {
        "docker.io" => {
            ["docker.io", DOCKER_HUB, "index.docker.io", "registry-1.docker.io"].map(String::from).to_vec()
        }
        host => vec![host.to_string(), format!("https://{host}"), format!("http://{host}")],
    }
}

/// Returns the server name by which helpers know a host.
pub fn server_name(host: &str) -> String {
    match host {
        "docker.io" => DOCKER_HUB.into(),
        host => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Logins<'_>> {
        Logins::parse(text, Path::new("some/file"), Format::Config)
    }

    fn auth(user: &str) -> String {
        format!(r#"{{"auth":"{}"}}"#, base64::engine::general_purpose::STANDARD.encode(format!("{user}:p")))
    }

    #[test]
    fn finds_keys_in_every_form() {
        let entries = format!(
            r#"{{"https://index.docker.io/v1/":{},"example.com":{},"example.com/team/app":{},"example.com/team":{},"https://plain.example/v2/":{},"other.example":{{}},"user.example":{{"username":"u","password":"p"}},"id.example":{{"identitytoken":"t"}}}}"#,
            auth("hub"),
            auth("host"),
            auth("app"),
            auth("team"),
            auth("plain")
        );
        let basic = |user: &str| Credentials::basic(user, "p");
        for (text, format) in
            [(format!(r#"{{"auths":{entries}}}"#), Format::Config), (entries.clone(), Format::Legacy)]
        {
            let logins = Logins::parse(&text, Path::new("f"), format).unwrap();
            let find = |host, repository| logins.auths(host, repository).unwrap();
            assert_eq!(find("docker.io", "library/x"), basic("hub"));
            assert_eq!(find("example.com", "x"), basic("host"));
            assert_eq!(find("example.com", "team/app"), basic("app"));
            assert_eq!(find("example.com", "team/app/sub"), basic("app"));
            assert_eq!(find("example.com", "team/other"), basic("team"));
            assert_eq!(find("plain.example", "x"), basic("plain"));
            assert_eq!(find("other.example", "x"), Credentials::Anonymous);
            assert_eq!(find("user.example", "x"), basic("u"));
            assert_eq!(find("id.example", "x"), Credentials::Identity("t".into()));
            assert_eq!(find("example.com:5000", "x"), Credentials::Anonymous);
        }
    }

    #[test]
    fn helpers_precede_the_store_and_the_store_precedes_the_file() {
        let text = format!(
            r#"{{"auths":{{"a.example":{0},"c.example":{0}}},"credHelpers":{{"b.example":"b","c.example":""}},"credsStore":"s"}}"#,
            auth("a")
        );
        let logins = parse(&text).unwrap();
        let get = |host| logins.find(host, "x").unwrap();
        assert_eq!(get("b.example"), Entry::Helper { name: "b".into(), optional: false });
        assert_eq!(get("a.example"), Entry::Helper { name: "s".into(), optional: true });
        assert_eq!(get("c.example"), Entry::Found(Credentials::basic("a", "p")));
    }

    #[test]
    fn treats_empty_and_null_values_as_absent() {
        for text in [
            "",
            " \n",
            "null",
            "\u{feff}{}",
            r#"{"auths":null,"credHelpers":null,"credsStore":null}"#,
            r#"{"auths":{"h":null,"h/x":null},"credHelpers":{"h":null}}"#,
            r#"{"auths":{"h":{"auth":null,"identitytoken":null,"username":null,"password":null}}}"#,
            r#"{"auths":{"h":{"auth":"","identitytoken":""}},"credsStore":"","credHelpers":{"h":""}}"#,
            r#"{"auths":{"h":{"auth":"Og=="}}}"#,
            r#"{"auths":{"h":{"username":"","password":""}}}"#,
            r#"{"auths":{"other":5},"credHelpers":{"other":5}}"#,
        ] {
            assert_eq!(parse(text).unwrap().find("h", "x").unwrap(), Entry::Nothing, "{text}");
        }
        let text = format!(r#"{{"auths":{{"h":null,"https://h":{}}}}}"#, auth("u"));
        let found = parse(&text).unwrap().find("h", "x").unwrap();
        assert_eq!(found, Entry::Found(Credentials::basic("u", "p")), "an empty entry does not hide another");
    }

    #[test]
    fn errors_state_the_position_but_no_secret() {
        for text in [
            r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#,
            r#"{"auths":{"h":{"auth":["c2VjcmV0"]}}}"#,
            r#"{"auths":{"h":"secret"}}"#,
            r#"{"auths":"secret"}"#,
            r#"["secret"]"#,
            "secret",
        ] {
            let find = parse(text).and_then(|logins| logins.find("h", "x"));
            let error = find.unwrap_err().to_string();
            assert!(
                error.contains("some/file") && !error.contains("secret") && !error.contains("c2Vj"),
                "{error}"
            );
        }
    }
}
