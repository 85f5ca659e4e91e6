//! Credentials for registries: from the command line, from docker's and podman's files, from helpers.
//!
//! Sources: docker's `config.json` (docker login), containers-auth.json(5), docker-credential-helpers.

pub(crate) mod file;
mod helper;

use crate::error::Result;
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
    /// Reads `USER[:PASSWORD]`.
    pub fn from_user_password(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Credentials::Basic { user: user.into(), password: password.into() }
    }
}

/// Where credentials are looked for when none were given.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// The only file to read, if one was named.
    pub authfile: Option<PathBuf>,
}

impl Store {
    /// The credentials for a repository: the first file that knows the registry wins.
    pub async fn lookup(&self, host: &str, repository: &str) -> Result<Credentials> {
        let files = match &self.authfile {
            Some(path) => vec![(path.clone(), true)],
            None => file::default_paths().into_iter().map(|path| (path, false)).collect(),
        };
        for (path, must_exist) in files {
            let Some(text) = file::read(&path, must_exist)? else { continue };
            match file::find(&text, host, repository, &path)? {
                file::Entry::Found(credentials) => return Ok(credentials),
                file::Entry::Helper { name, optional } => {
                    match helper::get(&name, &file::server_name(host)).await {
                        Ok(Credentials::Anonymous) if optional => {}
                        // What the file itself holds still counts where the store has nothing.
                        Ok(Credentials::Anonymous) => return Ok(Credentials::Anonymous),
                        other => return other,
                    }
                    if let Some(credentials) = file::find_auths(&text, host, repository, &path)? {
                        return Ok(credentials);
                    }
                }
                file::Entry::Nothing => {}
            }
        }
        Ok(Credentials::Anonymous)
    }
}
