//! The files in which `docker login` and `podman login` store credentials (containers-auth.json(5), docker-login(1)).

use super::file::Format;
use std::path::PathBuf;

/// A credential file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFile {
    /// The path.
    pub path: PathBuf,
    /// The format.
    pub format: Format,
}

impl LoginFile {
    /// Creates a file in the current format.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        LoginFile { path: path.into(), format: Format::Config }
    }
}

/// Returns the credential files of this user, in the order in which they are read: Podman's, then Docker's.
pub fn default_files() -> Vec<LoginFile> {
    let uid = rustix::process::getuid().as_raw();
    files(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from), uid)
}

fn files(var: impl Fn(&str) -> Option<PathBuf>, uid: u32) -> Vec<LoginFile> {
    if let Some(file) = var("REGISTRY_AUTH_FILE") {
        return vec![LoginFile::new(file)];
    }
    let home = |path: &str| var("HOME").map(|home| home.join(path));
    // Without a login session, as in containers or under cron and sudo, XDG_RUNTIME_DIR is not set.
    let runtime = match var("XDG_RUNTIME_DIR") {
        Some(dir) => dir.join("containers/auth.json"),
        None => format!("/run/containers/{uid}/auth.json").into(),
    };
    let config = var("XDG_CONFIG_HOME").or_else(|| home(".config"));
    let docker = var("DOCKER_CONFIG").or_else(|| home(".docker"));
    let current = [
        Some(runtime),
        config.map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    let legacy = home(".dockercfg").map(|path| LoginFile { path, format: Format::Legacy });
    current.into_iter().flatten().map(LoginFile::new).chain(legacy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_files_in_the_order_that_podman_documents() {
        let paths = |set: &[(&str, &str)]| -> Vec<String> {
            let var = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v));
            files(var, 1000).into_iter().map(|f| f.path.display().to_string()).collect()
        };
        assert_eq!(paths(&[]), ["/run/containers/1000/auth.json"]);
        assert_eq!(
            paths(&[("HOME", "/h")]),
            [
                "/run/containers/1000/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json",
                "/h/.dockercfg"
            ]
        );
        assert_eq!(
            paths(&[
                ("HOME", "/h"),
                ("XDG_RUNTIME_DIR", "/r"),
                ("XDG_CONFIG_HOME", "/c"),
                ("DOCKER_CONFIG", "/d")
            ]),
            ["/r/containers/auth.json", "/c/containers/auth.json", "/d/config.json", "/h/.dockercfg"]
        );
        assert_eq!(paths(&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/f")]), ["/f"]);
    }
}
