//! Credentials together with where they come from, so that a refusal can say whose they were.

use super::identity::Credentials;
use std::fmt;
use std::path::PathBuf;

/// What a registry host is told about who asks, and where that was found.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The credentials.
    pub credentials: Credentials,
    /// Where they come from.
    pub source: LoginSource,
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSource {
    /// An option of the command line, or the environment variable that stands for it.
    Given(&'static str),
    /// A credential file.
    File(PathBuf),
    /// A credential helper, by the name of its program, and the file that names it.
    Helper(String, PathBuf),
    /// Nowhere: these files were looked at.
    Nowhere(Vec<PathBuf>),
}

impl Default for LoginSource {
    fn default() -> Self {
        LoginSource::Nowhere(Vec::new())
    }
}

impl Login {
    /// Credentials that were given with an option, such as `--src-creds`.
    pub fn given(option: &'static str, credentials: Credentials) -> Self {
        Login { credentials, source: LoginSource::Given(option) }
    }

    /// Says, after a refusal, whose credentials were refused or where none were found. Never holds a secret.
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

/// Whether the user's name can be shown: with some registries a token stands in its place, beside no password or a
/// fixed one.
fn is_name(user: &str, password: &str) -> bool {
    let fixed = password.is_empty() || password == "x-oauth-basic" || password == user;
    !fixed && user.len() <= 64 && !user.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_whose_credentials_were_refused_and_never_a_secret() {
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
