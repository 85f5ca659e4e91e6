//! Credentials for registries: from the command line, from docker's and podman's files, from helpers.
//!
//! Sources: docker's `config.json` (docker login), containers-auth.json(5), docker-credential-helpers.

pub(crate) mod file;
pub(crate) mod helper;
mod identity;
mod login;
mod paths;
mod store;

pub use identity::Credentials;
pub use login::{Login, LoginSource};
pub use store::Store;
