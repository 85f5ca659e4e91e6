//! The lookup of credentials in files and with the helpers that they configure.

use super::file::{self, Entry, Logins};
use super::helper;
use super::identity::Credentials;
use super::login::{Login, LoginSource};
use super::paths::{self, LoginFile};
use crate::error::Result;
use std::path::PathBuf;

/// The places where credentials are looked up if none were given.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// The only file to read, if one was given.
    pub authfile: Option<PathBuf>,
}

impl Store {
    /// Finds the credentials for a repository, in the first file that has some.
    pub async fn lookup(&self, host: &str, repository: &str) -> Result<Login> {
        let files = self.files();
        let must_exist = self.authfile.is_some();
        for LoginFile { path, format } in &files {
            let Some(text) = file::read(path, must_exist)? else { continue };
            let logins = Logins::parse(&text, path, *format)?;
            let entry = match logins.find(host, repository)? {
                Entry::Helper { name, optional } => {
                    match helper::get(&name, &file::server_name(host)).await? {
                        Credentials::Anonymous if !optional => continue,
                        // If the store has nothing, the file's own entry applies.
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
        Ok(Login { credentials: Credentials::Anonymous, source: LoginSource::Nowhere(self.paths()) })
    }

    /// Returns the paths of the files in which credentials are looked up, in that order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files().into_iter().map(|file| file.path).collect()
    }

    fn files(&self) -> Vec<LoginFile> {
        match &self.authfile {
            Some(path) => vec![LoginFile::new(path)],
            None => paths::default_files(),
        }
    }
}
