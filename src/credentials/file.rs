//! docker's `config.json` and podman's `auth.json`.

use super::Credentials;
use crate::error::{Error, Result};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

/// The key of Docker Hub in docker's files and helpers.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a file says about a registry.
#[derive(Debug, PartialEq)]
pub enum Entry {
    Found(Credentials),
    /// Ask this program. `optional`: it is the store for all registries, and may know nothing of this one.
    Helper {
        name: String,
        optional: bool,
    },
    Nothing,
}

/// The files that are read, in this order: podman's, then docker's.
pub fn default_paths() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let var = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(file) = var("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    if let Some(dir) = var("XDG_RUNTIME_DIR") {
        paths.push(dir.join("containers/auth.json"));
    }
    let config = var("XDG_CONFIG_HOME").or_else(|| var("HOME").map(|h| h.join(".config")));
    paths.extend(config.map(|dir| dir.join("containers/auth.json")));
    let docker = var("DOCKER_CONFIG").or_else(|| var("HOME").map(|h| h.join(".docker")));
    paths.extend(docker.map(|dir| dir.join("config.json")));
    paths
}

/// The text of a file; `None` if it may be missing and is.
pub fn read(path: &Path, must_exist: bool) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(e) => Err(Error::other(format!("cannot read the credentials in {}: {e}", path.display()))),
    }
}

/// Looks a repository up: `credHelpers` before `credsStore` before `auths`.
pub fn find(text: &str, host: &str, repository: &str, path: &Path) -> Result<Entry> {
    let config = parse(text, path)?;
    let names = host_names(host);
    if let Some(helper) = names.iter().find_map(|name| config.cred_helpers.get(name)) {
        return Ok(Entry::Helper { name: helper.clone(), optional: false });
    }
    if !config.creds_store.is_empty() {
        return Ok(Entry::Helper { name: config.creds_store, optional: true });
    }
    Ok(find_auths(text, host, repository, path)?.map_or(Entry::Nothing, Entry::Found))
}

/// Looks a repository up in `auths` only: the longest namespace that holds it, then the host.
pub fn find_auths(text: &str, host: &str, repository: &str, path: &Path) -> Result<Option<Credentials>> {
    let config = parse(text, path)?;
    let mut prefix = Some(repository);
    while let Some(namespace) = prefix {
        for name in host_names(host) {
            let key = format!("{name}/{namespace}");
            if let Some(auth) = config.auths.get(&key) {
                return credentials(auth, &key, path);
            }
        }
        prefix = namespace.rsplit_once('/').map(|p| p.0);
    }
    let names = host_names(host);
    let found =
        config.auths.iter().find(|(key, _)| names.iter().any(|n| n == plain_host(key) && is_host(key)));
    match found {
        Some((key, auth)) => credentials(auth, key, path),
        None => Ok(None),
    }
}

fn parse(text: &str, path: &Path) -> Result<Config> {
    serde_json::from_str(text).map_err(|e| {
        // The message of the parser could quote a secret; its place is enough.
        Error::other(format!(
            "the credentials in {} are malformed at line {}, column {}",
            path.display(),
            e.line(),
            e.column()
        ))
    })
}

fn credentials(auth: &Auth, key: &str, path: &Path) -> Result<Option<Credentials>> {
    let bad =
        || Error::other(format!("the `auth` of {key:?} in {} is no base64 of user:password", path.display()));
    if let Some(token) = auth.identitytoken.as_deref().filter(|t| !t.is_empty()) {
        return Ok(Some(Credentials::Identity(token.into())));
    }
    if let Some(encoded) = auth.auth.as_deref().filter(|a| !a.is_empty()) {
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).map_err(|_| bad())?;
        let text = String::from_utf8(decoded).map_err(|_| bad())?;
        let (user, password) = text.split_once(':').ok_or_else(bad)?;
        let password = password.trim_end_matches('\0');
        return Ok(Some(Credentials::Basic { user: user.into(), password: password.into() }));
    }
    Ok(match (&auth.username, &auth.password) {
        (Some(user), Some(password)) => {
            Some(Credentials::Basic { user: user.clone(), password: password.clone() })
        }
        // `docker login` with a store leaves an empty entry behind.
        _ => None,
    })
}

/// The host of a key: without scheme and path.
fn plain_host(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

/// Keys of hosts may carry a scheme and an API path; without a scheme a path is a namespace.
fn is_host(key: &str) -> bool {
    key.contains("://")
        || matches!(key.split_once('/').map(|p| p.1), None | Some("" | "v1" | "v1/" | "v2" | "v2/"))
}

/// The names under which a host stands in files.
fn host_names(host: &str) -> Vec<String> {
    match host {
        "docker.io" => {
            ["docker.io", DOCKER_HUB, "index.docker.io", "registry-1.docker.io"].map(String::from).to_vec()
        }
        host => vec![host.to_string(), format!("https://{host}"), format!("http://{host}")],
    }
}

/// The name of a host that helpers are asked for.
pub fn server_name(host: &str) -> String {
    match host {
        "docker.io" => DOCKER_HUB.into(),
        host => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str) -> Option<Credentials> {
        Some(Credentials::Basic { user: user.into(), password: "p".into() })
    }

    fn auth(user: &str) -> String {
        format!(r#"{{"auth":"{}"}}"#, base64::engine::general_purpose::STANDARD.encode(format!("{user}:p")))
    }

    #[test]
    fn keys_of_all_shapes_are_found() {
        let text = format!(
            r#"{{"auths":{{"https://index.docker.io/v1/":{},"example.com":{},"example.com/team/app":{},"example.com/team":{},"https://plain.example/v2/":{},"other.example":{{}},"user.example":{{"username":"u","password":"p"}},"id.example":{{"identitytoken":"t"}}}}}}"#,
            auth("hub"),
            auth("host"),
            auth("app"),
            auth("team"),
            auth("plain")
        );
        let find = |host, repository| find_auths(&text, host, repository, Path::new("f")).unwrap();
        assert_eq!(find("docker.io", "library/x"), basic("hub"));
        assert_eq!(find("example.com", "x"), basic("host"));
        assert_eq!(find("example.com", "team/app"), basic("app"));
        assert_eq!(find("example.com", "team/app/sub"), basic("app"));
        assert_eq!(find("example.com", "team/other"), basic("team"));
        assert_eq!(find("plain.example", "x"), basic("plain"));
        assert_eq!(find("other.example", "x"), None);
        assert_eq!(find("user.example", "x"), basic("u"));
        assert_eq!(find("id.example", "x"), Some(Credentials::Identity("t".into())));
        assert_eq!(find("example.com:5000", "x"), None);
    }

    #[test]
    fn helpers_come_before_the_store_and_the_store_before_the_file() {
        let text = format!(
            r#"{{"auths":{{"a.example":{}}},"credHelpers":{{"b.example":"b"}},"credsStore":"s"}}"#,
            auth("a")
        );
        let get = |host| find(&text, host, "x", Path::new("f")).unwrap();
        assert_eq!(get("b.example"), Entry::Helper { name: "b".into(), optional: false });
        assert_eq!(get("a.example"), Entry::Helper { name: "s".into(), optional: true });
    }

    #[test]
    fn errors_name_the_place_and_no_secret() {
        for text in [r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#, r#"{"auths":"secret"}"#, "secret"] {
            let error = find_auths(text, "h", "x", Path::new("some/file")).unwrap_err().to_string();
            assert!(
                error.contains("some/file") && !error.contains("secret") && !error.contains("c2Vj"),
                "{error}"
            );
        }
    }
}
