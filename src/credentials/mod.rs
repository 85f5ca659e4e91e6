//! Credentials for registries: from the command line, from docker's and podman's files, from helpers.
//!
//! Sources: docker's `config.json` (docker login), containers-auth.json(5), docker-credential-helpers.

pub(crate) mod file;
mod helper;
mod login;
mod paths;

pub use login::{Login, LoginSource};

use crate::error::Result;
use file::{Entry, Logins};
use paths::LoginFile;
use std::fmt;
use std::path::PathBuf;

/// What a registry is told about who asks.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// A name and a password or access token.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// An identity token, to be traded for access tokens.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Anonymous => "anonymous",
            Credentials::Basic { .. } => "basic (hidden)",
            Credentials::Identity(_) => "identity (hidden)",
        })
    }
}

impl Credentials {
    /// A name and a password; [`Credentials::Anonymous`] if both are empty.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        if user.is_empty() && password.is_empty() {
            return Credentials::Anonymous;
        }
        Credentials::Basic { user, password }
    }

    /// Reads `USER[:PASSWORD]`.
    pub fn from_user_password(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Credentials::basic(user, password)
    }
}

/// Where credentials are looked for when none were given.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// The only file to read, if one was named.
    pub authfile: Option<PathBuf>,
}

impl Store {
    /// Finds the credentials for a repository: the first file that holds some for it wins.
    pub async fn lookup(&self, host: &str, repository: &str) -> Result<Login> {
        let files = match &self.authfile {
            Some(path) => vec![LoginFile::new(path)],
            None => paths::default_files(),
        };
        let must_exist = self.authfile.is_some();
        for LoginFile { path, format } in &files {
            let Some(text) = file::read(path, must_exist)? else { continue };
            let logins = Logins::parse(&text, path, *format)?;
            let entry = match logins.find(host, repository)? {
                Entry::Helper { name, optional } => {
                    match helper::get(&name, &file::server_name(host)).await? {
                        Credentials::Anonymous if !optional => continue,
                        // What the file itself holds still counts where the store has nothing.
                        Credentials::Anonymous => logins.auths(host, repository)?,
                        credentials => {
                            let source = LoginSource::Helper(helper::program(&name), path.clone());
                            return Ok(Login { credentials, source });
                        }
                    }
                }
                Entry::Found(credentials) => credentials,
                Entry::Nothing => continue,
            };
            if entry != Credentials::Anonymous {
                return Ok(Login { credentials: entry, source: LoginSource::File(path.clone()) });
            }
        }
        let files = files.into_iter().map(|file| file.path).collect();
        Ok(Login { credentials: Credentials::Anonymous, source: LoginSource::Nowhere(files) })
    }
}
