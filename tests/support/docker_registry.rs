//! Debian's `docker-registry`: the distribution project's registry, with its data in a temporary directory.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::daemon::{Daemon, needs};
use super::run::tool;

/// The options for starting a registry.
#[derive(Clone, Debug, Default)]
pub struct Options {
    user: Option<(String, String)>,
    tls: bool,
    self_signed: Option<String>,
    auth: Option<String>,
    more: String,
}

/// A running registry.
pub struct DockerRegistry {
    daemon: Daemon,
    host: String,
}

impl DockerRegistry {
    /// Starts it with plain HTTP, without authentication.
    pub fn start() -> Self {
        Options::default().start()
    }

    /// Returns options with a password file.
    pub fn with_user(user: &str, password: &str) -> Options {
        Options { user: Some((user.to_owned(), password.to_owned())), ..Options::default() }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the image's name for reapify and skopeo.
    pub fn name(&self, repository: &str, reference: &str) -> String {
        let separator = if reference.contains(':') { '@' } else { ':' };
        format!("docker://{}/{repository}{separator}{reference}", self.host)
    }

    /// Returns the certificate of the authority that signed the registry's certificate, if it uses TLS.
    pub fn authority(&self) -> PathBuf {
        self.daemon.dir().join("ca.crt")
    }

    /// Returns the registry's own certificate, if it uses TLS.
    pub fn certificate(&self) -> PathBuf {
        self.daemon.dir().join("tls.crt")
    }

    /// Returns the log, with a line per request.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Pushes an image with skopeo.
    #[track_caller]
    pub fn push(&self, source: &str, repository: &str, tag: &str) -> String {
        let name = self.name(repository, tag);
        tool("skopeo", ["copy", "--all", "--dest-tls-verify=false", source, &name]).run().succeeds();
        name
    }
}

impl Options {
    /// Uses TLS, with a certificate for 127.0.0.1 by an authority of its own.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Uses TLS, with a self-signed certificate for this name, made with `openssl req -x509`.
    pub fn self_signed(mut self, name: &str) -> Self {
        self.self_signed = Some(name.to_owned());
        self.tls = true;
        self
    }

    /// Uses this `auth:` section in its configuration.
    pub fn auth(mut self, section: &str) -> Self {
        self.auth = Some(section.to_owned());
        self
    }

    /// Adds these sections to its configuration.
    pub fn more(mut self, sections: &str) -> Self {
        self.more.push_str(sections);
        self
    }

    pub fn start(&self) -> DockerRegistry {
        needs("docker-registry");
        let dir = Daemon::directory();
        // With port 0 the system picks a port, which the registry logs.
        let mut config = format!(
            "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
             rootdirectory: {0}/data\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n",
            dir.display()
        );
        if self.tls {
            match &self.self_signed {
                Some(name) => self_sign(&dir, name),
                None => write_certificates(&dir),
            }
            write!(config, "  tls:\n    certificate: {0}/tls.crt\n    key: {0}/tls.key\n", dir.display())
                .expect("writing to a string");
        }
        if let Some((user, password)) = &self.user {
            let line = tool("htpasswd", ["-nbB", user, password]).run().succeeds().text();
            std::fs::write(dir.join("htpasswd"), line).expect("the password file");
            write!(config, "auth:\n  htpasswd:\n    realm: registry\n    path: {}/htpasswd\n", dir.display())
                .expect("writing to a string");
        }
        config.push_str(self.auth.as_deref().unwrap_or_default());
        config.push_str(&self.more);
        std::fs::write(dir.join("config.yml"), config).expect("the registry's configuration");
        let file = dir.join("config.yml").display().to_string();
        let daemon = Daemon::start(dir, &["docker-registry".into(), "serve".into(), file]);
        let host = daemon.ready("docker-registry", || {
            let log = daemon.log();
            let port = log.split("listening on 127.0.0.1:").nth(1);
            let digits = port.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            // The port is complete if the line is.
            digits.filter(|_| log.ends_with('\n')).map(|port| format!("127.0.0.1:{port}")).ok_or(log)
        });
        DockerRegistry { daemon, host }
    }
}

/// Creates `tls.crt` and `tls.key`, without an authority.
fn self_sign(dir: &std::path::Path, name: &str) {
    let path = |file: &str| dir.join(file).display().to_string();
    let name = format!("subjectAltName={name}");
    let make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry"];
    let out = ["-addext", &name, "-keyout", &path("tls.key"), "-out", &path("tls.crt")];
    tool("openssl", make).args(out).run().succeeds();
}

/// Creates `ca.crt`, and `tls.crt` with `tls.key` for this machine and for a name that only a proxy resolves.
fn write_certificates(dir: &std::path::Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "reapify test authority");
    write("ca.crt", params.self_signed(&key).expect("a certificate").pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into(), "registry.test".into()])
        .expect("names");
    write("tls.crt", params.signed_by(&key, &issuer).expect("a certificate").pem());
    write("tls.key", key.serialize_pem());
}
