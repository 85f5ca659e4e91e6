//! Credentials with their origin, so that an error can name the credentials that were refused.

use super::identity::Credentials;
use crate::unseen::is_unseen;
use std::fmt;
use std::path::PathBuf;

/// The credentials for a registry host, and their origin.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The credentials.
    pub credentials: Credentials,
    /// The origin of the credentials.
    pub source: LoginSource,
}

/// The origin of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSource {
    /// A command-line option, or the environment variable that replaces it.
    Given(&'static str),
    /// A credential file.
    File(PathBuf),
    /// A credential helper, by the name of its program, and the file that configures it.
    Helper(String, PathBuf),
    /// No source had credentials; these files were read.
    Nowhere(Vec<PathBuf>),
}

impl Default for LoginSource {
    fn default() -> Self {
        LoginSource::Nowhere(Vec::new())
    }
}

impl Login {
    /// Creates a login from an option, such as `--src-creds`.
    pub fn given(option: &'static str, credentials: Credentials) -> Self {
        Login { credentials, source: LoginSource::Given(option) }
    }

    /// Describes, after a refusal, which credentials were refused or where none were found. Never contains a secret.
    pub fn describe(&self) -> String {
        let who = match &self.credentials {
            Credentials::Basic { user, password } if is_name(user, password) => format!("user {user}"),
            Credentials::Basic { .. } => "the login".into(),
            Credentials::Identity(_) => "the identity token".into(),
            Credentials::Anonymous => return self.describe_absence(),
        };
        format!("{who} from {} was refused", self.source)
    }

    fn describe_absence(&self) -> String {
        match &self.source {
            LoginSource::Nowhere(files) if files.is_empty() => "no credentials were given".into(),
            LoginSource::Nowhere(files) => {
                let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
                format!("no credentials found in {}", files.join(", "))
            }
            source => format!("no credentials in {source}"),
        }
    }
}

impl fmt::Display for LoginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoginSource::Given(option) => f.write_str(option),
            LoginSource::File(file) => write!(f, "{}", file.display()),
            LoginSource::Helper(program, file) => write!(f, "{program} (named in {})", file.display()),
            LoginSource::Nowhere(_) => f.write_str("nowhere"),
        }
    }
}

/// Returns whether the user name can be shown. Some registries expect a token as the user name, with no password or a
/// fixed one.
fn is_name(user: &str, password: &str) -> bool {
    let fixed = password.is_empty() || password == "x-oauth-basic" || password == user;
    !fixed && user.len() <= 64 && !user.chars().any(is_unseen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_refused_credentials_without_secrets() {
        let basic =
            |user: &str, password: &str| Login::given("--dest-creds", Credentials::basic(user, password));
        let file = |credentials| Login { credentials, source: LoginSource::File("/h/config.json".into()) };
        let helper = LoginSource::Helper("docker-credential-x".into(), "/h/config.json".into());
        let nowhere = |files: &[&str]| LoginSource::Nowhere(files.iter().map(PathBuf::from).collect());
        for (login, text) in [
            (basic("joe", "s3cret"), "user joe from --dest-creds was refused"),
            (basic("s3cret", ""), "the login from --dest-creds was refused"),
            (basic("s3cret", "x-oauth-basic"), "the login from --dest-creds was refused"),
            (basic("", ""), "no credentials in --dest-creds"),
            (file(Credentials::basic("joe", "s3cret")), "user joe from /h/config.json was refused"),
            (
                file(Credentials::Identity("s3cret".into())),
                "the identity token from /h/config.json was refused",
            ),
            (
                Login { credentials: Credentials::basic("joe", "s3cret"), source: helper },
                "user joe from docker-credential-x (named in /h/config.json) was refused",
            ),
            (Login { source: nowhere(&["/a", "/b"]), ..Login::default() }, "no credentials found in /a, /b"),
            (Login::default(), "no credentials were given"),
        ] {
            assert_eq!(login.describe(), text);
        }
    }
}
