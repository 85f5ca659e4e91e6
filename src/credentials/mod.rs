//! Credentials for registries: from the command line, from Docker's and Podman's files, and from helpers.
//!
//! Specifications: Docker's `config.json` (docker login), containers-auth.json(5), docker-credential-helpers.

pub(crate) mod file;
pub(crate) mod helper;
mod identity;
mod login;
mod paths;
mod store;

pub use identity::Credentials;
pub use login::{Login, LoginSource};
pub use store::Store;
